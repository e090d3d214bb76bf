#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

// All that a decoder changes lies here and not in local variables, which a longjmp leaves undefined.
typedef struct {
    struct jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
    jmp_buf escape;
    struct jpeg_decompress_struct info;
    int truncated;
    uint8_t *cmyk;
    clip_picture *picture;
} jpeg_decoder;

static void fail(j_common_ptr info) {
    jpeg_decoder *decoder = (jpeg_decoder *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    snprintf(decoder->picture->message, sizeof decoder->picture->message, "%s", text);
    longjmp(decoder->escape, 1);
}

// libjpeg goes on after the end of the data and paints the rest grey. Pillow refuses such a file,
// and so do we; its other warnings are survivable in both.
static void warn(j_common_ptr info, int level) {
    jpeg_decoder *decoder = (jpeg_decoder *)info->err;
    if (level >= 0) return;
    info->err->num_warnings++;
    if (info->err->msg_code == JWRN_JPEG_EOF) {
        decoder->truncated = 1;
        longjmp(decoder->escape, 1);
    }
}

static void read_orientation(const struct jpeg_decompress_struct *info, clip_picture *out) {
    for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next) {
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 &&
            memcmp(m->data, "Exif\0\0", 6) == 0) {
            out->orientation = clip_exif_orientation(m->data + 6, m->data_length - 6);
            return;
        }
    }
}

// Adobe's files hold inverted CMYK. The conversion is Pillow's: no colour profile is applied.
static void cmyk_to_rgb(const uint8_t *cmyk, size_t n, int inverted, uint8_t *rgb) {
    for (size_t i = 0; i < n; i++, cmyk += 4, rgb += 3) {
        uint32_t white = inverted ? cmyk[3] : 255u - cmyk[3];
        for (int c = 0; c < 3; c++) {
            uint32_t ink = inverted ? 255u - cmyk[c] : cmyk[c];
            uint32_t product = ink * white + 128;
            int value = (int)white - (int)((product + (product >> 8)) >> 8);
            rgb[c] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static clip_picture_status decode(jpeg_decoder *decoder, const uint8_t *bytes, size_t count,
                                  uint64_t max_pixels) {
    struct jpeg_decompress_struct *info = &decoder->info;
    clip_picture *out = decoder->picture;
    if (setjmp(decoder->escape)) {
        return decoder->truncated ? CLIP_PICTURE_TRUNCATED : CLIP_PICTURE_DAMAGED;
    }
    jpeg_create_decompress(info);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_mem_src(info, bytes, (unsigned long)count);
    jpeg_read_header(info, TRUE);
    read_orientation(info, out);

    int is_cmyk = info->num_components == 4;
    if (is_cmyk) out->special_kind = "CMYK";
    info->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    info->dct_method = JDCT_ISLOW;
    info->do_fancy_upsampling = TRUE;
    clip_picture_status status =
        clip_picture_allocate(out, info->image_width, info->image_height, 3, max_pixels);
    if (status != CLIP_PICTURE_OK) return status;
    if (is_cmyk && !(decoder->cmyk = malloc((size_t)out->width * 4))) {
        return CLIP_PICTURE_OUT_OF_MEMORY;
    }

    jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height) {
        uint8_t *row = out->pixels + (size_t)info->output_scanline * out->width * 3;
        JSAMPROW target = is_cmyk ? decoder->cmyk : row;
        jpeg_read_scanlines(info, &target, 1);
        if (is_cmyk) cmyk_to_rgb(decoder->cmyk, out->width, info->saw_Adobe_marker, row);
    }
    jpeg_finish_decompress(info);
    return CLIP_PICTURE_OK;
}

clip_picture_status clip_decode_jpeg(const uint8_t *bytes, size_t count, uint64_t max_pixels,
                                     clip_picture *out) {
    jpeg_decoder decoder = {.picture = out};
    decoder.info.err = jpeg_std_error(&decoder.manager);
    decoder.manager.error_exit = fail;
    decoder.manager.emit_message = warn;
    clip_picture_status status = decode(&decoder, bytes, count, max_pixels);
    free(decoder.cmyk);
    jpeg_destroy_decompress(&decoder.info);
    return status;
}
