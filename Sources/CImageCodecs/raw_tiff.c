#include "raw.h"

#include <string.h>

// Finds the JPEGs in RAW files that are TIFF files, or differ from TIFF by their signature.

enum { MOST_ENTRIES = 1000 };  // of a directory

enum {
    COMPRESSION = 0x0103, PHOTOMETRIC = 0x0106, MAKE = 0x010F, STRIP_OFFSETS = 0x0111,
    ORIENTATION = 0x0112, STRIP_BYTES = 0x0117, SUB_DIRECTORIES = 0x014A, JPEG_OFFSET = 0x0201,
    JPEG_LENGTH = 0x0202, EXIF = 0x8769, MAKER_NOTE = 0x927C, DNG_VERSION = 0xC612,
    // PhotometricInterpretation
    COLOUR_FILTER_ARRAY = 32803, LINEAR_RAW = 34892,
    // Compression
    OLD_JPEG = 6, JPEG = 7, SONY_RAW = 32767, SAMSUNG_RAW = 32770, NIKON_RAW = 34713,
    PENTAX_RAW = 65535,
    // Panasonic
    JPG_FROM_RAW = 0x002E, JPG_FROM_RAW_2 = 0x0127,
    // Nikon's maker note
    NIKON_PREVIEW = 0x0011,
    // Olympus' maker note, and its directory of camera settings
    OLYMPUS_PREVIEW_START = 0x0088, OLYMPUS_PREVIEW_LENGTH = 0x0089, OLYMPUS_THUMBNAIL = 0x0100,
    OLYMPUS_SETTINGS = 0x2020, SETTINGS_START = 0x0101, SETTINGS_LENGTH = 0x0102,
};

typedef enum {
    FIRST_DIRECTORY, DIRECTORY, EXIF_DIRECTORY, NIKON_NOTE, OLYMPUS_NOTE, OLYMPUS_CAMERA_SETTINGS,
} directory_kind;

// A structure of directories: its byte order, and the offset that its offsets count from.
typedef struct {
    raw_file *file;
    bool is_little, is_panasonic;
    uint64_t base;
} directories;

typedef struct {
    uint32_t tag, type;
    uint64_t count, size, offset;  // the size and the offset of the value in the file
} entry;

static uint32_t read16(const directories *tiff, uint64_t offset) {
    const uint8_t *p = tiff->file->bytes + offset;
    return tiff->is_little ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const directories *tiff, uint64_t offset) {
    uint32_t first = read16(tiff, offset), second = read16(tiff, offset + 2);
    return tiff->is_little ? first | second << 16 : first << 16 | second;
}

// Returns true if the file has n bytes at an offset.
static bool has(const directories *tiff, uint64_t offset, uint64_t n) {
    return offset <= tiff->file->count && n <= tiff->file->count - offset;
}

static entry read_entry(const directories *tiff, uint64_t at) {
    static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4};
    entry e = {read16(tiff, at), read16(tiff, at + 2), read32(tiff, at + 4), 0, at + 8};
    e.size = e.type < sizeof sizes ? sizes[e.type] * e.count : 0;
    if (e.size > 4) e.offset = tiff->base + read32(tiff, at + 8);
    return e;
}

// Returns a number of an entry of bytes, shorts or longs; 0 if it has no such number.
static uint32_t value(const directories *tiff, const entry *e, uint64_t index) {
    if (index >= e->count || e->size == 0 || !has(tiff, e->offset, e->size)) return 0;
    switch (e->size / e->count) {
    case 1: return tiff->file->bytes[e->offset + index];
    case 2: return read16(tiff, e->offset + 2 * index);
    case 4: return read32(tiff, e->offset + 4 * index);
    default: return 0;
    }
}

static bool begins_with(const directories *tiff, uint64_t offset, const char *text, size_t n) {
    return has(tiff, offset, n) && memcmp(tiff->file->bytes + offset, text, n) == 0;
}

// The entries of a directory that locate JPEGs or tell the kind of file.
typedef struct {
    uint32_t compression, photometric, strip, strip_bytes, strips, jpeg, jpeg_bytes;
    uint32_t preview, preview_bytes;
    bool is_sony, has_sub_directories;
} summary;

