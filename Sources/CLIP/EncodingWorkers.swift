internal import Synchronization
internal import Tensors

/// The threads that encode for streams. All streams of a process together have no more of them than
/// the one that asks for the most.
enum EncodingWorkers {
    private static let running = Mutex(0)

    /// Starts a thread, if fewer than `limit` are running and the system grants one.
    ///
    /// - Parameter whenEnded: Called by the thread once another one may be started in its place.
    static func start(
        atMost limit: Int, _ body: @escaping @Sendable () -> Void,
        whenEnded: @escaping @Sendable () -> Void
    ) -> Bool {
        let isAllowed = running.withLock { running in
            guard running < limit else { return false }
            running += 1
            return true
        }
        guard isAllowed else { return false }
        let isStarted = startThread {
            body()
            running.withLock { $0 -= 1 }
            whenEnded()
        }
        if !isStarted { running.withLock { $0 -= 1 } }
        return isStarted
    }
}
