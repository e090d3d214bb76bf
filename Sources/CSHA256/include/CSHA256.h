// SHA-256 of bytes in memory, and git's blob hashes.

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

// Computes the SHA-256 of `count` bytes and stores its 32 bytes in `digest`. `bytes` may be NULL if
// count is 0. If `portably` is 1, the SHA instructions of the CPU are not used.
void clip_sha256(const uint8_t *CLIP_SHA_NULLABLE bytes, size_t count, int portably,
                 uint8_t *digest);

// Computes the git blob hash (SHA-1) of a file of `count` bytes and stores its 20 bytes in
// `digest`. `bytes` may be NULL if count is 0.
void clip_git_blob_sha1(const uint8_t *CLIP_SHA_NULLABLE bytes, size_t count, uint8_t *digest);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
