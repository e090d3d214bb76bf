#if defined(__aarch64__)

#include "polynomials.h"
#include "tables.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

// MARK: The last floats of a row

// Loads n floats, with zeros in the other lanes.
static float32x4_t load_some(const float *x, size_t n) {
    float values[4] = {0};
    memcpy(values, x, n * sizeof(float));
    return vld1q_f32(values);
}

static void store_some(float *x, size_t n, float32x4_t v) {
    float values[4];
    vst1q_f32(values, v);
    memcpy(x, values, n * sizeof(float));
}

static float32x4_t only_first(size_t n, float32x4_t otherwise, float32x4_t v) {
    static const uint32_t lane[4] = {0, 1, 2, 3};
    return vbslq_f32(vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n)), v, otherwise);
}

// MARK: Functions of one vector

static float32x4_t exp_vector(float32x4_t x) {
    // In NEON, min and max return NaN if one argument is NaN.
    uint32x4_t tiny = vcltq_f32(x, vdupq_n_f32(EXP_SMALLEST));
    x = vminq_f32(x, vdupq_n_f32(EXP_LARGEST));
    x = vmaxq_f32(x, vdupq_n_f32(EXP_SMALLEST));

    float32x4_t k = vrndnq_f32(vmulq_n_f32(x, LOG2_E));
    float32x4_t r = vfmsq_f32(x, k, vdupq_n_f32(LOG_2_HIGH));
    r = vfmsq_f32(r, k, vdupq_n_f32(LOG_2_LOW));

    float32x4_t p = vdupq_n_f32(exp_coefficients[4]);
    for (int i = 3; i >= 0; i--) p = vfmaq_f32(vdupq_n_f32(exp_coefficients[i]), p, r);
    p = vfmaq_f32(r, vmulq_f32(r, r), p);
    p = vaddq_f32(p, vdupq_n_f32(1));

    // k may be 128, but 2^128 is not a finite float: multiply by 2^(k - 1), then by 2.
    int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(k), vdupq_n_s32(127 - 1));
    p = vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
    uint32x4_t bits = vreinterpretq_u32_f32(vaddq_f32(p, p));
    return vreinterpretq_f32_u32(vbicq_u32(bits, tiny));
}

static float32x4_t quick_gelu(float32x4_t x) {
    float32x4_t e = exp_vector(vmulq_n_f32(x, -1.702f));
    return vdivq_f32(x, vaddq_f32(e, vdupq_n_f32(1)));
}

static float32x4_t gelu(float32x4_t x) {
    float32x4_t one = vdupq_n_f32(1);
    float32x4_t a = vminq_f32(vabsq_f32(x), vdupq_n_f32(TAIL_END));

    float32x4_t t = vdivq_f32(one, vfmaq_f32(one, a, vdupq_n_f32(TAIL_SLOPE)));
    float32x4_t p = vdupq_n_f32(tail_coefficients[8]);
    for (int i = 7; i >= 0; i--) p = vfmaq_f32(vdupq_n_f32(tail_coefficients[i]), p, t);
    p = vmulq_f32(p, t);

    // exp(-a^2 / 2) magnifies the rounding error of a^2, which is corrected here.
    float32x4_t square = vmulq_f32(a, a);
    float32x4_t minus_error = vfmsq_f32(square, a, a);
    float32x4_t e = exp_vector(vmulq_n_f32(square, -0.5f));
    e = vfmaq_f32(e, vmulq_n_f32(minus_error, 0.5f), e);

    // x times the cumulative distribution function of the normal distribution at x.
    float32x4_t weight = vmulq_f32(e, p);
    uint32x4_t positive = vcgtq_f32(x, vdupq_n_f32(0));
    return vmulq_f32(x, vbslq_f32(positive, vsubq_f32(one, weight), weight));
}

