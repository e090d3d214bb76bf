#include "codecs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MARK: libheif, loaded at run time

// The part of libheif's interface that is used. It has been stable since 1.15; later versions add
// members at the end of structures.
typedef struct heif_context heif_context;
typedef struct heif_handle heif_handle;
typedef struct heif_pixels heif_pixels;

typedef struct {
    int code, subcode;
    const char *message;
} heif_status;

enum {
    STATUS_UNSUPPORTED_FILE = 3, STATUS_UNSUPPORTED_FEATURE = 4, STATUS_NO_MEMORY = 6,
    SUBSTATUS_END_OF_DATA = 100, SUBSTATUS_LIMIT_EXCEEDED = 1000,
    SPACE_RGB = 1, SPACE_GREY = 2, CHROMA_GREY = 0, CHROMA_RGB = 10, CHROMA_RGBA = 11,
    CHANNEL_LUMA = 0, CHANNEL_INTERLEAVED = 10,
};

// The beginning of the options of decoding, which libheif allocates.
typedef struct {
    uint8_t version, ignores_transformations;
    void *progress[4];
    uint8_t reduces_to_8_bits;  // since version 2 of the structure
} heif_options;

static struct {
    bool is_there;
    const char *(*get_version)(void);
    uint32_t (*get_version_number)(void);
    heif_status (*init)(void *);  // since 1.13
    heif_context *(*context_alloc)(void);
    void (*context_free)(heif_context *);
    void (*context_set_max_decoding_threads)(heif_context *, int);  // since 1.13
    heif_status (*context_read_from_memory_without_copy)(heif_context *, const void *, size_t,
                                                         const void *);
    heif_status (*context_get_primary_image_handle)(heif_context *, heif_handle **);
    void (*image_handle_release)(const heif_handle *);
    int (*image_handle_get_width)(const heif_handle *);
    int (*image_handle_get_height)(const heif_handle *);
    int (*image_handle_get_ispe_width)(const heif_handle *);
    int (*image_handle_get_ispe_height)(const heif_handle *);
    int (*image_handle_has_alpha_channel)(const heif_handle *);
    int (*image_handle_is_premultiplied_alpha)(const heif_handle *);  // since 1.12
    int (*image_handle_get_luma_bits_per_pixel)(const heif_handle *);
    size_t (*image_handle_get_raw_color_profile_size)(const heif_handle *);
    heif_status (*image_handle_get_raw_color_profile)(const heif_handle *, void *);
    heif_options *(*decoding_options_alloc)(void);
    void (*decoding_options_free)(heif_options *);
    heif_status (*decode_image)(const heif_handle *, heif_pixels **, int, int,
                                const heif_options *);
    void (*image_release)(const heif_pixels *);
    int (*image_get_width)(const heif_pixels *, int);
    int (*image_get_height)(const heif_pixels *, int);
    int (*image_get_bits_per_pixel_range)(const heif_pixels *, int);
    const uint8_t *(*image_get_plane_readonly)(const heif_pixels *, int, int *);
} heif;

static void load(void) {
    static const char *const names[] = {
#if defined(__APPLE__)
        "libheif.1.dylib",
#else
        "libheif.so.1",
#endif
        NULL,
    };
    void *library = clip_open_library(names);
    if (!library) return;
    bool found = true;
#define FIND(name) found &= (*(void **)&heif.name = dlsym(library, "heif_" #name)) != NULL
    FIND(get_version);
    FIND(get_version_number);
    FIND(init);
    FIND(context_alloc);
    FIND(context_free);
    FIND(context_set_max_decoding_threads);
    FIND(context_read_from_memory_without_copy);
    FIND(context_get_primary_image_handle);
    FIND(image_handle_release);
    FIND(image_handle_get_width);
    FIND(image_handle_get_height);
    FIND(image_handle_get_ispe_width);
    FIND(image_handle_get_ispe_height);
    FIND(image_handle_has_alpha_channel);
    FIND(image_handle_is_premultiplied_alpha);
    FIND(image_handle_get_luma_bits_per_pixel);
    FIND(image_handle_get_raw_color_profile_size);
    FIND(image_handle_get_raw_color_profile);
    FIND(decoding_options_alloc);
    FIND(decoding_options_free);
    FIND(decode_image);
    FIND(image_release);
    FIND(image_get_width);
    FIND(image_get_height);
    FIND(image_get_bits_per_pixel_range);
    FIND(image_get_plane_readonly);
#undef FIND
    // The version has one byte each for major, minor and revision, below the highest byte.
    if (!found || heif.get_version_number() < 0x010F0000) return;
    // Registers the decoders, which are plugins since 1.16.
    heif.is_there = heif.init(NULL).code == 0;
}

static bool is_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return heif.is_there;
}

const char *clip_heif_version(void) { return is_available() ? heif.get_version() : NULL; }

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

bool clip_is_heif(const uint8_t *bytes, size_t count) {
    if (count < 12 || memcmp(bytes + 4, "ftyp", 4) != 0) return false;
    if (is_image_brand(bytes + 8)) return true;
    // Canon's RAW files name compatible brands of HEIF, too.
    if (memcmp(bytes + 8, "crx ", 4) == 0) return false;
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) size = size << 8 | bytes[i];
    if (size > count) size = count;
    for (size_t i = 16; i + 4 <= size; i += 4) {
        if (is_image_brand(bytes + i)) return true;
    }
    return false;
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
                 heif.get_version(), message);
        return CLIP_IMAGE_UNSUPPORTED;
    }
    snprintf(out->message, sizeof out->message, "%s", message);
    return CLIP_IMAGE_DAMAGED;
}

