// What Swift cannot ask of the system by itself.

#ifndef CFILES_H
#define CFILES_H

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// Gives a file of an open folder another name, which nothing may have yet. Returns 0 or the error:
// EEXIST if the name is taken, ENOSYS, EINVAL or ENOTSUP if the system or the disk cannot do this.
int clip_rename_exclusively(int folder, const char *name, int new_folder, const char *new_name);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
