internal import Synchronization
internal import Tensors

/// The threads that encode for streams. All streams of a process together have no more of them than
/// the one that asks for the most.
enum EncodingWorkers {
    private static let running = Mutex(0)

    /// Starts a thread, if fewer than `limit` are running and the system grants one.
    static func start(atMost limit: Int, _ body: @escaping @Sendable () -> Void) -> Bool {
        let isAllowed = running.withLock { running in
            guard running < limit else { return false }
            running += 1
            return true
        }
        guard isAllowed else { return false }
        let isStarted = startThread {
            body()
            running.withLock { $0 -= 1 }
        }
        if !isStarted { running.withLock { $0 -= 1 } }
        return isStarted
    }
}
