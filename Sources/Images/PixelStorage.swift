internal import CImageCodecs

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The bytes of an image, taken over from the decoder or from an array, without a copy.
///
/// `@unchecked Sendable`: nothing writes the bytes after `init`, and `deinit` frees them once.
final class PixelStorage: @unchecked Sendable {
    private enum Bytes {
        case decoded(UnsafeMutablePointer<UInt8>, count: Int)
        case array([UInt8])
    }
    private let bytes: Bytes

    /// Takes over memory of `malloc`.
    init(takingOver pointer: UnsafeMutablePointer<UInt8>, count: Int) {
        bytes = .decoded(pointer, count: count)
    }

    init(_ array: [UInt8]) { bytes = .array(array) }

    deinit { if case .decoded(let pointer, _) = bytes { free(pointer) } }

    var count: Int {
        switch bytes {
        case .decoded(_, let count): count
        case .array(let array): array.count
        }
    }

    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        switch bytes {
        case .decoded(let pointer, let count):
            body(UnsafeBufferPointer(start: pointer, count: count))
        case .array(let array): array.withUnsafeBufferPointer(body)
        }
    }
}
