#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A value that several threads share, with a lock and a condition variable to wait for changes.
///
/// `@unchecked Sendable`: the value is read and written only while the lock is held.
package final class Monitor<Value>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var value: Value
    private var sleepers = 0

    package init(_ value: sending Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        condition.deallocate()
    }

    /// Runs `body` with the lock held, then wakes the threads in `wait`, and returns the result.
    package func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer {
            if sleepers > 0 { pthread_cond_broadcast(condition) }
            pthread_mutex_unlock(mutex)
        }
        return try body(&value)
    }

    /// Runs `body` until it returns a result, and returns that.
    ///
    /// `body` runs with the lock held: immediately, and again after other threads have called
    /// `withLock` or returned from `wait`.
    package func wait<Result>(_ body: (inout Value) -> Result?) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            if sleepers > 0 { pthread_cond_broadcast(condition) }
            pthread_mutex_unlock(mutex)
        }
        while true {
            if let result = body(&value) { return result }
            sleepers += 1
            pthread_cond_wait(condition, mutex)
            sleepers -= 1
        }
    }
}

/// Starts a detached thread that runs `body`.
///
/// - Parameter body: The function to run; it may use 2 MB of stack.
/// - Returns: False if the system cannot start a thread; `body` is then not run.
package func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    var attributes = pthread_attr_t()
    guard pthread_attr_init(&attributes) == 0 else { return false }
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    // The usual stack of 8 MB for each thread takes too much address space under `ulimit -v`.
    pthread_attr_setstacksize(&attributes, 2 << 20)
    let job = Unmanaged.passRetained(ThreadJob(body))
    #if canImport(Darwin)
        var thread: pthread_t?
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                Unmanaged<ThreadJob>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, job.toOpaque())
    #else
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument {
                    Unmanaged<ThreadJob>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            }, job.toOpaque())
    #endif
    if status != 0 { job.release() }
    return status == 0
}

private final class ThreadJob: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
