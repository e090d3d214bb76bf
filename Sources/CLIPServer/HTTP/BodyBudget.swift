internal import Synchronization

/// The limit on the bytes of all request bodies in memory.
final class BodyBudget: Sendable {
    private let limit: Int
    private let used = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// Takes bytes from the budget; returns false if it has too few.
    func take(_ count: Int) -> Bool {
        used.withLock { used in
            guard used + count <= limit else { return false }
            used += count
            return true
        }
    }

    /// Returns bytes that were taken.
    func giveBack(_ count: Int) { used.withLock { $0 -= count } }
}
