// Compares products of floats with packed weights with sums in double. An element of y must have
// the same bits whatever else is computed beside it.

#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { ROWS = 40, OUTPUTS = 70, MOST_WORDS = 2100, PANELS = 3, KINDS = 20 };

// A kind of product: one of 5 activations, with or without bias, adding to y or not.
static clip_activation activation_of(int kind) { return (clip_activation)(kind % 5); }
static bool has_bias(int kind) { return kind / 5 % 2; }
static bool adds(int kind) { return kind / 10; }

static float x[ROWS * MOST_WORDS], w[OUTPUTS * MOST_WORDS], bias[OUTPUTS], before[ROWS * OUTPUTS];
static uint32_t panels[PANELS * MOST_WORDS * CLIP_PANEL_OUTPUTS];
// For each row and output: the sum of the products, and the sum of their magnitudes.
static double sums[ROWS * OUTPUTS], magnitudes[ROWS * OUTPUTS];

// Packs `outputs` rows of w, `depth` words each.
static void pack_weights(const clip_kernels *table, size_t outputs, size_t depth) {
    for (size_t first = 0; first < outputs; first += CLIP_PANEL_OUTPUTS) {
        size_t there = outputs - first;
        table->pack((const uint32_t *)w + first * depth, depth,
                    there < CLIP_PANEL_OUTPUTS ? there : CLIP_PANEL_OUTPUTS, depth,
                    panels + first * depth);
    }
}

static size_t panel_bytes(size_t outputs, size_t depth) {
    return (outputs + CLIP_PANEL_OUTPUTS - 1) / CLIP_PANEL_OUTPUTS * depth * CLIP_PANEL_WORD;
}

static void compare_element(float found, double sum, double magnitude, int kind, size_t output,
                            float y) {
    if (has_bias(kind)) sum += bias[output], magnitude += fabs((double)bias[output]);
    if (adds(kind)) sum += y, magnitude += fabs((double)y);
    // An activation has its own error, which is relative to numbers larger than 1.
    if (activation_of(kind) != CLIP_IDENTITY) magnitude += 1;
    compare(found, exact_activation(sum, activation_of(kind)), magnitude);
}

// MARK: Plain matrices

typedef struct {
    size_t first, rows, outputs, words;
    size_t x_gap, y_gap;  // numbers between rows
    side at;
} shape;

// Returns y of some rows, [rows][outputs], in memory that ends or begins at a guard page.
static const float *multiply(const clip_kernels *table, shape s, int kind) {
    size_t x_stride = s.words + s.x_gap, y_stride = s.outputs + s.y_gap;
    float *in = take(0, s.at, 4 * ((s.rows - 1) * x_stride + s.words));
    for (size_t i = 0; i < s.rows; i++) {
        memcpy(in + i * x_stride, x + (s.first + i) * s.words, 4 * s.words);
        // The gap has NaN, which would show in a sum.
        for (size_t j = 0; i + 1 < s.rows && j < s.x_gap; j++) in[i * x_stride + s.words + j] = NAN;
    }
    size_t there = (s.rows - 1) * y_stride + s.outputs;
    float *out = take(1, s.at, 4 * there), *compact = take(2, AT_END, 4 * s.rows * s.outputs);
    for (size_t i = 0; i < there; i++) out[i] = -77;
    for (size_t i = 0; i < s.rows && adds(kind); i++) {
        memcpy(out + i * y_stride, before + (s.first + i) * OUTPUTS, 4 * s.outputs);
    }
    clip_product product = {
        .x = in,
        .rows = s.rows,
        .row_stride = 4 * x_stride,
        .lines = 1,
        .words = s.words,
        .segments = 1,
        .panels = copy(3, s.at, panels, panel_bytes(s.outputs, s.words)),
        .outputs = s.outputs,
        .y = out,
        .y_row_stride = 4 * y_stride,
        .adding = adds(kind),
        .activation = activation_of(kind),
        .bias = has_bias(kind) ? copy(4, s.at, bias, 4 * s.outputs) : NULL,
    };
    table->multiply_float32(&product);
    require(margins_untouched(1), "wrote beside its output");
    for (size_t i = 0; i < s.rows; i++) {
        memcpy(compact + i * s.outputs, out + i * y_stride, 4 * s.outputs);
        for (size_t j = 0; i + 1 < s.rows && j < s.y_gap; j++) {
            require(out[i * y_stride + s.outputs + j] == -77, "wrote between rows of its output");
        }
    }
    return compact;
}

