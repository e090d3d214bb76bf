#if defined(__x86_64__)

#include "tables.h"

#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

// pmaddwd multiplies 16-bit numbers and adds pairs of products, but a weight has more bits. So it
// is split into 65536 high + low, where low is signed, and the sums of both are combined at the
// end. Everything is exact modulo 2^32, and the total fits into 32 bits.
typedef struct {
    __m256i high, low;
} sums;

// Adds 16-bit pixels, two taps side by side, times the high and low parts of their weights.
static void add_products(sums *s, __m256i pixels, __m256i high, __m256i low) {
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(pixels, high));
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(pixels, low));
}

// The high parts of pairs of weights: from two weights in every 64 bits, two in every 32 bits.
static __m256i high_parts(__m256i pairs) {
    // The high part is one more where the low part is negative.
    pairs = _mm256_add_epi32(pairs, _mm256_set1_epi32(0x8000));
    return _mm256_shuffle_epi8(pairs, _mm256_set1_epi64x(0x0706030207060302));
}

static __m256i low_parts(__m256i pairs) {
    return _mm256_shuffle_epi8(pairs, _mm256_set1_epi64x(0x0504010005040100));
}

static __m256i total(sums s) {
    return _mm256_add_epi32(_mm256_slli_epi32(s.high, 16), s.low);
}

static int32_t load32(const void *p) {
    int32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

// MARK: Horizontal

// The pixels 0, 1 | 2, 3 of both lanes as 16-bit r0 r1 g0 g1 b0 b1 0 0 | r2 r3 g2 g3 b2 b3 0 0.
static __m256i interleave(__m256i pixels) {
    return _mm256_shuffle_epi8(
        pixels, _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
                                 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
}

static void add_four_taps(sums *s, __m256i pixels, __m128i weights) {
    // Lane by lane: w0 w1 w0 w1 | w2 w3 w2 w3.
    __m256i pairs = _mm256_permute4x64_epi64(_mm256_castsi128_si256(weights), 0x50);
    add_products(s, interleave(pixels), high_parts(pairs), low_parts(pairs));
}

// Loads exactly 12 bytes.
static __m256i load_four_pixels(const uint8_t *p) {
    __m128i pixels = _mm_loadl_epi64((const __m128i *)p);
    return _mm256_broadcastsi128_si256(_mm_insert_epi32(pixels, load32(p + 8), 2));
}

static void resize_row(const uint8_t *row, const int32_t *starts, const int32_t *counts,
                                 const int32_t *weights, size_t taps, size_t out_width,
                                 uint8_t *out) {
    for (size_t i = 0; i < out_width; i++) {
        const uint8_t *p = row + 3 * (size_t)starts[i];
        const int32_t *w = weights + i * taps;
        size_t count = (size_t)counts[i];
        sums s = {_mm256_setzero_si256(), _mm256_setzero_si256()};

        uint8_t few_pixels[12] = {0};
        int32_t few_weights[4] = {0};
        if (count < 4) {
            memcpy(few_pixels, p, 3 * count);
            memcpy(few_weights, w, 4 * count);
            p = few_pixels;
            w = few_weights;
            count = 4;
        }
        size_t j = 0;
        // A load of 16 bytes reads from six pixels.
        for (; j + 6 <= count; j += 4) {
            __m128i pixels = _mm_loadu_si128((const __m128i *)(p + 3 * j));
            add_four_taps(&s, _mm256_broadcastsi128_si256(pixels),
                          _mm_loadu_si128((const __m128i *)(w + j)));
        }
        for (; j + 4 <= count; j += 4) {
            add_four_taps(&s, load_four_pixels(p + 3 * j),
                          _mm_loadu_si128((const __m128i *)(w + j)));
        }
        if (j < count) {
            // The last four taps, with weights of 0 for those that were added before.
            __m128i done = _mm_set1_epi32((int)(4 - (count - j)));
            __m128i is_new = _mm_cmpgt_epi32(_mm_setr_epi32(1, 2, 3, 4), done);
            __m128i last = _mm_loadu_si128((const __m128i *)(w + count - 4));
            add_four_taps(&s, load_four_pixels(p + 3 * (count - 4)), _mm_and_si128(last, is_new));
        }
        __m256i both = total(s);
        __m128i rgb = _mm_add_epi32(_mm256_castsi256_si128(both),
                                    _mm256_extracti128_si256(both, 1));
        rgb = _mm_srai_epi32(_mm_add_epi32(rgb, _mm_set1_epi32(1 << 21)), 22);
        rgb = _mm_packs_epi32(rgb, rgb);
        int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(rgb, rgb));
        memcpy(out + 3 * i, &bytes, 3);
    }
}

void clip_resize_horizontal_avx2(
    const uint8_t *rows, size_t stride, size_t count, const int32_t *starts, const int32_t *counts,
    const int32_t *weights, size_t taps, size_t out_width, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        resize_row(rows + i * stride, starts, counts, weights, taps, out_width,
                   out + i * 3 * out_width);
    }
}

