internal import CImageCodecs
internal import Synchronization

/// The memory that decoded images may take, shared by all threads of the process.
///
/// `DecodedImage.init(decoding:)` takes a share before it allocates, and waits until enough is
/// free. The share is given back when it returns, or, within `whileHolding`, when that call ends. A
/// thread that holds a share never waits for another one, so that threads cannot wait for each
/// other without end.
package enum ImageMemory {
    /// The default limit, in bytes: `clip` with a small model, which takes 80 MB, stays below 400
    /// MB.
    package static let defaultLimit = 310_000_000

    /// The bytes that are held now by all threads.
    package static var used: Int { Int(clip_memory_used()) }

    /// Calls a function that decodes images and is done with them when it returns. Their memory
    /// counts until then. A call within another one gives back what it took itself.
    package static func whileHolding<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // A share of its own would make the thread wait for the memory that it holds itself.
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

    /// The memory that a thread holds.
    final class Share: Sendable {
        static let current = TaskLocal<Share?>(wrappedValue: nil)
        private let bytes = Mutex<UInt64>(0)

        var count: UInt64 { bytes.withLock { $0 } }
        var isEmpty: Bool { count == 0 }
        func add(_ count: UInt64) { bytes.withLock { $0 += count } }

        func giveBack(downTo held: UInt64) {
            clip_memory_release(
                bytes.withLock { bytes in
                    defer { bytes = held }
                    return bytes - held
                })
        }
    }
}