static void make_matrices(const clip_kernels *table, size_t words, random_numbers *random) {
    fill_floats(random, x, ROWS * words, -1, 2);
    fill_floats(random, w, OUTPUTS * words, -1, 1);
    fill_floats(random, bias, OUTPUTS, -1, 1);
    fill_floats(random, before, ROWS * OUTPUTS, -3, 3);
    for (size_t i = 0; i < ROWS * OUTPUTS; i++) {
        const float *a = x + i / OUTPUTS * words, *b = w + i % OUTPUTS * words;
        sums[i] = magnitudes[i] = 0;
        for (size_t j = 0; j < words; j++) {
            sums[i] += (double)a[j] * b[j];
            magnitudes[i] += fabs((double)a[j] * b[j]);
        }
    }
    pack_weights(table, OUTPUTS, words);
}

static float whole[KINDS][ROWS * OUTPUTS];

// Compares all rows and outputs with the reference, and keeps them in `whole`. For many words, only
// one of each activation is computed, because an emulator is slow; of split products, which are
// plain sums, only these.
static int kind_step(size_t words) { return words <= 100 ? 1 : words <= 1536 ? 4 : 5; }

static void check_whole_matrices(const clip_kernels *table, size_t words) {
    for (int kind = 0; kind < KINDS; kind += kind_step(words)) {
        begin_case("%d x %zu by %d, %s, %s bias%s", ROWS, words, OUTPUTS,
                   activation_names[activation_of(kind)], has_bias(kind) ? "with" : "no",
                   adds(kind) ? ", adding" : "");
        shape s = {0, ROWS, OUTPUTS, words, words % 5, 3, AT_END};
        const float *y = multiply(table, s, kind);
        memcpy(whole[kind], y, sizeof whole[kind]);
        for (size_t i = 0; i < ROWS * OUTPUTS; i++) {
            compare_element(y[i], sums[i], magnitudes[i], kind, i % OUTPUTS, before[i]);
        }
    }
}

static int random_kind(random_numbers *random, size_t words) {
    int step = kind_step(words);
    return step * (int)random_below(random, (size_t)((KINDS + step - 1) / step));
}

// Compares some rows and outputs with the bits in `whole`.
static void check_part(const clip_kernels *table, shape s, int kind) {
    begin_case("rows %zu ..< %zu x %zu by %zu, %s, %s bias%s", s.first, s.first + s.rows, s.words,
               s.outputs, activation_names[activation_of(kind)], has_bias(kind) ? "with" : "no",
               adds(kind) ? ", adding" : "");
    const float *y = multiply(table, s, kind);
    for (size_t i = 0; i < s.rows; i++) {
        compare_bytes(y + i * s.outputs, whole[kind] + (s.first + i) * OUTPUTS, 4 * s.outputs);
    }
}

