// Declarations that the parts of the TIFF decoder share.

#ifndef TIFF_H
#define TIFF_H

#include "codecs.h"

#include <stdarg.h>

// The part of libtiff's interface that is used. It has been stable since 4.0; functions that are
// newer are optional.
typedef struct tiff_file tiff_file;
typedef struct tiff_options tiff_options;
typedef int64_t tiff_size;
typedef tiff_size (*tiff_transfer)(void *, void *, tiff_size);
typedef uint64_t (*tiff_seek)(void *, uint64_t, int);
typedef int (*tiff_close)(void *);
typedef uint64_t (*tiff_length)(void *);
typedef int (*tiff_map)(void *, void **, uint64_t *);
typedef void (*tiff_unmap)(void *, void *, uint64_t);
typedef int (*tiff_handler)(tiff_file *, void *, const char *, const char *, va_list);

typedef struct {
    bool is_there;
    char version[32];
    const char *(*GetVersion)(void);
    tiff_file *(*ClientOpen)(const char *, const char *, void *, tiff_transfer, tiff_transfer,
                             tiff_seek, tiff_close, tiff_length, tiff_map, tiff_unmap);
    void (*Close)(tiff_file *);
    int (*GetField)(tiff_file *, uint32_t, ...);
    int (*GetFieldDefaulted)(tiff_file *, uint32_t, ...);
    int (*SetField)(tiff_file *, uint32_t, ...);
    int (*IsTiled)(tiff_file *);
    int (*IsCODECConfigured)(uint16_t);
    uint64_t (*ScanlineSize64)(tiff_file *);
    uint64_t (*TileSize64)(tiff_file *);
    uint32_t (*ComputeStrip)(tiff_file *, uint32_t, uint16_t);
    uint32_t (*ComputeTile)(tiff_file *, uint32_t, uint32_t, uint32_t, uint16_t);
    tiff_size (*ReadEncodedStrip)(tiff_file *, uint32_t, void *, tiff_size);
    tiff_size (*ReadEncodedTile)(tiff_file *, uint32_t, void *, tiff_size);
    int (*ReadRGBAStrip)(tiff_file *, uint32_t, uint32_t *);
    int (*ReadRGBATile)(tiff_file *, uint32_t, uint32_t, uint32_t *);
    void *(*SetErrorHandler)(void *);
    void *(*SetWarningHandler)(void *);
    // Since 4.1.
    int (*ReadRGBAStripExt)(tiff_file *, uint32_t, uint32_t *, int);
    int (*ReadRGBATileExt)(tiff_file *, uint32_t, uint32_t, uint32_t *, int);
    // Since 4.5.
    tiff_options *(*OpenOptionsAlloc)(void);
    void (*OpenOptionsFree)(tiff_options *);
    void (*OpenOptionsSetMaxSingleMemAlloc)(tiff_options *, tiff_size);
    void (*OpenOptionsSetErrorHandlerExtR)(tiff_options *, tiff_handler, void *);
    void (*OpenOptionsSetWarningHandlerExtR)(tiff_options *, tiff_handler, void *);
    tiff_file *(*ClientOpenExt)(const char *, const char *, void *, tiff_transfer, tiff_transfer,
                                tiff_seek, tiff_close, tiff_length, tiff_map, tiff_unmap,
                                tiff_options *);
    // Since 4.7.
    void (*OpenOptionsSetMaxCumulatedMemAlloc)(tiff_options *, tiff_size);
} tiff_library;

// libtiff, once clip_tiff_is_available has returned true.
extern tiff_library clip_tiff;

// Loads libtiff at the first call; returns false if it is missing.
bool clip_tiff_is_available(void);

// A file in memory that libtiff reads.
typedef struct {
    const uint8_t *bytes;
    uint64_t count, position;
    bool is_short;  // bytes after the end were asked for
    clip_image *image;
} tiff_source;

// Opens the file. Returns NULL if that fails, with the message of the image set if libtiff gives
// one.
tiff_file *clip_tiff_open(tiff_source *from, const clip_image_options *options);

// The layout of a TIFF's samples, from its tags.
typedef struct {
    uint32_t width, height;
    uint16_t bits, samples, sample_format, photometric, planar, compression;
    // The size of a tile; that of a strip, as wide as the image, if !is_tiled.
    bool is_tiled;
    uint32_t block_width, block_height;
    bool is_separate;  // one plane per sample
    bool has_alpha, is_premultiplied, is_inverted;
    // The pixels are converted to RGB by libtiff: those of YCbCr that libjpeg does not convert.
    bool is_converted;
    // The samples that are used of each pixel: the colours, then alpha.
    int used_samples;
    size_t block_row_bytes;
} tiff_layout;

// Returns true if the first directory of a TIFF or BigTIFF has the tag.
bool clip_tiff_has_tag(const uint8_t *bytes, size_t count, uint16_t tag);

// Derives the format of the pixels from `layout`, completes `layout`, and sets `result`.
// Returns CLIP_IMAGE_UNSUPPORTED with a message if the samples cannot be read.
clip_image_status clip_tiff_choose(tiff_layout *layout, clip_image_layout *result,
                                     const clip_image_options *options, clip_image *out);

// Writes n pixels of a row of samples, as libtiff returns it, to pixels of the image. `plane` is
// the sample that the row holds if planes are separate.
void clip_tiff_unpack(const tiff_layout *layout, const uint8_t *row, int plane, size_t n,
                      const clip_image *image, uint8_t *out);

// Replaces an index and alpha in each pixel by the colour of the palette and alpha.
void clip_tiff_expand_palette(clip_image *image);

#endif
