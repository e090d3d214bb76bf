// Products of rows with packed weights: y = activation(x Wᵀ + bias), or with y itself added before the
// activation.
//
// Numbers are read in words of four bytes: one float, two bfloat16 or four bytes. Weights are packed in
// panels of 32 outputs: for each word of the inputs, those of the 32 outputs side by side. An element
// of y is a sum over the words in an order that their number alone decides, whatever else is computed
// beside it and on however many threads, so that the result has the same bits in every batch.

#ifndef CPRODUCTS_H
#define CPRODUCTS_H

#include <stddef.h>
#include <stdint.h>

// Swift sees no optional pointers, but for those that may be NULL, and those that are set one by one.
#if defined(__clang__)
#pragma clang assume_nonnull begin
#define CLIP_NULLABLE _Nullable
#define CLIP_TO_BE_SET _Null_unspecified
#else
#define CLIP_NULLABLE
#define CLIP_TO_BE_SET
#endif

typedef enum {
    CLIP_IDENTITY,    // x
    CLIP_RELU,        // max(x, 0)
    CLIP_QUICK_GELU,  // x / (1 + exp(-1.702 x))
    CLIP_GELU,        // x / 2 * (1 + erf(x / sqrt(2)))
} clip_activation;

// The outputs in a panel, and the bytes of one word of all of them.
enum { CLIP_PANEL_OUTPUTS = 32, CLIP_PANEL_WORD = 128 };

// Rows and panels of other formats than float are filled with zeros to a multiple of so many words, of
// which matrix units take as many at a time.
enum { CLIP_WORDS_MULTIPLE = 16 };

typedef struct {
    // The rows of x: `lines` times `rows`, `row_stride` and `line_stride` bytes apart. Each is
    // `segments` times `words` words, `segment_stride` bytes apart. A plain matrix is one line of one
    // segment; a convolution of floats over a map with the channels last has a segment for each row
    // of its kernel.
    const void *CLIP_TO_BE_SET x;
    size_t rows, row_stride;
    size_t lines, line_stride;
    size_t words, segments, segment_stride;

    // The panels of W, one after the other, and how many outputs they hold; of the last panel not
    // all need exist.
    const void *CLIP_TO_BE_SET panels;
    size_t outputs;

    // Where the outputs go: float, or bfloat16 if y_is_bfloat16. The strides are in bytes.
    void *CLIP_TO_BE_SET y;
    size_t y_row_stride, y_line_stride;
    int y_is_bfloat16;
    int adding;  // of float only
    clip_activation activation;
    const float *CLIP_NULLABLE bias;

    // For bytes: x is scale * (byte - zero) by row (of one line), w is scale * byte by output, and
    // `sums` are the sums of the bytes of each output.
    const float *CLIP_NULLABLE row_scales;
    const int32_t *CLIP_NULLABLE row_zeros;
    const float *CLIP_NULLABLE output_scales;
    const int32_t *CLIP_NULLABLE output_sums;
} clip_product;

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
