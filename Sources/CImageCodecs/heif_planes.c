#include "heif.h"

#include <stdlib.h>

clip_heif_conversion clip_heif_choose(const heif_handle *handle, const uint8_t *bytes,
                                      size_t count) {
    clip_heif_conversion own = {0};
    if (!clip_heif_read_boxes(bytes, count, &own.boxes)) return own;
    if (own.boxes.chroma_columns != 2 || own.boxes.has_aperture) return own;
    heif_colours *colours = NULL;
    heif_status status = clip_libheif.image_handle_get_nclx_color_profile(handle, &colours);
    if (!colours) return own;
    own.matrix = colours->matrix;
    own.is_full_range = colours->is_full_range;
    clip_libheif.nclx_color_profile_free(colours);
    own.applies = status.code == 0 && clip_ycbcr_has_matrix(own.matrix);
    return own;
}

static bool set_plane(const heif_pixels *decoded, int channel, clip_plane *out) {
    int stride = 0;
    out->samples = clip_libheif.image_get_plane_readonly(decoded, channel, &stride);
    out->bits = clip_libheif.image_get_bits_per_pixel_range(decoded, channel);
    if (!out->samples || stride <= 0 || out->bits < 8 || out->bits > 16) return false;
    out->column = out->bits > 8 ? 2 : 1;
    out->row = (size_t)stride;
    size_t width = (size_t)clip_libheif.image_get_width(decoded, channel);
    return width <= (size_t)stride / out->column;
}

// Sets the planes of an image. They are native, or those of an RGB image of the identity matrix,
// where chroma is repeated.
static bool set_planes(const heif_pixels *decoded, const clip_heif_conversion *own,
                       clip_ycbcr *out) {
    static const int native[] = {CHANNEL_LUMA, CHANNEL_CB, CHANNEL_CR, CHANNEL_ALPHA};
    static const int identity[] = {CHANNEL_GREEN, CHANNEL_BLUE, CHANNEL_RED, CHANNEL_ALPHA};
    int space = clip_libheif.image_get_colorspace(decoded);
    int chroma = clip_libheif.image_get_chroma_format(decoded);
    bool is_identity = space == SPACE_RGB && chroma == CHROMA_444;
    if (!is_identity && (space != SPACE_YCBCR || chroma < CHROMA_420 || chroma > CHROMA_444)) {
        return false;
    }
    const int *channels = is_identity ? identity : native;
    uint32_t columns = chroma == CHROMA_444 ? 1 : 2, rows = chroma == CHROMA_420 ? 2 : 1;
    if (!is_identity && (columns != 2 || rows != (uint32_t)own->boxes.chroma_rows)) return false;
    int width = clip_libheif.image_get_width(decoded, channels[0]);
    int height = clip_libheif.image_get_height(decoded, channels[0]);
    if (width <= 0 || height <= 0) return false;
    *out = (clip_ycbcr){
        .width = (uint32_t)width, .height = (uint32_t)height,
        .chroma_rows = (uint32_t)own->boxes.chroma_rows, .matrix = own->matrix,
        .is_full_range = own->is_full_range,
    };
    for (int i = 0; i < 4; i++) {
        bool is_reduced = i == 1 || i == 2;
        int expected_width = is_reduced ? (int)((out->width + columns - 1) / columns) : width;
        int expected_height = is_reduced ? (int)((out->height + rows - 1) / rows) : height;
        if (i == 3 && clip_libheif.image_get_width(decoded, channels[i]) < 0) continue;
        if (clip_libheif.image_get_width(decoded, channels[i]) != expected_width ||
            clip_libheif.image_get_height(decoded, channels[i]) != expected_height ||
            !set_plane(decoded, channels[i], &out->planes[i]) ||
            (is_reduced && out->planes[i].bits != out->planes[0].bits)) {
            return false;
        }
        if (is_reduced && is_identity) {
            // The first of the repeated samples.
            out->planes[i].column *= (size_t)own->boxes.chroma_columns;
            out->planes[i].row *= (size_t)own->boxes.chroma_rows;
        }
    }
    return true;
}

// Where pixels are written: that of column x and row y has the offset
// `start + x * step_x + y * step_y`, counted in pixels of an image of this size.
typedef struct {
    ptrdiff_t width, height, start, step_x, step_y;
} placement;

// Places pixels that the file turns and mirrors.
static placement placed(const clip_ycbcr *image, const clip_heif_boxes *boxes) {
    ptrdiff_t w = image->width, h = image->height;
    // The column of a pixel is x[0] + x[1] * column + x[2] * row in the image, and y is its row.
    ptrdiff_t x[] = {0, 1, 0}, y[] = {0, 0, 1};
    for (size_t i = 0; i < boxes->turn_count; i++) {
        int turn = boxes->turns[i];
        if (turn == CLIP_HEIF_MIRROR) {
            for (int k = 0; k < 3; k++) y[k] = (k == 0 ? h - 1 : 0) - y[k];
        } else if (turn == CLIP_HEIF_MIRROR + 1) {
            for (int k = 0; k < 3; k++) x[k] = (k == 0 ? w - 1 : 0) - x[k];
        }
        for (; turn > 0 && turn < CLIP_HEIF_MIRROR; turn--) {
            for (int k = 0; k < 3; k++) {
                ptrdiff_t column = x[k];
                x[k] = y[k];
                y[k] = (k == 0 ? w - 1 : 0) - column;
            }
            ptrdiff_t width = w;
            w = h;
            h = width;
        }
    }
    return (placement){w, h, x[0] + y[0] * w, x[1] + y[1] * w, x[2] + y[2] * w};
}

static bool convert_planes(const heif_pixels *decoded, const clip_heif_conversion *own,
                           clip_image *out) {
    clip_ycbcr image;
    if (!set_planes(decoded, own, &image)) return false;
    placement place = placed(&image, &own->boxes);
    bool is_turned = place.width == out->height && place.height == out->width;
    if (!is_turned && (place.width != out->width || place.height != out->height)) return false;
    ptrdiff_t size = out->channels;
    if (!clip_ycbcr_convert(&image, out->channels, out->pixels + place.start * size,
                            place.step_x * size, place.step_y * size)) {
        return false;
    }
    out->width = (uint32_t)place.width;
    out->height = (uint32_t)place.height;
    return true;
}

bool clip_heif_decode_planes(const uint8_t *bytes, size_t count, const clip_heif_conversion *own,
                             clip_image *out) {
    size_t copy_count = 0;
    uint8_t *copy = clip_heif_copy(bytes, count, &own->boxes, &copy_count);
    heif_context *context = copy ? clip_libheif.context_alloc() : NULL;
    bool is_converted = false;
    if (context) {
        clip_libheif.context_set_max_decoding_threads(context, 0);
        heif_handle *handle = NULL;
        heif_pixels *decoded = NULL;
        heif_status outcome =
            clip_libheif.context_read_from_memory_without_copy(context, copy, copy_count, NULL);
        if (outcome.code == 0) {
            outcome = clip_libheif.context_get_primary_image_handle(context, &handle);
        }
        if (outcome.code == 0 && handle) {
            outcome = clip_libheif.decode_image(handle, &decoded, SPACE_OF_FILE, CHROMA_OF_FILE,
                                                NULL);
        }
        if (outcome.code == 0 && decoded) is_converted = convert_planes(decoded, own, out);
        if (decoded) clip_libheif.image_release(decoded);
        if (handle) clip_libheif.image_handle_release(handle);
        clip_libheif.context_free(context);
    }
    free(copy);
    return is_converted;
}
