internal import Files

/// The rows of a `.npy` file: a mapped matrix of float32 or float16.
struct NPYFile {
    private let file: MappedFile
    private let offset: Int
    /// True for float16.
    let isHalf: Bool
    let rowCount: Int
    let dimension: Int

    /// Maps a file, and reads its header.
    ///
    /// - Parameter path: The path of the file.
    /// - Throws: `FileError`, also for an array of another type or shape, and if its size is not
    ///   the one that the header states.
    init(_ path: FilePath) throws(FileError) {
        file = try MappedFile(path: path.bytes)
        let magic = [0x93] + Array("NUMPY".utf8)
        guard file.count >= 12, file.hasBytes(magic, at: 0) else {
            throw FileError(reason: "it is not a .npy file of NumPy")
        }
        let isLong = file.number(6, 1) >= 2
        let start = isLong ? 12 : 10
        let length = Int(file.number(8, isLong ? 4 : 2))
        guard length <= file.count - start else { throw FileError(reason: "it is truncated") }
        let header = String(decoding: file.bytes(start..<(start + length)), as: UTF8.self)
        let shape = header.firstRange(of: "'shape': (").map { header[$0.upperBound...] } ?? ""
        let sides = shape.prefix { $0 != ")" }.split(separator: ",")
            .map { Int($0.filter { $0 != " " }) }
        if sides.count == 2, sides[0] == 0 { throw FileError(reason: "it has no rows") }
        isHalf = header.contains("'<f2'")
        guard isHalf || header.contains("'<f4'"), header.contains("'fortran_order': False"),
            sides.count == 2, let rows = sides[0], let dimension = sides[1], rows > 0, dimension > 0
        else {
            throw FileError(
                reason: """
                    unsupported array: expected float32 rows ('<f4', [rows, dimension]) or float16 \
                    ('<f2'), found \(header.filter { !$0.isNewline }.trimmed)
                    """)
        }
        offset = start + length
        (rowCount, self.dimension) = (rows, dimension)
        let (count, overflow) = rows.multipliedReportingOverflow(by: dimension)
        let found = (file.count - offset) / (isHalf ? 2 : 4)
        guard !overflow, count == found else {
            throw FileError(
                reason: """
                    expected \(rows) x \(dimension) numbers after its header, found \(found)
                    """)
        }
    }

    /// Returns the numbers of rows, one row after the other, as float32.
    func values(ofRows rows: Range<Int>) -> [Float] {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= rowCount,
            "expected rows within 0..<\(rowCount), found \(rows)")
        let (first, count) = (rows.lowerBound * dimension, rows.count * dimension)
        return isHalf
            ? file.halves(at: offset + 2 * first, count: count)
            : file.floats(at: offset + 4 * first, count: count)
    }

    /// Releases the memory of rows that were read.
    func forget(_ rows: Range<Int>) {
        let width = dimension * (isHalf ? 2 : 4)
        file.forget((offset + rows.lowerBound * width)..<(offset + rows.upperBound * width))
    }
}

extension String {
    /// The string without trailing spaces.
    fileprivate var trimmed: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
