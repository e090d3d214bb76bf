#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

// The number of blocks, of 64 samples of one component, above which an image may have
// proportionally fewer scans. A scan takes about 6 ns per block.
enum { MANY_BLOCKS = 1 << 20 };

// The state of a decoder. It is not in local variables, because longjmp leaves those undefined.
typedef struct {
    struct jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
    jmp_buf escape;
    struct jpeg_decompress_struct info;
    struct jpeg_progress_mgr progress;
    int truncated, allow_truncated, unsupported, out_of_memory, has_all_rows, has_too_many_scans;
    uint32_t max_scans;
    clip_image *image;
} jpeg_decoder;

static void fail(j_common_ptr info) {
    jpeg_decoder *decoder = (jpeg_decoder *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    // A JPEG of a kind that libjpeg does not decode is unsupported, not damaged.
    int code = info->err->msg_code, value = info->err->msg_parm.i[0];
    decoder->out_of_memory = code == JERR_OUT_OF_MEMORY;
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
    snprintf(decoder->image->message, sizeof decoder->image->message, "%s", text);
    longjmp(decoder->escape, 1);
}

// Handles libjpeg's warnings. After the end of the data libjpeg continues and fills the rest with
// grey. Pillow refuses such a file, and so does this decoder unless allow_truncated is set. Both
// ignore the other warnings. After the last row only the end marker can be missing, as in files
// that were recovered from a memory card; that is accepted.
static void warn(j_common_ptr info, int level) {
    jpeg_decoder *decoder = (jpeg_decoder *)info->err;
    if (level >= 0) return;
    info->err->num_warnings++;
    if (info->err->msg_code == JWRN_JPEG_EOF && !decoder->allow_truncated &&
        !decoder->has_all_rows) {
        decoder->truncated = 1;
        longjmp(decoder->escape, 1);
    }
}

// Stops at the limit on scans; libjpeg calls it repeatedly while it reads scans. A progressive JPEG
// of a few hundred kilobytes can have thousands of scans, each of which takes as long as a whole
// image.
static void stop_at_too_many_scans(j_common_ptr common) {
    jpeg_decoder *decoder = (jpeg_decoder *)common->err;
    if ((uint32_t)decoder->info.input_scan_number <= decoder->max_scans) return;
    decoder->has_too_many_scans = 1;
    longjmp(decoder->escape, 1);
}

// Returns true if the file has more scans than `limit`. It counts their markers, so that such a
// file is refused before anything is decoded.
static bool has_more_scans(const uint8_t *bytes, size_t count, uint32_t limit) {
    uint32_t scans = 0;
    for (size_t i = 2; i + 1 < count;) {
        const uint8_t *mark = memchr(bytes + i, 0xFF, count - i - 1);
        if (!mark) return false;
        uint8_t type = mark[1];
        i = (size_t)(mark - bytes) + 1;
        // Skip fill bytes, escaped 0xFF bytes of the data, and markers without a length.
        if (type == 0xFF || type == 0 || type == 1 || (type >= 0xD0 && type <= 0xD8)) continue;
        if (type == 0xD9) return false;
        if (type == 0xDA && ++scans > limit) return true;
        if (i + 2 < count) i += 1 + ((size_t)bytes[i + 1] << 8 | bytes[i + 2]);
    }
    return false;
}

static bool begins_with(jpeg_saved_marker_ptr m, const char *text, size_t length) {
    return m->marker == JPEG_APP0 + 1 && m->data_length > length &&
           memcmp(m->data, text, length) == 0;
}

// Reads the orientation as Pillow does: from the first EXIF block or, if that has none, the last
// XMP packet.
static void read_orientation(const struct jpeg_decompress_struct *info, clip_image *out) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    int exif_orientation = -1, xmp_orientation = 0;
    for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next) {
        if (exif_orientation < 0 && begins_with(m, "Exif\0\0", 6)) {
            exif_orientation = clip_exif_orientation(m->data + 6, m->data_length - 6);
        } else if (begins_with(m, xmp, sizeof xmp)) {
            xmp_orientation =
                clip_xmp_orientation(m->data + sizeof xmp, m->data_length - sizeof xmp);
        }
    }
    out->orientation = exif_orientation > 0 ? exif_orientation : xmp_orientation;
}

// Returns the number of bytes of the coefficients, which libjpeg keeps in memory if there are
// several scans: two bytes each, in whole blocks.
static uint64_t coefficient_memory(struct jpeg_decompress_struct *info) {
    if (!jpeg_has_multiple_scans(info)) return 0;
    uint64_t blocks = 0;
    for (int i = 0; i < info->num_components; i++) {
        const jpeg_component_info *c = info->comp_info + i;
        uint64_t width = c->width_in_blocks, height = c->height_in_blocks;
        uint64_t across = (uint64_t)c->h_samp_factor, down = (uint64_t)c->v_samp_factor;
        width = (width + across - 1) / across * across;
        height = (height + down - 1) / down * down;
        blocks += width * height;
    }
    return blocks * sizeof(JBLOCK);
}

