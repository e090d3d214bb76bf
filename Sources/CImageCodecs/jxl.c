#include "codecs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MARK: libjxl, loaded at run time

// The part of libjxl's interface that is used. It has been stable since 0.7, but for the functions
// of colour profiles, which have lost a parameter in 0.9.
typedef struct jxl_decoder jxl_decoder;

// The beginning of the basic information; libjxl's structure is 204 bytes long and ends with
// reserved bytes.
typedef struct {
    int has_container;
    uint32_t width, height, bits, exponent_bits;
    float intensity, darkest;
    int is_relative;
    float linear_below;
    int uses_original_profile, has_preview, has_animation, orientation;
    uint32_t colours, extra_channels, alpha_bits, alpha_exponent_bits;
    int is_premultiplied;
    uint8_t rest[512];
} jxl_info;

typedef struct {
    int type;
    uint8_t rest[512];
} jxl_extra_channel;

typedef struct {
    uint32_t channels;
    int type, order;
    size_t alignment;
} jxl_format;

// The beginning of a colour encoding.
typedef struct {
    int space, white;
    double white_point[2];
    int primaries;
    double points[6];
    int transfer;
    uint8_t rest[512];
} jxl_colours;

enum {
    STATUS_SUCCESS = 0, STATUS_ERROR = 1, STATUS_MORE_INPUT = 2, STATUS_IMAGE_BUFFER = 5,
    STATUS_BASIC_INFO = 0x40, STATUS_COLOURS = 0x100, STATUS_FULL_IMAGE = 0x1000,
    TYPE_BYTES = 2, OF_PIXELS = 1, BLACK_CHANNEL = 4,
    SPACE_GREY = 1, SPACE_RGB = 0, WHITE_D65 = 1, PRIMARIES_SRGB = 1, TRANSFER_SRGB = 13,
};

static struct {
    bool is_there, has_format_parameter;
    char version[32];
    uint32_t (*Version)(void);
    jxl_decoder *(*Create)(const void *);
    void (*Destroy)(jxl_decoder *);
    int (*SubscribeEvents)(jxl_decoder *, int);
    int (*SetUnpremultiplyAlpha)(jxl_decoder *, int);  // since 0.7
    int (*SetInput)(jxl_decoder *, const uint8_t *, size_t);
    int (*ProcessInput)(jxl_decoder *);
    int (*GetBasicInfo)(const jxl_decoder *, jxl_info *);
    int (*GetExtraChannelInfo)(const jxl_decoder *, size_t, jxl_extra_channel *);
    int (*ImageOutBufferSize)(const jxl_decoder *, const jxl_format *, size_t *);
    int (*SetImageOutBuffer)(jxl_decoder *, const jxl_format *, void *, size_t);
    // Functions of colour profiles, whose parameters depend on the version.
    void (*GetColorAsEncodedProfile)(void);
    void (*GetICCProfileSize)(void);
    void (*GetColorAsICCProfile)(void);
} jxl;

static void load(void) {
    static const char *const names[] = {
#if defined(__APPLE__)
        "libjxl.0.11.dylib", "libjxl.0.10.dylib", "libjxl.0.9.dylib", "libjxl.0.8.dylib",
        "libjxl.0.7.dylib", "libjxl.dylib",
#else
        "libjxl.so.0.11", "libjxl.so.0.10", "libjxl.so.0.9", "libjxl.so.0.8", "libjxl.so.0.7",
        "libjxl.so",
#endif
        NULL,
    };
    void *library = clip_open_library(names);
    if (!library) return;
    bool found = true;
#define FIND(name) found &= (*(void **)&jxl.name = dlsym(library, "JxlDecoder" #name)) != NULL
    FIND(Version);
    FIND(Create);
    FIND(Destroy);
    FIND(SubscribeEvents);
    FIND(SetUnpremultiplyAlpha);
    FIND(SetInput);
    FIND(ProcessInput);
    FIND(GetBasicInfo);
    FIND(GetExtraChannelInfo);
    FIND(ImageOutBufferSize);
    FIND(SetImageOutBuffer);
    FIND(GetColorAsEncodedProfile);
    FIND(GetICCProfileSize);
    FIND(GetColorAsICCProfile);
#undef FIND
    if (!found) return;
    // The version is major * 1,000,000 + minor * 1,000 + patch.
    uint32_t version = jxl.Version();
    jxl.has_format_parameter = version < 9000;
    snprintf(jxl.version, sizeof jxl.version, "%u.%u.%u", version / 1000000, version / 1000 % 1000,
             version % 1000);
    jxl.is_there = version >= 7000;
}

