public import CLIP
internal import Synchronization
internal import Tensors

/// Brings the index of a folder up to date, or makes it.
///
/// Files are new or changed by their size and time; what was moved is recognised by its content and not
/// encoded again. Vectors are on the disk before the database speaks of them, and it changes all at once: an
/// index that was interrupted is one of fewer files.
public final class IndexUpdate {
    /// What became of the files.
    public struct Summary: Sendable {
        /// As they were when they were encoded.
        public var unchanged = 0
        /// New ones and changed ones.
        public var encoded = 0
        /// New paths of what was known.
        public var moved = 0
        /// Gone.
        public var deleted = 0
        /// What could not be read, now or before.
        public var failures: [(path: FilePath, reason: String)] = []
        /// Image files of formats that are not read.
        public var skipped = SkippedFormats()
    }

    private let folder: FilePath
    private let model: CLIPModel
    private let decoding: RGBImage.DecodingOptions
    private let place: FilePath
    private let database: IndexDatabase
    private let vectors: GrowingFile
    /// The vectors of the index that a rebuild replaces: nobody else may update it meanwhile.
    private let replaced: GrowingFile?
    /// Held by whoever changes anything below, so that `keep` may be called at any moment.
    private let gate = Mutex(())
    private var rows: Int
    /// Rows of files that are gone, the next to be written over at the end.
    private var free: [Int] = []
    private var generation: Int
    private var hasWrittenOver = false
    private var summary = Summary()
    private var waiting: [(file: IndexDatabase.File, id: Int?)] = []
    private var seen: [Int] = []
    private var lastCommit = ContinuousClock.now
    private var stopped: IndexError?
    /// From how many rows on a search gains by rounded vectors.
    var quantizingFrom = 16_384

    /// Opens the index of a folder for writing, or begins it.
    ///
    /// - Parameters:
    ///   - modelName: the name or absolute path under which the model is found again.
    ///   - isRebuild: whether to make the index anew; the old one is searched until `run` has ended, and an
    ///     interrupted rebuild with the same model is gone on with.
    /// - Throws: `IndexError.busy` if another process updates the index, `.otherModel`, `.unreadableFolder`,
    ///   `.unusable`.
    public init(
        folder: FilePath, model: CLIPModel, modelName: String, decoding: RGBImage.DecodingOptions,
        isRebuild: Bool = false
    ) throws(IndexError) {
        self.folder = folder
        self.model = model
        self.decoding = decoding
        try EmbeddingIndex.checkIsFolder(folder)
        let place = folder.appending(EmbeddingIndex.location)
        do throws(FileError) {
            try EmbeddingIndex.recover(in: folder)
            let isThere = (try? FileStatus(path: place.bytes)) != nil
            replaced = isRebuild && isThere ? try EmbeddingIndex.vectors(in: place) : nil
            self.place = replaced == nil ? place : EmbeddingIndex.newPlace(in: folder)
            try makeFolder(self.place.bytes)
            vectors = try EmbeddingIndex.vectors(in: self.place)
        } catch {
            throw error.isBusy
                ? .busy(folder: folder) : .unusable(folder: folder, reason: error.reason)
        }
        let record = ModelRecord(model, name: modelName)
        let identity = [  // the first that differs is the one that is said
            ("fingerprint", record.fingerprint),
            ("decoding", Self.description(of: decoding, model.preprocessor)),
            ("dimension", "\(record.dimension)"), ("precision", record.precision.rawValue),
            ("version", EmbeddingIndex.version),
        ]
        var other: (stored: String, given: String)?
        do throws(FileError) {
            let database = try IndexDatabase(
                path: self.place.appending("files.sqlite".utf8), isForWriting: true)
            self.database = database
            let isBegun = try database.fact("fingerprint") != nil
            if isBegun {
                other = try Self.difference(of: identity, record, from: database)
            }
            if !isBegun || other != nil && replaced != nil {
                // The files of an interrupted rebuild with another model.
                let rounded = self.place.appending("vectors.i8".utf8)
                if (try? FileStatus(path: rounded.bytes)) != nil { try removeFile(rounded.bytes) }
                try database.transaction { () throws(FileError) in
                    try database.clear()
                    for (name, value) in identity { try database.setFact(name, value) }
                    try database.setFact("rows", "0")
                }
                other = nil
            }
            if other == nil { try database.setModel(record) }
            rows = try database.fact("rows").flatMap { Int($0) } ?? 0
            guard vectors.count >= 4 * record.dimension * rows || other != nil else {
                throw FileError(
                    reason: "its vectors are cut off: \(EmbeddingIndex.rebuilding(folder))")
            }
            generation = try database.generation()
            if other == nil {
                // What lies behind was not spoken of.
                try vectors.truncate(to: 4 * record.dimension * rows)
                if try database.count() < rows * 3 / 4 { free = try database.freeRows(of: rows) }
            }
        } catch {
            throw .unusable(folder: folder, reason: error.reason)
        }
        if let other { throw .otherModel(folder: folder, stored: other.stored, given: other.given) }
    }