static float32x4_t tanh_gelu(float32x4_t x) {
    float32x4_t one = vdupq_n_f32(1);
    float32x4_t linear = vdupq_n_f32(-TANH_LINEAR_HIGH), cubic = vdupq_n_f32(-TANH_CUBIC_HIGH);
    float32x4_t a = vminq_f32(vabsq_f32(x), vdupq_n_f32(TAIL_END));
    float32x4_t square = vmulq_f32(a, a);
    float32x4_t slope = vfmaq_f32(linear, square, cubic);
    float32x4_t z = vmulq_f32(a, slope);

    // exp(z) magnifies the rounding errors of z, which are corrected here.
    float32x4_t error =
        vfmaq_f32(vdupq_n_f32(-TANH_LINEAR_LOW), square, vdupq_n_f32(-TANH_CUBIC_LOW));
    error = vfmsq_f32(error, vfmsq_f32(square, a, a), cubic);
    error = vaddq_f32(error, vfmaq_f32(vsubq_f32(linear, slope), square, cubic));
    float32x4_t minus_error = vfmsq_f32(vfmsq_f32(z, a, slope), a, error);
    float32x4_t e = exp_vector(z);
    e = vfmsq_f32(e, minus_error, e);

    // x / (1 + exp(z)), or x / (1 + exp(-z)) for negative x.
    float32x4_t part = vbslq_f32(vcltq_f32(x, vdupq_n_f32(0)), vmulq_f32(x, e), x);
    return vdivq_f32(part, vaddq_f32(one, e));
}

__attribute__((always_inline)) static inline float32x4_t activate(float32x4_t x,
                                                                  clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        return x;
    case CLIP_RELU:
        return vmaxq_f32(x, vdupq_n_f32(0));
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
    float32x4_t sums[4] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 4; k++) sums[k] = vaddq_f32(sums[k], vld1q_f32(x + i + 4 * k));
    }
    for (; i + 4 <= n; i += 4) sums[0] = vaddq_f32(sums[0], vld1q_f32(x + i));
    if (i < n) sums[1] = vaddq_f32(sums[1], load_some(x + i, n - i));
    return vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
}

static float sum_of_squared_deviations(const float *x, size_t n, float mean) {
    float32x4_t m = vdupq_n_f32(mean);
    float32x4_t sums[4] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 4; k++) {
            float32x4_t d = vsubq_f32(vld1q_f32(x + i + 4 * k), m);
            sums[k] = vfmaq_f32(sums[k], d, d);
        }
    }
    for (; i + 4 <= n; i += 4) {
        float32x4_t d = vsubq_f32(vld1q_f32(x + i), m);
        sums[0] = vfmaq_f32(sums[0], d, d);
    }
    if (i < n) {
        float32x4_t d = vsubq_f32(load_some(x + i, n - i), m);
        d = only_first(n - i, vdupq_n_f32(0), d);
        sums[1] = vfmaq_f32(sums[1], d, d);
    }
    return vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
}

static float sum_of_squares(const float *x, size_t n) {
    return sum_of_squared_deviations(x, n, 0);
}

static void dot_rows(const float *x, const float *rows, size_t stride, size_t count, size_t n,
                     float *out) {
    for (size_t row = 0; row < count; row++, rows += stride) {
        float32x4_t sums[4] = {0};
        size_t i = 0;
        for (; i + 16 <= n; i += 16) {
            for (int k = 0; k < 4; k++) {
                sums[k] = vfmaq_f32(sums[k], vld1q_f32(x + i + 4 * k), vld1q_f32(rows + i + 4 * k));
            }
        }
        float rest = 0;
        for (; i < n; i++) rest += x[i] * rows[i];
        out[row] = rest + vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]),
                                               vaddq_f32(sums[2], sums[3])));
    }
}

