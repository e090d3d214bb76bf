#include "lcms.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs.h"

// MARK: the library, loaded at run time

typedef void *lcms_context;
typedef void *lcms_profile;
typedef void *lcms_handle;

// The parts of the interface of Little CMS 2 that are used. Its header is not needed to build.
static struct {
    bool is_there;
    int (*version)(void);
    lcms_context (*create_context)(void *plugin, void *user);
    void (*delete_context)(lcms_context);
    lcms_profile (*open_profile)(lcms_context, const void *bytes, uint32_t count);
    lcms_profile (*create_srgb)(lcms_context);
    int (*close_profile)(lcms_profile);
    uint32_t (*colour_space)(lcms_profile);
    uint32_t (*device_class)(lcms_profile);
    lcms_handle (*create_transform)(lcms_context, lcms_profile source, uint32_t source_format,
                                    lcms_profile target, uint32_t target_format, uint32_t intent,
                                    uint32_t flags);
    void (*do_transform)(lcms_handle, const void *source, void *target, uint32_t pixels);
    void (*delete_transform)(lcms_handle);
} lcms;

static void load(void) {
#if defined(__APPLE__)
    static const char *const names[] = {"liblcms2.2.dylib", NULL};
#else
    static const char *const names[] = {"liblcms2.so.2", NULL};
#endif
    void *library = clip_open_library(names);
    if (library == NULL) return;
    bool found = true;
#define FIND(member, symbol) found &= (*(void **)&lcms.member = dlsym(library, symbol)) != NULL
    FIND(version, "cmsGetEncodedCMMversion");
    FIND(create_context, "cmsCreateContext");
    FIND(delete_context, "cmsDeleteContext");
    FIND(open_profile, "cmsOpenProfileFromMemTHR");
    FIND(create_srgb, "cmsCreate_sRGBProfileTHR");
    FIND(close_profile, "cmsCloseProfile");
    FIND(colour_space, "cmsGetColorSpace");
    FIND(device_class, "cmsGetDeviceClass");
    FIND(create_transform, "cmsCreateTransformTHR");
    FIND(do_transform, "cmsDoTransform");
    FIND(delete_transform, "cmsDeleteTransform");
#undef FIND
    lcms.is_there = found;
}

bool lcms_is_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return lcms.is_there;
}

int clip_lcms_version(void) { return lcms_is_available() ? lcms.version() : 0; }

// MARK: profiles

// Four letters as Little CMS and profiles write them.
#define SIGNATURE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (c) << 8 | (d))

enum { HEADER_SIZE = 128, TAG_SIZE = 12 };

// Pixel formats of Little CMS: the colour space, the number of bytes that are skipped after the
// colours, the number of colours, and the bytes of a sample.
enum { GREY_SPACE = 3, RGB_SPACE = 4, CMYK_SPACE = 6 };
#define FORMAT(space, extra, channels) \
    ((uint32_t)(space) << 16 | (extra) << 7 | (channels) << 3 | 1)

// Pillow's default: the perceptual intent, without black point compensation. Without Little CMS's
// cache of the last pixel a transform can be used by several threads.
enum { PERCEPTUAL = 0, NO_CACHE = 0x0040 };

static uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// Returns true if a profile has tags of multi-process elements (D2B0, B2D0 and so on), which a few
// profiles of version 4 have in addition to tables. Each element may repeat the bytes of another,
// so that a small crafted profile could take hours; such profiles are ignored.
static bool has_elements(const uint8_t *profile, size_t count) {
    uint32_t tags = count >= HEADER_SIZE + 4 ? big32(profile + HEADER_SIZE) : 0;
    const uint8_t *tag = profile + HEADER_SIZE + 4;
    size_t rest = count >= HEADER_SIZE + 4 ? count - HEADER_SIZE - 4 : 0;
    for (; tags > 0 && rest >= TAG_SIZE; tags--, tag += TAG_SIZE, rest -= TAG_SIZE) {
        if (memcmp(tag, "D2B", 3) == 0 || memcmp(tag, "B2D", 3) == 0) return true;
    }
    return false;
}

struct lcms_transform {
    lcms_context context;
    lcms_handle handle;
};

// Returns true if a profile describes the colours of a device, and not links of devices, abstract
// changes or named colours.
static bool is_of_device(lcms_profile profile) {
    uint32_t class = lcms.device_class(profile);
    return class == SIGNATURE('s', 'c', 'n', 'r') || class == SIGNATURE('m', 'n', 't', 'r') ||
           class == SIGNATURE('p', 'r', 't', 'r') || class == SIGNATURE('s', 'p', 'a', 'c');
}

static lcms_handle handle_of(lcms_context context, lcms_profile profile, lcms_samples samples) {
    uint32_t space = 0, source = 0, target = FORMAT(RGB_SPACE, 0, 3);
    switch (samples) {
    case LCMS_GREY:
        space = SIGNATURE('G', 'R', 'A', 'Y');
        source = FORMAT(GREY_SPACE, 0, 1);
        break;
    case LCMS_RGB:
        space = SIGNATURE('R', 'G', 'B', ' ');
        source = FORMAT(RGB_SPACE, 0, 3);
        break;
    case LCMS_RGBA:
        space = SIGNATURE('R', 'G', 'B', ' ');
        source = target = FORMAT(RGB_SPACE, 1, 3);
        break;
    case LCMS_CMYK:
        space = SIGNATURE('C', 'M', 'Y', 'K');
        source = FORMAT(CMYK_SPACE, 0, 4);
        break;
    }
    if (lcms.colour_space(profile) != space || !is_of_device(profile)) return NULL;
    lcms_profile srgb = lcms.create_srgb(context);
    if (!srgb) return NULL;
    lcms_handle handle =
        lcms.create_transform(context, profile, source, srgb, target, PERCEPTUAL, NO_CACHE);
    lcms.close_profile(srgb);
    return handle;
}

lcms_transform *lcms_transform_make(const uint8_t *profile, size_t count, lcms_samples samples) {
    if (!lcms_is_available() || count < HEADER_SIZE || count > CLIP_LARGEST_PROFILE) return NULL;
    if (has_elements(profile, count)) return NULL;
    lcms_transform *transform = calloc(1, sizeof *transform);
    if (!transform) return NULL;
    transform->context = lcms.create_context(NULL, NULL);
    lcms_profile source =
        transform->context ? lcms.open_profile(transform->context, profile, (uint32_t)count) : NULL;
    if (source) {
        transform->handle = handle_of(transform->context, source, samples);
        lcms.close_profile(source);
    }
    if (transform->handle) return transform;
    lcms_transform_free(transform);
    return NULL;
}

void lcms_transform_free(lcms_transform *transform) {
    if (!transform) return;
    if (transform->handle) lcms.delete_transform(transform->handle);
    if (transform->context) lcms.delete_context(transform->context);
    free(transform);
}

void lcms_transform_apply(const lcms_transform *transform, const uint8_t *source, uint8_t *target,
                          size_t pixels) {
    lcms.do_transform(transform->handle, source, target, (uint32_t)pixels);
}