    /// Says how an index and what is to update it differ; nil if they do not.
    private static func difference(
        of identity: [(String, String)], _ record: ModelRecord, from database: IndexDatabase
    ) throws(FileError) -> (stored: String, given: String)? {
        for (name, value) in identity {
            let old = try database.fact(name) ?? "?"
            guard old != value else { continue }
            let stored = try database.modelRecord()
            guard name != "fingerprint", let stored else {
                let names = stored?.names(comparedTo: record)
                return (names?.own ?? "another model", names?.other ?? record.name)
            }
            return ("\(stored.name) with \(name) \(old)", "\(record.name) with \(name) \(value)")
        }
        return nil
    }

    /// How pictures become pixels.
    private static func description(
        of decoding: RGBImage.DecodingOptions, _ preprocessor: ImagePreprocessor
    ) -> String {
        """
        \(preprocessor.rules.rawValue), orientation \(decoding.appliesOrientation), 16 bits \
        \(decoding.scales16Bits), truncated \(decoding.allowsTruncated), smallest side \
        \(decoding.smallestSide ?? 0)
        """
    }

    /// A file that goes through the model.
    private final class Input: Sendable {
        let path: FilePath
        let id: Int?
        let status: FileStatus?
        /// Its content, if it was read to see whether it was moved.
        let bytes: [UInt8]?
        let known = Mutex(Known())

        struct Known {
            var digest: [UInt8]?
            var width = 0
            var height = 0
            var failure: String?
        }

        init(
            _ path: FilePath, id: Int? = nil, status: FileStatus? = nil, bytes: [UInt8]? = nil,
            failure: String? = nil
        ) {
            self.path = path
            self.id = id
            self.status = status
            self.bytes = bytes
            if let failure { known.withLock { $0.failure = failure } }
        }
    }

    /// Scans the folder, encodes new and changed images, and commits the result.
    ///
    /// - Parameter progress: called for every file that was looked at, with whether it was encoded.
    /// - Throws: `IndexError`, or `CLIPError.nonFiniteResult` if the weights make no number.
    public func run(progress: (_ isEncoded: Bool) -> Void = { _ in }) throws -> Summary {
        var walk = FolderWalk(folder)
        try model.encode(
            inputs: {
                while self.gate.withLock({ _ in self.stopped == nil }), let found = walk.next() {
                    if let input = self.gate.withLock({ _ in self.input(for: found) }) {
                        return input
                    }
                    progress(false)
                }
                return nil
            },
            picture: { input throws(CLIPError) in try self.picture(of: input) },
            receive: { input, result in
                self.gate.withLock { _ in self.take(input, result) }
                progress(true)
            })
        gate.withLock { _ in attempt { () throws(FileError) in try finish() } }
        attempt { () throws(FileError) in try quantize() }
        gate.withLock { _ in attempt { () throws(FileError) in try replace() } }
        if let stopped = gate.withLock({ _ in stopped }) { throw stopped }
        summary.skipped = walk.skipped
        return summary
    }

    /// Commits what has been done, of an update that is running; for a process that is about to end.
    ///
    /// It may be called by any thread at any moment. After it, `run` does no more.
    ///
    /// - Returns: the number of images that the index has.
    public func keep() -> Int {
        gate.withLock { _ in
            attempt { () throws(FileError) in try commit() }
            let count = (try? database.count()) ?? 0
            if stopped == nil {
                stopped = .unusable(folder: folder, reason: "the update was interrupted")
            }
            return count
        }
    }

    /// Forgets what is gone.
    private func finish() throws(FileError) {
        try commit()
        let database = database
        var deleted = 0
        try database.transaction { () throws(FileError) in
            deleted = try database.removeUnseen()
        }
        summary.deleted = deleted
        summary.failures = try database.failures().map {
            (folder.appending($0.path.bytes), $0.reason)
        }
    }

    /// Ends a rebuild: the new index takes the place of the old one.
    private func replace() throws(FileError) {
        guard replaced != nil else { return }
        // SQLite removes its log under the name that the log had, which is another one from here on.
        try database.mergeLog()
        try EmbeddingIndex.replace(in: folder)
    }

