// CRC-32 (polynomial 0x04C11DB7, reflected) at the speed of memory where the CPU has carry-less
// multiplication.
//
// Source: V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", Intel,
// 2009: the constants are powers of x modulo the polynomial, reflected.
#include "CFiles.h"

#include <pthread.h>
#include <string.h>

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
        tables[0][byte] = crc;
    }
    for (int table = 1; table < 8; table++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][before & 0xFF];
        }
    }
}

// Continues the register (the inverted CRC), eight bytes at a time.
static uint32_t crc_by_tables(uint32_t crc, const uint8_t *bytes, size_t count) {
    pthread_once(&tables_once, make_tables);
    for (; count >= 8; bytes += 8, count -= 8) {
        uint32_t low = crc ^ ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
                              (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
        crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^
              tables[4][low >> 24] ^ tables[3][bytes[4]] ^ tables[2][bytes[5]] ^
              tables[1][bytes[6]] ^ tables[0][bytes[7]];
    }
    while (count-- > 0) crc = crc >> 8 ^ tables[0][(crc ^ *bytes++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(
    __m128i sum, __m128i factors, __m128i next) {
    __m128i low = _mm_clmulepi64_si128(sum, factors, 0x00);
    __m128i high = _mm_clmulepi64_si128(sum, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// Continues the register by a multiple of 16 bytes, at least 64.
__attribute__((target("pclmul,sse4.1"))) static uint32_t crc_by_products(
    uint32_t crc, const uint8_t *bytes, size_t count) {
    const __m128i by_64_bytes = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4);
    const __m128i by_16_bytes = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0);
    const __m128i by_8_bytes = _mm_set_epi64x(0, 0x0163CD6124);
    const __m128i barrett = _mm_set_epi64x(0x01F7011641, 0x01DB710641);
    const __m128i *next = (const __m128i *)bytes;
    __m128i a = _mm_xor_si128(_mm_loadu_si128(next), _mm_cvtsi32_si128((int)crc));
    __m128i b = _mm_loadu_si128(next + 1), c = _mm_loadu_si128(next + 2);
    __m128i d = _mm_loadu_si128(next + 3);
    for (next += 4, count -= 64; count >= 64; next += 4, count -= 64) {
        a = fold(a, by_64_bytes, _mm_loadu_si128(next));
        b = fold(b, by_64_bytes, _mm_loadu_si128(next + 1));
        c = fold(c, by_64_bytes, _mm_loadu_si128(next + 2));
        d = fold(d, by_64_bytes, _mm_loadu_si128(next + 3));
    }
    a = fold(fold(fold(a, by_16_bytes, b), by_16_bytes, c), by_16_bytes, d);
    for (; count >= 16; next += 1, count -= 16) a = fold(a, by_16_bytes, _mm_loadu_si128(next));

    // 128 bits to 64, and to 32 by Barrett's reduction.
    const __m128i low_32 = _mm_set_epi32(0, -1, 0, -1);
    a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_16_bytes, 0x10));
    a = _mm_xor_si128(
        _mm_srli_si128(a, 4), _mm_clmulepi64_si128(_mm_and_si128(a, low_32), by_8_bytes, 0x00));
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, quotient), 1);
}
#endif

#if defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

uint32_t clip_crc32(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    crc = ~crc;
#if defined(__x86_64__)
    if (count >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        size_t whole = count & ~(size_t)15;
        crc = crc_by_products(crc, next, whole);
        next += whole, count -= whole;
    }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    for (; count >= 8; next += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        crc = __crc32d(crc, word);
    }
#endif
    return ~crc_by_tables(crc, next, count);
}
