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

        /// Creates the format of a file whose texts are in the column `column` (`.csv`, `.tsv`) or
        /// under that JSON key (`.jsonl`, `.ndjson`); nil if `path` has any other suffix.
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
    private let format: Format
    private var records: RecordFile
    private var column = 0

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
            let file = path == "-" ? InputFile() : try InputFile(path: path.bytes)
            records = try RecordFile(file)
            // Not at a terminal, where the end of input would have to be typed twice.
            if path != "-" { try Self.checkBeginning(try file.peek(Self.checkedBytes)) }
            if case .separated(let separator, let name) = format {
                let names = try records.nextRecord(separator: separator, Self.text) ?? []
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
                let record = try records.nextRecord(separator: separator, Self.text)
                guard let record else { return nil }
                guard record.indices.contains(column) else {
                    throw FileError(
                        reason: """
                            the record that ends in line \(records.line) has no column \
                            "\(name)"
                            """)
                }
                return record[column]
            case .jsonLines(let key):
                var text = try nextLine()
                while text?.allSatisfy(\.isWhitespace) == true { text = try nextLine() }
                guard let text else { return nil }
                let object = try? JSONValue(parsing: Array(text.utf8))
                guard case .string(let value) = object?[key] else {
                    throw FileError(
                        reason: """
                            line \(records.line) is not a JSON object with a string "\(key)"
                            """)
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
    package var isAtEnd: Bool { records.hasEnded }

    private mutating func nextLine() throws(FileError) -> String? {
        guard let bytes = try records.nextLine() else { return nil }
        do throws(FileError) {
            return try Self.text(bytes, line: records.line)
        } catch {
            records.end()
            throw error
        }
    }

    private static func text(_ bytes: [UInt8], line: Int) throws(FileError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FileError(reason: "line \(line) is not UTF-8")
        }
        return text
    }
}
