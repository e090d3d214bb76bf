#include "codecs.h"

#include <stdlib.h>
#include <string.h>

// The boxes of an HEIF file (ISO/IEC 23008-12) that say how its planes become colours. libheif
// before 1.19 returns the colours of a YCbCr image, not its planes. It copies the planes if the
// file states the identity matrix, so that a copy of the file is made that states it.

typedef struct {
    size_t start, content, end;  // offsets in the file
    bool states_no_size;
} box;

static uint64_t big_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

static bool is_type(const uint8_t *bytes, const box *box, const char *type) {
    return memcmp(bytes + box->start + 4, type, 4) == 0;
}

// Reads the box at `start` of a part of the file that ends at `end`.
static bool read_box(const uint8_t *bytes, size_t start, size_t end, box *out) {
    if (end - start < 8) return false;
    uint64_t size = big_endian(bytes + start, 4);
    size_t header = 8;
    if (size == 1) {
        header = 16;
        if (end - start < header) return false;
        size = big_endian(bytes + start + 8, 8);
    }
    bool states_no_size = size == 0;
    if (states_no_size) size = end - start;
    if (size < header || size > end - start) return false;
    *out = (box){start, start + header, start + (size_t)size, states_no_size};
    return true;
}

// Finds the only box of a type between two offsets.
static bool find_box(const uint8_t *bytes, size_t start, size_t end, const char *type, box *out) {
    bool found = false;
    for (box each; start < end; start = each.end) {
        if (!read_box(bytes, start, end, &each)) return false;
        if (!is_type(bytes, &each, type)) continue;
        if (found) return false;
        found = true;
        *out = each;
    }
    return found;
}

// MARK: properties

enum { OTHER, PROFILE, TURN, MIRROR, APERTURE };

// Returns the kind of a property, and in the bits above the lowest four its value.
static uint8_t property_kind(const uint8_t *bytes, const box *property) {
    const uint8_t *content = bytes + property->content;
    size_t count = property->end - property->content;
    if (is_type(bytes, property, "clap")) return APERTURE;
    if (count >= 11 && is_type(bytes, property, "colr") && memcmp(content, "nclx", 4) == 0) {
        return PROFILE;
    }
    if (count >= 1 && is_type(bytes, property, "irot")) {
        return (uint8_t)(TURN | (content[0] & 3) << 4);
    }
    if (count >= 1 && is_type(bytes, property, "imir")) {
        return (uint8_t)(MIRROR | (content[0] & 1) << 4);
    }
    return OTHER;
}

// Keeps the chroma layout of AV1, unless two images of the file differ.
static void read_chroma(const uint8_t *bytes, const box *property, clip_heif_boxes *out) {
    if (!is_type(bytes, property, "av1C") || property->end - property->content < 4) return;
    uint8_t flags = bytes[property->content + 2];
    if (flags & 0x10) return;  // alpha or grey
    int columns = flags & 8 ? 2 : 1, rows = flags & 4 ? 2 : 1;
    if (out->chroma_columns == 0) {
        out->chroma_columns = columns;
        out->chroma_rows = rows;
    } else if (out->chroma_columns != columns || out->chroma_rows != rows) {
        out->chroma_columns = -1;
    }
}

// The properties of an item: `count` indices from 1, of one or two bytes with a flag on top.
typedef struct {
    uint32_t item;
    const uint8_t *indices;
    unsigned count;
} association;

// Reads the next entry of a box ipma and moves `*at` behind it.
static bool read_association(const uint8_t *bytes, const clip_heif_boxes *boxes, size_t *at,
                             association *out) {
    size_t id = boxes->has_long_items ? 4 : 2, left = boxes->ipma_end - *at;
    if (left < id + 1) return false;
    out->item = (uint32_t)big_endian(bytes + *at, (int)id);
    out->count = bytes[*at + id];
    out->indices = bytes + *at + id + 1;
    size_t size = id + 1 + (size_t)out->count * (boxes->has_long_indices ? 2 : 1);
    if (left < size) return false;
    *at += size;
    return true;
}

