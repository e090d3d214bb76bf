#include "heif.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MARK: signature

// True if a file of this brand holds images that libheif may decode.
static bool is_image_brand(const uint8_t *brand) {
    static const char brands[][5] = {"heic", "heix", "hevc", "hevx", "heim", "heis", "hevm", "hevs",
                                     "mif1", "mif2", "msf1", "miaf", "avif", "avis"};
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++) {
        if (memcmp(brand, brands[i], 4) == 0) return true;
    }
    return false;
}

// True if a file of this brand has images of AV1.
static bool is_av1_brand(const uint8_t *brand) { return memcmp(brand, "avi", 3) == 0; }

// True if the file names a matching brand, as its own or as a compatible one.
static bool has_brand(const uint8_t *bytes, size_t count, bool (*matches)(const uint8_t *)) {
    if (matches(bytes + 8)) return true;
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) size = size << 8 | bytes[i];
    if (size > count) size = count;
    for (size_t i = 16; i + 4 <= size; i += 4) {
        if (matches(bytes + i)) return true;
    }
    return false;
}

bool clip_is_heif(const uint8_t *bytes, size_t count) {
    // Canon's RAW files name compatible brands of HEIF, too.
    return count >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0 &&
           memcmp(bytes + 8, "crx ", 4) != 0 && has_brand(bytes, count, is_image_brand);
}

// MARK: decoding

static clip_image_status failure(heif_status status, clip_image *out) {
    const char *message = status.message ? status.message : "libheif's error";
    if (status.code == STATUS_NO_MEMORY && status.subcode != SUBSTATUS_LIMIT_EXCEEDED) {
        return CLIP_IMAGE_OUT_OF_MEMORY;
    }
    if (status.subcode == SUBSTATUS_END_OF_DATA) return CLIP_IMAGE_TRUNCATED;
    if (status.code == STATUS_UNSUPPORTED_FILE || status.code == STATUS_UNSUPPORTED_FEATURE) {
        snprintf(out->message, sizeof out->message,
                 "HEIF that libheif %s does not decode: %s (if a decoder is missing, Debian: "
                 "libheif-plugin-libde265 for HEIC, libheif-plugin-dav1d for AVIF)",
                 clip_libheif.get_version(), message);
        return CLIP_IMAGE_UNSUPPORTED;
    }
    snprintf(out->message, sizeof out->message, "%s", message);
    return CLIP_IMAGE_DAMAGED;
}

static void copy_profile(const heif_handle *handle, size_t file_size, clip_image *out) {
    size_t size = clip_libheif.image_handle_get_raw_color_profile_size(handle);
    if (size == 0 || size > file_size || size > CLIP_LARGEST_PROFILE) return;
    out->profile = malloc(size);
    if (!out->profile) return;
    if (clip_libheif.image_handle_get_raw_color_profile(handle, out->profile).code == 0) {
        out->profile_count = size;
    } else {
        free(out->profile);
        out->profile = NULL;
    }
}

static clip_image_status copy_pixels(const heif_pixels *decoded, clip_image *out) {
    int channel = CHANNEL_INTERLEAVED, stride = 0;
    const uint8_t *plane = clip_libheif.image_get_plane_readonly(decoded, channel, &stride);
    int width = clip_libheif.image_get_width(decoded, channel);
    int height = clip_libheif.image_get_height(decoded, channel);
    // libheif 1.15 states the size before a rotation if the file lists the rotation before the
    // size.
    if (width == (int)out->height && height == (int)out->width) {
        out->width = (uint32_t)width;
        out->height = (uint32_t)height;
    }
    size_t row = (size_t)out->width * (size_t)out->channels;
    if (!plane || stride < 0 || (size_t)stride < row || width != (int)out->width ||
        height != (int)out->height ||
        clip_libheif.image_get_bits_per_pixel_range(decoded, channel) != 8) {
        snprintf(out->message, sizeof out->message,
                 "its pixels do not have the size that it states");
        return CLIP_IMAGE_DAMAGED;
    }
    for (size_t y = 0; y < out->height; y++) {
        memcpy(out->pixels + y * row, plane + y * (size_t)stride, row);
    }
    return CLIP_IMAGE_OK;
}

// Sets the number of pixels of the largest frame of the file's HEVC streams. They are refused if
// they are much larger than `coded` and than all images that the file states: the decoder allocates
// them, and libheif does not compare the sizes before. Streams may exceed their image a little, by
// the padding to whole coding blocks.
static clip_image_status check_streams(const uint8_t *bytes, size_t count, clip_stated_size coded,
                                       uint64_t *pixels, clip_image *out) {
    clip_stated_size largest, stream;
    clip_hevc_sizes(bytes, count, &largest, &stream);
    if (clip_stated_pixels(largest) < clip_stated_pixels(coded)) largest = coded;
    *pixels = clip_stated_pixels(stream);
    uint64_t columns = (uint64_t)largest.width + 64, rows = (uint64_t)largest.height + 64;
    if (*pixels / 2 <= (1 << 19) || (*pixels / 2 - (1 << 19)) / columns < rows) {
        return CLIP_IMAGE_OK;
    }
    snprintf(out->message, sizeof out->message,
             "its HEVC stream states %u x %u pixels, its header %u x %u", stream.width,
             stream.height, largest.width, largest.height);
    return CLIP_IMAGE_DAMAGED;
}

