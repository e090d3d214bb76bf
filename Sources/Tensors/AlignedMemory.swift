#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Allocates memory that starts at a cache line.
///
/// On Linux, blocks of at least 2 MB start at a huge page, which the system is asked to use.
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
