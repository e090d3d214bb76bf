#include "tables.h"

#include <stdatomic.h>
#include <unistd.h>

size_t clip_cache_bytes(void) {
    // 1 MB if the system does not tell, and at least 256 KB.
    static _Atomic(size_t) known;
    size_t bytes = atomic_load_explicit(&known, memory_order_relaxed);
    if (bytes) return bytes;
    long found = -1;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    found = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    bytes = found <= 0 ? 1 << 20 : found < 1 << 18 ? 1 << 18 : (size_t)found;
    atomic_store_explicit(&known, bytes, memory_order_relaxed);
    return bytes;
}
