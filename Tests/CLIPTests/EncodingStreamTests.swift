import CLIP
import Foundation
import TestSupport
import Testing

/// Tests the sequence of embeddings of many images.
@Suite struct EncodingStreamTests {
    private static func model(threads: Int) throws -> CLIPModel {
        try CLIPModel(path: Fixtures.path("models/seeded"), threads: threads)
    }

    private static func image(_ seed: Int) throws(CLIPError) -> RGBImage {
        try RGBImage(
            width: 8, height: 8,
            pixels: (0..<192).map { UInt8(truncatingIfNeeded: ($0 + 1) * (seed * 37 + 11)) })
    }

    @Test(arguments: [0, 1, 2, 3, 9, 200], [1, 2, 3, 7])
    func embeddingsComeInOrder(count: Int, threads: Int) throws {
        let model = try Self.model(threads: threads)
        let encodings = model.encodings(of: 0..<count) { input -> DecodedInput<Int> in
            do throws(CLIPError) {
                if input % 5 == 3 { throw .unreadableFile(path: "\(input)", reason: "a test") }
                return DecodedInput(.success(try Self.image(input)), learned: -input)
            } catch {
                return DecodedInput(.failure(error), learned: -input)
            }
        }
        let encoded = Array(encodings)
        #expect(encoded.map(\.input) == Array(0..<count))
        #expect(encoded.map(\.learned) == (0..<count).map { -$0 })
        for element in encoded {
            if element.input % 5 == 3 {
                #expect(
                    element.embedding
                        == .failure(.unreadableFile(path: "\(element.input)", reason: "a test")))
            } else {
                let expected = try model.encode(images: [Self.image(element.input)])[0]
                #expect(element.embedding == .success(expected), "input \(element.input)")
            }
        }
    }

    @Test(arguments: [1, 2, 4])
    func leavingTheLoopStopsTheThreads(threads: Int) async throws {
        let model = try Self.model(threads: threads)
        let (ended, event) = AsyncStream<Never>.makeStream()
        func take100() {
            let token = AsyncEncodingStreamTests.Token(event)
            var taken = 0
            for encoded in model.encodings(
                of: 0...,
                decode: { input throws(CLIPError) in
                    defer { withExtendedLifetime(token) {} }
                    return try Self.image(input)
                })
            {
                #expect(encoded.input == taken)
                taken += 1
                if taken == 100 { break }
            }
        }
        take100()
        // Ends once no thread holds the closure.
        for await _ in ended {}
    }

    /// Consumes the embeddings one by one.
    ///
    /// - Returns: The largest number of inputs that the stream read ahead.
    private func farthestAhead(inputs count: Int, pause: UInt32) throws -> Int {
        let model = try Self.model(threads: 2)
        var read = 0
        let inputs = AnyIterator {
            if pause > 0 { usleep(pause) }
            read += 1
            return read <= count ? read : nil
        }
        var farthest = 0
        var taken = 0
        for encoded in model.encodings(
            of: IteratorSequence(inputs),
            decode: { input throws(CLIPError) in try Self.image(input) })
        {
            taken += 1
            #expect(encoded.input == taken)
            farthest = max(farthest, read - taken)
        }
        #expect(taken == count)
        return farthest
    }

    /// The caller's own work, such as fsync, does not delay the threads.
    @Test func readAheadIsBounded() throws {
        let farthest = try farthestAhead(inputs: 10_000, pause: 0)
        // At most 256 batches wait, each of at most as many images as one thread takes.
        #expect(farthest < 9_000, "\(farthest) inputs ahead")
    }

    /// A source that is slower than the threads, such as a pipe, delays no results.
    @Test func slowSourceDelaysNoResults() throws {
        let farthest = try farthestAhead(inputs: 1000, pause: 1000)
        #expect(farthest < 500, "\(farthest) inputs were read before their results were taken")
    }

    /// The caller may encode something else during decoding, even with the same model.
    @Test(arguments: [1, 2, 3], [1, 5, 60]) func decodeMayUseTheModel(threads: Int, count: Int)
        throws
    {
        let model = try Self.model(threads: threads)
        let expected = try model.encode(texts: ["a dog"])[0]
        let encodings = model.encodings(of: 0..<count) { input -> DecodedInput<[Float]> in
            let image = Result { () throws(CLIPError) in try Self.image(input) }
            let texts = try? model.encode(texts: ["a dog"])
            return DecodedInput(image, learned: texts?[0] ?? [])
        }
        var found = 0
        for encoded in encodings {
            #expect(encoded.learned == expected, "input \(encoded.input)")
            found += 1
        }
        #expect(found == count)
    }

    /// Streams that begin while others occupy all threads get threads when these end.
    @Test func nestedStreamsFinish() throws {
        let model = try Self.model(threads: 2)
        let decode: @Sendable (Int) throws(CLIPError) -> RGBImage = { input throws(CLIPError) in
            try Self.image(input)
        }
        var counts = [0, 0]
        for pair in zip(
            model.encodings(of: 0..<300, decode: decode),
            model.encodings(of: 0..<300, decode: decode))
        {
            #expect(pair.0.embedding == pair.1.embedding, "input \(pair.0.input)")
            counts[0] += 1
        }
        for encoded in model.encodings(of: 0..<300, decode: decode) {
            #expect(encoded.input == counts[1])
            counts[1] += 1
        }
        #expect(counts == [300, 300])
    }

    @Test func sixteenStreamsRunAtOnce() async throws {
        let model = try Self.model(threads: 2)
        let expected = try (0..<40).map { try model.encode(images: [Self.image($0)])[0] }
        let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var wrong: [String] = []
                    for encoded in model.encodings(
                        of: 0..<400,
                        decode: { input throws(CLIPError) in try Self.image(input % 40) })
                    {
                        let input = encoded.input
                        let difference = firstDifference(
                            try encoded.embedding.get(), expected[input % 40])
                        if let difference { wrong.append("image \(input): \(difference)") }
                    }
                    return wrong
                }
            }
            return try await group.reduce([], +)
        }
        #expect(wrong.first == nil, "\(wrong.count) results differ")
    }

    @Test func sixteenTasksShareAModel() async throws {
        let model = try Self.model(threads: 2)
        let texts = (0..<16).map { "a photo of \($0) cats" }
        let expected = try (
            texts.map { try model.encode(texts: [$0]) },
            (0..<16).map { try model.encode(images: [Self.image($0)]) },
            texts.map { try model.tokenizer.tokenize($0) }
        )
        let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
            for task in 0..<16 {
                group.addTask {
                    var wrong: [String] = []
                    for round in 0..<40 {
                        let i = (task + round) % 16
                        let text = try model.encode(texts: [texts[i]]).values
                        let image = try model.encode(images: [Self.image(i)]).values
                        wrong += [
                            firstDifference(text, expected.0[i].values),
                            firstDifference(image, expected.1[i].values),
                            firstDifference(
                                try model.tokenizer.tokenize(texts[i]), expected.2[i]),
                        ].compactMap { $0.map { "text or image \(i): \($0)" } }
                    }
                    return wrong
                }
            }
            return try await group.reduce([], +)
        }
        #expect(wrong.first == nil, "\(wrong.count) results differ")
    }
}
