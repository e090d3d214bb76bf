import Files
@preconcurrency import ArgumentParser
import CLIP
import CLIPSearch
import Synchronization

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// An error that ends the command with a message and an exit status.
struct Failure: Error, CustomStringConvertible {
    let description: String
    let status: Int32

    init(_ description: String, status: Int32 = 1) {
        self.description = description
        self.status = status
    }
}

/// Prints an error and its hint as one line on standard error.
func report(_ error: any Error) { report(Hints.line(error)) }

/// Prints the message of an error as one line on standard error.
func report(_ message: String) { note("clip: error: \(message)") }

/// Prints one line on standard error; control characters are replaced.
func note(_ line: String) { fputs(TerminalText.oneLine(line) + "\n", stderr) }

/// True if standard output is a terminal.
var outputIsTerminal: Bool { isatty(1) == 1 }

/// The error code of the first failed write to standard output; the stream itself keeps only a
/// flag.
private enum OutputFailure {
    /// The `errno` of the failed write; 0 if no write failed, or only writes by `print` did.
    static let code = Mutex<Int32>(0)

    /// Stores `errno`, unless an earlier one is stored.
    static func store() {
        let code = errno
        Self.code.withLock { if $0 == 0 { $0 = code } }
    }
}

/// Flushes standard output; `finishOutput` reports a failure.
func flushOutput() {
    if fflush(stdout) != 0 { OutputFailure.store() }
}

/// Flushes standard output.
///
/// - Throws: `Failure` if anything that was printed could not be written.
func finishOutput() throws {
    let isFlushed = fflush(stdout) == 0
    if !isFlushed { OutputFailure.store() }
    guard !isFlushed || ferror(stdout) != 0 else { return }
    let code = OutputFailure.code.withLock(\.self)
    let why = code == 0 ? "a part of the results is lost" : String(cString: strerror(code))
    throw Failure("cannot write to standard output: \(why)")
}

private func writeToOutput(_ bytes: [UInt8]) {
    if fwrite(bytes, 1, bytes.count, stdout) < bytes.count { OutputFailure.store() }
}

/// Writes bytes to standard output, after those that were printed.
///
/// - Throws: `FileError` if they cannot be written.
func writeToStandardOutput(_ bytes: [UInt8]) throws(FileError) {
    guard fwrite(bytes, 1, bytes.count, stdout) == bytes.count else { throw .last() }
}

/// Runs an operation on an output file; an error of it names the file.
///
/// - Throws: `Failure` with the path and the reason.
func writing<Result>(
    to path: FilePath, _ body: () throws(FileError) -> Result
) throws -> Result {
    do throws(FileError) {
        return try body()
    } catch {
        throw Failure("cannot write \(path): \(error.reason)")
    }
}

/// Prints one line of JSON on standard output.
func printLine(_ json: JSONValue) { printBytes(json.bytes + [UInt8(ascii: "\n")]) }

/// Prints bytes on standard output.
///
/// At a terminal, control characters other than NUL, tab and line feed are printed as JSON escapes.
func printBytes(_ bytes: [UInt8]) {
    let bytes = outputIsTerminal ? TerminalText.withoutControls(bytes) : bytes
    writeToOutput(bytes)
}

/// Returns true if a path stands for standard output: nil, "-", or the path of the file that
/// standard output is written to, such as `/dev/stdout`.
func isStandardOutput(_ path: String?) -> Bool {
    guard let path, path != "-" else { return true }
    return leadsToStandardOutput(FilePath(argument: path).bytes)
}

/// Returns false if a path leads to a device, a pipe or an open descriptor (`/dev/fd/3`), which are
/// written in place, and true otherwise.
func mayBeReplaced(_ path: String) -> Bool { !isWrittenThrough(FilePath(argument: path)) }

/// Returns the path that symbolic links lead to, whether a file exists there or not.
///
/// A path without a link at its end is returned unchanged, and so is one at which `mayBeReplaced`
/// is false.
func resolved(_ path: String) -> String {
    // The text of a descriptor's link is not a path.
    guard mayBeReplaced(path) else { return path }
    var path = path
    for _ in 0..<40 {
        // With a slash at its end, the path of a link is that of its folder.
        let link = path.hasSuffix("/") ? String(path.dropLast()) : path
        let bytes = FilePath(argument: link).bytes
        guard let target = try? finalPath(of: bytes), target != bytes else { break }
        path = String(decoding: target, as: UTF8.self) + path.dropFirst(link.count)
    }
    return path
}

