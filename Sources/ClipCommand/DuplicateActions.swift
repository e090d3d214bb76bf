import Files
import CLIPAnalysis
import ArgumentParser
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// The actions `--delete`, `--move-to` and `--undo` of `clip dedupe`.
struct DuplicateActions {
    let folder: FilePath
    let images: [IndexedImage]
    let groups: [DuplicateSearch.Group]
    let isQuiet: Bool

    /// True if a user can answer a question: standard input and standard error are terminals.
    static var canAsk: Bool { isatty(0) == 1 && errorsAreTerminal }

    /// The rows of the duplicates, each with the row of the image that is kept.
    private var duplicates: [(row: Int, kept: Int)] {
        groups.flatMap { group in
            group.members.filter(\.isDuplicate).map { ($0.row, group.kept) }
        }
    }

    /// Deletes the duplicates.
    ///
    /// - Parameters:
    ///   - log: The file of `--log`; a new one in the indexed folder if nil.
    ///   - isAsked: True to ask the user first.
    /// - Throws: `ExitCode` if a duplicate could not be deleted; `RemovalError` if the log cannot
    ///   be opened.
    func delete(log: FilePath?, isAsked: Bool) throws {
        let duplicates = duplicates
        if isAsked && !duplicates.isEmpty {
            let kept = Set(duplicates.map(\.kept)).count
            let bytes = duplicates.reduce(0.0) { $0 + Double(images[$1.row].size) }
            let question = """
                delete \(duplicates.count) \(duplicates.count == 1 ? "duplicate" : "duplicates") \
                of \(kept) \(kept == 1 ? "image" : "images") (\(Self.size(bytes)))? [y/N] 
                """
            fputs(question, stderr)
            let answer = readLine()?.lowercased() ?? ""
            guard answer == "y" || answer == "yes" else {
                note("clip: dedupe: nothing was deleted")
                return
            }
        }
        try remove(duplicates, .delete, "deleted", log, logFolder: folder)
    }

    /// Moves the duplicates into a folder.
    func move(to target: FilePath, log: FilePath?) throws {
        try remove(duplicates, .move(to: target), "moved", log, logFolder: target)
    }

    /// Formats a number of bytes, such as "1.2 MB".
    private static func size(_ bytes: Double) -> String {
        let units = ["kB", "MB", "GB", "TB"]
        guard bytes >= 1000 else { return "\(Int(bytes)) bytes" }
        var (value, unit) = (bytes / 1000, 0)
        while value >= 999.95, unit + 1 < units.count { (value, unit) = (value / 1000, unit + 1) }
        return "\(fixed(value, 1)) \(units[unit])"
    }

    private func remove(
        _ duplicates: [(row: Int, kept: Int)], _ action: DuplicateRemoval.Action, _ done: String,
        _ log: FilePath?, logFolder: FilePath
    ) throws {
        var errors: [RemovalError] = groups.flatMap { group in
            group.members.filter { $0.verdict == .changed }.map { member in
                .changed(
                    path: images[member.row].file,
                    file: images[member.changedRow ?? member.row].file)
            }
        }
        var count = 0
        var logPath: FilePath?
        if !duplicates.isEmpty {
            let removal = try DuplicateRemoval(folder: folder, action: action) {
                () throws(RemovalError) in
                if let log { return try RemovalLog(path: log) }
                return try RemovalLog(in: logFolder)
            }
            logPath = removal.log.path
            for (row, kept) in duplicates {
                do throws(RemovalError) {
                    try removal.remove(images[row], keeping: images[kept])
                    count += 1
                } catch {
                    errors.append(error)
                    // Nothing is removed without a log entry.
                    if case .unusableLog = error { break }
                }
            }
        }
        Self.report(errors)
        if !isQuiet {
            let similar = groups.reduce(0) { $0 + $1.members.count { !$0.isDuplicate } }
            var words = "\(count) \(done)"
            if similar > 0 {
                words += "; \(similar) similar \(similar == 1 ? "image is" : "images are") kept"
            }
            note("clip: dedupe: \(words)")
            if count > 0, let logPath { note("clip: dedupe: the log is \(logPath)") }
        }
        if !errors.isEmpty { throw ExitCode(1) }
    }

    /// Reports each error on a line of its own, but all changed files on one line.
    private static func report(_ errors: [RemovalError]) {
        var changed: [RemovalError] = []
        for error in errors {
            if case .changed = error { changed.append(error) } else { ClipCommand.report(error) }
        }
        if let first = changed.first, changed.count == 1 {
            ClipCommand.report(first)
        } else if !changed.isEmpty {
            ClipCommand.report(
                """
                \(changed.count) images were not removed: they, or the images to keep, have \
                changed since they were indexed; run clip index again
                """)
        }
    }

    /// Rejects a file of `--log` that has content which `clip dedupe` has not written.
    ///
    /// - Throws: `Failure` with status 2 for such a file, or if the file cannot be read.
    static func check(log: FilePath) throws {
        do throws(RemovalError) {
            try RemovalLog.check(log)
        } catch {
            throw Failure("\(error)", status: 2)
        }
    }

    /// Moves back the files that a log lists, and reports those that cannot be restored.
    ///
    /// - Throws: `ExitCode` if a file was not restored; `RemovalError` if the log cannot be read.
    static func undo(_ log: FilePath, isQuiet: Bool) throws {
        let summary = try RemovalUndo(log: log).run()
        for error in summary.failures { ClipCommand.report(error) }
        for (path, kept) in summary.deleted {
            ClipCommand.report(
                "cannot put back \(path): it was deleted; the image it duplicates is \(kept)")
        }
        if let first = summary.damagedLines.first {
            let count = summary.damagedLines.count
            ClipCommand.report(
                """
                \(count) \(count == 1 ? "line" : "lines") of \(log) \(DedupeOutput.isOrAre(count)) \
                damaged, the first is line \(first); files that only damaged lines name are not \
                put back
                """)
        }
        if !isQuiet {
            note(
                """
                clip: dedupe: \(summary.restored.count) put back, \(summary.unchanged) already in \
                place, \(summary.failures.count + summary.deleted.count) not put back
                """)
        }
        let isDone =
            summary.failures.isEmpty && summary.deleted.isEmpty && summary.damagedLines.isEmpty
        if !isDone { throw ExitCode(1) }
    }
}
