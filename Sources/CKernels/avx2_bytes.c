#if defined(__x86_64__)

#include "product.h"

#include <immintrin.h>
#include <math.h>

// Products of bytes with vectors of 32 bytes. VNNI multiplies and adds four pairs of bytes with one
// instruction. Without VNNI it takes three, and the first adds two products in 16 bits. To avoid
// overflow, the bytes of x then have seven bits: 2 * 127 * 127 < 2^15.

#define AVX2_TARGET "avx2,fma,f16c"
#define AVX_VNNI_TARGET AVX2_TARGET ",avxvnni"
#define AVX512_VNNI_256_TARGET AVX2_TARGET ",avx512f,avx512bw,avx512vl,avx512vnni"

// A tile is HEIGHT rows by half a panel. With VNNI, the sums, two vectors of weights and one of x
// fit into 16 registers. Without it, products and ones take one more each.
enum { HEIGHT = 6, AVX2_HEIGHT = 5, WIDTH = 16 };

typedef __m256i (*accumulate)(__m256i sums, __m256i x, __m256i w);

__attribute__((target(AVX2_TARGET))) static inline __m256i accumulate_avx2(__m256i sums, __m256i x,
                                                                           __m256i w) {
    __m256i pairs = _mm256_maddubs_epi16(x, w);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

__attribute__((target(AVX_VNNI_TARGET))) static inline __m256i accumulate_avx_vnni(__m256i sums,
                                                                                   __m256i x,
                                                                                   __m256i w) {
    return _mm256_dpbusd_avx_epi32(sums, x, w);
}

__attribute__((target(AVX512_VNNI_256_TARGET))) static inline __m256i accumulate_avx512_vnni_256(
    __m256i sums, __m256i x, __m256i w) {
    return _mm256_dpbusd_epi32(sums, x, w);
}

#pragma clang attribute push(__attribute__((target(AVX2_TARGET))), apply_to = function)

// `rows` is a constant wherever this is inlined, so that the sums stay in registers.
__attribute__((always_inline)) static inline void compute_rows(const tile *t, int rows,
                                                               accumulate add, float *sums) {
    const int32_t *x = (const int32_t *)t->x;
    size_t stride = t->row_stride / 4, words = t->words;
    const char *ahead = t->ahead;
    for (int column = 0; column < CLIP_PANEL_OUTPUTS; column += WIDTH) {
        const char *w = t->panel + 4 * column;
        __m256i s[HEIGHT][2];
        UNROLL
        for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = _mm256_setzero_si256();
        for (size_t k = 0; k < words; k++, w += CLIP_PANEL_WORD) {
            __m256i left = _mm256_loadu_si256((const __m256i *)w);
            __m256i right = _mm256_loadu_si256((const __m256i *)(w + 32));
            _mm_prefetch(w + 16 * CLIP_PANEL_WORD, _MM_HINT_T0);
            _mm_prefetch(ahead, _MM_HINT_T1);
            ahead += t->ahead_step / 2;
            UNROLL
            for (int i = 0; i < rows; i++) {
                __m256i value = _mm256_set1_epi32(x[i * stride + k]);
                s[i][0] = add(s[i][0], value, left);
                s[i][1] = add(s[i][1], value, right);
                // Row by row, so that the sums stay in registers.
                __asm__ volatile("" : "+x"(s[i][0]), "+x"(s[i][1]) : : "memory");
            }
        }
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m256i *total = (__m256i *)(sums + i * CLIP_PANEL_OUTPUTS + column);
            _mm256_storeu_si256(total, s[i][0]);
            _mm256_storeu_si256(total + 1, s[i][1]);
        }
    }
}

__attribute__((always_inline)) static inline void compute(const tile *t, accumulate add,
                                                          float *sums) {
    switch (t->rows) {
#define CASE(n) case n: return compute_rows(t, n, add, sums);
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#undef CASE
    }
}

// Converts sums to outputs. Products of bytes are computed in one run, so the sums are complete.
static void finish(const clip_product *p, float *sums, size_t line, size_t row, size_t rows,
                   size_t output) {
    size_t there = p->outputs - output;
    size_t n = there < CLIP_PANEL_OUTPUTS ? there : CLIP_PANEL_OUTPUTS;
    for (size_t i = 0; i < rows; i++) {
        float *s = sums + i * CLIP_PANEL_OUTPUTS, scale = p->row_scales[row + i];
        int32_t zero = p->row_zeros[row + i];
        for (size_t j = 0; j < n; j++) {
            int32_t sum;
            memcpy(&sum, s + j, sizeof sum);
            s[j] = (float)(sum - p->output_sums[output + j] * zero) *
                   (p->output_scales[output + j] * scale);
        }
    }
    finish_floats(p, sums, line, row, rows, output, clip_kernels_avx2.add,
                  clip_kernels_avx2.bias_activation);
}

