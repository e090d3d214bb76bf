#if defined(__aarch64__)

#include "tables.h"

#include <arm_neon.h>

static uint8_t clip8(int32_t sum) {
    int32_t value = sum >> 22;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

// MARK: Horizontal

static int32x4_t add_products(int32x4_t sums, uint8x8_t bytes, int32x4_t low, int32x4_t high) {
    uint16x8_t wide = vmovl_u8(bytes);
    sums = vmlaq_s32(sums, vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide))), low);
    return vmlaq_s32(sums, vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(wide))), high);
}

static void resize_row(const uint8_t *row, const int32_t *starts, const int32_t *counts,
                                 const int32_t *weights, size_t taps, size_t out_width,
                                 uint8_t *out) {
    for (size_t i = 0; i < out_width; i++) {
        const uint8_t *p = row + 3 * (size_t)starts[i];
        const int32_t *w = weights + i * taps;
        size_t count = (size_t)counts[i];
        int32x4_t red = vdupq_n_s32(0), green = red, blue = red;
        size_t j = 0;
        for (; j + 8 <= count; j += 8) {
            uint8x8x3_t pixels = vld3_u8(p + 3 * j);
            int32x4_t low = vld1q_s32(w + j), high = vld1q_s32(w + j + 4);
            red = add_products(red, pixels.val[0], low, high);
            green = add_products(green, pixels.val[1], low, high);
            blue = add_products(blue, pixels.val[2], low, high);
        }
        int32_t rgb[3] = {vaddvq_s32(red), vaddvq_s32(green), vaddvq_s32(blue)};
        for (; j < count; j++) {
            for (size_t c = 0; c < 3; c++) rgb[c] += p[3 * j + c] * w[j];
        }
        for (size_t c = 0; c < 3; c++) out[3 * i + c] = clip8(rgb[c] + (1 << 21));
    }
}

void clip_resize_horizontal_neon(
    const uint8_t *rows, size_t stride, size_t count, const int32_t *starts, const int32_t *counts,
    const int32_t *weights, size_t taps, size_t out_width, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        resize_row(rows + i * stride, starts, counts, weights, taps, out_width,
                   out + i * 3 * out_width);
    }
}

// MARK: Vertical

static void resize_16_bytes(const uint8_t *rows, size_t stride, const int32_t *weights,
                            size_t taps, uint8_t *out) {
    int32x4_t a = vdupq_n_s32(1 << 21), b = a, c = a, d = a;
    for (size_t j = 0; j < taps; j++) {
        uint8x16_t bytes = vld1q_u8(rows + j * stride);
        uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
        int32_t w = weights[j];
        a = vmlaq_n_s32(a, vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), w);
        b = vmlaq_n_s32(b, vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))), w);
        c = vmlaq_n_s32(c, vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), w);
        d = vmlaq_n_s32(d, vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high))), w);
    }
    a = vshrq_n_s32(a, 22), b = vshrq_n_s32(b, 22);
    c = vshrq_n_s32(c, 22), d = vshrq_n_s32(d, 22);
    // The narrowing saturates.
    uint16x8_t low_half = vcombine_u16(vqmovun_s32(a), vqmovun_s32(b));
    uint16x8_t high_half = vcombine_u16(vqmovun_s32(c), vqmovun_s32(d));
    vst1q_u8(out, vcombine_u8(vqmovn_u16(low_half), vqmovn_u16(high_half)));
}

void clip_resize_vertical_neon(const uint8_t *rows, size_t stride, const int32_t *weights,
                               size_t taps, size_t n, uint8_t *out) {
    if (n < 16) {
        clip_kernels_scalar.resize_vertical(rows, stride, weights, taps, n, out);
        return;
    }
    for (size_t i = 0; i + 16 <= n; i += 16) {
        resize_16_bytes(rows + i, stride, weights, taps, out + i);
    }
    // The last bytes, and some again that were computed before.
    if (n % 16 != 0) resize_16_bytes(rows + n - 16, stride, weights, taps, out + n - 16);
}

#endif
