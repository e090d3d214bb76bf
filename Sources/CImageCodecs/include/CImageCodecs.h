// The bytes of a JPEG, PNG or WebP file to pixels.
//
// libpng and libjpeg report errors by longjmp, which must not cross Swift frames: it stays in here.

#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    CLIP_IMAGE_OK,
    CLIP_IMAGE_UNKNOWN,         // not one of the formats
    CLIP_IMAGE_DAMAGED,         // `message` says how
    CLIP_IMAGE_TRUNCATED,       // the file ends before the image does
    CLIP_IMAGE_TOO_LARGE,       // more than max_pixels; width and height are set
    CLIP_IMAGE_UNSUPPORTED,     // a known format that this build does not read
    CLIP_IMAGE_OUT_OF_MEMORY,   // width and height are set
    CLIP_IMAGE_SIDE_TOO_LONG,   // a PNG side over CLIP_IMAGE_LONGEST_SIDE; both are set
    CLIP_IMAGE_OVER_MEMORY,     // needed_memory is more than memory_limit; width and height are set
    CLIP_IMAGE_TOO_MANY_SCANS,  // a JPEG of more than allowed_scans
} clip_image_status;

// The longest side of a PNG, in pixels: the default limit of libpng.
enum { CLIP_IMAGE_LONGEST_SIDE = 1000000 };

// The versions of the libraries in use; that of libwebp as three bytes, 0 if it was left out.
const char *clip_jpeg_version(void);
const char *clip_png_version(void);
int clip_webp_version(void);

// The kinds of images that are resized each in its own way.
typedef enum {
    CLIP_IMAGE_RGB,      // 3 bytes a pixel, or 1 of grey
    CLIP_IMAGE_RGBA,     // 4, or 2: grey and alpha
    CLIP_IMAGE_INDEXED,  // 1, the place in a palette; black and white are one too
    CLIP_IMAGE_CMYK,     // 4: ink, 0 being none
    CLIP_IMAGE_GREY16,   // 2, one number, its high byte first
} clip_image_kind;

typedef struct {
    uint32_t width, height;
    clip_image_kind kind;
    // The bytes of a pixel.
    int channels;
    // True if pixels have an opacity that does not count where the image is resized: of RGB or grey
    // with a colour that is named as transparent (the last byte of a pixel), or of a palette.
    bool has_mask;
    // Interleaved, rows without padding; freed by clip_image_free.
    uint8_t *pixels;
    // 256 entries of red, green, blue and alpha, of an INDEXED image.
    uint8_t palette[4 * 256];
    // EXIF's orientation, 1 to 8; 1 where the file does not say.
    int orientation;
    // The bytes that decoding holds at once beside the file, from the header.
    uint64_t needed_memory;
    // The scans that a JPEG of this size may have.
    uint32_t allowed_scans;
    // The share of the process's image memory that is held; given back by clip_memory_release.
    uint64_t reserved_memory;
    char message[256];
} clip_image;

// The options of decoding a file.
typedef struct {
    // Images of more pixels are refused before memory is taken for them.
    uint64_t max_pixels;
    // Images that need more bytes are refused. All threads of the process share them: decoding
    // waits until enough is free, unless the caller already holds some, because it could then deadlock
    // on itself.
    uint64_t memory_limit;
    bool holds_memory;
    // JPEGs with more scans are refused; very large ones may have fewer.
    uint32_t max_scans;
    // Accept an image whose file ends early, with what is there of it.
    bool allow_truncated;
    // Reduce 16 bits of grey to their high byte.
    bool scale_16;
    // Where not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as neither side gets
    // shorter than this.
    uint32_t smallest_side;
} clip_image_options;

// True if bytes begin as one of the formats does.
bool clip_image_recognized(const uint8_t *bytes, size_t count);

// Recognises the format by content. On failure `pixels` is NULL and nothing is left allocated.
clip_image_status clip_image_decode(const uint8_t *bytes, size_t count,
                                        const clip_image_options *options, clip_image *out);

void clip_image_free(clip_image *image);

// Gives back image memory.
void clip_memory_release(uint64_t bytes);
// The image memory that is held now by all threads.
uint64_t clip_memory_used(void);

// Pixels in memory, and the way they are walked through, which turns and mirrors: the pixel of column
// x and row y is the one at `start + x * step_x + y * step_y`, counted in pixels.
typedef struct {
    const uint8_t *samples;
    clip_image_kind kind;
    int channels;
    bool has_mask;
    const uint8_t *palette;
    ptrdiff_t start, step_x, step_y;
} clip_pixels;

// The three bytes that are made of each pixel.
typedef enum {
    CLIP_VIEW_COLOURS,        // red, green, blue; of 16-bit grey at most 255
    CLIP_VIEW_PREMULTIPLIED,  // the same times alpha, as Pillow rounds it
    CLIP_VIEW_ALPHA,          // opacity, three times; 255 where there is none
    CLIP_VIEW_ON_WHITE,       // colours on a white ground, as Pillow's `alpha_composite` has it
    CLIP_VIEW_INKS,           // cyan, magenta, yellow
    CLIP_VIEW_BLACK,          // black, three times
} clip_view;

// Makes `3 * columns * rows` bytes of a part of the pixels.
void clip_pixels_copy(const clip_pixels *pixels, clip_view view, size_t column, size_t columns,
                      size_t row, size_t rows, uint8_t *out);
// Copies 16-bit grey.
void clip_pixels_copy_16(const clip_pixels *pixels, size_t column, size_t columns, size_t row,
                         size_t rows, uint16_t *out);

// A JPEG file of RGB pixels, rows without padding; `quality` is 1 to 100. To be freed; NULL if there is no memory for it
// or a side is longer than JPEG's 65500.
uint8_t *clip_encode_jpeg(const uint8_t *pixels, uint32_t width, uint32_t height, int quality,
                          size_t *count);

#endif
