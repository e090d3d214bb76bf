// Matrix products with packed weights: y = activation(x Wᵀ + bias), or activation(y + x Wᵀ + bias).
//
// Numbers are read in words of four bytes: one float, two bfloat16 or four bytes. Weights are
// packed into panels of 32 outputs: for each input word, the words of the 32 outputs side by side.
// The order of the sum of an element of y depends only on the number of words. So its bits depend
// neither on the batch nor on the number of threads.

#ifndef CPRODUCTS_H
#define CPRODUCTS_H

#include <stddef.h>
#include <stdint.h>

// In Swift, pointers are optional only if they may be NULL. Pointers that the caller must set are
// implicitly unwrapped.
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
    CLIP_TANH_GELU,   // x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
} clip_activation;

// The number of outputs in a panel, and the size in bytes of one word of each.
enum { CLIP_PANEL_OUTPUTS = 32, CLIP_PANEL_WORD = 128 };

// Rows and panels of bfloat16 and bytes are padded with zeros to a multiple of this many words,
// which matrix units read at a time.
enum { CLIP_WORDS_MULTIPLE = 16 };

typedef struct {
    // The rows of x: `lines` lines of `rows` rows, `line_stride` and `row_stride` bytes apart. Each
    // row has `segments` segments of `words` words, `segment_stride` bytes apart. A plain matrix is
    // one line of one segment. A float convolution with the channels last has a segment for each
    // row of its kernel.
    const void *CLIP_TO_BE_SET x;
    size_t rows, row_stride;
    size_t lines, line_stride;
    size_t words, segments, segment_stride;

    // The panels of W, one after the other, and the number of outputs; the last panel may hold
    // fewer than 32.
    const void *CLIP_TO_BE_SET panels;
    size_t outputs;

    // The outputs: float, or bfloat16 if y_is_bfloat16. Strides are in bytes.
    void *CLIP_TO_BE_SET y;
    size_t y_row_stride, y_line_stride;
    int y_is_bfloat16;
    int adding;  // 1 to add to y, which must be float
    clip_activation activation;
    const float *CLIP_NULLABLE bias;

    // For int8: x is scale * (byte - zero), with a scale and a zero for each row of a single line;
    // W is scale * byte, with a scale for each output, the sum of whose bytes is in output_sums.
    const float *CLIP_NULLABLE row_scales;
    const int32_t *CLIP_NULLABLE row_zeros;
    const float *CLIP_NULLABLE output_scales;
    const int32_t *CLIP_NULLABLE output_sums;
} clip_product;

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
