#include "codecs.h"

#include <stdlib.h>
#include <string.h>

clip_picture_status clip_picture_allocate(clip_picture *out, const clip_picture_layout *layout,
                                          const clip_picture_options *options) {
    out->width = layout->width;
    out->height = layout->height;
    out->kind = layout->kind;
    out->channels = layout->channels;
    out->has_mask = layout->has_mask;
    uint64_t count = (uint64_t)out->width * out->height;
    if (count > options->max_pixels) return CLIP_PICTURE_TOO_LARGE;
    if (count > SIZE_MAX / 4) return CLIP_PICTURE_OUT_OF_MEMORY;

    uint64_t bytes = count * (uint64_t)out->channels;
    out->needed_memory = bytes + layout->working_memory;
    if (out->needed_memory > options->memory_limit) return CLIP_PICTURE_OVER_MEMORY;
    clip_memory_acquire(out->needed_memory, options->memory_limit, !options->holds_memory);
    out->reserved_memory = out->needed_memory;
    out->pixels = calloc((size_t)count, (size_t)out->channels);
    return out->pixels ? CLIP_PICTURE_OK : CLIP_PICTURE_OUT_OF_MEMORY;
}

void clip_picture_free(clip_picture *picture) {
    free(picture->pixels);
    picture->pixels = NULL;
}

// Keeps only the share of image memory that is still needed.
static void keep(clip_picture *picture, uint64_t bytes) {
    if (picture->reserved_memory <= bytes) return;
    clip_memory_release(picture->reserved_memory - bytes);
    picture->reserved_memory = bytes;
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
    if (out->orientation == 0) out->orientation = 1;
    if (status == CLIP_PICTURE_OK) {
        keep(out, (uint64_t)out->width * out->height * (uint64_t)out->channels);
    } else {
        clip_picture_free(out);
        keep(out, 0);
    }
    return status;
}
