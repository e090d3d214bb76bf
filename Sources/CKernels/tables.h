// The tables that dispatch.c chooses from, and the functions that have a file of their own.

#ifndef TABLES_H
#define TABLES_H

#include "CKernels.h"

extern const clip_kernels clip_kernels_scalar;

#if defined(__x86_64__)

extern const clip_kernels clip_kernels_avx2;
void clip_resize_horizontal_avx2(const uint8_t *row, const int32_t *starts, const int32_t *counts,
                                 const int32_t *weights, size_t taps, size_t out_width,
                                 uint8_t *out);
void clip_resize_vertical_avx2(const uint8_t *rows, size_t stride, const int32_t *weights,
                               size_t taps, size_t n, uint8_t *out);

extern const clip_kernels clip_kernels_avx512;
void clip_resize_horizontal_avx512(const uint8_t *row, const int32_t *starts,
                                   const int32_t *counts, const int32_t *weights, size_t taps,
                                   size_t out_width, uint8_t *out);
void clip_resize_vertical_avx512(const uint8_t *rows, size_t stride, const int32_t *weights,
                                 size_t taps, size_t n, uint8_t *out);

#elif defined(__aarch64__)

extern const clip_kernels clip_kernels_neon;
void clip_resize_horizontal_neon(const uint8_t *row, const int32_t *starts, const int32_t *counts,
                                 const int32_t *weights, size_t taps, size_t out_width,
                                 uint8_t *out);
void clip_resize_vertical_neon(const uint8_t *rows, size_t stride, const int32_t *weights,
                               size_t taps, size_t n, uint8_t *out);

#endif

#endif
