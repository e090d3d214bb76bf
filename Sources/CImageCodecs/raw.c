#include "raw.h"

#include <stdio.h>
#include <string.h>

// Decodes the RAW files of cameras by their largest JPEG preview, which the camera developed.

static uint32_t big16(const uint8_t *p) { return (uint32_t)(p[0] << 8 | p[1]); }
static uint32_t big32(const uint8_t *p) { return big16(p) << 16 | big16(p + 2); }

void clip_raw_add(raw_file *file, uint64_t offset, uint64_t length) {
    if (length == 0 || file->part_count == RAW_PARTS) return;
    file->parts[file->part_count++] = (raw_part){offset, length};
}

// MARK: CR3

static bool is_type(const uint8_t *box, const char *type) { return memcmp(box + 4, type, 4) == 0; }

// The sample of a track: its offset and size.
typedef struct {
    uint64_t offset, size;
} sample;

// Adds the JPEG in a box of a few header bytes and a JPEG.
static void add_preview(raw_file *file, uint64_t begin, uint64_t end) {
    for (uint64_t at = begin; at < begin + 32 && at + 3 <= end && end <= file->count; at++) {
        if (memcmp(file->bytes + at, "\xFF\xD8\xFF", 3) != 0) continue;
        clip_raw_add(file, at, end - at);
        return;
    }
}

// Reads the boxes from `begin` to `end`. *boxes counts them.
static void walk_boxes(raw_file *file, uint64_t begin, uint64_t end, sample *track, int depth,
                       int *boxes) {
    static const uint8_t preview[] = {0xEA, 0xF4, 0x2B, 0x5E, 0x1C, 0x98, 0x4B, 0x88,
                                      0xB9, 0xFB, 0xB7, 0xDC, 0x40, 0x6E, 0x4D, 0x16};
    static const uint8_t canon[] = {0x85, 0xC0, 0xB6, 0x87, 0x82, 0x0F, 0x11, 0xE0,
                                    0x81, 0x11, 0xF4, 0xCE, 0x46, 0x2B, 0x6A, 0x48};
    if (end > file->count) end = file->count;
    while (begin <= end && end - begin >= 8 && ++*boxes < 4096) {
        const uint8_t *box = file->bytes + begin;
        uint64_t size = big32(box), header = 8;
        if (size == 1 && end - begin >= 16) {
            size = (uint64_t)big32(box + 8) << 32 | big32(box + 12);
            header = 16;
        }
        if (size > end - begin && !is_type(box, "mdat")) {
            // A preview may be missing; the length is that of the largest.
            clip_raw_add(file, file->count, UINT64_MAX);
        }
        if (size == 0 || size > end - begin) size = end - begin;
        if (size < header) return;
        const uint8_t *data = box + header;
        uint64_t start = begin + header, stop = begin + size, length = size - header;
        if (depth > 6) return;
        if (is_type(box, "trak")) {
            sample own = {0, 0};
            walk_boxes(file, start, stop, &own, depth + 1, boxes);
            clip_raw_add(file, own.offset, own.size);
        } else if (is_type(box, "moov") || is_type(box, "mdia") || is_type(box, "minf") ||
                   is_type(box, "stbl")) {
            walk_boxes(file, start, stop, track, depth + 1, boxes);
        } else if (is_type(box, "uuid") && length >= 24 && memcmp(data, preview, 16) == 0) {
            walk_boxes(file, start + 24, stop, track, depth + 1, boxes);
        } else if (is_type(box, "uuid") && length >= 16 && memcmp(data, canon, 16) == 0) {
            walk_boxes(file, start + 16, stop, track, depth + 1, boxes);
        } else if (is_type(box, "PRVW") || is_type(box, "THMB")) {
            add_preview(file, start, stop);
        } else if (is_type(box, "CMT1")) {
            file->orientation = clip_exif_orientation(data, (size_t)length);
        } else if (is_type(box, "stsz") && length >= 12) {
            track->size = big32(data + 4);
            if (track->size == 0 && length >= 16) track->size = big32(data + 12);
        } else if (is_type(box, "co64") && length >= 16) {
            track->offset = (uint64_t)big32(data + 8) << 32 | big32(data + 12);
        } else if (is_type(box, "stco") && length >= 12) {
            track->offset = big32(data + 8);
        }
        begin += size;
    }
}

