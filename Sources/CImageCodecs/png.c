#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

// All that a decoder changes lies here and not in local variables, which a longjmp leaves undefined.
typedef struct {
    const uint8_t *bytes;
    size_t count, position, next_chunk;
    int truncated;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    clip_picture *picture;
} png_decoder;

static void read_bytes(png_structp png, png_bytep out, size_t n) {
    png_decoder *decoder = png_get_io_ptr(png);
    if (n > decoder->count - decoder->position) {
        decoder->truncated = 1;
        png_error(png, "the file ends early");
    }
    memcpy(out, decoder->bytes + decoder->position, n);
    const int is_header = n == 8 && decoder->position == decoder->next_chunk;
    decoder->position += n;
    if (!is_header) return;

    const size_t length = png_get_uint_32(out), rest = decoder->count - decoder->position;
    decoder->next_chunk = decoder->position + length + 4;
    if (length <= rest) return;
    if (memcmp(out + 4, "IDAT", 4) == 0) {
        // libpng asks for thousands of a chunk's bytes at once. It is told what is there: that may be
        // all the pixels, or wanted as it is.
        png_save_uint_32(out, (png_uint_32)rest);
    } else {
        // It would take memory for all that the chunk says it has.
        decoder->truncated = 1;
        png_error(png, "a chunk goes on after the end of the file");
    }
}

static void fail(png_structp png, png_const_charp text) {
    clip_picture *picture = png_get_error_ptr(png);
    snprintf(picture->message, sizeof picture->message, "%s", text);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

static void read_orientation(png_structp png, png_infop info, clip_picture *out) {
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 count = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(png, info, &count, &exif)) {
        out->orientation = clip_exif_orientation(exif, count);
    }
#else
    (void)png, (void)info, (void)out;
#endif
}

static clip_picture_kind kind_of(png_structp png, png_infop info) {
    int colours = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    if (colours & PNG_COLOR_MASK_PALETTE) return CLIP_PICTURE_INDEXED;
    if (colours & PNG_COLOR_MASK_ALPHA) return CLIP_PICTURE_RGBA;
    if (colours == PNG_COLOR_TYPE_GRAY && depth == 1) return CLIP_PICTURE_INDEXED;
    if (colours == PNG_COLOR_TYPE_GRAY && depth == 16) return CLIP_PICTURE_GREY16;
    return CLIP_PICTURE_RGB;
}

static clip_picture_status decode(png_decoder *decoder, const clip_picture_options *options) {
    png_structp png = decoder->png;
    png_infop info = decoder->info;
    clip_picture *out = decoder->picture;
    if (setjmp(png_jmpbuf(png))) {
        if (!decoder->truncated) return CLIP_PICTURE_DAMAGED;
        return decoder->rows && options->allow_truncated ? CLIP_PICTURE_OK : CLIP_PICTURE_TRUNCATED;
    }
    png_set_read_fn(png, decoder, read_bytes);
    // The limit on pixels is ours; libpng's own, on each side, would refuse long thin pictures.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_read_info(png, info);
    // From here on only zlib's own check counts, as for Pillow.
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);

    clip_picture_kind kind = kind_of(png, info);
    // A colour named as transparent is no alpha: Pillow resizes such a picture as if it were opaque.
    bool has_mask = (kind == CLIP_PICTURE_RGB || kind == CLIP_PICTURE_INDEXED) &&
                    png_get_valid(png, info, PNG_INFO_tRNS);
    clip_picture_status status =
        clip_picture_allocate(out, png_get_image_width(png, info), png_get_image_height(png, info),
                              kind, has_mask, options);
    if (status != CLIP_PICTURE_OK) return status;

    png_set_expand(png);  // palettes and fewer than 8 bits to 8-bit samples
    if (kind != CLIP_PICTURE_GREY16) {
        png_set_strip_16(png);  // the high byte, as Pillow takes it
        png_set_gray_to_rgb(png);
    }
    if (kind != CLIP_PICTURE_RGBA && !has_mask) png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);

    decoder->rows = malloc(sizeof(png_bytep) * out->height);
    if (!decoder->rows) return CLIP_PICTURE_OUT_OF_MEMORY;
    size_t stride = (size_t)out->width * (size_t)clip_picture_pixel_size(out);
    if (png_get_rowbytes(png, info) != stride) png_error(png, "rows of an unexpected size");
    for (uint32_t y = 0; y < out->height; y++) decoder->rows[y] = out->pixels + y * stride;
    png_read_image(png, decoder->rows);
    read_orientation(png, info, out);
    // The picture is whole. What follows may hold EXIF, and may be damaged or missing, as for Pillow.
    if (setjmp(png_jmpbuf(png))) return CLIP_PICTURE_OK;
    png_read_end(png, info);
    read_orientation(png, info, out);
    return CLIP_PICTURE_OK;
}

clip_picture_status clip_decode_png(const uint8_t *bytes, size_t count,
                                    const clip_picture_options *options, clip_picture *out) {
    png_decoder decoder = {.bytes = bytes, .count = count, .next_chunk = 8, .picture = out};
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, out, fail, ignore_warning);
    if (decoder.png) decoder.info = png_create_info_struct(decoder.png);
    clip_picture_status status =
        decoder.info ? decode(&decoder, options) : CLIP_PICTURE_OUT_OF_MEMORY;
    free(decoder.rows);
    if (decoder.png) png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
    return status;
}
