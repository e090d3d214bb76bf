/// The time at which changes that come in bursts are to be processed.
///
/// That is a second after the last change, but not while a file is open for writing, and in any
/// case 30 seconds after the first change.
package struct QuietPeriod: Sendable {
    package typealias Instant = ContinuousClock.Instant

    private let pause: Duration
    private let limit: Duration
    private var first: Instant?
    private var last: Instant?
    /// The files that were written to and not closed yet.
    private var open: Set<FilePath> = []

    /// Creates a period without changes.
    ///
    /// - Parameters:
    ///   - pause: The time without changes that ends a burst.
    ///   - limit: The longest time from the first change to its processing.
    package init(pause: Duration = .seconds(1), limit: Duration = .seconds(30)) {
        (self.pause, self.limit) = (pause, limit)
    }

    /// The time at which the changes are to be processed; nil if there are none.
    package var due: Instant? {
        guard let first, let last else { return nil }
        return open.isEmpty ? min(last + pause, first + limit) : first + limit
    }

    /// Adds a change.
    package mutating func change(at now: Instant) {
        first = first ?? now
        last = now
    }

    /// Adds a change of a file that is open for writing.
    package mutating func write(to file: FilePath, at now: Instant) {
        change(at: now)
        open.insert(file)
    }

    /// Adds a change of a file that is not open for writing any more, or is gone.
    package mutating func close(_ file: FilePath, at now: Instant) {
        change(at: now)
        open.remove(file)
    }

    /// Forgets all changes, because they are about to be processed.
    package mutating func reset() {
        (first, last) = (nil, nil)
        open.removeAll()
    }
}