void clip_raw_scan_boxes(raw_file *file) {
    sample none = {0, 0};
    int boxes = 0;
    file->is_raw = true;
    walk_boxes(file, 0, file->count, &none, 0, &boxes);
}

// MARK: all formats

static void scan(raw_file *file, const uint8_t *bytes, size_t count) {
    *file = (raw_file){.bytes = bytes, .count = count};
    if (count >= 12 && memcmp(bytes + 4, "ftypcrx ", 8) == 0) {
        clip_raw_scan_boxes(file);
    } else if (count >= 16 && memcmp(bytes, "FUJIFILMCCD-RAW ", 16) == 0) {
        file->is_raw = true;
        file->is_cut = count < 92;
        if (count >= 92) clip_raw_add(file, big32(bytes + 84), big32(bytes + 88));
    } else {
        clip_raw_scan_tiff(file);
    }
}

bool clip_is_raw(const uint8_t *bytes, size_t count) {
    raw_file file;
    scan(&file, bytes, count);
    return file.is_raw;
}

static const uint64_t CUT_OFF = UINT64_MAX;

// Returns the number of pixels of a JPEG; 0 if it is none, or one that libjpeg does not decode, as
// the lossless JPEGs of sensor pixels. It is CUT_OFF if the bytes end before they tell.
static uint64_t jpeg_size(const uint8_t *bytes, uint64_t count) {
    if (memcmp(bytes, "\xFF\xD8\xFF", count < 3 ? (size_t)count : 3) != 0) return 0;
    uint64_t at = 2;
    for (int segments = 0; segments < 1000; segments++) {
        if (at + 4 > count) return CUT_OFF;
        uint8_t type = bytes[at + 1];
        if (bytes[at] != 0xFF) return 0;
        if (type == 0xFF) {  // a fill byte
            at++;
        } else if (type >= 0xC0 && type <= 0xC2) {
            if (at + 10 > count) return CUT_OFF;
            if (bytes[at + 4] != 8) return 0;
            return (uint64_t)big16(bytes + at + 5) * big16(bytes + at + 7);
        } else if (type == 0xDA || (type >= 0xC3 && type <= 0xCF && type != 0xC4 && type != 0xCC)) {
            return 0;
        } else {
            at += 2 + (uint64_t)big16(bytes + at + 2);
        }
    }
    return 0;
}

clip_image_status clip_decode_raw(const uint8_t *bytes, size_t count,
                                  const clip_image_options *options, clip_image *out) {
    raw_file file;
    scan(&file, bytes, count);
    raw_part best = {0, 0};
    uint64_t best_size = 0, missing = 0;
    for (int i = 0; i < file.part_count; i++) {
        raw_part part = file.parts[i];
        uint64_t length = part.length, size = CUT_OFF;
        bool is_cut = part.offset >= count || length > count - part.offset;
        if (part.offset < count) {
            if (is_cut) part.length = count - part.offset;
            size = jpeg_size(bytes + part.offset, part.length);
        }
        if (size == CUT_OFF) {
            if (is_cut && length > missing) missing = length;
            continue;
        }
        if (size > best_size || (size == best_size && size > 0 && part.length > best.length)) {
            best = part;
            best_size = size;
        }
    }
    // A larger preview is after the end of a truncated file.
    bool is_truncated = missing > best.length || (best_size == 0 && file.is_cut);
    if (is_truncated && (best_size == 0 || !options->allow_truncated)) return CLIP_IMAGE_TRUNCATED;
    if (best_size == 0) {
        snprintf(out->message, sizeof out->message, "RAW without a JPEG preview");
        return CLIP_IMAGE_UNSUPPORTED;
    }
    clip_image_status status =
        clip_decode_jpeg(bytes + best.offset, (size_t)best.length, options, out);
    if (out->orientation == 0) out->orientation = file.orientation;
    return status;
}
