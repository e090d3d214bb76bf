package import Files
public import CLIP
internal import Synchronization
internal import Tensors

/// Brings the index of a folder up to date, or creates it.
///
/// ```swift
/// let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32")
/// let summary = try update.run()
/// print(summary.encoded, summary.failures.map(\.path))
/// ```
///
/// A file whose size or times have changed is read, and encoded if its content has changed. A moved
/// file is recognised by its content and not encoded again. Entries of files in a folder that
/// cannot be listed are kept. Vectors are on the disk before the database refers to them, and each
/// commit is atomic: an interrupted update leaves the valid index of its last commit.
///
/// `@unchecked Sendable`: another thread may call `keep` during `run`. Both hold `gate` while they
/// use mutable state.
public final class IndexUpdate: @unchecked Sendable {
    /// A file that could not be read.
    public struct Failure: Sendable, Hashable, Codable {
        /// The path of the folder, followed by the path of the file in it.
        ///
        /// Bytes that are not UTF-8 become U+FFFD.
        public var path: String { file.description }
        /// The bytes of the path, which need not be UTF-8.
        public var pathBytes: [UInt8] { file.bytes }
        package let file: FilePath
        /// The reason, as one line of English.
        public let reason: String
        /// The limit of decoding that the image exceeds; nil for other reasons.
        public let exceededLimit: ImageLimit?
        /// False if an earlier, uninterrupted update recorded the same failure of the file; always
        /// false in the result of `FolderIndex.failures()`.
        public let isNew: Bool

        private enum CodingKeys: String, CodingKey {
            case file = "path", reason, exceededLimit, isNew
        }
    }

    /// The outcome of an update.
    public struct Summary: Sendable, Hashable, Codable {
        /// The number of images that have not changed since they were encoded.
        public var unchanged = 0
        /// The number of new and changed images that were encoded.
        public var encoded = 0
        /// The number of images that were found at new paths and not encoded again.
        public var moved = 0
        /// The number of files that were removed from the index, because the update did not find
        /// them.
        public var deleted = 0
        /// All files that cannot be read, including those of earlier updates, ordered by path.
        public var failures: [Failure] = []
        /// The paths of dangling links, whose images stay in the index.
        public var danglingLinks: [String] { dangling.map(\.description) }
        package var dangling: [FilePath] = []
        /// The number of files that were removed from the index because of the rules for skipped
        /// files; they are also counted in `deleted`.
        package var excluded = 0
        /// The numbers of files in unsupported image formats.
        public var skipped = SkippedFormats()

        private enum CodingKeys: String, CodingKey {
            case unchanged, encoded, moved, deleted, failures, skipped
            case dangling = "danglingLinks"
        }
    }

    let folder: FilePath
    let model: CLIPModel
    let decoding: RGBImage.DecodingOptions
    /// True if every file is read, and the index is compared with its checksums.
    let isVerifying: Bool
    /// The rules that decide which files are skipped.
    package let rules: FolderRules
    let place: FilePath
    let database: IndexDatabase
    /// The vector file of the index that a rebuild replaces, whose lock excludes other updates; nil
    /// if no index is replaced.
    let replaced: GrowingFile?
    /// The lock of all mutable state below, so that `keep` may be called at any moment.
    private let gate = Mutex(())
    var rows: RowWriter
    var summary = Summary()
    /// The changed entries, which the next commit writes.
    private var waiting: [(file: IndexDatabase.File, id: Int?)] = []
    private var seen: [Int] = []
    /// The ids of files in `waiting` that have new paths.
    var moved: Set<Int> = []
    /// The entries whose files may have moved, by digest, as of the last commit; the next candidate
    /// is last.
    var movedCandidates: [[UInt8]: [(id: Int, file: IndexDatabase.File)]] = [:]
    /// The relative paths of failures that were not recorded before.
    private var newFailures: Set<FilePath> = []
    /// The relative paths of the folders and links whose contents could not be listed, and why.
    var unlisted: [(path: FilePath, reason: String)] = []
    /// False if there was no update before, or if the last one was interrupted, so that its
    /// failures were not reported.
    var lastUpdateHasEnded = true
    private var lastCommit = ContinuousClock.now
    private var stopped: IndexError?
    /// The least number of rows for which quantised vectors are stored too, for faster searches.
    var quantizingFrom = RowWriter.quantizingFrom