static void walk(const directories *tiff, uint64_t offset, directory_kind kind, int depth);

// Reads a maker note, which has its own byte order and base.
static void walk_maker_note(const directories *tiff, const entry *e, int depth) {
    directories note = *tiff;
    const uint64_t at = e->offset;
    if (begins_with(tiff, at, "Nikon\0", 6) && has(tiff, at, 18)) {
        note.base = at + 10;
        note.is_little = tiff->file->bytes[at + 10] == 'I';
        walk(&note, note.base + read32(&note, at + 14), NIKON_NOTE, depth);
    } else if (begins_with(tiff, at, "OLYMPUS\0", 8) && has(tiff, at, 12)) {
        note.base = at;
        note.is_little = tiff->file->bytes[at + 8] == 'I';
        walk(&note, at + 12, OLYMPUS_NOTE, depth);
    } else if (begins_with(tiff, at, "OM SYSTEM\0", 10) && has(tiff, at, 16)) {
        note.base = at;
        note.is_little = tiff->file->bytes[at + 12] == 'I';
        walk(&note, at + 16, OLYMPUS_NOTE, depth);
    } else if (begins_with(tiff, at, "OLYMP\0", 6)) {
        walk(&note, at + 8, OLYMPUS_NOTE, depth);
    }
}

static void read_olympus(const directories *tiff, const entry *e, summary *s, int depth) {
    switch (e->tag) {
    case OLYMPUS_PREVIEW_START: s->preview = value(tiff, e, 0); break;
    case OLYMPUS_PREVIEW_LENGTH: s->preview_bytes = value(tiff, e, 0); break;
    case OLYMPUS_THUMBNAIL: clip_raw_add(tiff->file, e->offset, e->size); break;
    case OLYMPUS_SETTINGS:
        // Old cameras store the directory as the value; new ones its offset.
        if (e->size > 4) {
            walk(tiff, e->offset, OLYMPUS_CAMERA_SETTINGS, depth + 1);
        } else {
            walk(tiff, tiff->base + value(tiff, e, 0), OLYMPUS_CAMERA_SETTINGS, depth + 1);
        }
        break;
    default: break;
    }
}

static void read_directory_entry(const directories *tiff, const entry *e, directory_kind kind,
                                 summary *s, int depth) {
    raw_file *file = tiff->file;
    switch (e->tag) {
    case COMPRESSION: s->compression = value(tiff, e, 0); break;
    case PHOTOMETRIC: s->photometric = value(tiff, e, 0); break;
    case MAKE: s->is_sony = e->size > 4 && begins_with(tiff, e->offset, "SONY", 4); break;
    case STRIP_OFFSETS:
        s->strip = value(tiff, e, 0);
        s->strips = e->count > 1 ? 2 : 1;
        break;
    case STRIP_BYTES: s->strip_bytes = value(tiff, e, 0); break;
    case JPEG_OFFSET: s->jpeg = value(tiff, e, 0); break;
    case JPEG_LENGTH: s->jpeg_bytes = value(tiff, e, 0); break;
    case ORIENTATION:
        if (kind == FIRST_DIRECTORY && file->orientation == 0) {
            uint32_t found = value(tiff, e, 0);
            file->orientation = found >= 1 && found <= 8 ? (int)found : 1;
        }
        break;
    case SUB_DIRECTORIES:
        s->has_sub_directories = true;
        for (uint64_t i = 0; i < e->count && i < 16; i++) {
            walk(tiff, tiff->base + value(tiff, e, i), DIRECTORY, depth + 1);
        }
        break;
    case EXIF: walk(tiff, tiff->base + value(tiff, e, 0), EXIF_DIRECTORY, depth + 1); break;
    case MAKER_NOTE: walk_maker_note(tiff, e, depth + 1); break;
    case DNG_VERSION:
        if (kind == FIRST_DIRECTORY) file->is_raw = true;
        break;
    case JPG_FROM_RAW:
    case JPG_FROM_RAW_2:
        if (tiff->is_panasonic) clip_raw_add(file, e->offset, e->size);
        break;
    default: break;
    }
}

