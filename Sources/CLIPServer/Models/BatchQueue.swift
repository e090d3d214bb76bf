internal import CLIP
internal import Synchronization

/// A bounded queue of inputs that one thread encodes in batches.
///
/// When the thread is free, it takes the inputs that wait, first in, first out, up to a largest
/// batch, and never waits for more. It starts when an input arrives and ends when none waits.
final class BatchQueue<Input: Sendable>: Sendable {
    private struct Entry {
        let request: Int
        /// The place of the input in its request.
        let place: Int
        let input: Input
        let arrival: ContinuousClock.Instant
        /// True if the place of the input stays reserved for a later piece of its request.
        let isHeld: Bool
    }

    private struct Request {
        let continuation: CheckedContinuation<[[Float]], any Error>
        var vectors: [[Float]]
        /// The number of inputs that are not encoded yet.
        var missing: Int
    }

    private enum Next { case end(Result<[[Float]], any Error>), wait, startThread }

    private struct State {
        /// The inputs that no batch has taken, the oldest first.
        var waiting: [Entry] = []
        /// The requests that are not answered, by their numbers.
        var requests: [Int: Request] = [:]
        var nextNumber = 0
        /// The number of places of requests whose inputs are still being prepared.
        var reserved = 0
        /// The number of waiting inputs whose places are counted in `reserved`.
        var held = 0
        var hasThread = false
        var isClosed = false

        var count: Int { waiting.count - held + reserved }

        /// Removes a request with its waiting inputs.
        mutating func remove(_ number: Int) -> Request? {
            guard let request = requests.removeValue(forKey: number) else { return nil }
            waiting.removeAll { $0.request == number }
            held = waiting.count(where: \.isHeld)
            return request
        }
    }

    private let capacity: Int
    /// The largest number of inputs of a request that wait at once.
    private let largestPiece: Int
    private let largestBatch: Int
    private let tower: Metrics.Tower
    private let metrics: Metrics
    private let encode: @Sendable ([Input]) throws -> [[Float]]
    private let state = Mutex(State())

    /// Makes a queue.
    ///
    /// - Parameters:
    ///   - capacity: The largest number of inputs that wait, or are prepared to wait.
    ///   - largestBatch: The largest number of inputs that are encoded at once.
    ///   - tower: The tower, for the metrics.
    ///   - metrics: The metrics in which waits, batches and inference are recorded.
    ///   - encode: A function that returns one vector for each input of a batch. The queue's thread
    ///     calls it.
    init(
        capacity: Int, largestBatch: Int, tower: Metrics.Tower, metrics: Metrics,
        encode: @escaping @Sendable ([Input]) throws -> [[Float]]
    ) {
        self.capacity = max(1, capacity)
        self.largestBatch = largestBatch
        largestPiece = min(self.capacity, max(self.capacity / 4, largestBatch))
        (self.tower, self.metrics, self.encode) = (tower, metrics, encode)
    }

    /// The number of inputs that wait, including those that are prepared to wait.
    var count: Int { state.withLock { $0.count } }

    /// Encodes the inputs of a request in the order given, together with those of other requests.
    ///
    /// A large request enters in pieces, one after the other: a piece has at most a quarter of the
    /// places, or as many as a batch if that is more. The places of a piece are reserved before the
    /// inputs of the first one are prepared, so that a full queue costs no work, and are kept until
    /// the last one enters, so that a request that was accepted never finds the queue full. If the
    /// task is cancelled, the waiting inputs leave the queue at once.
    ///
    /// - Parameters:
    ///   - count: The number of inputs, which may exceed that of the places.
    ///   - prepare: A function that returns the inputs at some places of the request. It is called
    ///     for each piece in turn.
    /// - Returns: One vector for each input.
    /// - Throws: `RequestError` with status 429 if too few places are free for a piece, 503 if the
    ///   queue is closed; `CancellationError`; the errors of `prepare` and of encoding.
    func encode(
        _ count: Int, prepare: (Range<Int>) async throws -> [Input]
    ) async throws -> [[Float]] {
        let places = try reserve(min(count, largestPiece))
        var vectors: [[Float]] = []
        while count - vectors.count > places {
            do {
                let piece = vectors.count..<(vectors.count + places)
                vectors += try await encode(prepare(piece), of: piece, releasing: 0)
            } catch {
                state.withLock { $0.reserved -= places }
                throw error
            }
        }
        let last = vectors.count..<count
        let inputs: [Input]
        do {
            inputs = try await prepare(last)
        } catch {
            state.withLock { $0.reserved -= places }
            throw error
        }
        return try await vectors + encode(inputs, of: last, releasing: places)
    }

