import Dispatch
import Synchronization
import TestSupport

@testable import CLIP

/// Inputs and events for tests of streams.
extension AsyncEncodingStreamTests {
    static func model(threads: Int) throws -> CLIPModel {
        try CLIPModel(path: Fixtures.path("models/seeded"), threads: threads)
    }

    static func image(_ seed: Int) throws(CLIPError) -> RGBImage {
        try RGBImage(
            width: 8, height: 8,
            pixels: (0..<192).map { UInt8(truncatingIfNeeded: ($0 + 1) * (seed * 37 + 11)) })
    }

    static let unreadable = CLIPError.unreadableFile(path: "5", reason: "a test")

    /// The inputs before `end`; `willRead` is called with each one before it is returned.
    struct Source: Sequence, Sendable {
        struct Iterator: IteratorProtocol, AsyncIteratorProtocol {
            let source: Source
            var count = 0

            mutating func next() -> Int? {
                source.willRead(count)
                guard count < source.end else { return nil }
                count += 1
                return count - 1
            }
        }

        let end: Int
        let willRead: @Sendable (Int) -> Void

        func makeIterator() -> Iterator { Iterator(source: self) }
    }

    /// The same inputs, as an asynchronous sequence only.
    struct AsyncSource: AsyncSequence, Sendable {
        let source: Source
        func makeAsyncIterator() -> Source.Iterator { source.makeIterator() }
    }

    /// Finishes a stream of events when it is deallocated, which shows that nobody holds it any
    /// more.
    final class Token: Sendable {
        let event: AsyncStream<Never>.Continuation
        init(_ event: AsyncStream<Never>.Continuation) { self.event = event }
        deinit { event.finish() }
    }

    static func decode(_ input: Int) throws(CLIPError) -> RGBImage {
        try image(input % 40)
    }

    /// All elements of an asynchronous sequence.
    func all<S: AsyncSequence>(_ sequence: S) async throws -> [S.Element] {
        var elements: [S.Element] = []
        for try await element in sequence { elements.append(element) }
        return elements
    }

    final class Counter: Sendable {
        let count = Atomic(0)
        var value: Int { count.load(ordering: .sequentiallyConsistent) }
        func increment() -> Int { count.add(1, ordering: .sequentiallyConsistent).newValue }
    }

    /// Blocks threads until it is opened.
    final class Gate: Sendable {
        let semaphore = DispatchSemaphore(value: 0)
        func open() { semaphore.signal() }
        func wait() {
            semaphore.wait()
            semaphore.signal()
        }
    }
}
