#include "codecs.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

// A reader of the chunks of a PNG, independent of libpng. libpng is told to skip all chunks that
// the pixels do not need, so that corrupt or huge texts and profiles cost neither memory nor an
// error.

typedef struct {
    const uint8_t *bytes;
    size_t count, position;
    const uint8_t *type, *data;
    size_t length;
} chunks;

static uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static chunks all_chunks(const uint8_t *bytes, size_t count) {
    return (chunks){.bytes = bytes, .count = count, .position = 8};
}

// Moves on to the next chunk; false if there is none that is complete.
static bool next(chunks *c) {
    if (c->position > c->count || c->count - c->position < 12) return false;
    const uint8_t *header = c->bytes + c->position;
    c->length = big32(header);
    if (c->length > c->count - c->position - 12) return false;
    c->type = header + 4;
    c->data = header + 8;
    c->position += 12 + c->length;
    return true;
}

static bool is(const chunks *c, const char *type) { return memcmp(c->type, type, 4) == 0; }

// Returns true if the CRC of a chunk is right.
static bool is_sound(const chunks *c) {
    return crc32(0, c->type, (uInt)(c->length + 4)) == big32(c->data + c->length);
}

bool clip_png_repair_palette(const uint8_t *bytes, size_t count, uint8_t *palette) {
    for (chunks c = all_chunks(bytes, count); next(&c);) {
        if (is(&c, "IDAT")) return true;
        if (!is(&c, "PLTE")) continue;
        if (c.length > 3 * 256 || (c.length > 0 && c.length % 3 == 0)) return false;
        for (size_t i = 0; i < c.length / 3 * 3; i++) palette[i / 3 * 4 + i % 3] = c.data[i];
        return true;
    }
    // The file ends before its pixels; libpng reports that.
    return false;
}

uint64_t clip_png_inflated_size(const uint8_t *bytes, size_t count, uint64_t limit) {
    uint8_t scratch[1 << 14];
    z_stream stream = {0};
    if (inflateInit(&stream) != Z_OK) return 0;
    uint64_t size = 0;
    int status = Z_OK;
    bool has_begun = false;
    for (chunks c = all_chunks(bytes, count); status == Z_OK && next(&c);) {
        if (!is(&c, "IDAT")) {
            // libpng does not read IDAT chunks after another chunk.
            if (has_begun) break;
            continue;
        }
        has_begun = true;
        stream.next_in = (Bytef *)c.data;  // zlib only reads it
        stream.avail_in = (uInt)c.length;
        while (status == Z_OK && stream.avail_in > 0 && size <= limit) {
            stream.next_out = scratch;
            stream.avail_out = sizeof scratch;
            status = inflate(&stream, Z_NO_FLUSH);
            size += sizeof scratch - stream.avail_out;
        }
    }
    inflateEnd(&stream);
    return status == Z_STREAM_END && size <= limit ? size : 0;
}

// MARK: The ICC profile

// Returns the limit on the inflated size of a profile, which begins with its own size; 0 if the
// compressed data is corrupt.
static size_t profile_size(const uint8_t *bytes, size_t count) {
    uint8_t size[4];
    z_stream stream = {.next_in = (Bytef *)bytes, .avail_in = (uInt)count,  // zlib only reads it
                       .next_out = size, .avail_out = sizeof size};
    if (inflateInit(&stream) != Z_OK) return 0;
    inflate(&stream, Z_SYNC_FLUSH);
    inflateEnd(&stream);
    return stream.avail_out == 0 ? big32(size) : 0;
}

void clip_png_read_profile(const uint8_t *bytes, size_t count, clip_image *out) {
    for (chunks c = all_chunks(bytes, count); next(&c) && !is(&c, "IDAT");) {
        if (!is(&c, "iCCP") || !is_sound(&c)) continue;
        // A name that ends with a 0, the compression method, which is 0, and the compressed data.
        const uint8_t *end = c.data + c.length, *p = memchr(c.data, 0, c.length);
        if (!p || end - p < 2 || p[1] != 0) return;
        p += 2;
        uLongf size = (uLongf)profile_size(p, (size_t)(end - p));
        if (size == 0 || size > CLIP_LARGEST_PROFILE) return;
        out->profile = malloc(size);
        if (!out->profile) return;
        int status = uncompress(out->profile, &size, p, (uLong)(end - p));
        if (status == Z_OK) {
            out->profile_count = size;
        } else {
            free(out->profile);
            out->profile = NULL;
        }
        return;
    }
}

// MARK: Texts

