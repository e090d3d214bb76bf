#include "codecs.h"

#include <stdio.h>
#include <string.h>

// Decodes BMP files and device-independent bitmaps without a file header, of the kinds that Pillow
// reads. Pillow has no alpha unless the file states a mask for it.

enum { FILE_HEADER = 14, RAW = 0, RLE8 = 1, RLE4 = 2, BIT_FIELDS = 3 };

typedef struct {
    const uint8_t *bytes;
    size_t count;
    clip_image *image;
    size_t header;  // the offset of the header of the bitmap
    uint32_t header_size, bits, compression, colours;
    uint64_t width, height;
    bool is_top_down;
    size_t pixels;      // the offset of the pixels
    uint32_t masks[4];  // of red, green, blue and alpha
    int shifts[4];
} bmp_decoder;

static uint32_t read16(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }
static uint32_t read32(const uint8_t *p) { return read16(p) | read16(p + 2) << 16; }

static bool is_header_size(uint32_t size) {
    return size == 12 || size == 40 || size == 52 || size == 56 || size == 64 || size == 108 ||
           size == 124;
}

static bool is_depth(uint32_t bits) {
    return bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
}

bool clip_is_bmp(const uint8_t *bytes, size_t count) {
    // The lower half of the header's size, which is not zero and less than 256, tells a text apart.
    if (count >= 16 && memcmp(bytes, "BM", 2) == 0) {
        return bytes[FILE_HEADER] != 0 && bytes[FILE_HEADER + 1] == 0;
    }
    if (count < 16 || !is_header_size(read32(bytes))) return false;
    const uint8_t *planes = bytes + (read32(bytes) == 12 ? 8 : 12);
    return read16(planes) == 1 && is_depth(read16(planes + 2));
}

static clip_image_status unsupported(bmp_decoder *decoder, const char *what, uint32_t value) {
    snprintf(decoder->image->message, sizeof decoder->image->message, "BMP with %s %u", what,
             value);
    return CLIP_IMAGE_UNSUPPORTED;
}

static clip_image_status damaged(bmp_decoder *decoder, const char *text) {
    snprintf(decoder->image->message, sizeof decoder->image->message, "%s", text);
    return CLIP_IMAGE_DAMAGED;
}

static int lowest_bit(uint32_t mask) {
    int shift = 0;
    while (shift < 31 && !(mask >> shift & 1)) shift++;
    return shift;
}

// Reads the masks of the colours. Returns false for masks that are not supported: those of 32 bits
// must be whole bytes.
static bool read_masks(bmp_decoder *decoder, const uint8_t *masks, int count) {
    static const uint32_t bgra[] = {0xFF0000, 0xFF00, 0xFF, 0xFF000000};
    static const uint32_t rgb16[2][3] = {{0xF800, 0x7E0, 0x1F}, {0x7C00, 0x3E0, 0x1F}};
    uint32_t *m = decoder->masks, all = 0;
    for (int i = 0; i < 4; i++) m[i] = i < count ? read32(masks + 4 * i) : 0;
    if (decoder->bits < 32) m[3] = 0;
    if (decoder->bits == 24) return memcmp(m, bgra, 12) == 0;
    if (decoder->bits == 16) return memcmp(m, rgb16[0], 12) == 0 || memcmp(m, rgb16[1], 12) == 0;
    if (decoder->bits != 32) return false;
    if (!(m[0] | m[1] | m[2] | m[3])) memcpy(m, bgra, sizeof bgra);
    for (int i = 0; i < 4; i++) {
        if (i == 3 && m[i] == 0) continue;
        int shift = lowest_bit(m[i]);
        if (shift % 8 || m[i] >> shift != 0xFF || m[i] & all) return false;
        all |= m[i];
    }
    return true;
}

