#include "codecs.h"
#include "lcms.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Converts decoded pixels from the embedded ICC profile to sRGB.

// MARK: conversions

// The result of reading a profile for one sample format. It is not changed after it is made.
typedef struct {
    uint8_t *profile;
    size_t count;
    lcms_samples samples;
    // NULL if the pixels stay as they are: the profile is that of sRGB, or it is invalid.
    lcms_transform *transform;
    // The sRGB of the 256 values of grey.
    uint8_t greys[256];
    // The number of users, among them the cache; and the time of the last use. They are guarded by
    // the mutex of the cache.
    int users;
    uint64_t used;
} conversion;

static void destroy(conversion *c) {
    lcms_transform_free(c->transform);
    free(c->profile);
    free(c);
}

// The largest difference from the input, in levels, of the colours of an sRGB profile. Profiles of
// sRGB differ in the rounding of their primaries and in the length of their curves.
enum { SRGB_TOLERANCE = 1 };

static bool is_near(uint8_t a, uint8_t b) { return abs(a - b) <= SRGB_TOLERANCE; }

// Returns true if a transform of RGB keeps a grid of colours.
static bool keeps_colours(const lcms_transform *transform, lcms_samples samples) {
    enum { SIDE = 9, COLOURS = SIDE * SIDE * SIDE };
    const size_t step = samples == LCMS_RGBA ? 4 : 3;
    uint8_t source[4 * COLOURS] = {0}, target[4 * COLOURS] = {0};
    for (size_t i = 0; i < COLOURS; i++) {
        size_t places[3] = {i / SIDE / SIDE, i / SIDE % SIDE, i % SIDE};
        for (size_t c = 0; c < 3; c++) {
            source[step * i + c] = (uint8_t)((255 * places[c] + (SIDE - 1) / 2) / (SIDE - 1));
        }
    }
    lcms_transform_apply(transform, source, target, COLOURS);
    for (size_t i = 0; i < step * COLOURS; i++) {
        if (!is_near(source[i], target[i])) return false;
    }
    return true;
}

// Fills in the table of greys. Returns true if it keeps all of them.
static bool keeps_greys(conversion *c) {
    uint8_t source[256], target[3 * 256];
    for (int i = 0; i < 256; i++) source[i] = (uint8_t)i;
    lcms_transform_apply(c->transform, source, target, 256);
    bool keeps = true;
    for (int i = 0; i < 256; i++) {
        // The three colours of a grey are equal, or differ by rounding.
        c->greys[i] = target[3 * i + 1];
        keeps &= is_near(c->greys[i], (uint8_t)i);
    }
    return keeps;
}

// Reads a profile. Returns NULL if memory runs out.
static conversion *make(const uint8_t *profile, size_t count, lcms_samples samples) {
    conversion *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->samples = samples;
    c->users = 1;
    c->transform = lcms_transform_make(profile, count, samples);
    bool keeps = false;
    if (c->transform && samples == LCMS_GREY) keeps = keeps_greys(c);
    if (c->transform && (samples == LCMS_RGB || samples == LCMS_RGBA)) {
        keeps = keeps_colours(c->transform, samples);
    }
    if (keeps) {
        lcms_transform_free(c->transform);
        c->transform = NULL;
    }
    return c;
}

// MARK: the cache

// Photos of one camera have the same profile. Profiles are compared as a whole, so that no file can
// pass for another one; larger ones than LARGEST_CACHED are read each time.
enum { CACHED = 16, LARGEST_CACHED = 1 << 22 };

static struct {
    pthread_mutex_t mutex;
    conversion *entries[CACHED];
    uint64_t time;
} cache = {.mutex = PTHREAD_MUTEX_INITIALIZER};

// Returns the place of a conversion, or the one to replace: an empty one, or the least recently
// used. The mutex must be locked.
static size_t place_of(const uint8_t *profile, size_t count, lcms_samples samples, bool *is_found) {
    size_t oldest = 0;
    for (size_t i = 0; i < CACHED; i++) {
        const conversion *c = cache.entries[i];
        if (c && c->count == count && c->samples == samples &&
            memcmp(c->profile, profile, count) == 0) {
            *is_found = true;
            return i;
        }
        const conversion *o = cache.entries[oldest];
        if (o && (!c || c->used < o->used)) oldest = i;
    }
    *is_found = false;
    return oldest;
}

