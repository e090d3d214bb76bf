// What the three decoders share.

#ifndef CODECS_H
#define CODECS_H

#include "include/CImageCodecs.h"

clip_picture_status clip_decode_jpeg(const uint8_t *bytes, size_t count,
                                     const clip_picture_options *options, clip_picture *out);
clip_picture_status clip_decode_png(const uint8_t *bytes, size_t count,
                                    const clip_picture_options *options, clip_picture *out);
clip_picture_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_picture_options *options, clip_picture *out);

// Sets size, kind and mask, and allocates the pixels, all 0, once the limit is checked.
clip_picture_status clip_picture_allocate(clip_picture *out, uint32_t width, uint32_t height,
                                          clip_picture_kind kind, bool has_mask,
                                          const clip_picture_options *options);

// The orientation (1 to 8) in an EXIF block that starts with its TIFF header; 1 if it has none.
int clip_exif_orientation(const uint8_t *tiff, size_t count);

#endif
