#include "tiff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TAG_WIDTH = 256, TAG_HEIGHT = 257, TAG_BITS = 258, TAG_COMPRESSION = 259,
    TAG_PHOTOMETRIC = 262, TAG_ORIENTATION = 274, TAG_SAMPLES = 277, TAG_ROWS_PER_STRIP = 278,
    TAG_PLANAR = 284, TAG_PALETTE = 320, TAG_TILE_WIDTH = 322, TAG_TILE_HEIGHT = 323,
    TAG_EXTRA_SAMPLES = 338, TAG_SAMPLE_FORMAT = 339, TAG_PROFILE = 34675,
    TAG_JPEG_COLOURS = 65538,  // a setting of libtiff's, not a tag of the file
    JPEG_COLOURS_RGB = 1, SEPARATE_PLANES = 2, PHOTOMETRIC_RGB = 2,
    PHOTOMETRIC_PALETTE = 3, PHOTOMETRIC_YCBCR = 6, EXTRA_ASSOCIATED = 1, EXTRA_ALPHA = 2,
};

// MARK: tags

static clip_image_status damaged(clip_image *out, const char *message) {
    if (out->message[0] == 0) snprintf(out->message, sizeof out->message, "%s", message);
    return CLIP_IMAGE_DAMAGED;
}

static clip_image_status read_layout(tiff_file *file, const tiff_source *from, tiff_layout *layout,
                                       clip_image *out) {
    if (!clip_tiff.GetField(file, TAG_WIDTH, &layout->width) ||
        !clip_tiff.GetField(file, TAG_HEIGHT, &layout->height) || layout->width == 0 ||
        layout->height == 0) {
        return damaged(out, "it has no width or height");
    }
    clip_tiff.GetFieldDefaulted(file, TAG_BITS, &layout->bits);
    clip_tiff.GetFieldDefaulted(file, TAG_SAMPLES, &layout->samples);
    clip_tiff.GetFieldDefaulted(file, TAG_SAMPLE_FORMAT, &layout->sample_format);
    clip_tiff.GetFieldDefaulted(file, TAG_PLANAR, &layout->planar);
    clip_tiff.GetFieldDefaulted(file, TAG_COMPRESSION, &layout->compression);
    // Pillow takes a missing tag as 0.
    if (!clip_tiff.GetField(file, TAG_PHOTOMETRIC, &layout->photometric)) layout->photometric = 0;
    if (!clip_tiff.IsCODECConfigured(layout->compression)) {
        snprintf(out->message, sizeof out->message,
                 "TIFF of compression %u, which libtiff %s does not decode", layout->compression,
                 clip_tiff.version);
        return CLIP_IMAGE_UNSUPPORTED;
    }
    layout->is_separate = layout->planar == SEPARATE_PLANES && layout->samples > 1;

    uint16_t extra_count = 0, *extra = NULL;
    if (clip_tiff.GetField(file, TAG_EXTRA_SAMPLES, &extra_count, &extra) && extra_count > 0 &&
        extra) {
        layout->is_premultiplied = extra[0] == EXTRA_ASSOCIATED;
        layout->has_alpha = extra[0] == EXTRA_ASSOCIATED || extra[0] == EXTRA_ALPHA;
    }
    // libtiff takes a fourth sample without the tag as unspecified, Pillow as alpha.
    if (layout->photometric == PHOTOMETRIC_RGB && layout->samples == 4 &&
        !clip_tiff_has_tag(from->bytes, from->count, TAG_EXTRA_SAMPLES)) {
        layout->has_alpha = true;
    }

    layout->is_tiled = clip_tiff.IsTiled(file);
    layout->block_width = layout->width;
    if (layout->is_tiled) {
        if (!clip_tiff.GetField(file, TAG_TILE_WIDTH, &layout->block_width) ||
            !clip_tiff.GetField(file, TAG_TILE_HEIGHT, &layout->block_height)) {
            return damaged(out, "its tiles have no size");
        }
    } else {
        clip_tiff.GetFieldDefaulted(file, TAG_ROWS_PER_STRIP, &layout->block_height);
        if (layout->block_height > layout->height) layout->block_height = layout->height;
    }
    if (layout->block_width == 0 || layout->block_height == 0) {
        return damaged(out, "its tiles or strips are empty");
    }
    return CLIP_IMAGE_OK;
}

static void read_palette(tiff_file *file, const tiff_layout *layout, clip_image *out) {
    uint16_t *red = NULL, *green = NULL, *blue = NULL;
    for (int i = 0; i < 256; i++) out->palette[4 * i + 3] = 255;
    if (layout->photometric != PHOTOMETRIC_PALETTE) {
        memset(out->palette + 4, 255, 3);  // an image in black and white
        return;
    }
    if (!clip_tiff.GetField(file, TAG_PALETTE, &red, &green, &blue)) return;
    for (int i = 0; i < 1 << layout->bits; i++) {
        out->palette[4 * i] = (uint8_t)(red[i] >> 8);
        out->palette[4 * i + 1] = (uint8_t)(green[i] >> 8);
        out->palette[4 * i + 2] = (uint8_t)(blue[i] >> 8);
    }
}

