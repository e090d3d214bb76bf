import CLIP
import CLIPSearch
import Files

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

extension Index {
    /// Updates the index, then again after each burst of changes, until a signal ends the process.
    ///
    /// - Throws: `Failure` if the system cannot watch folders; the errors of an update, except that
    ///   a later one is tried again if another process is updating the index.
    func updateContinuously(_ folder: FilePath) throws {
        guard FolderWatch.isSupported else {
            throw Failure("unsupported: --watch needs inotify, which only Linux has")
        }
        Interruption.prepare(isService: true)
        let changes = try watching(folder) { () throws(FileError) in
            try IndexChanges(folder: folder)
        }
        let model = try loadModel(folder)
        _ = try update(folder, with: model, changes)
        noteWatches(of: folder, changes)
        var isLimited = changes.watch.isLimitReached
        while true {
            try watching(folder) { () throws(FileError) in try changes.wait() }
            do {
                _ = try update(folder, with: model, changes, isFirst: false)
            } catch IndexError.busy {
                changes.retry(after: .seconds(30))
            }
            if changes.watch.isLimitReached && !isLimited { warnOfLimit(folder) }
            isLimited = changes.watch.isLimitReached
        }
    }

    private func watching<Result>(
        _ folder: FilePath, _ body: () throws(FileError) -> Result
    ) throws -> Result {
        do throws(FileError) {
            return try body()
        } catch {
            let advice =
                error.code == EMFILE
                ? "; raise the limit of fs.inotify.max_user_instances (sysctl)" : ""
            throw Failure("cannot watch \(folder): \(error.reason)\(advice)")
        }
    }

    private func noteWatches(of folder: FilePath, _ changes: IndexChanges) {
        guard !changes.watch.isLimitReached else { return warnOfLimit(folder) }
        guard !common.quiet else { return }
        note(
            """
            clip: index: watching \(counted(changes.watch.count, "folder")) for changes (Ctrl-C \
            stops)
            """)
    }

    private func warnOfLimit(_ folder: FilePath) {
        let minutes = Int(IndexChanges.interval / .seconds(60))
        note(
            """
            clip: warning: cannot watch all folders of \(folder): the limit \
            fs.inotify.max_user_watches is reached; the index is updated every \(minutes) minutes \
            as well. To raise the limit: sysctl fs.inotify.max_user_watches=524288
            """)
    }
}
