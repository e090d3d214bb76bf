internal import CImageCodecs
internal import Synchronization

/// The memory that decoded images may take, shared by all threads of the process.
///
/// `DecodedImage.init(decoding:)` reserves memory before it allocates, and waits until enough is
/// free. The reservation ends when it returns or, within `whileHolding`, when that call ends. A
/// thread that holds memory never waits for more, so that threads cannot deadlock.
package enum ImageMemory {
    /// The default limit, in bytes.
    ///
    /// `clip` with a small model, which takes 80 MB, stays below 400 MB.
    package static let defaultLimit = 310_000_000

    /// The number of bytes that all threads hold now.
    package static var used: Int { Int(clip_memory_used()) }

    /// Calls a function that decodes images and does not use them after it returns.
    ///
    /// The memory of the images stays reserved until then. Calls may be nested; each gives back
    /// what it reserved itself.
    package static func whileHolding<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // With a new share the thread would wait for the memory that it holds itself.
        if let share = Share.current.get() {
            let held = share.count
            defer { share.giveBack(downTo: held) }
            return try body()
        }
        let share = Share()
        defer { share.giveBack(downTo: 0) }
        return try Share.current.withValue(share) {
            Swift.Result { () throws(Failure) in try body() }
        }.get()
    }

    /// The memory that the current task holds, in bytes.
    final class Share: Sendable {
        /// The share of the innermost `whileHolding`; nil outside of it.
        static let current = TaskLocal<Share?>(wrappedValue: nil)
        private let bytes = Mutex<UInt64>(0)

        var count: UInt64 { bytes.withLock { $0 } }
        var isEmpty: Bool { count == 0 }
        func add(_ count: UInt64) { bytes.withLock { $0 += count } }

        /// Releases all but the first `held` bytes.
        func giveBack(downTo held: UInt64) {
            clip_memory_release(
                bytes.withLock { bytes in
                    defer { bytes = held }
                    return bytes - held
                })
        }
    }
}
