#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Allocates memory aligned to 64 bytes, a cache line.
///
/// On Linux, blocks of 2 MB or more are aligned to 2 MB, and huge pages are requested for them
/// (`MADV_HUGEPAGE`).
func allocateAligned(byteCount: Int) -> UnsafeMutableRawPointer {
    #if os(Linux)
        let large = 2 << 20
        if byteCount >= large {
            let start = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: large)
            madvise(start, byteCount / large * large, MADV_HUGEPAGE)
            return start
        }
    #endif
    return .allocate(byteCount: byteCount, alignment: 64)
}
