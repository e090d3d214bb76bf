// Checks functions with exact results: widening, packing and resizing.

#include "check.h"

#include <math.h>
#include <string.h>

static const clip_kernels *const scalar = &clip_kernels_scalar;

// MARK: Widening

// NaN may have another payload; everything else must have the same bits.
static void compare_widened(const float *found, const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (isnan(expected[i])) {
            require(isnan(found[i]), "expected NaN");
        } else {
            compare_bytes(&found[i], &expected[i], sizeof(float));
        }
    }
}

static void check_widening(const clip_kernels *table, bool is_bfloat16) {
    void (*widen)(const uint16_t *, size_t, float *) =
        is_bfloat16 ? table->bfloat16_to_float32 : table->float16_to_float32;
    void (*specified)(const uint16_t *, size_t, float *) =
        is_bfloat16 ? scalar->bfloat16_to_float32 : scalar->float16_to_float32;
    begin_function(table->name, is_bfloat16 ? "bfloat16_to_float32" : "float16_to_float32", 0);

    enum { PATTERNS = 1 << 16 };
    static uint16_t patterns[PATTERNS];
    for (int i = 0; i < PATTERNS; i++) patterns[i] = (uint16_t)i;
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        // Sixteen ranges of every size, and every bit pattern for some sizes.
        size_t step = n == 0 ? PATTERNS : n == 3 || n == 67 || n > 1000 ? n : PATTERNS / 16 + n;
        for (size_t first = 0; first + n <= PATTERNS; first += step) {
            side at = first / step % 2 ? AT_START : AT_END;
            begin_case("%zu patterns from 0x%04zx", n, first);
            const uint16_t *in = copy(0, at, patterns + first, 2 * n);
            float *out = take(1, at, 4 * n), *reference = take(2, at, 4 * n);
            widen(in, n, out);
            specified(in, n, reference);
            compare_widened(out, reference, n);
            require(margins_untouched(1), "wrote beside its output");
        }
    }
    begin_case("all patterns");
    static float out[PATTERNS], reference[PATTERNS];
    widen(patterns, PATTERNS, out);
    specified(patterns, PATTERNS, reference);
    compare_widened(out, reference, PATTERNS);
}

// MARK: Packing

static void check_packing(const clip_kernels *table) {
    begin_function(table->name, "pack", 0);
    random_numbers random = {20};
    static uint32_t x[CLIP_PANEL_OUTPUTS * 300];
    fill_bytes(&random, x, sizeof x);
    const size_t words[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100, 255, 257};
    for (size_t rows = 0; rows <= CLIP_PANEL_OUTPUTS; rows++) {
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            size_t n = words[w], stride = n + rows % 4;
            side at = (rows + w) % 2 ? AT_START : AT_END;
            begin_case("%zu rows of %zu words, stride %zu", rows, n, stride);
            size_t there = rows == 0 ? 0 : (rows - 1) * stride + n;
            const uint32_t *in = copy(0, at, x, 4 * there);
            uint32_t *out = take(1, at, n * CLIP_PANEL_WORD);
            table->pack(in, stride, rows, n, out);
            for (size_t i = 0; i < n * CLIP_PANEL_OUTPUTS; i++) {
                size_t row = i % CLIP_PANEL_OUTPUTS, word = i / CLIP_PANEL_OUTPUTS;
                compare(out[i], row < rows ? x[row * stride + word] : 0, 1);
            }
            require(margins_untouched(1), "wrote beside its output");
        }
    }
}

static void check_packing_bfloat16(const clip_kernels *table) {
    begin_function(table->name, "pack_bfloat16", 0);
    random_numbers random = {21};
    static uint16_t x[CLIP_PANEL_OUTPUTS * 300];
    fill_bytes(&random, x, sizeof x);
    const size_t counts[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100, 257};
    for (size_t rows = 0; rows <= CLIP_PANEL_OUTPUTS; rows++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            size_t n = counts[c], stride = n + rows % 4;
            side at = (rows + c) % 2 ? AT_START : AT_END;
            begin_case("%zu rows of %zu numbers, stride %zu", rows, n, stride);
            size_t there = rows == 0 ? 0 : (rows - 1) * stride + n;
            const uint16_t *in = copy(0, at, x, 2 * there);
            uint32_t *out = take(1, at, n * CLIP_PANEL_WORD);
            table->pack_bfloat16(in, stride, rows, n, out);
            for (size_t i = 0; i < n * CLIP_PANEL_OUTPUTS; i++) {
                size_t row = i % CLIP_PANEL_OUTPUTS, number = i / CLIP_PANEL_OUTPUTS;
                compare(out[i], row < rows ? (uint32_t)x[row * stride + number] << 16 : 0, 1);
            }
            require(margins_untouched(1), "wrote beside its output");
        }
    }
}

