#include "codecs.h"

#include <stdlib.h>
#include <string.h>

// Converts AVIF with reduced chroma as libavif 1.4 does by libyuv, in integers.

// MARK: matrices

// The colours of a sample are Y, scaled and shifted, plus these multiples of Cb and Cr.
typedef struct {
    double red_cr, green_cb, green_cr, blue_cb;
} factors;

// Sets the factors of full range. Returns false for a matrix that is not supported.
static bool set_factors(int matrix, factors *out) {
    double red, blue;  // the weights of red and blue in Y
    switch (matrix) {
    case 1: red = 0.2126, blue = 0.0722; break;  // BT.709
    case 2: case 5: case 6: red = 0.299, blue = 0.114; break;  // BT.601, and unspecified
    case 9: red = 0.2627, blue = 0.0593; break;  // BT.2020
    default: return false;
    }
    double green = 1 - red - blue;
    *out = (factors){
        .red_cr = 2 * (1 - red), .green_cb = 2 * blue * (1 - blue) / green,
        .green_cr = 2 * red * (1 - red) / green, .blue_cb = 2 * (1 - blue),
    };
    return true;
}

bool clip_ycbcr_has_matrix(int matrix) {
    factors ignored;
    return set_factors(matrix, &ignored);
}

// MARK: samples

static inline int sample(const clip_plane *plane, size_t x, size_t y) {
    const uint8_t *at = plane->samples + y * plane->row + x * plane->column;
    if (plane->bits <= 8) return *at;
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint8_t clamp_8(int value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// MARK: interpolated chroma

// libavif interpolates 8 bits of each sample and cuts the others off. libyuv has other functions
// for images with alpha: one of 10 bits, and one of 12 bits, 4:2:0, that repeats chroma.
static bool repeats_chroma(const clip_ycbcr *image) {
    return image->planes[0].bits == 12 && image->planes[3].samples && image->chroma_rows == 2;
}

static int kept_bits(const clip_ycbcr *image) {
    bool is_10 = image->planes[0].bits == 10 && image->planes[3].samples;
    return repeats_chroma(image) ? 12 : is_10 ? 10 : 8;
}

// Sets a row of chroma samples to 3 times the near row and 1 time the far one.
static void mix_rows(const clip_ycbcr *image, int plane, size_t y, int32_t *out, size_t columns) {
    const clip_plane *chroma = &image->planes[plane];
    size_t rows = (image->height + image->chroma_rows - 1) / image->chroma_rows, near = y, far = y;
    if (image->chroma_rows == 2) {
        near = y / 2;
        far = y % 2 == 1 ? near + 1 : near == 0 ? 0 : near - 1;
        if (far >= rows || repeats_chroma(image)) far = near;
    }
    int shift = chroma->bits - kept_bits(image);
    for (size_t x = 0; x < columns; x++) {
        out[x] = 3 * (sample(chroma, x, near) >> shift) + (sample(chroma, x, far) >> shift);
    }
}

// Returns the column of the far sample. libyuv does not interpolate the last column.
static inline size_t far_column(const clip_ycbcr *image, size_t x, bool repeats) {
    if (repeats || x == 0 || x + 1 == image->width) return x / 2;
    return x % 2 == 1 ? x / 2 + 1 : x / 2 - 1;
}

// Returns chroma in 8 bits, minus 128.
static inline int mix_columns(const int32_t *mixed, size_t near, size_t far, int shift) {
    return ((3 * mixed[near] + mixed[far] + 8) >> (4 + shift)) - 128;
}

// Converts a row in the arithmetic of libyuv, with 6 bits after the point.
static void convert_row(const clip_ycbcr *image, const factors *factors, size_t y,
                          const int32_t *cb_row, const int32_t *cr_row, uint8_t *out,
                          ptrdiff_t step) {
    bool is_full = image->is_full_range;
    double chroma = is_full ? 64 : 64 * 255.0 / 224;
    // libyuv keeps factors in 8 bits, so that 2 is the largest.
    int blue_cb = (int)(factors->blue_cb * chroma + 0.5);
    if (blue_cb > 128) blue_cb = 128;
    int green_cb = (int)(factors->green_cb * chroma + 0.5);
    int green_cr = (int)(factors->green_cr * chroma + 0.5);
    int red_cr = (int)(factors->red_cr * chroma + 0.5);
    double luma = is_full ? 1 : image->matrix == 9 ? 1.164384 : 1.164;
    uint32_t scale = (uint32_t)(luma * 64 * 65536 / 257 + 0.5);
    int offset = is_full ? 32 : -1160;
    int bits = image->planes[0].bits, kept = kept_bits(image);
    bool repeats = repeats_chroma(image);
    for (size_t x = 0; x < image->width; x++, out += step) {
        uint32_t value = (uint32_t)(sample(&image->planes[0], x, y) >> (bits - kept));
        // All bits of 16 are set for white.
        value = kept == 8 ? value * 257 : value << (16 - kept) | value >> (2 * kept - 16);
        int luma_part = (int)(value * scale >> 16) + offset;
        size_t far = far_column(image, x, repeats);
        int cb = mix_columns(cb_row, x / 2, far, kept - 8);
        int cr = mix_columns(cr_row, x / 2, far, kept - 8);
        out[0] = clamp_8((luma_part + red_cr * cr) >> 6);
        out[1] = clamp_8((luma_part - green_cb * cb - green_cr * cr) >> 6);
        out[2] = clamp_8((luma_part + blue_cb * cb) >> 6);
    }
}

// MARK: image

bool clip_ycbcr_convert(const clip_ycbcr *image, int channels, uint8_t *out, ptrdiff_t step_x,
                        ptrdiff_t step_y) {
    factors factors;
    if (!set_factors(image->matrix, &factors)) return false;
    size_t columns = ((size_t)image->width + 1) / 2;
    int32_t *mixed = malloc(2 * columns * sizeof *mixed);
    if (!mixed) return false;
    const clip_plane *alpha = &image->planes[3];
    for (size_t y = 0; y < image->height; y++) {
        uint8_t *row = out + (ptrdiff_t)y * step_y;
        mix_rows(image, 1, y, mixed, columns);
        mix_rows(image, 2, y, mixed + columns, columns);
        convert_row(image, &factors, y, mixed, mixed + columns, row, step_x);
        if (channels != 4) continue;
        for (size_t x = 0; x < image->width; x++, row += step_x) {
            row[3] = alpha->samples ? (uint8_t)(sample(alpha, x, y) >> (alpha->bits - 8)) : 255;
        }
    }
    free(mixed);
    return true;
}
