package import Files
public import CLIP
internal import Synchronization
package import Tensors

/// Brings the index of a folder up to date, or makes it.
///
/// Files are new or changed by their size and times; then their content decides. What was moved is
/// recognised by its content and not encoded again. Files that cannot be seen, because their folder
/// cannot be listed, are kept. Vectors are written to disk before the database refers to them, and
/// each commit is atomic. An interrupted update leaves a valid index of fewer files.
///
/// `@unchecked Sendable`: `keep` may be called by another thread than the one that runs the update;
/// both hold
/// `gate` while they use anything that changes.
public final class IndexUpdate: @unchecked Sendable {
    /// A file that could not be read.
    public struct Failure: Sendable, Hashable, Codable {
        /// The path as the folder's path, then that of the file in it. Bytes that are not UTF-8 become
        /// U+FFFD.
        public var path: String { file.description }
        /// The bytes of the path, which need not be UTF-8.
        public var pathBytes: [UInt8] { file.bytes }
        package let file: FilePath
        /// The reason, as one line of English.
        public let reason: String
        /// The limit of decoding that the image exceeds; nil for other reasons.
        public let exceededLimit: ImageLimit?
        /// False if an earlier update, which was not interrupted, recorded the same of the file.
        public let isNew: Bool

        private enum CodingKeys: String, CodingKey {
            case file = "path", reason, exceededLimit, isNew
        }
    }

    /// The outcome of an update.
    public struct Summary: Sendable, Hashable, Codable {
        /// The number of images that have not changed since they were encoded.
        public var unchanged = 0
        /// The number of new and changed images.
        public var encoded = 0
        /// The number of known images with new paths.
        public var moved = 0
        /// The number of images that are gone.
        public var deleted = 0
        /// All files that could not be read, now or before, by path.
        public var failures: [Failure] = []
        /// The links that lead nowhere now, the images behind which are kept: the folder's path,
        /// then that of the link in it.
        public var danglingLinks: [String] { dangling.map(\.description) }
        package var dangling: [FilePath] = []
        /// Image files in formats that are not supported.
        public var skipped = SkippedFormats()

        private enum CodingKeys: String, CodingKey {
            case unchanged, encoded, moved, deleted, failures, skipped
            case dangling = "danglingLinks"
        }
    }

    let folder: FilePath
    let model: CLIPModel
    let decoding: RGBImage.DecodingOptions
    /// True if every file is read and compared with its digest.
    let isVerifying: Bool
    let place: FilePath
    let database: IndexDatabase
    /// The vectors of the index that a rebuild replaces: nobody else may update it meanwhile.
    let replaced: GrowingFile?
    /// Held by whoever changes anything below, so that `keep` may be called at any moment.
    private let gate = Mutex(())
    var rows: RowWriter
    var summary = Summary()
    /// Files with changed entries, which the next commit writes.
    private var waiting: [(file: IndexDatabase.File, id: Int?)] = []
    private var seen: [Int] = []
    /// The ids of files in `waiting` that have new paths.
    var moved: Set<Int> = []
    /// Files that may have moved, by their content, the next at the end, as of the last commit.
    var movedCandidates: [[UInt8]: [(id: Int, file: IndexDatabase.File)]] = [:]
    /// The paths, in the folder, of failures that were not recorded before.
    private var newFailures: Set<FilePath> = []
    /// The folders that could not be listed, by their paths in the folder.
    var unlisted: [(path: FilePath, reason: String)] = []
    /// False if an update was interrupted, so that nobody has heard of the failures that it found.
    var lastUpdateHasEnded = true
    private var lastCommit = ContinuousClock.now
    private var stopped: IndexError?
    /// The least number of rows for which a search gains by rounded vectors.
    var quantizingFrom = 16_384

