internal import Synchronization

/// A cache that drops the least recently used values beyond a limit on their total cost.
final class RecentCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry {
        let value: Value
        let cost: Int
        var lastUse: Int
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var cost = 0
        var uses = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    /// Makes an empty cache.
    ///
    /// - Parameter limit: The largest sum of costs, such as a number of bytes.
    init(limit: Int) { self.limit = limit }

    /// The sum of the costs of all values.
    var cost: Int { state.withLock { $0.cost } }

    /// Returns the value of a key; nil if there is none.
    subscript(key: Key) -> Value? {
        state.withLock { state in
            state.uses += 1
            state.entries[key]?.lastUse = state.uses
            return state.entries[key]?.value
        }
    }

    /// Stores a value, unless its cost alone exceeds the limit.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - key: The key, whose old value is replaced.
    ///   - cost: The cost, at least 1.
    func store(_ value: Value, for key: Key, cost: Int) {
        guard cost <= limit else { return }
        state.withLock { state in
            state.uses += 1
            if let old = state.entries.removeValue(forKey: key) { state.cost -= old.cost }
            while state.cost + cost > limit,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries.removeValue(forKey: oldest.key)
                state.cost -= oldest.value.cost
            }
            state.entries[key] = Entry(value: value, cost: cost, lastUse: state.uses)
            state.cost += cost
        }
    }
}
