#include "codecs.h"

// EXIF is a TIFF file: byte order, 42, the offset of a directory of 12-byte entries.
enum { ORIENTATION_TAG = 0x0112, SHORT_TYPE = 3 };

static uint32_t read16(const uint8_t *p, int little) {
    return little ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const uint8_t *p, int little) {
    return little ? read16(p, 1) | read16(p + 2, 1) << 16 : read16(p, 0) << 16 | read16(p + 2, 0);
}

int clip_exif_orientation(const uint8_t *tiff, size_t count) {
    if (count < 8) return 1;
    int little = tiff[0] == 'I' && tiff[1] == 'I';
    if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
    if (read16(tiff + 2, little) != 42) return 1;

    size_t directory = read32(tiff + 4, little);
    if (directory > count - 2) return 1;
    size_t entries = read16(tiff + directory, little);
    for (size_t i = 0; i < entries; i++) {
        size_t offset = directory + 2 + 12 * i;
        if (offset + 12 > count) return 1;
        const uint8_t *entry = tiff + offset;
        if (read16(entry, little) != ORIENTATION_TAG) continue;
        if (read16(entry + 2, little) != SHORT_TYPE) return 1;
        uint32_t value = read16(entry + 8, little);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
