/// The retries, timeouts and size limits of downloads.
struct TransferPolicy: Sendable {
    /// The number of failed attempts since the last progress after which a download fails.
    var attempts = 5
    /// The number of seconds before the second attempt; doubled for each further one.
    var delay = 1.0
    /// The longest wait that a server may ask for, in seconds.
    var longestWait = 60
    /// The number of seconds without a byte after which a connection counts as broken.
    var stall = 30
    /// The lowest accepted speed in bytes per second, as the mean over `slowSeconds`.
    var leastSpeed = 1024
    /// The period over which the speed is measured, in seconds.
    var slowSeconds = 60.0
    /// The largest size in bytes of a configuration or an index of weight files.
    var largestConfiguration = 16_000_000
    /// The largest size in bytes of a tokenizer; that of SigLIP 2 has 34 MB.
    var largestTokenizer = 1 << 27
    /// The largest size in bytes of weights whose size the server does not state.
    var largestFile = 64_000_000_000

    /// Returns the number of seconds to wait before the next attempt; nil if no further attempt is
    /// allowed.
    ///
    /// - Parameters:
    ///   - error: The error of the last attempt.
    ///   - failures: The number of failed attempts since the last progress.
    /// - Returns: The number of seconds, or nil.
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

/// A meter that detects connections below `TransferPolicy.leastSpeed`.
struct SpeedWatch {
    private let leastBytes: Double
    private let period: Duration
    private var start = SuspendingClock.now
    private var bytes = 0.0

    /// Begins the first period of measurement.
    init(_ policy: TransferPolicy) {
        leastBytes = Double(policy.leastSpeed) * policy.slowSeconds
        period = .seconds(policy.slowSeconds)
    }

    /// Counts received bytes; returns true if a period ends in which too few arrived.
    mutating func isTooSlow(after count: Int) -> Bool {
        bytes += Double(count)
        guard SuspendingClock.now - start >= period else { return false }
        let isTooSlow = bytes < leastBytes
        (start, bytes) = (SuspendingClock.now, 0)
        return isTooSlow
    }
}

/// Parses the number of bytes in a header; nil if the text is empty or has other characters than
/// decimal digits, or if the number exceeds the range of `Int`.
func byteCount(_ text: String) -> Int? {
    text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
}
