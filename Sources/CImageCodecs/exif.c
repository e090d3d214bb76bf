#include "codecs.h"

#include <string.h>

// An EXIF block is a TIFF file: byte order, 42, the offset of a directory of 12-byte entries.
enum { ORIENTATION_TAG = 0x0112, SHORT_TYPE = 3, LONG_TYPE = 4 };

static uint32_t read16(const uint8_t *p, int little) {
    return little ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const uint8_t *p, int little) {
    return little ? read16(p, 1) | read16(p + 2, 1) << 16 : read16(p, 0) << 16 | read16(p + 2, 0);
}

int clip_exif_orientation(const uint8_t *tiff, size_t count) {
    if (count < 8) return 0;
    int little = tiff[0] == 'I' && tiff[1] == 'I';
    if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 0;
    if (read16(tiff + 2, little) != 42) return 0;

    size_t directory = read32(tiff + 4, little);
    if (directory > count - 2) return 0;
    size_t entries = read16(tiff + directory, little);
    for (size_t i = 0; i < entries; i++) {
        size_t offset = directory + 2 + 12 * i;
        if (offset + 12 > count) return 0;
        const uint8_t *entry = tiff + offset;
        if (read16(entry, little) != ORIENTATION_TAG) continue;
        uint32_t type = read16(entry + 2, little), value = 1;
        if (type == SHORT_TYPE) value = read16(entry + 8, little);
        if (type == LONG_TYPE && read32(entry + 4, little) == 1) value = read32(entry + 8, little);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

int clip_xmp_orientation(const uint8_t *text, size_t count) {
    static const char name[] = "tiff:Orientation";
    const size_t length = sizeof name - 1;
    const uint8_t *end = text + count;
    // It is an attribute, tiff:Orientation="6", or an element,
    // <tiff:Orientation>6</tiff:Orientation>.
    for (const uint8_t *p = text; p && (size_t)(end - p) > length; p++) {
        p = memchr(p, name[0], (size_t)(end - p) - length);
        if (!p) return 0;
        if (memcmp(p, name, length) != 0) continue;
        const uint8_t *value = p + length;
        if (end - value >= 2 && value[0] == '=' && value[1] == '"') {
            value += 2;
        } else if (value[0] == '>') {
            value += 1;
        } else {
            continue;
        }
        if (value == end || *value < '0' || *value > '9') continue;
        return *value >= '1' && *value <= '8' ? *value - '0' : 1;
    }
    return 0;
}
