internal import Files

/// A file of names in JSON Lines, as `EmbeddingWriter` writes it beside `.npy` files: each line has
/// the kind and the name of a row, and its fields.
///
/// ```
/// {"image":"a.jpg","cls":1}
/// ```
struct NamesFile {
    private let file: MappedFile
    private let path: FilePath
    private(set) var rowCount = 0
    private(set) var textCount = 0
    private(set) var hasOtherNames = false
    private(set) var columns: [ParquetColumn] = []

    /// Maps a file, and reads all lines once to learn their fields.
    ///
    /// - Throws: `FileError`, also if a line is not in the format.
    init(_ path: FilePath) throws(FileError) {
        file = try MappedFile(path: path.bytes)
        self.path = path
        var found = TableColumns()
        var lines = Lines(self)
        while let line = lines.next() {
            rowCount += 1
            if file.hasBytes(Self.textBeginning, at: line.lowerBound) { textCount += 1 }
            guard plainName(line) == nil else { continue }
            let row = try row(line, number: rowCount)
            if !hasOtherNames { hasOtherNames = !row.name.isUTF8 }
            for (key, value) in row.fields { found.add(key, .of(value)) }
        }
        columns = found.all
    }

    /// Opens the file for reading from its first line.
    func lines() -> Lines { Lines(self) }

    private static let imageBeginning = Array("{\"image\":\"".utf8)
    private static let textBeginning = Array("{\"text\":\"".utf8)

    /// The lines of a file of names.
    struct Lines {
        private let names: NamesFile
        private var offset = 0
        private var number = 0

        init(_ names: NamesFile) { self.names = names }

        /// Returns the bytes of the next line in the file; nil at the end.
        fileprivate mutating func next() -> Range<Int>? {
            let count = names.file.count
            guard offset < count else { return nil }
            let end = names.file.firstOffset(of: UInt8(ascii: "\n"), in: offset..<count) ?? count
            defer { offset = end + 1 }
            return offset..<end
        }

        /// Returns the names and the fields of the next rows.
        ///
        /// - Parameter count: The number of rows; the file has as many.
        /// - Returns: The rows, without vectors.
        /// - Throws: `FileError`, also if a line is not in the format.
        mutating func rows(_ count: Int) throws(FileError) -> EmbeddingBlock {
            var block = EmbeddingBlock(names: [], isText: [], fields: [], vectors: [])
            block.names.reserveCapacity(count)
            while block.count < count, let line = next() {
                number += 1
                if names.textCount > 0 {
                    block.isText.append(
                        names.file.hasBytes(NamesFile.textBeginning, at: line.lowerBound))
                }
                if let name = names.plainName(line) {
                    block.names.append(FilePath(name))
                    if !names.columns.isEmpty {
                        block.fields.append(names.columns.map { _ in .null })
                    }
                    continue
                }
                let row = try names.row(line, number: number)
                block.names.append(row.name)
                guard !names.columns.isEmpty else { continue }
                block.fields.append(
                    names.columns.map { column in
                        row.fields.first { $0.key == column.name }
                            .map { ParquetValue($0.value, as: column.kind) } ?? .null
                    })
            }
            guard block.count == count else {
                throw FileError(reason: "\(names.path) has changed while it was read")
            }
            return block
        }
    }

    /// Returns the name of a line that has no fields, no escapes and only ASCII or UTF-8; nil for
    /// other lines.
    private func plainName(_ line: Range<Int>) -> [UInt8]? {
        let beginning =
            file.hasBytes(Self.imageBeginning, at: line.lowerBound)
            ? Self.imageBeginning : Self.textBeginning
        let start = line.lowerBound + beginning.count
        guard start + 2 <= line.upperBound,
            file.hasBytes(beginning, at: line.lowerBound),
            file.firstOffset(of: UInt8(ascii: "\""), in: start..<line.upperBound)
                == line.upperBound - 2,
            file.byte(at: line.upperBound - 1) == UInt8(ascii: "}"),
            file.firstOffset(of: UInt8(ascii: "\\"), in: start..<line.upperBound) == nil
        else { return nil }
        return file.bytes(start..<(line.upperBound - 2))
    }

    /// The longest line that `EmbeddingWriter` writes: three fields of a WebDataset with 16 MiB
    /// each, whose bytes are escaped by up to six.
    private static let longestLine = 1 << 29

    private typealias Row = (name: FilePath, fields: [JSONValue.Member])

    /// Parses a line.
    ///
    /// The name is not parsed as JSON, because a name that is not UTF-8 has lone surrogates.
    private func row(_ line: Range<Int>, number: Int) throws(FileError) -> Row {
        guard line.count <= Self.longestLine else {
            throw FileError(
                reason: "line \(number) of \(path) is longer than \(Self.longestLine) bytes")
        }
        let bytes = file.bytes(line)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
            let start = bytes[(colon + 1)...].firstIndex(where: { $0 != UInt8(ascii: " ") }),
            let name = FilePath(quoted: bytes[start...]),
            let end = Self.endOfString(bytes, start)
        else { throw FileError(reason: "line \(number) of \(path) has no name") }
        var rest = bytes[end...].drop { $0 == UInt8(ascii: " ") }
        if rest.first == UInt8(ascii: ",") { rest.removeFirst() }
        do throws(JSONValue.SyntaxError) {
            let object = try JSONValue(
                parsing: [UInt8(ascii: "{")] + rest, takesLargeIntegers: true)
            return (name, object.members ?? [])
        } catch {
            throw FileError(reason: "the fields in line \(number) of \(path) are \(error.reason)")
        }
    }

    /// Returns the index after the closing quote of a JSON string; nil if there is none.
    private static func endOfString(_ bytes: [UInt8], _ start: Int) -> Int? {
        var index = start + 1
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\"") { return index + 1 }
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }
}

extension FilePath {
    /// True if the bytes are valid UTF-8.
    var isUTF8: Bool { bytes.isUTF8 }
}
