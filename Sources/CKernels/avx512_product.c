#if defined(__x86_64__)

#include "avx512_product.h"

// A tile is 14 rows by a panel: 28 sums, two vectors of weights and one of x in 32 registers.
enum { HEIGHT = 14 };

// The prefetch distance of weights from the L2 to the L1 cache, in bytes.
enum { NEAR_AHEAD = 16 * CLIP_PANEL_WORD };

typedef __m512 (*accumulate)(__m512 sums, __m512i x, __m512i w);

__attribute__((target(AVX512_TARGET))) static inline __m512 accumulate_float32(
    __m512 sums, __m512i x, __m512i w) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), sums);
}

#define BFLOAT16_TARGET AVX512_TARGET ",avx512bf16"
__attribute__((target(BFLOAT16_TARGET))) static inline __m512 accumulate_bfloat16(
    __m512 sums, __m512i x, __m512i w) {
    return _mm512_dpbf16_ps(sums, (__m512bh)x, (__m512bh)w);
}

#define INT8_TARGET AVX512_TARGET ",avx512vnni"
__attribute__((target(INT8_TARGET))) static inline __m512 accumulate_int8(__m512 sums, __m512i x,
                                                                          __m512i w) {
    return _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sums), x, w));
}

#pragma clang attribute push(__attribute__((target(AVX512_TARGET), always_inline)), \
                             apply_to = function)

// `rows` is a constant wherever this is inlined, so that the sums stay in registers.
static inline void compute_rows(const tile *t, int rows, accumulate add, float *sums) {
    const int32_t *x = (const int32_t *)t->x;
    size_t stride = t->row_stride / 4, words = t->words;
    const char *w = t->panel, *ahead = t->ahead;
    __m512 s[HEIGHT][2];
    UNROLL
    for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = _mm512_setzero_ps();
    for (size_t k = 0; k < words; k++, w += CLIP_PANEL_WORD, ahead += t->ahead_step) {
        __m512i left = _mm512_loadu_si512(w), right = _mm512_loadu_si512(w + 64);
        _mm_prefetch(w + NEAR_AHEAD, _MM_HINT_T0);
        _mm_prefetch(w + NEAR_AHEAD + 64, _MM_HINT_T0);
        _mm_prefetch(ahead, _MM_HINT_T1);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i value = _mm512_set1_epi32(x[i * stride + k]);
            s[i][0] = add(s[i][0], value, left);
            s[i][1] = add(s[i][1], value, right);
            // One row at a time: loading all values first would take too many registers.
            __asm__ volatile("" : "+v"(s[i][0]), "+v"(s[i][1]) : : "memory");
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *total = sums + i * CLIP_PANEL_OUTPUTS;
        if (!t->is_first) {
            s[i][0] = _mm512_add_ps(_mm512_load_ps(total), s[i][0]);
            s[i][1] = _mm512_add_ps(_mm512_load_ps(total + 16), s[i][1]);
        }
        _mm512_store_ps(total, s[i][0]);
        _mm512_store_ps(total + 16, s[i][1]);
    }
}

static inline void compute(const tile *t, accumulate add, float *sums) {
    switch (t->rows) {
#define CASE(n) case n: return compute_rows(t, n, add, sums);
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
    CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#undef CASE
    }
}

#pragma clang attribute pop

// Products of bytes and bfloat16 are computed in one run of words, because only float32 sums can
// be added up in parts.
#define PRODUCT(name, isa, run, each)                                                        \
    __attribute__((target(isa))) static void compute_##name(const tile *t, float *sums) {    \
        compute(t, accumulate_##name, sums);                                                 \
    }                                                                                        \
    __attribute__((target(isa))) void clip_multiply_##name##_avx512(const clip_product *p) { \
        each(p, (tile_kernel){HEIGHT, run, compute_##name, finish});                         \
    }

PRODUCT(float32, AVX512_TARGET, SUMMED_AT_ONCE, for_each_tile_of_floats)
PRODUCT(bfloat16, BFLOAT16_TARGET, SIZE_MAX, for_each_tile)
PRODUCT(int8, INT8_TARGET, SIZE_MAX, for_each_tile)

#endif
