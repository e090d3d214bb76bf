#define _GNU_SOURCE
#include "tables.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const fastest_first[] = {"amx", "avx512-bf16", "avx512-vnni", "avx512",
                                            "avx-vnni", "avx2", "neon", "scalar"};

#if defined(__x86_64__)
// __builtin_cpu_supports also checks that the operating system saves the registers.
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
}

// VNNI in the encoding of AVX, which CPUs without AVX-512 have.
static bool has_avx_vnni(void) {
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4) != 0;
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_vnni(void) {
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_bf16(void) {
    return has_vnni() && __builtin_cpu_supports("avx512bf16");
}

// On Linux, a process must request the registers of the matrix unit.
static bool has_amx(void) {
    unsigned a, b, c, d;
    const unsigned wanted = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE, AMX-INT8
    if (!has_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & wanted) != wanted) {
        return false;
    }
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}
#endif

const clip_kernels *clip_kernels_named(const char *name) {
    if (strcmp(name, "scalar") == 0) return &clip_kernels_scalar;
#if defined(__x86_64__)
    if (strcmp(name, "avx2") == 0) return has_avx2() ? &clip_kernels_avx2 : NULL;
    if (strcmp(name, "avx-vnni") == 0) return has_avx_vnni() ? &clip_kernels_avx_vnni : NULL;
    if (strcmp(name, "avx512-vnni-256") == 0) {
        return has_vnni() ? &clip_kernels_avx512_vnni_256 : NULL;
    }
    if (strcmp(name, "avx512") == 0) return has_avx512() ? &clip_kernels_avx512 : NULL;
    if (strcmp(name, "avx512-vnni") == 0) return has_vnni() ? &clip_kernels_avx512_vnni : NULL;
    if (strcmp(name, "avx512-bf16") == 0) return has_bf16() ? &clip_kernels_avx512_bf16 : NULL;
    if (strcmp(name, "amx") == 0) return has_amx() ? &clip_kernels_amx : NULL;
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
    // Concurrent threads must agree, even if the environment changes between them.
    const clip_kernels *first = NULL;
    return atomic_compare_exchange_strong(&chosen, &first, table) ? table : first;
}

const char *clip_kernels_name(size_t place) {
    size_t count = sizeof fastest_first / sizeof *fastest_first;
    return place < count ? fastest_first[place] : NULL;
}

int clip_products_are_portable(void) {
    return clip_kernels_current()->multiply_float32 == clip_multiply_float32_portable;
}

int clip_cpu_is_basic(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return !__builtin_cpu_supports("avx");
#else
    return 0;
#endif
}
