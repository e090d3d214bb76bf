#define _GNU_SOURCE
#include "CThreads.h"

#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

void clip_keep_freed_memory(void) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    // Each arena reserves 64 MB of addresses: too many for each thread under a small limit.
    if (clip_address_space_limit() < (size_t)1 << 32) mallopt(M_ARENA_MAX, 1);
#endif
}

void clip_share_freed_memory(void) {
#if defined(__GLIBC__)
    if (clip_address_space_limit() >= (size_t)1 << 32) mallopt(M_ARENA_MAX, 2);
#endif
}

size_t clip_address_space_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

int clip_available_cores(void) {
#if defined(__linux__)
    // taskset and cpusets may allow fewer cores than the machine has.
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}
