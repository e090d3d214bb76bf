// Searches the two embedded tables of text repair. Scripts/vocabulary/make_text_repair.py writes
// the files and describes their layouts.

#include "CVocabulary.h"

#include "load.h"

_Alignas(4) static const uint8_t mojibake_file[] = {
#embed "mojibake.bin"
};

_Alignas(4) static const uint8_t composition_file[] = {
#embed "composition.bin"
};

// Returns the last record whose key is at most `key`, by binary search; NULL if there is none.
// Records have `size` bytes, begin with their key and are sorted by it.
static const uint8_t *record_at_most(const uint8_t *records, size_t count, size_t size,
                                     uint32_t key, uint32_t (*key_of)(const uint8_t *)) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (key_of(records + middle * size) <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : records + (low - 1) * size;
}

// MARK: mojibake.bin

enum { mojibake_header = 28, mojibake_record = 36, sets_offset = 12 };

static uint32_t key16(const uint8_t *at) { return load16(at); }

// Returns the record of a character; NULL if it has none.
static const uint8_t *mojibake_character(uint32_t scalar) {
    const uint8_t *record = record_at_most(
        mojibake_file + mojibake_header, load16(mojibake_file), mojibake_record, scalar, key16);
    return record && load16(record) == scalar ? record : NULL;
}

clip_mojibake_sets clip_mojibake_sets_of(uint32_t scalar) {
    const uint8_t *record = mojibake_character(scalar);
    clip_mojibake_sets sets;
    memcpy(&sets, record ? record + sets_offset : mojibake_file + 4, sizeof sets);
    return sets;
}

uint8_t clip_mojibake_byte(uint32_t scalar, size_t encoding) {
    const uint8_t *record = mojibake_character(scalar);
    return record && encoding < clip_mojibake_encodings ? record[2 + encoding] : 0;
}

uint64_t clip_mojibake_rule(size_t index) {
    if (index >= load16(mojibake_file + 2)) return 0;
    const uint8_t *rules =
        mojibake_file + mojibake_header + load16(mojibake_file) * (size_t)mojibake_record;
    uint64_t rule;
    memcpy(&rule, rules + index * sizeof rule, sizeof rule);
    return rule;
}

// MARK: composition.bin

enum { range_record = 8, pair_record = 12 };

static const uint8_t *ranges(void) { return composition_file + 8; }
static size_t range_count(void) { return load32(composition_file); }
static const uint8_t *pairs(void) { return ranges() + range_count() * range_record; }
static size_t pair_count(void) { return load32(composition_file + 4); }

bool clip_composition_may_change(uint32_t scalar) {
    const uint8_t *range = record_at_most(ranges(), range_count(), range_record, scalar, load32);
    return range && scalar <= load32(range + 4);
}

bool clip_composition_parts(uint32_t scalar, uint32_t *first, uint32_t *second) {
    const uint8_t *pair = record_at_most(pairs(), pair_count(), pair_record, scalar, load32);
    if (!pair || load32(pair) != scalar) return false;
    *first = load32(pair + 4);
    *second = load32(pair + 8);
    return true;
}

uint32_t clip_composition_of(uint32_t first, uint32_t second) {
    const uint8_t *order = pairs() + pair_count() * pair_record;
    const uint64_t key = (uint64_t)first << 32 | second;
    size_t low = 0, high = pair_count();
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const uint32_t index = load32(order + middle * 4);
        const uint8_t *pair = pairs() + (size_t)index * pair_record;
        if (index != 0xFFFFFFFF) {
            const uint64_t found = (uint64_t)load32(pair + 4) << 32 | load32(pair + 8);
            if (found == key) return load32(pair);
            if (found < key) {
                low = middle + 1;
                continue;
            }
        }
        high = middle;
    }
    return 0;
}