// MARK: Resizing

// Some sums exceed 0...255 on either side, but none exceeds 32 bits.
static void fill_weights(random_numbers *random, int32_t *weights, size_t n, size_t taps) {
    int32_t limit = (1 << 23) / (int32_t)taps;
    for (size_t i = 0; i < n; i++) {
        weights[i] = (int32_t)random_below(random, 3 * (size_t)limit / 2) - limit / 2;
    }
}

static const size_t all_taps[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                  12, 15, 16, 17, 23, 25, 32, 33, 54, 67};
enum { TAPS = sizeof all_taps / sizeof *all_taps, WIDEST = 130, MOST_TAPS = 67 };

static void check_resize_horizontal(const clip_kernels *table) {
    begin_function(table->name, "resize_horizontal", 0);
    random_numbers random = {21};
    static uint8_t bytes[3 * (3 * 200 + 16)];
    static int32_t starts[WIDEST], counts[WIDEST], weights[WIDEST * MOST_TAPS];
    const size_t widths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 40, 63, 64, 65, 127, 129};
    for (int t = 0; t < TAPS; t++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            size_t taps = all_taps[t], out_width = widths[w];
            size_t width = taps + random_below(&random, 60);
            size_t stride = 3 * width + random_below(&random, 12);
            size_t rows = random_below(&random, 4);
            fill_bytes(&random, bytes, sizeof bytes);
            fill_weights(&random, weights, out_width * taps, taps);
            for (size_t i = 0; i < out_width; i++) {
                size_t count = i % 3 == 0 ? taps : 1 + random_below(&random, taps);
                counts[i] = (int32_t)count;
                // The last output pixel ends with the row.
                size_t start = random_below(&random, width - count + 1);
                starts[i] = (int32_t)(i + 1 == out_width ? width - count : start);
            }
            for (int at = AT_END; at <= AT_START; at++) {
                begin_case("%zu taps, %zu rows of %zu pixels to %zu, stride %zu", taps, rows, width,
                           out_width, stride);
                size_t there = rows == 0 ? 0 : (rows - 1) * stride + 3 * width;
                const uint8_t *in = copy(0, at, bytes, there);
                const int32_t *s = copy(1, at, starts, 4 * out_width);
                const int32_t *c = copy(2, at, counts, 4 * out_width);
                const int32_t *v = copy(3, at, weights, 4 * out_width * taps);
                uint8_t *out = take(4, at, rows * 3 * out_width);
                uint8_t *reference = take(5, at, rows * 3 * out_width);
                table->resize_horizontal(in, stride, rows, s, c, v, taps, out_width, out);
                scalar->resize_horizontal(in, stride, rows, s, c, v, taps, out_width, reference);
                compare_bytes(out, reference, rows * 3 * out_width);
                require(margins_untouched(4), "wrote beside its output");
            }
        }
    }
}

static void check_resize_vertical(const clip_kernels *table) {
    begin_function(table->name, "resize_vertical", 0);
    random_numbers random = {22};
    static uint8_t bytes[MOST_TAPS * 1800];
    static int32_t weights[MOST_TAPS];
    fill_bytes(&random, bytes, sizeof bytes);
    for (size_t s = 0; s < size_count; s++) {
        for (int t = 0; t < TAPS; t++) {
            size_t n = sizes[s], taps = all_taps[t];
            size_t stride = n + random_below(&random, 9);
            fill_weights(&random, weights, taps, taps);
            // Different bytes in each case.
            const uint8_t *source = bytes + random_below(&random, 500);
            side at = (s + (size_t)t) % 2 ? AT_START : AT_END;
            begin_case("%zu taps, %zu bytes, stride %zu", taps, n, stride);
            const uint8_t *in = copy(0, at, source, (taps - 1) * stride + n);
            const int32_t *w = copy(1, at, weights, 4 * taps);
            uint8_t *out = take(2, at, n), *reference = take(3, at, n);
            table->resize_vertical(in, stride, w, taps, n, out);
            scalar->resize_vertical(in, stride, w, taps, n, reference);
            compare_bytes(out, reference, n);
            require(margins_untouched(2), "wrote beside its output");
        }
    }
}

void check_bytes(const clip_kernels *table) {
    check_widening(table, false);
    check_widening(table, true);
    check_packing(table);
    check_packing_bfloat16(table);
    check_resize_horizontal(table);
    check_resize_vertical(table);
}
