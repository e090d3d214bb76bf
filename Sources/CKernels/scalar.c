// The reference implementation. Sums are in double, so that the other files can be tested against
// it.

#include "tables.h"

#include <math.h>
#include <string.h>

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *out) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    double mean = sum / n;

    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    double deviation = sqrt(squares / n + epsilon);

    for (size_t i = 0; i < n; i++) {
        out[i] = (float)((x[i] - mean) / deviation * weight[i] + bias[i]);
    }
}

static void softmax(float *x, size_t n, float scale) {
    // The comparison skips NaN, which then reaches every entry through the sum.
    float max = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] > max) max = x[i];
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(scale * (x[i] - max));
        sum += x[i];
    }
    for (size_t i = 0; i < n; i++) x[i] = (float)(x[i] / sum);
}

static float activate(float x, clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        return x;
    case CLIP_RELU:
        // The comparison keeps NaN.
        return x < 0 ? 0 : x;
    case CLIP_QUICK_GELU:
        return x / (1 + expf(-1.702f * x));
    case CLIP_GELU:
        // erfc(-z), because 1 + erf(z) cancels for negative z. In double, because erfc(-z)
        // magnifies the rounding error of z by 2 z^2.
        return (float)(0.5 * x * erfc(x * -0.70710678118654752));
    case CLIP_TANH_GELU:
        // x / 2 (1 + tanh(z)) = x / (1 + exp(-2 z)), which does not cancel for negative z. In
        // double, because exp(-2 z) magnifies the rounding error of z by 2 z.
        return (float)(x / (1 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x))));
    }
    return x;
}

static void bias_activation(float *x, const float *bias, size_t n, clip_activation activation) {
    for (size_t i = 0; i < n; i++) {
        x[i] = activate(bias == NULL ? x[i] : x[i] + bias[i], activation);
    }
}

static void add(float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

static void scale(float *x, float factor, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static float sum_of_squares(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return (float)sum;
}

static void dot_rows(const float *x, const float *rows, size_t stride, size_t count, size_t n,
                     float *out) {
    for (size_t i = 0; i < count; i++, rows += stride) {
        double sum = 0;
        for (size_t j = 0; j < n; j++) sum += (double)x[j] * rows[j];
        out[i] = (float)sum;
    }
}

static void dot_rows_int8(const int16_t *x, const int8_t *rows, size_t stride, size_t count,
                          size_t n, int32_t *out) {
    for (size_t i = 0; i < count; i++, rows += stride) {
        int32_t sum = 0;
        for (size_t j = 0; j < n; j++) sum += x[j] * rows[j];
        out[i] = sum;
    }
}

static void float16_to_float32(const uint16_t *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t sign = x[i] >> 15;
        uint32_t exponent = x[i] >> 10 & 31;
        uint32_t mantissa = x[i] & 1023;
        if (exponent == 0) {
            // Zero and subnormals are multiples of 2^-24.
            float magnitude = mantissa * 0x1p-24f;
            out[i] = sign ? -magnitude : magnitude;
            continue;
        }
        // The exponent bias is 15 in binary16 and 127 in binary32; infinity and NaN have all
        // exponent bits set.
        uint32_t wide = exponent == 31 ? 255 : exponent + (127 - 15);
        uint32_t bits = sign << 31 | wide << 23 | mantissa << 13;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static void bfloat16_to_float32(const uint16_t *x, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static uint8_t clip8(int32_t sum) {
    // The shift rounds down for negative sums too, as clang and gcc guarantee.
    int32_t value = sum >> 22;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

static void resize_row(const uint8_t *row, const int32_t *starts, const int32_t *counts,
                              const int32_t *weights, size_t taps, size_t out_width,
                              uint8_t *out) {
    for (size_t i = 0; i < out_width; i++) {
        const uint8_t *pixels = row + 3 * (size_t)starts[i];
        for (size_t c = 0; c < 3; c++) {
            int32_t sum = 1 << 21;
            for (size_t j = 0; j < (size_t)counts[i]; j++) {
                sum += pixels[3 * j + c] * weights[i * taps + j];
            }
            out[3 * i + c] = clip8(sum);
        }
    }
}

static void resize_horizontal(
    const uint8_t *rows, size_t stride, size_t count, const int32_t *starts, const int32_t *counts,
    const int32_t *weights, size_t taps, size_t out_width, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        resize_row(rows + i * stride, starts, counts, weights, taps, out_width,
                   out + i * 3 * out_width);
    }
}

static void resize_vertical(const uint8_t *rows, size_t stride, const int32_t *weights,
                            size_t taps, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        int32_t sum = 1 << 21;
        for (size_t j = 0; j < taps; j++) sum += rows[j * stride + i] * weights[j];
        out[i] = clip8(sum);
    }
}

const clip_kernels clip_kernels_scalar = {
    .name = "scalar",
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
    .resize_horizontal = resize_horizontal,
    .resize_vertical = resize_vertical,
};
