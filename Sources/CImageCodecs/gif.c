#include "codecs.h"

#include <stdio.h>
#include <string.h>

// Decodes the first frame of a GIF, as Pillow does: onto a canvas of the transparent colour, or of
// the first colour, with the palette of the frame or else that of the file.

enum {
    TABLE_SIZE = 4096,  // codes have at most 12 bits
    CODE_BITS = 12,
    EXTENSION = 0x21, IMAGE = 0x2C, TRAILER = 0x3B,
    GRAPHIC_CONTROL = 0xF9,
};

typedef struct {
    const uint8_t *bytes;
    size_t count, position;
    clip_image *image;
    // The size of the canvas, and the rectangle of the frame on it.
    uint32_t width, height, left, top, frame_width, frame_height;
    bool is_interlaced;
    // The palette of the frame; NULL if it is missing or is the grey levels in order. The image is
    // then greyscale.
    const uint8_t *palette;
    int colours;
    int transparent;  // the index of the transparent colour; -1 if there is none
    int code_bits;    // of the LZW data
} gif_decoder;

static uint32_t read16(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }

static clip_image_status damaged(gif_decoder *decoder, const char *text) {
    snprintf(decoder->image->message, sizeof decoder->image->message, "%s", text);
    return CLIP_IMAGE_DAMAGED;
}

// Returns the next n bytes; NULL if the file ends before.
static const uint8_t *take(gif_decoder *decoder, size_t n) {
    if (n > decoder->count - decoder->position) return NULL;
    const uint8_t *bytes = decoder->bytes + decoder->position;
    decoder->position += n;
    return bytes;
}

// Reads a palette. Returns false if the file ends before.
static bool read_palette(gif_decoder *decoder, uint8_t flags) {
    int colours = 2 << (flags & 7);
    const uint8_t *palette = take(decoder, 3 * (size_t)colours);
    if (!palette) return false;
    decoder->palette = NULL;
    for (int i = 0; i < colours && !decoder->palette; i++) {
        const uint8_t *p = palette + 3 * i;
        if (p[0] != i || p[1] != i || p[2] != i) decoder->palette = palette;
    }
    decoder->colours = colours;
    return true;
}

// Reads an extension, which states the transparent colour if it is a graphic control block.
static clip_image_status read_extension(gif_decoder *decoder) {
    const uint8_t *label = take(decoder, 1);
    if (!label) return CLIP_IMAGE_TRUNCATED;
    for (bool is_first = true;; is_first = false) {
        const uint8_t *size = take(decoder, 1);
        const uint8_t *block = size ? take(decoder, *size) : NULL;
        if (!block) return CLIP_IMAGE_TRUNCATED;
        if (*size == 0) return CLIP_IMAGE_OK;
        if (!is_first || *label != GRAPHIC_CONTROL) continue;
        if (*size < 4) return damaged(decoder, "the graphic control block is too short");
        if (block[0] & 1) decoder->transparent = block[3];
    }
}

// Reads the header of the first frame, up to its pixels.
static clip_image_status read_frame(gif_decoder *decoder) {
    const uint8_t *place = take(decoder, 9);
    if (!place) return CLIP_IMAGE_TRUNCATED;
    decoder->left = read16(place);
    decoder->top = read16(place + 2);
    decoder->frame_width = read16(place + 4);
    decoder->frame_height = read16(place + 6);
    decoder->is_interlaced = place[8] & 64;
    // A frame that is larger than the canvas enlarges it.
    uint32_t right = decoder->left + decoder->frame_width;
    uint32_t bottom = decoder->top + decoder->frame_height;
    if (right > decoder->width) decoder->width = right;
    if (bottom > decoder->height) decoder->height = bottom;
    if (decoder->frame_width == 0 || decoder->frame_height == 0) {
        return damaged(decoder, "the image is empty");
    }
    if (place[8] & 128 && !read_palette(decoder, place[8])) return CLIP_IMAGE_TRUNCATED;
    const uint8_t *bits = take(decoder, 1);
    if (!bits) return CLIP_IMAGE_TRUNCATED;
    decoder->code_bits = *bits;
    return *bits <= CODE_BITS ? CLIP_IMAGE_OK : damaged(decoder, "the code size is invalid");
}

// Reads the file up to the pixels of the first frame.
static clip_image_status read_header(gif_decoder *decoder) {
    const uint8_t *screen = take(decoder, 13);
    if (!screen) return CLIP_IMAGE_TRUNCATED;
    decoder->width = read16(screen + 6);
    decoder->height = read16(screen + 8);
    if (screen[10] & 128 && !read_palette(decoder, screen[10])) return CLIP_IMAGE_TRUNCATED;
    for (;;) {
        const uint8_t *type = take(decoder, 1);
        if (!type) return CLIP_IMAGE_TRUNCATED;
        if (*type == IMAGE) return read_frame(decoder);
        if (*type == TRAILER) return damaged(decoder, "it has no image");
        if (*type != EXTENSION) continue;  // a stray byte
        clip_image_status status = read_extension(decoder);
        if (status != CLIP_IMAGE_OK) return status;
    }
}

// The bits of the LZW data, which are in blocks of up to 255 bytes.
typedef struct {
    size_t block_end;
    uint32_t bits;
    int bit_count;
} bit_reader;

