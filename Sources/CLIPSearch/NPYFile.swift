internal import Files

/// The rows of a `.npy` file: a matrix of float32 or float16, which is read in parts.
struct NPYFile {
    private let file: PositionedFile
    private let offset: Int
    /// True for float16.
    let isHalf: Bool
    let rowCount: Int
    let dimension: Int

    /// Opens a file, and reads its header.
    ///
    /// - Parameter path: The path of the file.
    /// - Throws: `FileError`, also for an array of another type or shape, and if its size is not
    ///   the one that the header states.
    init(_ path: FilePath) throws(FileError) {
        file = try PositionedFile(path: path.bytes)
        let beginning = try file.read(12, at: 0)
        guard beginning.count == 12, beginning.starts(with: [0x93] + Array("NUMPY".utf8)) else {
            throw FileError(reason: "it is not a .npy file of NumPy")
        }
        let isLong = beginning[6] >= 2
        let start = isLong ? 12 : 10
        let length = beginning[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= file.count - start else { throw FileError(reason: "it is truncated") }
        let header = String(decoding: try file.read(length, at: start), as: UTF8.self)
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

    /// Reads the numbers of rows, one row after the other, as float32.
    ///
    /// - Throws: `FileError`, also if the file has become too short.
    func values(ofRows rows: Range<Int>) throws(FileError) -> [Float] {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= rowCount,
            "expected rows within 0..<\(rowCount), found \(rows)")
        let (first, count) = (rows.lowerBound * dimension, rows.count * dimension)
        return isHalf
            ? try file.halves(at: offset + 2 * first, count: count)
            : try file.floats(at: offset + 4 * first, count: count)
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
