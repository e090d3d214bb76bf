internal import CKernels

/// The memory for activations, the threads and the engine that a forward pass uses.
///
/// A workspace serves one pass at a time. The memory of released matrices is reused, so that a pass
/// allocates almost none after its first layer.
///
/// `@unchecked Sendable`: only the thread that runs the pass creates and releases matrices.
package final class Workspace: @unchecked Sendable {
    let team: ThreadTeam
    /// The requested number of threads; the team has fewer if the system could not start as many.
    let wantedThreads: Int
    /// The engine of float32 products.
    let engine: ProductEngine
    private var free: [FloatBlock] = []

    /// Creates a workspace.
    ///
    /// - Parameters:
    ///   - threads: The number of threads, at least 1.
    ///   - engine: The engine of float32 products; if it is not available, `native` is used.
    package init(threads: Int, engine: ProductEngine = .native) {
        precondition(threads > 0, "expected at least 1 thread, found \(threads)")
        team = .shared(threads: threads)
        wantedThreads = threads
        self.engine = engine.isAvailable ? engine : .native
    }

    /// Returns a matrix with undefined contents; there may be gaps between its rows.
    ///
    /// Long rows start an odd number of cache lines apart, so that neighbouring rows do not evict
    /// each other: rows 4096 bytes apart would all map to the same set of the cache.
    package func matrix(
        rows: Int, columns: Int, format: ElementFormat = .float32
    ) -> Matrix {
        let bytes = format.words(columns) * 4
        let stride = bytes < 1024 ? bytes : ((bytes + 63) / 64 | 1) * 64
        return Matrix(
            rows: rows, columns: columns, stride: stride, format: format,
            rowsBeyond: engine == .native ? 0 : ProductEngine.rowsReadBeyond, workspace: self)
    }

    /// Returns a matrix with undefined contents and no gaps between its rows.
    package func compactMatrix(rows: Int, columns: Int) -> Matrix {
        Matrix(
            rows: rows, columns: columns, stride: columns * 4, format: .float32, rowsBeyond: 0,
            workspace: self)
    }

    fileprivate func take(_ count: Int) -> FloatBlock {
        // The smallest block that fits, unless most of it would stay unused.
        let best = free.indices
            .filter { free[$0].capacity >= count && free[$0].capacity <= 4 * count + 4096 }
            .min { free[$0].capacity < free[$1].capacity }
        return best.map { free.remove(at: $0) } ?? FloatBlock(capacity: count)
    }

    fileprivate func release(_ block: FloatBlock) { free.append(block) }
}

