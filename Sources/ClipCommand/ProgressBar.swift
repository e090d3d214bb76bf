import CLIPHub

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// Whether standard error is a terminal.
var errorsAreTerminal: Bool { isatty(2) == 1 }

/// A line on the terminal that says how far a download is: drawn on standard error, only if that is one.
final class ProgressBar {
    private let isShown: Bool
    private var file = ""
    private var start = ContinuousClock.now
    private var lastDrawn: ContinuousClock.Instant?

    init(isQuiet: Bool) { isShown = !isQuiet && errorsAreTerminal }

    func show(_ progress: DownloadProgress) {
        guard isShown else { return }
        let now = ContinuousClock.now
        if progress.file != file { (file, start, lastDrawn) = (progress.file, now, nil) }
        if progress.isWaiting { start = now }
        let isLast = progress.received == progress.total
        if let lastDrawn, now - lastDrawn < .milliseconds(100), !isLast { return }
        lastDrawn = now
        draw(Self.line(progress, seconds: Double(secondsOf: now - start), columns: columns))
    }

    /// Removes the line.
    func clear() {
        if lastDrawn != nil { draw("") }
        lastDrawn = nil
    }

    private func draw(_ line: String) { fputs("\r\u{1B}[K" + line, stderr) }

    private var columns: Int {
        var size = winsize()
        let isKnown = ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    /// "model.safetensors  45 %  272 of 605 MB  12.3 MB/s  0:27 left"
    static func line(_ progress: DownloadProgress, seconds: Double, columns: Int) -> String {
        var parts = [progress.file]
        if progress.isWaiting {
            parts.append("another process fetches it; waiting")
        } else {
            let received = Double(progress.received) / 1e6
            let rate = Double(progress.received - progress.resumedFrom) / 1e6 / max(seconds, 0.001)
            if let total = progress.total {
                let share = total > 0 ? 100 * progress.received / total : 100
                parts.append("\(share) %".right(5))
                parts.append("\(fixed(received, 0)) of \(fixed(Double(total) / 1e6, 0)) MB")
            } else {
                parts.append("\(fixed(received, 0)) MB")
            }
            if seconds > 0.5 {
                parts.append("\(fixed(rate, 1)) MB/s")
                if let total = progress.total, rate > 0 {
                    let left = Int(min(Double(total) / 1e6 - received, 1e9) / rate)
                    parts.append("\(left / 60):\(left % 60 < 10 ? "0" : "")\(left % 60) left")
                }
            }
        }
        return String(parts.joined(separator: "  ").prefix(max(0, columns - 1)))
    }
}

extension Double {
    fileprivate init(secondsOf duration: Duration) {
        self =
            Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}
