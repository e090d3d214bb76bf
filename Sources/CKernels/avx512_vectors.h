// Functions of a vector of sixteen floats, for the files built for AVX-512.

#ifndef AVX512_VECTORS_H
#define AVX512_VECTORS_H

#include "polynomials.h"
#include "tables.h"

#include <immintrin.h>

#define AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"

// The package is built for the x86-64 baseline; only these functions may use more.
#pragma clang attribute push(__attribute__((target(AVX512_TARGET), always_inline)), \
                             apply_to = function)

// The mask of the first n lanes, or of all. Masked loads and stores do not access the others.
static inline __mmask16 lanes(size_t n) {
    return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xFFFF;
}

static inline __m512 exp_vector(__m512 x) {
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

static inline __m512 quick_gelu(__m512 x) {
    __m512 e = exp_vector(_mm512_mul_ps(x, _mm512_set1_ps(-1.702f)));
    return _mm512_div_ps(x, _mm512_add_ps(e, _mm512_set1_ps(1)));
}

static inline __m512 gelu(__m512 x) {
    __m512 a = _mm512_min_ps(_mm512_set1_ps(TAIL_END), _mm512_abs_ps(x));

    __m512 t = _mm512_fmadd_ps(a, _mm512_set1_ps(TAIL_SLOPE), _mm512_set1_ps(1));
    t = _mm512_div_ps(_mm512_set1_ps(1), t);
    __m512 p = _mm512_set1_ps(tail_coefficients[8]);
    for (int i = 7; i >= 0; i--) {
        p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(tail_coefficients[i]));
    }
    p = _mm512_mul_ps(p, t);

    // exp(-a^2 / 2) magnifies the rounding error of a^2, which is corrected here.
    __m512 square = _mm512_mul_ps(a, a);
    __m512 error = _mm512_fmsub_ps(a, a, square);
    __m512 e = exp_vector(_mm512_mul_ps(square, _mm512_set1_ps(-0.5f)));
    e = _mm512_fmadd_ps(_mm512_mul_ps(error, _mm512_set1_ps(-0.5f)), e, e);

    // x times the cumulative distribution function of the normal distribution at x.
    __m512 weight = _mm512_mul_ps(e, p);
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    weight = _mm512_mask_sub_ps(weight, positive, _mm512_set1_ps(1), weight);
    return _mm512_mul_ps(x, weight);
}

static inline __m512 tanh_gelu(__m512 x) {
    __m512 one = _mm512_set1_ps(1);
    __m512 linear = _mm512_set1_ps(-TANH_LINEAR_HIGH), cubic = _mm512_set1_ps(-TANH_CUBIC_HIGH);
    __m512 a = _mm512_min_ps(_mm512_set1_ps(TAIL_END), _mm512_abs_ps(x));
    __m512 square = _mm512_mul_ps(a, a);
    __m512 slope = _mm512_fmadd_ps(square, cubic, linear);
    __m512 z = _mm512_mul_ps(a, slope);

    // exp(z) magnifies the rounding errors of z, which are corrected here.
    __m512 error = _mm512_fmadd_ps(square, _mm512_set1_ps(-TANH_CUBIC_LOW),
                                   _mm512_set1_ps(-TANH_LINEAR_LOW));
    error = _mm512_fmadd_ps(_mm512_fmsub_ps(a, a, square), cubic, error);
    error = _mm512_add_ps(error, _mm512_fmadd_ps(square, cubic, _mm512_sub_ps(linear, slope)));
    error = _mm512_fmadd_ps(a, error, _mm512_fmsub_ps(a, slope, z));
    __m512 e = exp_vector(z);
    e = _mm512_fmadd_ps(error, e, e);

    // x / (1 + exp(z)), or x / (1 + exp(-z)) for negative x.
    __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    __m512 part = _mm512_mask_mul_ps(x, negative, x, e);
    return _mm512_div_ps(part, _mm512_add_ps(one, e));
}

static inline __m512 activate(__m512 x, clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        return x;
    case CLIP_RELU:
        return _mm512_max_ps(_mm512_setzero_ps(), x);
    case CLIP_QUICK_GELU:
        return quick_gelu(x);
    case CLIP_GELU:
        return gelu(x);
    case CLIP_TANH_GELU:
        return tanh_gelu(x);
    }
    return x;
}

#pragma clang attribute pop

#endif
