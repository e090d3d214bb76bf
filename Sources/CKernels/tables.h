// The kernel tables that dispatch.c chooses from, and kernels that are defined in separate files.

#ifndef TABLES_H
#define TABLES_H

#include "CKernels.h"

// The size of a core's L2 cache, in bytes.
size_t clip_cache_bytes(void);

extern const clip_kernels clip_kernels_scalar;

// Float products with vectors of four floats, and packing, for instruction sets without their own.
void clip_multiply_float32_portable(const clip_product *product);
void clip_pack_portable(const uint32_t *x, size_t stride, size_t rows, size_t n, uint32_t *out);
void clip_pack_bfloat16_portable(const uint16_t *x, size_t stride, size_t rows, size_t n,
                                 uint32_t *out);

#if defined(__x86_64__)

extern const clip_kernels clip_kernels_avx2;
extern const clip_kernels clip_kernels_avx_vnni;
// clip_kernels_avx_vnni in the encoding of AVX-512, so that CPUs with AVX-512 can test it.
extern const clip_kernels clip_kernels_avx512_vnni_256;
void clip_multiply_int8_avx2(const clip_product *product);
void clip_multiply_int8_avx_vnni(const clip_product *product);
void clip_multiply_int8_avx512_vnni_256(const clip_product *product);
void clip_quantize_avx2(const float *x, size_t n, uint8_t *out, float *scale, int32_t *zero);
void clip_quantize_seven_bits_avx2(const float *x, size_t n, uint8_t *out, float *scale,
                                   int32_t *zero);
void clip_quantize_symmetrically_avx2(const float *x, size_t n, int8_t *out, float *scale,
                                      int32_t *sum);
void clip_multiply_float32_avx2(const clip_product *product);
void clip_resize_horizontal_avx2(const uint8_t *rows, size_t stride, size_t count,
                                  const int32_t *starts, const int32_t *counts,
                                  const int32_t *weights, size_t taps, size_t out_width,
                                  uint8_t *out);
void clip_resize_vertical_avx2(const uint8_t *rows, size_t stride, const int32_t *weights,
                               size_t taps, size_t n, uint8_t *out);

extern const clip_kernels clip_kernels_avx512;
extern const clip_kernels clip_kernels_avx512_vnni;
extern const clip_kernels clip_kernels_avx512_bf16;
extern const clip_kernels clip_kernels_amx;
void clip_multiply_float32_avx512(const clip_product *product);
void clip_multiply_bfloat16_avx512(const clip_product *product);
void clip_multiply_int8_avx512(const clip_product *product);
void clip_multiply_bfloat16_amx(const clip_product *product);
void clip_multiply_int8_amx(const clip_product *product);
void clip_resize_horizontal_avx512(const uint8_t *rows, size_t stride, size_t count,
                                  const int32_t *starts, const int32_t *counts,
                                  const int32_t *weights, size_t taps, size_t out_width,
                                  uint8_t *out);
void clip_resize_vertical_avx512(const uint8_t *rows, size_t stride, const int32_t *weights,
                                 size_t taps, size_t n, uint8_t *out);

#elif defined(__aarch64__)

extern const clip_kernels clip_kernels_neon;
void clip_resize_horizontal_neon(const uint8_t *rows, size_t stride, size_t count,
                                  const int32_t *starts, const int32_t *counts,
                                  const int32_t *weights, size_t taps, size_t out_width,
                                  uint8_t *out);
void clip_resize_vertical_neon(const uint8_t *rows, size_t stride, const int32_t *weights,
                               size_t taps, size_t n, uint8_t *out);

#endif

#endif
