#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <png.h>
#include <zlib.h>

// The state of a decoder. It is not in local variables, because longjmp leaves those undefined.
typedef struct {
    const uint8_t *bytes;
    size_t count, position, next_chunk;
    int truncated;
    // The pass that is being read, of the 7 of an interlaced image; -1 before the first.
    int pass;
    // The first bytes of the file as libpng sees them: unchanged, except that an image with a
    // broken palette is presented as greyscale.
    uint8_t header[33];
    bool has_repaired_palette;
    uint32_t bits_per_pixel;  // in the file
    png_structp png;
    png_infop info;
    clip_image *image;
} png_decoder;

// The end of the IHDR chunk, and the offsets of its fields in the file.
enum { HEADER_SIZE = 33, DEPTH = 24, COLOURS = 25, HEADER_CRC = 29 };

static void read_bytes(png_structp png, png_bytep out, size_t n) {
    png_decoder *decoder = png_get_io_ptr(png);
    if (n > decoder->count - decoder->position) {
        decoder->truncated = 1;
        png_error(png, "the file ends early");
    }
    memcpy(out, decoder->bytes + decoder->position, n);
    for (size_t i = 0; i < n && decoder->position + i < HEADER_SIZE; i++) {
        out[i] = decoder->header[decoder->position + i];
    }
    const int is_header = n == 8 && decoder->position == decoder->next_chunk;
    decoder->position += n;
    if (!is_header) return;

    const size_t length = png_get_uint_32(out), rest = decoder->count - decoder->position;
    decoder->next_chunk = decoder->position + length + 4;
    if (length <= rest) return;
    if (memcmp(out + 4, "IDAT", 4) == 0) {
        // libpng reads a chunk in large pieces, which would fail as a whole. It is given the length
        // that is left: that may be all the pixels, or the caller accepts a truncated image.
        png_save_uint_32(out, (png_uint_32)rest);
    } else {
        // libpng would allocate as much memory as the chunk claims to need.
        decoder->truncated = 1;
        png_error(png, "a chunk goes on after the end of the file");
    }
}