    /// Opens the index of a folder for writing, or begins it.
    ///
    /// - Parameters:
    ///   - modelName: The name or absolute path under which the model is found again.
    ///   - isRebuild: True to make the index anew; the old one is searched until `run` has ended,
    ///     and an interrupted rebuild with the same model is gone on with.
    ///   - isVerifying: True to compare the content of every file with what was indexed, and not
    ///     only of those whose size or times have changed, and to compare the index with its
    ///     checksums.
    /// - Throws: `IndexError`.
    package init(
        folder: FilePath, model: CLIPModel, modelName: String, decoding: RGBImage.DecodingOptions,
        isRebuild: Bool = false, isVerifying: Bool = false
    ) throws(IndexError) {
        self.folder = folder
        self.model = model
        self.decoding = decoding
        self.isVerifying = isVerifying
        try FolderIndex.checkIsFolder(folder)
        let record = ModelRecord(model, name: modelName)
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
    /// - Parameter progress: Called for every file that was looked at, with true if it was encoded.
    /// - Throws: `IndexError`; `.unreadableFolder` if the folder itself cannot be listed, and then
    ///   nothing is changed. `CLIPError.nonFiniteResult` if the weights produce NaN or infinity.
    public func run(progress: (_ isEncoded: Bool) -> Void = { _ in }) throws -> Summary {
        var walk = FolderWalk(folder)
        var summary = try run({ walk.next() }, progress: progress)
        summary.skipped = walk.skipped
        return summary
    }

    /// The same for files that `next` lists one after the other.
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

    /// Commits what has been done, of an update that is running; for a process that is about to end.
    ///
    /// It may be called by any thread at any moment. After it, `run` does no more.
    ///
    /// - Returns: the number of images that the index has.
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

    /// Forgets the files that are gone.
    private func finish() throws(FileError) {
        try commit()
        let database = database
        var deleted = 0
        try database.transaction { () throws(FileError) in
            deleted = try database.removeUnseen()
        }
        summary.deleted = deleted
        summary.failures = try database.failures(in: folder).map { path, full, reason, limit in
            Failure(
                file: full, reason: reason, exceededLimit: limit,
                isNew: !lastUpdateHasEnded || newFailures.contains(path))
        }
    }

    /// Seals the index; a rebuilt one then takes the place of the old one.
    private func close() throws(FileError) {
        // The next update takes this for the mark of an update that was not interrupted.
        let database = database
        try database.transaction { () throws(FileError) in
            try database.setFact("count", "\(try database.count())")
            try database.sealFacts()
        }
        guard replaced != nil else { return try database.seal(place) }
        // SQLite removes its log under the name that the log had, which is another one from here on.
        try database.mergeLog()
        try IndexSeal.write(place)
        try FolderIndex.replace(in: folder)
    }

    /// Rounds the vectors once there are many, and again when there are many more or the index is
    /// verified.
    ///
    /// It takes long and changes nothing that `keep` uses, so it does not hold the gate.
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

    /// Ends the update if something cannot be done, after which nothing more is done.
    func attempt(_ body: () throws(FileError) -> Void) {
        guard stopped == nil else { return }
        do throws(FileError) {
            try body()
        } catch {
            stopped = IndexError(error, folder: folder)
        }
    }

    /// Ends the update, after which nothing more is done.
    func stop(_ error: IndexError) {
        if stopped == nil { stopped = error }
    }

    /// Keeps a changed entry for the next commit.
    func set(_ file: IndexDatabase.File, id: Int?) throws(FileError) {
        waiting.append((file, id))
        if waiting.count >= 1000 || ContinuousClock.now - lastCommit > .milliseconds(200) {
            try commit()
        }
    }

    /// Marks entries whose files are there as they were.
    func markSeen(_ ids: [Int]) throws(FileError) {
        seen += ids
        if seen.count >= 1000 { try commit() }
    }

    func markNewFailure(of path: FilePath) { newFailures.insert(path) }

    /// Makes everything so far last.
    func commit() throws(FileError) {
        let (database, waiting, seen) = (database, waiting, seen)
        try rows.commit(to: database) { () throws(FileError) in
            for (file, id) in waiting { try database.set(file, id: id) }
            try database.markSeen(seen)
        }
        (self.waiting, self.seen, lastCommit) = ([], [], .now)
        // These are in the database now, and marked as seen there.
        moved.removeAll(keepingCapacity: true)
        movedCandidates.removeAll(keepingCapacity: true)
    }
}