static void copy_profile(tiff_file *file, clip_image *out) {
    uint32_t size = 0;
    void *profile = NULL;
    if (clip_tiff.GetField(file, TAG_PROFILE, &size, &profile) && profile) {
        clip_profile_set(out, profile, size);
    }
}

// MARK: pixels

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Reads the tile or strip at (x, y) of a plane. Bytes that libtiff does not write are 0.
static bool read_block(tiff_file *file, const tiff_layout *layout, uint32_t x, uint32_t y,
                       int plane, uint8_t *block, uint32_t rows) {
    size_t size = layout->block_row_bytes * rows;
    tiff_size found;
    if (layout->is_tiled) {
        uint32_t tile = clip_tiff.ComputeTile(file, x, y, 0, (uint16_t)plane);
        found = clip_tiff.ReadEncodedTile(file, tile, block, (tiff_size)size);
    } else {
        uint32_t strip = clip_tiff.ComputeStrip(file, y, (uint16_t)plane);
        found = clip_tiff.ReadEncodedStrip(file, strip, block, (tiff_size)size);
    }
    if (found < 0) return false;
    if ((size_t)found < size) memset(block + found, 0, size - (size_t)found);
    return true;
}

// True if libtiff's rows are the rows of the image.
static bool is_direct(const tiff_layout *layout, int channels) {
    return !layout->is_tiled && !layout->is_separate && layout->bits == 8 &&
           !layout->is_inverted && layout->samples == channels &&
           layout->used_samples == channels;
}

static clip_image_status read_samples(tiff_file *file, const tiff_layout *layout,
                                        uint8_t *block, clip_image *out) {
    const int planes = layout->is_separate ? layout->used_samples : 1;
    const size_t channels = (size_t)out->channels;
    for (int plane = 0; plane < planes; plane++) {
        for (uint32_t y = 0, rows; y < layout->height; y += rows) {
            rows = smaller(layout->block_height, layout->height - y);
            for (uint32_t x = 0, columns; x < layout->width; x += columns) {
                columns = smaller(layout->block_width, layout->width - x);
                uint8_t *pixels = out->pixels + ((size_t)y * layout->width + x) * channels;
                if (!read_block(file, layout, x, y, plane, block ? block : pixels,
                                layout->is_tiled ? layout->block_height : rows)) {
                    return damaged(out, "libtiff cannot decode it");
                }
                for (uint32_t row = 0; block && row < rows; row++) {
                    clip_tiff_unpack(layout, block + row * layout->block_row_bytes, plane, columns,
                                     out, pixels + (size_t)row * layout->width * channels);
                }
            }
        }
    }
    return CLIP_IMAGE_OK;
}

// Reads pixels that libtiff converts to RGB. It returns rows from the bottom to the top.
static clip_image_status read_converted(tiff_file *file, const tiff_layout *layout,
                                          uint32_t *block, clip_image *out) {
    const uint32_t width = layout->width, height = layout->height;
    for (uint32_t y = 0, rows; y < height; y += rows) {
        rows = smaller(layout->block_height, height - y);
        for (uint32_t x = 0, columns; x < width; x += columns) {
            columns = smaller(layout->block_width, width - x);
            int done;
            if (layout->is_tiled) {
                done = clip_tiff.ReadRGBATileExt ? clip_tiff.ReadRGBATileExt(file, x, y, block, 1)
                                            : clip_tiff.ReadRGBATile(file, x, y, block);
            } else {
                done = clip_tiff.ReadRGBAStripExt ? clip_tiff.ReadRGBAStripExt(file, y, block, 1)
                                             : clip_tiff.ReadRGBAStrip(file, y, block);
            }
            if (!done) return damaged(out, "libtiff cannot decode it");
            uint32_t last = layout->is_tiled ? layout->block_height - 1 : rows - 1;
            for (uint32_t row = 0; row < rows; row++) {
                const uint32_t *from = block + (size_t)(last - row) * layout->block_width;
                uint8_t *to = out->pixels + 3 * ((size_t)(y + row) * width + x);
                for (uint32_t i = 0; i < columns; i++, to += 3) {
                    to[0] = (uint8_t)from[i];
                    to[1] = (uint8_t)(from[i] >> 8);
                    to[2] = (uint8_t)(from[i] >> 16);
                }
            }
        }
    }
    return CLIP_IMAGE_OK;
}

