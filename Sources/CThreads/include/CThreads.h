// Teams of threads that run loops, and the cores and memory that the process may use.

#ifndef CTHREADS_H
#define CTHREADS_H

#include <stddef.h>

#if defined(__clang__)
#define CLIP_THREADS_NULLABLE _Nullable
#pragma clang assume_nonnull begin
#else
#define CLIP_THREADS_NULLABLE
#endif

// Lets malloc keep up to 256 MB of freed memory, if the C library has such an option.
void clip_keep_freed_memory(void);

// Makes glibc's malloc use two arenas instead of eight per core. Each keeps the most that its
// threads ever used at once, so that a process with many threads would grow for hours.
void clip_share_freed_memory(void);

// The limit of the address space of this process, in bytes; SIZE_MAX if there is none.
size_t clip_address_space_limit(void);

// The number of cores that this process may run on, at least 1.
int clip_available_cores(void);

// A team of threads that run the parts of one loop at a time. Any number of threads may call
// clip_team_run at once: if the team is busy, a caller runs all parts of its loop itself.
typedef struct clip_team clip_team;

// Creates a team of `threads` threads, including the caller's, or fewer if the system cannot start
// as many. Returns NULL if there is not enough memory.
clip_team *CLIP_THREADS_NULLABLE clip_team_create(int threads);
int clip_team_threads(const clip_team *team);

// Runs body(context, part) for all parts from 0 on in parallel, and returns when all are done.
// 1 <= parts <= clip_team_threads(team).
void clip_team_run(clip_team *team, int parts, void (*body)(void *context, int part),
                   void *context);

void clip_team_destroy(clip_team *team);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