static bool is_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return jxl.is_there;
}

const char *clip_jxl_version(void) { return is_available() ? jxl.version : NULL; }

// Call libjxl's functions of colour profiles for the pixels that are decoded.
static bool get_colours(const jxl_decoder *decoder, jxl_colours *colours) {
    typedef int (*old)(const jxl_decoder *, const jxl_format *, int, jxl_colours *);
    typedef int (*new)(const jxl_decoder *, int, jxl_colours *);
    return (jxl.has_format_parameter
                ? ((old)jxl.GetColorAsEncodedProfile)(decoder, NULL, OF_PIXELS, colours)
                : ((new)jxl.GetColorAsEncodedProfile)(decoder, OF_PIXELS, colours)) ==
           STATUS_SUCCESS;
}

static bool get_profile_size(const jxl_decoder *decoder, size_t *size) {
    typedef int (*old)(const jxl_decoder *, const jxl_format *, int, size_t *);
    typedef int (*new)(const jxl_decoder *, int, size_t *);
    return (jxl.has_format_parameter
                ? ((old)jxl.GetICCProfileSize)(decoder, NULL, OF_PIXELS, size)
                : ((new)jxl.GetICCProfileSize)(decoder, OF_PIXELS, size)) == STATUS_SUCCESS;
}

static bool get_profile(const jxl_decoder *decoder, uint8_t *profile, size_t size) {
    typedef int (*old)(const jxl_decoder *, const jxl_format *, int, uint8_t *, size_t);
    typedef int (*new)(const jxl_decoder *, int, uint8_t *, size_t);
    return (jxl.has_format_parameter
                ? ((old)jxl.GetColorAsICCProfile)(decoder, NULL, OF_PIXELS, profile, size)
                : ((new)jxl.GetColorAsICCProfile)(decoder, OF_PIXELS, profile, size)) ==
           STATUS_SUCCESS;
}

// MARK: decoding

bool clip_is_jxl(const uint8_t *bytes, size_t count) {
    return (count >= 2 && memcmp(bytes, "\xFF\x0A", 2) == 0) ||
           (count >= 12 && memcmp(bytes, "\0\0\0\x0CJXL \r\n\x87\n", 12) == 0);
}

static clip_image_status prepare(jxl_decoder *decoder, const clip_image_options *options,
                                   clip_image *out) {
    jxl_info info;
    if (jxl.GetBasicInfo(decoder, &info) != STATUS_SUCCESS) return CLIP_IMAGE_DAMAGED;
    for (size_t i = 0; i < info.extra_channels; i++) {
        jxl_extra_channel channel;
        if (jxl.GetExtraChannelInfo(decoder, i, &channel) == STATUS_SUCCESS &&
            channel.type == BLACK_CHANNEL) {
            snprintf(out->message, sizeof out->message, "JPEG XL of CMYK");
            return CLIP_IMAGE_UNSUPPORTED;
        }
    }
    bool has_alpha = info.alpha_bits > 0;
    clip_image_layout layout = {
        .width = info.width, .height = info.height,
        .kind = has_alpha ? CLIP_IMAGE_RGBA : CLIP_IMAGE_RGB,
        .channels = (info.colours == 1 ? 1 : 3) + has_alpha,
    };
    // libjxl's planes have 4 bytes per sample. With extra channels, such as alpha, libjxl 0.7 keeps
    // three of each; without them it renders parts of the image at a time.
    uint64_t planes = info.extra_channels > 0 ? 3 * (3 + (uint64_t)info.extra_channels) : 3;
    layout.working_memory = (uint64_t)info.width * info.height * planes * 4 + (16 << 20);
    return clip_image_allocate(out, &layout, options);
}

