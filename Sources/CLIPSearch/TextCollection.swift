package import Files
public import CLIP
internal import Tensors

/// A stream of texts from a file: its lines, or a column of CSV, TSV or JSON Lines.
///
/// ```swift
/// var captions = try TextCollection("captions.txt")
/// while let text = try captions.next() { print(text) }
/// ```
///
/// Copies share the position in the file.
public struct TextCollection {
    /// The format of a file of texts.
    public enum Format: Sendable, Hashable {
        /// A text on each line.
        case lines
        /// A column of RFC 4180 records, the first of which names the columns.
        case separated(by: UInt8, column: String)
        /// A string member of JSON Lines, one object per line.
        case jsonLines(key: String)

        /// Creates the format of a column, or of a JSON key, by the suffix of the file: `.csv`,
        /// `.tsv`, `.jsonl` or `.ndjson`; nil for any other suffix.
        package init?(column: String, of path: FilePath) {
            switch path.pathExtension {
            case "csv": self = .separated(by: UInt8(ascii: ","), column: column)
            case "tsv": self = .separated(by: UInt8(ascii: "\t"), column: column)
            case "jsonl", "ndjson": self = .jsonLines(key: column)
            default: return nil
            }
        }
    }

    private let path: FilePath
    private let file: InputFile
    private let format: Format
    private var column = 0
    private var line = 0
    private var hasEnded = false

    /// Opens a file of texts.
    ///
    /// - Parameters:
    ///   - path: The path of the file; `-` is standard input.
    ///   - format: The format of the file.
    /// - Throws: `CLIPError.unreadableFile` if the file cannot be read, lacks the column of
    ///   `format`, or is not standard input and does not begin with valid UTF-8.
    package init(_ path: FilePath, format: Format = .lines) throws(CLIPError) {
        self.path = path
        self.format = format
        do throws(FileError) {
            file = path == "-" ? InputFile() : try InputFile(path: path.bytes)
            if try Array(file.peek(3)) == [0xEF, 0xBB, 0xBF] { _ = try file.skip(3) }
            // Not at a terminal, where the end of input would have to be typed twice.
            if path != "-" { try Self.checkBeginning(try file.peek(Self.checkedBytes)) }
            if case .separated(let separator, let name) = format {
                let names = try record(separator) ?? []
                guard let column = names.firstIndex(of: name) else {
                    guard !names.isEmpty else {
                        throw FileError(reason: "it has no column \"\(name)\": it is empty")
                    }
                    let there = names.map { "\"\($0)\"" }.joined(separator: ", ")
                    throw FileError(
                        reason: "it has no column \"\(name)\", but the columns \(there)")
                }
                self.column = column
            }
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// Returns the next text; nil at the end.
    ///
    /// - Throws: `CLIPError.unreadableFile` if the file cannot be read or a record is malformed.
    ///   After a record without the column, or a line that is not a JSON object with the key, later
    ///   records can be read; after any other error, `next` returns nil.
    public mutating func next() throws(CLIPError) -> String? {
        do throws(FileError) {
            switch format {
            case .lines:
                return try nextLine()
            case .separated(let separator, let name):
                guard let record = try record(separator) else { return nil }
                guard record.indices.contains(column) else {
                    throw FileError(
                        reason: "the record that ends in line \(line) has no column \"\(name)\"")
                }
                return record[column]
            case .jsonLines(let key):
                var text = try nextLine()
                while text?.allSatisfy(\.isWhitespace) == true { text = try nextLine() }
                guard let text else { return nil }
                let object = try? JSONValue(parsing: Array(text.utf8))
                guard case .string(let value) = object?[key] else {
                    throw FileError(
                        reason: "line \(line) is not a JSON object with a string \"\(key)\"")
                }
                return value
            }
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// The number of bytes at the beginning that are checked for invalid UTF-8 when the file is
    /// opened.
    private static let checkedBytes = 1 << 14

    /// Throws if one of the first lines of a file is not UTF-8.
    private static func checkBeginning(_ bytes: ArraySlice<UInt8>) throws(FileError) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // The last line may continue behind these bytes.
        if bytes.count == checkedBytes { lines.removeLast() }
        for (index, line) in lines.enumerated()
        where String(validating: line, as: UTF8.self) == nil {
            throw FileError(reason: "line \(index + 1) is not UTF-8")
        }
    }

    /// True if an error has ended the reading, so that `next` returns only nil.
    package var isAtEnd: Bool { hasEnded }

    /// Reads a line; after an error, no further line is returned.
    private mutating func readLine() throws(FileError) -> [UInt8]? {
        guard !hasEnded else { return nil }
        do throws(FileError) {
            return try file.read(upTo: UInt8(ascii: "\n"))
        } catch {
            hasEnded = true
            throw error
        }
    }

    private mutating func nextLine() throws(FileError) -> String? {
        guard var bytes = try readLine() else { return nil }
        line += 1
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return try text(bytes)
    }

    private mutating func text(_ bytes: [UInt8]) throws(FileError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            hasEnded = true
            throw FileError(reason: "line \(line) is not UTF-8")
        }
        return text
    }

    private static let mostFields = 65_536

    /// Returns the fields of the next record; nil at the end of the file.
    ///
    /// Quoted fields may contain separators and newlines.
    private mutating func record(_ separator: UInt8) throws(FileError) -> [String]? {
        let quote = UInt8(ascii: "\"")
        var fields: [String] = []
        var field: [UInt8] = []
        var isQuoted = false
        while var bytes = try readLine() {
            line += 1
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
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
                        hasEnded = true
                        throw FileError(
                            reason: "line \(line) has more than \(Self.mostFields) fields")
                    }
                    fields.append(try text(field))
                    field = []
                } else {
                    field.append(byte)
                }
            }
            guard isQuoted else { return fields + [try text(field)] }
            field.append(UInt8(ascii: "\n"))
            guard field.count < 1 << 24 else {
                hasEnded = true
                throw FileError(
                    reason: "a quoted field over 16 MiB has no closing quote before line \(line)")
            }
        }
        guard !isQuoted else { throw FileError(reason: "it ends within a quoted field") }
        return nil
    }
}
