#include "codecs.h"

#include <dlfcn.h>

void *clip_open_library(const char *const *names) {
    void *library = NULL;
    for (; *names && !library; names++) library = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
    return library;
}

void clip_unpremultiply(uint8_t *pixels, size_t count, int channels, bool clears) {
    for (uint8_t *pixel = pixels; count > 0; count--, pixel += channels) {
        unsigned alpha = pixel[channels - 1];
        if (alpha == 255 || (alpha == 0 && !clears)) continue;
        for (int i = 0; i < channels - 1; i++) {
            unsigned value = alpha ? 255u * pixel[i] / alpha : 0;
            pixel[i] = value > 255 ? 255 : (uint8_t)value;
        }
    }
}
