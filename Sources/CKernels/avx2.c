#if defined(__x86_64__)

#include "polynomials.h"
#include "tables.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

// The package is built for the x86-64 baseline; only these functions may use more.
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

// MARK: The last floats of a row

static __m256i first_lanes(size_t n) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

// Loads n floats, with zeros in the other lanes.
static __m256 load_some(const float *x, size_t n) {
    return _mm256_maskload_ps(x, first_lanes(n));
}

static void store_some(float *x, size_t n, __m256 values) {
    _mm256_maskstore_ps(x, first_lanes(n), values);
}

// MARK: Across lanes

static float sum_lanes(__m256 x) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

static float max_lanes(__m256 x) {
    __m128 max = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    max = _mm_max_ps(max, _mm_movehl_ps(max, max));
    return _mm_cvtss_f32(_mm_max_ss(max, _mm_movehdup_ps(max)));
}

// MARK: Functions of one vector

static __m256 exp_vector(__m256 x) {
    // min and max return their second argument if one is NaN, so NaN passes through.
    __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_SMALLEST), _CMP_LT_OQ);
    x = _mm256_min_ps(_mm256_set1_ps(EXP_LARGEST), x);
    x = _mm256_max_ps(_mm256_set1_ps(EXP_SMALLEST), x);

    __m256 k = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(LOG2_E)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(LOG_2_HIGH), x);
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(LOG_2_LOW), r);

    __m256 p = _mm256_set1_ps(exp_coefficients[4]);
    for (int i = 3; i >= 0; i--) {
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_coefficients[i]));
    }
    p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1));

    // k may be 128, but 2^128 is not a finite float: multiply by 2^(k - 1), then by 2.
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127 - 1));
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    return _mm256_andnot_ps(tiny, _mm256_add_ps(p, p));
}

static __m256 quick_gelu(__m256 x) {
    __m256 e = exp_vector(_mm256_mul_ps(x, _mm256_set1_ps(-1.702f)));
    return _mm256_div_ps(x, _mm256_add_ps(e, _mm256_set1_ps(1)));
}

static __m256 gelu(__m256 x) {
    __m256 a = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    a = _mm256_min_ps(_mm256_set1_ps(TAIL_END), a);

    __m256 t = _mm256_fmadd_ps(a, _mm256_set1_ps(TAIL_SLOPE), _mm256_set1_ps(1));
    t = _mm256_div_ps(_mm256_set1_ps(1), t);
    __m256 p = _mm256_set1_ps(tail_coefficients[8]);
    for (int i = 7; i >= 0; i--) {
        p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(tail_coefficients[i]));
    }
    p = _mm256_mul_ps(p, t);

    // exp(-a^2 / 2) magnifies the rounding error of a^2, which is corrected here.
    __m256 square = _mm256_mul_ps(a, a);
    __m256 error = _mm256_fmsub_ps(a, a, square);
    __m256 e = exp_vector(_mm256_mul_ps(square, _mm256_set1_ps(-0.5f)));
    e = _mm256_fmadd_ps(_mm256_mul_ps(error, _mm256_set1_ps(-0.5f)), e, e);

    // x times the cumulative distribution function of the normal distribution at x.
    __m256 beyond = _mm256_mul_ps(e, p);
    __m256 within = _mm256_sub_ps(_mm256_set1_ps(1), beyond);
    return _mm256_mul_ps(x, _mm256_blendv_ps(within, beyond, x));
}

static __m256 tanh_gelu(__m256 x) {
    __m256 one = _mm256_set1_ps(1);
    __m256 linear = _mm256_set1_ps(-TANH_LINEAR_HIGH), cubic = _mm256_set1_ps(-TANH_CUBIC_HIGH);
    __m256 a = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    a = _mm256_min_ps(_mm256_set1_ps(TAIL_END), a);
    __m256 square = _mm256_mul_ps(a, a);
    __m256 slope = _mm256_fmadd_ps(square, cubic, linear);
    __m256 z = _mm256_mul_ps(a, slope);

    // exp(z) magnifies the rounding errors of z, which are corrected here.
    __m256 error = _mm256_fmadd_ps(square, _mm256_set1_ps(-TANH_CUBIC_LOW),
                                   _mm256_set1_ps(-TANH_LINEAR_LOW));
    error = _mm256_fmadd_ps(_mm256_fmsub_ps(a, a, square), cubic, error);
    error = _mm256_add_ps(error, _mm256_fmadd_ps(square, cubic, _mm256_sub_ps(linear, slope)));
    error = _mm256_fmadd_ps(a, error, _mm256_fmsub_ps(a, slope, z));
    __m256 e = exp_vector(z);
    e = _mm256_fmadd_ps(error, e, e);

    // x / (1 + exp(z)), or x / (1 + exp(-z)) for negative x.
    __m256 part = _mm256_blendv_ps(one, e, x);
    return _mm256_div_ps(_mm256_mul_ps(x, part), _mm256_add_ps(one, e));
}

