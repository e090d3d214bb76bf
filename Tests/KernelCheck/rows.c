// Compares loops over rows of floats with the scalar table.

#include "check.h"

#include <float.h>
#include <math.h>

static const clip_kernels *const scalar = &clip_kernels_scalar;

enum { LARGEST = 2048 };
static float x[LARGEST], weight[LARGEST], bias[LARGEST], expected[LARGEST];

static double larger_than_one(double value) {
    double magnitude = fabs(value);
    return magnitude > 1 && magnitude < INFINITY ? magnitude : 1;
}

// The error is relative to expected values that are larger than 1.
static void compare_with_expected(const float *found, size_t n) {
    for (size_t i = 0; i < n; i++) compare(found[i], expected[i], larger_than_one(expected[i]));
}

static void set(float *values, size_t n, float value) {
    for (size_t i = 0; i < n; i++) values[i] = value;
}

// Three places of a row of n numbers, for special values.
static size_t place_of(size_t n, int which) {
    return which == 0 ? 0 : which == 1 ? n / 2 : n - 1;
}

// MARK: Layer norm

static void layer_norm_of(const clip_kernels *table, size_t n, const char *what) {
    scalar->layer_norm(x, weight, bias, 1e-5f, n, expected);
    for (int at = AT_END; at <= AT_START; at++) {
        begin_case("n = %zu, %s", n, what);
        const float *in = copy(0, at, x, 4 * n);
        const float *w = copy(1, at, weight, 4 * n), *b = copy(2, at, bias, 4 * n);
        float *out = take(3, at, 4 * n);
        table->layer_norm(in, w, b, 1e-5f, n, out);
        compare_with_expected(out, n);
        compare_bytes(in, x, 4 * n);
        require(margins_untouched(3), "wrote beside its output");

        begin_case("n = %zu, %s, in place", n, what);
        float *in_place = copy(4, at, x, 4 * n);
        table->layer_norm(in_place, w, b, 1e-5f, n, in_place);
        compare_bytes(in_place, out, 4 * n);
        require(margins_untouched(4), "wrote beside its output");
    }
}

static void check_layer_norm(const clip_kernels *table) {
    begin_function(table->name, "layer_norm", 3e-6);
    random_numbers random = {1};
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        fill_floats(&random, x, n, -1, 3);
        fill_floats(&random, weight, n, -2, 2);
        fill_floats(&random, bias, n, -2, 2);
        layer_norm_of(table, n, "random");
        fill_floats(&random, x, n, -1e-39, 1e-39);
        layer_norm_of(table, n, "subnormal");
        set(x, n, 0.75f);
        layer_norm_of(table, n, "all the same");
        for (int place = 0; place < 3 && n > 0; place++) {
            set(x, n, 1);
            x[place_of(n, place)] = NAN;
            layer_norm_of(table, n, "one NaN");
            x[place_of(n, place)] = INFINITY;
            layer_norm_of(table, n, "one infinity");
        }
    }
}

// MARK: Softmax

static void softmax_of(const clip_kernels *table, size_t n, float scale, const char *what) {
    for (size_t i = 0; i < n; i++) expected[i] = x[i];
    scalar->softmax(expected, n, scale);
    for (int at = AT_END; at <= AT_START; at++) {
        begin_case("n = %zu, scale %g, %s", n, (double)scale, what);
        float *out = copy(0, at, x, 4 * n);
        table->softmax(out, n, scale);
        compare_with_expected(out, n);
        double sum = 0;
        bool is_nan = false;
        for (size_t i = 0; i < n; i++) {
            sum += out[i];
            is_nan = is_nan || isnan(out[i]);
        }
        if (n > 0 && !is_nan) compare(sum, 1, 1);
        require(margins_untouched(0), "wrote beside its output");
    }
}

static void check_softmax(const clip_kernels *table) {
    begin_function(table->name, "softmax", 1e-6);
    random_numbers random = {2};
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        fill_floats(&random, x, n, -1, 1);
        softmax_of(table, n, 1, "-1...1");
        fill_floats(&random, x, n, -20, 20);
        softmax_of(table, n, 0.125f, "-20...20");
        fill_floats(&random, x, n, -300, 300);
        softmax_of(table, n, 1, "-300...300");
        fill_floats(&random, x, n, -FLT_MAX / 2, FLT_MAX / 2);
        softmax_of(table, n, 1, "huge");
        for (size_t i = 1; i < n; i += 2) x[i] = -INFINITY;
        softmax_of(table, n, 1, "every second one masked");
        set(x, n, -INFINITY);
        softmax_of(table, n, 1, "all masked");
        for (int place = 0; place < 3 && n > 0; place++) {
            set(x, n, 1);
            x[place_of(n, place)] = NAN;
            softmax_of(table, n, 1, "one NaN");
            x[place_of(n, place)] = INFINITY;
            softmax_of(table, n, 1, "one infinity");
            set(x, n, -INFINITY);
            x[place_of(n, place)] = -7;
            softmax_of(table, n, 1, "all but one masked");
        }
    }
}

// MARK: Bias and activation

