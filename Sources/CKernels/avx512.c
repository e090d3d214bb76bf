#if defined(__x86_64__)

#include "avx512_product.h"

#include <math.h>

// The package is built for the x86-64 baseline; only these functions may use more.
#pragma clang attribute push(__attribute__((target(AVX512_TARGET))), apply_to = function)

// MARK: Rows of floats

static float sum(const float *x, size_t n) {
    __m512 sums[4] = {0};
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (int k = 0; k < 4; k++) {
            sums[k] = _mm512_add_ps(sums[k], _mm512_loadu_ps(x + i + 16 * k));
        }
    }
    for (; i < n; i += 16) {
        sums[0] = _mm512_add_ps(sums[0], _mm512_maskz_loadu_ps(lanes(n - i), x + i));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]),
                                              _mm512_add_ps(sums[2], sums[3])));
}

static float sum_of_squared_deviations(const float *x, size_t n, float mean) {
    __m512 m = _mm512_set1_ps(mean);
    __m512 sums[4] = {0};
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (int k = 0; k < 4; k++) {
            __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16 * k), m);
            sums[k] = _mm512_fmadd_ps(d, d, sums[k]);
        }
    }
    for (; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512 d = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), m);
        sums[0] = _mm512_fmadd_ps(d, d, sums[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]),
                                              _mm512_add_ps(sums[2], sums[3])));
}

static float sum_of_squares(const float *x, size_t n) {
    return sum_of_squared_deviations(x, n, 0);
}

static void dot_rows(const float *x, const float *rows, size_t stride, size_t count, size_t n,
                     float *out) {
    for (size_t row = 0; row < count; row++, rows += stride) {
        __m512 sums[4] = {0};
        size_t i = 0;
        for (; i + 64 <= n; i += 64) {
            for (int k = 0; k < 4; k++) {
                sums[k] = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 16 * k),
                                          _mm512_loadu_ps(rows + i + 16 * k), sums[k]);
            }
        }
        for (; i < n; i += 16) {
            __mmask16 mask = lanes(n - i);
            sums[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + i),
                                      _mm512_maskz_loadu_ps(mask, rows + i), sums[0]);
        }
        out[row] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]),
                                                      _mm512_add_ps(sums[2], sums[3])));
    }
}

static void dot_rows_int8(const int16_t *x, const int8_t *rows, size_t stride, size_t count,
                          size_t n, int32_t *out) {
    for (size_t row = 0; row < count; row++, rows += stride) {
        __m512i sums[2] = {0};
        size_t i = 0;
        for (; i + 64 <= n; i += 64) {
            // Each row is read once, from memory: prefetch a few rows ahead.
            _mm_prefetch((const char *)rows + i + 4 * stride, _MM_HINT_T0);
            for (int k = 0; k < 2; k++) {
                __m512i bytes = _mm512_cvtepi8_epi16(
                    _mm256_loadu_si256((const __m256i *)(rows + i + 32 * k)));
                __m512i products = _mm512_madd_epi16(bytes, _mm512_loadu_si512(x + i + 32 * k));
                sums[k] = _mm512_add_epi32(sums[k], products);
            }
        }
        for (; i < n; i += 32) {
            __mmask32 mask = n - i < 32 ? ((__mmask32)1 << (n - i)) - 1 : ~(__mmask32)0;
            __m512i bytes = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(mask, rows + i));
            __m512i products = _mm512_madd_epi16(bytes, _mm512_maskz_loadu_epi16(mask, x + i));
            sums[0] = _mm512_add_epi32(sums[0], products);
        }
        out[row] = _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]));
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *out) {
    float mean = sum(x, n) / n;
    float variance = sum_of_squared_deviations(x, n, mean) / n;
    __m512 m = _mm512_set1_ps(mean);
    __m512 factor = _mm512_set1_ps(1 / sqrtf(variance + epsilon));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), m);
        d = _mm512_fmadd_ps(_mm512_mul_ps(d, factor), _mm512_maskz_loadu_ps(mask, weight + i),
                            _mm512_maskz_loadu_ps(mask, bias + i));
        _mm512_mask_storeu_ps(out + i, mask, d);
    }
}

static void scale(float *x, float factor, size_t n) {
    __m512 f = _mm512_set1_ps(factor);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512 y = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), f);
        _mm512_mask_storeu_ps(x + i, mask, y);
    }
}