// Copies the profile of the pixels, unless it is that of sRGB. Failing to do so is no error.
static void copy_profile(const jxl_decoder *decoder, size_t file_size, clip_image *out) {
    jxl_colours colours;
    if (get_colours(decoder, &colours) && colours.white == WHITE_D65 &&
        colours.transfer == TRANSFER_SRGB &&
        (colours.space == SPACE_GREY ||
         (colours.space == SPACE_RGB && colours.primaries == PRIMARIES_SRGB))) {
        return;
    }
    size_t size = 0;
    if (out->profile || !get_profile_size(decoder, &size) || size == 0) return;
    // A profile is compressed in the file, or made by libjxl from a few numbers.
    if (size > (64 << 10) && size / 64 > file_size) return;
    out->profile = malloc(size);
    if (!out->profile) return;
    if (get_profile(decoder, out->profile, size)) {
        out->profile_count = size;
    } else {
        free(out->profile);
        out->profile = NULL;
    }
}

// Decodes the first frame. libjxl applies the orientation.
static clip_image_status decode(jxl_decoder *decoder, size_t file_size,
                                  const clip_image_options *options, clip_image *out) {
    for (;;) {
        int event = jxl.ProcessInput(decoder);
        switch (event) {
        case STATUS_BASIC_INFO: {
            clip_image_status status = prepare(decoder, options, out);
            if (status != CLIP_IMAGE_OK) return status;
            break;
        }
        case STATUS_COLOURS:
            if (options->reads_profile) copy_profile(decoder, file_size, out);
            break;
        case STATUS_IMAGE_BUFFER: {
            jxl_format format = {.channels = (uint32_t)out->channels, .type = TYPE_BYTES};
            size_t size = 0, expected = (size_t)out->width * out->height * (size_t)out->channels;
            if (!out->pixels ||
                jxl.ImageOutBufferSize(decoder, &format, &size) != STATUS_SUCCESS ||
                size != expected ||
                jxl.SetImageOutBuffer(decoder, &format, out->pixels, size) != STATUS_SUCCESS) {
                return CLIP_IMAGE_DAMAGED;
            }
            break;
        }
        case STATUS_FULL_IMAGE: return CLIP_IMAGE_OK;
        case STATUS_MORE_INPUT: return CLIP_IMAGE_TRUNCATED;
        default: return CLIP_IMAGE_DAMAGED;
        }
    }
}

clip_image_status clip_decode_jxl(const uint8_t *bytes, size_t count,
                                    const clip_image_options *options, clip_image *out) {
    if (!is_available()) {
        snprintf(out->message, sizeof out->message,
                 "JPEG XL needs libjxl 0.7 or later, which was not found (Debian: libjxl0.7 or "
                 "libjxl0.11)");
        return CLIP_IMAGE_UNSUPPORTED;
    }
    jxl_decoder *decoder = jxl.Create(NULL);
    if (!decoder) return CLIP_IMAGE_OUT_OF_MEMORY;
    clip_image_status status = CLIP_IMAGE_DAMAGED;
    if (jxl.SubscribeEvents(decoder, STATUS_BASIC_INFO | STATUS_COLOURS | STATUS_FULL_IMAGE) ==
            STATUS_SUCCESS &&
        jxl.SetUnpremultiplyAlpha(decoder, 1) == STATUS_SUCCESS &&
        jxl.SetInput(decoder, bytes, count) == STATUS_SUCCESS) {
        status = decode(decoder, count, options, out);
    }
    if (status == CLIP_IMAGE_DAMAGED) {
        snprintf(out->message, sizeof out->message, "libjxl %s cannot decode it", jxl.version);
    }
    jxl.Destroy(decoder);
    return status;
}
