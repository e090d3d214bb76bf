#if defined(__x86_64__)

#include "tables.h"

#include <immintrin.h>
#include <string.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
    apply_to = function)

// As in avx2_resize.c, a weight is 65536 high + low, and each part has a sum of its own.
typedef struct {
    __m512i high, low;
} sums;

static void add_products(sums *s, __m512i pixels, __m512i high, __m512i low) {
    s->high = _mm512_add_epi32(s->high, _mm512_madd_epi16(pixels, high));
    s->low = _mm512_add_epi32(s->low, _mm512_madd_epi16(pixels, low));
}

// The high parts of pairs of weights: from two weights in every 64 bits, two in every 32 bits.
static __m512i high_parts(__m512i pairs) {
    // The high part is one more where the low part is negative.
    pairs = _mm512_add_epi32(pairs, _mm512_set1_epi32(0x8000));
    return _mm512_shuffle_epi8(pairs, _mm512_set1_epi64(0x0706030207060302));
}

static __m512i low_parts(__m512i pairs) {
    return _mm512_shuffle_epi8(pairs, _mm512_set1_epi64(0x0504010005040100));
}

static __m512i total(sums s) {
    return _mm512_add_epi32(_mm512_slli_epi32(s.high, 16), s.low);
}

// MARK: Horizontal

// From eight pixels, two taps in each of the four lanes: 16-bit r0 r1 g0 g1 b0 b1 0 0 | ...
static __m512i interleave(__m256i pixels) {
    // Pixels 2 and 6 start in the middle of a 32-bit word, hence the two kinds of lanes.
    __m512i lanes = _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 1, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 4, 5, 0, 0),
        _mm512_castsi256_si512(pixels));
    __m256i order =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
                         2, -1, 5, -1, 3, -1, 6, -1, 4, -1, 7, -1, -1, -1, -1, -1);
    return _mm512_shuffle_epi8(lanes, _mm512_broadcast_i64x4(order));
}

// The number of rows that share the loads of weights.
enum { TOGETHER = 4 };

// Computes a pixel of each of `rows` rows, in 32 bits each.
__attribute__((always_inline)) static inline __m128i resize_pixel(
    const uint8_t *p, size_t stride, int rows, const int32_t *w, size_t count) {
    sums s[TOGETHER] = {0};
    for (size_t j = 0; j < count; j += 8) {
        size_t rest = count - j;
        __mmask8 weights = rest < 8 ? (__mmask8)((1u << rest) - 1) : 0xFF;
        // A load of 32 bytes reads from eleven pixels.
        __mmask32 bytes = rest < 8 ? (1u << 3 * rest) - 1 : 0xFFFFFF;
        __m256i eight = _mm256_maskz_loadu_epi32(weights, w + j);
        // Lane by lane: w0 w1 w0 w1 | w2 w3 w2 w3 | ...
        __m512i pairs = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3),
                                                 _mm512_castsi256_si512(eight));
        __m512i high = high_parts(pairs), low = low_parts(pairs);
        for (int k = 0; k < rows; k++) {
            __m256i pixels = _mm256_maskz_loadu_epi8(bytes, p + k * stride + 3 * j);
            add_products(&s[k], interleave(pixels), high, low);
        }
    }
    __m128i rgb[TOGETHER] = {0};
    for (int k = 0; k < rows; k++) {
        __m512i all = total(s[k]);
        __m256i two = _mm256_add_epi32(_mm512_castsi512_si256(all),
                                       _mm512_extracti64x4_epi64(all, 1));
        rgb[k] = _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
        rgb[k] = _mm_srai_epi32(_mm_add_epi32(rgb[k], _mm_set1_epi32(1 << 21)), 22);
    }
    return _mm_packus_epi16(_mm_packs_epi32(rgb[0], rgb[1]), _mm_packs_epi32(rgb[2], rgb[3]));
}

