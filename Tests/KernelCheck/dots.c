// Checks sums of products of floats and of bytes.

#include "check.h"

#include <float.h>
#include <math.h>

static const clip_kernels *const scalar = &clip_kernels_scalar;

enum { LARGEST = 2048, ROWS = 5 };
static float x[LARGEST], rows[ROWS * (LARGEST + 8)];

static void check_sum_of_squares(const clip_kernels *table) {
    begin_function(table->name, "sum_of_squares", 1e-6);
    random_numbers random = {10};
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        // The values put into the last place; the first means none.
        const float special[] = {0.5f, 1e-40f, NAN, -INFINITY};
        for (int kind = 0; kind < 4; kind++) {
            fill_floats(&random, x, n, -2, 2);
            if (n > 0) x[n - 1] = special[kind];
            double exact = 0;
            for (size_t i = 0; i < n; i++) exact += (double)x[i] * x[i];
            for (int at = AT_END; at <= AT_START; at++) {
                begin_case("n = %zu, the last is %g", n, (double)special[kind]);
                const float *in = copy(0, at, x, 4 * n);
                float found = table->sum_of_squares(in, n);
                // A subnormal or infinite sum has no relative accuracy.
                double scale = exact > FLT_MIN ? exact : FLT_MIN;
                compare(found, exact, scale);
                compare(found, scalar->sum_of_squares(in, n), scale);
            }
        }
    }
}

static void dot_rows_of(const clip_kernels *table, size_t n, size_t stride, size_t count, side at,
                        const char *what) {
    begin_case("n = %zu, %zu rows, stride %zu, %s", n, count, stride, what);
    // The last row ends with the buffer.
    size_t numbers = count == 0 ? 0 : (count - 1) * stride + n;
    const float *in = copy(0, at, x, 4 * n), *matrix = copy(1, at, rows, 4 * numbers);
    float *out = take(2, at, 4 * count), *reference = take(3, at, 4 * count);
    table->dot_rows(in, matrix, stride, count, n, out);
    scalar->dot_rows(in, matrix, stride, count, n, reference);
    for (size_t i = 0; i < count; i++) {
        double magnitudes = 0;
        for (size_t j = 0; j < n; j++) magnitudes += fabs((double)x[j] * rows[i * stride + j]);
        compare(out[i], reference[i], magnitudes);
    }
    require(margins_untouched(2), "wrote beside its output");
}

static void check_dot_rows(const clip_kernels *table) {
    begin_function(table->name, "dot_rows", 1e-6);
    random_numbers random = {11};
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        // Rows that overlap, that touch, and that have gaps.
        const size_t strides[] = {1, n, n + 1, n + 7};
        for (int i = 0; i < 4; i++) {
            for (size_t count = 0; count <= ROWS; count++) {
                fill_floats(&random, x, n, -2, 2);
                fill_floats(&random, rows, ROWS * (n + 7), -2, 2);
                dot_rows_of(table, n, strides[i], count, AT_END, "random");
                dot_rows_of(table, n, strides[i], count, AT_START, "random");
            }
        }
        for (int which = 0; which < 3 && n > 0; which++) {
            // One number of the second row, which must not affect the others.
            rows[n + 3 + n * which / 3] = which == 2 ? INFINITY : NAN;
            dot_rows_of(table, n, n + 3, 3, AT_END, "NaN or infinity in one row");
        }
    }
}

static void check_dot_rows_int8(const clip_kernels *table) {
    begin_function(table->name, "dot_rows_int8", 0);
    static int16_t factors[LARGEST];
    static int8_t bytes[ROWS * (LARGEST + 8)];
    random_numbers random = {12};
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        int64_t largest = n == 0 ? 0 : INT32_MAX / 127 / (int64_t)n;
        if (largest > 32767) largest = 32767;
        const size_t strides[] = {1, n, n + 1, n + 7};
        for (int i = 0; i < 12; i++) {
            size_t stride = strides[i % 4], count = random_below(&random, ROWS + 1);
            bool is_extreme = i >= 8;
            for (size_t j = 0; j < n; j++) {
                size_t number = random_below(&random, 2 * (size_t)largest + 1);
                factors[j] = (int16_t)((int64_t)number - largest);
                if (is_extreme) factors[j] = (int16_t)(i % 2 ? largest : -largest);
            }
            for (size_t j = 0; j < ROWS * (n + 7); j++) {
                bytes[j] = (int8_t)((int)random_below(&random, 255) - 127);
                if (is_extreme) bytes[j] = i % 4 < 2 ? -127 : 127;
            }
            for (int at = AT_END; at <= AT_START; at++) {
                begin_case("n = %zu, %zu rows, stride %zu, %s", n, count, stride,
                           is_extreme ? "extreme" : "random");
                const int16_t *in = copy(0, at, factors, 2 * n);
                size_t there = count == 0 ? 0 : (count - 1) * stride + n;
                const int8_t *matrix = copy(1, at, bytes, there);
                int32_t *out = take(2, at, 4 * count), *reference = take(3, at, 4 * count);
                table->dot_rows_int8(in, matrix, stride, count, n, out);
                scalar->dot_rows_int8(in, matrix, stride, count, n, reference);
                for (size_t row = 0; row < count; row++) {
                    int64_t exact = 0;
                    for (size_t j = 0; j < n; j++) {
                        exact += (int64_t)factors[j] * bytes[row * stride + j];
                    }
                    compare(out[row], reference[row], 1);
                    compare(out[row], (double)exact, 1);
                }
                require(margins_untouched(2), "wrote beside its output");
            }
        }
    }
}

void check_dots(const clip_kernels *table) {
    check_sum_of_squares(table);
    check_dot_rows(table);
    check_dot_rows_int8(table);
}
