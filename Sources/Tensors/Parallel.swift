internal import CKernels
internal import Dispatch

/// The number of cores this process may run on.
package func availableCores() -> Int { Int(clip_available_cores()) }

/// Splits 0..<count into one range a thread, each a multiple of `unit` long but the last, and runs
/// `body` on all of them at once.
func inParallel(
    _ count: Int, threads: Int, unit: Int = 1, _ body: (_ range: Range<Int>) -> Void
) {
    let units = (count + unit - 1) / unit
    let parts = min(threads, units)
    guard parts > 1 else {
        if count > 0 { body(0..<count) }
        return
    }
    // The call returns when all parts are done, so nothing outlives the closure.
    nonisolated(unsafe) let body = body
    DispatchQueue.concurrentPerform(iterations: parts) { part in
        let lower = units * part / parts * unit
        let upper = min(units * (part + 1) / parts * unit, count)
        body(lower..<upper)
    }
}