static unsigned property_index(const clip_heif_boxes *boxes, const association *item, unsigned i) {
    if (!boxes->has_long_indices) return item->indices[i] & 0x7F;
    return (unsigned)big_endian(item->indices + 2 * i, 2) & 0x7FFF;
}

static bool read_items(const uint8_t *bytes, uint32_t primary, const uint8_t *kinds,
                       clip_heif_boxes *out) {
    size_t at = out->items;
    for (uint32_t i = 0; i < out->item_count; i++) {
        association item;
        if (!read_association(bytes, out, &at, &item)) return false;
        for (unsigned k = 0; k < item.count; k++) {
            unsigned index = property_index(out, &item, k);
            if (index == 0) continue;
            if (index > out->property_count) return false;
            uint8_t kind = kinds[index - 1] & 15, value = kinds[index - 1] >> 4;
            if (item.item != primary) continue;
            out->has_aperture |= kind == APERTURE;
            if (kind != TURN && kind != MIRROR) continue;
            if (out->turn_count == sizeof out->turns) return false;
            out->turns[out->turn_count++] = kind == TURN ? value : CLIP_HEIF_MIRROR + value;
        }
    }
    return true;
}

bool clip_heif_read_boxes(const uint8_t *bytes, size_t count, clip_heif_boxes *out) {
    box meta, iprp, ipco, ipma, pitm;
    *out = (clip_heif_boxes){0};
    if (!find_box(bytes, 0, count, "meta", &meta) || meta.states_no_size ||
        meta.end - meta.content < 4) {
        return false;
    }
    size_t start = meta.content + 4;
    if (!find_box(bytes, start, meta.end, "iprp", &iprp) ||
        !find_box(bytes, start, meta.end, "pitm", &pitm) ||
        !find_box(bytes, iprp.content, iprp.end, "ipco", &ipco) ||
        !find_box(bytes, iprp.content, iprp.end, "ipma", &ipma) ||
        pitm.end - pitm.content < 6 ||
        (bytes[pitm.content] != 0 && pitm.end - pitm.content < 8) ||
        ipma.end - ipma.content < 8) {
        return false;
    }
    uint32_t primary = (uint32_t)big_endian(bytes + pitm.content + 4,
                                            bytes[pitm.content] == 0 ? 2 : 4);
    out->meta = meta.start;
    out->meta_content = meta.content;
    out->meta_end = meta.end;
    out->iprp = iprp.start;
    out->iprp_end = iprp.end;
    out->properties = ipco.content;
    out->properties_end = ipco.end;
    out->has_long_items = bytes[ipma.content] != 0;
    out->has_long_indices = bytes[ipma.content + 3] & 1;
    out->item_count = (uint32_t)big_endian(bytes + ipma.content + 4, 4);
    out->items = ipma.content + 8;
    out->ipma_end = ipma.end;
    uint8_t *kinds = malloc((ipco.end - ipco.content) / 8 + 1);
    if (!kinds) return false;
    bool is_valid = true;
    box property = {.end = ipco.content};
    while (is_valid && property.end < ipco.end) {
        is_valid = read_box(bytes, property.end, ipco.end, &property) && !property.states_no_size;
        if (!is_valid) break;
        kinds[out->property_count++] = property_kind(bytes, &property);
        read_chroma(bytes, &property, out);
    }
    // An index has 15 bits.
    is_valid = is_valid && out->property_count < 0x7FFF && read_items(bytes, primary, kinds, out);
    free(kinds);
    return is_valid;
}

// MARK: copy with the identity matrix

static uint8_t *put(uint8_t *to, uint64_t value, int count) {
    for (int i = 0; i < count; i++) to[i] = (uint8_t)(value >> 8 * (count - 1 - i));
    return to + count;
}

static uint8_t *put_bytes(uint8_t *to, const uint8_t *from, size_t count) {
    memcpy(to, from, count);
    return to + count;
}

