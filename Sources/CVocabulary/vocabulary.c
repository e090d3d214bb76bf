// Binary searches over the two embedded tables. Their layouts are described, and the files written,
// by Scripts/vocabulary/make_vocabulary.py.

#include "CVocabulary.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the embedded tables are little-endian and are read where they lie"
#endif

// #embed is C23; clang has it in C17 too, as an extension that it would warn about.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"

_Alignas(4) static const uint8_t merges_file[] = {
#embed "merges.bin"
};

_Alignas(4) static const uint8_t entities_file[] = {
#embed "entities.bin"
};

#pragma clang diagnostic pop

// Ids below this are single bytes; the merge of rank r makes the id first_merged + r.
enum { first_merged = 512, merge_count = 48894 };

_Static_assert(sizeof(merges_file) == merge_count * 3 * sizeof(uint16_t), "merges.bin");

// Bytes are read through memcpy, which compiles to one load: a cast of the byte array to a wider
// type would break C's aliasing rules.
static uint16_t load16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

void clip_vocabulary_parts(uint16_t id, uint16_t *left, uint16_t *right) {
    const uint8_t *pair = merges_file + (size_t)(id - first_merged) * 4;
    *left = load16(pair);
    *right = load16(pair + 2);
}

int32_t clip_vocabulary_merge(uint16_t left, uint16_t right) {
    const uint8_t *ranks = merges_file + (size_t)merge_count * 4;
    const uint32_t key = (uint32_t)left << 16 | right;
    size_t low = 0, high = merge_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const uint16_t rank = load16(ranks + middle * 2);
        const uint8_t *pair = merges_file + (size_t)rank * 4;
        const uint32_t found = (uint32_t)load16(pair) << 16 | load16(pair + 2);
        if (found == key) return first_merged + rank;
        if (found < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

size_t clip_html_entity(const uint8_t *name, size_t length, uint32_t code_points[2]) {
    enum { record_size = 12 };
    const size_t count = load32(entities_file);
    const uint8_t *records = entities_file + 4;
    const uint8_t *names = records + count * record_size;
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const uint8_t *record = records + middle * record_size;
        const uint8_t *found = names + load16(record + 8);
        const size_t found_length = load16(record + 10);
        int order = memcmp(found, name, found_length < length ? found_length : length);
        if (order == 0) order = (found_length > length) - (found_length < length);
        if (order == 0) {
            code_points[0] = load32(record);
            code_points[1] = load32(record + 4);
            return code_points[1] == 0 ? 1 : 2;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}
