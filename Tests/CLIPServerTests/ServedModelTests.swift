import CLIP
import Files
import TestSupport
import Testing

@testable import CLIPServer

@Suite struct ServedModelTests {
    private static let names = [
        "rgb.jpg", "grey.png", "orientation-6.jpg", "wide.png", "tall.png", "small.png",
        "grey.jpg", "square.png", "line.png", "rgb-interlaced.png", "rgb-progressive.jpg",
    ]

    private static func image(_ name: String) throws -> [UInt8] {
        let file = try MappedFile(path: Fixtures.path("images/\(name)"))
        return Array(file.bytes(0..<file.count))
    }

    private static func served(
        _ name: String, threads: Int? = nil, _ change: (inout ServerOptions) -> Void = { _ in }
    ) throws -> ServedModel {
        var options = ServerOptions()
        change(&options)
        let model = try CLIPModel(path: Fixtures.path("models/\(name)"), threads: threads)
        return ServedModel(name: name, model: model, options: options)
    }

    @Test(arguments: ["seeded", "siglip2-naflex", "siglip", "resnet"])
    func imagesOfConcurrentRequestsGetTheVectorsOfEachImageAlone(_ name: String) async throws {
        let served = try Self.served(name, threads: 2)
        let expected = try Self.names.map { name in
            let image = try RGBImage(decoding: Self.image(name))
            return (
                size: [image.width, image.height],
                vector: try served.model.encode(image: image, normalized: true)
            )
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for request in 0..<30 {
                group.addTask {
                    // Requests of one to three images.
                    let places = (0...(request % 3)).map { (request + 5 * $0) % Self.names.count }
                    let images = try places.map { try Self.image(Self.names[$0]) }
                    let found = try await served.embeddings(ofImages: images)
                    #expect(found.map(\.vector) == places.map { expected[$0].vector })
                    #expect(
                        found.map { [$0.width, $0.height] } == places.map { expected[$0].size })
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: ["seeded", "siglip-tokenizer"])
    func textsOfConcurrentRequestsGetTheVectorsOfEachTextAlone(_ name: String) async throws {
        let served = try Self.served(name, threads: 2)
        let texts = (0..<40).map { number in
            let parts = ["a", "cat", "a dog", "on the beach", "", "photo of a"]
            return (0..<(number % 4)).map { parts[(number + $0) % 6] }.joined(separator: " ")
        }
        let expected = try texts.map {
            try served.model.encode(text: $0, truncating: true, normalized: true)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for request in 0..<40 {
                group.addTask {
                    let places = (0...(request % 5)).map { (request + 7 * $0) % texts.count }
                    let found = try await served.embeddings(
                        ofTexts: places.map { texts[$0] }, truncating: true)
                    #expect(found.vectors == places.map { expected[$0] })
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func vectorsAreUnnormalisedIfAskedFor() async throws {
        let served = try Self.served("seeded")
        let text = try await served.embeddings(
            ofTexts: ["a cat"], truncating: false, normalized: false)
        #expect(text.vectors == [try served.model.encode(text: "a cat")])
        #expect(text.tokenCount == (try served.model.tokenizer.tokenize("a cat").count))
        let bytes = try Self.image("rgb.jpg")
        let image = try await served.embeddings(ofImages: [bytes], normalized: false)
        #expect(image[0].vector == (try served.model.encode(image: RGBImage(decoding: bytes))))
    }

    @Test func emptyListsHaveNoVectors() async throws {
        let served = try Self.served("seeded")
        #expect(try await served.embeddings(ofTexts: [], truncating: false).vectors.isEmpty)
        #expect(try await served.embeddings(ofImages: []).isEmpty)
    }

    @Test func tooLongTextIsRejectedWithItsIndex() async throws {
        let served = try Self.served("seeded")
        let long = String(repeating: "a ", count: 500)
        let error = await requestError {
            _ = try await served.embeddings(ofTexts: ["a", long], truncating: false)
        }
        let limit = served.model.configuration.text.contextLength
        #expect(error?.status == 400)
        #expect(
            error?.message == """
                the text at index 1 has 502 tokens, but the model takes at most \(limit)
                """)
        #expect(served.waitingTexts == 0)
        let found = try await served.embeddings(ofTexts: [long], truncating: true)
        #expect(found.tokenCount == limit)
    }

    @Test func hugeTextIsRejectedBeforeItIsTokenized() async throws {
        let served = try Self.served("seeded")
        let huge = String(repeating: "a", count: ServedModel.largestText + 1)
        let error = await requestError {
            _ = try await served.embeddings(ofTexts: [huge], truncating: true)
        }
        #expect(error?.status == 413)
    }

    @Test func unreadableImagesAreRejectedWithTheFirstIndex() async throws {
        let served = try Self.served("seeded")
        let good = try Self.image("rgb.jpg")
        let cases: [([[UInt8]], String)] = [
            (
                [good, Array("hello".utf8), []],
                "cannot read the image at index 1: it is not an image of a supported format"
            ), ([[]], "cannot read the image at index 0: the file is empty"),
            (
                [good, good, Array(good.prefix(good.count / 2))],
                "cannot read the image at index 2: the file ends before the image does"
            ),
        ]
        for (images, message) in cases {
            let error = await requestError { _ = try await served.embeddings(ofImages: images) }
            #expect(error == .invalid(message))
        }
        #expect(served.waitingImages == 0)
    }

    @Test func imageWithTooManyPixelsIsTooLarge() async throws {
        let served = try Self.served("seeded") { $0.maximumPixels = 10 }
        let bytes = try Self.image("rgb.jpg")
        let error = await requestError { _ = try await served.embeddings(ofImages: [bytes]) }
        #expect(error?.status == 413)
        #expect(error?.message.hasPrefix("the image at index 0 has ") == true)
    }

    @Test func requestBeyondTheQueueIsEncodedInPieces() async throws {
        let served = try Self.served("seeded") { $0.queueLimit = 2 }
        let texts = ["a", "b", "a cat", "a dog", "c"]
        let found = try await served.embeddings(ofTexts: texts, truncating: false)
        #expect(
            try found.vectors == texts.map { try served.model.encode(text: $0, normalized: true) })
        #expect(
            try found.tokenCount
                == texts.reduce(0) { try $0 + served.model.tokenizer.tokenize($1).count })
        let good = try Self.image("rgb.jpg")
        let images = try await served.embeddings(ofImages: [good, good, good])
        #expect(images.count == 3 && images[2].vector == images[0].vector)
        let error = await requestError {
            _ = try await served.embeddings(ofImages: [good, good, good, []])
        }
        #expect(error == .invalid("cannot read the image at index 3: the file is empty"))
        #expect(served.waitingTexts == 0 && served.waitingImages == 0)
    }

    @Test func placesForImagesAreBoundedByTheirSize() {
        #expect(ServedModel.imagePlaces(1024, resolution: 224) == 1024)
        #expect(ServedModel.imagePlaces(1024, resolution: 384) == 578)
        #expect(ServedModel.imagePlaces(10, resolution: 384) == 10)
        #expect(ServedModel.imagePlaces(1024, resolution: 50_000) == 1)
        #expect(ServedModel.imagePlaces(0, resolution: 0) == 1)
    }

    @Test func missingTokenizerIsReportedWithoutItsPath() async throws {
        let served = try Self.served("siglip2-naflex")
        let error = await requestError {
            _ = try await served.embeddings(ofTexts: ["a"], truncating: false)
        }
        #expect(error?.status == 503 && error?.message.contains("/") == false)
    }

    @Test func cancelledRequestsLeaveNothingInTheQueue() async throws {
        let served = try Self.served("seeded")
        let bytes = try Self.image("rgb.jpg")
        for _ in 0..<20 {
            let task = Task {
                try await served.embeddings(ofImages: Array(repeating: bytes, count: 8))
            }
            task.cancel()
            _ = await task.result
        }
        #expect(served.waitingImages == 0)
        #expect(try await served.embeddings(ofImages: [bytes]).count == 1)
    }

    @Test(arguments: ["seeded", "siglip2-naflex", "siglip", "resnet"])
    func warmingChangesNoVector(_ name: String) async throws {
        let metrics = Metrics()
        let model = try CLIPModel(path: Fixtures.path("models/\(name)"))
        let served = ServedModel(name: name, model: model, metrics: metrics)
        try await served.warm()
        #expect(served.waitingTexts == 0 && served.waitingImages == 0)
        #expect(metrics.text().contains("clip_inference_seconds_count 0\n"))
        let bytes = try Self.image("rgb.jpg")
        let expected = try model.encode(image: RGBImage(decoding: bytes), normalized: true)
        #expect(try await served.embeddings(ofImages: [bytes])[0].vector == expected)
    }

    @Test func closedModelRefusesRequests() async throws {
        let served = try Self.served("seeded")
        served.close()
        let error = await requestError {
            _ = try await served.embeddings(ofTexts: ["a"], truncating: false)
        }
        #expect(error?.status == 503)
    }
}
