internal import CLIP
internal import CLIPSearch
internal import Files
internal import Synchronization

/// An index of a server, which is opened again when an update has changed its files.
final class ServedIndex: Sendable {
    /// The place in `ServerOptions.indexes`, from 0.
    let number: Int
    /// The last component of the folder's path.
    let name: String

    private struct State {
        var index: FolderIndex
        /// The states of the files before `index` was opened.
        var files: FolderIndex.FileStates?
        /// True while a thread opens the index again.
        var isOpening = false
        /// The states of the files when they could last not be opened, and the time of the attempt.
        var failed: (files: FolderIndex.FileStates, time: ContinuousClock.Instant)?
        var failures = 0
        /// The model whose fingerprint was last found to be the one of the index.
        weak var model: ServedModel?
    }

    private let folder: FilePath
    private let threads: Int?
    private let report: @Sendable (String) -> Void
    private let state: Mutex<State>

    /// The time after which an index that could not be opened is tried again.
    private static let pause = Duration.seconds(1)

    /// Opens an index; see `IndexPool`.
    init(
        number: Int, folder: String, threads: Int? = nil,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(IndexError) {
        (self.number, self.threads, self.report) = (number, threads, report)
        self.folder = FilePath(folder)
        let path =
            if let real = try? realPath(self.folder.bytes) { FilePath(real) } else { self.folder }
        name = String(decoding: path.lastComponent, as: UTF8.self)
        let files = FolderIndex.fileStates(in: self.folder)
        let index = try FolderIndex(folder: self.folder, threads: threads)
        state = Mutex(State(index: index, files: files))
    }

    /// The index as it was last opened, for metrics; its files may have changed or be gone.
    var lastOpened: FolderIndex { state.withLock { $0.index } }

    /// The number of times that the changed files could not be opened.
    var failures: Int { state.withLock { $0.failures } }

    /// The name of the index for messages, which has no path of the server.
    var title: String { "index \(number) (\(name))" }

    /// Returns the index in its current state.
    ///
    /// Reads the status of three files. If they have changed, the calling thread opens the index
    /// again, and other threads use the old one meanwhile. An index that cannot be opened stays as
    /// it was.
    ///
    /// - Throws: `RequestError` with status 503 if the folder has no index any more.
    func current() throws(RequestError) -> FolderIndex {
        guard let files = FolderIndex.fileStates(in: folder) else {
            throw RequestError(
                503, "index_unavailable", "\(title) is missing: its files were moved or removed",
                parameter: "index")
        }
        let (old, isChanged) = state.withLock { state -> (FolderIndex, Bool) in
            guard state.files != files, !state.isOpening else { return (state.index, false) }
            if let failed = state.failed, failed.files == files,
                failed.time.duration(to: .now) < Self.pause
            {
                return (state.index, false)
            }
            state.isOpening = true
            return (state.index, true)
        }
        guard isChanged else { return old }
        do throws(IndexError) {
            let new = try FolderIndex(folder: folder, threads: threads)
            state.withLock { state in
                state.isOpening = false
                (state.index, state.files, state.failed) = (new, files, nil)
                state.model = nil
            }
            return new
        } catch {
            let isNew = state.withLock { state in
                defer { state.failed = (files, .now) }
                state.isOpening = false
                state.failures += 1
                return state.failed?.files != files
            }
            if isNew {
                report("cannot open the changed \(title), the old one is searched: \(error)")
            }
            return old
        }
    }

    /// Throws unless a model makes vectors that are comparable with those of the index.
    ///
    /// - Parameters:
    ///   - model: The served model.
    ///   - index: The index that `current()` returned.
    /// - Throws: `RequestError` with status 503.
    func check(_ model: ServedModel, for index: FolderIndex) throws(RequestError) {
        if state.withLock({ $0.model === model }) { return }
        let record = index.model
        guard model.record.isComparable(to: record) else {
            throw RequestError(
                503, "other_model",
                """
                \(title) was made with another model than the server has under the same name, or \
                with other options
                """)
        }
        state.withLock { state in
            if state.index.model == record { state.model = model }
        }
    }

    /// Returns an image of the index, and the index that has it.
    ///
    /// - Throws: `RequestError` with status 404 if the index has no such image, 503 if it cannot be
    ///   read.
    func item(_ id: ImageID) throws(RequestError) -> (index: FolderIndex, item: FolderIndex.Item) {
        let index = try current()
        do {
            let items = try index.items(ofDigest: id.digest)
            if let item = items.first(where: { ImageID($0) == id }) { return (index, item) }
        } catch {
            throw unavailable(error)
        }
        throw IndexPool.unknownImage
    }

    /// Returns the bytes of the file of an image, if it is still the file that was indexed.
    ///
    /// - Throws: `RequestError` with status 404 if the file is missing or was changed.
    func contents(
        of item: FolderIndex.Item, in index: FolderIndex
    ) throws(RequestError) -> [UInt8] {
        if let bytes = try? index.contents(of: item) { return bytes }
        throw RequestError(
            404, "image_changed",
            """
            the file of the image was changed, moved or removed since it was indexed, or a \
            symbolic link leads to it
            """)
    }

    /// Returns the images most similar to a vector, best first.
    ///
    /// - Throws: `RequestError` with status 400 for an invalid vector, 503 if the index is damaged.
    func nearest(
        _ top: Int, to vector: [Float], threshold: Float, in index: FolderIndex
    ) throws(RequestError) -> [(item: FolderIndex.Item, cosine: Float)] {
        do {
            return try index.nearestItems(to: vector, top: top, threshold: threshold)
        } catch {
            if case .invalidVector(let reason) = error {
                throw .invalid("the query has no usable vector: \(reason)")
            }
            throw unavailable(error)
        }
    }

    /// Returns the response to an error of the index, without the paths in the error.
    private func unavailable(_ error: IndexError) -> RequestError {
        let reason =
            switch error {
            case .damaged: "it is damaged"
            case .busy: "another process is updating it"
            default: "it cannot be read"
            }
        return RequestError(
            503, "index_unavailable", "\(title) cannot be used: \(reason)", parameter: "index")
    }
}
