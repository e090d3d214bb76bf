// System calls and macros that Swift cannot use directly.

#ifndef CFILES_H
#define CFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#else
#define _Nullable
#endif

// Renames a file of an open folder without replacing anything. Returns 0, or an errno: EEXIST if
// the new name exists; ENOSYS, EINVAL or ENOTSUP if the system or the file system does not support
// this.
int clip_rename_exclusively(int folder, const char *name, int new_folder, const char *new_name);

// True if the process ignores a signal. SIG_IGN and the union in struct sigaction are macros.
bool clip_signal_is_ignored(int signal);

// Lets the kernel begin to write a part of an open file to the disk, without waiting for it.
void clip_begin_transfer(int file, int64_t offset, int64_t count);

// Continues a CRC-32 of zlib, gzip, PNG and Parquet with further bytes; the CRC of no bytes is 0.
uint32_t clip_crc32(uint32_t crc, const void *_Nullable bytes, size_t count);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
