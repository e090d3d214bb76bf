// Declarations that the files about HEIF share.

#ifndef HEIF_H
#define HEIF_H

#include "codecs.h"

// The part of libheif's interface that is used. It has been stable since 1.15; later versions add
// members at the end of structures.
typedef struct heif_context heif_context;
typedef struct heif_handle heif_handle;
typedef struct heif_pixels heif_pixels;

typedef struct {
    int code, subcode;
    const char *message;
} heif_status;

enum {
    STATUS_UNSUPPORTED_FILE = 3, STATUS_UNSUPPORTED_FEATURE = 4, STATUS_NO_MEMORY = 6,
    SUBSTATUS_END_OF_DATA = 100, SUBSTATUS_LIMIT_EXCEEDED = 1000,
    SPACE_YCBCR = 0, SPACE_RGB = 1, SPACE_OF_FILE = 99,
    CHROMA_420 = 1, CHROMA_444 = 3, CHROMA_RGB = 10, CHROMA_RGBA = 11, CHROMA_OF_FILE = 99,
    CHANNEL_LUMA = 0, CHANNEL_CB = 1, CHANNEL_CR = 2, CHANNEL_RED = 3, CHANNEL_GREEN = 4,
    CHANNEL_BLUE = 5, CHANNEL_ALPHA = 6, CHANNEL_INTERLEAVED = 10,
};

// The beginning of the options of decoding, which libheif allocates.
typedef struct {
    uint8_t version, ignores_transformations;
    void *progress[4];
    uint8_t reduces_to_8_bits;  // since version 2 of the structure
} heif_options;

// The beginning of the colours by numbers of ITU-T H.273, nclx.
typedef struct {
    uint8_t version;
    int primaries, transfer, matrix;
    uint8_t is_full_range;
} heif_colours;

// The functions of libheif.
typedef struct {
    bool is_there;
    const char *(*get_version)(void);
    uint32_t (*get_version_number)(void);
    heif_status (*init)(void *);  // since 1.13
    heif_context *(*context_alloc)(void);
    void (*context_free)(heif_context *);
    void (*context_set_max_decoding_threads)(heif_context *, int);  // since 1.13
    heif_status (*context_read_from_memory_without_copy)(heif_context *, const void *, size_t,
                                                         const void *);
    heif_status (*context_get_primary_image_handle)(heif_context *, heif_handle **);
    void (*image_handle_release)(const heif_handle *);
    int (*image_handle_get_width)(const heif_handle *);
    int (*image_handle_get_height)(const heif_handle *);
    int (*image_handle_get_ispe_width)(const heif_handle *);
    int (*image_handle_get_ispe_height)(const heif_handle *);
    int (*image_handle_has_alpha_channel)(const heif_handle *);
    int (*image_handle_is_premultiplied_alpha)(const heif_handle *);  // since 1.12
    int (*image_handle_get_luma_bits_per_pixel)(const heif_handle *);
    size_t (*image_handle_get_raw_color_profile_size)(const heif_handle *);
    heif_status (*image_handle_get_raw_color_profile)(const heif_handle *, void *);
    heif_status (*image_handle_get_nclx_color_profile)(const heif_handle *, heif_colours **);
    void (*nclx_color_profile_free)(heif_colours *);
    heif_options *(*decoding_options_alloc)(void);
    void (*decoding_options_free)(heif_options *);
    heif_status (*decode_image)(const heif_handle *, heif_pixels **, int, int,
                                const heif_options *);
    void (*image_release)(const heif_pixels *);
    int (*image_get_colorspace)(const heif_pixels *);
    int (*image_get_chroma_format)(const heif_pixels *);
    int (*image_get_width)(const heif_pixels *, int);
    int (*image_get_height)(const heif_pixels *, int);
    int (*image_get_bits_per_pixel_range)(const heif_pixels *, int);
    const uint8_t *(*image_get_plane_readonly)(const heif_pixels *, int, int *);
} heif_library;

// What clip_heif_is_available loads.
extern heif_library clip_libheif;
bool clip_heif_is_available(void);

// How an AVIF with reduced chroma becomes RGB if not by libheif, which repeats chroma samples.
// libavif, which Pillow uses, interpolates them. It applies to files that state nclx colours.
typedef struct {
    bool applies;
    int matrix;
    bool is_full_range;
    clip_heif_boxes boxes;
} clip_heif_conversion;

clip_heif_conversion clip_heif_choose(const heif_handle *handle, const uint8_t *bytes,
                                      size_t count);
// Decodes the planes and converts them. Returns false if that fails: libheif then converts.
bool clip_heif_decode_planes(const uint8_t *bytes, size_t count, const clip_heif_conversion *own,
                             clip_image *out);

#endif
