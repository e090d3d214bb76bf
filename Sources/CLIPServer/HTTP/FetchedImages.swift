internal import CLIP
internal import CLIPHub
internal import Synchronization

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
final class ImageFetcher: Sendable {
    /// Downloads a file of at most `limit` bytes; throws `PublicFile.Failure`.
    typealias Download =
        @Sendable (
            _ url: String, _ limit: Int, _ cancellation: CallThreads.Cancellation
        ) throws -> [UInt8]

    /// The bytes of all downloaded images in memory.
    private let budget: BodyBudget
    private let limit: Int
    private let download: Download
    /// The requests that download, or wait for it.
    private let requests = Mutex(0)
    private static let requestLimit = 64
    private let threads = CallThreads(atMost: 4)
    /// The time for all images of a request.
    private let longest: Duration

    /// Makes a downloader with the limits of a server.
    ///
    /// The images of a request may have together as many bytes as the body of a request, at most
    /// 64 MB. Four downloads run at once; their bytes count against the limit of all requests when
    /// they are complete.
    init(
        _ options: ServerOptions, longest: Duration = .seconds(30),
        download: @escaping Download = { url, limit, cancellation in
            try PublicFile(url: url).read(limit: limit) { cancellation.isCancelled }
        }
    ) {
        limit = min(options.bodyLimit, 64 << 20)
        budget = BodyBudget(limit: 4 * options.bodyLimit)
        self.longest = longest
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
        guard images.contains(where: \.isURL) else {
            return FetchedImages(files: images.compactMap(\.bytes), share: .init(of: budget))
        }
        let isAccepted = requests.withLock { count in
            guard count < Self.requestLimit else { return false }
            count += 1
            return true
        }
        guard isAccepted else { throw RequestError.busy }
        defer { requests.withLock { $0 -= 1 } }
        let end = ContinuousClock.now + longest
        var share = BodyBudget.Share(of: budget)
        var files: [[UInt8]] = []
        var total = 0
        for image in images {
            switch image {
            case .bytes(let bytes): files.append(bytes)
            case .url(let url, let parameter):
                guard ContinuousClock.now < end else {
                    throw Self.unreachable(parameter, "the images of the request took too long")
                }
                let file = try await file(at: url, parameter, limit: limit - total)
                total += file.count
                guard share.grow(to: total) else { throw RequestError.busy }
                files.append(file)
            }
        }
        return FetchedImages(files: files, share: share)
    }

    private func file(
        at url: String, _ parameter: String, limit: Int
    ) async throws -> [UInt8] {
        do {
            return try await threads.run { [download] in try download(url, limit, $0) }
        } catch let failure as PublicFile.Failure {
            switch failure {
            case .cancelled: throw CancellationError()
            case .tooLarge:
                throw RequestError.tooLarge(
                    """
                    \(parameter): the images that the request gives by URL are larger than \
                    \(self.limit) bytes in total
                    """, parameter: parameter)
            case .noTransport:
                throw RequestError(
                    503, "no_transport",
                    "fetching URLs needs libcurl, which is not installed on the server")
            case .failed(let reason): throw Self.unreachable(parameter, reason)
            }
        }
    }

    private static func unreachable(_ parameter: String, _ reason: String) -> RequestError {
        RequestError(
            400, "unreachable_url", "\(parameter): the URL cannot be fetched: \(reason)",
            parameter: parameter)
    }
}
