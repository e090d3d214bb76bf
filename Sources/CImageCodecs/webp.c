#include "codecs.h"

#include <stdio.h>
#include <string.h>

#ifdef CLIP_WEBP

#include <webp/decode.h>
#include <webp/demux.h>

// Decodes one frame into the pixels of `out`, with its upper left corner at (x, y).
static VP8StatusCode decode_pixels(WebPDecoderConfig *config, const uint8_t *bytes,
                                         size_t count, clip_image *out, size_t x, size_t y) {
    size_t channels = (size_t)out->channels, stride = out->width * channels;
    config->output.colorspace = out->kind == CLIP_IMAGE_RGBA ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = out->pixels + y * stride + x * channels;
    config->output.u.RGBA.stride = (int)stride;
    config->output.u.RGBA.size = stride * (out->height - y) - x * channels;
    return WebPDecode(bytes, count, config);
}

// Decodes the first frame of an animation onto its canvas, which is transparent black.
static clip_image_status decode_animation(WebPData data, clip_image *out) {
    WebPDemuxer *demuxer = WebPDemux(&data);
    WebPIterator frame;
    WebPDecoderConfig config;
    VP8StatusCode code = VP8_STATUS_BITSTREAM_ERROR;
    if (demuxer && WebPDemuxGetFrame(demuxer, 1, &frame)) {
        if (WebPInitDecoderConfig(&config) && frame.x_offset >= 0 && frame.y_offset >= 0 &&
            (uint32_t)(frame.x_offset + frame.width) <= out->width &&
            (uint32_t)(frame.y_offset + frame.height) <= out->height) {
            code = decode_pixels(&config, frame.fragment.bytes, frame.fragment.size, out,
                                 (size_t)frame.x_offset, (size_t)frame.y_offset);
        }
        WebPDemuxReleaseIterator(&frame);
    }
    WebPDemuxDelete(demuxer);
    if (code == VP8_STATUS_OK) return CLIP_IMAGE_OK;
    if (code == VP8_STATUS_OUT_OF_MEMORY) return CLIP_IMAGE_OUT_OF_MEMORY;
    snprintf(out->message, sizeof out->message, "its first frame cannot be decoded");
    return CLIP_IMAGE_DAMAGED;
}

// Reads the orientation as Pillow does, from the EXIF block or, if that has none, the XMP packet;
// and the ICC profile, if it is asked for.
static void read_metadata(const WebPData *data, bool reads_profile, clip_image *out) {
    WebPDemuxer *demuxer = WebPDemux(data);
    WebPChunkIterator chunk;
    out->orientation = 0;
    if (demuxer && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        const uint8_t *exif = chunk.chunk.bytes;
        size_t size = chunk.chunk.size;
        // Some writers keep the prefix that EXIF has in a JPEG.
        size_t prefix = size > 6 && memcmp(exif, "Exif\0\0", 6) == 0 ? 6 : 0;
        out->orientation = clip_exif_orientation(exif + prefix, size - prefix);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (demuxer && out->orientation == 0 && WebPDemuxGetChunk(demuxer, "XMP ", 1, &chunk)) {
        out->orientation = clip_xmp_orientation(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (demuxer && reads_profile && WebPDemuxGetChunk(demuxer, "ICCP", 1, &chunk)) {
        clip_profile_set(out, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
}

static clip_image_status failure(VP8StatusCode code, clip_image *out) {
    switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA: return CLIP_IMAGE_TRUNCATED;
    case VP8_STATUS_OUT_OF_MEMORY: return CLIP_IMAGE_OUT_OF_MEMORY;
    default:
        snprintf(out->message, sizeof out->message, "libwebp's status %d", (int)code);
        return CLIP_IMAGE_DAMAGED;
    }
}

// Returns the number of bytes that libwebp needs in addition to the result, estimated from the
// header.
static uint64_t working_memory(const WebPBitstreamFeatures *input) {
    enum { LOSSY = 1 };
    uint64_t pixels = (uint64_t)input->width * (uint64_t)input->height;
    uint64_t rows = 128 * (uint64_t)input->width + (1 << 20);
    // Lossless pixels are 32 bits, and the Huffman codes add one value per 16 pixels. The frames of
    // an animation may be lossy or lossless. The alpha of a lossy image is a plane of bytes that
    // may be compressed as lossless pixels are. The header does not state the number of Huffman
    // code groups, so that they are left out: memory for the 65,536 that a crafted file can have
    // would not fit, and ordinary images would be refused.
    if (input->format != LOSSY || input->has_animation) rows += 5 * pixels;
    if (input->has_alpha && input->format == LOSSY) rows += 5 * pixels;
    return rows;
}

clip_image_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return CLIP_IMAGE_UNSUPPORTED;
    VP8StatusCode code = WebPGetFeatures(bytes, count, &config.input);
    if (code != VP8_STATUS_OK) return failure(code, out);
    bool has_alpha = config.input.has_alpha;
    clip_image_layout layout = {
        .width = (uint32_t)config.input.width, .height = (uint32_t)config.input.height,
        .kind = has_alpha ? CLIP_IMAGE_RGBA : CLIP_IMAGE_RGB, .channels = has_alpha ? 4 : 3,
    };
    layout.working_memory = working_memory(&config.input);
    clip_image_status status = clip_image_allocate(out, &layout, options);
    if (status != CLIP_IMAGE_OK) return status;

    WebPData data = {.bytes = bytes, .size = count};
    read_metadata(&data, options->reads_profile, out);
    if (config.input.has_animation) return decode_animation(data, out);
    code = decode_pixels(&config, bytes, count, out, 0, 0);
    return code == VP8_STATUS_OK ? CLIP_IMAGE_OK : failure(code, out);
}

#else

clip_image_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_image_options *options, clip_image *out) {
    (void)bytes, (void)count, (void)options;
    snprintf(out->message, sizeof out->message, "WebP (built without the trait WebP)");
    return CLIP_IMAGE_UNSUPPORTED;
}

#endif
