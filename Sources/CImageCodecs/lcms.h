// Colour transforms by Little CMS 2, which is loaded when it is first used.

#ifndef LCMS_H
#define LCMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The sample formats that can be converted to sRGB.
typedef enum {
    LCMS_GREY,   // 1 byte per pixel, to 3
    LCMS_RGB,    // 3 bytes per pixel, to 3
    LCMS_RGBA,   // 4 bytes per pixel, to 4; the alpha of the target is left unchanged
    LCMS_CMYK,   // 4 bytes per pixel, to 3; 0 is no ink
} lcms_samples;

typedef struct lcms_transform lcms_transform;

// Returns true if Little CMS 2 is installed.
bool lcms_is_available(void);

// Returns a transform from a profile to sRGB, which several threads may use at the same time.
// Returns NULL if Little CMS is missing, or the profile is invalid, of another colour space than
// the samples, or of a kind that is ignored.
lcms_transform *lcms_transform_make(const uint8_t *profile, size_t count, lcms_samples samples);
void lcms_transform_free(lcms_transform *transform);

// Converts pixels. `target` may be `source` if both formats have the same number of bytes.
void lcms_transform_apply(const lcms_transform *transform, const uint8_t *source, uint8_t *target,
                          size_t pixels);

#endif
