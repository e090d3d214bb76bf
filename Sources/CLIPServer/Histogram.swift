internal import Synchronization

/// A histogram in Prometheus' sense: counts of values by upper bounds, and the sum of the values.
final class Histogram: Sendable {
    /// Upper bounds for durations between 0.1 ms and 60 s, in seconds.
    static let durations = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
        10, 30, 60,
    ]
    /// Upper bounds for the sizes of batches.
    static let batchSizes: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256]

    /// The state at one moment.
    struct Counts: Sendable {
        /// The number of values in each bucket; the last bucket has no upper bound.
        fileprivate(set) var buckets: [Int]
        fileprivate(set) var sum = 0.0
    }

    let bounds: [Double]
    private let counts: Mutex<Counts>

    /// Makes an empty histogram with ascending upper bounds, each included in its bucket.
    init(bounds: [Double]) {
        self.bounds = bounds
        counts = Mutex(Counts(buckets: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// Adds a value; NaN and infinity are ignored, negative values count as 0.
    func observe(_ value: Double) {
        guard value.isFinite else { return }
        let value = max(0, value)
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        counts.withLock {
            $0.buckets[bucket] += 1
            $0.sum += value
        }
    }

    /// A consistent copy of the counts.
    var current: Counts { counts.withLock(\.self) }
}
