// Products of float matrices with a BLAS: Accelerate on Apple systems, elsewhere OpenBLAS.
//
// OpenBLAS is loaded at the first call that needs it, so a program that makes no such call neither
// links nor loads it. The BLAS runs on the calling thread alone and starts no threads.

#ifndef CLIP_BLAS_H
#define CLIP_BLAS_H

#include <stddef.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// The number of rows of x and y of a product must be a multiple of this.
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

// Returns 1 if the package was built with the trait BLAS.
int clip_blas_is_built(void);

// Returns 0 if the address space of this process is limited to less than 512 MB. The library is
// then not loaded.
int clip_blas_has_room(void);

// Loads the library at the first call. Returns 1 if it is available, else 0.
//
// With some kernels of OpenBLAS (Haswell, Zen), the rounding of a row depends on its position.
// Unless the first call sets `is_fast`, other kernels are requested; the environment variable
// OPENBLAS_CORETYPE overrides this.
int clip_blas_load(int is_fast);

// The largest number of rows of a product in which the bits of a row do not depend on its position:
// INT_MAX, or CLIP_BLAS_ROWS if the kernels round rows differently. The library must be loaded.
size_t clip_blas_reproducible_rows(void);

// Computes a product on the calling thread. Any number of threads may call this at once. The
// library must be loaded.
void clip_blas_multiply(const clip_blas_product *product);

// The name and version of the library, and the kernels in use: "OpenBLAS 0.3.21 …", "SkylakeX". The
// library must be loaded.
const char *clip_blas_version(void);
const char *clip_blas_core(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
