// The loop over the tiles of a matrix product, in the same order for every instruction set.

#ifndef PRODUCT_H
#define PRODUCT_H

#include "tables.h"

#include <string.h>

// A tile: the sums of at most TILE_ROWS rows of x with one panel, or the part of these sums over a
// run of consecutive words.
enum { TILE_ROWS = 32 };

typedef struct {
    const char *x;  // the first word of the first row
    size_t rows, row_stride, words;
    const char *panel;
    int is_first;       // 1 for the first part of the sums; later parts are added to it
    const char *ahead;  // memory to prefetch: `ahead_step` bytes for each word
    size_t ahead_step;
} tile;

// Unrolls a loop over an array of sums. Sums stay in registers only if all their loops are
// unrolled.
#define UNROLL _Pragma("clang loop unroll(full)")

// Float products are summed in runs of this many words, and the sums of the runs are then added up.
// The rounding error is smaller than that of one long sum.
enum { SUMMED_AT_ONCE = 256 };

// Much longer rows of floats are multiplied this many words at a time, and the products are added
// to y, unless there is an activation. These parts of the rows stay in the cache for all panels.
enum { WORDS_AT_ONCE = 1024 };

typedef void (*compute_tile)(const tile *t, float *sums);
typedef void (*finish_tile)(const clip_product *p, float *sums, size_t line, size_t row,
                            size_t rows, size_t output);

// The kernel of an instruction set, for tiles of at most `height` rows and runs of `run` words.
typedef struct {
    size_t height, run;
    compute_tile compute;
    finish_tile finish;
} tile_kernel;

// Computes all parts of the sums of a tile, given the first part.
__attribute__((always_inline)) static inline void compute_parts(const clip_product *p, tile t,
                                                                size_t words, tile_kernel kernel,
                                                                float *sums) {
    const char *rows = t.x;
    t.is_first = 1;
    for (size_t segment = 0; segment < p->segments; segment++) {
        t.x = rows + segment * p->segment_stride;
        for (size_t first = 0; first < words; first += kernel.run) {
            t.words = words - first < kernel.run ? words - first : kernel.run;
            kernel.compute(&t, sums);
            t.is_first = 0;
            t.x += 4 * t.words;
            t.panel += t.words * CLIP_PANEL_WORD;
            t.ahead += t.words * t.ahead_step;
        }
    }
}

// Prefetches the outputs of a tile while its sums are computed. Their rows are too far apart for
// the CPU's own prefetcher.
__attribute__((always_inline)) static inline void fetch_outputs(const clip_product *p, size_t line,
                                                                size_t row, size_t rows,
                                                                size_t output) {
    size_t bytes = p->y_is_bfloat16 ? 2 : 4;
    const char *y = (const char *)p->y + line * p->y_line_stride + row * p->y_row_stride +
                    output * bytes;
    for (size_t i = 0; i < rows; i++, y += p->y_row_stride) {
        __builtin_prefetch(y, 1);
        if (bytes == 4) __builtin_prefetch(y + 64, 1);
    }
}

// Splits rows into tiles of nearly equal height. As many tiles as fit into half the L2 cache are
// multiplied by all panels before the next tiles.
__attribute__((always_inline)) static inline void for_each_tile_of_words(const clip_product *p,
                                                                         size_t first_word,
                                                                         size_t words,
                                                                         tile_kernel kernel) {
    _Alignas(64) float sums[TILE_ROWS * CLIP_PANEL_OUTPUTS];
    size_t tiles_a_line = (p->rows + kernel.height - 1) / kernel.height;
    size_t tiles = p->lines * tiles_a_line;
    size_t panel_bytes = p->segments * p->words * CLIP_PANEL_WORD;
    size_t part_bytes = p->segments * words * CLIP_PANEL_WORD;
    size_t panels = (p->outputs + CLIP_PANEL_OUTPUTS - 1) / CLIP_PANEL_OUTPUTS;
    // Lines of several segments overlap. A single line has no stride.
    size_t tile_bytes = kernel.height * words * 4;
    if (p->segments > 1 && p->lines > 1) tile_bytes = p->line_stride / tiles_a_line + 1;
    size_t chunk = clip_cache_bytes() / 2 / tile_bytes + 1;

    for (size_t first = 0; first < tiles; first += chunk) {
        size_t last = tiles - first < chunk ? tiles : first + chunk;
        for (size_t panel = 0; panel < panels; panel++) {
            const char *here = (const char *)p->panels + panel * panel_bytes +
                               first_word * CLIP_PANEL_WORD;
            const char *next = panel + 1 < panels ? here + panel_bytes : p->panels;
            for (size_t i = first; i < last; i++) {
                size_t line = i / tiles_a_line, at = i % tiles_a_line;
                size_t row = p->rows * at / tiles_a_line;
                size_t rows = p->rows * (at + 1) / tiles_a_line - row;
                const char *x = (const char *)p->x + line * p->line_stride + row * p->row_stride;
                tile t = {
                    .x = x + 4 * first_word,
                    .rows = rows,
                    .row_stride = p->row_stride,
                    .panel = here,
                    .ahead = next + part_bytes * (i - first) / (last - first),
                    .ahead_step = CLIP_PANEL_WORD / (last - first),
                };
                if (panel == 0) {
                    // Prefetch the rows of the next tile, which stay in the cache for the other
                    // panels.
                    t.ahead = t.x + rows * p->row_stride;
                    t.ahead_step = rows * p->row_stride / words;
                }
                fetch_outputs(p, line, row, rows, panel * CLIP_PANEL_OUTPUTS);
                compute_parts(p, t, words, kernel, sums);
                kernel.finish(p, sums, line, row, rows, panel * CLIP_PANEL_OUTPUTS);
            }
        }
    }
}

__attribute__((always_inline)) static inline void for_each_tile(const clip_product *p,
                                                                tile_kernel kernel) {
    for_each_tile_of_words(p, 0, p->words, kernel);
}

// Like for_each_tile, for floats; splits long rows into parts of WORDS_AT_ONCE words.
__attribute__((always_inline)) static inline void for_each_tile_of_floats(const clip_product *p,
                                                                          tile_kernel kernel) {
    size_t at_once = p->words;
    if (p->segments == 1 && p->activation == CLIP_IDENTITY && !p->y_is_bfloat16 &&
        p->words > 3 * WORDS_AT_ONCE / 2) {
        at_once = WORDS_AT_ONCE;
    }
    clip_product part = *p;
    for (size_t first = 0; first < p->words; first += at_once) {
        size_t words = p->words - first < at_once ? p->words - first : at_once;
        for_each_tile_of_words(&part, first, words, kernel);
        part.adding = 1;
        part.bias = NULL;
    }
}

// Converts float sums to outputs, a row of a panel at a time.
__attribute__((always_inline)) static inline void finish_floats(
    const clip_product *p, float *sums, size_t line, size_t row, size_t rows, size_t output,
    void (*add)(float *x, const float *y, size_t n),
    void (*bias_activation)(float *x, const float *bias, size_t n, clip_activation activation)) {
    size_t there = p->outputs - output;
    size_t n = there < CLIP_PANEL_OUTPUTS ? there : CLIP_PANEL_OUTPUTS;
    for (size_t i = 0; i < rows; i++, sums += CLIP_PANEL_OUTPUTS) {
        float *y = (float *)((char *)p->y + line * p->y_line_stride + (row + i) * p->y_row_stride);
        if (p->adding) add(sums, y + output, n);
        bias_activation(sums, p->bias ? p->bias + output : NULL, n, p->activation);
        memcpy(y + output, sums, n * sizeof(float));
    }
}

#endif