static clip_image_status read_header(bmp_decoder *decoder) {
    if (decoder->count - decoder->header < 4) return CLIP_IMAGE_TRUNCATED;
    const uint8_t *header = decoder->bytes + decoder->header;
    decoder->header_size = read32(header);
    if (!is_header_size(decoder->header_size)) {
        return unsupported(decoder, "a header of size", decoder->header_size);
    }
    size_t rest = decoder->count - decoder->header;
    if (decoder->header_size > rest) return CLIP_IMAGE_TRUNCATED;
    if (decoder->header_size == 12) {
        decoder->width = read16(header + 4);
        decoder->height = read16(header + 6);
        decoder->bits = read16(header + 10);
    } else {
        decoder->width = read32(header + 4);
        decoder->height = read32(header + 8);
        decoder->is_top_down = header[11] == 0xFF;
        if (decoder->is_top_down) decoder->height = (1ull << 32) - decoder->height;
        decoder->bits = read16(header + 14);
        decoder->compression = read32(header + 16);
        decoder->colours = read32(header + 32);
    }
    if (decoder->width == 0 || decoder->height == 0) return damaged(decoder, "it has no pixels");
    if (decoder->width > INT32_MAX || decoder->height > INT32_MAX) {
        return damaged(decoder, "its width or height is negative");
    }
    if (!is_depth(decoder->bits)) return unsupported(decoder, "a pixel depth of", decoder->bits);

    size_t end = decoder->header_size;
    if (decoder->compression == BIT_FIELDS) {
        // A header of 40 bytes is followed by masks without alpha; those of 56 bytes and more have
        // one for alpha.
        int masks = decoder->header_size >= 56 ? 4 : 3;
        if (decoder->header_size == 40) end += 12;
        if (end > rest) return CLIP_IMAGE_TRUNCATED;
        if (!read_masks(decoder, header + 40, masks)) {
            return unsupported(decoder, "unusual bit fields, of pixels of", decoder->bits);
        }
    } else if (decoder->compression > RLE4) {
        return unsupported(decoder, "compression", decoder->compression);
    } else if (decoder->compression != RAW && decoder->bits > 8) {
        return unsupported(decoder, "run lengths, and a pixel depth of", decoder->bits);
    } else {
        static const uint32_t bgr[] = {0xFF0000, 0xFF00, 0xFF}, bgr15[] = {0x7C00, 0x3E0, 0x1F};
        memcpy(decoder->masks, decoder->bits == 16 ? bgr15 : bgr, sizeof bgr);
    }
    for (int i = 0; i < 4; i++) decoder->shifts[i] = lowest_bit(decoder->masks[i]);
    decoder->pixels = decoder->header + end;
    return CLIP_IMAGE_OK;
}

// Reads the palette and the offset of the pixels, and chooses the kind of image as Pillow does: a
// palette of all grey levels in order makes it greyscale, one of black and white a bitmap.
static clip_image_status read_palette(bmp_decoder *decoder, clip_image_layout *layout) {
    uint32_t offset = decoder->header ? read32(decoder->bytes + 10) : 0;
    if (decoder->bits <= 8) {
        size_t entry = decoder->header_size == 12 ? 3 : 4;
        uint64_t colours = decoder->colours ? decoder->colours : 1u << decoder->bits;
        if (colours > 65536) return damaged(decoder, "its palette has more than 65536 colours");
        size_t start = decoder->pixels, rest = decoder->count - start;
        uint8_t *palette = decoder->image->palette;
        bool is_grey = true;
        for (size_t i = 0; i < colours; i++) {
            bool is_present = (i + 1) * entry <= rest;
            const uint8_t *p = decoder->bytes + start + i * entry;
            uint8_t level = (uint8_t)(colours == 2 ? 255 * i : i);
            if (!is_present || p[0] != level || p[1] != level || p[2] != level) is_grey = false;
            if (!is_present || i >= 256) continue;
            for (int c = 0; c < 3; c++) palette[4 * i + (size_t)c] = p[2 - c];
        }
        for (int i = 0; i < 256; i++) palette[4 * i + 3] = 255;
        if (is_grey && colours <= 2) memset(palette + 4, 255, 3);
        layout->kind = is_grey && colours > 2 ? CLIP_IMAGE_RGB : CLIP_IMAGE_INDEXED;
        layout->channels = 1;
        // Some writers count only the header.
        if (offset == FILE_HEADER + decoder->header_size) offset += (uint32_t)(entry * colours);
        decoder->pixels += entry * (size_t)colours;
    } else {
        bool has_alpha = decoder->masks[3];
        layout->kind = has_alpha ? CLIP_IMAGE_RGBA : CLIP_IMAGE_RGB;
        layout->channels = has_alpha ? 4 : 3;
    }
    if (offset) decoder->pixels = offset;
    return CLIP_IMAGE_OK;
}

static uint8_t *row_of(const bmp_decoder *decoder, uint64_t row) {
    clip_image *out = decoder->image;
    if (!decoder->is_top_down) row = out->height - 1 - row;
    return out->pixels + (size_t)row * out->width * (size_t)out->channels;
}

// Converts a row of pixels of 1, 4 or 8 bits to indices.
static void unpack(const bmp_decoder *decoder, const uint8_t *in, uint8_t *out) {
    uint32_t bits = decoder->bits, mask = (1u << bits) - 1;
    for (size_t x = 0; x < decoder->width; x++) {
        size_t bit = x * bits;
        out[x] = (uint8_t)(in[bit / 8] >> (8 - bits - bit % 8) & mask);
    }
}

