internal import Synchronization

/// The limit on the bytes of all large bodies in memory: of requests, or of responses.
///
/// Bodies of at most 64 KB are not counted, so that those who send or receive large ones slowly
/// cannot lock others out.
final class BodyBudget: Sendable {
    /// The largest part of a body that is not counted, in bytes.
    private static let free = 1 << 16

    private let limit: Int
    private let used = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// The bytes that one body has taken from a budget.
    struct Share: ~Copyable {
        private let budget: BodyBudget
        private var counted = 0

        init(of budget: BodyBudget) { self.budget = budget }

        deinit {
            let count = counted
            budget.used.withLock { $0 -= count }
        }

        /// Takes more bytes for a body that then has `total` bytes; returns false if the budget has
        /// too few.
        ///
        /// A single body may exceed the limit.
        mutating func grow(to total: Int) -> Bool {
            let more = max(0, total - BodyBudget.free) - counted
            guard more > 0 else { return true }
            let limit = budget.limit
            let isTaken = budget.used.withLock { [counted] used in
                guard used + more <= limit || used == counted else { return false }
                used += more
                return true
            }
            if isTaken { counted += more }
            return isTaken
        }
    }
}
