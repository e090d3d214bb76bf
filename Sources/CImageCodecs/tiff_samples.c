#include "tiff.h"

#include <stdio.h>
#include <string.h>

enum {
    MIN_IS_WHITE = 0, MIN_IS_BLACK = 1, RGB = 2, PALETTE = 3, SEPARATED = 5, YCBCR = 6, LAB = 8,
    UNSIGNED = 1, SIGNED = 2, FLOATS = 3, LONGEST_PIXEL = 6,
    JPEG_OLD = 6, JPEG = 7,
};

static uint64_t number(const uint8_t *p, int bytes, bool is_little) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | p[is_little ? bytes - 1 - i : i];
    return value;
}

bool clip_tiff_has_tag(const uint8_t *bytes, size_t count, uint16_t tag) {
    if (count < 16) return false;
    const bool is_little = bytes[0] == 'I', is_big_tiff = number(bytes + 2, 2, is_little) == 43;
    const int length = is_big_tiff ? 8 : 2;
    const size_t size = is_big_tiff ? 20 : 12;
    uint64_t offset = is_big_tiff ? number(bytes + 8, 8, is_little)
                                  : number(bytes + 4, 4, is_little);
    if (offset > count || count - offset < (size_t)length) return false;
    uint64_t entries = number(bytes + offset, length, is_little);
    offset += (uint64_t)length;
    for (; entries > 0 && count - offset >= size; entries--, offset += size) {
        if (number(bytes + offset, 2, is_little) == tag) return true;
    }
    return false;
}

static clip_image_status unsupported(clip_image *out, const char *what, unsigned value) {
    snprintf(out->message, sizeof out->message, "TIFF of %u %s", value, what);
    return CLIP_IMAGE_UNSUPPORTED;
}

// Returns the number of colours of a photometric interpretation; 0 if it is not supported.
static int colours_of(const tiff_layout *layout) {
    switch (layout->photometric) {
    case MIN_IS_WHITE:
    case MIN_IS_BLACK:
    case PALETTE: return 1;
    case RGB: return 3;
    case SEPARATED: return 4;
    case YCBCR: return layout->samples < 3 ? 1 : 3;
    default: return 0;
    }
}

// Checks the type and depth of the samples.
static clip_image_status check_samples(const tiff_layout *layout, clip_image *out) {
    const bool is_signed_byte = layout->sample_format == SIGNED && layout->bits == 8;
    if (layout->sample_format != UNSIGNED && !is_signed_byte) {
        const char *type = layout->sample_format == FLOATS   ? "floating-point"
                           : layout->sample_format == SIGNED ? "signed"
                                                             : "complex or undefined";
        snprintf(out->message, sizeof out->message, "TIFF of %u-bit %s samples", layout->bits,
                 type);
        return CLIP_IMAGE_UNSUPPORTED;
    }
    bool is_plain_grey = layout->photometric <= MIN_IS_BLACK && layout->samples == 1;
    switch (layout->bits) {
    case 1:
    case 2:
    case 4:
    case 8: break;
    case 12:
        if (is_plain_grey) break;
        return unsupported(out, "bits per colour", layout->bits);
    case 16:
        if (layout->photometric != PALETTE) break;
        return unsupported(out, "bits per palette index", layout->bits);
    default: return unsupported(out, "bits per sample", layout->bits);
    }
    if (layout->samples > LONGEST_PIXEL) {
        return unsupported(out, "samples per pixel", layout->samples);
    }
    return CLIP_IMAGE_OK;
}