static void softmax(float *x, size_t n, float scale_factor) {
    // x is the first argument, so that the maximum skips NaN; it reaches all outputs through the
    // sum.
    __m512 maxima = _mm512_set1_ps(-INFINITY);
    for (size_t i = 0; i < n; i += 16) {
        __m512 y = _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), lanes(n - i), x + i);
        maxima = _mm512_max_ps(y, maxima);
    }
    __m512 max = _mm512_set1_ps(_mm512_reduce_max_ps(maxima));
    __m512 f = _mm512_set1_ps(scale_factor);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512 e = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), max);
        e = exp_vector(_mm512_mul_ps(e, f));
        _mm512_mask_storeu_ps(x + i, mask, e);
    }
    scale(x, 1 / sum(x, n), n);
}

// Inlined, so that the activation is chosen once rather than for every vector.
__attribute__((always_inline)) static inline void apply(float *x, const float *bias, size_t n,
                                                        clip_activation activation) {
    __m512 zero = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512 b = bias == NULL ? zero : _mm512_maskz_loadu_ps(mask, bias + i);
        __m512 y = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, x + i), b);
        _mm512_mask_storeu_ps(x + i, mask, activate(y, activation));
    }
}

static void bias_activation(float *x, const float *bias, size_t n, clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        apply(x, bias, n, CLIP_IDENTITY);
        break;
    case CLIP_RELU:
        apply(x, bias, n, CLIP_RELU);
        break;
    case CLIP_QUICK_GELU:
        apply(x, bias, n, CLIP_QUICK_GELU);
        break;
    case CLIP_GELU:
        apply(x, bias, n, CLIP_GELU);
        break;
    case CLIP_TANH_GELU:
        apply(x, bias, n, CLIP_TANH_GELU);
        break;
    }
}

static void add(float *x, const float *y, size_t n) {
    apply(x, y, n, CLIP_IDENTITY);
}

// MARK: Widening

static void float16_to_float32(const uint16_t *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512 wide = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, x + i));
        _mm512_mask_storeu_ps(out + i, mask, wide);
    }
}

static void bfloat16_to_float32(const uint16_t *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x + i));
        _mm512_mask_storeu_epi32(out + i, mask, _mm512_slli_epi32(wide, 16));
    }
}

static void float32_to_bfloat16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        _mm256_mask_storeu_epi16(out + i, mask, to_bfloat16(_mm512_maskz_loadu_ps(mask, x + i)));
    }
}

// MARK: Bytes

// The smallest and the largest of x and 0; both NaN if any x is not finite.
static void range(const float *x, size_t n, float *smallest, float *largest) {
    __m512 low = _mm512_setzero_ps(), high = low, zero = low;
    __mmask16 bad = 0;
    for (size_t i = 0; i < n; i += 16) {
        __m512 y = _mm512_maskz_loadu_ps(lanes(n - i), x + i);
        low = _mm512_min_ps(low, y);
        high = _mm512_max_ps(high, y);
        bad |= _mm512_cmp_ps_mask(_mm512_sub_ps(y, y), zero, _CMP_NEQ_UQ);
    }
    *smallest = bad ? NAN : _mm512_reduce_min_ps(low);
    *largest = bad ? NAN : _mm512_reduce_max_ps(high);
}

static void quantize(const float *x, size_t n, uint8_t *out, float *scale, int32_t *zero) {
    float smallest, largest;
    range(x, n, &smallest, &largest);
    *scale = (largest - smallest) / 255;
    float factor = *scale > 0 ? 1 / *scale : 0;
    *zero = *scale > 0 ? (int32_t)lrintf(-smallest * factor) : 0;
    __m512 f = _mm512_set1_ps(factor);
    __m512i z = _mm512_set1_epi32(*zero);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), f));
        q = _mm512_max_epi32(_mm512_add_epi32(q, z), _mm512_setzero_si512());
        _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtusepi32_epi8(q));
    }
}

static void quantize_symmetrically(const float *x, size_t n, int8_t *out, float *scale,
                                   int32_t *total) {
    float smallest, largest;
    range(x, n, &smallest, &largest);
    *scale = (largest > -smallest ? largest : -smallest) / 127;
    if (isnan(smallest)) *scale = NAN;
    __m512 f = _mm512_set1_ps(*scale > 0 ? 1 / *scale : 0);
    __m512i all = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), f));
        all = _mm512_add_epi32(all, q);
        _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtsepi32_epi8(q));
    }
    *total = _mm512_reduce_add_epi32(all);
}