static void release(conversion *c) {
    pthread_mutex_lock(&cache.mutex);
    bool is_last = --c->users == 0;
    pthread_mutex_unlock(&cache.mutex);
    if (is_last) destroy(c);
}

// Returns a conversion from the cache; NULL if it has none.
static conversion *cached(const uint8_t *profile, size_t count, lcms_samples samples) {
    bool is_found;
    pthread_mutex_lock(&cache.mutex);
    size_t place = place_of(profile, count, samples, &is_found);
    conversion *c = is_found ? cache.entries[place] : NULL;
    if (c) {
        c->users++;
        c->used = ++cache.time;
    }
    pthread_mutex_unlock(&cache.mutex);
    return c;
}

// Adds a conversion to the cache, unless another thread has done so meanwhile.
static void keep(conversion *c, const uint8_t *profile, size_t count) {
    if (count > LARGEST_CACHED) return;
    c->profile = malloc(count);
    if (!c->profile) return;
    memcpy(c->profile, profile, count);
    c->count = count;
    bool is_found;
    conversion *old = NULL;
    pthread_mutex_lock(&cache.mutex);
    size_t place = place_of(profile, count, c->samples, &is_found);
    if (!is_found) {
        old = cache.entries[place];
        cache.entries[place] = c;
        c->users++;
        c->used = ++cache.time;
    }
    bool is_last = old && --old->users == 0;
    pthread_mutex_unlock(&cache.mutex);
    if (is_last) destroy(old);
}

static conversion *conversion_for(const uint8_t *profile, size_t count, lcms_samples samples) {
    conversion *c = cached(profile, count, samples);
    if (c) return c;
    c = make(profile, count, samples);
    if (c) keep(c, profile, count);
    return c;
}

// MARK: pixels

// Determines the samples to convert; false if an image of this kind is left as it is.
static bool samples_of(const clip_image *image, lcms_samples *samples) {
    switch (image->kind) {
    case CLIP_IMAGE_RGB:
    case CLIP_IMAGE_RGBA:
        *samples = image->channels < 3    ? LCMS_GREY
                   : image->channels == 3 ? LCMS_RGB
                                          : LCMS_RGBA;
        return true;
    case CLIP_IMAGE_INDEXED: *samples = LCMS_RGBA; return true;
    case CLIP_IMAGE_CMYK: *samples = LCMS_CMYK; return true;
    case CLIP_IMAGE_GREY16: return false;
    }
    return false;
}

// The number of pixels that are converted at once.
enum { CHUNK = 1 << 12 };

static void convert_in_place(const lcms_transform *transform, uint8_t *pixels, size_t count,
                             size_t channels) {
    for (size_t i = 0; i < count; i += CHUNK) {
        size_t part = count - i < CHUNK ? count - i : CHUNK;
        lcms_transform_apply(transform, pixels + channels * i, pixels + channels * i, part);
    }
}

// Converts CMYK to RGB, which takes the first three quarters of the memory.
static void convert_inks(const lcms_transform *transform, clip_image *image, size_t count) {
    uint8_t colours[3 * CHUNK];
    for (size_t i = 0; i < count; i += CHUNK) {
        size_t part = count - i < CHUNK ? count - i : CHUNK;
        lcms_transform_apply(transform, image->pixels + 4 * i, colours, part);
        memcpy(image->pixels + 3 * i, colours, 3 * part);
    }
    image->kind = CLIP_IMAGE_RGB;
    image->channels = 3;
    uint8_t *shorter = realloc(image->pixels, 3 * count);
    if (shorter) image->pixels = shorter;
}

void clip_image_convert_to_srgb(clip_image *image) {
    lcms_samples samples;
    if (!image->profile || !lcms_is_available() || !samples_of(image, &samples)) return;
    conversion *c = conversion_for(image->profile, image->profile_count, samples);
    if (!c) return;
    size_t count = (size_t)image->width * image->height, channels = (size_t)image->channels;
    if (!c->transform) {
        // The pixels stay as they are.
    } else if (samples == LCMS_GREY) {
        for (size_t i = 0; i < count; i++) {
            image->pixels[channels * i] = c->greys[image->pixels[channels * i]];
        }
    } else if (image->kind == CLIP_IMAGE_INDEXED) {
        lcms_transform_apply(c->transform, image->palette, image->palette, 256);
    } else if (samples == LCMS_CMYK) {
        convert_inks(c->transform, image, count);
    } else {
        convert_in_place(c->transform, image->pixels, count, channels);
    }
    release(c);
}
