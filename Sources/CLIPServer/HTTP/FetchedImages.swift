internal import CLIP
internal import CLIPHub

/// The image files of a request.
///
/// The bytes of downloaded files count against the limit of all requests while this value exists.
struct FetchedImages: ~Copyable {
    /// The bytes of the files, in the order of the request.
    let files: [[UInt8]]
    private let share: BodyBudget.Share

    init(files: [[UInt8]], share: consuming BodyBudget.Share) {
        self.files = files
        self.share = share
    }
}

/// Downloads the images that requests give by URL.
struct ImageFetcher: Sendable {
    /// Downloads a file of at most `limit` bytes; throws `PublicFile.Failure`.
    typealias Download =
        @Sendable (
            _ url: String, _ limit: Int, _ cancellation: CallThreads.Cancellation
        ) throws -> [UInt8]

    /// The bytes of all downloaded images in memory.
    private let budget: BodyBudget
    private let limit: Int
    private let download: Download
    private let threads = CallThreads(atMost: 8)

    /// Makes a downloader with the limits of a server: the images of a request may have together
    /// as many bytes as the body of a request.
    init(
        _ options: ServerOptions,
        download: @escaping Download = { url, limit, cancellation in
            try PublicFile(url: url).read(limit: limit) { cancellation.isCancelled }
        }
    ) {
        limit = options.bodyLimit
        budget = BodyBudget(limit: 4 * options.bodyLimit)
        self.download = download
    }

    /// Returns the files of images, in the order given; those with URLs are downloaded one after
    /// the other.
    ///
    /// - Parameter images: The images; the bytes of most are in the request.
    /// - Returns: The files.
    /// - Throws: `RequestError` with status 400 for a URL that cannot be downloaded, 413 for too
    ///   many bytes, 429 if those of all requests are too many; `CancellationError`;
    ///   `CLIPError.noThread`.
    func files(of images: [ImageReference]) async throws -> FetchedImages {
        var share = BodyBudget.Share(of: budget)
        var files: [[UInt8]] = []
        var total = 0
        for image in images {
            switch image {
            case .bytes(let bytes): files.append(bytes)
            case .url(let url):
                let file = try await file(at: url, limit: limit - total)
                total += file.count
                guard share.grow(to: total) else { throw RequestError.busy }
                files.append(file)
            }
        }
        return FetchedImages(files: files, share: share)
    }

    private func file(at url: String, limit: Int) async throws -> [UInt8] {
        do {
            return try await threads.run { [download] in try download(url, limit, $0) }
        } catch let failure as PublicFile.Failure {
            let shown = JSONBody.quoted(String(url.prefix { !"?#".contains($0) }))
            switch failure {
            case .cancelled: throw CancellationError()
            case .tooLarge:
                throw RequestError.tooLarge(
                    "the images that the request gives by URL have more than \(self.limit) bytes")
            case .noTransport:
                throw RequestError(
                    503, "no_transport", "the server lacks libcurl, which fetching URLs needs")
            case .failed(let reason):
                throw RequestError(
                    400, "unreachable_url", "the image at \(shown) cannot be fetched: \(reason)")
            }
        }
    }
}
