// Conversion of the sums of a tile to outputs, for the files built for AVX-512.

#ifndef AVX512_PRODUCT_H
#define AVX512_PRODUCT_H

#include "avx512_vectors.h"
#include "product.h"

#pragma clang attribute push(__attribute__((target(AVX512_TARGET), always_inline)), \
                             apply_to = function)

static inline __m256i to_bfloat16(__m512 x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    // Rounding could turn NaN into infinity.
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7FC00000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

// Converts sixteen sums of a row, of any format, to outputs.
static inline void finish_vector(const clip_product *p, __m512 sums, char *y, size_t row,
                                 size_t output, __mmask16 mask, clip_activation activation) {
    if (p->output_scales) {
        __m512i bytes = _mm512_maskz_loadu_epi32(mask, p->output_sums + output);
        __m512i whole = _mm512_sub_epi32(
            _mm512_castps_si512(sums),
            _mm512_mullo_epi32(bytes, _mm512_set1_epi32(p->row_zeros[row])));
        __m512 scale = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, p->output_scales + output),
                                     _mm512_set1_ps(p->row_scales[row]));
        sums = _mm512_mul_ps(_mm512_cvtepi32_ps(whole), scale);
    }
    if (p->bias) sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(mask, p->bias + output));
    if (p->adding) {
        sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(mask, (float *)y + output));
    }
    sums = activate(sums, activation);
    if (p->y_is_bfloat16) {
        _mm256_mask_storeu_epi16((uint16_t *)y + output, mask, to_bfloat16(sums));
    } else {
        _mm512_mask_storeu_ps((float *)y + output, mask, sums);
    }
}

static inline void finish_rows(const clip_product *p, const float *sums, size_t line, size_t row,
                               size_t rows, size_t output, clip_activation activation) {
    size_t there = p->outputs - output;
    __mmask16 first = lanes(there), second = there > 16 ? lanes(there - 16) : 0;
    for (size_t i = 0; i < rows; i++) {
        char *y = (char *)p->y + line * p->y_line_stride + (row + i) * p->y_row_stride;
        const float *s = sums + i * CLIP_PANEL_OUTPUTS;
        finish_vector(p, _mm512_load_ps(s), y, row + i, output, first, activation);
        if (!second) continue;
        finish_vector(p, _mm512_load_ps(s + 16), y, row + i, output + 16, second, activation);
    }
}

#pragma clang attribute pop

// The activation is chosen once for each tile.
__attribute__((target(AVX512_TARGET), unused)) static void finish(
    const clip_product *p, float *sums, size_t line, size_t row, size_t rows, size_t output) {
    switch (p->activation) {
    case CLIP_IDENTITY:
        return finish_rows(p, sums, line, row, rows, output, CLIP_IDENTITY);
    case CLIP_RELU:
        return finish_rows(p, sums, line, row, rows, output, CLIP_RELU);
    case CLIP_QUICK_GELU:
        return finish_rows(p, sums, line, row, rows, output, CLIP_QUICK_GELU);
    case CLIP_GELU:
        return finish_rows(p, sums, line, row, rows, output, CLIP_GELU);
    case CLIP_TANH_GELU:
        return finish_rows(p, sums, line, row, rows, output, CLIP_TANH_GELU);
    }
}

#endif
