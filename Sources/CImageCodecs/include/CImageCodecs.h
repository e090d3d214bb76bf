// The bytes of a JPEG, PNG or WebP file to 8-bit RGB, or RGBA where the file has alpha.
//
// libpng and libjpeg report errors by longjmp, which must not cross Swift frames: it stays in here.

#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    CLIP_PICTURE_OK,
    CLIP_PICTURE_UNKNOWN,        // not one of the formats
    CLIP_PICTURE_DAMAGED,        // `message` says how
    CLIP_PICTURE_TRUNCATED,      // the file ends before the picture does
    CLIP_PICTURE_TOO_LARGE,      // more than max_pixels; width and height are set
    CLIP_PICTURE_UNSUPPORTED,    // a known format that this build does not read
    CLIP_PICTURE_OUT_OF_MEMORY,  // width and height are set
} clip_picture_status;

typedef struct {
    uint32_t width, height;
    // 3, or 4 if every pixel has its alpha.
    int channels;
    // Interleaved, rows without padding; freed by clip_picture_free.
    uint8_t *pixels;
    // EXIF's orientation, 1 to 8; 1 where the file does not say.
    int orientation;
    // What kind of picture it is, if Pillow keeps that kind in a mode of its own ("palette", "CMYK",
    // ...) and resizes it there, while here it is RGB already; else NULL. A constant string.
    const char *special_kind;
    char message[256];
} clip_picture;

// Recognises the format by content. On failure `pixels` is NULL and nothing is left allocated.
clip_picture_status clip_picture_decode(const uint8_t *bytes, size_t count, uint64_t max_pixels,
                                        clip_picture *out);

void clip_picture_free(clip_picture *picture);

#endif