static void fail(png_structp png, png_const_charp text) {
    clip_image *image = png_get_error_ptr(png);
    snprintf(image->message, sizeof image->message, "%s", text);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

// Copies the beginning of the file, and makes an image with a broken palette greyscale.
static void prepare_header(png_decoder *decoder, clip_image *out) {
    uint8_t *header = decoder->header;
    memcpy(header, decoder->bytes, decoder->count < HEADER_SIZE ? decoder->count : HEADER_SIZE);
    if (decoder->count < HEADER_SIZE || memcmp(header + 8, "\0\0\0\x0DIHDR", 8) != 0) return;
    if (header[COLOURS] != PNG_COLOR_TYPE_PALETTE || header[DEPTH] > 8) return;
    if (crc32(0, header + 12, 17) != png_get_uint_32(header + HEADER_CRC)) return;
    decoder->has_repaired_palette =
        clip_png_repair_palette(decoder->bytes, decoder->count, out->palette);
    if (!decoder->has_repaired_palette) return;
    // The samples of a greyscale image are read as the same numbers as indices are.
    header[COLOURS] = PNG_COLOR_TYPE_GRAY;
    png_save_uint_32(header + HEADER_CRC, (png_uint_32)crc32(0, header + 12, 17));
}

static clip_image_layout layout_of(const png_decoder *decoder) {
    png_structp png = decoder->png;
    png_infop info = decoder->info;
    int colours = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    bool is_coloured = colours & PNG_COLOR_MASK_COLOR;
    bool has_key = false;
    int alphas = 0;
    if (png_get_tRNS(png, info, NULL, &alphas, NULL)) has_key = alphas > 0;
    clip_image_layout layout = {
        .width = png_get_image_width(png, info), .height = png_get_image_height(png, info),
    };
    // libpng's buffers: two rows of at most eight bytes per pixel.
    layout.working_memory = 16 * (uint64_t)layout.width + (1 << 20);
    if (colours == PNG_COLOR_TYPE_PALETTE || decoder->has_repaired_palette ||
        (colours == PNG_COLOR_TYPE_GRAY && depth == 1)) {
        layout.kind = CLIP_IMAGE_INDEXED;
        layout.channels = 1;
        layout.has_mask = has_key && !decoder->has_repaired_palette;
    } else if (colours & PNG_COLOR_MASK_ALPHA) {
        layout.kind = CLIP_IMAGE_RGBA;
        layout.channels = is_coloured ? 4 : 2;
    } else if (colours == PNG_COLOR_TYPE_GRAY && depth == 16) {
        layout.kind = CLIP_IMAGE_GREY16;
        layout.channels = 2;
    } else {
        // A transparent colour is not alpha: Pillow resizes such an image as if it were opaque.
        layout.kind = CLIP_IMAGE_RGB;
        layout.channels = (is_coloured ? 3 : 1) + has_key;
        layout.has_mask = has_key;
    }
    return layout;
}

// Fills in the palette. Entries that the file lacks are black, as in Pillow, also without a
// palette.
static void read_palette(const png_decoder *decoder, clip_image *out) {
    png_colorp palette = NULL;
    png_bytep alpha = NULL;
    png_color_16p key = NULL;
    int count = 0, alphas = 0;
    if (out->has_mask) png_get_tRNS(decoder->png, decoder->info, &alpha, &alphas, &key);
    for (int i = 0; i < 256; i++) out->palette[4 * i + 3] = 255;
    if (decoder->has_repaired_palette) return;
    if (png_get_color_type(decoder->png, decoder->info) == PNG_COLOR_TYPE_GRAY) {
        memset(out->palette + 4, 255, 3);
        if (out->has_mask && key) out->palette[4 * (key->gray & 1) + 3] = 0;
        return;
    }
    png_get_PLTE(decoder->png, decoder->info, &palette, &count);
    for (int i = 0; palette && i < count && i < 256; i++) {
        out->palette[4 * i] = palette[i].red;
        out->palette[4 * i + 1] = palette[i].green;
        out->palette[4 * i + 2] = palette[i].blue;
    }
    for (int i = 0; alpha && i < alphas && i < 256; i++) out->palette[4 * i + 3] = alpha[i];
}

// Tells libpng which sample format to write.
static void choose_samples(const png_decoder *decoder, const clip_image *out) {
    png_structp png = decoder->png;
    if (out->kind == CLIP_IMAGE_INDEXED) {
        png_set_packing(png);
    } else {
        png_set_expand_gray_1_2_4_to_8(png);
        if (out->has_mask) png_set_tRNS_to_alpha(png);
        if (out->kind != CLIP_IMAGE_GREY16) png_set_strip_16(png);  // the high byte, as in Pillow
    }
}

// Computes the number of bytes of a row of a pass, its filter byte included, and the number of
// rows. Returns false if the pass is empty.
static bool rows_of_pass(const png_decoder *decoder, int pass, uint64_t *row_size, uint64_t *rows) {
    // The first column and row of each pass, and the distances between columns and rows as shifts.
    static const uint8_t x0[] = {0, 4, 0, 2, 0, 1, 0}, sx[] = {3, 3, 2, 2, 1, 1, 0};
    static const uint8_t y0[] = {0, 0, 4, 0, 2, 0, 1}, sy[] = {3, 3, 3, 2, 2, 1, 1};
    uint64_t columns = decoder->image->width;
    *rows = decoder->image->height;
    if (png_get_interlace_type(decoder->png, decoder->info) != PNG_INTERLACE_NONE) {
        columns = (columns + (1u << sx[pass]) - 1 - x0[pass]) >> sx[pass];
        *rows = (*rows + (1u << sy[pass]) - 1 - y0[pass]) >> sy[pass];
    } else if (pass > 0) {
        return false;
    }
    *row_size = 1 + (columns * decoder->bits_per_pixel + 7) / 8;
    return columns > 0 && *rows > 0;
}

// Returns true if the compressed data ends at the end of a row, after at least one row: Pillow
// accepts that, and leaves the rest black.
static bool ends_after_row(const png_decoder *decoder) {
    uint64_t whole = 0, row_size, rows;
    for (int pass = 0; pass < 7; pass++) {
        if (rows_of_pass(decoder, pass, &row_size, &rows)) whole += rows * row_size;
    }
    uint64_t size = clip_png_inflated_size(decoder->bytes, decoder->count, whole);
    if (size == 0) return false;
    for (int pass = 0; pass < 7; pass++) {
        if (!rows_of_pass(decoder, pass, &row_size, &rows)) continue;
        if (size < rows * row_size) return size % row_size == 0;
        size -= rows * row_size;
    }
    // The data is complete, so that libpng's error has another cause.
    return false;
}

// Returns true if the message of libpng or zlib is about memory. They have no error codes.
static bool is_out_of_memory(const char *message) {
    static const char *const texts[] = {"out of memory", "insufficient memory"};
    for (; *message; message++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            if (strncasecmp(message, texts[i], strlen(texts[i])) == 0) return true;
        }
    }
    return false;
}