// Returns the next code of `size` bits; -1 if the data end before, or within a block: Pillow does
// not read a part of a block.
static int next_code(gif_decoder *decoder, bit_reader *reader, int size) {
    while (reader->bit_count < size) {
        if (decoder->position == reader->block_end) {
            const uint8_t *length = take(decoder, 1);
            if (!length || *length == 0 || *length > decoder->count - decoder->position) return -1;
            reader->block_end = decoder->position + *length;
        }
        reader->bits |= (uint32_t)decoder->bytes[decoder->position++] << reader->bit_count;
        reader->bit_count += 8;
    }
    int code = (int)(reader->bits & ((1u << size) - 1));
    reader->bits >>= size;
    reader->bit_count -= size;
    return code;
}

// The place of the next pixel in the frame.
typedef struct {
    uint32_t x, y, step;
    int pass;  // of the 4 of an interlaced image; 3 for others
} cursor;

// Moves to the next row. Returns false after the last.
static bool next_row(const gif_decoder *decoder, cursor *place) {
    static const uint32_t first[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    place->x = 0;
    place->y += place->step;
    while (place->y >= decoder->frame_height) {
        if (place->pass == 3) return false;
        place->pass++;
        place->y = first[place->pass];
        place->step = steps[place->pass];
    }
    return true;
}

// Writes indices to the frame. Returns false if it is full.
static bool put(gif_decoder *decoder, cursor *place, const uint8_t *indices, size_t n) {
    const size_t channels = (size_t)decoder->image->channels;
    for (size_t i = 0; i < n; i++) {
        size_t row = decoder->top + place->y, column = decoder->left + place->x;
        uint8_t *pixel = decoder->image->pixels + channels * (row * decoder->width + column);
        pixel[0] = indices[i];
        if (channels == 2) pixel[1] = indices[i] == decoder->transparent ? 0 : 255;
        if (++place->x == decoder->frame_width && !next_row(decoder, place)) return false;
    }
    return true;
}

// Decodes the LZW data. `out->pixels` is the canvas.
static clip_image_status decode_pixels(gif_decoder *decoder, bool allow_truncated) {
    // The last index and the code of the rest of each string.
    uint8_t last[TABLE_SIZE], string[TABLE_SIZE];
    uint16_t rest[TABLE_SIZE];
    const int clear = 1 << decoder->code_bits;
    int size = decoder->code_bits + 1, next = clear + 2, previous = -1;
    uint8_t first = 0;  // of the string of the previous code
    bool has_begun = false;
    bit_reader reader = {.block_end = decoder->position};
    cursor place = {.step = decoder->is_interlaced ? 8 : 1, .pass = decoder->is_interlaced ? 0 : 3};
    for (;;) {
        int code = next_code(decoder, &reader, size);
        if (code < 0 || code == clear + 1) {
            return has_begun && allow_truncated ? CLIP_IMAGE_OK : CLIP_IMAGE_TRUNCATED;
        }
        if (code == clear) {
            size = decoder->code_bits + 1;
            next = clear + 2;
            previous = -1;
            continue;
        }
        if (code > (previous < 0 ? clear : next)) return damaged(decoder, "invalid LZW code");

        // The string is written from its end.
        size_t start = TABLE_SIZE;
        int part = code;
        if (previous >= 0 && code == next) {
            string[--start] = first;
            part = previous;
        }
        while (part >= clear) {
            if (start == 0 || part >= TABLE_SIZE) return damaged(decoder, "invalid LZW code");
            string[--start] = last[part];
            part = rest[part];
        }
        if (start == 0) return damaged(decoder, "invalid LZW code");
        string[--start] = first = (uint8_t)part;
        if (previous >= 0 && next < TABLE_SIZE) {
            last[next] = first;
            rest[next] = (uint16_t)previous;
            if (next == (1 << size) - 1 && size < CODE_BITS) size++;
            next++;
        }
        previous = code;
        has_begun = true;
        if (!put(decoder, &place, string + start, TABLE_SIZE - start)) return CLIP_IMAGE_OK;
    }
}

static void fill(const gif_decoder *decoder, clip_image *out) {
    if (decoder->transparent < 0) return;
    size_t count = (size_t)out->width * out->height * (size_t)out->channels;
    memset(out->pixels, decoder->transparent, count);
    for (size_t i = 1; out->channels == 2 && i < count; i += 2) out->pixels[i] = 0;
}

clip_image_status clip_decode_gif(const uint8_t *bytes, size_t count,
                                  const clip_image_options *options, clip_image *out) {
    gif_decoder decoder = {.bytes = bytes, .count = count, .image = out, .transparent = -1};
    clip_image_status status = read_header(&decoder);
    if (status != CLIP_IMAGE_OK) return status;
    bool has_key = decoder.transparent >= 0;
    clip_image_layout layout = {
        .width = decoder.width, .height = decoder.height, .channels = 1, .has_mask = has_key,
        .kind = decoder.palette ? CLIP_IMAGE_INDEXED : CLIP_IMAGE_RGB,
        .working_memory = 1 << 16,
    };
    if (!decoder.palette) layout.channels += has_key;
    status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;
    for (int i = 0; decoder.palette && i < 256; i++) {
        if (i < decoder.colours) memcpy(out->palette + 4 * i, decoder.palette + 3 * i, 3);
        out->palette[4 * i + 3] = i == decoder.transparent ? 0 : 255;
    }
    fill(&decoder, out);
    return decode_pixels(&decoder, options->allow_truncated);
}
