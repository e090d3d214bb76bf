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
    }

    private let folder: FilePath
    private let model: CLIPModel
    private let decoding: RGBImage.DecodingOptions
    private let database: IndexDatabase
    private let vectors: GrowingFile
    private var rows: Int
    private var summary = Summary()
    private var waiting: [(file: IndexDatabase.File, id: Int?)] = []
    private var seen: [Int] = []
    private var lastCommit = ContinuousClock.now
    private var stopped: IndexError?

    /// - Parameters:
    ///   - modelName: under which the model is found again.
    /// - Throws: `IndexError.busy` if another process updates the index, `.otherModel`, `.unusable`.
    public init(
        folder: FilePath, model: CLIPModel, modelName: String, decoding: RGBImage.DecodingOptions
    ) throws(IndexError) {
        self.folder = folder
        self.model = model
        self.decoding = decoding
        let place = folder.appending(EmbeddingIndex.location)
        let dimension = model.configuration.embeddingDimension
        do throws(FileError) {
            guard try FileStatus(path: folder.bytes).isFolder else {
                throw FileError(reason: "it is no folder")
            }
            try makeFolder(place.bytes)
            // Whoever has the vectors is the one that writes.
            vectors = try GrowingFile(
                path: place.appending("vectors.f32".utf8).bytes, isAlwaysWhole: true)
        } catch {
            throw error.isBusy
                ? .busy(folder: folder) : .unusable(folder: folder, reason: error.reason)
        }
        let identity = [
            "version": EmbeddingIndex.version, "fingerprint": model.fingerprint,
            "precision": model.precision.rawValue, "dimension": "\(dimension)",
            "decoding": Self.description(of: decoding, model.preprocessor),
        ]
        do {
            let database = try IndexDatabase(
                path: place.appending("files.sqlite".utf8), isForWriting: true)
            self.database = database
            if try database.fact("fingerprint") != nil {
                let others = try identity.sorted { $0.key < $1.key }.filter {
                    try database.fact($0.key) != $0.value
                }
                if let (name, value) = others.first(where: { $0.key == "fingerprint" })
                    ?? others.first
                {
                    let isModel = name == "fingerprint"
                    let old = try database.fact(name) ?? "?"
                    let stored = try database.fact("model") ?? "?"
                    throw OtherModel(
                        stored: isModel ? stored : "\(stored) with \(name) \(old)",
                        given: isModel ? modelName : "\(modelName) with \(name) \(value)")
                }
            } else {
                try database.transaction { () throws(SQLite.Failure) in
                    for (name, value) in identity { try database.setFact(name, value) }
                    try database.setFact("model", modelName)
                    try database.setFact("rows", "0")
                }
            }
            rows = try database.fact("rows").flatMap { Int($0) } ?? 0
        } catch let other as OtherModel {
            throw .otherModel(folder: folder, stored: other.stored, given: other.given)
        } catch {
            let reason = (error as? SQLite.Failure)?.reason ?? "\(error)"
            throw .unusable(folder: folder, reason: reason)
        }
        do throws(FileError) {
            guard vectors.count >= 4 * dimension * rows else {
                throw FileError(reason: "its vectors are cut off: remove \(place) and make it anew")
            }
            try vectors.truncate(to: 4 * dimension * rows)  // what was not spoken of
        } catch {
            throw .unusable(folder: folder, reason: error.reason)
        }
    }

    /// What the index was made with, where it is not what is given.
    private struct OtherModel: Error {
        let stored: String
        let given: String
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
        let known = Mutex(Known())

        struct Known {
            var digest: [UInt8]?
            var width = 0
            var height = 0
            var failure: String?
        }

        init(_ path: FilePath, id: Int? = nil, status: FileStatus? = nil, failure: String? = nil) {
            self.path = path
            self.id = id
            self.status = status
            if let failure { known.withLock { $0.failure = failure } }
        }
    }

    /// Does it.
    ///
    /// - Parameter progress: called for every file that was looked at, with what it was.
    /// - Throws: `IndexError`, or `CLIPError.nonFiniteResult` if the weights make no number.
    public func run(progress: (_ isEncoded: Bool) -> Void = { _ in }) throws -> Summary {
        var walk = FolderWalk(folder)
        try model.encode(
            inputs: {
                while self.stopped == nil, let found = walk.next() {
                    if let input = self.input(for: found) { return input }
                    progress(false)
                }
                return nil
            },
            picture: { input throws(CLIPError) in try self.picture(of: input) },
            receive: { input, result in
                self.take(input, result)
                progress(true)
            })
        attempt { () throws(SQLite.Failure) in
            try commit()
            let database = database
            var deleted = 0
            try database.transaction { () throws(SQLite.Failure) in
                deleted = try database.removeUnseen()
            }
            summary.deleted = deleted
            summary.failures = try database.failures().map {
                (folder.appending($0.path.bytes), $0.reason)
            }
        }
        if let stopped { throw stopped }
        return summary
    }

    /// Keeps why the database cannot be used, after which nothing more is done.
    private func attempt(_ body: () throws(SQLite.Failure) -> Void) {
        guard stopped == nil else { return }
        do throws(SQLite.Failure) {
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
        attempt { () throws(SQLite.Failure) in
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
                let bytes = try? readFile(path: full.bytes, limit: 1 << 30)
            else { return }
            let digest = sha256(bytes)
            let old = try database.files(of: digest).first {
                (try? FileStatus(path: folder.appending($0.file.path.bytes).bytes)) == nil
            }
            guard var (id, file) = old else { return }
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
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try readFile(path: full.bytes, limit: 1 << 30)
        } catch {
            throw .unreadableFile(path: full.description, reason: error.reason)
        }
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
        attempt { () throws(SQLite.Failure) in
            switch result {
            case .success(let vector):
                let row = Embeddings(values: vector, dimension: vector.count).normalized().values
                do throws(FileError) {
                    try vectors.append(row)
                } catch {
                    throw SQLite.Failure(reason: error.reason, isBusy: false)
                }
                file.row = rows
                rows += 1
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
    private func commit() throws(SQLite.Failure) {
        do throws(FileError) {
            try vectors.synchronize()
        } catch {
            throw SQLite.Failure(reason: error.reason, isBusy: false)
        }
        let (database, waiting, seen, rows) = (database, waiting, seen, rows)
        try database.transaction { () throws(SQLite.Failure) in
            for (file, id) in waiting { try database.set(file, id: id) }
            try database.markSeen(seen)
            try database.setFact("rows", "\(rows)")
        }
        (self.waiting, self.seen, lastCommit) = ([], [], .now)
    }
}
