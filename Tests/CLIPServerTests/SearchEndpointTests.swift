import CLIP
import CLIPSearch
import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPServer

/// Tests searches, images and classifications with a small model.
@Suite struct SearchEndpointTests {
    private func services(
        _ indexes: [String], basePath: String = "",
        load: @escaping ModelPool.Loader = { name, _ in try CLIPModel(path: name, threads: 2) }
    ) throws -> Services {
        var options = ServerOptions()
        options.models = [IndexedFolder.modelPath]
        (options.indexes, options.basePath) = (indexes, basePath)
        let metrics = Metrics()
        let models = ModelPool(
            options: options, metrics: metrics,
            load: load, installed: { [] })
        return Services(
            options: options, models: models, indexes: try IndexPool(folders: indexes),
            metrics: metrics)
    }

    private func send(
        _ method: String, _ path: String, query: [(String, String)] = [],
        headers: [(String, String)] = [], body: JSONValue? = nil, to services: Services
    ) async throws -> ServerResponse {
        var request = ServerRequest(
            method: method, path: path, query: query.map { (name: $0.0, value: $0.1) },
            headers: headers.map { (name: $0.0, value: $0.1) })
        if let body {
            request.headers.append(("Content-Type", "application/json"))
            request.body = Array("\(body)".utf8)
        }
        let endpoints = SearchEndpoints.all + ImageEndpoints.all + ZeroShotEndpoints.all
        let endpoint = try #require(
            endpoints.first { $0.method == method && $0.matches(path) }, "\(method) \(path)")
        do {
            return try await endpoint.handle(request, services)
        } catch let error as RequestError {
            return error.response(endpoint.errors)
        }
    }

    private func results(_ response: ServerResponse) throws -> [JSONValue] {
        try #require(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        return try #require(JSONValue(parsing: response.body)["results"]?.array)
    }

    private func paths(_ results: [JSONValue]) -> [String] {
        results.compactMap { $0["path"]?.string }
    }

    @Test func textIsSearchedLikeTheCommandDoes() async throws {
        let folder = try IndexedFolder(images: 12)
        let services = try services([folder.path])
        let sum = try await SearchQuery.sum([
            (2, folder.model.encode(texts: ["a dog"]).normalized()[0]),
            (-1, folder.model.encode(texts: ["fruit"]).normalized()[0]),
        ])
        let query = try #require(sum)
        let expected = try FolderIndex(folder: folder.path).search(query, top: 5)
        let response = try await send(
            "GET", "/search", query: [("q", "2:a dog - fruit"), ("top", "5")], to: services)
        let found = try results(response)
        #expect(paths(found).map { "\(folder.path)/\($0)" } == expected.map(\.path))
        let shown = found.compactMap { $0["cosine"]?.number }.map { Float($0) }
        #expect(shown == expected.map(\.cosine))
        let reply = try JSONValue(parsing: response.body)
        #expect(reply["searched"]?.integer == 12 && reply["model"]?.string == "seeded")
        #expect(reply["query"]?.string == "2:a dog - fruit")
        #expect(found[0]["width"]?.integer == 40 && found[0]["height"]?.integer == 30)
        #expect(!String(decoding: response.body, as: UTF8.self).contains(folder.path))
    }

    @Test func addressesOfImagesHaveTheBasePath() async throws {
        let folder = try IndexedFolder(images: 1)
        let services = try services([folder.path], basePath: "/clip")
        let found = try results(await send("GET", "/search", query: [("q", "a")], to: services))
        let id = try #require(found.first?["id"]?.string)
        #expect(found[0]["original"]?.string == "/clip/image/0/\(id)")
        #expect(found[0]["thumbnail"]?.string == "/clip/image/0/\(id)?size=320")
    }

    @Test func imagesAndMoreLikeThisFindTheImage() async throws {
        let (a, b) = (try IndexedFolder(images: 5), try IndexedFolder(images: 8))
        let services = try services([a.path, b.path])
        let image = Base64.encode(IndexedFolder.image(6))
        let byImage = try results(
            await send(
                "POST", "/search",
                body: .object([
                    "terms": .array([.object(["image": .string(image)])]), "top": .integer(1),
                ]), to: services))
        #expect(paths(byImage) == ["6.png"] && byImage[0]["index"]?.integer == 1)
        let id = try #require(byImage[0]["id"]?.string)
        let like = try results(
            await send("GET", "/search", query: [("like", id), ("top", "1")], to: services))
        #expect(paths(like) == ["6.png"])
        #expect(abs((like[0]["cosine"]?.number ?? 0) - 1) < 1e-5)
        let inOther = try results(
            await send("GET", "/search", query: [("like", id), ("index", "0")], to: services))
        #expect(inOther.count == 5 && inOther.allSatisfy { $0["index"]?.integer == 0 })
        // Equal images of several indexes are in the order of the indexes.
        let both = try await send(
            "GET", "/search", query: [("like", "1/" + id), ("top", "13")], to: services)
        let cosines = try results(both).compactMap { $0["cosine"]?.number }
        #expect(cosines.count == 13 && cosines == cosines.sorted(by: >))
        let wrong = try await send("GET", "/search", query: [("like", "0/" + id)], to: services)
        #expect(wrong.status == 404)
    }

    @Test func termsThatCancelOutAreRefused() async throws {
        let folder = try IndexedFolder(images: 1)
        let services = try services([folder.path])
        let response = try await send("GET", "/search", query: [("q", "a - a")], to: services)
        #expect(response.status == 400)
        let none = try await send(
            "GET", "/search", query: [("q", "a"), ("threshold", "1")], to: services)
        #expect(try results(none).isEmpty)
        let noIndex = try await send("GET", "/search", query: [("q", "a")], to: self.services([]))
        #expect(noIndex.status == 404)
    }

    @Test func missingIndexIsLeftOutUnlessItIsNamed() async throws {
        let (a, b) = (try IndexedFolder(images: 2), try IndexedFolder(images: 2))
        let services = try services([a.path, b.path])
        try FileManager.default.removeItem(atPath: a.path + "/.clip-index")
        let all = try await send("GET", "/search", query: [("q", "a")], to: services)
        #expect(try results(all).count == 2)
        #expect(try JSONValue(parsing: all.body)["unavailable"] == .array([.integer(0)]))
        let one = try await send(
            "GET", "/search", query: [("q", "a"), ("index", "0")], to: services)
        #expect(one.status == 503)
        try FileManager.default.removeItem(atPath: b.path + "/.clip-index")
        #expect(try await send("GET", "/search", query: [("q", "a")], to: services).status == 503)
    }

    @Test func eachIndexIsSearchedWithItsOwnModel() async throws {
        let one = try IndexedFolder(images: 4)
        let other = try IndexedFolder(images: 6, model: IndexedFolder.otherModelPath)
        let services = try services([one.path, other.path])
        let found = try results(
            await send("GET", "/search", query: [("q", "a"), ("index", "0")], to: services))
        let id = try #require(found.first { $0["path"]?.string == "3.png" }?["id"]?.string)
        // The image is encoded again for the other model, whose index has the same image.
        for query in [[("like", "0/" + id), ("top", "2")], [("like", id), ("top", "2")]] {
            let like = try results(await send("GET", "/search", query: query, to: services))
            #expect(paths(like) == ["3.png", "3.png"])
            let numbers = like.compactMap { $0["index"]?.integer }
            #expect(numbers.contains(1))
            #expect(like.allSatisfy { abs(($0["cosine"]?.number ?? 0) - 1) < 1e-5 }, "\(like)")
        }
    }

    @Test func otherModelOfTheSameNameIsRefused() async throws {
        let folder = try IndexedFolder(images: 2)
        let services = try services([folder.path]) { _, _ in
            try CLIPModel(path: IndexedFolder.otherModelPath, threads: 2)
        }
        let image = Base64.encode(IndexedFolder.image(0))
        let body = JSONValue.object(["terms": .array([.object(["image": .string(image)])])])
        let response = try await send("POST", "/search", body: body, to: services)
        #expect(response.status == 503)
        #expect(try JSONValue(parsing: response.body)["error"]?["code"]?.string == "other_model")
    }

    // MARK: images

    @Test func originalsAndThumbnailsAreSent() async throws {
        let folder = try IndexedFolder()
        try folder.add("a.png", seed: 1)
        let photo = try bytes(ofFile: Fixtures.path("images/rgb.jpg"))
        try folder.write("b.png", photo)
        try folder.write("c.jpg", bytes(ofFile: Fixtures.path("images/rgb.webp")))
        try folder.update()
        let services = try services([folder.path])
        let found = try results(await send("GET", "/search", query: [("q", "a")], to: services))
        let types = ["a.png": "image/png", "b.png": "image/jpeg", "c.jpg": "image/webp"]
        for result in found {
            let path = try #require(result["path"]?.string)
            let address = try #require(result["original"]?.string)
            let original = try await send("GET", address, to: services)
            #expect(original.status == 200)
            #expect(original.body == (try bytes(ofFile: "\(folder.path)/\(path)")), "\(path)")
            #expect(original.headers.first?.value == types[path], "\(path)")
            for (name, value) in [
                ("X-Content-Type-Options", "nosniff"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Content-Security-Policy", "sandbox; default-src 'none'"),
            ] {
                #expect(original.headers.contains { $0.name == name && $0.value == value })
            }
            let tag = try #require(original.headers.first { $0.name == "ETag" }?.value)
            let again = try await send(
                "GET", address, headers: [("if-none-match", "\"x\", W/\(tag)")], to: services)
            #expect(again.status == 304 && again.body.isEmpty)
            let small = try await send("GET", address, query: [("size", "16")], to: services)
            #expect(small.status == 200 && small.headers.first?.value == "image/jpeg")
            let thumbnail = try RGBImage(decoding: small.body)
            #expect(max(thumbnail.width, thumbnail.height) == 16)
            let other = small.headers.first { $0.name == "ETag" }?.value
            #expect(other != tag)
            #expect(
                try await send("GET", address, query: [("size", "16")], to: services).body
                    == small.body)
            for size in ["15", "1025", "x", "-1", ""] {
                let response = try await send(
                    "GET", address, query: [("size", size)], to: services)
                #expect(response.status == 400, "\(size)")
            }
        }
    }

    @Test(arguments: [
        "/image/", "/image/0", "/image/0/", "/image/0/../../etc/passwd", "/image//etc/passwd",
        "/image/0/a.png", "/image/9/a.png", "/image/0/.clip-index/files.sqlite", "/image/-1/x",
    ]) func otherPathsAreNotFound(_ path: String) async throws {
        let folder = try IndexedFolder(images: 1)
        #expect(try await send("GET", path, to: services([folder.path])).status == 404)
    }

    @Test func imageBehindALinkIsNotFound() async throws {
        let folder = try IndexedFolder(images: 1)
        let services = try services([folder.path])
        let result = try results(await send("GET", "/search", query: [("q", "a")], to: services))[0]
        let address = try #require(result["original"]?.string)
        try folder.remove("0.png")
        try folder.link("0.png", to: "/etc/passwd")
        for query in [[], [("size", "64")]] {
            let response = try await send("GET", address, query: query, to: services)
            #expect(response.status == 404)
            #expect(!String(decoding: response.body, as: UTF8.self).contains(folder.path))
        }
    }

    @Test func entityTagsAreCompared() throws {
        let id = try #require(ImageID(String(repeating: "0", count: 64) + "-0123456789abcdef"))
        let tag = ImageEndpoints.tag(id, size: nil)
        func isKnown(_ values: String...) -> Bool {
            ServerRequest(
                method: "GET", path: "/", headers: values.map { ("if-None-Match", $0) }
            ).matches(tag: tag)
        }
        #expect(isKnown(tag) && isKnown("*") && isKnown("\"a\" , W/\(tag)"))
        #expect(isKnown("\"a\"", tag), "all headers count")
        #expect(!isKnown() && !isKnown("") && !isKnown("\"0\""))
        #expect(!isKnown(ImageEndpoints.tag(id, size: 64)))
    }

    @Test(
        arguments: [
            ([0xFF, 0xD8, 0xFF, 0xE0], "image/jpeg"), ([0xFF, 0xD8], "application/octet-stream"),
            (Array("RIFF1234WEBPVP8 ".utf8), "image/webp"),
            (Array("RIFF1234WAVE".utf8), "application/octet-stream"),
            (Array("GIF89a".utf8), "image/gif"),
            (Array("BM1234567890".utf8) + [54, 0, 40, 1, 0, 0], "application/octet-stream"),
            (Array("BM123456789012".utf8) + [40, 0, 0, 0], "image/bmp"),
            (Array("<html><script>".utf8), "application/octet-stream"),
            (Array("<svg>".utf8), "application/octet-stream"), ([], "application/octet-stream"),
        ] as [([UInt8], String)])
    func mediaTypeIsThatOfTheContent(_ bytes: [UInt8], expected: String) {
        #expect(ImageEndpoints.mediaType(of: bytes) == expected)
    }

    // MARK: zero-shot

    @Test func zeroShotHasTheNumbersOfTheLibrary() async throws {
        let services = try services([])
        let file = try bytes(ofFile: Fixtures.path("images/rgb.jpg"))
        let model = try CLIPModel(path: IndexedFolder.modelPath, threads: 2)
        let (labels, templates) = (["a cat", "a dog", "a man"], ["{}", "a photo of {}.", "my {}"])
        for names in [[], templates] {
            let expected = try await ZeroShotClassifier(
                model: model, labels: labels, templates: names.isEmpty ? ["{}"] : names
            ).classify(RGBImage(decoding: file), top: 2)
            var members: [JSONValue.Member] = [
                ("image", .string("data:image/jpeg;base64,\(Base64.encode(file))")),
                ("labels", .array(labels.map { .string($0) })), ("top", .integer(2)),
            ]
            if !names.isEmpty { members.append(("templates", .array(names.map { .string($0) }))) }
            // The second answer comes from the cache.
            for _ in 0..<2 {
                let response = try await send(
                    "POST", "/zeroshot", body: .object(members), to: services)
                let reply = try JSONValue(parsing: response.body)
                let found = try #require(reply["predictions"]?.array, "\(reply)")
                #expect(found.map { $0["label"]?.string } == expected.map(\.label))
                for (found, expected) in zip(found, expected) {
                    let numbers = ["probability", "logit", "cosine"].map {
                        found[$0]?.number.map { Float($0) }
                    }
                    #expect(numbers == [expected.probability, expected.logit, expected.cosine])
                }
            }
        }
    }

    @Test func cacheDropsTheLeastRecentlyUsed() {
        let cache = RecentCache<String, Int>(limit: 10)
        cache.store(1, for: "a", cost: 4)
        cache.store(2, for: "b", cost: 4)
        #expect(cache["a"] == 1)
        cache.store(3, for: "c", cost: 4)
        #expect(cache["a"] == 1 && cache["b"] == nil && cache["c"] == 3 && cache.cost == 8)
        cache.store(4, for: "d", cost: 11)
        #expect(cache["d"] == nil && cache.cost == 8)
        cache.store(5, for: "a", cost: 1)
        #expect(cache["a"] == 5 && cache.cost == 5)
        cache.store(6, for: "e", cost: 10)
        #expect(cache["e"] == 6 && cache["a"] == nil && cache.cost == 10)
    }
}
