import Dispatch
import Foundation
import Testing

@testable import CLIP

/// Tests asynchronous streams whose next input takes long to come.
@Suite struct IdleStreamTests {
    private typealias Streams = AsyncEncodingStreamTests

    /// A meeting of two threads.
    private final class Meeting: Sendable {
        private let arrived = Streams.Counter()
        private let met = DispatchSemaphore(value: 0)

        /// Waits for a second caller; returns false if none comes within half a minute.
        func waitForAnother() -> Bool {
            if arrived.increment() == 2 { met.signal() }
            guard met.wait(timeout: .now() + 30) == .success else { return false }
            met.signal()
            return true
        }
    }

    @Test func idleStreamLeavesItsThreadsToOthers() async throws {
        // More threads than the models of other tests have, which run meanwhile: their streams
        // cannot occupy all of them.
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let model = try Streams.model(threads: cores + 16)
        let (inputs, input) = AsyncStream<Int>.makeStream()
        var idle = model.encodings(of: inputs, decode: Streams.decode).makeAsyncIterator()
        for index in 0..<100 { input.yield(index) }
        for index in 0..<100 { #expect(try await idle.next()?.input == index) }

        func encodeOnTwoThreads() {
            let meeting = Meeting()
            for encoded in model.encodings(
                of: 0...,
                decode: { input in
                    DecodedInput(
                        Result { () throws(CLIPError) in try Streams.decode(input) },
                        learned: meeting.waitForAnother())
                })
            {
                #expect(encoded.learned, "one thread decodes alone")
                break
            }
        }
        encodeOnTwoThreads()

        input.yield(100)
        input.finish()
        #expect(try await idle.next()?.input == 100)
        #expect(try await idle.next() == nil)
    }

    /// Inputs that come one by one, and a few at a time, each time to a stream without threads.
    @Test(arguments: [1, 2, 3]) func slowInputsAreEncodedInOrder(threads: Int) async throws {
        let model = try Streams.model(threads: threads)
        let expected = try (0..<40).map { try model.encode(images: [Streams.image($0)])[0] }
        let (inputs, input) = AsyncStream<Int>.makeStream()
        var stream = model.encodings(of: inputs, decode: Streams.decode).makeAsyncIterator()
        var next = 0
        for round in 0..<300 {
            let count = round % 10 == 9 ? 1 + round / 10 : 1
            for index in next..<(next + count) { input.yield(index) }
            for index in next..<(next + count) {
                let encoded = try #require(try await stream.next())
                #expect(encoded.input == index)
                #expect(encoded.embedding == .success(expected[index % 40]), "input \(index)")
            }
            next += count
        }
        input.finish()
        #expect(try await stream.next() == nil)
    }

    /// The threads end and start again while the inputs come, at any moment.
    @Test func inputsFromAnotherTaskAreEncodedInOrder() async throws {
        let model = try Streams.model(threads: 2)
        let (inputs, input) = AsyncStream<Int>.makeStream()
        let task = Task.detached {
            for index in 0..<2000 {
                input.yield(index)
                if index % 3 == 0 { await Task.yield() }
                if index % 7 == 0 { try? await Task.sleep(for: .microseconds(index % 500)) }
            }
            input.finish()
        }
        var next = 0
        for try await encoded in model.encodings(of: inputs, decode: Streams.decode) {
            #expect(encoded.input == next)
            next += 1
        }
        #expect(next == 2000)
        await task.value
    }

    /// Several streams wait for inputs and encode in turn on the same few threads.
    @Test func streamsTakeTurns() async throws {
        let model = try Streams.model(threads: 2)
        let streams = (0..<8).map { _ in AsyncStream<Int>.makeStream() }
        var iterators = streams.map {
            model.encodings(of: $0.stream, decode: Streams.decode).makeAsyncIterator()
        }
        for index in 0..<50 {
            for stream in streams { stream.continuation.yield(index) }
            for place in iterators.indices {
                #expect(try await iterators[place].next()?.input == index)
            }
        }
        for stream in streams { stream.continuation.finish() }
        for place in iterators.indices { #expect(try await iterators[place].next() == nil) }
    }

    @Test(arguments: [1, 2, 3], [0, 3]) func leavingTheLoopWhileIdleEndsTheThreads(
        threads: Int, count: Int
    ) async throws {
        let model = try Streams.model(threads: threads)
        let (inputs, input) = AsyncStream<Int>.makeStream()
        let (ended, event) = AsyncStream<Never>.makeStream()
        func take() async throws {
            let token = Streams.Token(event)
            for index in 0...count { input.yield(index) }
            var taken = 0
            for try await _ in model.encodings(
                of: inputs,
                decode: { input throws(CLIPError) in
                    defer { withExtendedLifetime(token) {} }
                    return try Streams.decode(input)
                })
            {
                taken += 1
                if taken > count { break }
            }
        }
        try await take()
        // Ends once no thread holds the closure, although the inputs never end.
        for await _ in ended {}
        withExtendedLifetime(input) {}
    }

    @Test func cancellationWhileIdleEndsTheThreads() async throws {
        let model = try Streams.model(threads: 2)
        let (inputs, input) = AsyncStream<Int>.makeStream()
        let (ended, end) = AsyncStream<Never>.makeStream()
        let (taken, event) = AsyncStream<Void>.makeStream()
        func begin() -> Task<Void, any Error> {
            let token = Streams.Token(end)
            return Task {
                for try await _ in model.encodings(
                    of: inputs,
                    decode: { input throws(CLIPError) in
                        defer { withExtendedLifetime(token) {} }
                        return try Streams.decode(input)
                    })
                {
                    event.yield()
                }
            }
        }
        let task = begin()
        input.yield(0)
        for await _ in taken { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        for await _ in ended {}
        withExtendedLifetime(input) {}
    }
}
