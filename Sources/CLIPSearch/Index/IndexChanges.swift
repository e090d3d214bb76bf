package import Files

/// The changes of an indexed folder that call for an update of its index.
///
/// Each update adds its folders to `watch` before it lists them, so that no later change is missed.
/// Changes made by other machines on a network file system are not seen.
package final class IndexChanges {
    /// The watches of all folders that the index covers.
    package let watch: FolderWatch
    private let folder: FilePath
    private var rules = FolderRules()
    private var period = QuietPeriod()
    /// The time of the next update without a change; nil for none.
    private var next: ContinuousClock.Instant?

    /// The time between updates where not all folders can be watched.
    package static let interval = Duration.seconds(300)

    /// Creates an object that watches no folder before the first update.
    ///
    /// - Parameter folder: The indexed folder.
    /// - Throws: `FileError` if the system has no inotify, or too many users of it.
    package init(folder: FilePath) throws(FileError) {
        self.folder = folder
        watch = try FolderWatch()
    }

    /// Prepares for an update, which adds its folders to `watch`.
    ///
    /// - Parameter rules: The rules of the update for skipped files.
    package func begin(rules: FolderRules) {
        self.rules = rules
        watch.begin()
    }

    /// Stops watching folders that the update did not find.
    package func end() {
        watch.removeOthers()
        next = watch.isLimitReached ? .now + Self.interval : nil
    }

    /// Demands another update after a time, even without a change.
    package func retry(after time: Duration) { next = .now + time }

    /// Waits until an update is due.
    ///
    /// - Throws: `FileError` if the system cannot tell the changes.
    package func wait() throws(FileError) {
        while true {
            let due = [period.due, next].compactMap(\.self).min()
            if let due, due <= .now { break }
            for event in try watch.events(until: due) { take(event) }
        }
        period.reset()
        next = nil
    }

    private func take(_ event: FolderEvent) {
        guard isRelevant(event) else { return }
        let now = ContinuousClock.now
        guard !event.isFolder, event.kind != .overflow else {
            period.change(at: now)
            if event.kind == .created || event.kind == .arrived { addFolders(from: event.path) }
            return
        }
        switch event.kind {
        case .created where !isComplete(event.path), .written:
            period.write(to: event.path, at: now)
        default:
            period.close(event.path, at: now)
        }
    }

    /// Returns false for changes that cannot change the index, such as those of the index itself.
    private func isRelevant(_ event: FolderEvent) -> Bool {
        guard event.kind != .overflow, event.path != folder else { return true }
        let name = Array(event.path.lastComponent)
        // Such a file adds or removes a whole folder.
        if name == Array(FolderWalk.ignoreFile.utf8) { return true }
        guard !isSkipped(event.path, name, isFolder: event.isFolder) else { return false }
        if event.isFolder || FolderWalk.imageExtensions.contains(event.path.pathExtension) {
            return true
        }
        // It may be a link to a folder.
        return event.kind == .gone ? watch.contains(event.path) : isLink(event.path)
    }

    /// Returns true if the rules skip an entry of a watched folder.
    private func isSkipped(_ path: FilePath, _ name: [UInt8], isFolder: Bool) -> Bool {
        let relative = FilePath(path.bytes.dropFirst(folder.appending([]).bytes.count))
        return rules.skips(name: name) || rules.excludes(relative, isFolder: isFolder)
    }

    private func isLink(_ path: FilePath) -> Bool {
        (try? FileStatus(path: path.bytes, followingLinks: false))?.isLink ?? false
    }

    /// Returns true for a new entry that nobody writes to: a symbolic link, or another name of a
    /// file.
    private func isComplete(_ path: FilePath) -> Bool {
        guard let status = try? FileStatus(path: path.bytes, followingLinks: false) else {
            return true
        }
        return !status.isRegular || status.nameCount > 1
    }

    /// Watches a new folder and the folders in it before the next update, so that files that are
    /// still being written there delay the update.
    private func addFolders(from path: FilePath) {
        var waiting = [path]
        while let path = waiting.popLast() {
            watch.add(path)
            for entry in (try? folderEntries(path.bytes)) ?? [] where entry.isFolder == true {
                let child = path.appending(entry.name)
                if !isSkipped(child, entry.name, isFolder: true) { waiting.append(child) }
            }
        }
    }
}
