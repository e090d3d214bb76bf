internal import Synchronization
internal import Tensors

/// Threads that run the blocking part of asynchronous calls, so that no thread of Swift's
/// cooperative pool waits for it.
///
/// Calls beyond the limit wait for their turn, in the order in which they came.
package final class CallThreads: Sendable {
    /// The threads of calls that encode, as many as can compute at once.
    static let encoding = CallThreads(atMost: availableCores())

    /// Tells a call whether its task is cancelled.
    package final class Cancellation: Sendable {
        private let flag = Atomic(false)

        /// True once the task is cancelled.
        package var isCancelled: Bool { flag.load(ordering: .relaxed) }

        /// - Throws: `CancellationError` if the task is cancelled.
        package func check() throws(CancellationError) {
            if isCancelled { throw CancellationError() }
        }

        fileprivate func cancel() { flag.store(true, ordering: .relaxed) }
    }

    private struct Call {
        let cancellation: Cancellation
        /// Ends the call: runs it, or throws if it is cancelled or there is no thread for it.
        let end: @Sendable (_ hasThread: Bool) -> Void
    }

    private struct State {
        var threads = 0
        /// The calls that wait for a thread, the next first.
        var waiting: [Call] = []
    }

    private let limit: Int
    private let state = Monitor(State())

    /// - Parameter limit: The largest number of calls at once, at least 1.
    package init(atMost limit: Int) { self.limit = limit }

    /// Runs `body` on a thread while the task suspends.
    ///
    /// If the task is cancelled before `body` begins, `body` is not run. Once it runs, it learns of
    /// the cancellation by its argument, and the task waits until it has ended.
    ///
    /// - Throws: `CancellationError`, `CLIPError.noThread`, and the errors of `body`.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable (Cancellation) throws -> Value
    ) async throws -> Value {
        let cancellation = Cancellation()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                start(
                    Call(cancellation: cancellation) { hasThread in
                        continuation.resume(
                            with: Result {
                                try cancellation.check()
                                guard hasThread else { throw CLIPError.noThread }
                                return try body(cancellation)
                            })
                    })
            }
        } onCancel: {
            cancellation.cancel()
            let call = state.withLock { state in
                state.waiting.firstIndex { $0.cancellation === cancellation }
                    .map { state.waiting.remove(at: $0) }
            }
            call?.end(false)
        }
    }

    private func start(_ call: Call) {
        enum Next { case endNow, wait, startThread }
        let next = state.withLock { state -> Next in
            // From here on the cancellation finds the call among those that wait.
            if call.cancellation.isCancelled { return .endNow }
            state.waiting.append(call)
            guard state.threads < limit else { return .wait }
            state.threads += 1
            return .startThread
        }
        switch next {
        case .endNow: call.end(false)
        case .wait: break
        case .startThread:
            guard !Tensors.startThread({ self.runCalls() }) else { return }
            let refused = state.withLock { state in
                state.threads -= 1
                // The threads that there are run them later.
                guard state.threads == 0 else { return [Call]() }
                defer { state.waiting = [] }
                return state.waiting
            }
            for call in refused { call.end(false) }
        }
    }

    private func runCalls() {
        while let call = nextCall() { call.end(true) }
    }

    private func nextCall() -> Call? {
        state.withLock { state in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.threads -= 1
            return nil
        }
    }
}
