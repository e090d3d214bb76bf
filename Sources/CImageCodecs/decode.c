#include "codecs.h"

#include <stdlib.h>
#include <string.h>

clip_image_status clip_image_allocate(clip_image *out, const clip_image_layout *layout,
                                          const clip_image_options *options) {
    out->width = layout->width;
    out->height = layout->height;
    out->kind = layout->kind;
    out->channels = layout->channels;
    out->has_mask = layout->has_mask;
    uint64_t count = (uint64_t)out->width * out->height;
    if (count > options->max_pixels) return CLIP_IMAGE_TOO_LARGE;
    if (count > SIZE_MAX / 4) return CLIP_IMAGE_OUT_OF_MEMORY;

    uint64_t bytes = count * (uint64_t)out->channels;
    out->needed_memory = bytes + layout->working_memory;
    if (out->needed_memory > options->memory_limit) return CLIP_IMAGE_OVER_MEMORY;
    clip_memory_acquire(out->needed_memory, options->memory_limit, !options->holds_memory);
    out->reserved_memory = out->needed_memory;
    out->pixels = calloc((size_t)count, (size_t)out->channels);
    return out->pixels ? CLIP_IMAGE_OK : CLIP_IMAGE_OUT_OF_MEMORY;
}

void clip_image_free(clip_image *image) {
    free(image->pixels);
    free(image->profile);
    image->pixels = NULL;
    image->profile = NULL;
    image->profile_count = 0;
}

// Releases reserved image memory above `bytes`.
static void keep(clip_image *image, uint64_t bytes) {
    if (image->reserved_memory <= bytes) return;
    clip_memory_release(image->reserved_memory - bytes);
    image->reserved_memory = bytes;
}

typedef clip_image_status (*decoder)(const uint8_t *bytes, size_t count,
                                       const clip_image_options *options, clip_image *out);

// Returns the decoder for the signature of a file; NULL if it is unknown.
static decoder decoder_for(const uint8_t *bytes, size_t count) {
    if (count >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) return clip_decode_jpeg;
    if (count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0) return clip_decode_png;
    if (count >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        return clip_decode_webp;
    }
    if (count >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0)) {
        return clip_decode_gif;
    }
    if (clip_is_bmp(bytes, count)) return clip_decode_bmp;
    if (clip_is_raw(bytes, count)) return clip_decode_raw;  // before TIFF, which many RAW files are
    if (clip_is_heif(bytes, count)) return clip_decode_heif;
    if (clip_is_tiff(bytes, count)) return clip_decode_tiff;
    if (clip_is_jxl(bytes, count)) return clip_decode_jxl;
    return NULL;
}

bool clip_image_recognized(const uint8_t *bytes, size_t count) {
    // Only the whole file tells whether a TIFF file is RAW.
    if (count >= 4 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0)) {
        return true;
    }
    return decoder_for(bytes, count) != NULL;
}

clip_image_status clip_image_decode(const uint8_t *bytes, size_t count,
                                        const clip_image_options *options, clip_image *out) {
    memset(out, 0, sizeof *out);
    out->orientation = 1;

    decoder decode = decoder_for(bytes, count);
    clip_image_status status =
        decode ? decode(bytes, count, options, out) : CLIP_IMAGE_UNKNOWN;
    if (out->orientation == 0) out->orientation = 1;
    if (status == CLIP_IMAGE_OK) {
        if (options->reads_profile) clip_image_convert_to_srgb(out);
        free(out->profile);
        out->profile = NULL;
        out->profile_count = 0;
        keep(out, (uint64_t)out->width * out->height * (uint64_t)out->channels);
    } else {
        clip_image_free(out);
        keep(out, 0);
    }
    return status;
}