// Sets the size of the block that is read at once; 0 if rows are read directly.
static clip_image_status measure(tiff_file *file, tiff_layout *layout, int channels,
                                   uint64_t *size, clip_image *out) {
    uint64_t samples = layout->is_separate ? 1 : layout->samples;
    uint64_t bits = layout->is_converted ? 32 : samples * layout->bits;
    uint64_t row = (layout->block_width * bits + 7) / 8;  // below 2^32 * 2^7
    if (row > UINT64_MAX / layout->block_height || row * layout->block_height > INT64_MAX) {
        return damaged(out, "its tiles or strips are too large");
    }
    // Tiles may reach beyond the image. A file whose tiles are much larger would take very long.
    uint64_t across = (layout->width - 1) / layout->block_width + 1;
    uint64_t down = (layout->height - 1) / layout->block_height + 1;
    double area = (double)across * (double)down * layout->block_width * layout->block_height;
    if (layout->is_tiled && area > 16.0 * layout->width * layout->height + (64 << 20)) {
        return damaged(out, "its tiles are far larger than the image");
    }
    *size = row * layout->block_height;
    layout->block_row_bytes = (size_t)row;
    if (layout->is_converted) return CLIP_IMAGE_OK;
    uint64_t expected =
        layout->is_tiled ? clip_tiff.TileSize64(file) : clip_tiff.ScanlineSize64(file);
    if (expected != (layout->is_tiled ? *size : row)) {
        return damaged(out, "its rows have an unexpected size");
    }
    if (is_direct(layout, channels)) *size = 0;
    return CLIP_IMAGE_OK;
}

static clip_image_status decode(tiff_file *file, const tiff_source *from,
                                  const clip_image_options *options, clip_image *out) {
    tiff_layout layout = {0};
    clip_image_layout result = {0};
    clip_image_status status = read_layout(file, from, &layout, out);
    if (status == CLIP_IMAGE_OK) status = clip_tiff_choose(&layout, &result, options, out);
    if (status != CLIP_IMAGE_OK) return status;
    // libjpeg converts YCbCr, as in Pillow.
    if (layout.photometric == PHOTOMETRIC_YCBCR && !layout.is_converted) {
        clip_tiff.SetField(file, TAG_JPEG_COLOURS, JPEG_COLOURS_RGB);
    }
    uint64_t block_size = 0;
    status = measure(file, &layout, result.channels, &block_size, out);
    if (status != CLIP_IMAGE_OK) return status;
    // libtiff keeps a compressed block, and its conversion another decoded one.
    result.working_memory = block_size * (layout.is_converted ? 3 : 1) + from->count + (1 << 20);
    status = clip_image_allocate(out, &result, options);
    if (status == CLIP_IMAGE_OK && options->reads_profile) copy_profile(file, out);
    if (status != CLIP_IMAGE_OK) return status;

    uint16_t orientation = 1;
    clip_tiff.GetFieldDefaulted(file, TAG_ORIENTATION, &orientation);
    out->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    out->is_always_turned = true;
    // Otherwise libtiff's conversion applies it in part.
    if (layout.is_converted) clip_tiff.SetField(file, TAG_ORIENTATION, 1);
    bool has_palette =
        out->kind == CLIP_IMAGE_INDEXED || layout.photometric == PHOTOMETRIC_PALETTE;
    if (has_palette) read_palette(file, &layout, out);

    void *block = NULL;
    if (block_size > 0) {
        block = malloc(block_size);
        if (!block) return CLIP_IMAGE_OUT_OF_MEMORY;
    }
    status = layout.is_converted ? read_converted(file, &layout, block, out)
                                 : read_samples(file, &layout, block, out);
    free(block);
    if (status != CLIP_IMAGE_OK) return status;
    if (has_palette && out->kind == CLIP_IMAGE_RGBA) clip_tiff_expand_palette(out);
    if (layout.is_premultiplied && out->kind == CLIP_IMAGE_RGBA) {
        // Pillow clears transparent colours of RGB, and keeps those of grey.
        clip_unpremultiply(out->pixels, (size_t)out->width * out->height, out->channels,
                           out->channels == 4);
    }
    return CLIP_IMAGE_OK;
}

bool clip_is_tiff(const uint8_t *bytes, size_t count) {
    return count >= 8 &&
           (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 ||
            memcmp(bytes, "II+\0\10\0\0\0", 8) == 0 || memcmp(bytes, "MM\0+\0\10\0\0", 8) == 0);
}

// Decodes the first page.
clip_image_status clip_decode_tiff(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out) {
    if (!clip_tiff_is_available()) {
        snprintf(out->message, sizeof out->message,
                 "TIFF needs libtiff 4.0 or later, which was not found (Debian: libtiff6)");
        return CLIP_IMAGE_UNSUPPORTED;
    }
    tiff_source from = {.bytes = bytes, .count = count, .image = out};
    tiff_file *file = clip_tiff_open(&from, options);
    clip_image_status status =
        file ? decode(file, &from, options, out) : damaged(out, "libtiff cannot open it");
    if (file) clip_tiff.Close(file);
    return status == CLIP_IMAGE_DAMAGED && from.is_short ? CLIP_IMAGE_TRUNCATED : status;
}
