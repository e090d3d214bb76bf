#include "codecs.h"

#include <stdlib.h>
#include <string.h>

clip_picture_status clip_picture_allocate(clip_picture *out, uint32_t width, uint32_t height,
                                          int channels, uint64_t max_pixels) {
    out->width = width;
    out->height = height;
    out->channels = channels;
    uint64_t count = (uint64_t)width * height;
    if (count > max_pixels) return CLIP_PICTURE_TOO_LARGE;
    if (count > SIZE_MAX / 4) return CLIP_PICTURE_OUT_OF_MEMORY;
    out->pixels = malloc((size_t)count * (size_t)channels);
    return out->pixels ? CLIP_PICTURE_OK : CLIP_PICTURE_OUT_OF_MEMORY;
}

void clip_picture_free(clip_picture *picture) {
    free(picture->pixels);
    picture->pixels = NULL;
}

clip_picture_status clip_picture_decode(const uint8_t *bytes, size_t count, uint64_t max_pixels,
                                        clip_picture *out) {
    memset(out, 0, sizeof *out);
    out->orientation = 1;

    clip_picture_status status = CLIP_PICTURE_UNKNOWN;
    if (count >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) {
        status = clip_decode_jpeg(bytes, count, max_pixels, out);
    } else if (count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0) {
        status = clip_decode_png(bytes, count, max_pixels, out);
    } else if (count >= 12 && memcmp(bytes, "RIFF", 4) == 0 &&
               memcmp(bytes + 8, "WEBP", 4) == 0) {
        status = clip_decode_webp(bytes, count, max_pixels, out);
    }
    if (status != CLIP_PICTURE_OK) clip_picture_free(out);
    return status;
}