// MARK: Vertical

// Adds two rows of 32 bytes. The four sums hold, in each lane, four bytes after the other.
static void add_two_rows(sums s[4], __m256i a, __m256i b, __m256i pairs) {
    __m256i high = high_parts(pairs);
    __m256i low = low_parts(pairs);
    __m256i zero = _mm256_setzero_si256();
    __m256i first = _mm256_unpacklo_epi8(a, b);
    __m256i second = _mm256_unpackhi_epi8(a, b);
    add_products(&s[0], _mm256_unpacklo_epi8(first, zero), high, low);
    add_products(&s[1], _mm256_unpackhi_epi8(first, zero), high, low);
    add_products(&s[2], _mm256_unpacklo_epi8(second, zero), high, low);
    add_products(&s[3], _mm256_unpackhi_epi8(second, zero), high, low);
}

static __m256i shifted(sums s) {
    return _mm256_srai_epi32(_mm256_add_epi32(total(s), _mm256_set1_epi32(1 << 21)), 22);
}

static __m256i load_row(const uint8_t *row) {
    return _mm256_loadu_si256((const __m256i *)row);
}

static void resize_32_bytes(const uint8_t *rows, size_t stride, const int32_t *weights,
                            size_t taps, uint8_t *out) {
    sums s[4] = {0};
    size_t j = 0;
    for (; j + 2 <= taps; j += 2) {
        int64_t pair;
        memcpy(&pair, weights + j, sizeof pair);
        add_two_rows(s, load_row(rows + j * stride), load_row(rows + (j + 1) * stride),
                     _mm256_set1_epi64x(pair));
    }
    if (j < taps) {
        add_two_rows(s, load_row(rows + j * stride), _mm256_setzero_si256(),
                     _mm256_set1_epi64x((uint32_t)weights[j]));
    }
    // Packing saturates, and restores the order before unpacking.
    __m256i first = _mm256_packs_epi32(shifted(s[0]), shifted(s[1]));
    __m256i second = _mm256_packs_epi32(shifted(s[2]), shifted(s[3]));
    _mm256_storeu_si256((__m256i *)out, _mm256_packus_epi16(first, second));
}

void clip_resize_vertical_avx2(const uint8_t *rows, size_t stride, const int32_t *weights,
                               size_t taps, size_t n, uint8_t *out) {
    if (n < 32) {
        clip_kernels_scalar.resize_vertical(rows, stride, weights, taps, n, out);
        return;
    }
    for (size_t i = 0; i + 32 <= n; i += 32) {
        resize_32_bytes(rows + i, stride, weights, taps, out + i);
    }
    // The last bytes, and some again that were computed before.
    if (n % 32 != 0) resize_32_bytes(rows + n - 32, stride, weights, taps, out + n - 32);
}

#pragma clang attribute pop

#endif
