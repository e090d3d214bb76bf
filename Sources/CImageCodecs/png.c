#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

// All that a decoder changes lies here and not in local variables, which a longjmp leaves undefined.
typedef struct {
    const uint8_t *bytes;
    size_t count, position;
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
    decoder->position += n;
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

static clip_picture_status decode(png_decoder *decoder, uint64_t max_pixels) {
    png_structp png = decoder->png;
    png_infop info = decoder->info;
    clip_picture *out = decoder->picture;
    if (setjmp(png_jmpbuf(png))) {
        return decoder->truncated ? CLIP_PICTURE_TRUNCATED : CLIP_PICTURE_DAMAGED;
    }
    png_set_read_fn(png, decoder, read_bytes);
    // The limit on pixels is ours; libpng's own, on each side, would refuse long thin pictures.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_read_info(png, info);

    int colours = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    if (colours & PNG_COLOR_MASK_PALETTE) out->special_kind = "palette";
    if (colours == PNG_COLOR_TYPE_GRAY && depth == 1) out->special_kind = "1-bit";
    if (colours == PNG_COLOR_TYPE_GRAY && depth == 16) out->special_kind = "16-bit greyscale";
    // A colour named as transparent is no alpha: Pillow resizes such a picture as if it were opaque.
    int has_alpha = (colours & PNG_COLOR_MASK_ALPHA) != 0;
    clip_picture_status status =
        clip_picture_allocate(out, png_get_image_width(png, info), png_get_image_height(png, info),
                              has_alpha ? 4 : 3, max_pixels);
    if (status != CLIP_PICTURE_OK) return status;

    png_set_expand(png);    // palettes and fewer than 8 bits to 8-bit samples
    png_set_strip_16(png);  // the high byte, as Pillow takes it
    if (!has_alpha) png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);

    decoder->rows = malloc(sizeof(png_bytep) * out->height);
    if (!decoder->rows) return CLIP_PICTURE_OUT_OF_MEMORY;
    size_t stride = (size_t)out->width * (size_t)out->channels;
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

clip_picture_status clip_decode_png(const uint8_t *bytes, size_t count, uint64_t max_pixels,
                                    clip_picture *out) {
    png_decoder decoder = {.bytes = bytes, .count = count, .picture = out};
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, out, fail, ignore_warning);
    if (decoder.png) decoder.info = png_create_info_struct(decoder.png);
    clip_picture_status status =
        decoder.info ? decode(&decoder, max_pixels) : CLIP_PICTURE_OUT_OF_MEMORY;
    free(decoder.rows);
    if (decoder.png) png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
    return status;
}
