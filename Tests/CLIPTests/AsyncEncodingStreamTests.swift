import Dispatch
import Testing

@testable import CLIP

/// Tests the asynchronous sequence of embeddings of many images.
@Suite struct AsyncEncodingStreamTests {
    // MARK: order

    @Test(arguments: [0, 1, 2, 3, 9, 200], [1, 2, 3])
    func embeddingsComeInOrder(count: Int, threads: Int) async throws {
        let model = try Self.model(threads: threads)
        let decode: @Sendable (Int) -> DecodedInput<Int> = { input in
            if input % 5 == 3 { return DecodedInput(.failure(Self.unreadable), learned: -input) }
            let image = Result { () throws(CLIPError) in try Self.image(input) }
            return DecodedInput(image, learned: -input)
        }
        let expected = Array(model.encodings(of: 0..<count, decode: decode))
        let source = AsyncSource(source: Source(end: count) { _ in })
        for found in [
            try await all(model.encodings(of: 0..<count, decode: decode)),
            try await all(model.encodings(of: source, decode: decode)),
        ] {
            #expect(found.map(\.input) == Array(0..<count))
            #expect(found.map(\.learned) == (0..<count).map { -$0 })
            #expect(found.map(\.embedding) == expected.map(\.embedding))
        }
    }

    /// Without `await`, an asynchronous function uses the synchronous sequence.
    @Test func oneFunctionCanUseBothForms() async throws {
        let model = try Self.model(threads: 2)
        let encodings = model.encodings(of: [3, 4], decode: Self.decode)
        let expected = try encodings.map { try $0.embedding.get() }
        var found: [[Float]] = []
        for encoded in model.encodings(of: [3, 4], decode: Self.decode) {
            found.append(try encoded.embedding.get())
        }
        #expect(found == expected)
        found = []
        for try await encoded in model.encodings(of: [3, 4], decode: Self.decode) {
            found.append(try encoded.embedding.get())
        }
        #expect(found == expected)
        let asynchronous: AsyncEncodings<Int, Void> = model.encodings(
            of: [3, 4], decode: Self.decode)
        #expect(try await all(asynchronous.map { try $0.embedding.get() }) == expected)
    }

    @Test func failedInputsKeepTheirPlaces() async throws {
        let model = try Self.model(threads: 2)
        var failures: [Int] = []
        var next = 0
        for try await encoded in model.encodings(
            of: 0..<100,
            decode: { input throws(CLIPError) in
                if input % 7 == 5 { throw Self.unreadable }
                return try Self.decode(input)
            })
        {
            #expect(encoded.input == next)
            next += 1
            if case .failure(let error) = encoded.embedding {
                #expect(error == Self.unreadable)
                failures.append(encoded.input)
            }
        }
        #expect(next == 100)
        #expect(failures == (0..<100).filter { $0 % 7 == 5 })
    }