// MARK: Panels

// Transposes a 16 x 16 square.
static void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        __m512i b = _mm512_unpackhi_epi32(r[i], r[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]);
        __m512i d = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int i = 0; i < 4; i++) {
        __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
        __m512i b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xDD);
        __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
        __m512i d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xDD);
        r[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(a, c, 0xDD);
        r[i + 12] = _mm512_shuffle_i32x4(b, d, 0xDD);
    }
}

// Transposes 16 rows of up to 16 words into a half of a panel.
static inline void store_transposed(__m512i r[16], size_t words, uint32_t *out) {
    transpose(r);
    for (size_t k = 0; k < 16 && k < words; k++) {
        _mm512_storeu_si512(out + k * CLIP_PANEL_OUTPUTS, r[k]);
    }
}

static void pack(const uint32_t *x, size_t stride, size_t rows, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        for (size_t half = 0; half < CLIP_PANEL_OUTPUTS; half += 16) {
            __m512i r[16];
            for (size_t row = 0; row < 16; row++) {
                r[row] = half + row < rows
                             ? _mm512_maskz_loadu_epi32(mask, x + (half + row) * stride + i)
                             : _mm512_setzero_si512();
            }
            store_transposed(r, n - i, out + i * CLIP_PANEL_OUTPUTS + half);
        }
    }
}

static void pack_bfloat16(const uint16_t *x, size_t stride, size_t rows, size_t n,
                          uint32_t *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = lanes(n - i);
        for (size_t half = 0; half < CLIP_PANEL_OUTPUTS; half += 16) {
            __m512i r[16];
            for (size_t row = 0; row < 16; row++) {
                __m256i numbers = half + row < rows
                                      ? _mm256_maskz_loadu_epi16(
                                            mask, x + (half + row) * stride + i)
                                      : _mm256_setzero_si256();
                r[row] = _mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16);
            }
            store_transposed(r, n - i, out + i * CLIP_PANEL_OUTPUTS + half);
        }
    }
}

#pragma clang attribute pop

// The functions that all tables for AVX-512 share.
#define AVX512_KERNELS \
    .layer_norm = layer_norm,                           \
    .softmax = softmax,                                 \
    .bias_activation = bias_activation,                 \
    .add = add,                                         \
    .scale = scale,                                     \
    .sum_of_squares = sum_of_squares,                   \
    .dot_rows = dot_rows,                               \
    .dot_rows_int8 = dot_rows_int8,                     \
    .float16_to_float32 = float16_to_float32,           \
    .bfloat16_to_float32 = bfloat16_to_float32,         \
    .resize_horizontal = clip_resize_horizontal_avx512, \
    .resize_vertical = clip_resize_vertical_avx512,     \
    .pack = pack,                                       \
    .pack_bfloat16 = pack_bfloat16,                     \
    .float32_to_bfloat16 = float32_to_bfloat16,         \
    .quantize_symmetrically = quantize_symmetrically,   \
    .multiply_float32 = clip_multiply_float32_avx512

// Without VNNI, products of bytes are those of AVX2, and activations have seven bits.
const clip_kernels clip_kernels_avx512 = {
    .name = "avx512",
    AVX512_KERNELS,
    .quantize = clip_quantize_seven_bits_avx2,
    .multiply_int8 = clip_multiply_int8_avx2,
};

const clip_kernels clip_kernels_avx512_vnni = {
    .name = "avx512-vnni",
    AVX512_KERNELS,
    .quantize = quantize,
    .multiply_int8 = clip_multiply_int8_avx512,
};

const clip_kernels clip_kernels_avx512_bf16 = {
    .name = "avx512-bf16",
    AVX512_KERNELS,
    .quantize = quantize,
    .multiply_bfloat16 = clip_multiply_bfloat16_avx512,
    .multiply_int8 = clip_multiply_int8_avx512,
};

const clip_kernels clip_kernels_amx = {
    .name = "amx",
    AVX512_KERNELS,
    .quantize = quantize,
    .multiply_bfloat16 = clip_multiply_bfloat16_amx,
    .multiply_int8 = clip_multiply_int8_amx,
};

#endif