// Decodes to the colours that libheif makes.
static clip_image_status decode_colours(const heif_handle *handle, clip_image *out) {
    heif_options *choices = clip_libheif.decoding_options_alloc();
    if (!choices) return CLIP_IMAGE_OUT_OF_MEMORY;
    choices->reduces_to_8_bits = 1;
    heif_pixels *decoded = NULL;
    heif_status outcome = clip_libheif.decode_image(handle, &decoded, SPACE_RGB,
                                            out->channels == 4 ? CHROMA_RGBA : CHROMA_RGB, choices);
    clip_libheif.decoding_options_free(choices);
    clip_image_status status =
        outcome.code == 0 && decoded ? copy_pixels(decoded, out) : failure(outcome, out);
    if (decoded) clip_libheif.image_release(decoded);
    return status;
}

static clip_image_status decode_handle(const heif_handle *handle, const uint8_t *bytes,
                                       size_t count, bool is_av1,
                                       const clip_image_options *options, clip_image *out) {
    int width = clip_libheif.image_handle_get_width(handle);
    int height = clip_libheif.image_handle_get_height(handle);
    if (width <= 0 || height <= 0) {
        snprintf(out->message, sizeof out->message, "its size is %d x %d", width, height);
        return CLIP_IMAGE_DAMAGED;
    }
    bool has_alpha = clip_libheif.image_handle_has_alpha_channel(handle);
    clip_image_layout layout = {
        .width = (uint32_t)width, .height = (uint32_t)height,
        .kind = has_alpha ? CLIP_IMAGE_RGBA : CLIP_IMAGE_RGB, .channels = has_alpha ? 4 : 3,
    };
    // A clean aperture makes the image smaller than the pixels that are decoded.
    int coded_width = clip_libheif.image_handle_get_ispe_width(handle);
    int coded_height = clip_libheif.image_handle_get_ispe_height(handle);
    uint64_t pixels = (uint64_t)width * (uint64_t)height, coded = pixels;
    if (coded_width > 0 && coded_height > 0) coded = (uint64_t)coded_width * (uint64_t)coded_height;
    if (coded < pixels) coded = pixels;
    if (coded > options->max_pixels) {
        bool is_shown_too_large = pixels > options->max_pixels;
        out->width = is_shown_too_large ? layout.width : (uint32_t)coded_width;
        out->height = is_shown_too_large ? layout.height : (uint32_t)coded_height;
        return CLIP_IMAGE_TOO_LARGE;
    }
    clip_stated_size stated = {.width = layout.width, .height = layout.height};
    if (coded > pixels) {
        stated = (clip_stated_size){
            .width = (uint32_t)coded_width, .height = (uint32_t)coded_height};
    }
    uint64_t stream = 0;
    clip_image_status status = check_streams(bytes, count, stated, &stream, out);
    if (status != CLIP_IMAGE_OK) return status;
    // A stream may belong to another image of the file, but also to a part of this one.
    if (coded < stream) coded = stream;
    // The planes of the decoder, of two bytes per sample if there are more than 8 bits, and the
    // copies of libheif, the interleaved samples among them. The decoders of AV1 keep twice as
    // much, as measured with libheif 1.15.
    bool is_deep = clip_libheif.image_handle_get_luma_bits_per_pixel(handle) > 8;
    uint64_t samples = has_alpha ? 4 : 3;
    layout.working_memory = coded * samples * (is_deep ? 3 : 2) * (is_av1 ? 2 : 1) + (16 << 20);
    clip_heif_conversion own = {0};
    if (is_av1) own = clip_heif_choose(handle, bytes, count);
    if (own.applies) layout.working_memory += clip_heif_copy_size(count, &own.boxes);
    status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;
    if (options->reads_profile) copy_profile(handle, count, out);

    if (!own.applies || !clip_heif_decode_planes(bytes, count, &own, out)) {
        status = decode_colours(handle, out);
    }
    if (status == CLIP_IMAGE_OK && has_alpha &&
        clip_libheif.image_handle_is_premultiplied_alpha(handle)) {
        clip_unpremultiply(out->pixels, (size_t)pixels, 4, false);
    }
    return status;
}

// Decodes the primary image. libheif applies its rotation, mirroring and clean aperture, which EXIF
// repeats, so that the orientation of EXIF is not read.
clip_image_status clip_decode_heif(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out) {
    const bool is_avif = has_brand(bytes, count, is_av1_brand);
    if (!clip_heif_is_available()) {
        snprintf(out->message, sizeof out->message,
                 "%s needs libheif 1.15 or later, which was not found (Debian: libheif1)",
                 is_avif ? "AVIF" : "HEIC");
        return CLIP_IMAGE_UNSUPPORTED;
    }
    heif_context *context = clip_libheif.context_alloc();
    if (!context) return CLIP_IMAGE_OUT_OF_MEMORY;
    // Images are decoded on several threads already.
    clip_libheif.context_set_max_decoding_threads(context, 0);
    heif_handle *handle = NULL;
    heif_status outcome =
        clip_libheif.context_read_from_memory_without_copy(context, bytes, count, NULL);
    if (outcome.code == 0) {
        outcome = clip_libheif.context_get_primary_image_handle(context, &handle);
    }
    clip_image_status status = outcome.code == 0 && handle
                                   ? decode_handle(handle, bytes, count, is_avif, options, out)
                                   : failure(outcome, out);
    if (handle) clip_libheif.image_handle_release(handle);
    clip_libheif.context_free(context);
    return status;
}
