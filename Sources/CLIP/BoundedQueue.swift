internal import Tensors

/// A queue between a thread, which blocks, and a task, which suspends.
///
/// It holds a bounded number of elements: whoever is faster waits for the other. For one that puts
/// elements in and one that takes them.
final class BoundedQueue<Element: Sendable>: Sendable {
    private typealias SuspendedTask = CheckedContinuation<Void, Never>

    private struct State {
        var elements: [Element] = []
        /// True if nothing is put in any more.
        var isFinished = false
        var failure: (any Error)?
        /// True if nothing is taken any more.
        var isClosed = false
        /// A task that waits for an element or for room.
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

    /// The error with which the queue was finished.
    var failure: (any Error)? { state.withLock { $0.failure } }

    /// Ends the queue once its elements have been taken.
    func finish(throwing error: (any Error)? = nil) {
        change { state in
            state.isFinished = true
            state.failure = error
        }
    }

    /// Ends the queue now: nobody takes its elements.
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

    /// Puts an element in, for which it blocks until there is room.
    ///
    /// - Returns: false if the queue is closed.
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

    /// Takes the next element, for which it blocks.
    ///
    /// - Returns: nil at the end, or if the queue is closed.
    func take() -> Element? {
        let (element, task) = state.wait { state -> (Element?, SuspendedTask?)? in
            if !state.elements.isEmpty { return (state.elements.removeFirst(), state.wakeTask()) }
            return state.isFinished || state.isClosed ? (nil, nil) : nil
        }
        task?.resume()
        return element
    }

    // MARK: the task's side

    /// Puts an element in, for which it suspends until there is room.
    ///
    /// - Returns: false if the queue is closed.
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

    /// Takes the next element, for which it suspends.
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

    /// Suspends until another changes the queue, unless it has changed already.
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
