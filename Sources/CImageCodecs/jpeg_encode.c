#include "include/CImageCodecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
    jmp_buf escape;
    struct jpeg_compress_struct info;
    unsigned char *bytes;
    unsigned long count;
} jpeg_encoder;

static void fail(j_common_ptr info) { longjmp(((jpeg_encoder *)info->err)->escape, 1); }

// Encodes into memory that libjpeg allocates; false if that fails.
static bool encode(jpeg_encoder *encoder, const uint8_t *pixels, uint32_t width, uint32_t height,
                   int quality) {
    struct jpeg_compress_struct *info = &encoder->info;
    if (setjmp(encoder->escape)) return false;
    jpeg_create_compress(info);
    jpeg_mem_dest(info, &encoder->bytes, &encoder->count);
    info->image_width = width;
    info->image_height = height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    info->optimize_coding = TRUE;
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < height) {
        // The cast drops const; libjpeg only reads the row.
        JSAMPROW row = (JSAMPROW)pixels + (size_t)info->next_scanline * width * 3;
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
    return true;
}

uint8_t *clip_encode_jpeg(const uint8_t *pixels, uint32_t width, uint32_t height, int quality,
                          size_t *count) {
    jpeg_encoder encoder = {0};
    encoder.info.err = jpeg_std_error(&encoder.manager);
    encoder.manager.error_exit = fail;
    bool is_done = encode(&encoder, pixels, width, height, quality);
    jpeg_destroy_compress(&encoder.info);
    if (!is_done) {
        free(encoder.bytes);
        return NULL;
    }
    *count = encoder.count;
    return encoder.bytes;
}
