// System calls that Swift cannot make by itself.

#ifndef CFILES_H
#define CFILES_H

#include <stdbool.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// Renames a file of an open folder without replacing anything. Returns 0 or the error: EEXIST if
// the new name is taken; ENOSYS, EINVAL or ENOTSUP if the system or the file system cannot do this.
int clip_rename_exclusively(int folder, const char *name, int new_folder, const char *new_name);

// True if the process ignores a signal. SIG_IGN and the union in struct sigaction are macros.
bool clip_signal_is_ignored(int signal);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
