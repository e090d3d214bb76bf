internal import Tensors

/// Makes the allocator keep up to 256 MB of freed memory instead of returning it to the system.
///
/// This concerns the whole process, so only a program may call it, not a library.
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
