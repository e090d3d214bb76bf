#include "product.h"

// A tile is four rows by eight outputs, so that the sums, two vectors of weights and one of x fit
// into sixteen registers of four floats, which every CPU has.
enum { HEIGHT = 4, WIDTH = 8 };

typedef float vector __attribute__((vector_size(16), aligned(4)));

__attribute__((always_inline)) static inline void compute_rows(const tile *t, int rows,
                                                               float *sums) {
    const float *x = (const float *)t->x;
    for (int column = 0; column < CLIP_PANEL_OUTPUTS; column += WIDTH) {
        const float *w = (const float *)t->panel + column;
        vector s[HEIGHT][2] = {{{0}}};
        for (size_t k = 0; k < t->words; k++, w += CLIP_PANEL_OUTPUTS) {
            vector left = *(const vector *)w, right = *(const vector *)(w + 4);
            for (int i = 0; i < rows; i++) {
                float value = x[i * (t->row_stride / 4) + k];
                s[i][0] += value * left;
                s[i][1] += value * right;
            }
        }
        for (int i = 0; i < rows; i++) {
            vector *total = (vector *)(sums + i * CLIP_PANEL_OUTPUTS + column);
            total[0] = t->is_first ? s[i][0] : total[0] + s[i][0];
            total[1] = t->is_first ? s[i][1] : total[1] + s[i][1];
        }
    }
}

static void compute(const tile *t, float *sums) {
    switch (t->rows) {
    case 1:
        compute_rows(t, 1, sums);
        break;
    case 2:
        compute_rows(t, 2, sums);
        break;
    case 3:
        compute_rows(t, 3, sums);
        break;
    case 4:
        compute_rows(t, 4, sums);
        break;
    }
}

static void finish(const clip_product *p, float *sums, size_t line, size_t row, size_t rows,
                   size_t output) {
    const clip_kernels *kernels = clip_kernels_current();
    finish_floats(p, sums, line, row, rows, output, kernels->add, kernels->bias_activation);
}

void clip_multiply_float32_portable(const clip_product *p) {
    for_each_tile_of_floats(p, (tile_kernel){HEIGHT, SUMMED_AT_ONCE, compute, finish});
}

void clip_pack_bfloat16_portable(const uint16_t *x, size_t stride, size_t rows, size_t n,
                                 uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        for (size_t row = 0; row < CLIP_PANEL_OUTPUTS; row++) {
            out[i * CLIP_PANEL_OUTPUTS + row] =
                row < rows ? (uint32_t)x[row * stride + i] << 16 : 0;
        }
    }
}

void clip_pack_portable(const uint32_t *x, size_t stride, size_t rows, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        for (size_t row = 0; row < CLIP_PANEL_OUTPUTS; row++) {
            out[i * CLIP_PANEL_OUTPUTS + row] = row < rows ? x[row * stride + i] : 0;
        }
    }
}
