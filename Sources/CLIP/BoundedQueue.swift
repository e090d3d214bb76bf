internal import Tensors

/// A bounded queue between a thread, which blocks, and a task, which suspends.
///
/// The producer waits while the queue is full, the consumer while it is empty. There may be one
/// producer and one consumer.
final class BoundedQueue<Element: Sendable>: Sendable {
    private typealias SuspendedTask = CheckedContinuation<Void, Never>

    private struct State {
        var elements: [Element] = []
        /// True if the producer has appended its last element.
        var isFinished = false
        var failure: (any Error)?
        /// True if the consumer takes no more elements.
        var isClosed = false
        /// The task that waits until the queue is not empty or not full.
        var waiting: SuspendedTask?

        mutating func wakeTask() -> SuspendedTask? {
            defer { waiting = nil }
            return waiting
        }
    }

    private enum Step { case done, closed, wait }

    private let capacity: Int
    private let state = Monitor(State())

    init(capacity: Int) { self.capacity = capacity }

    /// The error that was passed to `finish(throwing:)`; nil if there is none.
    var failure: (any Error)? { state.withLock { $0.failure } }

    /// Finishes the queue: the consumer gets the remaining elements, then the end or the error.
    func finish(throwing error: (any Error)? = nil) {
        change { state in
            state.isFinished = true
            state.failure = error
        }
    }

    /// Closes the queue at once and discards its elements.
    func close() {
        change { state in
            state.isClosed = true
            state.elements = []
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let task = state.withLock { state in
            body(&state)
            return state.wakeTask()
        }
        task?.resume()
    }

    // MARK: the thread's side

    /// Appends an element; blocks while the queue is full.
    ///
    /// - Returns: False if the queue is closed.
    func put(_ element: Element) -> Bool {
        let (isOpen, task) = state.wait { state -> (Bool, SuspendedTask?)? in
            if state.isClosed { return (false, nil) }
            guard state.elements.count < capacity else { return nil }
            state.elements.append(element)
            return (true, state.wakeTask())
        }
        task?.resume()
        return isOpen
    }

    /// Removes and returns the next element; blocks while the queue is empty.
    ///
    /// - Returns: Nil at the end, or if the queue is closed.
    func take() -> Element? {
        let (element, task) = state.wait { state -> (Element?, SuspendedTask?)? in
            if !state.elements.isEmpty { return (state.elements.removeFirst(), state.wakeTask()) }
            return state.isFinished || state.isClosed ? (nil, nil) : nil
        }
        task?.resume()
        return element
    }

    // MARK: the task's side

    /// Appends an element; suspends while the queue is full.
    ///
    /// - Returns: False if the queue is closed.
    func put(_ element: Element) async -> Bool {
        while true {
            let step = state.withLock { state -> Step in
                if state.isClosed { return .closed }
                guard state.elements.count < capacity else { return .wait }
                state.elements.append(element)
                return .done
            }
            guard step == .wait else { return step == .done }
            await suspend { $0.isClosed || $0.elements.count < self.capacity }
        }
    }

    /// Removes and returns the next element; suspends while the queue is empty.
    ///
    /// - Throws: The error of `finish(throwing:)` after the last element, and `CancellationError`
    ///   if the queue is closed.
    func take() async throws -> Element? {
        while true {
            let (element, step) = state.withLock { state -> (Element?, Step) in
                if state.isClosed { return (nil, .closed) }
                if !state.elements.isEmpty { return (state.elements.removeFirst(), .done) }
                return (nil, state.isFinished ? .done : .wait)
            }
            switch step {
            case .closed: throw CancellationError()
            case .done:
                if element == nil, let failure { throw failure }
                return element
            case .wait: await suspend { $0.isClosed || $0.isFinished || !$0.elements.isEmpty }
            }
        }
    }

    /// Suspends until the other side changes the queue, unless `isReady` already returns true.
    private func suspend(unless isReady: (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if isReady(state) { return true }
                state.waiting = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}