#pragma clang attribute pop

#define PRODUCT(name, isa, height)                                                        \
    __attribute__((target(isa))) static void compute_##name(const tile *t, float *sums) { \
        compute(t, accumulate_##name, sums);                                              \
    }                                                                                     \
    void clip_multiply_int8_##name(const clip_product *p) {                               \
        for_each_tile(p, (tile_kernel){height, SIZE_MAX, compute_##name, finish});        \
    }

PRODUCT(avx2, AVX2_TARGET, AVX2_HEIGHT)
PRODUCT(avx_vnni, AVX_VNNI_TARGET, HEIGHT)
PRODUCT(avx512_vnni_256, AVX512_VNNI_256_TARGET, HEIGHT)

// MARK: Quantisation

#pragma clang attribute push(__attribute__((target(AVX2_TARGET))), apply_to = function)

// The smallest and the largest of x and 0; both NaN if any x is not finite.
static void range(const float *x, size_t n, float *smallest, float *largest) {
    __m256 low = _mm256_setzero_ps(), high = low, bad = low;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        low = _mm256_min_ps(low, v);
        high = _mm256_max_ps(high, v);
        // v - v is NaN where v is NaN or infinite, else 0.
        bad = _mm256_or_ps(bad, _mm256_sub_ps(v, v));
    }
    float lows[8], highs[8], bads[8];
    _mm256_storeu_ps(lows, low);
    _mm256_storeu_ps(highs, high);
    _mm256_storeu_ps(bads, bad);
    float l = 0, h = 0, b = 0;
    for (int lane = 0; lane < 8; lane++) {
        if (lows[lane] < l) l = lows[lane];
        if (highs[lane] > h) h = highs[lane];
        b += bads[lane];
    }
    for (; i < n; i++) {
        if (x[i] < l) l = x[i];
        if (x[i] > h) h = x[i];
        b += x[i] - x[i];
    }
    *smallest = isnan(b) ? NAN : l;
    *largest = isnan(b) ? NAN : h;
}

// The nearest integers to x[i] * factor, of eight floats.
__attribute__((always_inline)) static inline __m256i rounded(const float *x, float factor) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(factor)));
}

// Stores eight integers as bytes, signed or unsigned.
__attribute__((always_inline)) static inline void store_bytes(void *out, __m256i q, int is_signed) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    __m128i bytes = is_signed ? _mm_packs_epi16(words, words) : _mm_packus_epi16(words, words);
    _mm_storel_epi64((__m128i *)out, bytes);
}

__attribute__((always_inline)) static inline void quantize(const float *x, size_t n, uint8_t *out,
                                                           int levels, float *scale,
                                                           int32_t *zero) {
    float smallest, largest;
    range(x, n, &smallest, &largest);
    *scale = (largest - smallest) / (float)levels;
    float factor = *scale > 0 ? 1 / *scale : 0;
    *zero = *scale > 0 ? (int32_t)lrintf(-smallest * factor) : 0;
    __m256i z = _mm256_set1_epi32(*zero), most = _mm256_set1_epi32(levels);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i q = _mm256_add_epi32(rounded(x + i, factor), z);
        store_bytes(out + i, _mm256_min_epi32(q, most), 0);
    }
    for (; i < n; i++) {
        long q = lrintf(x[i] * factor) + *zero;
        out[i] = (uint8_t)(q < 0 ? 0 : q > levels ? levels : q);
    }
}

void clip_quantize_avx2(const float *x, size_t n, uint8_t *out, float *scale, int32_t *zero) {
    quantize(x, n, out, 255, scale, zero);
}

void clip_quantize_seven_bits_avx2(const float *x, size_t n, uint8_t *out, float *scale,
                                   int32_t *zero) {
    quantize(x, n, out, 127, scale, zero);
}

void clip_quantize_symmetrically_avx2(const float *x, size_t n, int8_t *out, float *scale,
                                      int32_t *total) {
    float smallest, largest;
    range(x, n, &smallest, &largest);
    *scale = (largest > -smallest ? largest : -smallest) / 127;
    if (isnan(smallest)) *scale = NAN;
    float factor = *scale > 0 ? 1 / *scale : 0;
    __m256i all = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i q = rounded(x + i, factor);
        all = _mm256_add_epi32(all, q);
        store_bytes(out + i, q, 1);
    }
    int32_t lanes[8], sum = 0;
    _mm256_storeu_si256((__m256i *)lanes, all);
    for (int lane = 0; lane < 8; lane++) sum += lanes[lane];
    for (; i < n; i++) {
        long q = lrintf(x[i] * factor);
        out[i] = (int8_t)q;
        sum += (int32_t)q;
    }
    *total = sum;
}

#pragma clang attribute pop

#endif