// Sets the size of the box that begins at `start` and ends at `end`.
static void close_box(uint8_t *start, const uint8_t *end) {
    put(start, (uint64_t)(end - start), 4);
}

static uint8_t *put_properties(uint8_t *to, const uint8_t *bytes, const clip_heif_boxes *boxes) {
    static const uint8_t identity[] = {0, 0, 0, 19, 'c', 'o', 'l', 'r', 'n', 'c', 'l', 'x',
                                       0, 2, 0, 2, 0, 0, 0x80};  // matrix 0, full range
    uint8_t *start = to;
    to = put_bytes(to + 4, (const uint8_t *)"ipco", 4);
    box property = {.end = boxes->properties};
    while (property.end < boxes->properties_end) {
        if (!read_box(bytes, property.end, boxes->properties_end, &property)) break;
        int kind = property_kind(bytes, &property) & 15;
        uint8_t *copy = to;
        to = put_bytes(to, bytes + property.start, property.end - property.start);
        // A property that is free space says nothing, and keeps the numbers of the others.
        if (kind == PROFILE || kind == TURN || kind == MIRROR) {
            memcpy(copy + 4, "free", 4);
        }
    }
    to = put_bytes(to, identity, sizeof identity);
    close_box(start, to);
    return to;
}

// Writes a box ipma that gives each item the last property in addition.
static uint8_t *put_items(uint8_t *to, const uint8_t *bytes, const clip_heif_boxes *boxes) {
    uint8_t *start = to;
    to = put_bytes(to + 4, (const uint8_t *)"ipma", 4);
    to = put(to, 1 << 24 | 1, 4);  // long items and indices
    to = put(to, boxes->item_count, 4);
    size_t at = boxes->items;
    for (uint32_t i = 0; i < boxes->item_count; i++) {
        association item;
        if (!read_association(bytes, boxes, &at, &item) || item.count == 255) return NULL;
        to = put(to, item.item, 4);
        to = put(to, item.count + 1, 1);
        for (unsigned k = 0; k < item.count; k++) {
            to = put(to, property_index(boxes, &item, k), 2);
        }
        to = put(to, boxes->property_count + 1, 2);
    }
    close_box(start, to);
    return to;
}

size_t clip_heif_copy_size(size_t count, const clip_heif_boxes *boxes) {
    return count + (boxes->meta_end - boxes->meta) + 3 * (boxes->ipma_end - boxes->items) + 64;
}

uint8_t *clip_heif_copy(const uint8_t *bytes, size_t count, const clip_heif_boxes *boxes,
                        size_t *copy_count) {
    size_t size = clip_heif_copy_size(count, boxes);
    if (size > UINT32_MAX) return NULL;
    uint8_t *copy = malloc(size);
    if (!copy) return NULL;
    memcpy(copy, bytes, count);
    // The old metadata become free space and the new ones follow the file, so that the offsets of
    // the images stay valid.
    memcpy(copy + boxes->meta + 4, "free", 4);
    box last = {0};
    while (last.end < count && read_box(bytes, last.end, count, &last)) {
        if (last.states_no_size) put(copy + last.start, last.end - last.start, 4);
    }
    uint8_t *start = copy + count, *to = put_bytes(start + 4, (const uint8_t *)"meta", 4);
    to = put_bytes(to, bytes + boxes->meta_content, boxes->iprp - boxes->meta_content);
    uint8_t *iprp = to;
    to = put_bytes(to + 4, (const uint8_t *)"iprp", 4);
    to = put_properties(to, bytes, boxes);
    to = put_items(to, bytes, boxes);
    if (!to) {
        free(copy);
        return NULL;
    }
    close_box(iprp, to);
    to = put_bytes(to, bytes + boxes->iprp_end, boxes->meta_end - boxes->iprp_end);
    close_box(start, to);
    *copy_count = (size_t)(to - copy);
    return copy;
}
