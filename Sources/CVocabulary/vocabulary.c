// Searches two embedded tables. Scripts/vocabulary/make_vocabulary.py writes the files and
// describes their layouts.

#include "CVocabulary.h"

#include "load.h"

_Alignas(4) static const uint8_t merges_file[] = {
#embed "merges.bin"
};

_Alignas(4) static const uint8_t entities_file[] = {
#embed "entities.bin"
};

// The ids below first_merged are single bytes; the merge of rank r makes the id first_merged + r.
enum { first_merged = 512, merge_count = 48894 };

// The sizes of the two hash tables, with linear probing, and of the table of bytes by id.
enum { pair_slots = 1 << 17, word_slots = 1 << 16, byte_count = 256 };

static const uint8_t *const pair_table = merges_file + merge_count * 4;
static const uint8_t *const word_table = merges_file + merge_count * 4 + pair_slots * 2;
static const uint8_t *const byte_table =
    merges_file + merge_count * 4 + (pair_slots + word_slots) * 2;

_Static_assert(sizeof(merges_file) == merge_count * 4 + (pair_slots + word_slots) * 2 + byte_count,
               "merges.bin");

void clip_vocabulary_parts(uint16_t id, uint16_t *left, uint16_t *right) {
    const uint8_t *pair = merges_file + (size_t)(id - first_merged) * 4;
    *left = load16(pair);
    *right = load16(pair + 2);
}

int32_t clip_vocabulary_merge(uint16_t left, uint16_t right) {
    const uint32_t mixed = left * 0x9E3779B1u ^ right * 0x85EBCA6Bu;
    uint32_t slot = mixed + (mixed >> 16);
    for (;; slot++) {
        const uint16_t id = load16(pair_table + (size_t)(slot % pair_slots) * 2);
        if (id == 0) return -1;
        uint16_t found_left, found_right;
        clip_vocabulary_parts(id, &found_left, &found_right);
        if (found_left == left && found_right == right) return id;
    }
}

// Returns the number of bytes of the token `id` if the bytes begin with it, else 0.
static size_t spelled(uint16_t id, const uint8_t *bytes, size_t count) {
    if (id < first_merged) return count > 0 && byte_table[id % byte_count] == *bytes;
    uint16_t left, right;
    clip_vocabulary_parts(id, &left, &right);
    const size_t start = spelled(left, bytes, count);
    const size_t rest = start ? spelled(right, bytes + start, count - start) : 0;
    return rest ? start + rest : 0;
}

int32_t clip_vocabulary_word(const uint8_t *bytes, size_t count) {
    uint32_t slot = 0x811C9DC5u;
    for (size_t i = 0; i < count; i++) slot = (slot ^ bytes[i]) * 0x01000193u;
    for (;; slot++) {
        const uint16_t id = load16(word_table + (size_t)(slot % word_slots) * 2);
        if (id == 0) return -1;
        if (spelled(id, bytes, count) == count) return id;
    }
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
