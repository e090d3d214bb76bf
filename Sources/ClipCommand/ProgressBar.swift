import CLIPHub

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// True if standard error is a terminal.
var errorsAreTerminal: Bool { isatty(2) == 1 }

/// True if lines on standard error can be redrawn: a terminal without `TERM=dumb`.
var errorsCanBeRedrawn: Bool { errorsAreTerminal && Environment["TERM"] != "dumb" }

/// A line on standard error that is redrawn in place, on a terminal.
final class TerminalLine {
    private var isDrawn = false

    /// Draws a text, truncated to the width of the terminal.
    func draw(_ text: String) {
        guard errorsCanBeRedrawn else { return }
        let line = TerminalText.oneLine(text).prefix(max(0, Self.columns - 1))
        fputs("\r\u{1B}[K" + line, stderr)
        isDrawn = true
    }

    /// Removes the line from the terminal.
    func clear() {
        if isDrawn { fputs("\r\u{1B}[K", stderr) }
        isDrawn = false
    }

    private static var columns: Int { terminalColumns(of: 2) ?? 80 }
}

/// Returns the width, in characters, of the terminal behind a file descriptor; nil if there is none
/// or its width is unknown.
func terminalColumns(of descriptor: Int32) -> Int? {
    var size = winsize()
    let isKnown = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return isKnown ? Int(size.ws_col) : nil
}

/// Returns a remaining time such as "1:05 left".
func timeLeft(_ seconds: Double) -> String {
    let left = Int(min(seconds, 1e9))
    let minutes = left / 60 % 60
    let digits = { (number: Int) in (number < 10 ? "0" : "") + "\(number)" }
    let hours = left / 3600
    return (hours > 0 ? "\(hours):\(digits(minutes))" : "\(minutes)") + ":\(digits(left % 60)) left"
}

/// The progress line of a download, drawn only on a terminal.
final class ProgressBar {
    private let isShown: Bool
    private let bar = TerminalLine()
    private var file = ""
    private var start = ContinuousClock.now
    private var lastDrawn: ContinuousClock.Instant?

    init(isQuiet: Bool) { isShown = !isQuiet && errorsCanBeRedrawn }

    func show(_ progress: DownloadProgress) {
        guard isShown else { return }
        let now = ContinuousClock.now
        if progress.file != file { (file, start, lastDrawn) = (progress.file, now, nil) }
        if progress.isWaiting { start = now }
        let isLast = progress.received == progress.total
        if let lastDrawn, now - lastDrawn < .milliseconds(100), !isLast { return }
        lastDrawn = now
        bar.draw(Self.line(progress, seconds: Double(secondsOf: now - start)))
    }

    /// Removes the progress line from the terminal.
    func clear() {
        bar.clear()
        lastDrawn = nil
    }

    /// Returns a line such as "model.safetensors   45 %  272 of 605 MB  12.3 MB/s  0:27 left".
    static func line(_ progress: DownloadProgress, seconds: Double) -> String {
        var parts = [progress.file]
        if progress.isWaiting {
            parts.append("waiting for another process to download it")
        } else {
            let received = Double(progress.received) / 1e6
            let rate = Double(progress.received - progress.resumedFrom) / 1e6 / max(seconds, 0.001)
            if let total = progress.total {
                let share = total > 0 ? Int(100 * Double(progress.received) / Double(total)) : 100
                parts.append("\(share) %".right(5))
                parts.append("\(fixed(received, 0)) of \(fixed(Double(total) / 1e6, 0)) MB")
            } else {
                parts.append("\(fixed(received, 0)) MB")
            }
            if seconds > 0.5 {
                parts.append("\(fixed(rate, 1)) MB/s")
                if let total = progress.total, rate > 0 {
                    parts.append(timeLeft((Double(total) / 1e6 - received) / rate))
                }
            }
        }
        return parts.joined(separator: "  ")
    }
}

extension Double {
    init(secondsOf duration: Duration) {
        self =
            Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}