static void activation_of(const clip_kernels *table, size_t n, bool has_bias,
                          clip_activation activation, const char *what) {
    for (size_t i = 0; i < n; i++) expected[i] = x[i];
    scalar->bias_activation(expected, has_bias ? bias : NULL, n, activation);
    for (int at = AT_END; at <= AT_START; at++) {
        begin_case("n = %zu, %s, %s, %s", n, activation_names[activation],
                   has_bias ? "bias" : "no bias", what);
        float *out = copy(0, at, x, 4 * n);
        const float *b = has_bias ? copy(1, at, bias, 4 * n) : NULL;
        table->bias_activation(out, b, n, activation);
        compare_with_expected(out, n);
        require(margins_untouched(0), "wrote beside its output");
    }
}

static void check_activations(const clip_kernels *table) {
    static const float extremes[] = {INFINITY, FLT_MAX, 1e30f,   200,   89,       60,     0,
                                     -60,      -89,     -200,    -1e30f, -FLT_MAX, 1e-40f, -1e-40f,
                                     FLT_MIN,  16,      -16,     -0.0f};
    enum { EXTREMES = sizeof extremes / sizeof *extremes };
    begin_function(table->name, "bias_activation", 3e-7);
    random_numbers random = {3};
    for (size_t s = 0; s < size_count; s++) {
        size_t n = sizes[s];
        for (int activation = CLIP_IDENTITY; activation <= CLIP_TANH_GELU; activation++) {
            fill_floats(&random, x, n, -9, 9);
            fill_floats(&random, bias, n, -2, 2);
            activation_of(table, n, true, activation, "random");
            activation_of(table, n, false, activation, "random");
            for (int place = 0; place < 3 && n > 0; place++) {
                x[place_of(n, place)] = NAN;
                activation_of(table, n, true, activation, "one NaN");
                x[place_of(n, place)] = INFINITY;
                activation_of(table, n, true, activation, "one infinity");
                x[place_of(n, place)] = 1;
            }
            for (size_t i = 0; i < n; i++) x[i] = extremes[(i + s) % EXTREMES];
            activation_of(table, n, false, activation, "extremes");
        }
    }

    // The tails are accurate relative to their own tiny values, as far as they are normal floats.
    static const struct {
        clip_activation activation;
        const char *function;
        int count;
        double tolerance;
    } tails[] = {
        {CLIP_GELU, "bias_activation, tail of gelu", 1200, 2e-6},
        {CLIP_TANH_GELU, "bias_activation, tail of tanh gelu", 980, 5e-7},
    };
    for (int tail = 0; tail < 2; tail++) {
        begin_function(table->name, tails[tail].function, tails[tail].tolerance);
        for (int from = 0; from < tails[tail].count; from += 7) {
            begin_case("x from %g to %g", (from + 1) * -0.01, (from + 7) * -0.01);
            float *out = take(0, AT_END, 4 * 7);
            for (int i = 0; i < 7; i++) out[i] = (float)(from + i + 1) * -0.01f;
            for (int i = 0; i < 7; i++) x[i] = out[i];
            table->bias_activation(out, NULL, 7, tails[tail].activation);
            for (int i = 0; i < 7; i++) {
                double exact = exact_activation(x[i], tails[tail].activation);
                compare(out[i], exact, fabs(exact));
            }
        }
    }
}

// MARK: Sums and multiples

static void check_add_and_scale(const clip_kernels *table) {
    random_numbers random = {4};
    static const float special[] = {NAN, INFINITY, -INFINITY, 1e-40f, -1e-45f, FLT_MAX, 0, 1};
    for (int function = 0; function < 2; function++) {
        begin_function(table->name, function == 0 ? "add" : "scale", 0);
        for (size_t s = 0; s < size_count; s++) {
            size_t n = sizes[s];
            for (int is_special = 0; is_special < 2; is_special++) {
                fill_floats(&random, x, n, -2, 2);
                fill_floats(&random, bias, n, -2, 2);
                for (size_t i = 0; is_special && i < n; i++) {
                    x[i] = special[i % 8];
                    bias[i] = special[(i / 8 + s) % 8];
                }
                float factor = is_special ? special[s % 8] : 0.3f;
                for (size_t i = 0; i < n; i++) expected[i] = x[i];
                if (function == 0) scalar->add(expected, bias, n);
                if (function == 1) scalar->scale(expected, factor, n);
                for (int at = AT_END; at <= AT_START; at++) {
                    begin_case("n = %zu, %s", n, is_special ? "special values" : "random");
                    float *out = copy(0, at, x, 4 * n);
                    if (function == 0) table->add(out, copy(1, at, bias, 4 * n), n);
                    if (function == 1) table->scale(out, factor, n);
                    for (size_t i = 0; i < n; i++) compare(out[i], expected[i], 1);
                    require(margins_untouched(0), "wrote beside its output");
                }
            }
        }
    }
}

void check_rows(const clip_kernels *table) {
    check_layer_norm(table);
    check_softmax(table);
    check_activations(table);
    check_add_and_scale(table);
}
