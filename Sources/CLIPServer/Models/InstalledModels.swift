internal import Synchronization

/// The names of the installed models, which are read from the disk once a second at most.
final class InstalledModels: Sendable {
    private struct Reading {
        let names: [String]
        let time: ContinuousClock.Instant
    }

    private static let lifetime = Duration.seconds(1)

    private let read: @Sendable () -> [String]
    private let last = Mutex<Reading?>(nil)

    /// Makes the list.
    ///
    /// - Parameter read: A function that reads the names from the disk.
    init(_ read: @escaping @Sendable () -> [String]) { self.read = read }

    /// Returns the names as they were at most a second ago.
    func names(now: ContinuousClock.Instant = .now) -> [String] {
        last.withLock { last in
            if let last, now - last.time < Self.lifetime { return last.names }
            let names = read()
            last = Reading(names: names, time: now)
            return names
        }
    }
}
