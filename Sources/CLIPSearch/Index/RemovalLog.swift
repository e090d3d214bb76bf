package import Files
internal import CLIP
internal import Tensors

/// The log of moved and deleted files: JSON Lines, written to disk before and after each action, so
/// that it is correct even if the process is killed.
///
/// A line with `"step":"intent"` is followed by one with `"done"` or `"failed"`. If neither
/// follows, the process ended in between, and the files show what happened. A new log without
/// entries is removed.
package final class RemovalLog {
    /// The state of an action.
    package enum Step: String, Sendable {
        /// The action is about to begin.
        case intent
        /// The action is complete.
        case done
        /// The action failed, and the file is where it was.
        case failed
        /// `RemovalUndo` has put the file back.
        case restored
    }

    /// A line of the log.
    package struct Entry: Sendable, Equatable {
        /// The state of the action.
        package var step: Step
        /// The absolute path of the folder that was indexed.
        package var folder: FilePath
        /// The absolute path of the folder that duplicates are moved to; nil if they are deleted.
        package var target: FilePath?
        /// The absolute path that the file had.
        package var from: FilePath
        /// The absolute path that the file was moved to; nil if it was deleted.
        package var to: FilePath?
        /// The SHA-256 of the file: 32 bytes.
        package var digest: [UInt8]
        /// The size of the file in bytes.
        package var size: Int
        /// The absolute path of the duplicate that was kept.
        package var kept: FilePath
        /// The cause of a failure.
        package var reason: String?
    }

    /// The path of the log.
    package let path: FilePath
    private let file: LogFile
    /// True for a new log until its first entry.
    private var isUnused: Bool

    /// Opens a log for appending, or makes it.
    ///
    /// - Parameters:
    ///   - path: The path of the log.
    ///   - isNew: True if an existing file is an error.
    /// - Throws: `RemovalError.unusableLog`, also if the file exists and is not a log.
    package convenience init(path: FilePath, isNew: Bool = false) throws(RemovalError) {
        if !isNew { try Self.check(path) }
        try self.init(unchecked: path, isNew: isNew)
    }

    /// Opens a file that is known to be a log.
    init(unchecked path: FilePath, isNew: Bool = false) throws(RemovalError) {
        self.path = path
        isUnused = isNew
        do throws(FileError) {
            file = try LogFile(path: path.bytes, isNew: isNew)
        } catch {
            throw .unusableLog(path: path, reason: error.reason)
        }
    }

    /// Throws if a file has content and is not a log, because nothing must be appended to it.
    ///
    /// - Throws: `RemovalError.unusableLog`.
    package static func check(_ path: FilePath) throws(RemovalError) {
        guard let status = try? FileStatus(path: path.bytes), status.isRegular, status.size > 0
        else { return }
        do throws(FileError) {
            let line = try InputFile(path: path.bytes).read(upTo: newline, limit: 1 << 20) ?? []
            if entry(line) != nil || isBeginning(line) { return }
        } catch {
            // A line that is too long does not belong to a log.
            guard error.code == 0 else { throw .unusableLog(path: path, reason: error.reason) }
        }
        throw .unusableLog(
            path: path,
            reason: "it is not a log of removed duplicates; choose another file")
    }

    deinit { if isUnused { try? removeFile(path.bytes) } }

    /// Makes a log `clip-dedupe-DATE.jsonl` in a folder, with the current date and time in UTC.
    ///
    /// - Throws: `RemovalError.unusableLog`.
    package convenience init(in folder: FilePath) throws(RemovalError) {
        let name = "clip-dedupe-\(currentTime())"
        var path = folder.appending("\(name).jsonl".utf8)
        var number = 1
        while (try? FileStatus(path: path.bytes)) != nil {
            number += 1
            path = folder.appending("\(name)-\(number).jsonl".utf8)
        }
        try self.init(path: path, isNew: true)
    }

    /// Appends an entry, and waits until it is on the disk.
    ///
    /// - Throws: `RemovalError.unusableLog`; the file of the entry must then not be touched.
    func append(_ entry: Entry) throws(RemovalError) {
        isUnused = false
        do throws(FileError) {
            try file.append(Self.line(entry))
        } catch {
            throw .unusableLog(path: path, reason: error.reason)
        }
    }

    private static func line(_ entry: Entry) -> [UInt8] {
        func path(_ path: FilePath?) -> JSONValue { path.map { .path($0) } ?? .null }
        var members: [JSONValue.Member] = [
            ("step", .string(entry.step.rawValue)), ("from", path(entry.from)),
            ("to", path(entry.to)), ("kept", path(entry.kept)), ("folder", path(entry.folder)),
            ("target", path(entry.target)), ("sha256", .string(hexadecimal(entry.digest))),
            ("size", .integer(entry.size)),
        ]
        if let reason = entry.reason { members.append(("reason", .string(reason))) }
        return JSONValue.object(members).bytes
    }

    /// Returns the entries of a log, in order.
    ///
    /// A line that is incomplete because the process ended while writing it is skipped.
    ///
    /// - Throws: `RemovalError.unusableLog` if the file cannot be read, is damaged, or is not a
    ///   log.
    package static func entries(of path: FilePath) throws(RemovalError) -> [Entry] {
        var entries: [Entry] = []
        if let number = try read(path, { entries.append($0) }).first {
            throw .unusableLog(path: path, reason: notAnEntry(number))
        }
        return entries
    }

    private static let newline = UInt8(ascii: "\n")

    private static func notAnEntry(_ number: Int) -> String {
        "line \(number) is not an entry of a log of removed duplicates"
    }

    /// Calls a closure with each entry of a log, in order, with one line in memory at a time.
    ///
    /// - Returns: The 1-based numbers of damaged lines: those that are neither entries nor the
    ///   beginning of one.
    /// - Throws: `RemovalError.unusableLog` if the file cannot be read or is not a log.
    static func read(
        _ path: FilePath, _ body: (Entry) -> Void
    ) throws(RemovalError) -> [Int] {
        var (number, count) = (0, 0)
        var damaged: [Int] = []
        do throws(FileError) {
            let file = try InputFile(path: path.bytes)
            var start = 0
            while let line = try file.read(upTo: newline) {
                number += 1
                // A line without a newline is incomplete.
                let isWhole = file.position == start + line.count + 1
                start = file.position
                if isWhole, let entry = entry(line) {
                    count += 1
                    body(entry)
                } else if isWhole && !isBeginning(line) {
                    damaged.append(number)
                }
            }
        } catch {
            throw .unusableLog(path: path, reason: error.reason)
        }
        if count == 0, let first = damaged.first {
            throw .unusableLog(path: path, reason: notAnEntry(first))
        }
        return damaged
    }

    /// Returns true if a line is the beginning of an entry, left by a process that ended while
    /// writing it.
    private static func isBeginning(_ line: [UInt8]) -> Bool {
        let quote = UInt8(ascii: "\"")
        var rest = line[...]
        /// Skips an expected text; returns true if the line ends within it, nil if the line has
        /// another text.
        func ends(in text: String) -> Bool? {
            if rest.starts(with: text.utf8) {
                rest = rest.dropFirst(text.utf8.count)
                return false
            }
            return text.utf8.starts(with: rest) ? true : nil
        }
        /// Skips a string or null; returns true if the line ends within it, nil if the line has
        /// another value.
        func endsInValue() -> Bool? {
            guard rest.first == quote else { return ends(in: "null") }
            rest = rest.dropFirst()
            while let byte = rest.popFirst() {
                if byte < 0x20 { return nil }
                if byte == quote { return false }
                if byte == UInt8(ascii: "\\") { _ = rest.popFirst() }
            }
            return true
        }
        var comma = "{"
        for key in ["step", "from", "to", "kept", "folder", "target", "sha256"] {
            guard let isKey = ends(in: "\(comma)\"\(key)\":") else { return false }
            if isKey { return true }
            guard let isValue = endsInValue() else { return false }
            if isValue { return true }
            comma = ","
        }
        guard let isSize = ends(in: ",\"size\":") else { return false }
        if isSize { return true }
        rest = rest.drop { (0x30...0x39).contains($0) }
        guard let isReason = ends(in: ",\"reason\":") else { return false }
        if isReason { return true }
        return endsInValue() == true || rest.isEmpty
    }

    private static func entry(_ line: [UInt8]) -> Entry? {
        // Quotes in a path are escaped, so a key is never found inside a path.
        func value(_ key: String) -> ArraySlice<UInt8>? {
            let key = Array("\"\(key)\":".utf8)
            for start in line.indices.dropLast(key.count)
            where start > 0 && [UInt8(ascii: "{"), UInt8(ascii: ",")].contains(line[start - 1]) {
                if line[start...].starts(with: key) { return line[(start + key.count)...] }
            }
            return nil
        }
        func path(_ key: String) -> FilePath? { value(key).flatMap { FilePath(quoted: $0) } }
        func text(_ key: String) -> String? {
            path(key).map { "\($0)" }
        }
        guard line.first == UInt8(ascii: "{"), line.last == UInt8(ascii: "}"),
            let step = text("step").flatMap(Step.init),
            let from = path("from"), let kept = path("kept"), let folder = path("folder"),
            (path("to") == nil) == (path("target") == nil), let sum = text("sha256"),
            sum.utf8.count == 64,
            let size = value("size").flatMap({ digits in
                Int(String(decoding: digits.prefix { (0x30...0x39).contains($0) }, as: UTF8.self))
            })
        else { return nil }
        var digest: [UInt8] = []
        var rest = Substring(sum)
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            digest.append(byte)
            rest = rest.dropFirst(2)
        }
        return Entry(
            step: step, folder: folder, target: path("target"), from: from, to: path("to"),
            digest: digest, size: size, kept: kept, reason: text("reason"))
    }
}
