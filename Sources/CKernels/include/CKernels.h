// Fused loops over floats and bytes: a table of functions for each instruction set.
//
// scalar.c is the reference: it is written to be read, and every other file must agree with it.
// No function allocates, and no pointer needs more than the natural alignment of its element.

#ifndef CKERNELS_H
#define CKERNELS_H

#include "CProducts.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

typedef struct {
    // The name: "scalar", "neon", "avx2" or "avx512"; "avx-vnni" or "avx512-vnni" with instructions
    // for products of bytes; "avx512-bf16" with those for bfloat16 too; "amx" with a matrix unit
    // for both. For tests, "avx512-vnni-256" is "avx-vnni" in the encoding of AVX-512.
    const char *name;

    // Products of floats, bfloat16 and bytes; the last two are NULL if the CPU has no instructions
    // for them.
    void (*multiply_float32)(const clip_product *product);
    void (*CLIP_NULLABLE multiply_bfloat16)(const clip_product *product);
    void (*CLIP_NULLABLE multiply_int8)(const clip_product *product);

    // Packs `rows` (at most 32) rows of n words, `stride` words apart, into a panel: word i of a
    // row becomes out[32 i + row]. Missing rows become zeros.
    void (*pack)(const uint32_t *x, size_t stride, size_t rows, size_t n, uint32_t *out);

    // Packs rows of n bfloat16, `stride` numbers apart, widened to floats: number i of a row
    // becomes out[32 i + row]. Missing rows become zeros.
    void (*pack_bfloat16)(const uint16_t *x, size_t stride, size_t rows, size_t n, uint32_t *out);

    // The next three functions are NULL if both multiply_bfloat16 and multiply_int8 are.

    // Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
    void (*CLIP_NULLABLE float32_to_bfloat16)(const float *x, size_t n, uint16_t *out);

    // Quantises to unsigned bytes: x[i] is about scale * (out[i] - zero), and 0 is exact. scale is
    // NaN if any x[i] is not finite. The largest byte is 255, or 127 where multiply_int8 needs that
    // ("avx2", "avx512").
    void (*CLIP_NULLABLE quantize)(const float *x, size_t n, uint8_t *out, float *scale,
                                   int32_t *zero);

    // Quantises to signed bytes: x[i] is about scale * out[i]. Also returns the sum of the bytes.
    void (*CLIP_NULLABLE quantize_symmetrically)(const float *x, size_t n, int8_t *out,
                                                 float *scale, int32_t *sum);

    // out[i] = (x[i] - mean(x)) / sqrt(variance(x) + epsilon) * weight[i] + bias[i].
    // The variance is the mean of squared deviations (two passes). out may be x.
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *out);

    // x[i] = exp(scale * (x[i] - max(x))) / sum over i, in place. n may be 0.
    void (*softmax)(float *x, size_t n, float scale);

    // x[i] = activation(x[i] + bias[i]), in place. bias is zero if NULL.
    void (*bias_activation)(float *x, const float *CLIP_NULLABLE bias, size_t n,
                            clip_activation activation);

    // x[i] += y[i].
    void (*add)(float *x, const float *y, size_t n);

    // x[i] *= factor.
    void (*scale)(float *x, float factor, size_t n);

    // The sum of x[i] * x[i].
    float (*sum_of_squares)(const float *x, size_t n);

    // out[i] = the sum of x[j] * rows[i * stride + j] over j < n, for i < count.
    void (*dot_rows)(const float *x, const float *rows, size_t stride, size_t count, size_t n,
                     float *out);

    // Like dot_rows, for bytes and without rounding; the sum of |x[j]| * 127 must be less than
    // 2^31.
    void (*dot_rows_int8)(const int16_t *x, const int8_t *rows, size_t stride, size_t count,
                          size_t n, int32_t *out);

    // Widen IEEE binary16 and bfloat16. Exact for every bit pattern, except for the payload of NaN.
    void (*float16_to_float32)(const uint16_t *x, size_t n, float *out);
    void (*bfloat16_to_float32)(const uint16_t *x, size_t n, float *out);

    // Pillow's horizontal 8-bit resampling of `count` RGB rows, `stride` bytes apart, to contiguous
    // rows of `out_width` pixels:
    //   out[3 i + c] = clip8((2^21 + sum over j < counts[i] of
    //                         row[3 (starts[i] + j) + c] * weights[i * taps + j]) >> 22).
    // counts[i] <= taps, and no byte outside pixels starts[i] ..< starts[i] + counts[i] is read.
    void (*resize_horizontal)(const uint8_t *rows, size_t stride, size_t count,
                              const int32_t *starts, const int32_t *counts, const int32_t *weights,
                              size_t taps, size_t out_width, uint8_t *out);

    // Pillow's vertical resampling of one row: `n` bytes from `taps` rows, `stride` bytes apart:
    //   out[i] = clip8((2^21 + sum over j < taps of rows[j * stride + i] * weights[j]) >> 22).
    void (*resize_vertical)(const uint8_t *rows, size_t stride, const int32_t *weights,
                            size_t taps, size_t n, uint8_t *out);
} clip_kernels;

// The fastest table that this CPU can run, or the one named by the environment variable CLIP_ISA if
// it is known and the CPU can run it. Chosen at the first call; safe to call from any thread.
const clip_kernels *clip_kernels_current(void);

// The table with a name; NULL if it is not built for this architecture or the CPU cannot run it.
const clip_kernels *CLIP_NULLABLE clip_kernels_named(const char *name);

// The name at an index of the list of tables, the fastest first; NULL after the last one. Not every
// table is built for every architecture.
const char *CLIP_NULLABLE clip_kernels_name(size_t place);

// Returns 1 if float products use portable C, because there are no kernels for the instruction set.
int clip_products_are_portable(void);

// Returns 1 if the CPU is an x86-64 without AVX.
int clip_cpu_is_basic(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
