internal import Files

/// A reader of the lines or the RFC 4180 records of a file, which counts lines.
///
/// Copies share the position in the file.
struct RecordFile {
    let file: InputFile
    /// The number of lines read so far.
    private(set) var line = 0
    /// True after an error after which nothing more is read.
    private(set) var hasEnded = false

    private static let mostFields = 65_536

    /// Reads an open file, and skips the byte order mark at its beginning.
    init(_ file: InputFile) throws(FileError) {
        self.file = file
        if try Array(file.peek(3)) == [0xEF, 0xBB, 0xBF] { _ = try file.skip(3) }
    }

    /// Ends the reading: from now on, there are no more lines.
    mutating func end() { hasEnded = true }

    /// Returns the next line without its end, LF or CRLF; nil at the end of the file or after an
    /// error.
    mutating func nextLine() throws(FileError) -> [UInt8]? {
        guard !hasEnded else { return nil }
        do throws(FileError) {
            guard var bytes = try file.read(upTo: UInt8(ascii: "\n")) else { return nil }
            line += 1
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
            return bytes
        } catch {
            hasEnded = true
            throw error
        }
    }

    /// Returns the fields of the next record.
    ///
    /// Quoted fields may contain separators and newlines. After an error, nothing more is read.
    ///
    /// - Parameters:
    ///   - separator: The byte between fields.
    ///   - make: Converts the bytes of a field, which ends in the given line.
    /// - Returns: The fields; nil at the end of the file.
    /// - Throws: `FileError`, also if `make` throws.
    mutating func nextRecord<Field>(
        separator: UInt8, _ make: (_ bytes: [UInt8], _ line: Int) throws(FileError) -> Field
    ) throws(FileError) -> [Field]? {
        let quote = UInt8(ascii: "\"")
        var fields: [Field] = []
        var field: [UInt8] = []
        var isQuoted = false
        while let bytes = try nextLine() {
            if bytes.isEmpty && fields.isEmpty && field.isEmpty && !isQuoted { continue }
            var index = 0
            while index < bytes.count {
                let byte = bytes[index]
                index += 1
                // A quote opens only where a field begins: 12" is twelve inches.
                if byte == quote && (isQuoted || field.isEmpty) {
                    if isQuoted && index < bytes.count && bytes[index] == quote {
                        field.append(quote)
                        index += 1
                    } else {
                        isQuoted.toggle()
                    }
                } else if byte == separator && !isQuoted {
                    guard fields.count < Self.mostFields else {
                        throw failure("line \(line) has more than \(Self.mostFields) fields")
                    }
                    fields.append(try made(field, make))
                    field = []
                } else {
                    field.append(byte)
                }
            }
            guard isQuoted else { return fields + [try made(field, make)] }
            field.append(UInt8(ascii: "\n"))
            guard field.count < 1 << 24 else {
                throw failure(
                    "a quoted field over 16 MiB has no closing quote before line \(line)")
            }
        }
        guard !isQuoted else { throw FileError(reason: "it ends within a quoted field") }
        return nil
    }

    private mutating func made<Field>(
        _ bytes: [UInt8], _ make: ([UInt8], Int) throws(FileError) -> Field
    ) throws(FileError) -> Field {
        do throws(FileError) {
            return try make(bytes, line)
        } catch {
            hasEnded = true
            throw error
        }
    }

    /// Ends the reading, and returns an error.
    private mutating func failure(_ reason: String) -> FileError {
        hasEnded = true
        return FileError(reason: reason)
    }
}
