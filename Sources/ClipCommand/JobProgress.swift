import CLIP
import CLIPSearch
import Synchronization

/// The progress of a job: a redrawn line on a terminal, a line every 30 seconds elsewhere.
final class JobProgress {
    private let name: String
    private let isQuiet: Bool
    private let line = TerminalLine()
    private var begin = ContinuousClock.now
    private var lastShown: ContinuousClock.Instant?
    private var done = 0
    private var skipped = 0
    let total = Total()

    /// The number of inputs of the job; nil until they are counted, or if they cannot be counted.
    final class Total: Sendable {
        let value = Mutex<Int?>(nil)
    }

    init(_ name: String, isQuiet: Bool) {
        self.name = name
        self.isQuiet = isQuiet
    }

    /// Starts the clock, and counts the inputs in the background.
    ///
    /// The total stays unknown if archives or standard input would have to be read, and with
    /// `--quiet`.
    ///
    /// - Parameters:
    ///   - sources: The sources of inputs.
    ///   - share: The number of shards; the job processes one in `share` inputs.
    ///   - rules: The rules for the files in folders.
    func count(
        _ sources: [ImageCollection.Source], share: Int = 1, rules: FolderRules = FolderRules()
    ) {
        start()
        guard !isQuiet else { return }
        let total = total
        // If no thread can be started, the total stays unknown.
        _ = startBackgroundThread {
            let count = ImageCollection.count(sources, rules: rules)
            total.value.withLock { $0 = count.map { $0 / share } }
        }
    }

    /// Starts the clock for the rate and the time left.
    func start() {
        begin = .now
        lastShown = errorsAreTerminal ? nil : begin
    }

    /// Counts an input as processed.
    func advance() {
        done += 1
        show()
    }

    /// Counts an input as processed by an earlier run.
    func skip() {
        skipped += 1
        show()
    }

    private func show() {
        show {
            Self.line(
                name, done: done, skipped: skipped, total: total.value.withLock { $0 },
                seconds: Double(secondsOf: $0 - begin))
        }
    }

    /// Shows the progress of work that follows the inputs, such as "probe  sweep   45 %".
    ///
    /// - Parameters:
    ///   - words: The description of the work.
    ///   - share: The fraction of the work done, 0...1.
    func show(_ words: String, share: Double) {
        show { _ in "\(name)  \(words)  \("\(Int(100 * share)) %".right(5))" }
    }

    /// Shows a line without a percentage, such as "probe  iteration 12".
    func show(_ words: String) { show { _ in "\(name)  \(words)" } }

    /// Shows a line, unless one was shown a moment ago.
    private func show(_ line: (_ now: ContinuousClock.Instant) -> String) {
        guard !isQuiet else { return }
        let now = ContinuousClock.now
        let pause: Duration = errorsCanBeRedrawn ? .milliseconds(100) : .seconds(30)
        if let lastShown, now - lastShown < pause { return }
        lastShown = now
        let text = line(now)
        if errorsCanBeRedrawn { self.line.draw(text) } else { note("clip: \(text)") }
    }

    /// Prints a message on a line of its own, unless `--quiet` is given.
    func say(_ text: String) {
        if !isQuiet { note("clip: \(name): \(text)") }
    }

    /// Removes the progress line from the terminal.
    func finish() { line.clear() }

    /// Returns a line such as "encode   45 %  900 of 2000  35.2 a second  0:31 left".
    static func line(
        _ name: String, done: Int, skipped: Int, total: Int?, seconds: Double
    ) -> String {
        let all = done + skipped
        var parts = [name]
        if let total, total >= all {
            parts.append("\(total > 0 ? 100 * all / total : 100) %".right(5))
            parts.append("\(all) of \(total)")
        } else {
            parts.append("\(all)")
        }
        if seconds > 0.5 && done > 0 {
            let rate = Double(done) / seconds
            parts.append("\(fixed(rate, 1)) a second")
            if let total, total >= all {
                parts.append(timeLeft(Double(total - all) / rate))
            }
        }
        return parts.joined(separator: "  ")
    }
}
