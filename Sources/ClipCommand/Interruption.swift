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

/// The handling of Ctrl-C (SIGINT) and SIGTERM during jobs that save partial results.
///
/// One line on standard error states what is saved and how to continue. Then the signal ends the
/// process, as if it had not been handled. The signals are blocked, and a dedicated thread waits
/// for them, because a signal handler may call only async-signal-safe functions.
enum Interruption {
    private struct State {
        /// The `keep` closures of the running jobs, the innermost last.
        var jobs: [@Sendable () -> String?] = []
        /// True if a signal has arrived during a job, so that the process is about to end.
        var isEnding = false
        /// True if a signal is the usual end of the command, as it is for a service.
        var isService = false
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
            // second line beside the one about what is saved, so this thread waits for the end of
            // the process.
            while isEnding { pause() }
        }
        return try body()
    }

    /// Starts the thread that waits for signals; while no job runs, they end the process at once.
    ///
    /// Call it before any other thread starts, because the system delivers a signal to any thread
    /// that does not block it.
    ///
    /// - Parameter isService: True for a command that runs until a signal: the exit status is 0
    ///   after SIGTERM and 130 after Ctrl-C.
    static func prepare(isService: Bool = false) {
        if isService { state.withLock { $0.isService = true } }
        wait { set in
            let number = next(of: set)
            // A second signal ends the process without waiting for `keep`.
            let keep = state.withLock { state in
                state.isEnding = !state.jobs.isEmpty
                return state.jobs.last
            }
            end(by: number, after: keep, set)
        }
    }

    /// Starts the thread that waits for signals and calls a closure with the number of each,
    /// instead of ending the process.
    ///
    /// Call it before any other thread starts. Jobs of `during` are then not told of signals.
    static func receive(_ body: @escaping @Sendable (Int32) -> Void) {
        wait { set in
            while true { body(next(of: set)) }
        }
    }

    /// Blocks the signals that are not ignored and runs a closure with them on a new thread, unless
    /// this was done before.
    private static func wait(_ body: @escaping @Sendable (sigset_t) -> Void) {
        let isFirst = isWaiting.withLock { isWaiting in
            defer { isWaiting = true }
            return !isWaiting
        }
        guard isFirst else { return }
        // A signal that is ignored, as under nohup, stays ignored.
        let handled = [SIGINT, SIGTERM].filter { !isIgnored(signal: $0) }
        guard !handled.isEmpty else { return }
        // Threads that are started from here on inherit this mask.
        var set = signalSet(handled)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let isStarted = startBackgroundThread { body(signalSet(handled)) }
        // Without the thread, a signal ends the process at once.
        if !isStarted { pthread_sigmask(SIG_UNBLOCK, &set, nil) }
    }

    /// Waits for one of the signals and returns its number.
    private static func next(of set: sigset_t) -> Int32 {
        var (set, number): (sigset_t, Int32) = (set, 0)
        while sigwait(&set, &number) != 0 {}
        return number
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
        raise(next(of: set), set)
    }

    /// Ends the process by the default action of a signal, so that a shell sees 128 plus its
    /// number; a service ends with its own status.
    private static func raise(_ number: Int32, _ set: sigset_t) {
        if state.withLock({ $0.isService }) { _exit(number == SIGINT ? 130 : 0) }
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
