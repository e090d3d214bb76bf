// The bytes of a JPEG, PNG or WebP file to pixels.
//
// libpng and libjpeg report errors by longjmp, which must not cross Swift frames: it stays in here.

#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stdbool.h>
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

// The versions of the libraries in use; that of libwebp as three bytes, 0 if it was left out.
const char *clip_jpeg_version(void);
const char *clip_png_version(void);
int clip_webp_version(void);

// The kinds of pictures that are resized each in its own way.
typedef enum {
    CLIP_PICTURE_RGB,      // 3 bytes a pixel
    CLIP_PICTURE_RGBA,     // 4
    CLIP_PICTURE_INDEXED,  // 3, the RGB of a palette's entries, or of black and white
    CLIP_PICTURE_CMYK,     // 4: ink, 0 being none
    CLIP_PICTURE_GREY16,   // 2, one number, its high byte first
} clip_picture_kind;

typedef struct {
    uint32_t width, height;
    clip_picture_kind kind;
    // Whether each pixel has another byte, its opacity, which does not count where the picture is
    // resized: of RGB with a colour that is named as transparent, or of a palette.
    bool has_mask;
    // Interleaved, rows without padding; freed by clip_picture_free.
    uint8_t *pixels;
    // EXIF's orientation, 1 to 8; 1 where the file does not say.
    int orientation;
    char message[256];
} clip_picture;

// How a file is decoded.
typedef struct {
    // Pictures of more pixels are refused before memory is taken for them.
    uint64_t max_pixels;
    // Whether a picture whose file ends early is what is there of it, and not an error.
    bool allow_truncated;
    // Where not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as neither side gets
    // shorter than this.
    uint32_t smallest_side;
} clip_picture_options;

// How many bytes a pixel has.
int clip_picture_pixel_size(const clip_picture *picture);

// Whether bytes begin as one of the formats does.
bool clip_picture_recognized(const uint8_t *bytes, size_t count);

// Recognises the format by content. On failure `pixels` is NULL and nothing is left allocated.
clip_picture_status clip_picture_decode(const uint8_t *bytes, size_t count,
                                        const clip_picture_options *options, clip_picture *out);

void clip_picture_free(clip_picture *picture);

// A JPEG file of RGB pixels, rows without padding; `quality` is 1 to 100. To be freed; NULL if there is no memory for it
// or a side is longer than JPEG's 65500.
uint8_t *clip_encode_jpeg(const uint8_t *pixels, uint32_t width, uint32_t height, int quality,
                          size_t *count);

#endif
