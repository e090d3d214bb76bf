import CLIP
import Files
import Synchronization

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// The handling of Ctrl-C (SIGINT) and SIGTERM during jobs that keep their results.
///
/// One line on standard error states what is kept and how to continue. Then the process ends as
/// the signal ends it. The signals are blocked, and a thread of its own waits for them, because a
/// signal handler may call few functions.
enum Interruption {
    private struct State {
        /// The `keep` closures of the running jobs, the innermost last.
        var jobs: [@Sendable () -> String?] = []
        /// A signal has come, and the process is about to end.
        var isEnding = false
    }

    private static let state = Mutex(State())
    private static let isWaiting = Mutex(false)

    /// Runs a job.
    ///
    /// - Parameters:
    ///   - body: The job.
    ///   - keep: Saves the results so far and returns the line to print; nil for none. Another
    ///     thread calls it while the job is running, and the process ends after it.
    /// - Returns: The result of the job.
    static func during<Result>(
        _ body: () throws -> Result, keep: @escaping @Sendable () -> String?
    ) rethrows -> Result {
        prepare()
        state.withLock { $0.jobs.append(keep) }
        defer {
            let isEnding = state.withLock { state in
                _ = state.jobs.popLast()
                return state.isEnding
            }
            // The job has ended because of the signal, or at the same moment. Its error would be a
            // second line beside the one about what is kept, so this thread waits for the end of
            // the process.
            while isEnding { pause() }
        }
        return try body()
    }

    /// Starts the thread that waits for signals; without a job, they end the process as usual.
    ///
    /// Call it before any other thread starts, because the system delivers a signal to any thread
    /// that does not block it.
    static func prepare() {
        let isFirst = isWaiting.withLock { isWaiting in
            defer { isWaiting = true }
            return !isWaiting
        }
        guard isFirst else { return }
        // A signal that is ignored, as nohup has it, stays so.
        let handled = [SIGINT, SIGTERM].filter { !isIgnored(signal: $0) }
        guard !handled.isEmpty else { return }
        // Threads that are made from here on have this mask too.
        var set = signalSet(handled)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let isStarted = startBackgroundThread {
            var set = signalSet(handled)
            var number: Int32 = 0
            while sigwait(&set, &number) != 0 {}
            // A second signal does not wait for what is done about the first.
            let keep = state.withLock { state in
                state.isEnding = !state.jobs.isEmpty
                return state.jobs.last
            }
            end(by: number, after: keep, set)
        }
        // Without a thread a signal ends the process at once.
        if !isStarted { pthread_sigmask(SIG_UNBLOCK, &set, nil) }
    }

    private static func end(
        by number: Int32, after keep: (@Sendable () -> String?)?, _ set: sigset_t
    ) {
        @Sendable func keepAndRaise() {
            if let line = keep?() {
                if errorsCanBeRedrawn { fputs("\r\u{1B}[K", stderr) }
                note("clip: \(line)")
            }
            raise(number, set)
        }
        guard startBackgroundThread({ keepAndRaise() }) else { return keepAndRaise() }
        var (set, again): (sigset_t, Int32) = (set, 0)
        while sigwait(&set, &again) != 0 {}
        raise(again, set)
    }

    /// Ends the process as a signal does that nobody waits for: a shell sees 128 and its number.
    private static func raise(_ number: Int32, _ set: sigset_t) {
        var set = set
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        kill(getpid(), number)
    }

    private static func signalSet(_ numbers: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        return set
    }
}
