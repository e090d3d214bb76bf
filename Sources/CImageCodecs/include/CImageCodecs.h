// Decodes image files, converts their pixels to RGB, and encodes JPEG.
//
// libpng and libjpeg report errors by longjmp, which must not cross Swift frames, so this C layer
// catches them. All functions may be called from any thread.

#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    CLIP_IMAGE_OK,
    CLIP_IMAGE_UNKNOWN,         // the signature of no known format
    CLIP_IMAGE_DAMAGED,         // the file is corrupt; `message` is set
    CLIP_IMAGE_TRUNCATED,       // the file ends before the image does
    CLIP_IMAGE_TOO_LARGE,       // more than max_pixels; width and height are set
    CLIP_IMAGE_UNSUPPORTED,     // a format that this build does not support; `message` is set
    CLIP_IMAGE_OUT_OF_MEMORY,   // an allocation failed; width and height are set if known
    CLIP_IMAGE_SIDE_TOO_LONG,   // a PNG side over CLIP_IMAGE_LONGEST_SIDE; width and height are set
    CLIP_IMAGE_OVER_MEMORY,     // needed_memory is more than memory_limit; width and height are set
    CLIP_IMAGE_TOO_MANY_SCANS,  // a JPEG with more scans than allowed_scans
} clip_image_status;

// The longest side of a PNG, in pixels: the default limit of libpng.
enum { CLIP_IMAGE_LONGEST_SIDE = 1000000 };

// Return the versions of the libraries. The version of libwebp has one byte each for major, minor
// and revision, the major version first; it is 0 if the package was built without libwebp.
const char *clip_jpeg_version(void);
const char *clip_png_version(void);
int clip_webp_version(void);
// Returns the version of Little CMS, 2140 for 2.14; 0 if it is not installed.
int clip_lcms_version(void);

// Return the versions of the libraries that are loaded when they are first used; NULL if a library
// is missing or too old.
const char *clip_heif_version(void);
const char *clip_tiff_version(void);
const char *clip_jxl_version(void);

// The sample formats. Images of different formats are resized in different ways.
typedef enum {
    CLIP_IMAGE_RGB,      // 3 bytes per pixel, or 1 of grey; followed by 1 of alpha if has_mask
    CLIP_IMAGE_RGBA,     // 4 bytes per pixel; or 2, grey and alpha
    CLIP_IMAGE_INDEXED,  // 1 byte, an index into the palette, which black-and-white images have too
    CLIP_IMAGE_CMYK,     // 4 bytes: cyan, magenta, yellow, black; 0 is no ink
    CLIP_IMAGE_GREY16,   // 2 bytes, the high one first
} clip_image_kind;

// A decoded image.
typedef struct {
    uint32_t width, height;
    clip_image_kind kind;
    // The number of bytes of a pixel.
    int channels;
    // True if the alpha is that of a transparent colour (the last byte of a pixel) or of palette
    // entries, which resizing ignores.
    bool has_mask;
    // Interleaved samples, rows without padding; freed by clip_image_free.
    uint8_t *pixels;
    // The palette of an INDEXED image: 256 entries of red, green, blue and alpha.
    uint8_t palette[4 * 256];
    // The EXIF orientation, 1 to 8; 1 if the file has none.
    int orientation;
    // True if the orientation applies in any case, also if the caller ignores that of EXIF: Pillow
    // turns a TIFF when it loads it.
    bool is_always_turned;
    // The number of bytes that decoding needs in addition to the file, estimated from the header.
    uint64_t needed_memory;
    // The largest number of scans that a JPEG of this size may have.
    uint32_t allowed_scans;
    // The image memory that is reserved for the image; the caller calls clip_memory_release.
    uint64_t reserved_memory;
    // The embedded ICC profile; NULL if there is none. Freed by clip_image_free.
    uint8_t *profile;
    size_t profile_count;
    char message[256];
} clip_image;

