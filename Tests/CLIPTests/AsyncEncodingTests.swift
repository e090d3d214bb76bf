import Dispatch
import TestSupport
import Testing

@testable import CLIP

/// Tests the asynchronous forms of encoding and classification.
@Suite struct AsyncEncodingTests {
    private static func model() throws -> CLIPModel {
        try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
    }

    private static func images(_ count: Int) throws -> [RGBImage] {
        try (0..<count).map { seed in
            try RGBImage(
                width: 8, height: 8,
                pixels: (0..<192).map { UInt8(truncatingIfNeeded: ($0 + 1) * (seed * 37 + 11)) })
        }
    }

    private static func texts(_ count: Int) -> [String] {
        (0..<count).map { "a photo of \($0 * 7919 % 1000) cats" }
    }

    // The synchronous forms, which overload resolution would not choose in an asynchronous
    // function.
    private static func embeddings(
        _ model: CLIPModel, _ images: [RGBImage]
    ) throws -> Embeddings { try model.encode(images: images) }
    private static func embeddings(
        _ model: CLIPModel, _ texts: [String]
    ) throws -> Embeddings { try model.encode(texts: texts) }

    // MARK: results

    @Test(arguments: [0, 1, 5, 2000]) func imagesHaveTheSameEmbeddings(count: Int) async throws {
        let model = try Self.model()
        // More than one batch, of few distinct images.
        let distinct = try Self.images(min(count, 20))
        let images = (0..<count).map { distinct[$0 % 20] }
        let expected = try Self.embeddings(model, images)
        #expect(try await model.encode(images: images) == expected)
    }

    @Test(arguments: [0, 1, 5, 1500]) func textsHaveTheSameEmbeddings(count: Int) async throws {
        let model = try Self.model()
        let texts = Self.texts(count)
        let expected = try Self.embeddings(model, texts)
        #expect(try await model.encode(texts: texts) == expected)
        let tokens = try texts.map { try model.tokenizer.tokenize($0) }
        #expect(try await model.encode(tokens: tokens) == expected)
    }

    @Test func errorsEqualThoseOfTheSynchronousForms() async throws {
        let model = try Self.model()
        let long = String(repeating: "cat ", count: 1000)
        await #expect(throws: CLIPError.self) { try await model.encode(texts: ["a dog", long]) }
        #expect(try await model.encode(texts: [long], truncating: true).count == 1)
        await #expect(throws: CLIPError.self) { try await model.encode(tokens: [[62, 63], []]) }
        await #expect(throws: CLIPError.self) {
            _ = try await ZeroShotClassifier(model: model, labels: ["a", "b"], templates: [])
        }
    }

    @Test func classifiersGiveTheSamePredictions() async throws {
        let model = try Self.model()
        let (labels, templates) = (["a dog", "a cat", "a car"], ["{}", "a photo of {}"])
        let images = try Self.images(30)
        func expected() throws -> (Embeddings, [[Prediction]]) {
            let classifier = try ZeroShotClassifier(
                model: model, labels: labels, templates: templates)
            return (classifier.labelEmbeddings, try classifier.classify(images))
        }
        let classifier = try await ZeroShotClassifier(
            model: model, labels: labels, templates: templates)
        let (embeddings, predictions) = try expected()
        #expect(classifier.labelEmbeddings == embeddings)
        #expect(try await classifier.classify(images) == predictions)
    }

    // MARK: cancellation

    /// Runs `body` in a task that has been cancelled already.
    private func cancelled<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await body()
        }.value
    }

    @Test func cancelledTasksComputeNothing() async throws {
        let model = try Self.model()
        let images = try Self.images(3)
        let classifier = try await ZeroShotClassifier(model: model, labels: ["a dog", "a cat"])
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try await model.encode(images: images) },
            { _ = try await model.encode(texts: ["a dog"]) },
            { _ = try await model.encode(tokens: [[62, 63]]) },
            { _ = try await ZeroShotClassifier(model: model, labels: ["a dog", "a cat"]) },
            { _ = try await classifier.classify(images) },
        ]
        for (index, call) in calls.enumerated() {
            await #expect(throws: CancellationError.self, "call \(index)") {
                try await cancelled(call)
            }
        }
    }

    /// Cancels a call between two batches.
    ///
    /// - Parameter isText: True for texts, false for images.
    ///
    /// - Throws: Errors of the model.
    @Test(arguments: [false, true])
    func cancellationIsSeenByTheNextBatch(isText: Bool) async throws {
        let model = try Self.model()
        let images = try Self.images(3)
        let gate = DispatchSemaphore(value: 0)
        let (begun, event) = AsyncStream<Void>.makeStream()
        let task = Task {
            try await CallThreads.encoding.run { cancellation in
                event.yield()
                gate.wait()
                return isText
                    ? try model.encode(tokens: [[62, 63]], cancellation)
                    : try model.encode(images: images, cancellation)
            }
        }
        for await _ in begun { break }
        task.cancel()
        gate.signal()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func cancelledCallDoesNotWaitForAThread() async throws {
        let threads = CallThreads(atMost: 1)
        let gate = DispatchSemaphore(value: 0)
        let (begun, event) = AsyncStream<Void>.makeStream()
        let first = Task {
            try await threads.run { _ in
                event.yield()
                gate.wait()
                return 1
            }
        }
        for await _ in begun { break }
        let second = Task { try await threads.run { _ in 2 } }
        let third = Task { try await threads.run { _ in 3 } }
        second.cancel()
        // The first call still occupies the only thread.
        await #expect(throws: CancellationError.self) { try await second.value }
        gate.signal()
        #expect(try await first.value == 1)
        #expect(try await third.value == 3)
    }

    // MARK: threads

    /// If the calls blocked the cooperative pool, the test could not reach the line that opens the
    /// gate.
    @Test func waitingCallsDoNotBlockTheCooperativePool() async throws {
        let threads = CallThreads(atMost: 8)
        let gate = DispatchSemaphore(value: 0)
        let (begun, event) = AsyncStream<Void>.makeStream()
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<64 {
                group.addTask {
                    try await threads.run { _ in
                        event.yield()
                        gate.wait()
                        return index
                    }
                }
            }
            var count = 0
            for await _ in begun {
                count += 1
                if count == 8 { break }
            }
            for _ in 0..<64 { gate.signal() }
            return try await group.reduce(0, +)
        }
        #expect(sum == 64 * 63 / 2)
    }

    @Test func manyTasksShareAModel() async throws {
        let model = try Self.model()
        let (images, texts) = (try Self.images(16), Self.texts(16))
        let expected = try (Self.embeddings(model, images), Self.embeddings(model, texts))
        let wrong = try await withThrowingTaskGroup(of: Bool.self) { group in
            for task in 0..<64 {
                group.addTask {
                    let i = task % 16
                    let image = try await model.encode(images: [images[i]])
                    let text = try await model.encode(texts: [texts[i]])
                    return image[0] != expected.0[i] || text[0] != expected.1[i]
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wrong == 0)
    }
}
