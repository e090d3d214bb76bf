internal import Synchronization
internal import Tensors

/// The encoding threads of all streams in the process.
///
/// Their number never exceeds the largest limit that a stream passes.
enum EncodingWorkers {
    private static let running = Mutex(0)

    /// Starts an encoding thread, unless `limit` threads are running already.
    ///
    /// - Parameters:
    ///   - limit: The largest number of encoding threads of all streams together.
    ///   - body: The work of the thread. It calls `endOne` once, when it takes no more work.
    /// - Returns: False if the limit is reached or the system cannot start a thread.
    static func start(atMost limit: Int, _ body: @escaping @Sendable () -> Void) -> Bool {
        let isAllowed = running.withLock { running in
            guard running < limit else { return false }
            running += 1
            return true
        }
        guard isAllowed else { return false }
        let isStarted = startThread(body)
        if !isStarted { endOne() }
        return isStarted
    }

    /// Records that an encoding thread ends, so that another can be started.
    static func endOne() { running.withLock { $0 -= 1 } }
}