__attribute__((always_inline)) static inline __m256 activate(__m256 x, clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        return x;
    case CLIP_RELU:
        return _mm256_max_ps(_mm256_setzero_ps(), x);
    case CLIP_QUICK_GELU:
        return quick_gelu(x);
    case CLIP_GELU:
        return gelu(x);
    case CLIP_TANH_GELU:
        return tanh_gelu(x);
    }
    return x;
}

// MARK: Rows of floats

static float sum(const float *x, size_t n) {
    __m256 sums[4] = {0};
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        for (int k = 0; k < 4; k++) {
            sums[k] = _mm256_add_ps(sums[k], _mm256_loadu_ps(x + i + 8 * k));
        }
    }
    for (; i + 8 <= n; i += 8) sums[0] = _mm256_add_ps(sums[0], _mm256_loadu_ps(x + i));
    if (i < n) sums[1] = _mm256_add_ps(sums[1], load_some(x + i, n - i));
    return sum_lanes(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]),
                                   _mm256_add_ps(sums[2], sums[3])));
}

static float sum_of_squared_deviations(const float *x, size_t n, float mean) {
    __m256 m = _mm256_set1_ps(mean);
    __m256 sums[4] = {0};
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        for (int k = 0; k < 4; k++) {
            __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i + 8 * k), m);
            sums[k] = _mm256_fmadd_ps(d, d, sums[k]);
        }
    }
    for (; i + 8 <= n; i += 8) {
        __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i), m);
        sums[0] = _mm256_fmadd_ps(d, d, sums[0]);
    }
    if (i < n) {
        __m256 d = _mm256_sub_ps(load_some(x + i, n - i), m);
        d = _mm256_and_ps(d, _mm256_castsi256_ps(first_lanes(n - i)));
        sums[1] = _mm256_fmadd_ps(d, d, sums[1]);
    }
    return sum_lanes(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]),
                                   _mm256_add_ps(sums[2], sums[3])));
}

static float sum_of_squares(const float *x, size_t n) {
    return sum_of_squared_deviations(x, n, 0);
}

static void dot_rows(const float *x, const float *rows, size_t stride, size_t count, size_t n,
                     float *out) {
    for (size_t row = 0; row < count; row++, rows += stride) {
        __m256 sums[4] = {0};
        size_t i = 0;
        for (; i + 32 <= n; i += 32) {
            for (int k = 0; k < 4; k++) {
                sums[k] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8 * k),
                                          _mm256_loadu_ps(rows + i + 8 * k), sums[k]);
            }
        }
        for (; i + 8 <= n; i += 8) {
            sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(rows + i), sums[0]);
        }
        if (i < n) {
            sums[1] = _mm256_fmadd_ps(load_some(x + i, n - i), load_some(rows + i, n - i), sums[1]);
        }
        out[row] = sum_lanes(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]),
                                           _mm256_add_ps(sums[2], sums[3])));
    }
}

static void dot_rows_int8(const int16_t *x, const int8_t *rows, size_t stride, size_t count,
                          size_t n, int32_t *out) {
    for (size_t row = 0; row < count; row++, rows += stride) {
        __m256i sums = _mm256_setzero_si256();
        size_t i = 0;
        for (; i + 16 <= n; i += 16) {
            __m256i bytes = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(rows + i)));
            __m256i factors = _mm256_loadu_si256((const __m256i *)(x + i));
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(bytes, factors));
        }
        int32_t rest = 0;
        for (; i < n; i++) rest += x[i] * rows[i];
        int32_t parts[8];
        _mm256_storeu_si256((__m256i *)parts, sums);
        for (int k = 0; k < 8; k++) rest += parts[k];
        out[row] = rest;
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *out) {
    float mean = sum(x, n) / n;
    float variance = sum_of_squared_deviations(x, n, mean) / n;
    __m256 m = _mm256_set1_ps(mean);
    __m256 factor = _mm256_set1_ps(1 / sqrtf(variance + epsilon));
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 d = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), m), factor);
        d = _mm256_fmadd_ps(d, _mm256_loadu_ps(weight + i), _mm256_loadu_ps(bias + i));
        _mm256_storeu_ps(out + i, d);
    }
    if (i < n) {
        __m256 d = _mm256_mul_ps(_mm256_sub_ps(load_some(x + i, n - i), m), factor);
        d = _mm256_fmadd_ps(d, load_some(weight + i, n - i), load_some(bias + i, n - i));
        store_some(out + i, n - i, d);
    }
}