// The options of decoding a file.
typedef struct {
    // The largest number of pixels; larger images are refused before memory is allocated.
    uint64_t max_pixels;
    // The number of bytes that the images of all threads may take together. An image that alone
    // needs more is refused; otherwise decoding waits until enough is free. It does not wait if
    // holds_memory is set: a caller that has reserved image memory could wait for itself.
    uint64_t memory_limit;
    bool holds_memory;
    // The largest number of scans of a JPEG; very large images are allowed fewer.
    uint32_t max_scans;
    // Accept a JPEG, PNG, GIF or BMP that ends early. The missing rows are grey (JPEG), the
    // transparent colour (GIF) or zero (black, transparent, or the first colour of the palette).
    bool allow_truncated;
    // Reduce 16-bit grey to its high byte.
    bool scale_16;
    // Read the embedded ICC profile and convert the pixels to sRGB, if Little CMS 2 is installed.
    bool reads_profile;
    // If not 0, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if neither side then gets shorter
    // than this.
    uint32_t smallest_side;
} clip_image_options;

// Returns true if bytes, at least 16 of a file, begin with the signature of one of the formats.
bool clip_image_recognized(const uint8_t *bytes, size_t count);

// Decodes a file, whose format is recognised by its content. On failure `pixels` is NULL and
// nothing is left allocated. On success only the pixels are: the profile is freed.
//
// If reads_profile is set, pixels are converted from the embedded profile to sRGB with the
// perceptual intent, without black point compensation, as Pillow's ImageCms does by default. CMYK
// becomes RGB. Pixels stay as they are without a profile, with an invalid one or one for another
// kind of pixels, with one that is equal to sRGB within one level, and if they are GREY16.
clip_image_status clip_image_decode(const uint8_t *bytes, size_t count,
                                        const clip_image_options *options, clip_image *out);

void clip_image_free(clip_image *image);

// Releases reserved image memory.
void clip_memory_release(uint64_t bytes);
// Returns the number of bytes of image memory that all threads have reserved.
uint64_t clip_memory_used(void);

// Pixels in memory and the strides that rotate and mirror them: the pixel of column x and row y has
// the offset `start + x * step_x + y * step_y`, counted in pixels.
typedef struct {
    const uint8_t *samples;
    clip_image_kind kind;
    int channels;
    bool has_mask;
    const uint8_t *palette;
    ptrdiff_t start, step_x, step_y;
} clip_pixels;

// The three bytes that clip_pixels_copy writes for each pixel.
typedef enum {
    CLIP_VIEW_COLOURS,        // red, green, blue; 16-bit grey is clipped to 255
    CLIP_VIEW_PREMULTIPLIED,  // red, green, blue, each times alpha, rounded as Pillow does
    CLIP_VIEW_ALPHA,          // alpha, three times; 255 if the image has none
    CLIP_VIEW_ON_WHITE,       // the colours composited on white, as Pillow's `alpha_composite` does
    CLIP_VIEW_INKS,           // cyan, magenta, yellow; CMYK images only
    CLIP_VIEW_BLACK,          // the black ink, three times; CMYK images only
} clip_view;

// Converts a part of the pixels and writes `3 * columns * rows` bytes, row by row.
void clip_pixels_copy(const clip_pixels *pixels, clip_view view, size_t column, size_t columns,
                      size_t row, size_t rows, uint8_t *out);
// Copies a part of a GREY16 image, row by row.
void clip_pixels_copy_16(const clip_pixels *pixels, size_t column, size_t columns, size_t row,
                         size_t rows, uint16_t *out);

// Encodes RGB pixels, rows without padding, as a JPEG file. `quality` is 1 to 100. Returns *count
// bytes, which the caller frees, or NULL if memory runs out or a side is longer than JPEG's 65500.
uint8_t *clip_encode_jpeg(const uint8_t *pixels, uint32_t width, uint32_t height, int quality,
                          size_t *count);

#endif
