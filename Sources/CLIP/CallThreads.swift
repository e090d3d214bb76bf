internal import Synchronization
internal import Tensors

/// Threads that run the blocking part of asynchronous calls, so that no thread of Swift's
/// cooperative pool blocks.
///
/// Calls beyond the limit wait, first in, first out.
package final class CallThreads: Sendable {
    /// The threads of calls that encode, at most one for each core.
    static let encoding = CallThreads(atMost: availableCores())

    /// A flag that tells a running call that its task was cancelled.
    package final class Cancellation: Sendable {
        private let flag = Atomic(false)

        /// True once the task is cancelled.
        package var isCancelled: Bool { flag.load(ordering: .relaxed) }

        /// Throws `CancellationError` if the task is cancelled.
        package func check() throws(CancellationError) {
            if isCancelled { throw CancellationError() }
        }

        fileprivate func cancel() { flag.store(true, ordering: .relaxed) }
    }

    private struct Call {
        let cancellation: Cancellation
        /// Completes the call: runs its body, or fails if it is cancelled or has no thread.
        let end: @Sendable (_ hasThread: Bool) -> Void
    }

    private struct State {
        var threads = 0
        /// The calls that wait for a thread, the oldest first.
        var waiting: [Call] = []
    }

    private let limit: Int
    private let state = Monitor(State())

    /// Makes a pool that runs at most `limit` calls at once; `limit` must be at least 1.
    package init(atMost limit: Int) { self.limit = limit }

    /// Runs `body` on a thread while the task suspends.
    ///
    /// If the task is cancelled before `body` begins, `body` is not run. A running `body` sees the
    /// cancellation in its argument, and the task waits until `body` returns.
    ///
    /// - Parameter body: The blocking call.
    /// - Returns: The value of `body`.
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
            // Checked under the lock: a later cancellation finds the call in `waiting`.
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
                // Running threads take the waiting calls later.
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
