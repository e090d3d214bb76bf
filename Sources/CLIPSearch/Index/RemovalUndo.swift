package import Files
internal import CLIP
internal import Tensors

/// Puts back the files that `DuplicateRemoval` moved, according to its log.
///
/// The undo may be run again: files that are back are left alone. If the log does not state the
/// outcome of an action, the files on the disk determine it.
package struct RemovalUndo {
    /// The outcome of putting files back.
    package struct Summary: Sendable {
        /// The files that were put back.
        package var restored: [FilePath] = []
        /// The number of files that needed no undo: they were never moved or deleted, or are
        /// already back.
        package var unchanged = 0
        /// The deleted files, each with the duplicate that was kept.
        package var deleted: [(path: FilePath, kept: FilePath)] = []
        /// The files that could not be put back.
        package var failures: [RemovalError] = []
        /// The 1-based numbers of damaged lines of the log.
        ///
        /// A file of a damaged line is put back only if another line names it.
        package var damagedLines: [Int] = []
    }

    private let path: FilePath

    /// Prepares to undo the moves of a log.
    package init(log path: FilePath) { self.path = path }

    private struct Key: Hashable {
        let from: FilePath
        let to: FilePath?
    }

    /// Puts back all files for which that is possible.
    ///
    /// - Throws: `RemovalError.unusableLog`.
    package func run() throws(RemovalError) -> Summary {
        // Only the last line about a file counts.
        var last: [Key: RemovalLog.Entry] = [:]
        var order: [Key] = []
        var summary = Summary()
        summary.damagedLines = try RemovalLog.read(path) { entry in
            let key = Key(from: entry.from, to: entry.to)
            if last.updateValue(entry, forKey: key) == nil { order.append(key) }
        }
        let log = try RemovalLog(unchecked: path)
        for case var entry? in order.map({ last[$0] }) {
            if entry.step == .failed || entry.step == .restored {
                summary.unchanged += 1
                continue
            }
            do throws(FileError) {
                let source = try Place(entry.from, in: entry.folder)
                guard let to = entry.to, let target = entry.target else {
                    if source.has(entry.digest) {
                        summary.unchanged += 1
                    } else {
                        summary.deleted.append((entry.from, entry.kept))
                    }
                    continue
                }
                guard try putBack(entry, source, Place(to, in: target)) else {
                    summary.unchanged += 1
                    continue
                }
            } catch {
                summary.failures.append(
                    .failed(path: entry.from, .putBack, reason: error.reason))
                continue
            }
            entry.step = .restored
            try log.append(entry)
            summary.restored.append(entry.from)
        }
        return summary
    }

    /// A path below a folder, both absolute.
    private struct Place {
        let path: FilePath
        let root: OpenFolder?
        let components: [[UInt8]]

        init(_ path: FilePath, in folder: FilePath) throws(FileError) {
            let prefix = folder.appending([]).bytes
            guard path.bytes.starts(with: prefix) else {
                throw FileError(reason: "the log names \(path), which is not inside \(folder)")
            }
            self.path = path
            components = try OpenFolder.components(of: Array(path.bytes.dropFirst(prefix.count)))
            root = try? OpenFolder(path: folder.bytes)
        }

        var file: OpenedFile? { root.flatMap { try? $0.file(components) } }

        /// True if a file, folder or link exists at the path.
        var isTaken: Bool {
            guard let name = components.last, let root,
                let parent = try? root.folder(components.dropLast())
            else { return false }
            return parent.contains(name)
        }

        func has(_ digest: [UInt8]) -> Bool {
            (try? file?.contents(limit: RGBImage.maximumFileSize)).map { sha256($0) == digest }
                ?? false
        }
    }

    /// Moves a file back; returns false if nothing needs to be done.
    private func putBack(
        _ entry: RemovalLog.Entry, _ source: Place, _ target: Place
    ) throws(FileError) -> Bool {
        guard let file = target.file else {
            if target.isTaken {
                throw FileError(reason: "\(target.path) is not a regular file")
            }
            if source.has(entry.digest) { return false }
            throw FileError(
                reason: "\(target.path) is gone; its duplicate \(entry.kept) was kept")
        }
        let contents = try file.contents(limit: RGBImage.maximumFileSize)
        let isMoved = sha256(contents) == entry.digest
        if source.isTaken {
            guard source.has(entry.digest) else {
                throw FileError(
                    reason: """
                        another file has the original path now; \(target.path) was not moved back
                        """)
            }
            // The process ended when the file was at both places, as a second name or a copy, which
            // is removed.
            guard entry.step == .intent, isMoved else { return false }
            try file.remove()
            return true
        }
        guard isMoved else {
            // The file at the target is another one, from before or later.
            throw FileError(
                reason: "\(target.path) has changed since it was moved, and stays there")
        }
        guard let root = source.root, let name = source.components.last else {
            throw FileError(reason: "the folder \(entry.folder) is gone")
        }
        let parent = try root.folder(source.components.dropLast(), isMade: true)
        try file.move(to: parent, name, contents: contents)
        return true
    }
}