    /// Opens the index of a folder for writing, or creates it.
    ///
    /// - Parameters:
    ///   - folder: The path of the folder.
    ///   - model: The model that encodes the images.
    ///   - modelName: The name or absolute path from which the model can be loaded again.
    ///   - decoding: The limits and options of decoding.
    ///   - isRebuild: True to make a new index. Searches use the old one until `run` has ended. An
    ///     interrupted rebuild with the same model is continued.
    ///   - isVerifying: True to read every file and compare its digest, even if its size and times
    ///     are unchanged, and to compare the index with its checksums.
    ///   - rules: The rules for skipped files that differ from those of the last update.
    /// - Throws: `IndexError`.
    package init(
        folder: FilePath, model: CLIPModel, modelName: String, decoding: RGBImage.DecodingOptions,
        isRebuild: Bool = false, isVerifying: Bool = false,
        rules: FolderRuleChanges = FolderRuleChanges()
    ) throws(IndexError) {
        self.folder = folder
        self.model = model
        self.decoding = decoding
        self.isVerifying = isVerifying
        try FolderIndex.checkIsFolder(folder)
        let record = ModelRecord(model, name: modelName)
        self.rules = rules.applied(to: FolderIndex.rules(in: folder))
        do throws(FileError) {
            try FolderIndex.recover(in: folder)
            try FolderIndex.checkLink(in: folder)
            let place = FolderIndex.mainPlace(in: folder)
            let isThere = (try? FileStatus(path: place.bytes)) != nil
            replaced = isRebuild && isThere ? try RowWriter.lock(place) : nil
            if replaced == nil {
                self.place = place
                try makeFolder(place.bytes)
            } else {
                self.place = FolderIndex.newPlace(in: folder)
                try FolderIndex.prepareRebuild(in: folder)
            }
            rows = RowWriter(
                try RowWriter.lock(self.place), in: self.place, dimension: record.dimension)
            if replaced != nil { try Self.emptyIfDamaged(self.place, &rows) }
            database = try IndexDatabase(
                path: self.place.appending("files.sqlite".utf8), isForWriting: true)
        } catch {
            throw IndexError(error, folder: folder)
        }
        let other: IndexError?
        do throws(FileError) {
            other = try begin(with: record)
        } catch {
            throw IndexError(error, folder: folder)
        }
        if let other { throw other }
    }

    /// Scans the folder, encodes new and changed images, and commits the result.
    ///
    /// - Parameter progress: Called for each file; `isEncoded` is true for a file that was to be
    ///   decoded and encoded, even if that failed, and false for one that was skipped because it is
    ///   unchanged or moved.
    /// - Returns: The numbers of images, and the failures.
    /// - Throws: `IndexError`; `.unreadableFolder` if the folder itself cannot be listed, and then
    ///   nothing is changed. `CLIPError.nonFiniteResult` if the weights produce NaN or infinity.
    public func run(progress: (_ isEncoded: Bool) -> Void = { _ in }) throws -> Summary {
        try run(willList: { _ in }, progress: progress)
    }

    /// Updates the index as `run(progress:)` does.
    ///
    /// - Parameters:
    ///   - willList: Called with the path of each folder before it is listed, on any thread.
    ///   - progress: Called for each file.
    /// - Returns: The numbers of images, and the failures.
    /// - Throws: `IndexError`, or `CLIPError.nonFiniteResult`.
    package func run(
        willList: @escaping @Sendable (FilePath) -> Void, progress: (_ isEncoded: Bool) -> Void
    ) throws -> Summary {
        var walk = FolderWalk(folder, rules: rules)
        walk.willList = willList
        var summary = try run({ walk.next() }, progress: progress)
        summary.skipped = walk.skipped
        return summary
    }

    /// Updates the index from the files that `next` returns one after the other.
    func run(
        _ next: () -> FolderWalk.Element?, progress: (_ isEncoded: Bool) -> Void = { _ in }
    ) throws -> Summary {
        try withoutActuallyEscaping(next) { next in
            try withoutActuallyEscaping(progress) { progress in try encode(next, progress) }
        }
        gate.withLock { _ in attempt { () throws(FileError) in try finish() } }
        quantize()
        gate.withLock { _ in
            checkRebuild()
            attempt { () throws(FileError) in try close() }
        }
        if let stopped = gate.withLock({ _ in stopped }) { throw stopped }
        return summary
    }