// The limit on the inflated size of texts, which is that of Pillow.
enum { LONGEST_TEXT = 1 << 20 };

typedef struct {
    uint8_t *bytes;
    size_t count;
} text;

static void set(text *t, const uint8_t *bytes, size_t count) {
    t->bytes = malloc(count + 1);
    t->count = t->bytes ? count : 0;
    if (t->bytes) memcpy(t->bytes, bytes, count);
}

static void set_inflated(text *t, const uint8_t *bytes, size_t count) {
    uLongf size = LONGEST_TEXT;
    uint8_t *inflated = malloc(size);
    if (inflated && uncompress(inflated, &size, bytes, (uLong)count) == Z_OK) {
        set(t, inflated, size);
    }
    free(inflated);
}

// Skips a text that ends with a 0; NULL if none does.
static const uint8_t *after_zero(const uint8_t *p, const uint8_t *end) {
    p = memchr(p, 0, (size_t)(end - p));
    return p ? p + 1 : NULL;
}

// Returns the text of a tEXt, zTXt or iTXt chunk, which follows its keyword; empty if it is
// corrupt.
static text text_of(const chunks *c, const char *keyword) {
    text t = {0};
    const uint8_t *end = c->data + c->length, *p = c->data + strlen(keyword) + 1;
    if (is(c, "tEXt")) {
        set(&t, p, (size_t)(end - p));
    } else if (is(c, "zTXt") && p < end && p[0] == 0) {
        set_inflated(&t, p + 1, (size_t)(end - p) - 1);
    } else if (is(c, "iTXt") && end - p >= 2 && (p[0] == 0 || p[1] == 0)) {
        bool is_compressed = p[0] != 0;
        p = after_zero(p + 2, end);     // the language tag
        if (p) p = after_zero(p, end);  // the translated keyword
        if (p && is_compressed) set_inflated(&t, p, (size_t)(end - p));
        if (p && !is_compressed) set(&t, p, (size_t)(end - p));
    }
    return t;
}

// Returns true if a chunk is a text with this keyword.
static bool is_text(const chunks *c, const char *keyword) {
    return (is(c, "tEXt") || is(c, "zTXt") || is(c, "iTXt")) && c->length > strlen(keyword) &&
           memcmp(c->data, keyword, strlen(keyword) + 1) == 0;
}

// Returns the value of a hexadecimal digit; -1 if it is none.
static int digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int orientation_after_prefix(const uint8_t *exif, size_t count) {
    while (count >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) exif += 6, count -= 6;
    return clip_exif_orientation(exif, count);
}

// Returns the orientation in ImageMagick's EXIF text: an empty line, the kind, the length, and then
// the bytes as hexadecimal digits.
static int profile_orientation(text *t) {
    const uint8_t *p = t->bytes, *end = t->bytes + t->count;
    for (int line = 0; line < 3; line++) {
        p = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        if (!p) return 0;
        p++;
    }
    size_t count = 0;  // the bytes overwrite their digits
    while (p < end) {
        if (*p == '\n' || *p == ' ' || *p == '\r' || *p == '\t') {
            p++;
            continue;
        }
        int high = digit(p[0]), low = end - p >= 2 ? digit(p[1]) : -1;
        if (high < 0 || low < 0) return 0;
        t->bytes[count++] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    return orientation_after_prefix(t->bytes, count);
}

int clip_png_orientation(const uint8_t *bytes, size_t count) {
    static const char profile_keyword[] = "Raw profile type exif";
    static const char xmp_keyword[] = "XML:com.adobe.xmp";
    // If there are several chunks of a kind, the last one is used.
    chunks exif = {0}, profile = {0}, xmp = {0};
    for (chunks c = all_chunks(bytes, count); next(&c) && !is(&c, "IEND");) {
        if (is(&c, "eXIf") && is_sound(&c)) exif = c;
        if (is_text(&c, profile_keyword) && is_sound(&c)) profile = c;
        if (is_text(&c, xmp_keyword) && is_sound(&c)) xmp = c;
    }
    int orientation = 0;
    if (exif.data) {
        orientation = orientation_after_prefix(exif.data, exif.length);
    } else if (profile.data) {
        text t = text_of(&profile, profile_keyword);
        if (t.bytes) orientation = profile_orientation(&t);
        free(t.bytes);
    }
    if (orientation == 0 && xmp.data) {
        text t = text_of(&xmp, xmp_keyword);
        if (t.bytes) orientation = clip_xmp_orientation(t.bytes, t.count);
        free(t.bytes);
    }
    return orientation;
}
