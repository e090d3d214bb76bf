#define _GNU_SOURCE
#include "include/CKernels.h"

#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif

int clip_available_cores(void) {
#if defined(__linux__)
    // What taskset and cpusets allow, which may be less than the machine has.
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}
