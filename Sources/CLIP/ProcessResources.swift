internal import Tensors

/// Lets the process keep memory that is freed, up to 256 MB, instead of giving it back to the system
/// at once; for programs that are nothing but this library.
package func keepFreedMemory() { Kernels.keepFreedMemory() }

/// The bytes of addresses that this process may use (`ulimit -v`); nil if there is no limit.
package func limitOfAddressSpace() -> Int? { addressSpaceLimit() }

/// Starts a thread of the system that runs `body` and ends.
///
/// - Returns: false if the system grants no thread; `body` is then not run.
package func startBackgroundThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    startThread(body)
}
