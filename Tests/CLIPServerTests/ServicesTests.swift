import CLIP
import Files
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPServer

/// Tests the work of endpoints that all of them share: threads, and the facts for the access log.
@Suite struct ServicesTests {
    private func services(_ indexes: [String] = []) throws -> Services {
        var options = ServerOptions()
        (options.models, options.indexes) = ([IndexedFolder.modelPath], indexes)
        let metrics = Metrics()
        let models = ModelPool(
            options: options, metrics: metrics,
            load: { name, _ in try CLIPModel(path: name, threads: 2) }, installed: { [] })
        return Services(
            options: options, models: models, indexes: try IndexPool(folders: indexes),
            metrics: metrics)
    }

    private func send(
        _ path: String, _ request: ServerRequest, to services: Services
    ) async throws -> ServerResponse {
        let endpoint = try #require(
            Endpoints.all.first { $0.method == request.method && $0.matches(path) }, "\(path)")
        do {
            return try await endpoint.handle(request, services)
        } catch let error as RequestError {
            return error.response(endpoint.errors)
        }
    }

    private func post(
        _ path: String, _ body: JSONValue, to services: Services
    ) async throws -> ServerResponse {
        try await send(path, EndpointRequests.post("\(body)"), to: services)
    }

    private static let image = JSONValue.string(Base64.encode(IndexedFolder.image(1)))

    // MARK: threads

    @Test func onlyLargeWorkHasItsOwnThread() async throws {
        let services = try services()
        let isOnPool = { @Sendable in withUnsafeCurrentTask { $0 != nil } }
        #expect(try await services.offloaded(Services.largeSize, isOnPool))
        #expect(try await !services.offloaded(Services.largeSize + 1, isOnPool))
    }

    @Test func errorsOfLargeWorkAreThoseOfSmallWork() async throws {
        let services = try services()
        for size in [1, 1 << 30] {
            let error = await requestError {
                try await services.offloaded(size) { throw RequestError.busy }
            }
            #expect(error == .busy)
        }
    }

    @Test func largeRequestsAreAnsweredLikeSmallOnes() async throws {
        let services = try services()
        let filling = String(repeating: "x", count: 2 * Services.largeSize)
        let small = try await post("/embed", .object(["inputs": .string("a")]), to: services)
        let large = try await post(
            "/embed", .object(["inputs": .string("a"), "prompt_name": .string(filling)]),
            to: services)
        #expect(large.status == 200 && large.body == small.body)
        let broken = try await send(
            "/embed", EndpointRequests.post("{\"inputs\": \"\(filling)\""), to: services)
        #expect(broken.status == 400)
    }

    // MARK: the access log

    @Test func embeddingEndpointsSayTheirModelAndInputs() async throws {
        let services = try services()
        let texts = JSONValue.array([.string("a"), .string("b"), .string("a")])
        for (path, body, inputs) in [
            ("/v1/embeddings", .object(["input": texts]), 3),
            ("/embeddings", .object(["input": Self.image, "modality": .string("image")]), 1),
            ("/embed", .object(["inputs": texts]), 3), ("/", .object(["inputs": texts]), 3),
            ("/vectorize", .object(["texts": texts, "images": .array([Self.image])]), 4),
        ] as [(String, JSONValue, Int)] {
            let response = try await post(path, body, to: services)
            #expect(response.status == 200, "\(path): \(response.text)")
            #expect(response.work?.model == "seeded" && response.work?.inputs == inputs, "\(path)")
        }
        let entries = #"{"clip":{"textual":{"modelName":"seeded"}}}"#
        let form = EndpointRequests.form(["entries": entries, "text": "a dog"])
        let response = try await send("/predict", form, to: services)
        #expect(response.work?.model == "seeded" && response.work?.inputs == 1)
    }

    @Test func zeroShotCountsTheTextsThatItEncodes() async throws {
        let services = try services()
        let body = JSONValue.object([
            "image": Self.image, "labels": .array([.string("an axe"), .string("a bee")]),
            "templates": .array([.string("{}"), .string("my own {}"), .string("our {}")]),
        ])
        for inputs in [7, 1] {
            let response = try await post("/zeroshot", body, to: services)
            #expect(response.work?.model == "seeded" && response.work?.inputs == inputs)
        }
    }

    @Test func searchCountsTheTermsThatItEncodes() async throws {
        let folder = try IndexedFolder(images: 2)
        let services = try services([folder.path])
        let terms = JSONValue.array([
            .object(["text": .string("a")]), .object(["image": Self.image]),
        ])
        let response = try await post(
            "/search", .object(["q": .string("a dog"), "terms": terms]), to: services)
        #expect(response.work?.model == "seeded" && response.work?.inputs == 3)
        let results = try JSONValue(parsing: response.body)["results"]?.array
        let like = try #require(results?.first?["id"])
        let stored = try await post("/search", .object(["like": like]), to: services)
        #expect(stored.status == 200 && stored.work?.inputs == 0)
    }

    // MARK: single endpoints

    @Test func rootIsEmbedForPOSTAndThePageForGET() async throws {
        let services = try services()
        let body = JSONValue.object(["inputs": .string("a dog")])
        let (root, embed) = (
            try await post("/", body, to: services), try await post("/embed", body, to: services)
        )
        #expect(root.status == 200 && root.body == embed.body)
        let page = ServerRequest(method: "GET", path: "/", headers: [("Accept", "text/html")])
        let response = try await send("/", page, to: services)
        #expect(response.headers.first?.value == "text/html; charset=utf-8")
        let endpoint = Endpoints.all.first { $0.method == "POST" && $0.path == "/" }
        #expect(endpoint?.isOpen == false)
    }

    @Test func labelThatIsTooLongIsNamed() async throws {
        let services = try services()
        let long = "zebra " + String(repeating: "x y ", count: 200)
        var labels = (0..<300).map { "label \($0)" }
        labels[280] = long
        let response = try await post(
            "/zeroshot",
            .object([
                "image": Self.image, "labels": .array(labels.map { .string($0) }),
                "templates": .array([.string("{}"), .string("a photo of {}")]),
            ]), to: services)
        #expect(response.status == 400)
        let error = try JSONValue(parsing: response.body)["error"]
        #expect(error?["param"]?.string == "labels")
        #expect(error?["message"]?.string?.hasPrefix("the label \"zebra x y") == true)
    }

    @Test func descriptionNamesNoPath() async throws {
        let request = ServerRequest(method: "GET", path: "/openapi.json")
        let response = try await send("/openapi.json", request, to: services())
        #expect(response.status == 200 && response.text.contains("\"seeded\""))
        #expect(!response.text.contains(IndexedFolder.modelPath))
    }

    // MARK: installed models

    @Test func installedModelsAreReadOnceASecond() {
        let reads = Mutex(0)
        let models = InstalledModels {
            reads.withLock {
                $0 += 1
                return ["model \($0)"]
            }
        }
        let start = ContinuousClock.now
        #expect(models.names(now: start) == ["model 1"])
        #expect(models.names(now: start + .milliseconds(999)) == ["model 1"])
        #expect(models.names(now: start + .seconds(1)) == ["model 2"])
        #expect(models.names(now: start + .milliseconds(1999)) == ["model 2"])
    }
}
