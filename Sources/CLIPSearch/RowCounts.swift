internal import Files
internal import Tensors

/// A multiset of rows that stores only their digests.
package struct RowCounts: Sendable {
    private var counts: [Digest: Int] = [:]

    private struct Digest: Hashable, Sendable {
        let high: UInt64
        let low: UInt64

        init(_ bytes: [UInt8]) {
            let all = sha256(bytes)
            high = all[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
            low = all[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    package init() {}

    /// Adds a copy of a row.
    package mutating func add(_ row: [UInt8]) { counts[Digest(row), default: 0] += 1 }

    /// Removes one copy of a row; returns false if there was no copy.
    package mutating func remove(_ row: [UInt8]) -> Bool {
        guard !counts.isEmpty else { return false }
        let digest = Digest(row)
        guard let count = counts[digest] else { return false }
        counts[digest] = count == 1 ? nil : count - 1
        return true
    }
}