clip_image_status clip_tiff_choose(tiff_layout *layout, clip_image_layout *result,
                                     const clip_image_options *options, clip_image *out) {
    if (layout->compression == JPEG_OLD) layout->photometric = YCBCR;
    int colours = colours_of(layout);
    if (layout->photometric == LAB) {
        snprintf(out->message, sizeof out->message, "TIFF of CIE L*a*b* colours");
        return CLIP_IMAGE_UNSUPPORTED;
    }
    if (colours == 0) {
        snprintf(out->message, sizeof out->message, "TIFF of photometric interpretation %u",
                 layout->photometric);
        return CLIP_IMAGE_UNSUPPORTED;
    }
    if (layout->samples <= colours) layout->has_alpha = false;
    clip_image_status status = check_samples(layout, out);
    if (status != CLIP_IMAGE_OK) return status;
    layout->is_converted =
        layout->compression == JPEG_OLD ||
        (layout->photometric == YCBCR && colours == 3 &&
         (layout->compression != JPEG || layout->is_separate));
    if (layout->samples < colours && !layout->is_converted) {
        return unsupported(out, "samples per pixel, too few for its colours", layout->samples);
    }

    result->width = layout->width;
    result->height = layout->height;
    result->kind = CLIP_IMAGE_RGB;
    result->channels = colours;
    layout->is_inverted = layout->photometric == MIN_IS_WHITE;
    if (layout->is_converted) {
        layout->has_alpha = false;
        result->channels = 3;
    } else if (layout->photometric == PALETTE) {
        result->kind = layout->has_alpha ? CLIP_IMAGE_RGBA : CLIP_IMAGE_INDEXED;
        result->channels = layout->has_alpha ? 4 : 1;
        layout->is_premultiplied = false;
    } else if (layout->photometric == SEPARATED) {
        result->kind = CLIP_IMAGE_CMYK;
        layout->has_alpha = false;
    } else if (layout->has_alpha) {
        result->kind = CLIP_IMAGE_RGBA;
        result->channels = colours + 1;
    } else if (colours == 1 && layout->bits == 1) {
        result->kind = CLIP_IMAGE_INDEXED;
    } else if (colours == 1 && layout->bits > 8 && layout->samples == 1 && !options->scale_16) {
        result->kind = CLIP_IMAGE_GREY16;
        result->channels = 2;
        layout->is_inverted = false;  // Pillow does not invert 16-bit grey
    }
    layout->used_samples = colours + layout->has_alpha;
    return CLIP_IMAGE_OK;
}

// Returns the sample of the index; those of more than 8 bits in the processor's byte order, but
// those of 12 bits, which are packed.
static unsigned sample(const uint8_t *row, size_t index, unsigned bits) {
    size_t position = index * bits;
    const uint8_t *p = row + position / 8;
    if (bits == 8) return *p;
    if (bits == 16) {
        uint16_t value;
        memcpy(&value, p, sizeof value);
        return value;
    }
    if (bits == 12) {
        return position % 8 == 0 ? (unsigned)p[0] << 4 | p[1] >> 4
                                 : (unsigned)(p[0] & 15) << 8 | p[1];
    }
    return *p >> (8 - bits - position % 8) & ((1u << bits) - 1);
}

void clip_tiff_unpack(const tiff_layout *layout, const uint8_t *row, int plane, size_t n,
                      const clip_image *image, uint8_t *out) {
    const unsigned bits = layout->bits, highest = (1u << bits) - 1;
    const size_t step = layout->is_separate ? 1 : layout->samples;
    const bool is_index = image->kind == CLIP_IMAGE_INDEXED;
    const int last = layout->is_separate ? plane + 1 : layout->used_samples;
    const int colours = layout->used_samples - layout->has_alpha;
    for (int channel = plane; channel < last; channel++) {
        const size_t first = layout->is_separate ? 0 : (size_t)channel;
        const bool is_inverted = layout->is_inverted && channel < colours;
        const bool is_kept = is_index || (layout->photometric == PALETTE && channel == 0);
        uint8_t *o = out + channel;
        for (size_t i = 0; i < n; i++, o += image->channels) {
            unsigned value = sample(row, first + i * step, bits);
            if (is_inverted) value = highest - value;
            if (image->kind == CLIP_IMAGE_GREY16) {
                o[0] = (uint8_t)(value >> 8);
                o[1] = (uint8_t)value;
            } else if (is_kept || bits == 8) {
                *o = (uint8_t)value;
            } else {
                *o = (uint8_t)(bits > 8 ? value >> (bits - 8) : value * 255 / highest);
            }
        }
    }
}

void clip_tiff_expand_palette(clip_image *image) {
    uint8_t *pixel = image->pixels;
    for (size_t i = 0; i < (size_t)image->width * image->height; i++, pixel += 4) {
        uint8_t alpha = pixel[1];
        memcpy(pixel, image->palette + 4 * pixel[0], 3);
        pixel[3] = alpha;
    }
}