    /// Rounds the vectors once there are many, and again when there are many more.
    private func quantize() throws(FileError) {
        guard rows >= quantizingFrom, !EmbeddingIndex.isQuantized(rows, generation, place) else {
            return
        }
        let file = try MappedFile(path: vectors.path)
        guard
            let mapped = MappedVectors(
                file, dimension: model.configuration.embeddingDimension, count: rows)
        else { return }
        try QuantizedVectors.write(
            mapped, generation: generation, to: place.appending("vectors.i8".utf8).bytes,
            on: WorkspacePool(threads: model.threads))
    }

    /// Keeps why the database cannot be used, after which nothing more is done.
    private func attempt(_ body: () throws(FileError) -> Void) {
        guard stopped == nil else { return }
        do throws(FileError) {
            try body()
        } catch {
            stopped = .unusable(folder: folder, reason: error.reason)
        }
    }

    /// A file's path in the folder.
    private func relative(_ path: FilePath) -> FilePath {
        let prefix = folder.bytes.count + (folder.bytes.last == UInt8(ascii: "/") ? 0 : 1)
        return FilePath(path.bytes.dropFirst(prefix))
    }

    /// What is to be encoded, or nil if nothing is.
    private func input(for found: FolderWalk.Element) -> Input? {
        guard case .file(let full) = found else {
            // What cannot be listed is not known to be gone, but no file of it is there to be found.
            if case .unreadable(let path, let reason) = found {
                return Input(relative(path), failure: reason)
            }
            return nil
        }
        let path = relative(full)
        var result: Input?
        attempt { () throws(FileError) in
            let known = try database.file(at: path)
            guard let status = try? FileStatus(path: full.bytes) else {
                result = Input(path, id: known?.id, failure: "it has gone")
                return
            }
            if let known, known.file.size == status.size, known.file.modified == status.modified {
                if known.file.failure == nil { summary.unchanged += 1 }
                seen.append(known.id)
                if seen.count >= 1000 { try commit() }
                return
            }
            result = Input(path, id: known?.id, status: status)
            guard known == nil, try database.hasVector(ofSize: status.size),
                let bytes = try? full.contents()
            else { return }
            result = Input(path, status: status, bytes: bytes)
            let old = try database.files(of: sha256(bytes)).first {
                (try? FileStatus(path: folder.appending($0.file.path.bytes).bytes)) == nil
            }
            guard let (id, known) = old else { return }
            var file = known
            (file.path, file.size, file.modified) = (path, status.size, status.modified)
            waiting.append((file, id))
            // The next file of this content must not find it again.
            try commit()
            summary.moved += 1
            result = nil
        }
        return result
    }

    /// Reads and decodes; called by any thread.
    private func picture(of input: Input) throws(CLIPError) -> RGBImage {
        let full = folder.appending(input.path.bytes)
        if let failure = input.known.withLock({ $0.failure }) {
            throw .unreadableFile(path: full.description, reason: failure)
        }
        let bytes = if let bytes = input.bytes { bytes } else { try full.contents() }
        let digest = sha256(bytes)
        input.known.withLock { $0.digest = digest }
        let image = try RGBImage(decoding: bytes, path: full.description, options: decoding)
        input.known.withLock { ($0.width, $0.height) = (image.width, image.height) }
        return image
    }

    private func take(_ input: Input, _ result: Result<[Float], CLIPError>) {
        let known = input.known.withLock { $0 }
        var file = IndexDatabase.File(
            path: input.path, size: input.status?.size ?? -1, modified: input.status?.modified ?? 0,
            digest: known.digest, width: known.width, height: known.height)
        attempt { () throws(FileError) in
            switch result {
            case .success(let vector):
                let row = Embeddings(values: vector, dimension: vector.count).normalized().values
                if let place = free.popLast() {
                    try vectors.overwrite(littleEndianBytes(of: row), at: 4 * place * row.count)
                    file.row = place
                    hasWrittenOver = true
                } else {
                    try vectors.append(littleEndianBytes(of: row))
                    file.row = rows
                    rows += 1
                }
                summary.encoded += 1
            case .failure(let error): file.failure = "\(error)"
            }
            waiting.append((file, input.id))
            if waiting.count >= 1000 || ContinuousClock.now - lastCommit > .milliseconds(200) {
                try commit()
            }
        }
    }

    /// Makes everything so far last.
    private func commit() throws(FileError) {
        try vectors.synchronize()
        if hasWrittenOver { generation += 1 }
        hasWrittenOver = false
        let (database, waiting, seen, rows) = (database, waiting, seen, rows)
        let generation = generation
        try database.transaction { () throws(FileError) in
            for (file, id) in waiting { try database.set(file, id: id) }
            try database.markSeen(seen)
            try database.setFact("rows", "\(rows)")
            try database.setFact("generation", "\(generation)")
        }
        (self.waiting, self.seen, lastCommit) = ([], [], .now)
    }
}
