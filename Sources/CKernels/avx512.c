#if defined(__x86_64__)

#include "polynomials.h"
#include "tables.h"

#include <immintrin.h>
#include <math.h>

// The package is built for the oldest x86-64; only what stands here may use more.
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
    apply_to = function)

// The lanes that exist, for `n` floats to go. Loads and stores under the mask touch no others.
static __mmask16 lanes(size_t n) {
    return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xFFFF;
}

// MARK: Functions of one vector

static __m512 exp_vector(__m512 x) {
    // min and max return their second argument if one is NaN, so NaN passes through.
    __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_SMALLEST), _CMP_NLT_UQ);
    x = _mm512_min_ps(_mm512_set1_ps(EXP_LARGEST), x);
    x = _mm512_max_ps(_mm512_set1_ps(EXP_SMALLEST), x);

    __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(LOG2_E)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(LOG_2_HIGH), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(LOG_2_LOW), r);

    __m512 p = _mm512_set1_ps(exp_coefficients[4]);
    for (int i = 3; i >= 0; i--) {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(exp_coefficients[i]));
    }
    p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r);
    p = _mm512_add_ps(p, _mm512_set1_ps(1));
    return _mm512_maskz_scalef_ps(normal, p, k);
}

static __m512 quick_gelu(__m512 x) {
    __m512 e = exp_vector(_mm512_mul_ps(x, _mm512_set1_ps(-1.702f)));
    return _mm512_div_ps(x, _mm512_add_ps(e, _mm512_set1_ps(1)));
}

static __m512 gelu(__m512 x) {
    __m512 a = _mm512_min_ps(_mm512_set1_ps(TAIL_END), _mm512_abs_ps(x));

    __m512 t = _mm512_fmadd_ps(a, _mm512_set1_ps(TAIL_SLOPE), _mm512_set1_ps(1));
    t = _mm512_div_ps(_mm512_set1_ps(1), t);
    __m512 p = _mm512_set1_ps(tail_coefficients[8]);
    for (int i = 7; i >= 0; i--) {
        p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(tail_coefficients[i]));
    }
    p = _mm512_mul_ps(p, t);

    // exp(-a^2 / 2) magnifies the rounding error of a^2, so take that out again.
    __m512 square = _mm512_mul_ps(a, a);
    __m512 error = _mm512_fmsub_ps(a, a, square);
    __m512 e = exp_vector(_mm512_mul_ps(square, _mm512_set1_ps(-0.5f)));
    e = _mm512_fmadd_ps(_mm512_mul_ps(error, _mm512_set1_ps(-0.5f)), e, e);

    // x times the weight of the normal distribution below x.
    __m512 weight = _mm512_mul_ps(e, p);
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    weight = _mm512_mask_sub_ps(weight, positive, _mm512_set1_ps(1), weight);
    return _mm512_mul_ps(x, weight);
}

__attribute__((always_inline)) static inline __m512 activate(__m512 x, clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        return x;
    case CLIP_RELU:
        return _mm512_max_ps(_mm512_setzero_ps(), x);
    case CLIP_QUICK_GELU:
        return quick_gelu(x);
    case CLIP_GELU:
        return gelu(x);
    }
    return x;
}

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
    // x comes first, so that the maximum skips NaN, which reaches every entry through the sum.
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

// Inlined, so that the choice of the activation is made once and not for every vector.
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

#pragma clang attribute pop

const clip_kernels clip_kernels_avx512 = {
    .name = "avx512",
    .layer_norm = layer_norm,
    .softmax = softmax,
    .bias_activation = bias_activation,
    .add = add,
    .scale = scale,
    .sum_of_squares = sum_of_squares,
    .float16_to_float32 = float16_to_float32,
    .bfloat16_to_float32 = bfloat16_to_float32,
    .resize_horizontal = clip_resize_horizontal_avx512,
    .resize_vertical = clip_resize_vertical_avx512,
};

#endif
