// Threads that run the parts of loops, and the cores and the memory that the process may use.

#ifndef CTHREADS_H
#define CTHREADS_H

#include <stddef.h>

#if defined(__clang__)
#define CLIP_THREADS_NULLABLE _Nullable
#pragma clang assume_nonnull begin
#else
#define CLIP_THREADS_NULLABLE
#endif

// Lets malloc keep freed memory, up to 256 MB, where the C library can be told to.
void clip_keep_freed_memory(void);

// The bytes of addresses that this process may use; SIZE_MAX if there is no limit.
size_t clip_address_space_limit(void);

// The number of cores that this process may run on, at least 1.
int clip_available_cores(void);

// Threads that run the parts of one loop after another. Any number of callers may use a team at once:
// a caller that finds it busy runs all parts of its loop itself.
typedef struct clip_team clip_team;

// A team of at most `threads`, the caller's own among them; fewer if the system grants no more. NULL
// if there is no memory for it.
clip_team *CLIP_THREADS_NULLABLE clip_team_create(int threads);
int clip_team_threads(const clip_team *team);

// Runs body(context, 0), body(context, 1), ... at once, and returns when all have.
// 1 <= parts <= clip_team_threads(team).
void clip_team_run(clip_team *team, int parts, void (*body)(void *context, int part),
                   void *context);

void clip_team_destroy(clip_team *team);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
