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
    int truncated, allow_truncated, unsupported;
    clip_picture *picture;
} jpeg_decoder;

static void fail(j_common_ptr info) {
    jpeg_decoder *decoder = (jpeg_decoder *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    // A kind of JPEG that libjpeg does not decode is not damaged.
    int code = info->err->msg_code, value = info->err->msg_parm.i[0];
    decoder->unsupported = 1;
    if (code == JERR_SOF_UNSUPPORTED) {
        snprintf(text, sizeof text, "lossless or hierarchical JPEG (SOF type 0x%02x)", value);
    } else if (code == JERR_BAD_PRECISION) {
        snprintf(text, sizeof text, "JPEG of %d bits", value);
    } else if (code == JERR_ARITH_NOTIMPL) {
        snprintf(text, sizeof text, "JPEG with arithmetic coding");
    } else {
        decoder->unsupported = 0;
    }
    snprintf(decoder->picture->message, sizeof decoder->picture->message, "%s", text);
    longjmp(decoder->escape, 1);
}

// libjpeg goes on after the end of the data and paints the rest grey. Pillow refuses such a file,
// and so do we unless it is asked for; its other warnings are survivable in both.
static void warn(j_common_ptr info, int level) {
    jpeg_decoder *decoder = (jpeg_decoder *)info->err;
    if (level >= 0) return;
    info->err->num_warnings++;
    if (info->err->msg_code == JWRN_JPEG_EOF && !decoder->allow_truncated) {
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

// The scaled decoding that is fastest and leaves enough of the picture.
static void choose_scale(struct jpeg_decompress_struct *info, uint32_t smallest_side) {
    uint32_t side = info->image_width < info->image_height ? info->image_width : info->image_height;
    info->scale_num = info->scale_denom = 8;
    while (smallest_side > 0 && info->scale_num > 1 &&
           (uint64_t)side * (info->scale_num / 2) / 8 >= smallest_side) {
        info->scale_num /= 2;
    }
}

static clip_picture_status decode(jpeg_decoder *decoder, const uint8_t *bytes, size_t count,
                                  const clip_picture_options *options) {
    struct jpeg_decompress_struct *info = &decoder->info;
    clip_picture *out = decoder->picture;
    if (setjmp(decoder->escape)) {
        if (decoder->unsupported) return CLIP_PICTURE_UNSUPPORTED;
        return decoder->truncated ? CLIP_PICTURE_TRUNCATED : CLIP_PICTURE_DAMAGED;
    }
    jpeg_create_decompress(info);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_mem_src(info, bytes, (unsigned long)count);
    jpeg_read_header(info, TRUE);
    read_orientation(info, out);

    int is_cmyk = info->num_components == 4;
    info->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    info->dct_method = JDCT_ISLOW;
    info->do_fancy_upsampling = TRUE;
    choose_scale(info, options->smallest_side);
    jpeg_calc_output_dimensions(info);
    clip_picture_status status =
        clip_picture_allocate(out, info->output_width, info->output_height,
                              is_cmyk ? CLIP_PICTURE_CMYK : CLIP_PICTURE_RGB, false, options);
    if (status != CLIP_PICTURE_OK) return status;

    jpeg_start_decompress(info);
    size_t stride = (size_t)out->width * (size_t)clip_picture_pixel_size(out);
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = out->pixels + info->output_scanline * stride;
        jpeg_read_scanlines(info, &row, 1);
        // Adobe's files hold inverted ink, and Pillow takes all for Adobe's.
        if (is_cmyk) {
            for (size_t i = 0; i < stride; i++) row[i] = 255 - row[i];
        }
    }
    jpeg_finish_decompress(info);
    return CLIP_PICTURE_OK;
}

clip_picture_status clip_decode_jpeg(const uint8_t *bytes, size_t count,
                                     const clip_picture_options *options, clip_picture *out) {
    jpeg_decoder decoder = {.picture = out, .allow_truncated = options->allow_truncated};
    decoder.info.err = jpeg_std_error(&decoder.manager);
    decoder.manager.error_exit = fail;
    decoder.manager.emit_message = warn;
    clip_picture_status status = decode(&decoder, bytes, count, options);
    jpeg_destroy_decompress(&decoder.info);
    return status;
}