    @Test func errorOfTheInputsComesAfterTheirEmbeddings() async throws {
        struct SourceError: Error {}
        let model = try Self.model(threads: 2)
        let source = AsyncThrowingStream<Int, any Error> { continuation in
            for input in 0..<50 { continuation.yield(input) }
            continuation.finish(throwing: SourceError())
        }
        var iterator = model.encodings(of: source, decode: Self.decode).makeAsyncIterator()
        var found: [Int] = []
        await #expect(throws: SourceError.self) {
            while let encoded = try await iterator.next() { found.append(encoded.input) }
        }
        #expect(found == Array(0..<50))
        #expect(try await iterator.next() == nil)
    }

    // MARK: memory

    /// The largest number of inputs that have been read but not consumed.
    private func mostAhead(_ model: CLIPModel) -> Int {
        // In the stream, on their way to the caller, and one on each thread.
        8 * model.threads * model.imageBatchSize + model.imageBatchSize + 64 + 2
    }

    @Test(arguments: [1, 2, 3], [false, true])
    func readAheadOfASlowConsumerIsBounded(threads: Int, isAsync: Bool) async throws {
        let model = try Self.model(threads: threads)
        // Even if other streams occupy all encoding threads.
        let certain = threads * model.imageBatchSize
        // The queue of asynchronous inputs, and one held by the task that reads them.
        let most = mostAhead(model) + (isAsync ? 17 : 0)
        let count = 2 * most
        let read = Counter()
        let (events, event) = AsyncStream<Void>.makeStream()
        let source = Source(end: count) { input in
            if read.increment() == certain { event.yield() }
        }
        func take(_ encodings: AsyncEncodings<Int, Void>) async throws {
            var taken = 0
            for try await encoded in encodings {
                #expect(encoded.input == taken)
                taken += 1
                // The slow consumer continues when the threads have read ahead.
                if taken == 1 { for await _ in events { break } }
                let ahead = read.value - taken
                #expect(ahead <= most, "\(ahead) inputs ahead of \(taken)")
            }
            #expect(taken == count)
        }
        try await take(
            isAsync
                ? model.encodings(of: AsyncSource(source: source), decode: Self.decode)
                : model.encodings(of: source, decode: Self.decode))
    }

    // MARK: the end

    @Test(arguments: [1, 2, 3], [false, true])
    func leavingTheLoopEndsTheThreads(threads: Int, isAsync: Bool) async throws {
        let model = try Self.model(threads: threads)
        let read = Counter()
        let (ended, event) = AsyncStream<Never>.makeStream()
        func take100() async throws {
            let token = Token(event)
            let source = Source(end: .max) { _ in
                withExtendedLifetime(token) { _ = read.increment() }
            }
            let decode: @Sendable (Int) throws(CLIPError) -> RGBImage = { input throws(CLIPError) in
                defer { withExtendedLifetime(token) {} }
                return try Self.decode(input)
            }
            var taken = 0
            for try await _ in isAsync
                ? model.encodings(of: AsyncSource(source: source), decode: decode)
                : model.encodings(of: source, decode: decode)
            {
                taken += 1
                if taken == 100 { break }
            }
        }
        try await take100()
        // Ends once no thread and no task holds the inputs or the closure.
        for await _ in ended {}
        #expect(read.value <= 100 + mostAhead(model) + 17)
    }

    @Test func unusedIteratorReadsNothing() async throws {
        let read = Counter()
        let source = Source(end: 10) { _ in _ = read.increment() }
        let model = try Self.model(threads: 2)
        let encodings: AsyncEncodings<Int, Void> = model.encodings(of: source, decode: Self.decode)
        _ = encodings.makeAsyncIterator()
        #expect(read.value == 0)
    }

    /// Embeddings of available inputs do not wait for late inputs.
    @Test(arguments: [1, 2, 3], [false, true])
    func blockedSourceDelaysNoResults(threads: Int, isAsync: Bool) async throws {
        let model = try Self.model(threads: threads)
        let (inputs, input) = AsyncStream<Int>.makeStream()
        let gate = DispatchSemaphore(value: 0)
        let source = Source(end: 5) { if $0 == 3 { gate.wait() } }
        for index in 0..<3 { input.yield(index) }
        var iterator =
            (isAsync
            ? model.encodings(of: inputs, decode: Self.decode)
            : model.encodings(of: source, decode: Self.decode))
            .makeAsyncIterator()
        for index in 0..<3 {
            #expect(try await iterator.next()?.input == index)
        }
        gate.signal()
        for index in 3..<5 { input.yield(index) }
        input.finish()
        for index in 3..<5 {
            #expect(try await iterator.next()?.input == index)
        }
        #expect(try await iterator.next() == nil)
    }

    // MARK: cancellation

    @Test(arguments: [false, true]) func cancelledTaskReadsNothing(isAsync: Bool) async throws {
        let model = try Self.model(threads: 2)
        let read = Counter()
        let source = Source(end: 10) { _ in _ = read.increment() }
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await all(
                isAsync
                    ? model.encodings(of: AsyncSource(source: source), decode: Self.decode)
                    : model.encodings(of: source, decode: Self.decode)
            ).count
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(read.value == 0)
    }

    /// Cancels a task whose source blocks.
    ///
    /// - Parameter place: The input before which the source blocks.
    /// - Throws: Errors of the model.
    @Test(arguments: [0, 1, 50]) func cancellationEndsAWaitForABlockedSource(
        place: Int
    ) async throws {
        let model = try Self.model(threads: 2)
        let read = Counter()
        let gate = DispatchSemaphore(value: 0)
        let (blocked, event) = AsyncStream<Void>.makeStream()
        let (ended, end) = AsyncStream<Never>.makeStream()
        func begin() -> Task<Int, any Error> {
            let token = Token(end)
            let source = Source(end: .max) { input in
                withExtendedLifetime(token) { _ = read.increment() }
                if input == place {
                    event.yield()
                    gate.wait()
                }
            }
            return Task {
                try await all(
                    model.encodings(of: source, decode: Self.decode)
                        as AsyncEncodings<Int, Void>
                ).count
            }
        }
        let task = begin()
        for await _ in blocked { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        gate.signal()
        for await _ in ended {}
        #expect(read.value == place + 1)
    }

    @Test func cancellationReachesAnAsynchronousSource() async throws {
        let model = try Self.model(threads: 2)
        let (inputs, input) = AsyncStream<Int>.makeStream()
        let (ended, end) = AsyncStream<Bool>.makeStream()
        input.onTermination = { reason in
            if case .cancelled = reason { end.yield(true) } else { end.yield(false) }
        }
        input.yield(0)
        let (taken, event) = AsyncStream<Int>.makeStream()
        let task = Task {
            for try await encoded in model.encodings(of: inputs, decode: Self.decode) {
                event.yield(encoded.input)
            }
        }
        for await _ in taken { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        for await isCancelled in ended {
            #expect(isCancelled)
            break
        }
    }

    /// Cancels a task while an input is decoded.
    ///
    /// - Parameters:
    ///   - place: The input that blocks when it is decoded.
    ///   - threads: The number of threads of the model.
    /// - Throws: Errors of the model.
    @Test(arguments: [0, 1, 50], [1, 2]) func cancellationDoesNotWaitForDecode(
        place: Int, threads: Int
    ) async throws {
        let model = try Self.model(threads: threads)
        let gate = DispatchSemaphore(value: 0)
        let (blocked, event) = AsyncStream<Void>.makeStream()
        let (ended, end) = AsyncStream<Never>.makeStream()
        func begin() -> Task<Int, any Error> {
            let token = Token(end)
            return Task {
                var taken = 0
                for try await _ in model.encodings(
                    of: 0..<1_000_000,
                    decode: { input throws(CLIPError) in
                        defer { withExtendedLifetime(token) {} }
                        if input == place {
                            event.yield()
                            gate.wait()
                        }
                        return try Self.decode(input)
                    })
                {
                    taken += 1
                }
                return taken
            }
        }
        let task = begin()
        for await _ in blocked { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        gate.signal()
        for await _ in ended {}
    }

    /// Cancels the task while it processes an element, not while it waits for one.
    @Test func cancellationBetweenTwoElementsEndsTheLoop() async throws {
        let model = try Self.model(threads: 2)
        let task = Task {
            var taken = 0
            do {
                for try await _ in model.encodings(of: 0..<1_000_000, decode: Self.decode) {
                    taken += 1
                    if taken == 10 { withUnsafeCurrentTask { $0?.cancel() } }
                }
                return (taken, "no error")
            } catch {
                return (taken, "\(type(of: error))")
            }
        }
        let (taken, error) = await task.value
        #expect(taken == 10)
        #expect(error == "CancellationError")
    }

    // MARK: many at once

    /// If the streams blocked the cooperative pool, the test could not reach the line that opens
    /// the gate.
    @Test func waitingTasksDoNotBlockTheCooperativePool() async throws {
        let model = try Self.model(threads: 2)
        let expected = try await all(
            model.encodings(of: 0..<40, decode: Self.decode) as AsyncEncodings<Int, Void>
        ).map(\.embedding)
        let isOpen = Gate()
        let (started, event) = AsyncStream<Void>.makeStream()
        let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var wrong = 0
                    for try await encoded in model.encodings(
                        of: 0..<200,
                        decode: { input throws(CLIPError) in
                            event.yield()
                            isOpen.wait()
                            return try Self.decode(input)
                        })
                    where encoded.embedding != expected[encoded.input % 40] {
                        wrong += 1
                    }
                    return wrong
                }
            }
            for await _ in started { break }
            isOpen.open()
            return try await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }
}