static void read_any(const directories *tiff, const entry *e, directory_kind kind, summary *s,
                     int depth) {
    switch (kind) {
    case NIKON_NOTE:
        if (e->tag == NIKON_PREVIEW) {
            walk(tiff, tiff->base + value(tiff, e, 0), DIRECTORY, depth + 1);
        }
        break;
    case OLYMPUS_NOTE: read_olympus(tiff, e, s, depth); break;
    case OLYMPUS_CAMERA_SETTINGS:
        if (e->tag == SETTINGS_START) s->preview = value(tiff, e, 0);
        if (e->tag == SETTINGS_LENGTH) s->preview_bytes = value(tiff, e, 0);
        break;
    default: read_directory_entry(tiff, e, kind, s, depth);
    }
}

// Notes what a directory says about the kind of file, and its JPEGs.
static void conclude(const directories *tiff, directory_kind kind, const summary *s) {
    raw_file *file = tiff->file;
    bool is_sensor = s->photometric == COLOUR_FILTER_ARRAY || s->photometric == LINEAR_RAW;
    bool is_image = kind == FIRST_DIRECTORY || kind == DIRECTORY;
    if (is_image && (is_sensor || s->compression == NIKON_RAW || s->compression == SONY_RAW ||
                     s->compression == SAMSUNG_RAW || s->compression == PENTAX_RAW)) {
        file->is_raw = true;
    }
    if (kind == FIRST_DIRECTORY && s->is_sony && s->jpeg && s->has_sub_directories) {
        file->is_raw = true;
    }
    if (s->jpeg) clip_raw_add(file, tiff->base + s->jpeg, s->jpeg_bytes);
    if (s->preview) clip_raw_add(file, tiff->base + s->preview, s->preview_bytes);
    // The pixels of the sensor may be JPEGs too, in tiles or one strip.
    bool is_jpeg = s->compression == OLD_JPEG || s->compression == JPEG;
    if (s->strips == 1 && is_jpeg && !is_sensor) {
        clip_raw_add(file, tiff->base + s->strip, s->strip_bytes);
    }
}

// Reads a directory and those that follow it.
static void walk(const directories *tiff, uint64_t offset, directory_kind kind, int depth) {
    while (depth < 6 && offset > tiff->base) {
        if (!has(tiff, offset, 2)) {
            tiff->file->is_cut = true;
            return;
        }
        if (++tiff->file->directories > RAW_DIRECTORIES) return;
        uint64_t entries = read16(tiff, offset), at = offset + 2;
        if (entries > MOST_ENTRIES) return;
        summary s = {0};
        if (!has(tiff, at, 12 * entries)) tiff->file->is_cut = true;
        for (uint64_t i = 0; i < entries && has(tiff, at, 12); i++, at += 12) {
            entry e = read_entry(tiff, at);
            read_any(tiff, &e, kind, &s, depth);
        }
        conclude(tiff, kind, &s);
        bool has_next = kind == FIRST_DIRECTORY || kind == DIRECTORY;
        if (!has_next || !has(tiff, at, 4)) return;
        uint32_t next = read32(tiff, at);
        if (next == 0) return;
        offset = tiff->base + next;
        kind = DIRECTORY;
    }
}

void clip_raw_scan_tiff(raw_file *file) {
    const uint8_t *bytes = file->bytes;
    if (file->count < 8) return;
    directories tiff = {.file = file, .is_little = bytes[0] == 'I'};
    if (memcmp(bytes, "IIRO", 4) == 0 || memcmp(bytes, "IIRS", 4) == 0 ||
        memcmp(bytes, "MMOR", 4) == 0) {
        file->is_raw = true;
    } else if (memcmp(bytes, "IIU\0", 4) == 0) {
        file->is_raw = tiff.is_panasonic = true;
    } else if (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0) {
        file->is_raw = file->count >= 10 && memcmp(bytes + 8, "CR", 2) == 0;
    } else {
        return;
    }
    walk(&tiff, read32(&tiff, 4), FIRST_DIRECTORY, 0);
}
