internal import Tensors

/// Makes glibc's malloc keep up to 256 MB of freed memory instead of returning it to the system.
///
/// It affects the whole process, so only a program should call it, not a library. It has no effect
/// with other C libraries.
package func keepFreedMemory() { Kernels.keepFreedMemory() }

/// Makes glibc's malloc use two arenas for all threads, whose freed memory any of them reuses.
///
/// For programs that run for long with many threads, to be called before they start. Otherwise each
/// arena keeps the most that it ever held.
package func shareFreedMemory() { Kernels.shareFreedMemory() }

/// Returns the size in bytes of the address space that this process may use (`ulimit -v`), or nil
/// if there is no limit.
package func limitOfAddressSpace() -> Int? { addressSpaceLimit() }

/// Starts a detached system thread that runs `body`.
///
/// - Parameter body: The work of the thread.
/// - Returns: True if the thread was started; otherwise `body` is not run.
package func startBackgroundThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    startThread(body)
}
