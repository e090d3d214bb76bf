internal import CKernels

/// Where a forward pass keeps its activations, and the threads it runs on; for one pass at a time.
///
/// Blocks of released matrices are used again, so that after its first layer a pass takes no memory
/// from the system.
///
/// `@unchecked Sendable`: matrices are made and released by the thread of the pass alone.
package final class Workspace: @unchecked Sendable {
    let team: ThreadTeam
    /// How many were asked for; the system may have granted fewer.
    let wantedThreads: Int
    /// The engine of its float32 products.
    let engine: ProductEngine
    private var free: [FloatBlock] = []

    /// - Parameter engine: loaded here if it is a library; `native` where that is missing.
    package init(threads: Int, engine: ProductEngine = .native) {
        precondition(threads > 0, "\(threads) threads")
        team = .shared(threads: threads)
        wantedThreads = threads
        self.engine = engine.isAvailable ? engine : .native
    }

    /// A matrix of undefined contents, whose rows may lie somewhat apart.
    ///
    /// Rows an odd number of cache lines apart, so that the lines of neighbours do not displace each
    /// other: rows of 4096 bytes would all fall into one set of the cache.
    package func matrix(
        rows: Int, columns: Int, format: ElementFormat = .float32
    ) -> Matrix {
        let bytes = format.words(columns) * 4
        let stride = bytes < 1024 ? bytes : ((bytes + 63) / 64 | 1) * 64
        return Matrix(
            rows: rows, columns: columns, stride: stride, format: format,
            rowsBeyond: engine == .native ? 0 : ProductEngine.rowsReadBeyond, workspace: self)
    }

    /// A matrix of undefined contents, whose rows follow each other without a gap.
    package func compactMatrix(rows: Int, columns: Int) -> Matrix {
        Matrix(
            rows: rows, columns: columns, stride: columns * 4, format: .float32, rowsBeyond: 0,
            workspace: self)
    }

    fileprivate func take(_ count: Int) -> FloatBlock {
        // The smallest that fits, unless most of it would lie idle.
        let best = free.indices
            .filter { free[$0].capacity >= count && free[$0].capacity <= 4 * count + 4096 }
            .min { free[$0].capacity < free[$1].capacity }
        return best.map { free.remove(at: $0) } ?? FloatBlock(capacity: count)
    }

    fileprivate func release(_ block: FloatBlock) { free.append(block) }
}

/// Activations: `rows` vectors of `columns` numbers.
///
/// `@unchecked Sendable`: threads that share a matrix are parts of one loop, which write disjoint
/// elements and read none that another part writes.
package final class Matrix: @unchecked Sendable {
    package let rows: Int
    package let columns: Int
    package let format: ElementFormat
    package let workspace: Workspace
    /// Bytes from a row to the next.
    let stride: Int
    let bytes: UnsafeMutableRawPointer
    private let block: FloatBlock
    /// Of bytes: the scale and the zero of each row.
    private let scaleBlock: FloatBlock?
    /// The number of rows of undefined contents that may be read after the last one.
    let rowsBeyond: Int

    fileprivate init(
        rows: Int, columns: Int, stride: Int, format: ElementFormat, rowsBeyond: Int,
        workspace: Workspace
    ) {
        self.rowsBeyond = rowsBeyond
        self.rows = rows
        self.columns = columns
        self.stride = stride
        self.format = format
        self.workspace = workspace
        block = workspace.take(((rows + rowsBeyond) * stride + 3) / 4)
        scaleBlock = format == .int8 ? workspace.take(2 * rows) : nil
        bytes = UnsafeMutableRawPointer(block.elements)
    }

    deinit {
        workspace.release(block)
        if let scaleBlock { workspace.release(scaleBlock) }
    }

    /// The first number of a row, of float32.
    func row(_ index: Int) -> UnsafeMutablePointer<Float> {
        precondition(
            index >= 0 && index < rows && format == .float32, "row \(index) of \(rows), \(format)")
        return (bytes + index * stride).assumingMemoryBound(to: Float.self)
    }

    /// The scale of each row, of bytes.
    var scales: UnsafeMutablePointer<Float>? { scaleBlock?.elements }

    /// The zero of each row, of bytes.
    var zeros: UnsafeMutablePointer<Int32>? {
        scaleBlock.map {
            UnsafeMutableRawPointer($0.elements + rows).assumingMemoryBound(to: Int32.self)
        }
    }

    /// Sets a row of any format from float32.
    func setRow(_ index: Int, from x: UnsafePointer<Float>) {
        precondition(index >= 0 && index < rows, "row \(index) of \(rows)")
        let target = bytes + index * stride
        let kernels = Kernels.current
        switch format {
        case .float32:
            target.copyMemory(from: x, byteCount: columns * 4)
        case .bfloat16:
            kernels.float32_to_bfloat16?(
                x, columns, target.assumingMemoryBound(to: UInt16.self))
        case .int8:
            guard let scales, let zeros else { return }
            kernels.quantize?(
                x, columns, target.assumingMemoryBound(to: UInt8.self), scales + index,
                zeros + index)
        }
        clearPadding(index)
    }

    /// Sets what fills a row up to whole words of a product to zero.
    func clearPadding(_ index: Int) {
        let (used, all) = (columns * format.byteWidth, format.words(columns) * 4)
        guard used < all else { return }
        (bytes + index * stride + used).initializeMemory(
            as: UInt8.self, repeating: 0, count: all - used)
    }

    /// The same numbers in another format.
    func converted(to format: ElementFormat) -> Matrix {
        guard format != self.format else { return self }
        let result = workspace.matrix(rows: rows, columns: columns, format: format)
        workspace.team.split(rows, unit: 4) { _, range in
            for row in range { result.setRow(row, from: self.row(row)) }
        }
        return result
    }

    package var values: [Float] {
        [Float](unsafeUninitializedCapacity: rows * columns) { target, initialized in
            initialized = rows * columns
            guard let base = target.baseAddress else { return }
            for i in 0..<rows {
                (base + i * columns).update(from: row(i), count: columns)
            }
        }
    }

    /// Copies numbers in, row after row.
    package func fill(_ values: some Collection<Float>) {
        precondition(values.count == rows * columns, "\(values.count) into \(rows) x \(columns)")
        var rest = values[...]
        for i in 0..<rows {
            _ = UnsafeMutableBufferPointer(start: row(i), count: columns)
                .update(fromContentsOf: rest.prefix(columns))
            rest = rest.dropFirst(columns)
        }
    }

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
        for (i, source) in range.enumerated() {
            row(first + i).update(from: other.row(source), count: columns)
        }
    }

    /// The given rows, in that order, as a matrix of their own.
    package func gathered(_ indices: [Int]) -> Matrix {
        let result = workspace.matrix(rows: indices.count, columns: columns, format: format)
        let count = format.words(columns) * 4
        for (i, index) in indices.enumerated() {
            precondition(index >= 0 && index < rows, "row \(index) of \(rows)")
            (result.bytes + i * result.stride).copyMemory(
                from: bytes + index * stride, byteCount: count)
            if let scales, let zeros, let newScales = result.scales, let newZeros = result.zeros {
                newScales[i] = scales[index]
                newZeros[i] = zeros[index]
            }
        }
        return result
    }

    /// Whether every number is finite.
    package var isFinite: Bool {
        (0..<rows).allSatisfy {
            UnsafeBufferPointer(start: row($0), count: columns).allSatisfy(\.isFinite)
        }
    }
}
