/// Where a forward pass keeps its activations, and the threads it runs on; for one pass at a time.
///
/// Blocks of released matrices are used again, so that after its first layer a pass takes no memory
/// from the system. Matrices are made and released by the thread of the pass alone.
package final class Workspace {
    let team: ThreadTeam
    private var free: [FloatBlock] = []

    package init(threads: Int) {
        precondition(threads > 0, "\(threads) threads")
        team = ThreadTeam(threads: threads)
    }

    /// A matrix of undefined contents.
    package func matrix(rows: Int, columns: Int) -> Matrix {
        Matrix(rows: rows, columns: columns, block: take(rows * columns), workspace: self)
    }

    private func take(_ count: Int) -> FloatBlock {
        // The smallest that fits, unless most of it would lie idle.
        let best = free.indices
            .filter { free[$0].capacity >= count && free[$0].capacity <= 4 * count + 4096 }
            .min { free[$0].capacity < free[$1].capacity }
        return best.map { free.remove(at: $0) } ?? FloatBlock(capacity: count)
    }

    fileprivate func release(_ block: FloatBlock) { free.append(block) }
}

/// Activations: `rows` vectors of `columns` numbers, row-major.
package final class Matrix {
    package let rows: Int
    package let columns: Int
    package let workspace: Workspace
    let elements: UnsafeMutablePointer<Float>
    private let block: FloatBlock

    fileprivate init(rows: Int, columns: Int, block: FloatBlock, workspace: Workspace) {
        self.rows = rows
        self.columns = columns
        self.block = block
        self.workspace = workspace
        elements = block.elements
    }

    deinit { workspace.release(block) }

    func row(_ index: Int) -> UnsafeMutablePointer<Float> {
        precondition(index >= 0 && index < rows, "row \(index) of \(rows)")
        return elements + index * columns
    }

    package var values: [Float] {
        Array(UnsafeBufferPointer(start: elements, count: rows * columns))
    }

    /// Copies numbers in, row after row.
    package func fill(_ values: some Collection<Float>) {
        precondition(values.count == rows * columns, "\(values.count) into \(rows) x \(columns)")
        _ = UnsafeMutableBufferPointer(start: elements, count: rows * columns)
            .update(fromContentsOf: values)
    }

    /// Sets all to 0.
    package func clear() { elements.update(repeating: 0, count: rows * columns) }

    /// Sets one row to a vector.
    package func setRow(_ index: Int, to vector: Tensor) {
        precondition(vector.count == columns, "\(vector.shape) into a row of \(columns)")
        row(index).update(from: vector.elements, count: columns)
    }

    /// Copies some rows of another matrix to rows `first`... of this one.
    package func setRows(from first: Int, to range: Range<Int>, of other: Matrix) {
        precondition(
            other.columns == columns && first + range.count <= rows
                && range.upperBound <= other.rows,
            "\(range) of \(other.rows) x \(other.columns) to \(first) of \(rows) x \(columns)")
        guard !range.isEmpty else { return }
        row(first).update(from: other.row(range.lowerBound), count: range.count * columns)
    }

    /// The given rows, in that order, as a matrix of their own.
    package func gathered(_ indices: [Int]) -> Matrix {
        let result = workspace.matrix(rows: indices.count, columns: columns)
        for (i, index) in indices.enumerated() {
            result.row(i).update(from: row(index), count: columns)
        }
        return result
    }

    /// Whether every number is finite.
    package var isFinite: Bool {
        UnsafeBufferPointer(start: elements, count: rows * columns).allSatisfy(\.isFinite)
    }
}
