import CLIP
import CLIPHub
import Files
import Synchronization
import Testing

@testable import CLIPServer

/// Tests the fetching of images that requests give by URL.
@Suite struct ImageFetcherTests {
    private static let url = "https://example.com/a.png?secret"

    /// Returns the error of fetching images.
    private func error(
        _ fetcher: ImageFetcher, _ images: [ImageReference] = [.url(Self.url)]
    ) async -> RequestError? {
        do {
            _ = try await fetcher.files(of: images)
            return nil
        } catch {
            return error as? RequestError
        }
    }

    @Test func filesKeepTheirOrder() async throws {
        let fetcher = ImageFetcher(ServerOptions()) { url, _, _ in Array(url.suffix(1).utf8) }
        let images = [ImageReference.url("http://a/1"), .bytes([7]), .url("http://a/2")]
        let fetched = try await fetcher.files(of: images)
        #expect(fetched.files == [Array("1".utf8), [7], Array("2".utf8)])
    }

    @Test func filesOfARequestShareTheLimit() async throws {
        var options = ServerOptions()
        options.bodyLimit = 100
        let limits = Mutex<[Int]>([])
        let fetcher = ImageFetcher(options) { _, limit, _ in
            limits.withLock { $0.append(limit) }
            guard limit >= 60 else { throw PublicFile.Failure.tooLarge }
            return [UInt8](repeating: 1, count: 60)
        }
        let error = await error(fetcher, [.url(Self.url), .url(Self.url)])
        #expect(error?.status == 413)
        #expect(limits.withLock { $0 } == [100, 40])
    }

    @Test func memoryOfAllDownloadsIsLimited() async throws {
        var options = ServerOptions()
        options.bodyLimit = 1 << 20
        let fetcher = ImageFetcher(options) { _, _, _ in [UInt8](repeating: 1, count: 1 << 20) }
        let images = [ImageReference](repeating: .url(Self.url), count: 4)
        func whileOthersAreHeld() async throws {
            let held = try await fetcher.files(of: images)
            #expect(await error(fetcher) == .busy)
            #expect(held.files.count == 4)
        }
        try await whileOthersAreHeld()
        #expect(await error(fetcher) == nil)
    }

    @Test func failuresBecomeErrorsWithoutTheQuery() async throws {
        let reasons: [(PublicFile.Failure, Int, String)] = [
            (.failed("status 404"), 400, "\"https://example.com/a.png\" cannot be fetched: status"),
            (.tooLarge, 413, "more than"), (.noTransport, 503, "libcurl"),
        ]
        for (failure, status, text) in reasons {
            let error = await error(ImageFetcher(ServerOptions()) { _, _, _ in throw failure })
            #expect(error?.status == status)
            #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
            #expect(error?.message.contains("secret") == false)
        }
        let cancelled = ImageFetcher(ServerOptions()) { _, _, _ in
            throw PublicFile.Failure.cancelled
        }
        await #expect(throws: CancellationError.self) {
            _ = try await cancelled.files(of: [.url(Self.url)])
        }
    }

    @Test func endpointsFetchImages() async throws {
        let bytes = IndexedFolder.image(1)
        var options = ServerOptions()
        options.models = [IndexedFolder.modelPath]
        options.allowsURLs = true
        let metrics = Metrics()
        let services = Services(
            options: options,
            models: ModelPool(
                options: options, metrics: metrics,
                load: { name, _ in try CLIPModel(path: name, threads: 2) }, installed: { [] }),
            indexes: try IndexPool(folders: []), metrics: metrics,
            images: ImageFetcher(options) { url, _, _ in
                #expect(url == Self.url)
                return bytes
            })
        let endpoint = try #require(Endpoints.all.first { $0.path == "/v1/embeddings" })
        func vectors(_ image: String) async throws -> [String] {
            let request = EndpointRequests.post(
                "{\"modality\": \"image\", \"input\": \"\(image)\"}")
            let response = try await endpoint.handle(request, services)
            let body = try JSONValue(parsing: response.body)
            return try #require(body["data"]?.array).map { "\($0)" }
        }
        let given = try await vectors(Base64.encode(bytes))
        #expect(given.count == 1)
        #expect(try await vectors(Self.url) == given)
    }
}