/// A matrix of activations: `rows` vectors of `columns` numbers.
///
/// `@unchecked Sendable`: threads share a matrix only within a loop whose parts write disjoint
/// elements and read none that another part writes.
package final class Matrix: @unchecked Sendable {
    package let rows: Int
    package let columns: Int
    package let format: ElementFormat
    package let workspace: Workspace
    /// The distance between the starts of neighbouring rows, in bytes.
    let stride: Int
    let bytes: UnsafeMutableRawPointer
    private let block: FloatBlock
    /// The scales of all rows, then their zero points, of an int8 matrix; nil for other formats.
    private let scaleBlock: FloatBlock?
    /// The number of rows of allocated memory after the last row; their contents are undefined.
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

    /// Returns the address of a row of a float32 matrix.
    func row(_ index: Int) -> UnsafeMutablePointer<Float> {
        precondition(
            index >= 0 && index < rows && format == .float32,
            "expected a float32 row in 0..<\(rows), found row \(index) in \(format)")
        return (bytes + index * stride).assumingMemoryBound(to: Float.self)
    }

    /// The scales of the rows of an int8 matrix; nil for other formats.
    var scales: UnsafeMutablePointer<Float>? { scaleBlock?.elements }

    /// The zero points of the rows of an int8 matrix; nil for other formats.
    var zeros: UnsafeMutablePointer<Int32>? {
        scaleBlock.map {
            UnsafeMutableRawPointer($0.elements + rows).assumingMemoryBound(to: Int32.self)
        }
    }

    /// Sets a row of any format from `columns` float32 numbers.
    func setRow(_ index: Int, from x: UnsafePointer<Float>) {
        precondition(index >= 0 && index < rows, "expected a row in 0..<\(rows), found \(index)")
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

    /// Sets the padding at the end of a row to zero.
    func clearPadding(_ index: Int) {
        let (used, all) = (columns * format.byteWidth, format.words(columns) * 4)
        guard used < all else { return }
        (bytes + index * stride + used).initializeMemory(
            as: UInt8.self, repeating: 0, count: all - used)
    }

    /// Returns the matrix in another format; this matrix itself if it has that format.
    func converted(to format: ElementFormat) -> Matrix {
        guard format != self.format else { return self }
        let result = workspace.matrix(rows: rows, columns: columns, format: format)
        workspace.team.split(rows, unit: 4) { _, range in
            for row in range { result.setRow(row, from: self.row(row)) }
        }
        return result
    }

    /// The numbers of a float32 matrix, row after row.
    package var values: [Float] {
        [Float](unsafeUninitializedCapacity: rows * columns) { target, initialized in
            initialized = rows * columns
            guard let base = target.baseAddress else { return }
            for i in 0..<rows {
                (base + i * columns).update(from: row(i), count: columns)
            }
        }
    }

    /// Returns the numbers of a float32 matrix, row after row, with memory for `spare` more.
    package func doubles(spare: Int) -> [Double] {
        [Double](unsafeUninitializedCapacity: rows * columns + spare) { target, initialized in
            initialized = rows * columns
            guard let base = target.baseAddress else { return }
            for i in 0..<rows {
                let (target, source) = (base + i * columns, row(i))
                for j in 0..<columns { target[j] = Double(source[j]) }
            }
        }
    }

    /// Sets all numbers of a float32 matrix, row after row, to the first of `values`, rounded.
    package func fill(_ values: [Double]) {
        precondition(
            values.count >= rows * columns,
            "expected \(rows * columns) numbers, found \(values.count)")
        values.withUnsafeBufferPointer { values in
            for i in 0..<rows {
                let target = row(i)
                for j in 0..<columns { target[j] = Float(values[i * columns + j]) }
            }
        }
    }

    /// Sets all numbers of a float32 matrix, row after row.
    package func fill(_ values: some Collection<Float>) {
        precondition(
            values.count == rows * columns,
            "expected \(rows * columns) numbers, found \(values.count)")
        var rest = values[...]
        for i in 0..<rows {
            _ = UnsafeMutableBufferPointer(start: row(i), count: columns)
                .update(fromContentsOf: rest.prefix(columns))
            rest = rest.dropFirst(columns)
        }
    }

    /// Sets a row of a float32 matrix to a vector.
    package func setRow(_ index: Int, to vector: Tensor) {
        precondition(
            vector.count == columns,
            "expected a vector of \(columns) numbers, found the shape \(vector.shape)")
        row(index).update(from: vector.elements, count: columns)
    }

    /// Copies a range of rows of another float32 matrix to the rows of this matrix from `first` on.
    package func setRows(from first: Int, to range: Range<Int>, of other: Matrix) {
        precondition(
            other.columns == columns && first + range.count <= rows
                && range.upperBound <= other.rows,
            """
            expected \(columns) columns, rows within 0..<\(other.rows), and at most \
            \(rows - first) of them, found \(other.columns) columns and the rows \(range)
            """)
        for (i, source) in range.enumerated() {
            row(first + i).update(from: other.row(source), count: columns)
        }
    }

    /// Returns a copy of the rows with the given indices, in that order.
    package func gathered(_ indices: [Int]) -> Matrix {
        let result = workspace.matrix(rows: indices.count, columns: columns, format: format)
        let count = format.words(columns) * 4
        for (i, index) in indices.enumerated() {
            precondition(
                index >= 0 && index < rows, "expected a row in 0..<\(rows), found \(index)")
            (result.bytes + i * result.stride).copyMemory(
                from: bytes + index * stride, byteCount: count)
            if let scales, let zeros, let newScales = result.scales, let newZeros = result.zeros {
                newScales[i] = scales[index]
                newZeros[i] = zeros[index]
            }
        }
        return result
    }

    /// True if every number of a float32 matrix is finite.
    package var isFinite: Bool {
        (0..<rows).allSatisfy {
            UnsafeBufferPointer(start: row($0), count: columns).allSatisfy(\.isFinite)
        }
    }
}
