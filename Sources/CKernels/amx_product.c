#if defined(__x86_64__)

#include "avx512_product.h"

#define AMX_TARGET AVX512_TARGET ",amx-tile,amx-bf16,amx-int8"

// The memory operand of _tile_loadconfig.
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} configuration;

// Tiles 4 and 5 are two bands of rows of x, 6 and 7 the two halves of a panel of weights, and 0 to
// 3 the sums of each band with each half.
enum { BAND = 16, HALF = 64 };

#pragma clang attribute push(__attribute__((target(AMX_TARGET))), apply_to = function)

// The vector units finish a tile while the matrix unit computes the next one. This is, for each
// thread, the tile to be finished and the configuration of the matrix unit.
static _Thread_local struct {
    const clip_product *product;
    _Alignas(64) float sums[2][TILE_ROWS * CLIP_PANEL_OUTPUTS];
    int which;  // the index of the sums to be finished
    size_t line, row, rows, output;
    size_t configured_rows;
} waiting;

static void configure(size_t upper, size_t lower) {
    configuration c = {.palette = 1};
    const uint8_t rows[8] = {upper, upper, lower, lower, upper, lower, BAND, BAND};
    for (int i = 0; i < 8; i++) {
        c.rows[i] = rows[i];
        c.row_bytes[i] = HALF;
    }
    _tile_loadconfig(&c);
}

// Finishes some rows of the waiting tile.
__attribute__((always_inline)) static inline void finish_waiting(size_t from, size_t to,
                                                                 clip_activation activation) {
    finish_rows(waiting.product, waiting.sums[waiting.which] + from * CLIP_PANEL_OUTPUTS,
                waiting.line, waiting.row + from, to - from, waiting.output, activation);
}

// The instructions need constant tile numbers.
#define ADD_PRODUCT(sum, x, w) \
    (of_bytes ? _tile_dpbusd(sum, x, w) : _tile_dpbf16ps(sum, x, w))

__attribute__((always_inline)) static inline void compute(const tile *t, int of_bytes,
                                                          clip_activation activation) {
    int is_low = t->rows > BAND;
    size_t upper = is_low ? (t->rows + 1) / 2 : t->rows, stride = t->row_stride;
    if (waiting.configured_rows != t->rows) {
        configure(upper, is_low ? t->rows - upper : 1);
        waiting.configured_rows = t->rows;
    }

    _tile_zero(0);
    _tile_zero(1);
    if (is_low) {
        _tile_zero(2);
        _tile_zero(3);
    }
    const char *x = t->x, *w = t->panel, *ahead = t->ahead;
    size_t ahead_step = t->ahead_step * CLIP_WORDS_MULTIPLE, finished = 0;
    for (size_t k = 0; k < t->words; k += CLIP_WORDS_MULTIPLE) {
        for (size_t i = 0; i < ahead_step; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T1);
        ahead += ahead_step;
        _tile_loadd(4, x, stride);
        _tile_loadd(6, w, CLIP_PANEL_WORD);
        _tile_loadd(7, w + HALF, CLIP_PANEL_WORD);
        ADD_PRODUCT(0, 4, 6);
        ADD_PRODUCT(1, 4, 7);
        if (is_low) {
            _tile_loadd(5, x + upper * stride, stride);
            ADD_PRODUCT(2, 5, 6);
            ADD_PRODUCT(3, 5, 7);
        }
        x += 4 * CLIP_WORDS_MULTIPLE;
        w += CLIP_WORDS_MULTIPLE * CLIP_PANEL_WORD;
        size_t next = finished + 2 < waiting.rows ? finished + 2 : waiting.rows;
        finish_waiting(finished, next, activation);
        finished = next;
    }
    finish_waiting(finished, waiting.rows, activation);

    float *sums = waiting.sums[!waiting.which];
    _tile_stored(0, sums, CLIP_PANEL_WORD);
    _tile_stored(1, sums + 16, CLIP_PANEL_WORD);
    if (is_low) {
        float *below = sums + upper * CLIP_PANEL_OUTPUTS;
        _tile_stored(2, below, CLIP_PANEL_WORD);
        _tile_stored(3, below + 16, CLIP_PANEL_WORD);
    }
}

__attribute__((always_inline)) static inline void compute_any(const tile *t, int of_bytes) {
    switch (waiting.product->activation) {
    case CLIP_IDENTITY:
        return compute(t, of_bytes, CLIP_IDENTITY);
    case CLIP_RELU:
        return compute(t, of_bytes, CLIP_RELU);
    case CLIP_QUICK_GELU:
        return compute(t, of_bytes, CLIP_QUICK_GELU);
    case CLIP_GELU:
        return compute(t, of_bytes, CLIP_GELU);
    case CLIP_TANH_GELU:
        return compute(t, of_bytes, CLIP_TANH_GELU);
    }
}

static void compute_bfloat16(const tile *t, float *sums) {
    compute_any(t, 0);
}

static void compute_int8(const tile *t, float *sums) {
    compute_any(t, 1);
}

static void finish_later(const clip_product *p, float *sums, size_t line, size_t row, size_t rows,
                         size_t output) {
    waiting.line = line;
    waiting.row = row;
    waiting.rows = rows;
    waiting.output = output;
    waiting.which = !waiting.which;
}

__attribute__((always_inline)) static inline void multiply(const clip_product *p,
                                                           compute_tile compute) {
    waiting.product = p;
    waiting.rows = 0;
    waiting.configured_rows = 0;
    for_each_tile(p, (tile_kernel){2 * BAND, SIZE_MAX, compute, finish_later});
    finish(p, waiting.sums[waiting.which], waiting.line, waiting.row, waiting.rows, waiting.output);
    _tile_release();
}

void clip_multiply_bfloat16_amx(const clip_product *p) {
    multiply(p, compute_bfloat16);
}

void clip_multiply_int8_amx(const clip_product *p) {
    multiply(p, compute_int8);
}

#pragma clang attribute pop

#endif
