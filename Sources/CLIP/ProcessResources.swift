internal import Tensors

/// Makes glibc's malloc keep up to 256 MB of freed memory instead of returning it to the system.
///
/// It affects the whole process, so only a program should call it, not a library. It has no effect
/// with other C libraries.
package func keepFreedMemory() { Kernels.keepFreedMemory() }

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
