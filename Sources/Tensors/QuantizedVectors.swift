package import Files

/// The vectors of a file, quantised to int8 with a scale for each column.
///
/// A search reads a quarter of the bytes of float32, and has a bound on the error of dot products.
///
/// The file has, in little-endian order: "clip i8\n"; the number of rows, the number of columns and
/// the generation (8 bytes each); the largest L2 error of a row (float32); the scales (float32
/// each); zeros up to a multiple of 64 bytes; the rows.
package struct QuantizedVectors: Sendable {
    private let file: MappedFile
    package let dimension: Int
    package let count: Int
    /// The number that `write` stored to identify the vectors that were quantised.
    package let generation: Int
    /// The largest L2 norm of the quantisation error of a row.
    private let rowError: Float
    private let scales: [Float]

    private static let magic = Array("clip i8\n".utf8)

    private static func headerSize(_ dimension: Int) -> Int { (36 + 4 * dimension + 63) / 64 * 64 }

    /// Reads the header of a file.
    ///
    /// - Parameter file: The file; the result is nil if `write` did not write it, or if it is
    ///   truncated.
    package init?(_ file: MappedFile) {
        guard file.count >= 36, file.bytes(0..<8) == Self.magic,
            let count = Int(exactly: file.number(8, 8)),
            let dimension = Int(exactly: file.number(16, 8)), dimension > 0, dimension < 1 << 20,
            let generation = Int(exactly: file.number(24, 8)),
            file.count >= Self.headerSize(dimension),
            count == (file.count - Self.headerSize(dimension)) / dimension
        else { return nil }
        self.file = file
        self.count = count
        self.dimension = dimension
        self.generation = generation
        func float(_ offset: Int) -> Float {
            Float(bitPattern: UInt32(file.number(offset, 4)))
        }
        rowError = float(32)
        scales = (0..<dimension).map { float(36 + 4 * $0) }
        guard rowError.isFinite, scales.allSatisfy(\.isFinite) else { return nil }
    }

    /// Returns estimates of the dot products of the first `count` rows with a vector, and a bound
    /// on their error.
    func dotProducts(
        with vector: [Float], count: Int, on pool: WorkspacePool
    ) -> (products: [Float], error: Float) {
        precondition(
            vector.count == dimension && count <= self.count,
            """
            expected a vector of \(dimension) numbers and at most \(self.count) rows, found \
            \(vector.count) and \(count)
            """)
        // The vector is quantised too, as finely as a 32-bit sum allows.
        let scaled = zip(vector, scales).map { $0 * $1 }
        let levels = min(8191, Float(Int32.max / 127 / Int32(dimension)))
        let step = max((scaled.map(abs).max() ?? 0) / levels, .leastNormalMagnitude)
        let factors = scaled.map { Int16(($0 / step).rounded()) }
        let vectorError = zip(scaled, factors).reduce(Float(0)) {
            $0 + abs($1.0 - Float($1.1) * step)
        }
        let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        nonisolated(unsafe) let rows =  // only read
            file.address(of: 0..<file.count).assumingMemoryBound(to: Int8.self)
            + Self.headerSize(dimension)
        let products = inStrips(of: count, on: pool) { strip, target in
            var sums = [Int32](repeating: 0, count: strip.count)
            Kernels.current.dot_rows_int8(
                factors, rows + strip.lowerBound * dimension, dimension, strip.count, dimension,
                &sums)
            for (place, sum) in sums.enumerated() { target[place] = Float(sum) * step }
        }
        // The last term is for the rounding of float32 sums, both here and in the exact product.
        return (products, norm * rowError + 127 * vectorError + 1e-5 * norm)
    }

    /// Quantises all rows of a file of vectors and writes them to another file.
    ///
    /// - Parameters:
    ///   - vectors: The exact vectors.
    ///   - generation: A number that identifies the content of `vectors`.
    ///   - path: The path of the file to write.
    ///   - pool: The pool whose threads are used.
    /// - Throws: `FileError` if the file cannot be written.
    package static func write(
        _ vectors: MappedVectors, generation: Int, to path: [UInt8], on pool: WorkspacePool
    ) throws(FileError) {
        let (count, dimension) = (vectors.count, vectors.dimension)
        let strips = (count + 4095) / 4096
        @Sendable func rows(_ strip: Int) -> Range<Int> {
            strip * 4096..<min(count, (strip + 1) * 4096)
        }

        // The largest magnitude of each column in each strip of 4096 rows.
        let maxima = inRows(of: strips, dimension, on: pool) { strip, maxima in
            for row in rows(strip) {
                let x = vectors.start + row * dimension
                for i in 0..<dimension where abs(x[i]) > maxima[i] && x[i].isFinite {
                    maxima[i] = abs(x[i])
                }
            }
        }
        let scales = (0..<dimension).map { column in
            (0..<strips).reduce(Float(0)) { max($0, maxima[$1 * dimension + column]) } / 127
        }
        let inverses = scales.map { $0 > 0 ? 1 / $0 : 0 }

        let file = try GrowingFile(path: path)
        try file.truncate(to: 0)
        func header(_ error: Float) -> [UInt8] {
            var header = magic
            for number in [count, dimension, generation] {
                header += (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
            }
            header += littleEndianBytes(of: [error] + scales)
            return header + [UInt8](repeating: 0, count: headerSize(dimension) - header.count)
        }
        try file.append(header(0))
        var largestError: Float = 0
        for first in stride(from: 0, to: strips, by: 16) {
            let group = first..<min(strips, first + 16)
            var bytes = [UInt8](
                repeating: 0,
                count: (rows(group.upperBound - 1).upperBound - first * 4096) * dimension)
            var errors = [Float](repeating: 0, count: group.count)
            bytes.withUnsafeMutableBufferPointer { bytes in
                errors.withUnsafeMutableBufferPointer { errors in
                    // Threads write disjoint rows.
                    nonisolated(unsafe) let (bytes, errors) = (bytes, errors)
                    pool.inParallel(group.count) { place, _ in
                        for row in rows(first + place) {
                            let x = vectors.start + row * dimension
                            let offset = (row - first * 4096) * dimension
                            var sum: Float = 0
                            for i in 0..<dimension {
                                let level = (x[i] * inverses[i]).rounded()
                                // The bytes of NaN and infinity may have any value.
                                let byte = level.isFinite ? Int8(max(-127, min(127, level))) : 0
                                let lost = x[i] - Float(byte) * scales[i]
                                sum += lost * lost
                                bytes[offset + i] = UInt8(bitPattern: byte)
                            }
                            if sum.isFinite { errors[place] = max(errors[place], sum.squareRoot()) }
                        }
                    }
                }
            }
            largestError = max(largestError, errors.max() ?? 0)
            try file.append(bytes)
        }
        // A little more, for the rounding of the error itself.
        try file.overwrite(header(largestError * 1.001))
        try file.finish()
    }
}

/// Returns `count` rows of `dimension` floats, initially 0, which `body` fills on all threads.
private func inRows(
    of count: Int, _ dimension: Int, on pool: WorkspacePool,
    _ body: @Sendable (_ row: Int, _ target: UnsafeMutablePointer<Float>) -> Void
) -> [Float] {
    var rows = [Float](repeating: 0, count: count * dimension)
    rows.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        nonisolated(unsafe) let start = base  // threads write disjoint rows
        pool.inParallel(count) { row, _ in body(row, start + row * dimension) }
    }
    return rows
}