static void copy_profile(const heif_handle *handle, size_t file_size, clip_image *out) {
    size_t size = heif.image_handle_get_raw_color_profile_size(handle);
    if (size == 0 || size > file_size || size > CLIP_LARGEST_PROFILE) return;
    out->profile = malloc(size);
    if (!out->profile) return;
    if (heif.image_handle_get_raw_color_profile(handle, out->profile).code == 0) {
        out->profile_count = size;
    } else {
        free(out->profile);
        out->profile = NULL;
    }
}

static clip_image_status copy_pixels(const heif_pixels *decoded, clip_image *out) {
    int channel = CHANNEL_INTERLEAVED, stride = 0;
    const uint8_t *plane = heif.image_get_plane_readonly(decoded, channel, &stride);
    int width = heif.image_get_width(decoded, channel);
    int height = heif.image_get_height(decoded, channel);
    // libheif 1.15 states the size before a rotation if the file lists the rotation before the size.
    if (width == (int)out->height && height == (int)out->width) {
        out->width = (uint32_t)width;
        out->height = (uint32_t)height;
    }
    size_t row = (size_t)out->width * (size_t)out->channels;
    if (!plane || stride < 0 || (size_t)stride < row || width != (int)out->width ||
        height != (int)out->height ||
        heif.image_get_bits_per_pixel_range(decoded, channel) != 8) {
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

static clip_image_status decode_handle(const heif_handle *handle, const uint8_t *bytes,
                                       size_t count, bool is_av1,
                                       const clip_image_options *options, clip_image *out) {
    int width = heif.image_handle_get_width(handle), height = heif.image_handle_get_height(handle);
    if (width <= 0 || height <= 0) {
        snprintf(out->message, sizeof out->message, "its size is %d x %d", width, height);
        return CLIP_IMAGE_DAMAGED;
    }
    bool has_alpha = heif.image_handle_has_alpha_channel(handle);
    clip_image_layout layout = {
        .width = (uint32_t)width, .height = (uint32_t)height,
        .kind = has_alpha ? CLIP_IMAGE_RGBA : CLIP_IMAGE_RGB, .channels = has_alpha ? 4 : 3,
    };
    // A clean aperture makes the image smaller than the pixels that are decoded.
    int coded_width = heif.image_handle_get_ispe_width(handle);
    int coded_height = heif.image_handle_get_ispe_height(handle);
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
    bool is_deep = heif.image_handle_get_luma_bits_per_pixel(handle) > 8;
    uint64_t samples = has_alpha ? 4 : 3;
    layout.working_memory = coded * samples * (is_deep ? 3 : 2) * (is_av1 ? 2 : 1) + (16 << 20);
    status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;
    if (options->reads_profile) copy_profile(handle, count, out);

    heif_options *choices = heif.decoding_options_alloc();
    if (!choices) return CLIP_IMAGE_OUT_OF_MEMORY;
    choices->reduces_to_8_bits = 1;
    heif_pixels *decoded = NULL;
    heif_status outcome = heif.decode_image(handle, &decoded, SPACE_RGB,
                                            has_alpha ? CHROMA_RGBA : CHROMA_RGB, choices);
    heif.decoding_options_free(choices);
    status = outcome.code == 0 && decoded ? copy_pixels(decoded, out) : failure(outcome, out);
    if (decoded) heif.image_release(decoded);
    if (status == CLIP_IMAGE_OK && has_alpha && heif.image_handle_is_premultiplied_alpha(handle)) {
        clip_unpremultiply(out->pixels, (size_t)pixels, 4, false);
    }
    return status;
}

// Decodes the primary image. libheif applies its rotation, mirroring and clean aperture, which EXIF
// repeats, so that the orientation of EXIF is not read.
clip_image_status clip_decode_heif(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out) {
    const bool is_avif = memcmp(bytes + 8, "avi", 3) == 0;
    if (!is_available()) {
        snprintf(out->message, sizeof out->message,
                 "%s needs libheif 1.15 or later, which was not found (Debian: libheif1)",
                 is_avif ? "AVIF" : "HEIC");
        return CLIP_IMAGE_UNSUPPORTED;
    }
    heif_context *context = heif.context_alloc();
    if (!context) return CLIP_IMAGE_OUT_OF_MEMORY;
    // Images are decoded on several threads already.
    heif.context_set_max_decoding_threads(context, 0);
    heif_handle *handle = NULL;
    heif_status outcome = heif.context_read_from_memory_without_copy(context, bytes, count, NULL);
    if (outcome.code == 0) outcome = heif.context_get_primary_image_handle(context, &handle);
    clip_image_status status = outcome.code == 0 && handle
                                   ? decode_handle(handle, bytes, count, is_avif, options, out)
                                   : failure(outcome, out);
    if (handle) heif.image_handle_release(handle);
    heif.context_free(context);
    return status;
}