// Converts a row of pixels of 16, 24 or 32 bits.
static void convert(const bmp_decoder *decoder, const uint8_t *in, uint8_t *out) {
    size_t size = decoder->bits / 8, channels = (size_t)decoder->image->channels;
    for (size_t x = 0; x < decoder->width; x++, in += size, out += channels) {
        uint32_t pixel = read16(in);
        for (size_t i = 2; i < size; i++) pixel |= (uint32_t)in[i] << 8 * i;
        for (size_t c = 0; c < channels; c++) {
            uint32_t most = decoder->masks[c] >> decoder->shifts[c];
            uint32_t value = pixel >> decoder->shifts[c] & most;
            out[c] = (uint8_t)(value * 255 / most);
        }
    }
}

static clip_image_status decode_rows(bmp_decoder *decoder, bool allow_truncated) {
    size_t size = (size_t)((decoder->width * decoder->bits + 7) / 8), stride = (size + 3) / 4 * 4;
    size_t position = decoder->pixels;
    for (uint64_t y = 0; y < decoder->height; y++) {
        // The last row need not be padded.
        if (position > decoder->count || size > decoder->count - position) {
            return y > 0 && allow_truncated ? CLIP_IMAGE_OK : CLIP_IMAGE_TRUNCATED;
        }
        if (decoder->bits <= 8) {
            unpack(decoder, decoder->bytes + position, row_of(decoder, y));
        } else {
            convert(decoder, decoder->bytes + position, row_of(decoder, y));
        }
        position += stride;
    }
    return CLIP_IMAGE_OK;
}

// Writes n pixels of alternating values from the place `at` on, which counts pixels in the order of
// the file.
static void put(const bmp_decoder *decoder, uint64_t at, uint64_t n, uint8_t even, uint8_t odd) {
    uint64_t all = decoder->width * decoder->height;
    for (uint64_t i = 0; i < n && at + i < all; i++) {
        uint8_t *row = row_of(decoder, (at + i) / decoder->width);
        row[(at + i) % decoder->width] = i % 2 ? odd : even;
    }
}

// Decodes run lengths. Pixels that are skipped have the first colour. Unlike Pillow, this accepts
// an image that states its end early.
static clip_image_status decode_runs(bmp_decoder *decoder, bool allow_truncated) {
    const uint8_t *bytes = decoder->bytes;
    const uint64_t all = decoder->width * decoder->height, width = decoder->width;
    const bool is_4 = decoder->compression == RLE4;
    uint64_t at = 0, x = 0;
    size_t i = decoder->pixels;
    while (at < all) {
        if (i > decoder->count || decoder->count - i < 2) goto truncated;
        uint8_t count = bytes[i], value = bytes[i + 1];
        i += 2;
        if (count > 0) {
            uint64_t n = x >= width ? 0 : x + count > width ? width - x : count;
            put(decoder, at, n, is_4 ? value >> 4 : value, is_4 ? value & 15 : value);
            at += n;
            x += n;
        } else if (value == 0) {  // the end of a row
            at = (at + width - 1) / width * width;
            x = 0;
        } else if (value == 1) {  // the end of the image
            return CLIP_IMAGE_OK;
        } else if (value == 2) {  // columns and rows to skip
            if (decoder->count - i < 2) goto truncated;
            at += bytes[i] + bytes[i + 1] * width;
            x = at % width;
            i += 2;
        } else {
            uint64_t n = value > all - at ? all - at : value;
            size_t size = (size_t)(is_4 ? (n + 1) / 2 : n);
            if (size > decoder->count - i) goto truncated;
            for (uint64_t k = 0; k < n; k++) {
                uint8_t byte = bytes[i + (size_t)(is_4 ? k / 2 : k)];
                uint8_t index = !is_4 ? byte : k % 2 ? byte & 15 : byte >> 4;
                put(decoder, at + k, 1, index, index);
            }
            at += n;
            x += value;
            i += size;
            i += i % 2;  // Pillow aligns to two bytes in the file
        }
    }
    return CLIP_IMAGE_OK;
truncated:
    return at > 0 && allow_truncated ? CLIP_IMAGE_OK : CLIP_IMAGE_TRUNCATED;
}

clip_image_status clip_decode_bmp(const uint8_t *bytes, size_t count,
                                  const clip_image_options *options, clip_image *out) {
    bmp_decoder decoder = {.bytes = bytes, .count = count, .image = out,
                           .header = memcmp(bytes, "BM", 2) == 0 ? FILE_HEADER : 0};
    clip_image_status status = read_header(&decoder);
    if (status != CLIP_IMAGE_OK) return status;
    clip_image_layout layout = {
        .width = (uint32_t)decoder.width, .height = (uint32_t)decoder.height,
        .working_memory = 1 << 12,
    };
    status = read_palette(&decoder, &layout);
    if (status != CLIP_IMAGE_OK) return status;
    status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;
    if (decoder.compression == RLE8 || decoder.compression == RLE4) {
        return decode_runs(&decoder, options->allow_truncated);
    }
    return decode_rows(&decoder, options->allow_truncated);
}
