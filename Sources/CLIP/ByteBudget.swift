internal import Tensors

/// A limit on the bytes of inputs that several threads hold in memory.
package final class ByteBudget: Sendable {
    private struct State {
        var used = 0
        var isCancelled = false
    }

    private let limit: Int
    private let state = Monitor(State())

    /// Makes a budget of `limit` bytes.
    package init(limit: Int) { self.limit = limit }

    /// Takes `count` bytes; blocks while too few are left.
    ///
    /// A single input may exceed the limit, if no other is in memory.
    ///
    /// - Returns: False if the budget is cancelled.
    package func take(_ count: Int) -> Bool {
        state.wait { state in
            if state.isCancelled { return false }
            guard state.used == 0 || count <= limit - state.used else { return nil }
            state.used += count
            return true
        }
    }

    /// Gives back `count` bytes that were taken.
    package func giveBack(_ count: Int) { state.withLock { $0.used -= count } }

    /// Ends the waiting in `take`, now and later.
    package func cancel() { state.withLock { $0.isCancelled = true } }
}
