// What the three decoders share.

#ifndef CODECS_H
#define CODECS_H

#include "include/CImageCodecs.h"

clip_image_status clip_decode_jpeg(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_png(const uint8_t *bytes, size_t count,
                                    const clip_image_options *options, clip_image *out);
clip_image_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out);

// The size and layout of an image, as its header says.
typedef struct {
    uint32_t width, height;
    clip_image_kind kind;
    int channels;
    bool has_mask;
    // The bytes that the decoder holds beside the pixels and the file.
    uint64_t working_memory;
} clip_image_layout;

// Sets size, kind and mask, and allocates the pixels, all 0, once the limits are checked and the
// share of image memory is held.
clip_image_status clip_image_allocate(clip_image *out, const clip_image_layout *layout,
                                          const clip_image_options *options);

// Takes a share of the process's image memory, not more than `limit`. Waits until so much is free
// below `limit`, in the order of the calls, or does not wait.
void clip_memory_acquire(uint64_t bytes, uint64_t limit, bool waits);

// The orientation in an EXIF block that starts with its TIFF header: 1 to 8, 1 if its value is no
// orientation, 0 if there is none.
int clip_exif_orientation(const uint8_t *tiff, size_t count);
// The same of an XMP packet.
int clip_xmp_orientation(const uint8_t *text, size_t count);

// The orientation of a PNG: of its EXIF block, of ImageMagick's text or of XMP, in this order.
int clip_png_orientation(const uint8_t *bytes, size_t count);
// Fills in the colours of a PNG's palette if it has none before its pixels, or one that ends within an
// entry, which libpng refuses and Pillow reads; else false. 256 entries of four bytes.
bool clip_png_repair_palette(const uint8_t *bytes, size_t count, uint8_t *palette);
// The size of the inflated data of a PNG's first run of IDAT chunks; 0 if the compressed stream does
// not end there, or if the size is above the limit, where inflating stops.
uint64_t clip_png_inflated_size(const uint8_t *bytes, size_t count, uint64_t limit);

#endif
