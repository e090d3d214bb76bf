#include "codecs.h"

#include <stdlib.h>
#include <string.h>

int clip_picture_pixel_size(const clip_picture *picture) {
    switch (picture->kind) {
    case CLIP_PICTURE_RGB:
    case CLIP_PICTURE_INDEXED: return picture->has_mask ? 4 : 3;
    case CLIP_PICTURE_RGBA:
    case CLIP_PICTURE_CMYK: return 4;
    case CLIP_PICTURE_GREY16: return 2;
    }
    return 0;
}

clip_picture_status clip_picture_allocate(clip_picture *out, uint32_t width, uint32_t height,
                                          clip_picture_kind kind, bool has_mask,
                                          const clip_picture_options *options) {
    out->width = width;
    out->height = height;
    out->kind = kind;
    out->has_mask = has_mask;
    uint64_t count = (uint64_t)width * height;
    if (count > options->max_pixels) return CLIP_PICTURE_TOO_LARGE;
    if (count > SIZE_MAX / 4) return CLIP_PICTURE_OUT_OF_MEMORY;
    out->pixels = calloc((size_t)count, (size_t)clip_picture_pixel_size(out));
    return out->pixels ? CLIP_PICTURE_OK : CLIP_PICTURE_OUT_OF_MEMORY;
}

void clip_picture_free(clip_picture *picture) {
    free(picture->pixels);
    picture->pixels = NULL;
}

typedef clip_picture_status (*decoder)(const uint8_t *bytes, size_t count,
                                       const clip_picture_options *options, clip_picture *out);

static decoder decoder_for(const uint8_t *bytes, size_t count) {
    if (count >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) return clip_decode_jpeg;
    if (count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0) return clip_decode_png;
    if (count >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        return clip_decode_webp;
    }
    return NULL;
}

bool clip_picture_recognized(const uint8_t *bytes, size_t count) {
    return decoder_for(bytes, count) != NULL;
}

clip_picture_status clip_picture_decode(const uint8_t *bytes, size_t count,
                                        const clip_picture_options *options, clip_picture *out) {
    memset(out, 0, sizeof *out);
    out->orientation = 1;

    decoder decode = decoder_for(bytes, count);
    clip_picture_status status =
        decode ? decode(bytes, count, options, out) : CLIP_PICTURE_UNKNOWN;
    if (status != CLIP_PICTURE_OK) clip_picture_free(out);
    return status;
}