__attribute__((always_inline)) static inline void resize_rows(
    const uint8_t *rows, size_t stride, int count, const int32_t *starts, const int32_t *counts,
    const int32_t *weights, size_t taps, size_t out_width, uint8_t *out) {
    for (size_t i = 0; i < out_width; i++) {
        _Alignas(16) uint8_t bytes[16];
        _mm_store_si128((__m128i *)bytes,
                        resize_pixel(rows + 3 * (size_t)starts[i], stride, count,
                                     weights + i * taps, (size_t)counts[i]));
        for (int k = 0; k < count; k++) {
            memcpy(out + 3 * ((size_t)k * out_width + i), bytes + 4 * k, 3);
        }
    }
}

void clip_resize_horizontal_avx512(const uint8_t *rows, size_t stride, size_t count,
                                   const int32_t *starts, const int32_t *counts,
                                   const int32_t *weights, size_t taps, size_t out_width,
                                   uint8_t *out) {
    size_t i = 0;
    for (; i + TOGETHER <= count; i += TOGETHER) {
        resize_rows(rows + i * stride, stride, TOGETHER, starts, counts, weights, taps, out_width,
                    out + 3 * i * out_width);
    }
    for (; i < count; i++) {
        resize_rows(rows + i * stride, stride, 1, starts, counts, weights, taps, out_width,
                    out + 3 * i * out_width);
    }
}

// MARK: Vertical

// Adds two rows of 64 bytes. The four sums hold, in each lane, four bytes after the other.
static void add_two_rows(sums s[4], __m512i a, __m512i b, __m512i pairs) {
    __m512i high = high_parts(pairs);
    __m512i low = low_parts(pairs);
    __m512i zero = _mm512_setzero_si512();
    __m512i first = _mm512_unpacklo_epi8(a, b);
    __m512i second = _mm512_unpackhi_epi8(a, b);
    add_products(&s[0], _mm512_unpacklo_epi8(first, zero), high, low);
    add_products(&s[1], _mm512_unpackhi_epi8(first, zero), high, low);
    add_products(&s[2], _mm512_unpacklo_epi8(second, zero), high, low);
    add_products(&s[3], _mm512_unpackhi_epi8(second, zero), high, low);
}

static __m512i shifted(sums s) {
    return _mm512_srai_epi32(_mm512_add_epi32(total(s), _mm512_set1_epi32(1 << 21)), 22);
}

static void resize_64_bytes(const uint8_t *rows, size_t stride, const int32_t *weights,
                            size_t taps, __mmask64 mask, uint8_t *out) {
    sums s[4] = {0};
    size_t j = 0;
    for (; j + 2 <= taps; j += 2) {
        int64_t pair;
        memcpy(&pair, weights + j, sizeof pair);
        add_two_rows(s, _mm512_maskz_loadu_epi8(mask, rows + j * stride),
                     _mm512_maskz_loadu_epi8(mask, rows + (j + 1) * stride),
                     _mm512_set1_epi64(pair));
    }
    if (j < taps) {
        add_two_rows(s, _mm512_maskz_loadu_epi8(mask, rows + j * stride), _mm512_setzero_si512(),
                     _mm512_set1_epi64((uint32_t)weights[j]));
    }
    // Packing saturates, and restores the order before unpacking.
    __m512i first = _mm512_packs_epi32(shifted(s[0]), shifted(s[1]));
    __m512i second = _mm512_packs_epi32(shifted(s[2]), shifted(s[3]));
    _mm512_mask_storeu_epi8(out, mask, _mm512_packus_epi16(first, second));
}

void clip_resize_vertical_avx512(const uint8_t *rows, size_t stride, const int32_t *weights,
                                 size_t taps, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 mask = n - i < 64 ? (1ull << (n - i)) - 1 : ~0ull;
        resize_64_bytes(rows + i, stride, weights, taps, mask, out + i);
    }
}

#pragma clang attribute pop

#endif
