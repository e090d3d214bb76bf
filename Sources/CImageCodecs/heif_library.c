#include "heif.h"

#include <dlfcn.h>
#include <pthread.h>

heif_library clip_libheif;

static void load(void) {
    static const char *const names[] = {
#if defined(__APPLE__)
        "libheif.1.dylib",
#else
        "libheif.so.1",
#endif
        NULL,
    };
    void *library = clip_open_library(names);
    if (!library) return;
    bool found = true;
#define FIND(name) found &= (*(void **)&clip_libheif.name = dlsym(library, "heif_" #name)) != NULL
    FIND(get_version);
    FIND(get_version_number);
    FIND(init);
    FIND(context_alloc);
    FIND(context_free);
    FIND(context_set_max_decoding_threads);
    FIND(context_read_from_memory_without_copy);
    FIND(context_get_primary_image_handle);
    FIND(image_handle_release);
    FIND(image_handle_get_width);
    FIND(image_handle_get_height);
    FIND(image_handle_get_ispe_width);
    FIND(image_handle_get_ispe_height);
    FIND(image_handle_has_alpha_channel);
    FIND(image_handle_is_premultiplied_alpha);
    FIND(image_handle_get_luma_bits_per_pixel);
    FIND(image_handle_get_raw_color_profile_size);
    FIND(image_handle_get_raw_color_profile);
    FIND(image_handle_get_nclx_color_profile);
    FIND(nclx_color_profile_free);
    FIND(decoding_options_alloc);
    FIND(decoding_options_free);
    FIND(decode_image);
    FIND(image_release);
    FIND(image_get_colorspace);
    FIND(image_get_chroma_format);
    FIND(image_get_width);
    FIND(image_get_height);
    FIND(image_get_bits_per_pixel_range);
    FIND(image_get_plane_readonly);
#undef FIND
    // The version has one byte each for major, minor and revision, below the highest byte.
    if (!found || clip_libheif.get_version_number() < 0x010F0000) return;
    // Registers the decoders, which are plugins since 1.16.
    clip_libheif.is_there = clip_libheif.init(NULL).code == 0;
}

bool clip_heif_is_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return clip_libheif.is_there;
}

const char *clip_heif_version(void) {
    return clip_heif_is_available() ? clip_libheif.get_version() : NULL;
}
