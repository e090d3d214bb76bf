internal import CImageCodecs
internal import Synchronization

/// The accounting of the memory that decoded images use, in all threads of the process.
///
/// `DecodedImage.init(decoding:)` reserves memory before it allocates, and waits until enough is
/// free. The reservation ends when it returns or, within `whileHolding`, when that call ends. A
/// thread that holds memory never waits for more, so that threads cannot deadlock.
package enum ImageMemory {
    /// The default limit, in bytes.
    ///
    /// Chosen so that `clip` with a small model of 80 MB uses less than 400 MB in all.
    package static let defaultLimit = 310_000_000

    /// The number of bytes that all threads together have reserved.
    package static var used: Int { Int(clip_memory_used()) }

    /// Calls `body` and keeps the memory of the images that it decodes reserved until it returns.
    ///
    /// The images must not be used after `body` returns. Calls may be nested; each releases the
    /// memory that was reserved during it.
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

    /// The number of bytes that a `whileHolding` call, with the calls nested in it, has reserved.
    final class Share: Sendable {
        /// The share of the current task; nil outside of `whileHolding`.
        static let current = TaskLocal<Share?>(wrappedValue: nil)
        private let bytes = Mutex<UInt64>(0)

        var count: UInt64 { bytes.withLock { $0 } }
        var isEmpty: Bool { count == 0 }
        func add(_ count: UInt64) { bytes.withLock { $0 += count } }

        /// Releases the reservation beyond `held` bytes.
        func giveBack(downTo held: UInt64) {
            clip_memory_release(
                bytes.withLock { bytes in
                    defer { bytes = held }
                    return bytes - held
                })
        }
    }
}
