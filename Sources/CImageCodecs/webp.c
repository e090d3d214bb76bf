#include "codecs.h"

#include <stdio.h>
#include <string.h>

#ifdef CLIP_WEBP

#include <webp/decode.h>
#include <webp/demux.h>

// The first frame of an animation, on its canvas.
static clip_picture_status decode_animation(WebPData data, clip_picture *out) {
    WebPAnimDecoderOptions options;
    if (!WebPAnimDecoderOptionsInit(&options)) return CLIP_PICTURE_UNSUPPORTED;
    options.color_mode = MODE_RGBA;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    uint8_t *canvas = NULL;
    int timestamp = 0;
    clip_picture_status status = CLIP_PICTURE_DAMAGED;
    if (decoder && WebPAnimDecoderGetNext(decoder, &canvas, &timestamp)) {
        size_t n = (size_t)out->width * out->height;
        size_t channels = (size_t)clip_picture_pixel_size(out);
        for (size_t i = 0; i < n; i++) {
            memcpy(out->pixels + channels * i, canvas + 4 * i, channels);
        }
        status = CLIP_PICTURE_OK;
    }
    WebPAnimDecoderDelete(decoder);
    if (status != CLIP_PICTURE_OK) {
        snprintf(out->message, sizeof out->message, "its first frame cannot be decoded");
    }
    return status;
}

static void read_orientation(const WebPData *data, clip_picture *out) {
    WebPDemuxer *demuxer = WebPDemux(data);
    WebPChunkIterator chunk;
    if (demuxer && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        const uint8_t *exif = chunk.chunk.bytes;
        size_t size = chunk.chunk.size;
        // Some writers keep JPEG's prefix.
        size_t prefix = size > 6 && memcmp(exif, "Exif\0\0", 6) == 0 ? 6 : 0;
        out->orientation = clip_exif_orientation(exif + prefix, size - prefix);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
}

static clip_picture_status failure(VP8StatusCode code, clip_picture *out) {
    switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA: return CLIP_PICTURE_TRUNCATED;
    case VP8_STATUS_OUT_OF_MEMORY: return CLIP_PICTURE_OUT_OF_MEMORY;
    default:
        snprintf(out->message, sizeof out->message, "libwebp's status %d", (int)code);
        return CLIP_PICTURE_DAMAGED;
    }
}

clip_picture_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_picture_options *options, clip_picture *out) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return CLIP_PICTURE_UNSUPPORTED;
    VP8StatusCode code = WebPGetFeatures(bytes, count, &config.input);
    if (code != VP8_STATUS_OK) return failure(code, out);
    clip_picture_status status = clip_picture_allocate(
        out, (uint32_t)config.input.width, (uint32_t)config.input.height,
        config.input.has_alpha ? CLIP_PICTURE_RGBA : CLIP_PICTURE_RGB, false, options);
    if (status != CLIP_PICTURE_OK) return status;

    WebPData data = {.bytes = bytes, .size = count};
    read_orientation(&data, out);
    if (config.input.has_animation) return decode_animation(data, out);

    size_t stride = (size_t)out->width * (size_t)clip_picture_pixel_size(out);
    config.output.colorspace = out->kind == CLIP_PICTURE_RGBA ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->pixels;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * out->height;
    code = WebPDecode(bytes, count, &config);
    return code == VP8_STATUS_OK ? CLIP_PICTURE_OK : failure(code, out);
}

#else

clip_picture_status clip_decode_webp(const uint8_t *bytes, size_t count,
                                     const clip_picture_options *options, clip_picture *out) {
    (void)bytes, (void)count, (void)options;
    snprintf(out->message, sizeof out->message, "WebP (built without the trait WebP)");
    return CLIP_PICTURE_UNSUPPORTED;
}

#endif