static void check_matrices(const clip_kernels *table) {
    const size_t all_words[] = {1,  2,  3,   4,   5,   7,   8,   15,   16,   17,   31,  33,
                                64, 65, 100, 255, 256, 257, 513, 1025, 1536, 1537, 2049};
    random_numbers random = {30};
    for (size_t i = 0; i < sizeof all_words / sizeof *all_words; i++) {
        size_t words = all_words[i];
        make_matrices(table, words, &random);
        check_whole_matrices(table, words);
        // Every number of rows with every number of outputs, some of them for other words.
        size_t one_in = words == 3 ? 1 : words < 16 ? 8 : words < 100 ? 40 : 200;
        for (size_t rows = 1; rows <= ROWS; rows++) {
            for (size_t outputs = 1; outputs <= OUTPUTS; outputs++) {
                if (random_below(&random, one_in) != 0) continue;
                shape s = {random_below(&random, ROWS - rows + 1), rows, outputs, words,
                           random_below(&random, 6), random_below(&random, 6),
                           random_below(&random, 2) ? AT_START : AT_END};
                check_part(table, s, random_kind(&random, words));
            }
        }
        // Each row alone.
        for (size_t row = 0; row < ROWS; row += 1 + words / 100) {
            shape s = {row, 1, OUTPUTS, words, 0, 0, AT_END};
            check_part(table, s, random_kind(&random, words));
        }
    }
}

// A row with NaN or infinity does not affect the others.
static void check_rows_of_nan(const clip_kernels *table) {
    random_numbers random = {31};
    const float special[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 24; i++) {
        size_t words = 1 + random_below(&random, 300), row = random_below(&random, ROWS);
        make_matrices(table, words, &random);
        int kind = i % KINDS;
        begin_case("%zu words, the sound matrix", words);
        shape s = {0, ROWS, OUTPUTS, words, 1, 1, AT_END};
        memcpy(whole[kind], multiply(table, s, kind), sizeof whole[kind]);
        x[row * words + random_below(&random, words)] = special[i % 3];
        begin_case("%zu words, %g in row %zu", words, (double)special[i % 3], row);
        const float *y = multiply(table, s, kind);
        for (size_t r = 0; r < ROWS; r++) {
            if (r != row) {
                compare_bytes(y + r * OUTPUTS, whole[kind] + r * OUTPUTS, 4 * OUTPUTS);
                continue;
            }
            for (size_t o = 0; o < OUTPUTS && isnan(special[i % 3]); o++) {
                require(isnan(y[r * OUTPUTS + o]), "expected NaN");
            }
        }
    }
}

// MARK: Lines of segments

static void check_lines_of_segments(const clip_kernels *table) {
    random_numbers random = {32};
    for (int i = 0; i < 400; i++) {
        size_t rows = 1 + random_below(&random, 20), lines = 1 + random_below(&random, 5);
        size_t segments = 1 + random_below(&random, 5), words = 1 + random_below(&random, 40);
        size_t outputs = 1 + random_below(&random, OUTPUTS), depth = segments * words;
        // Rows, lines and segments may overlap, as those of a convolution do.
        size_t step = 1 + random_below(&random, words + 3);
        size_t line = rows * step + random_below(&random, 20);
        size_t segment = i % 3 == 0 ? words : line;
        // The line's stride has no effect if there is one line.
        size_t line_stride = lines == 1 && i % 2 ? 0 : line;
        int kind = i % KINDS;
        side at = i / KINDS % 2 ? AT_START : AT_END;
        begin_case("%zu lines of %zu rows, %zu segments of %zu words by %zu, step %zu, line %zu",
                   lines, rows, segments, words, outputs, step, line_stride);
        size_t there = (lines - 1) * line + (rows - 1) * step + (segments - 1) * segment + words;
        fill_floats(&random, x, there, -1, 1);
        fill_floats(&random, w, outputs * depth, -1, 1);
        fill_floats(&random, bias, outputs, -1, 1);
        pack_weights(table, outputs, depth);
        size_t y_stride = outputs + i % 4, count = lines * rows;
        float *y = take(1, at, 4 * ((count - 1) * y_stride + outputs));
        fill_floats(&random, y, (count - 1) * y_stride + outputs, -2, 2);
        const float *y_before = copy(2, AT_END, y, 4 * ((count - 1) * y_stride + outputs));
        clip_product product = {
            .x = copy(0, at, x, 4 * there),
            .rows = rows,
            .row_stride = 4 * step,
            .lines = lines,
            .line_stride = 4 * line_stride,
            .words = words,
            .segments = segments,
            .segment_stride = 4 * segment,
            .panels = copy(3, at, panels, panel_bytes(outputs, depth)),
            .outputs = outputs,
            .y = y,
            .y_row_stride = 4 * y_stride,
            .y_line_stride = 4 * y_stride * rows,
            .adding = adds(kind),
            .activation = activation_of(kind),
            .bias = has_bias(kind) ? copy(4, at, bias, 4 * outputs) : NULL,
        };
        table->multiply_float32(&product);
        require(margins_untouched(1), "wrote beside its output");
        for (size_t row = 0; row < count; row++) {
            for (size_t output = 0; output < outputs; output++) {
                double total = 0, magnitude = 0;
                for (size_t j = 0; j < depth; j++) {
                    const float *a = x + row / rows * line + row % rows * step +
                                     j / words * segment + j % words;
                    total += (double)*a * w[output * depth + j];
                    magnitude += fabs((double)*a * w[output * depth + j]);
                }
                compare_element(y[row * y_stride + output], total, magnitude, kind, output,
                                y_before[row * y_stride + output]);
            }
        }
        // The last row of the last line alone.
        float *alone = copy(5, at, y_before + (count - 1) * y_stride, 4 * outputs);
        product.x = (const float *)product.x + (lines - 1) * line + (rows - 1) * step;
        product.rows = product.lines = 1;
        product.y = alone;
        table->multiply_float32(&product);
        compare_bytes(alone, y + (count - 1) * y_stride, 4 * outputs);
    }
}