// Chooses the smallest scale, of 1, 1/2, 1/4 and 1/8, that leaves the shorter side at least
// `smallest_side` long.
static void choose_scale(struct jpeg_decompress_struct *info, uint32_t smallest_side) {
    uint32_t side = info->image_width < info->image_height ? info->image_width : info->image_height;
    info->scale_num = info->scale_denom = 8;
    while (smallest_side > 0 && info->scale_num > 1 &&
           (uint64_t)side * (info->scale_num / 2) / 8 >= smallest_side) {
        info->scale_num /= 2;
    }
}

static clip_image_layout layout_of(struct jpeg_decompress_struct *info) {
    clip_image_layout layout = {
        .width = info->output_width, .height = info->output_height, .kind = CLIP_IMAGE_RGB,
        .channels = info->out_color_components,
    };
    if (info->out_color_space == JCS_CMYK) layout.kind = CLIP_IMAGE_CMYK;
    // A few rows of every component, and tables.
    layout.working_memory = 64 * (uint64_t)info->image_width + (1 << 20);
    layout.working_memory += coefficient_memory(info);
    return layout;
}

static clip_image_status decode(jpeg_decoder *decoder, const uint8_t *bytes, size_t count,
                                  const clip_image_options *options) {
    struct jpeg_decompress_struct *info = &decoder->info;
    clip_image *out = decoder->image;
    if (setjmp(decoder->escape)) {
        if (decoder->has_too_many_scans) return CLIP_IMAGE_TOO_MANY_SCANS;
        if (decoder->out_of_memory) return CLIP_IMAGE_OUT_OF_MEMORY;
        if (decoder->unsupported) return CLIP_IMAGE_UNSUPPORTED;
        return decoder->truncated ? CLIP_IMAGE_TRUNCATED : CLIP_IMAGE_DAMAGED;
    }
    jpeg_create_decompress(info);
    info->progress = &decoder->progress;
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_mem_src(info, bytes, (unsigned long)count);
    jpeg_read_header(info, TRUE);
    read_orientation(info, out);

    bool is_cmyk = info->num_components == 4;
    bool is_grey = info->jpeg_color_space == JCS_GRAYSCALE;
    info->out_color_space = is_cmyk ? JCS_CMYK : is_grey ? JCS_GRAYSCALE : JCS_RGB;
    info->dct_method = JDCT_ISLOW;
    info->do_fancy_upsampling = TRUE;
    choose_scale(info, options->smallest_side);
    jpeg_calc_output_dimensions(info);
    clip_image_layout layout = layout_of(info);
    uint64_t blocks = coefficient_memory(info) / sizeof(JBLOCK);
    if (blocks > MANY_BLOCKS) {
        decoder->max_scans = (uint32_t)(options->max_scans * (uint64_t)MANY_BLOCKS / blocks);
    }
    out->allowed_scans = decoder->max_scans;
    if ((uint64_t)layout.width * layout.height <= options->max_pixels &&
        jpeg_has_multiple_scans(info) && has_more_scans(bytes, count, decoder->max_scans)) {
        return CLIP_IMAGE_TOO_MANY_SCANS;
    }
    clip_image_status status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;

    jpeg_start_decompress(info);
    size_t stride = (size_t)out->width * (size_t)out->channels;
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = out->pixels + info->output_scanline * stride;
        jpeg_read_scanlines(info, &row, 1);
        // Adobe's files store inverted ink. Pillow treats all CMYK files so.
        if (is_cmyk) {
            for (size_t i = 0; i < stride; i++) row[i] = 255 - row[i];
        }
    }
    decoder->has_all_rows = 1;
    jpeg_finish_decompress(info);
    return CLIP_IMAGE_OK;
}

clip_image_status clip_decode_jpeg(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out) {
    jpeg_decoder decoder = {.image = out,
                            .allow_truncated = options->allow_truncated,
                            .max_scans = options->max_scans,
                            .progress.progress_monitor = stop_at_too_many_scans};
    decoder.info.err = jpeg_std_error(&decoder.manager);
    decoder.manager.error_exit = fail;
    decoder.manager.emit_message = warn;
    clip_image_status status = decode(&decoder, bytes, count, options);
    jpeg_destroy_decompress(&decoder.info);
    if (status == CLIP_IMAGE_OK && options->reads_profile) {
        clip_jpeg_read_profile(bytes, count, out);
    }
    return status;
}