/// Writes bytes to a file, atomically, or to standard output.
///
/// A device, a pipe or an open descriptor is written to directly.
func write(_ bytes: [UInt8], to path: String?) throws {
    guard let path, !isStandardOutput(path) else {
        writeToOutput(bytes)
        return
    }
    try writeWhole(bytes, to: FilePath(argument: path))
}

/// Reads the lines of a text file or, for "-", of standard input.
func readLines(_ path: String) throws -> [String] {
    let text = try readText(path, endingWith: "\n", "line")
    return parts(of: text, endingWith: "\n").map { String($0.last == "\r" ? $0.dropLast() : $0) }
}

/// Reads the NUL-terminated texts of a file, such as the output of `find -print0`; "-" is standard
/// input.
func readNULTerminated(_ path: String) throws -> [String] {
    let text = try readText(path, endingWith: "\0", "text")
    return parts(of: text, endingWith: "\0").map { String($0) }
}

private func parts(
    of text: Substring.UnicodeScalarView, endingWith end: Unicode.Scalar
) -> [Substring.UnicodeScalarView] {
    var parts = text.split(separator: end, omittingEmptySubsequences: false)
    if parts.last?.isEmpty == true { parts.removeLast() }  // what follows the last end
    return parts
}

/// The size limit for files of lines or NUL-terminated texts, in bytes.
private let textLimit = 64 << 20

/// Reads a file of UTF-8, or standard input for "-", without a byte order mark.
///
/// `part` is the word for a part that ends with `end`, such as "line", in error messages.
private func readText(
    _ path: String, endingWith end: Unicode.Scalar, _ part: String
) throws -> Substring.UnicodeScalarView {
    let file = path == "-" ? nil : FilePath(argument: path)
    let bytes = try readWhole(file, limit: textLimit)
    if let text = String(validating: bytes, as: UTF8.self) { return withoutMark(text) }
    let parts = bytes.split(separator: UInt8(ascii: end), omittingEmptySubsequences: false)
    let number = parts.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
    let name = path == "-" ? "standard input" : path
    throw Failure("cannot read \(name): \(part) \(number + 1) is not UTF-8")
}

/// Returns a text without the byte order mark (BOM) that editors of Windows put at its beginning.
private func withoutMark(_ text: String) -> Substring.UnicodeScalarView {
    let scalars = text.unicodeScalars
    return scalars.first == "\u{FEFF}" ? scalars.dropFirst() : scalars[...]
}

/// The lines of standard input, each read as soon as it arrives.
struct StandardInputLines {
    private let file = InputFile()
    private var number = 0
    private var isAtEnd = false

    /// Returns the next line without its end, the first one without a byte order mark; nil at the
    /// end of the input.
    ///
    /// - Throws: `Failure` if standard input cannot be read (it may be a folder), or if the line is
    ///   too long or not UTF-8.
    mutating func next() throws -> String? {
        // At a terminal, another read would wait for a second end of input.
        guard !isAtEnd else { return nil }
        let line: [UInt8]?
        let start = file.position
        do throws(FileError) {
            line = try file.read(upTo: UInt8(ascii: "\n"), limit: textLimit)
        } catch {
            throw Failure("cannot read standard input: \(error.reason)")
        }
        guard var bytes = line else { return nil }
        number += 1
        if file.position == start + bytes.count {
            isAtEnd = true
        } else if bytes.last == UInt8(ascii: "\r") {
            bytes.removeLast()
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure("cannot read standard input: line \(number) is not UTF-8")
        }
        return number == 1 ? String(withoutMark(text)) : text
    }
}

extension String {
    /// Returns the string padded with spaces on the right to a width.
    func left(_ width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }

    /// Returns the string padded with spaces on the left to a width.
    func right(_ width: Int) -> String {
        String(repeating: " ", count: Swift.max(0, width - count)) + self
    }
}

/// Formats a number with a fixed number of decimals.
func fixed(_ value: some BinaryFloatingPoint, _ decimals: Int) -> String {
    let value = Double(value)
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = (0..<decimals).reduce(1.0) { result, _ in result * 10 }
    let digits = String(Int((abs(value) * scale).rounded()))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let sign = value < 0 && digits.contains { $0 != "0" } ? "-" : ""
    guard decimals > 0 else { return sign + padded }
    return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}
