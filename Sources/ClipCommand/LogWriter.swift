import CLIP
import Tensors

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// The access log of a server, which a thread of its own writes to standard output.
///
/// A slow reader does not delay the server: while `limit` bytes wait, more lines are dropped and
/// counted. A reader that is gone ends the log, not the server.
final class LogWriter: Sendable {
    private struct State {
        var waiting: [UInt8] = []
        var droppedCount = 0
        var isWriting = false
        /// True if nothing can be written any more.
        var isBroken = false
    }

    /// The number of bytes that may wait.
    private static let limit = 8 << 20

    private let state = Monitor(State())

    init() {
        let isStarted = startBackgroundThread { [self] in
            while writeNext() {}
        }
        if !isStarted { state.withLock { $0.isBroken = true } }
    }

    /// Adds a line; control characters are replaced.
    func append(_ line: String) {
        let bytes = Array((TerminalText.oneLine(line) + "\n").utf8)
        state.withLock { state in
            guard !state.isBroken else { return }
            if state.waiting.count + bytes.count > Self.limit {
                state.droppedCount += 1
            } else {
                state.waiting += bytes
            }
        }
    }

    /// Waits until all lines are written, for at most a second.
    ///
    /// - Returns: False if the reader is so slow that some are not written yet. Standard output is
    ///   then locked, so `exit` would wait for the reader too.
    func finish() -> Bool {
        for _ in 0..<100 {
            let isDone = state.withLock { state in
                state.isBroken || state.waiting.isEmpty && !state.isWriting
            }
            if isDone { return true }
            usleep(10_000)
        }
        return false
    }

    /// Waits for lines and writes them.
    ///
    /// - Returns: False if nothing can be written any more.
    private func writeNext() -> Bool {
        let (bytes, droppedCount) = state.wait { state -> ([UInt8], Int)? in
            guard !state.waiting.isEmpty else { return nil }
            defer { (state.waiting, state.droppedCount, state.isWriting) = ([], 0, true) }
            return (state.waiting, state.droppedCount)
        }
        let isWritten = fwrite(bytes, 1, bytes.count, stdout) == bytes.count && fflush(stdout) == 0
        let reason = isWritten ? "" : String(cString: strerror(errno))
        if droppedCount > 0 {
            note("clip: serve: \(droppedCount) lines of the access log were dropped")
        }
        if !isWritten {
            // What the stream still holds would fail once more at the end of the command.
            freopen("/dev/null", "w", stdout)
            note("clip: serve: the access log ends: cannot write to standard output: \(reason)")
        }
        state.withLock { state in
            state.isWriting = false
            state.isBroken = !isWritten
            if !isWritten { state.waiting = [] }
        }
        return isWritten
    }
}