// Returns the status after an error of libpng.
static clip_image_status failure(const png_decoder *decoder, const clip_image_options *options) {
    bool has_begun = decoder->pass >= 0;
    if (is_out_of_memory(decoder->image->message)) return CLIP_IMAGE_OUT_OF_MEMORY;
    if (decoder->truncated) {
        return has_begun && options->allow_truncated ? CLIP_IMAGE_OK : CLIP_IMAGE_TRUNCATED;
    }
    if (has_begun && strcmp(decoder->image->message, "Not enough image data") == 0 &&
        ends_after_row(decoder)) {
        return CLIP_IMAGE_OK;
    }
    return CLIP_IMAGE_DAMAGED;
}

static clip_image_status decode(png_decoder *decoder, const clip_image_options *options) {
    png_structp png = decoder->png;
    png_infop info = decoder->info;
    clip_image *out = decoder->image;
    if (setjmp(png_jmpbuf(png))) return failure(decoder, options);
    png_set_read_fn(png, decoder, read_bytes);
    // libpng's limits are off: those of clip_image_options are checked below, each with its status.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    // tRNS is the only ancillary chunk that is needed.
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);
    // From here on CRCs are ignored and only zlib's checksum is verified, as in Pillow.
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);

    clip_image_layout layout = layout_of(decoder);
    if (layout.kind == CLIP_IMAGE_GREY16 && options->scale_16) {
        layout.kind = CLIP_IMAGE_RGB;
        layout.channels = 1;
    }
    if ((uint64_t)layout.width * layout.height <= options->max_pixels &&
        (layout.width > CLIP_IMAGE_LONGEST_SIDE || layout.height > CLIP_IMAGE_LONGEST_SIDE)) {
        out->width = layout.width;
        out->height = layout.height;
        return CLIP_IMAGE_SIDE_TOO_LONG;
    }
    clip_image_status status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;
    if (out->kind == CLIP_IMAGE_INDEXED) read_palette(decoder, out);

    decoder->bits_per_pixel =
        (uint32_t)png_get_channels(png, info) * (uint32_t)png_get_bit_depth(png, info);
    choose_samples(decoder, out);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t stride = (size_t)out->width * (size_t)out->channels;
    if (png_get_rowbytes(png, info) != stride) png_error(png, "rows of an unexpected size");
    for (decoder->pass = 0; decoder->pass < passes; decoder->pass++) {
        for (uint32_t y = 0; y < out->height; y++) {
            png_read_row(png, out->pixels + y * stride, NULL);
        }
    }
    return CLIP_IMAGE_OK;
}

clip_image_status clip_decode_png(const uint8_t *bytes, size_t count,
                                    const clip_image_options *options, clip_image *out) {
    png_decoder decoder = {
        .bytes = bytes, .count = count, .next_chunk = 8, .pass = -1, .image = out};
    prepare_header(&decoder, out);
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, out, fail, ignore_warning);
    if (decoder.png) decoder.info = png_create_info_struct(decoder.png);
    clip_image_status status =
        decoder.info ? decode(&decoder, options) : CLIP_IMAGE_OUT_OF_MEMORY;
    if (decoder.png) png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
    if (status == CLIP_IMAGE_OK) out->orientation = clip_png_orientation(bytes, count);
    if (status == CLIP_IMAGE_OK && options->reads_profile) {
        clip_png_read_profile(bytes, count, out);
    }
    return status;
}