    private func encode(
        _ next: @escaping () -> FolderWalk.Element?,
        _ progress: @escaping (_ isEncoded: Bool) -> Void
    ) throws {
        let inputs = AnyIterator<Input> {
            while self.gate.withLock({ _ in self.stopped == nil }), let found = next() {
                if let input = self.gate.withLock({ _ in self.input(for: found) }) {
                    return input
                }
                progress(false)
            }
            return nil
        }
        let (folder, decoding) = (folder, decoding)
        for encoded in model.encodings(
            of: IteratorSequence(inputs), decode: { $0.decoded(in: folder, decoding) })
        {
            if case .failure(let error) = encoded.embedding, error.isOfWeights { throw error }
            let goesOn = gate.withLock { _ in
                take(encoded)
                return stopped == nil
            }
            guard goesOn else { break }
            progress(true)
        }
    }

    /// Commits the results so far and ends a running update, for a process that is about to end.
    ///
    /// Any thread may call it at any moment. A `run` in progress then stops and throws an error.
    ///
    /// - Returns: The number of images in the index.
    public func keep() -> Int {
        gate.withLock { _ in
            attempt { () throws(FileError) in
                try commit()
                try database.seal(place)
            }
            let count = (try? database.count()) ?? 0
            if stopped == nil {
                stopped = .unusable(
                    folder: folder.description, reason: "the update was interrupted")
            }
            return count
        }
    }

    /// Commits, removes the entries of files that the update did not find, and completes the
    /// summary.
    private func finish() throws(FileError) {
        try commit()
        let database = database
        var removed: [IndexDatabase.Removed] = []
        try database.transaction { () throws(FileError) in
            removed = try database.removeUnseen()
        }
        summary.deleted = removed.count { $0.wasRead }
        summary.excluded = removed.count { $0.wasRead && rules.skipsFile(at: $0.path) }
        summary.failures = try database.failures(in: folder).map { path, full, reason, limit in
            Failure(
                file: full, reason: reason, exceededLimit: limit,
                isNew: !lastUpdateHasEnded || newFailures.contains(path))
        }
    }

    /// Marks the update as complete and writes the seal (`IndexSeal`); a rebuilt index then
    /// replaces the old one.
    private func close() throws(FileError) {
        // To the next update, this shows that the last one was not interrupted.
        let database = database
        try database.transaction { () throws(FileError) in
            try database.setFact("count", "\(try database.count())")
            try database.sealFacts()
        }
        guard replaced != nil else { return try database.seal(place) }
        // Before the folder is renamed: SQLite removes its log under the name that it had.
        try database.mergeLog()
        try IndexSeal.write(place)
        try FolderIndex.replace(in: folder)
    }

    /// Quantises the vectors once there are many, and again when there are many more or the index
    /// is verified.
    ///
    /// The gate is not held, because quantising takes long and changes nothing that `keep` uses.
    private func quantize() {
        let (isStopped, rounding) = gate.withLock { _ in (stopped != nil, rows.rounding) }
        guard !isStopped, rounding.rows >= quantizingFrom,
            isVerifying || !rounding.isUpToDate(for: IndexDatabase.self)
        else { return }
        do throws(FileError) {
            try rounding.write(threads: model.threads)
        } catch {
            gate.withLock { _ in stop(IndexError(error, folder: folder)) }
        }
    }

    /// Runs a step, unless the update has ended; an error ends the update.
    func attempt(_ body: () throws(FileError) -> Void) {
        guard stopped == nil else { return }
        do throws(FileError) {
            try body()
        } catch {
            stopped = IndexError(error, folder: folder)
        }
    }

    /// Ends the update with an error; later steps do nothing.
    func stop(_ error: IndexError) {
        if stopped == nil { stopped = error }
    }

    /// Adds a changed entry to the next commit.
    func set(_ file: IndexDatabase.File, id: Int?) throws(FileError) {
        waiting.append((file, id))
        if waiting.count >= 1000 || ContinuousClock.now - lastCommit > .milliseconds(200) {
            try commit()
        }
    }

    /// Marks entries to keep, whose files were found unchanged or may still exist.
    func markSeen(_ ids: [Int]) throws(FileError) {
        seen += ids
        if seen.count >= 1000 { try commit() }
    }

    func markNewFailure(of path: FilePath) { newFailures.insert(path) }

    /// Commits all changes so far.
    func commit() throws(FileError) {
        let (database, waiting, seen) = (database, waiting, seen)
        try rows.commit(to: database) { () throws(FileError) in
            for (file, id) in waiting { try database.set(file, id: id) }
            try database.markSeen(seen)
        }
        (self.waiting, self.seen, lastCommit) = ([], [], .now)
        // The database has these entries now, marked as seen.
        moved.removeAll(keepingCapacity: true)
        movedCandidates.removeAll(keepingCapacity: true)
    }
}
