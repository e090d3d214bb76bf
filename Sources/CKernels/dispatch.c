#include "tables.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const fastest_first[] = {"avx512", "avx2", "neon", "scalar"};

#if defined(__x86_64__)
// These look at what the operating system saves on a context switch, too.
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const clip_kernels *clip_kernels_named(const char *name) {
    if (strcmp(name, "scalar") == 0) return &clip_kernels_scalar;
#if defined(__x86_64__)
    if (strcmp(name, "avx2") == 0) return has_avx2() ? &clip_kernels_avx2 : NULL;
    if (strcmp(name, "avx512") == 0) return has_avx512() ? &clip_kernels_avx512 : NULL;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return &clip_kernels_neon;
#endif
    return NULL;
}

const clip_kernels *clip_kernels_current(void) {
    static _Atomic(const clip_kernels *) chosen;

    const clip_kernels *table = atomic_load_explicit(&chosen, memory_order_acquire);
    if (table != NULL) return table;

    const char *wanted = getenv("CLIP_ISA");
    if (wanted != NULL) table = clip_kernels_named(wanted);
    for (size_t i = 0; table == NULL; i++) {
        table = clip_kernels_named(fastest_first[i]);
    }
    // Threads that come here together must agree, even if one of them changes the environment.
    const clip_kernels *first = NULL;
    return atomic_compare_exchange_strong(&chosen, &first, table) ? table : first;
}