    /// Encodes a piece of a request, which has reserved places.
    private func encode(
        _ inputs: [Input], of piece: Range<Int>, releasing places: Int
    ) async throws -> [[Float]] {
        precondition(
            inputs.count == piece.count,
            "expected \(piece.count) inputs in the queue, found \(inputs.count)")
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation {
                add(inputs, as: number, releasing: places, $0)
            }
        } onCancel: {
            let request = state.withLock { $0.remove(number) }
            request?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Fails the requests whose inputs wait, and all later ones, with status 503.
    ///
    /// Requests whose last inputs are being encoded are still answered.
    func close() {
        let refused = state.withLock { state in
            state.isClosed = true
            return Set(state.waiting.map(\.request)).compactMap { state.remove($0) }
        }
        for request in refused { request.continuation.resume(throwing: RequestError.shuttingDown) }
    }

    private func reserve(_ places: Int) throws -> Int {
        try state.withLock { state in
            guard !state.isClosed else { throw RequestError.shuttingDown }
            guard places <= capacity - state.count else { throw RequestError.busy }
            state.reserved += places
            return places
        }
    }

    /// Adds inputs to the end of the queue, and releases the reserved places of their request, or
    /// keeps them if `places` is 0.
    private func add(
        _ inputs: [Input], as number: Int, releasing places: Int,
        _ continuation: CheckedContinuation<[[Float]], any Error>
    ) {
        let next = state.withLock { state -> Next in
            state.reserved -= places
            if state.isClosed { return .end(.failure(RequestError.shuttingDown)) }
            // Checked under the lock: a later cancellation finds the request in `requests`.
            if Task.isCancelled { return .end(.failure(CancellationError())) }
            guard !inputs.isEmpty else { return .end(.success([])) }
            let now = ContinuousClock.now
            for (place, input) in inputs.enumerated() {
                state.waiting.append(
                    Entry(
                        request: number, place: place, input: input, arrival: now,
                        isHeld: places == 0))
            }
            if places == 0 { state.held += inputs.count }
            state.requests[number] = Request(
                continuation: continuation, vectors: Array(repeating: [], count: inputs.count),
                missing: inputs.count)
            guard !state.hasThread else { return .wait }
            state.hasThread = true
            return .startThread
        }
        switch next {
        case .end(let result): continuation.resume(with: result)
        case .wait: break
        case .startThread:
            guard !startBackgroundThread({ self.encodeBatches() }) else { return }
            let refused = state.withLock { state in
                state.hasThread = false
                return Set(state.waiting.map(\.request)).compactMap { state.remove($0) }
            }
            for request in refused {
                request.continuation.resume(throwing: CLIPError.noThread)
            }
        }
    }

    // MARK: the thread

    private func encodeBatches() {
        while let batch = takeBatch() {
            let now = ContinuousClock.now
            for entry in batch { metrics.observe(.wait, seconds: (now - entry.arrival).inSeconds) }
            metrics.observeBatch(tower, size: batch.count)
            let results = vectors(of: batch)
            metrics.observe(.inference, seconds: (.now - now).inSeconds)
            for (entry, result) in zip(batch, results) { finish(entry, result) }
        }
    }

    private func takeBatch() -> [Entry]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.hasThread = false
                return nil
            }
            let batch = Array(state.waiting.prefix(largestBatch))
            state.waiting.removeFirst(batch.count)
            state.held -= batch.count(where: \.isHeld)
            return batch
        }
    }

    /// Returns the vector or the error of each input.
    private func vectors(of batch: [Entry]) -> [Result<[Float], any Error>] {
        func encoded(_ entries: [Entry]) throws -> [[Float]] {
            let vectors = try encode(entries.map(\.input))
            precondition(
                vectors.count == entries.count,
                "expected \(entries.count) vectors, found \(vectors.count)")
            return vectors
        }
        do {
            return try encoded(batch).map { .success($0) }
        } catch  where batch.count == 1 {
            return [.failure(error)]
        } catch {
            // A single input may have made the batch fail: the others must not fail with it.
            return batch.map { entry in Result { try encoded([entry])[0] } }
        }
    }

    private func finish(_ entry: Entry, _ result: Result<[Float], any Error>) {
        let ended = state.withLock { state -> Request? in
            switch result {
            case .success(let vector):
                // Nil if the request was cancelled or has failed.
                guard state.requests[entry.request] != nil else { return nil }
                state.requests[entry.request]?.vectors[entry.place] = vector
                state.requests[entry.request]?.missing -= 1
                guard state.requests[entry.request]?.missing == 0 else { return nil }
                return state.requests.removeValue(forKey: entry.request)
            case .failure: return state.remove(entry.request)
            }
        }
        guard let ended else { return }
        switch result {
        case .success: ended.continuation.resume(returning: ended.vectors)
        case .failure(let error): ended.continuation.resume(throwing: error)
        }
    }
}
