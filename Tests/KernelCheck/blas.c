// Compares products by a BLAS with sums in double, and the bits of a row between batches. The
// batches are divided as in ProductWeights.multiplyByBLAS.

#include "check.h"
#include "clip_blas.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ROWS = 400, MOST_OUTPUTS = 520, MOST_INPUTS = 1300, BLOCK_ROWS = 384, PANEL = 32 };

static float x[(MOST_ROWS + CLIP_BLAS_ROWS) * MOST_INPUTS], w[MOST_OUTPUTS * MOST_INPUTS];
static float y[(MOST_ROWS + CLIP_BLAS_ROWS) * MOST_OUTPUTS];
static float alone[MOST_ROWS * MOST_OUTPUTS];
static random_numbers source = {40};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static size_t filled_up(size_t rows) {
    return (rows + CLIP_BLAS_ROWS - 1) / CLIP_BLAS_ROWS * CLIP_BLAS_ROWS;
}

// The number of threads of this process; -1 if the system does not tell.
static int running_threads(void) {
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

// MARK: Products of all shapes

static void check_shape(size_t rows, size_t outputs, size_t inputs, bool is_transposed, side at) {
    size_t x_stride = inputs + random_below(&source, 4);
    size_t w_width = is_transposed ? inputs : outputs, w_rows = is_transposed ? outputs : inputs;
    size_t w_stride = w_width + random_below(&source, 4);
    size_t y_stride = outputs + random_below(&source, 4);
    begin_case("%zu x %zu by %zu%s, strides %zu, %zu and %zu", rows, inputs, outputs,
               is_transposed ? ", transposed" : "", x_stride, w_stride, y_stride);
    fill_floats(&source, x, rows * x_stride, -1, 2);
    fill_floats(&source, w, w_rows * w_stride, -1, 1);
    float *out = take(2, at, 4 * ((rows - 1) * y_stride + outputs));
    for (size_t i = 0; i < (rows - 1) * y_stride + outputs; i++) out[i] = NAN;
    clip_blas_product product = {
        .x = copy(0, at, x, 4 * ((rows - 1) * x_stride + inputs)),
        .rows = rows,
        .inputs = inputs,
        .x_stride = x_stride,
        .w = copy(1, at, w, 4 * ((w_rows - 1) * w_stride + w_width)),
        .outputs = outputs,
        .w_stride = w_stride,
        .is_transposed = is_transposed,
        .y = out,
        .y_stride = y_stride,
    };
    clip_blas_multiply(&product);
    require(margins_untouched(2), "wrote beside its output");
    for (size_t row = 0; row < rows; row++) {
        for (size_t output = 0; output < y_stride; output++) {
            float found = output < outputs || row + 1 < rows ? out[row * y_stride + output] : NAN;
            if (output >= outputs) {
                require(isnan(found), "wrote between rows of its output");
                continue;
            }
            double sum = 0, magnitudes = 0;
            for (size_t i = 0; i < inputs; i++) {
                double a = x[row * x_stride + i];
                double b = is_transposed ? w[output * w_stride + i] : w[i * w_stride + output];
                sum += a * b;
                magnitudes += fabs(a * b);
            }
            compare(found, sum, magnitudes);
        }
    }
}

static void check_shapes(void) {
    begin_function(clip_blas_core(), "products", 1e-6);
    const size_t inputs[] = {1, 2, 3, 7, 17, 31, 64, 77, 100, 257};
    for (size_t i = 0; i < 320; i++) {
        size_t rows = CLIP_BLAS_ROWS * (1 + random_below(&source, 5));
        size_t outputs = 1 + random_below(&source, 70);
        // The heads of an attention layer have such widths. OpenBLAS 0.3.21 for Cortex-A53 reads
        // beyond the end of other matrices that are not transposed.
        if (i % 3 == 0) outputs = outputs / 4 * 4 + 4;
        check_shape(rows, outputs, inputs[i % 10], i % 3 != 0, i % 2 ? AT_START : AT_END);
    }
    // Large products of several blocks.
    check_shape(96, 264, 700, true, AT_END);
    check_shape(56, 97, 1300, true, AT_END);
    check_shape(56, 64, 50, false, AT_END);
    check_shape(200, 64, 197, false, AT_START);
}

// MARK: The bits of a row

typedef struct {
    const float *x;
    size_t count, outputs, inputs;
    float *y;
    int parts;
    int is_by_rows;
} engine_product;

// The part of one thread: some rows or some outputs, in blocks of rows.
static void multiply_part(void *context, int part) {
    const engine_product *p = context;
    size_t unit = p->is_by_rows ? CLIP_BLAS_ROWS : PANEL;
    size_t all = p->is_by_rows ? p->count : p->outputs, units = (all + unit - 1) / unit;
    size_t lower = units * (size_t)part / (size_t)p->parts * unit;
    size_t upper = smaller(units * (size_t)(part + 1) / (size_t)p->parts * unit, all);
    size_t first = p->is_by_rows ? lower : 0, last = p->is_by_rows ? upper : p->count;
    size_t output = p->is_by_rows ? 0 : lower;
    size_t outputs = p->is_by_rows ? p->outputs : upper - lower;
    size_t most = smaller(BLOCK_ROWS, clip_blas_reproducible_rows());
    size_t blocks = (last - first + most - 1) / most;
    size_t height = filled_up((last - first + blocks - 1) / blocks);
    for (size_t row = first; row < last; row += height) {
        size_t rows = smaller(height, last - row);
        // Rows beyond the last one are computed too, so the results go elsewhere.
        static _Thread_local float sums[BLOCK_ROWS * MOST_OUTPUTS];
        clip_blas_product product = {
            .x = p->x + row * p->inputs,
            .rows = filled_up(rows),
            .inputs = p->inputs,
            .x_stride = p->inputs,
            .w = w + output * p->inputs,
            .outputs = outputs,
            .w_stride = p->inputs,
            .is_transposed = 1,
            .y = sums,
            .y_stride = outputs,
        };
        clip_blas_multiply(&product);
        for (size_t i = 0; i < rows; i++) {
            memcpy(p->y + (row + i) * p->outputs + output, sums + i * outputs, 4 * outputs);
        }
    }
}

static void multiply(const float *rows, size_t count, size_t outputs, size_t inputs, int threads,
                     clip_team *team) {
    engine_product product = {rows, count, outputs, inputs, y, threads, count > outputs};
    size_t unit = product.is_by_rows ? CLIP_BLAS_ROWS : PANEL;
    size_t units = ((product.is_by_rows ? count : outputs) + unit - 1) / unit;
    if ((size_t)threads > units) product.parts = (int)units;
    if (team) {
        clip_team_run(team, product.parts, multiply_part, &product);
    } else {
        for (int part = 0; part < product.parts; part++) multiply_part(&product, part);
    }
}

// All of the first rows are computed alone, and some of the others, since an emulator is slow.
static bool is_compared(size_t row) { return row < 20 || row % 9 == 0; }

static void check_bits(size_t outputs, size_t inputs, size_t most, clip_team *team) {
    static const size_t counts[] = {1, 2, 7, 8, 9, 16, 17, 31, 50, 77, 100, 197, 400};
    static const int threads[] = {1, 3, 16};
    fill_floats(&source, x, (most + CLIP_BLAS_ROWS) * inputs, -1, 2);
    fill_floats(&source, w, outputs * inputs, -1, 1);
    for (size_t row = 0; row < most; row++) {
        if (!is_compared(row)) continue;
        multiply(x + row * inputs, 1, outputs, inputs, 1, NULL);
        memcpy(alone + row * outputs, y, 4 * outputs);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts && counts[i] <= most; i++) {
        for (int t = 0; t < 4; t++) {
            size_t first = random_below(&source, most - counts[i] + 1);
            bool at_once = t == 3;
            int parts = at_once ? clip_team_threads(team) : threads[t];
            // The larger ones run once, since an emulator is slow.
            if (counts[i] > 50 && t != 1) continue;
            begin_case("%zu rows from %zu, %zu inputs, %zu outputs, in %d parts%s", counts[i],
                       first, inputs, outputs, parts, at_once ? " at once" : "");
            multiply(x + first * inputs, counts[i], outputs, inputs, parts, at_once ? team : NULL);
            for (size_t row = 0; row < counts[i]; row++) {
                if (!is_compared(first + row)) continue;
                compare_bytes(y + row * outputs, alone + (first + row) * outputs, 4 * outputs);
            }
        }
    }
    // The content of the padding rows does not matter.
    begin_case("NaN in the rows beyond, %zu inputs, %zu outputs", inputs, outputs);
    for (size_t i = 0; i < (CLIP_BLAS_ROWS - 1) * inputs; i++) x[inputs + i] = NAN;
    multiply(x, 1, outputs, inputs, 1, NULL);
    compare_bytes(y, alone, 4 * outputs);
}

// The head of an attention layer: parts of the columns of a wide matrix, one image after the other.
static void check_heads(void) {
    enum { TOKENS = 50, IMAGES = 5, WIDTH = 64, HEADS = 3, STRIDE = WIDTH * HEADS };
    size_t rows = filled_up(TOKENS);
    // The same numbers in each image and head, except for the rows beyond the last image.
    for (size_t i = 0; i < (TOKENS * IMAGES + CLIP_BLAS_ROWS) * STRIDE; i++) {
        size_t first = i / STRIDE % TOKENS * STRIDE + i % WIDTH;
        if (first == i) {
            fill_floats(&source, x + i, 1, -1, 1);
            fill_floats(&source, w + i, 1, -1, 1);
        }
        x[i] = x[first];
        w[i] = w[first];
    }
    for (int is_transposed = 0; is_transposed < 2; is_transposed++) {
        size_t outputs = is_transposed ? TOKENS : WIDTH;
        for (size_t i = 0; i < IMAGES * HEADS; i++) {
            size_t start = i / HEADS * TOKENS * STRIDE + i % HEADS * WIDTH;
            begin_case("image %zu, head %zu, %s", i / HEADS, i % HEADS,
                       is_transposed ? "queries by keys" : "scores by values");
            clip_blas_product product = {
                .x = x + start,
                .rows = rows,
                .inputs = is_transposed ? WIDTH : TOKENS,
                .x_stride = STRIDE,
                .w = w + start,
                .outputs = outputs,
                .w_stride = STRIDE,
                .is_transposed = is_transposed,
                .y = y,
                .y_stride = outputs,
            };
            clip_blas_multiply(&product);
            if (i == 0) memcpy(alone, y, 4 * TOKENS * outputs);
            compare_bytes(y, alone, 4 * TOKENS * outputs);
        }
    }
}

void check_blas(void) {
    begin_function("BLAS", "clip_blas_load", 0);
    begin_case("the first time");
    int threads = running_threads();
    if (clip_blas_load(0) == 0) {
        require(false, "OpenBLAS was not found");
        return;
    }
    begin_case("the second time");
    require(clip_blas_load(1) == 1, "expected 1");
    size_t reproducible = clip_blas_reproducible_rows();
    begin_case("%zu reproducible rows", reproducible);
    require(reproducible == CLIP_BLAS_ROWS || reproducible == INT_MAX, "expected 8 or INT_MAX");
    printf("%s, core %s, %s\n", clip_blas_version(), clip_blas_core(),
           reproducible == INT_MAX ? "rows do not depend on their places" : "8 rows at once");

    check_shapes();
    begin_function(clip_blas_core(), "threads started", 0);
    begin_case("after the products");
    require(running_threads() == threads, "a library started threads");
    printf("%d threads before OpenBLAS was loaded, %d after products\n", threads,
           running_threads());

    begin_function(clip_blas_core(), "bits of a row", 0);
    clip_team *team = clip_team_create(4);
    begin_case("a team of 4");
    require(team != NULL, "no team was created");
    if (team == NULL) return;
    check_bits(512, 256, MOST_ROWS, team);
    check_bits(264, 700, 100, team);
    check_bits(97, 1300, 50, team);
    clip_team_destroy(team);
    begin_function(clip_blas_core(), "bits of a head of attention", 0);
    check_heads();
}
