// Reads the little-endian numbers of the embedded tables in place. memcpy compiles to one load; a
// cast to a wider type would break C's aliasing rules.

#ifndef CVOCABULARY_LOAD_H
#define CVOCABULARY_LOAD_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the embedded tables are little-endian"
#endif

// #embed is C23. clang supports it in C17 too, as an extension with a warning.
#pragma clang diagnostic ignored "-Wc23-extensions"

static inline uint16_t load16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

#endif