static void dot_rows_int8(const int16_t *x, const int8_t *rows, size_t stride, size_t count,
                          size_t n, int32_t *out) {
    for (size_t row = 0; row < count; row++, rows += stride) {
        int32x4_t sums[2] = {0};
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            int16x8_t bytes = vmovl_s8(vld1_s8(rows + i));
            int16x8_t factors = vld1q_s16(x + i);
            sums[0] = vmlal_s16(sums[0], vget_low_s16(bytes), vget_low_s16(factors));
            sums[1] = vmlal_high_s16(sums[1], bytes, factors);
        }
        int32_t rest = 0;
        for (; i < n; i++) rest += x[i] * rows[i];
        out[row] = rest + vaddvq_s32(vaddq_s32(sums[0], sums[1]));
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *out) {
    float mean = sum(x, n) / n;
    float variance = sum_of_squared_deviations(x, n, mean) / n;
    float32x4_t m = vdupq_n_f32(mean);
    float factor = 1 / sqrtf(variance + epsilon);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t d = vmulq_n_f32(vsubq_f32(vld1q_f32(x + i), m), factor);
        vst1q_f32(out + i, vfmaq_f32(vld1q_f32(bias + i), d, vld1q_f32(weight + i)));
    }
    if (i < n) {
        float32x4_t d = vmulq_n_f32(vsubq_f32(load_some(x + i, n - i), m), factor);
        d = vfmaq_f32(load_some(bias + i, n - i), d, load_some(weight + i, n - i));
        store_some(out + i, n - i, d);
    }
}

static void scale(float *x, float factor, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(x + i, vmulq_n_f32(vld1q_f32(x + i), factor));
    for (; i < n; i++) x[i] *= factor;
}

static void softmax(float *x, size_t n, float scale_factor) {
    // NaN reaches every entry, through the maximum.
    float32x4_t maxima = vdupq_n_f32(-INFINITY);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) maxima = vmaxq_f32(maxima, vld1q_f32(x + i));
    if (i < n) {
        float32x4_t rest = load_some(x + i, n - i);
        maxima = vmaxq_f32(maxima, only_first(n - i, vdupq_n_f32(-INFINITY), rest));
    }
    float32x4_t max = vdupq_n_f32(vmaxvq_f32(maxima));
    for (i = 0; i + 4 <= n; i += 4) {
        float32x4_t e = vsubq_f32(vld1q_f32(x + i), max);
        e = exp_vector(vmulq_n_f32(e, scale_factor));
        vst1q_f32(x + i, e);
    }
    if (i < n) {
        float32x4_t e = vsubq_f32(load_some(x + i, n - i), max);
        e = exp_vector(vmulq_n_f32(e, scale_factor));
        store_some(x + i, n - i, e);
    }
    scale(x, 1 / sum(x, n), n);
}

// Inlined, so that the activation is chosen once rather than for every vector.
__attribute__((always_inline)) static inline void apply(float *x, const float *bias, size_t n,
                                                        clip_activation activation) {
    float32x4_t zero = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t b = bias == NULL ? zero : vld1q_f32(bias + i);
        vst1q_f32(x + i, activate(vaddq_f32(vld1q_f32(x + i), b), activation));
    }
    if (i < n) {
        float32x4_t b = bias == NULL ? zero : load_some(bias + i, n - i);
        float32x4_t y = activate(vaddq_f32(load_some(x + i, n - i), b), activation);
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
    for (; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x + i))));
    }
    if (i < n) {
        uint16_t rest[4] = {0};
        memcpy(rest, x + i, (n - i) * sizeof(uint16_t));
        store_some(out + i, n - i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(rest))));
    }
}

static void bfloat16_to_float32(const uint16_t *x, size_t n, float *out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(x + i), 16)));
    }
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

const clip_kernels clip_kernels_neon = {
    .name = "neon",
    .layer_norm = layer_norm,
    .softmax = softmax,
    .bias_activation = bias_activation,
    .add = add,
    .scale = scale,
    .sum_of_squares = sum_of_squares,
    .dot_rows = dot_rows,
    .dot_rows_int8 = dot_rows_int8,
    .float16_to_float32 = float16_to_float32,
    .bfloat16_to_float32 = bfloat16_to_float32,
    .pack = clip_pack_portable,
    .pack_bfloat16 = clip_pack_bfloat16_portable,
    .multiply_float32 = clip_multiply_float32_portable,
    .resize_horizontal = clip_resize_horizontal_neon,
    .resize_vertical = clip_resize_vertical_neon,
};

#endif
