// Declarations that the decoders share.

#ifndef CODECS_H
#define CODECS_H

#include "include/CImageCodecs.h"

clip_image_status clip_decode_jpeg(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_png(const uint8_t *bytes, size_t count,
                                    const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_gif(const uint8_t *bytes, size_t count,
                                  const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_bmp(const uint8_t *bytes, size_t count,
                                  const clip_image_options *options, clip_image *out);
// Decodes the largest JPEG preview in the RAW file of a camera.
clip_image_status clip_decode_raw(const uint8_t *bytes, size_t count,
                                  const clip_image_options *options, clip_image *out);

// Returns true if bytes begin a BMP file, or a device-independent bitmap without its file header.
bool clip_is_bmp(const uint8_t *bytes, size_t count);
// Returns true for the RAW file of a camera: CR3, RAF, ORF and RW2 by their signatures, and others,
// which are TIFF files, if one of these holds:
// - "CR" is at offset 8 (CR2),
// - the first directory has the tag DNGVersion,
// - a directory has colour filter array or linear raw pixels (PhotometricInterpretation 32803 or
//   34892), or a compression of a camera maker (Nikon's 34713, Sony's 32767, Samsung's 32770,
//   Pentax's 65535),
// - the first directory is Sony's and has both a JPEG preview and SubIFDs (the oldest ARW).
// Other TIFF files are not RAW, even if a camera made them or they contain JPEGs.
bool clip_is_raw(const uint8_t *bytes, size_t count);

// These decoders load their libraries when they are first used.
clip_image_status clip_decode_heif(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_tiff(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_jxl(const uint8_t *bytes, size_t count,
                                    const clip_image_options *options, clip_image *out);

// Return true if bytes begin with the signature of HEIC, HEIF or AVIF, of TIFF, or of JPEG XL. That
// of TIFF is also the signature of many camera RAW files.
bool clip_is_heif(const uint8_t *bytes, size_t count);
bool clip_is_tiff(const uint8_t *bytes, size_t count);
bool clip_is_jxl(const uint8_t *bytes, size_t count);

// A size in pixels that a part of a file states.
typedef struct {
    uint32_t width, height;
} clip_stated_size;

static inline uint64_t clip_stated_pixels(clip_stated_size size) {
    return (uint64_t)size.width * size.height;
}

// Finds the largest size that the boxes of an HEIF file state, and the largest frame of its HEVC
// streams; 0 x 0 if there is none. A stream whose parameters are split in the file is not found.
void clip_hevc_sizes(const uint8_t *bytes, size_t count, clip_stated_size *boxes,
                     clip_stated_size *stream);

// What the boxes of an HEIF file say about its primary image, and their offsets in the file.
enum { CLIP_HEIF_MIRROR = 4 };
typedef struct {
    bool has_aperture;
    // The pixels of a chroma sample of AV1: 1 or 2; 0 if unknown, -1 if images differ.
    int chroma_columns, chroma_rows;
    // Quarters of a turn, counterclockwise; or CLIP_HEIF_MIRROR, top to bottom; or that and 1, left
    // to right.
    uint8_t turns[8];
    size_t turn_count;
    size_t meta, meta_content, meta_end, iprp, iprp_end;
    size_t properties, properties_end, items, ipma_end;
    uint32_t property_count, item_count;
    bool has_long_items, has_long_indices;
} clip_heif_boxes;

// Returns false if the boxes are damaged or of an unusual order.
bool clip_heif_read_boxes(const uint8_t *bytes, size_t count, clip_heif_boxes *out);
// Returns a copy of the file that states the identity matrix and full range for all images, and no
// rotation or mirroring; NULL if memory runs out or the boxes do not allow it.
uint8_t *clip_heif_copy(const uint8_t *bytes, size_t count, const clip_heif_boxes *boxes,
                        size_t *copy_count);
// Returns the number of bytes that clip_heif_copy allocates.
size_t clip_heif_copy_size(size_t count, const clip_heif_boxes *boxes);

// Samples of 8 to 16 bits: one byte each if there are 8 bits, otherwise two in the machine's order.
typedef struct {
    const uint8_t *samples;
    size_t column, row;  // the bytes to the next sample and to the next row
    int bits;
} clip_plane;

// A YCbCr image: luma, Cb, Cr with the same bits, and alpha, whose samples may be NULL. A chroma
// sample has two columns of pixels and one or two rows.
typedef struct {
    clip_plane planes[4];
    uint32_t width, height, chroma_rows;
    int matrix;  // matrix coefficients of ITU-T H.273
    bool is_full_range;
} clip_ycbcr;

bool clip_ycbcr_has_matrix(int matrix);
// Interpolates chroma and writes 3 or 4 bytes for each pixel; that of column x and row y at
// `out + x * step_x + y * step_y`. Returns false if memory runs out or for an unknown matrix.
bool clip_ycbcr_convert(const clip_ycbcr *image, int channels, uint8_t *out, ptrdiff_t step_x,
                        ptrdiff_t step_y);

// Loads the first of the libraries that is found; the list ends with NULL. Returns NULL if there is
// none.
void *clip_open_library(const char *const *names);

// Divides colours by alpha, the last byte of each pixel, as Pillow does. Colours of alpha 0 become
// 0 if `clears`, and stay otherwise.
void clip_unpremultiply(uint8_t *pixels, size_t count, int channels, bool clears);

// The size and sample format of an image, from its header.
typedef struct {
    uint32_t width, height;
    clip_image_kind kind;
    int channels;
    bool has_mask;
    // The number of bytes that the decoder needs in addition to the pixels and the file.
    uint64_t working_memory;
} clip_image_layout;

// Sets the size, kind and mask of `out`, checks the limits, reserves image memory and allocates the
// pixels, all 0.
clip_image_status clip_image_allocate(clip_image *out, const clip_image_layout *layout,
                                          const clip_image_options *options);

// The largest ICC profile that is read, in bytes; larger ones are ignored.
enum { CLIP_LARGEST_PROFILE = 1 << 24 };

// Copies an ICC profile into `out`, unless it has one already.
void clip_profile_set(clip_image *out, const uint8_t *bytes, size_t count);
// Read the ICC profile of a JPEG or PNG into `out`. An incomplete or corrupt one is ignored.
void clip_jpeg_read_profile(const uint8_t *bytes, size_t count, clip_image *out);
void clip_png_read_profile(const uint8_t *bytes, size_t count, clip_image *out);
// Converts the pixels from the profile of `image` to sRGB, as clip_image_decode describes.
void clip_image_convert_to_srgb(clip_image *image);

// Reserves `bytes` of the process's image memory; `bytes` must be at most `limit`. If `waits`,
// first waits until the reservations of all threads stay within `limit`; calls are served in order.
void clip_memory_acquire(uint64_t bytes, uint64_t limit, bool waits);

// Returns the orientation in an EXIF block that begins with its TIFF header: 1 to 8, 1 if the value
// is invalid, 0 if there is none.
int clip_exif_orientation(const uint8_t *tiff, size_t count);
// Returns the orientation in an XMP packet: 1 to 8, 1 if the value is invalid, 0 if there is none.
int clip_xmp_orientation(const uint8_t *text, size_t count);

// Returns the orientation of a PNG from its EXIF block, ImageMagick's EXIF text or XMP, in this
// order of precedence; 0 if there is none.
int clip_png_orientation(const uint8_t *bytes, size_t count);
// Reads a broken palette of a PNG, which libpng would refuse and Pillow reads: one that is missing
// before the pixels, or whose length is not a multiple of 3. Returns false for any other PNG.
// `palette` has 256 entries of four bytes; entries that the file lacks are unchanged.
bool clip_png_repair_palette(const uint8_t *bytes, size_t count, uint8_t *palette);
// Returns the size of the inflated data of a PNG's first run of IDAT chunks; 0 if the compressed
// stream does not end there or the size exceeds `limit`, where inflating stops.
uint64_t clip_png_inflated_size(const uint8_t *bytes, size_t count, uint64_t limit);

#endif
