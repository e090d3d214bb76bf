#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Memory that starts at a cache line; of large blocks, in large pages where the system has them.
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
