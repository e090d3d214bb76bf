internal import Synchronization
internal import Tensors

/// The threads that encode for streams.
///
/// All streams of a process together have at most as many as the largest limit that one asks for.
enum EncodingWorkers {
    private static let running = Mutex(0)

    /// Starts a thread, if fewer than `limit` are running and the system grants one.
    ///
    /// - Parameters:
    ///   - limit: The largest number of threads of all streams.
    ///   - body: The work of the thread. It calls `endOne` once, as its last step.
    /// - Returns: True if the thread was started.
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

    /// Marks the end of a thread, whose place another may take.
    static func endOne() { running.withLock { $0 -= 1 } }
}
