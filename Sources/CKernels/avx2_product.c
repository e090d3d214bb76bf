#if defined(__x86_64__)

#include "product.h"

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

// A tile is six rows by half a panel: 12 sums, two vectors of weights and one of x in 16 registers.
enum { HEIGHT = 6, WIDTH = 16 };

__attribute__((always_inline)) static inline void compute_rows(const tile *t, int rows,
                                                               float *sums) {
    const float *x = (const float *)t->x;
    size_t stride = t->row_stride / 4, words = t->words;
    const char *ahead = t->ahead;
    for (int column = 0; column < CLIP_PANEL_OUTPUTS; column += WIDTH) {
        const float *w = (const float *)t->panel + column;
        __m256 s[HEIGHT][2];
        UNROLL
        for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = _mm256_setzero_ps();
        for (size_t k = 0; k < words; k++, w += CLIP_PANEL_OUTPUTS) {
            __m256 left = _mm256_loadu_ps(w), right = _mm256_loadu_ps(w + 8);
            _mm_prefetch((const char *)(w + 16 * CLIP_PANEL_OUTPUTS), _MM_HINT_T0);
            _mm_prefetch(ahead, _MM_HINT_T1);
            ahead += t->ahead_step / 2;
            UNROLL
            for (int i = 0; i < rows; i++) {
                __m256 value = _mm256_set1_ps(x[i * stride + k]);
                s[i][0] = _mm256_fmadd_ps(value, left, s[i][0]);
                s[i][1] = _mm256_fmadd_ps(value, right, s[i][1]);
                // Row by row, so that the sums stay in registers.
                __asm__ volatile("" : "+x"(s[i][0]), "+x"(s[i][1]) : : "memory");
            }
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            float *total = sums + i * CLIP_PANEL_OUTPUTS + column;
            if (!t->is_first) {
                s[i][0] = _mm256_add_ps(_mm256_loadu_ps(total), s[i][0]);
                s[i][1] = _mm256_add_ps(_mm256_loadu_ps(total + 8), s[i][1]);
            }
            _mm256_storeu_ps(total, s[i][0]);
            _mm256_storeu_ps(total + 8, s[i][1]);
        }
    }
}

static void compute(const tile *t, float *sums) {
    switch (t->rows) {
    case 1:
        return compute_rows(t, 1, sums);
    case 2:
        return compute_rows(t, 2, sums);
    case 3:
        return compute_rows(t, 3, sums);
    case 4:
        return compute_rows(t, 4, sums);
    case 5:
        return compute_rows(t, 5, sums);
    case 6:
        return compute_rows(t, 6, sums);
    }
}

static void finish(const clip_product *p, float *sums, size_t line, size_t row, size_t rows,
                   size_t output) {
    finish_floats(p, sums, line, row, rows, output, clip_kernels_avx2.add,
                  clip_kernels_avx2.bias_activation);
}

void clip_multiply_float32_avx2(const clip_product *p) {
    for_each_tile_of_floats(p, (tile_kernel){HEIGHT, SUMMED_AT_ONCE, compute, finish});
}

#pragma clang attribute pop

#endif
