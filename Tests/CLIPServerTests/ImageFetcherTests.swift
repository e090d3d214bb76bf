import CLIP
import CLIPHub
import Files
import Foundation
import Synchronization
import Testing

@testable import CLIPServer

/// Tests the fetching of images that requests give by URL.
@Suite struct ImageFetcherTests {
    private static let url = "https://example.com/a.png?secret"
    private static let image = ImageReference.url(url, parameter: "input[1]")

    /// Returns the error of fetching images.
    private func error(
        _ fetcher: ImageFetcher, _ images: [ImageReference] = [Self.image]
    ) async -> RequestError? {
        do {
            _ = try await fetcher.files(of: images)
            return nil
        } catch {
            return error as? RequestError
        }
    }

    @Test func filesKeepTheirOrder() async throws {
        let fetcher = ImageFetcher(ServerOptions(), longest: .seconds(600)) { url, _, _ in
            Array(url.suffix(1).utf8)
        }
        let images = [
            ImageReference.url("http://a/1", parameter: "a"), .bytes([7]),
            .url("http://a/2", parameter: "b"),
        ]
        let fetched = try await fetcher.files(of: images)
        #expect(fetched.files == [Array("1".utf8), [7], Array("2".utf8)])
    }

    @Test func filesOfARequestShareTheLimit() async throws {
        var options = ServerOptions()
        options.bodyLimit = 100
        let limits = Mutex<[Int]>([])
        let fetcher = ImageFetcher(options, longest: .seconds(600)) { _, limit, _ in
            limits.withLock { $0.append(limit) }
            guard limit >= 60 else { throw PublicFile.Failure.tooLarge }
            return [UInt8](repeating: 1, count: 60)
        }
        let error = await error(fetcher, [Self.image, Self.image])
        #expect(error?.status == 413)
        #expect(limits.withLock { $0 } == [100, 40])
    }

    @Test func memoryOfAllDownloadsIsLimited() async throws {
        var options = ServerOptions()
        options.bodyLimit = 1 << 20
        let fetcher = ImageFetcher(options, longest: .seconds(600)) { _, _, _ in
            [UInt8](repeating: 1, count: 1 << 20)
        }
        let images = [ImageReference](repeating: Self.image, count: 4)
        func whileOthersAreHeld() async throws {
            let held = try await fetcher.files(of: images)
            #expect(await error(fetcher) == .busy)
            #expect(held.files.count == 4)
        }
        try await whileOthersAreHeld()
        #expect(await error(fetcher) == nil)
    }

    @Test func imagesOfARequestShareTheTime() async throws {
        let fetcher = ImageFetcher(ServerOptions(), longest: .zero) { _, _, _ in [1] }
        let error = await error(fetcher)
        #expect(error?.code == "unreachable_url" && error?.parameter == "input[1]")
    }

    @Test func fewRequestsWait() async throws {
        let gate = Mutex(true)
        let fetcher = ImageFetcher(ServerOptions(), longest: .seconds(600)) { _, _, cancellation in
            while gate.withLock(\.self), !cancellation.isCancelled { usleep(1000) }
            return [1]
        }
        let refused = try await withThrowingTaskGroup { group in
            for _ in 0..<70 { group.addTask { await self.error(fetcher) } }
            var refused: [RequestError?] = []
            for _ in 0..<6 { refused.append(try await group.next() ?? nil) }
            gate.withLock { $0 = false }
            for try await error in group { #expect(error == nil) }
            return refused
        }
        #expect(refused == [RequestError?](repeating: .busy, count: 6))
    }

    @Test func failuresBecomeErrorsWithoutTheQuery() async throws {
        let reasons: [(PublicFile.Failure, Int, String)] = [
            (.failed("status 404"), 400, "input[1]: the URL cannot be fetched: status 404"),
            (.tooLarge, 413, "larger than"), (.noTransport, 503, "libcurl"),
        ]
        for (failure, status, text) in reasons {
            let error = await error(
                ImageFetcher(ServerOptions(), longest: .seconds(600)) { _, _, _ in throw failure })
            #expect(error?.status == status)
            #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
            #expect(error?.message.contains("secret") == false)
        }
        let cancelled = ImageFetcher(ServerOptions(), longest: .seconds(600)) { _, _, _ in
            throw PublicFile.Failure.cancelled
        }
        await #expect(throws: CancellationError.self) {
            _ = try await cancelled.files(of: [Self.image])
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
            images: ImageFetcher(options, longest: .seconds(600)) { url, _, _ in
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
