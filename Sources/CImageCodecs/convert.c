#include "codecs.h"

// Returns a * b / 255, rounded as Pillow does.
static uint8_t product(uint32_t a, uint32_t b) {
    uint32_t p = a * b + 128;
    return (uint8_t)((p + (p >> 8)) >> 8);
}

// Converts a CMYK ink to an RGB value as Pillow does, without a colour profile.
static uint8_t without_ink(uint8_t ink, uint8_t black) {
    uint8_t white = 255 - black, absorbed = product(ink, white);
    return absorbed > white ? 0 : white - absorbed;
}

// Composites a colour on white, rounded as Pillow's alpha_composite.
static uint8_t on_white(uint32_t colour, uint32_t opacity) {
    uint32_t sum = (colour * opacity + 255 * (255 - opacity) + 0x80) << 7;
    return (uint8_t)(((sum >> 8) + sum) >> 8 >> 7);
}

static void set(uint8_t *out, uint8_t red, uint8_t green, uint8_t blue) {
    out[0] = red;
    out[1] = green;
    out[2] = blue;
}

// Runs the statements for each of n pixels, with pointers `s` to the source and `o` to the result,
// and returns from the function.
#define EACH(...)                                                             \
    do {                                                                      \
        for (size_t i = 0; i < n; i++, s += step, o += out_step) { __VA_ARGS__; } \
        return;                                                               \
    } while (0)

// Writes the CLIP_VIEW_COLOURS of n pixels.
static void colours(const clip_pixels *p, const uint8_t *s, ptrdiff_t step, uint8_t *o,
                    ptrdiff_t out_step, size_t n) {
    switch (p->kind) {
    case CLIP_IMAGE_RGB:
    case CLIP_IMAGE_RGBA:
        if (p->channels < 3) EACH(set(o, s[0], s[0], s[0]));
        EACH(set(o, s[0], s[1], s[2]));
    case CLIP_IMAGE_INDEXED:
        EACH(const uint8_t *e = p->palette + 4 * s[0]; set(o, e[0], e[1], e[2]));
    case CLIP_IMAGE_CMYK:
        EACH(set(o, without_ink(s[0], s[3]), without_ink(s[1], s[3]), without_ink(s[2], s[3])));
    case CLIP_IMAGE_GREY16: EACH(uint8_t grey = s[0] ? 255 : s[1]; set(o, grey, grey, grey));
    }
}

// Converts n pixels that are `step` bytes apart to pixels that are `out_step` bytes apart.
static void convert(const clip_pixels *p, clip_view view, const uint8_t *s, ptrdiff_t step,
                    uint8_t *o, ptrdiff_t out_step, size_t n) {
    bool is_indexed = p->kind == CLIP_IMAGE_INDEXED;
    bool has_alpha = p->kind == CLIP_IMAGE_RGBA || p->has_mask;
    int last = p->channels - 1, green = p->channels < 3 ? 0 : 1, blue = p->channels < 3 ? 0 : 2;
    switch (view) {
    case CLIP_VIEW_COLOURS: break;
    case CLIP_VIEW_PREMULTIPLIED:
        if (!has_alpha || is_indexed) break;
        EACH(uint8_t a = s[last];
             set(o, product(s[0], a), product(s[green], a), product(s[blue], a)));
    case CLIP_VIEW_ALPHA:
        if (!has_alpha) EACH(set(o, 255, 255, 255));
        if (is_indexed) EACH(uint8_t a = p->palette[4 * s[0] + 3]; set(o, a, a, a));
        EACH(set(o, s[last], s[last], s[last]));
    case CLIP_VIEW_ON_WHITE:
        if (!has_alpha) break;
        if (is_indexed) {
            EACH(const uint8_t *e = p->palette + 4 * s[0];
                 set(o, on_white(e[0], e[3]), on_white(e[1], e[3]), on_white(e[2], e[3])));
        }
        EACH(uint8_t a = s[last];
             set(o, on_white(s[0], a), on_white(s[green], a), on_white(s[blue], a)));
    case CLIP_VIEW_INKS: EACH(set(o, s[0], s[1], s[2]));
    case CLIP_VIEW_BLACK: EACH(set(o, s[3], s[3], s[3]));
    }
    colours(p, s, step, o, out_step, n);
}

// True if the image is rotated by 90 degrees, so that its rows are columns in memory.
static bool is_sideways(const clip_pixels *p) { return p->step_x != 1 && p->step_x != -1; }

static const uint8_t *address(const clip_pixels *p, size_t x, size_t y) {
    return p->samples +
           p->channels * (p->start + (ptrdiff_t)x * p->step_x + (ptrdiff_t)y * p->step_y);
}

void clip_pixels_copy(const clip_pixels *pixels, clip_view view, size_t column, size_t columns,
                      size_t row, size_t rows, uint8_t *out) {
    // Walks along the rows of the source, which are contiguous in memory. They are the columns of a
    // result that is rotated by 90 degrees.
    if (is_sideways(pixels)) {
        for (size_t x = 0; x < columns; x++) {
            convert(pixels, view, address(pixels, column + x, row),
                    pixels->step_y * pixels->channels, out + 3 * x, (ptrdiff_t)(3 * columns), rows);
        }
    } else {
        for (size_t y = 0; y < rows; y++) {
            convert(pixels, view, address(pixels, column, row + y),
                    pixels->step_x * pixels->channels, out + 3 * y * columns, 3, columns);
        }
    }
}

void clip_pixels_copy_16(const clip_pixels *pixels, size_t column, size_t columns, size_t row,
                         size_t rows, uint16_t *out) {
    for (size_t y = 0; y < rows; y++) {
        const uint8_t *s = address(pixels, column, row + y);
        for (size_t x = 0; x < columns; x++, s += pixels->step_x * pixels->channels) {
            *out++ = (uint16_t)(s[0] << 8 | s[1]);
        }
    }
}