// MARK: Threads

typedef struct {
    const clip_kernels *table;
    clip_product product;
    int parts;
} shared_product;

static void multiply_part(void *context, int part) {
    const shared_product *shared = context;
    clip_product product = shared->product;
    size_t first = product.rows * (size_t)part / (size_t)shared->parts;
    size_t last = product.rows * (size_t)(part + 1) / (size_t)shared->parts;
    product.x = (const char *)product.x + first * product.row_stride;
    product.y = (char *)product.y + first * product.y_row_stride;
    product.rows = last - first;
    shared->table->multiply_float32(&product);
}

static void check_products_on_threads(const clip_kernels *table) {
    random_numbers random = {33};
    static float y[ROWS * OUTPUTS];
    clip_team *team = clip_team_create(4);
    begin_case("a team of 4");
    require(team != NULL && clip_team_threads(team) == 4, "expected 4 threads");
    for (size_t words = 1; team != NULL && words < 400; words = 2 * words + 1) {
        make_matrices(table, words, &random);
        shape s = {0, ROWS, OUTPUTS, words, 0, 0, AT_END};
        begin_case("%zu words on one thread", words);
        memcpy(whole[0], multiply(table, s, 0), sizeof whole[0]);
        for (int parts = 1; parts <= clip_team_threads(team); parts++) {
            begin_case("%zu words on %d threads", words, parts);
            shared_product shared = {
                .table = table,
                .product = {.x = x, .rows = ROWS, .row_stride = 4 * words, .lines = 1,
                            .words = words, .segments = 1, .panels = panels, .outputs = OUTPUTS,
                            .y = y, .y_row_stride = 4 * OUTPUTS},
                .parts = parts,
            };
            clip_team_run(team, parts, multiply_part, &shared);
            compare_bytes(y, whole[0], sizeof y);
        }
    }
    if (team != NULL) clip_team_destroy(team);
}

void check_products(const clip_kernels *table) {
    begin_function(table->name, "multiply_float32, matrices", 1e-6);
    check_matrices(table);
    begin_function(table->name, "multiply_float32, NaN", 1e-6);
    check_rows_of_nan(table);
    begin_function(table->name, "multiply_float32, lines", 1e-6);
    check_lines_of_segments(table);
    begin_function(table->name, "multiply_float32, threads", 1e-6);
    check_products_on_threads(table);
}