static void scale(float *x, float factor, size_t n) {
    __m256 f = _mm256_set1_ps(factor);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), f));
    if (i < n) store_some(x + i, n - i, _mm256_mul_ps(load_some(x + i, n - i), f));
}

static void softmax(float *x, size_t n, float scale_factor) {
    // x is the first argument, so that the maximum skips NaN; it reaches all outputs through the
    // sum.
    __m256 maxima = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) maxima = _mm256_max_ps(_mm256_loadu_ps(x + i), maxima);
    if (i < n) {
        __m256 rest = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), load_some(x + i, n - i),
                                       _mm256_castsi256_ps(first_lanes(n - i)));
        maxima = _mm256_max_ps(rest, maxima);
    }
    __m256 max = _mm256_set1_ps(max_lanes(maxima));
    __m256 f = _mm256_set1_ps(scale_factor);
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 e = _mm256_sub_ps(_mm256_loadu_ps(x + i), max);
        e = exp_vector(_mm256_mul_ps(e, f));
        _mm256_storeu_ps(x + i, e);
    }
    if (i < n) {
        __m256 e = _mm256_sub_ps(load_some(x + i, n - i), max);
        e = exp_vector(_mm256_mul_ps(e, f));
        store_some(x + i, n - i, e);
    }
    scale(x, 1 / sum(x, n), n);
}

// Inlined, so that the activation is chosen once rather than for every vector.
__attribute__((always_inline)) static inline void apply(float *x, const float *bias, size_t n,
                                                        clip_activation activation) {
    __m256 zero = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 b = bias == NULL ? zero : _mm256_loadu_ps(bias + i);
        _mm256_storeu_ps(x + i, activate(_mm256_add_ps(_mm256_loadu_ps(x + i), b), activation));
    }
    if (i < n) {
        __m256 b = bias == NULL ? zero : load_some(bias + i, n - i);
        __m256 y = activate(_mm256_add_ps(load_some(x + i, n - i), b), activation);
        store_some(x + i, n - i, y);
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
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
    }
    for (; i < n; i++) out[i] = _cvtsh_ss(x[i]);
}

static void bfloat16_to_float32(const uint16_t *x, size_t n, float *out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(x + i)));
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

#pragma clang attribute pop

// The functions that all tables for AVX2 share.
#define AVX2_KERNELS                                           \
    .layer_norm = layer_norm,                                  \
    .softmax = softmax,                                        \
    .bias_activation = bias_activation,                        \
    .add = add,                                                \
    .scale = scale,                                            \
    .sum_of_squares = sum_of_squares,                          \
    .dot_rows = dot_rows,                                      \
    .dot_rows_int8 = dot_rows_int8,                            \
    .float16_to_float32 = float16_to_float32,                  \
    .bfloat16_to_float32 = bfloat16_to_float32,                \
    .resize_horizontal = clip_resize_horizontal_avx2,          \
    .resize_vertical = clip_resize_vertical_avx2,              \
    .pack = clip_pack_portable,                                \
    .pack_bfloat16 = clip_pack_bfloat16_portable,              \
    .quantize_symmetrically = clip_quantize_symmetrically_avx2, \
    .multiply_float32 = clip_multiply_float32_avx2

const clip_kernels clip_kernels_avx2 = {
    .name = "avx2",
    AVX2_KERNELS,
    .quantize = clip_quantize_seven_bits_avx2,
    .multiply_int8 = clip_multiply_int8_avx2,
};

const clip_kernels clip_kernels_avx_vnni = {
    .name = "avx-vnni",
    AVX2_KERNELS,
    .quantize = clip_quantize_avx2,
    .multiply_int8 = clip_multiply_int8_avx_vnni,
};

const clip_kernels clip_kernels_avx512_vnni_256 = {
    .name = "avx512-vnni-256",
    AVX2_KERNELS,
    .quantize = clip_quantize_avx2,
    .multiply_int8 = clip_multiply_int8_avx512_vnni_256,
};

#endif
