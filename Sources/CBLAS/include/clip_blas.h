// Products of float matrices by a BLAS: OpenBLAS, which is loaded when it is first asked for, so that
// a program that computes none neither links nor loads it; on Apple systems Accelerate.
//
// The BLAS runs on the calling thread alone and starts no thread of its own.

#ifndef CLIP_BLAS_H
#define CLIP_BLAS_H

#include <stddef.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// Rows of x and y are computed this many at a time at least: `rows` must be a multiple.
enum { CLIP_BLAS_ROWS = 8 };

// y = x w, or x wᵀ if `is_transposed`. All strides are in floats.
typedef struct {
    const float *x;  // [rows, inputs]
    size_t rows, inputs, x_stride;
    const float *w;  // [inputs, outputs], or [outputs, inputs]
    size_t outputs, w_stride;
    int is_transposed;
    float *y;  // [rows, outputs]
    size_t y_stride;
} clip_blas_product;

// Whether the engine was built, by the trait BLAS.
int clip_blas_is_built(void);

// Returns 0 if this process may use so few addresses (512 MB) that the library is not loaded.
int clip_blas_has_room(void);

// Loads the library, once. Returns 1 if it is there, else 0.
//
// Some kernels of OpenBLAS (Haswell, Zen) round a row differently according to its place among the others.
// Unless the first call says `is_fast`, kernels without this trait are asked for, which the variable
// OPENBLAS_CORETYPE overrides.
int clip_blas_load(int is_fast);

// The most rows that one product may have for the bits of a row not to depend on its place: INT_MAX, or
// CLIP_BLAS_ROWS for a library whose kernels have the trait above. The library must be loaded.
size_t clip_blas_reproducible_rows(void);

// Computes a product on the calling thread. The library must be loaded. Any number of threads may call
// this at once.
void clip_blas_multiply(const clip_blas_product *product);

// The library's name and version, and the kernels in use: "OpenBLAS 0.3.21 …", "SkylakeX". The library must be
// loaded.
const char *clip_blas_version(void);
const char *clip_blas_core(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
