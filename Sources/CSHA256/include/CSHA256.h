// SHA-256 of bytes in memory, and the SHA-1 that git gives to files.

#ifndef CSHA256_H
#define CSHA256_H

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#define CLIP_SHA_NULLABLE _Nullable
#pragma clang assume_nonnull begin
#else
#define CLIP_SHA_NULLABLE
#endif

// Computes the SHA-256 of `count` bytes: 32 bytes. `bytes` may be NULL if count is 0. `portably` is
// 1 to do without the SHA instructions of the CPU.
void clip_sha256(const uint8_t *CLIP_SHA_NULLABLE bytes, size_t count, int portably,
                 uint8_t *digest);

// Computes the SHA-1 that git gives to a file of `count` bytes: 20 bytes. `bytes` may be NULL if
// count is 0.
void clip_git_blob_sha1(const uint8_t *CLIP_SHA_NULLABLE bytes, size_t count, uint8_t *digest);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
