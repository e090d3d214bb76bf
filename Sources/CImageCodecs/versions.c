#include "include/CImageCodecs.h"

#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#if defined(CLIP_WEBP)
#include <webp/decode.h>
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

// The version is that of the header: libjpeg has no function that returns it at run time.
const char *clip_jpeg_version(void) {
#if defined(LIBJPEG_TURBO_VERSION)
    return TEXT(LIBJPEG_TURBO_VERSION);
#else
    return TEXT(JPEG_LIB_VERSION);
#endif
}

const char *clip_png_version(void) {
    return png_get_libpng_ver(NULL);
}

int clip_webp_version(void) {
#if defined(CLIP_WEBP)
    return WebPGetDecoderVersion();
#else
    return 0;
#endif
}
