/// The patience and the limits of transfers; tests have less of both.
struct TransferPolicy: Sendable {
    /// Tries in a row that bring no byte before giving up.
    var attempts = 5
    /// Seconds before the second try; doubled each time.
    var delay = 1.0
    /// The longest that a server may ask to wait, in seconds.
    var longestWait = 60
    /// Seconds without a byte after which a connection counts as broken.
    var stall = 30
    /// The least bytes a second that a connection has to bring, on average over `slowSeconds`.
    var leastSpeed = 1024
    /// Seconds after which a connection below the least speed is ended.
    var slowSeconds = 60.0
    /// The most bytes of a configuration or an index of weights.
    var largestConfiguration = 16_000_000
    /// The most bytes of weights if the server does not say how many there are.
    var largestFile = 64_000_000_000

    /// The number of seconds to wait before the next try; nil if there is to be none.
    ///
    /// - Parameter failures: how many tries in a row have failed.
    func wait(after error: HubError, failures: Int) -> Double? {
        guard failures < attempts else { return nil }
        let usual = delay * Double(1 << max(0, min(failures - 1, 10)))
        switch error {
        // A host name that cannot be resolved is not retried.
        case .unreachable(_, let reason): return reason.hasPrefix("Could not resolve") ? nil : usual
        case .tooSlow: return usual
        case .busy(_, _, let seconds?): return seconds <= longestWait ? Double(seconds) : nil
        case .busy: return usual
        default: return nil
        }
    }
}

/// Measures whether a connection brings the least number of bytes in every period.
struct SpeedWatch {
    private let leastBytes: Double
    private let period: Duration
    private var start = SuspendingClock.now
    private var bytes = 0.0

    init(_ policy: TransferPolicy) {
        leastBytes = Double(policy.leastSpeed) * policy.slowSeconds
        period = .seconds(policy.slowSeconds)
    }

    /// Counts bytes that have come, and returns true at the end of a period that brought too few.
    mutating func isTooSlow(after count: Int) -> Bool {
        bytes += Double(count)
        guard SuspendingClock.now - start >= period else { return false }
        let isTooSlow = bytes < leastBytes
        (start, bytes) = (SuspendingClock.now, 0)
        return isTooSlow
    }
}

/// The number of bytes that a server gives in a header: decimal digits alone; nil if it is anything
/// else, or more than an `Int` holds.
func byteCount(_ text: String) -> Int? {
    text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
}
