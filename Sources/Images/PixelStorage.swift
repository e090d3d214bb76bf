internal import CImageCodecs

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The bytes of an image, in memory that the decoder allocated or in an array.
///
/// `@unchecked Sendable`: nothing writes the bytes after `init`, and `deinit` frees them once.
final class PixelStorage: @unchecked Sendable {
    private enum Bytes {
        case decoded(UnsafeMutablePointer<UInt8>, count: Int)
        case array([UInt8])
    }
    private let bytes: Bytes

    /// Takes ownership of memory that `malloc` allocated.
    init(takingOver pointer: UnsafeMutablePointer<UInt8>, count: Int) {
        bytes = .decoded(pointer, count: count)
    }

    /// Stores an array.
    init(_ array: [UInt8]) { bytes = .array(array) }

    deinit { if case .decoded(let pointer, _) = bytes { free(pointer) } }

    /// The number of bytes.
    var count: Int {
        switch bytes {
        case .decoded(_, let count): count
        case .array(let array): array.count
        }
    }

    /// Calls a function with the bytes; the pointer is valid only during the call.
    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        switch bytes {
        case .decoded(let pointer, let count):
            body(UnsafeBufferPointer(start: pointer, count: count))
        case .array(let array): array.withUnsafeBufferPointer(body)
        }
    }
}
