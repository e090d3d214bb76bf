#include "tiff.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// MARK: libtiff, loaded at run time

tiff_library clip_tiff;

static void load(void) {
    static const char *const names[] = {
#if defined(__APPLE__)
        "libtiff.6.dylib", "libtiff.5.dylib",
#else
        "libtiff.so.6", "libtiff.so.5",
#endif
        NULL,
    };
    void *library = clip_open_library(names);
    if (!library) return;
    bool found = true;
#define FIND(name) ((*(void **)&clip_tiff.name = dlsym(library, "TIFF" #name)) != NULL)
    found &= FIND(GetVersion);
    found &= FIND(ClientOpen);
    found &= FIND(Close);
    found &= FIND(GetField);
    found &= FIND(GetFieldDefaulted);
    found &= FIND(SetField);
    found &= FIND(IsTiled);
    found &= FIND(IsCODECConfigured);
    found &= FIND(ScanlineSize64);
    found &= FIND(TileSize64);
    found &= FIND(ComputeStrip);
    found &= FIND(ComputeTile);
    found &= FIND(ReadEncodedStrip);
    found &= FIND(ReadEncodedTile);
    found &= FIND(ReadRGBAStrip);
    found &= FIND(ReadRGBATile);
    found &= FIND(SetErrorHandler);
    found &= FIND(SetWarningHandler);
    (void)FIND(ReadRGBAStripExt);
    (void)FIND(ReadRGBATileExt);
    (void)FIND(OpenOptionsSetMaxCumulatedMemAlloc);
    bool has_options = FIND(OpenOptionsAlloc) && FIND(OpenOptionsFree) &&
                       FIND(OpenOptionsSetMaxSingleMemAlloc) &&
                       FIND(OpenOptionsSetErrorHandlerExtR) &&
                       FIND(OpenOptionsSetWarningHandlerExtR) && FIND(ClientOpenExt);
#undef FIND
    if (!found) return;
    if (!has_options) {
        // Before 4.5 the handlers, which print by default, are those of the process.
        clip_tiff.ClientOpenExt = NULL;
        clip_tiff.SetErrorHandler(NULL);
        clip_tiff.SetWarningHandler(NULL);
    }
    // For example "LIBTIFF, Version 4.5.0", followed by lines of copyright.
    const char *text = clip_tiff.GetVersion(), *start = strstr(text, "Version ");
    start = start ? start + strlen("Version ") : text;
    snprintf(clip_tiff.version, sizeof clip_tiff.version, "%.*s", (int)strcspn(start, "\n "),
             start);
    clip_tiff.is_there = true;
}

bool clip_tiff_is_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return clip_tiff.is_there;
}

const char *clip_tiff_version(void) { return clip_tiff_is_available() ? clip_tiff.version : NULL; }

// MARK: the file in memory

static tiff_size read_bytes(void *context, void *buffer, tiff_size size) {
    tiff_source *file = context;
    uint64_t rest = file->position < file->count ? file->count - file->position : 0;
    if (size < 0) return 0;
    if ((uint64_t)size > rest) {
        file->is_short = true;
        size = (tiff_size)rest;
    }
    memcpy(buffer, file->bytes + file->position, (size_t)size);
    file->position += (uint64_t)size;
    return size;
}

static tiff_size write_bytes(void *context, void *buffer, tiff_size size) {
    (void)context, (void)buffer, (void)size;
    return 0;
}

static uint64_t seek_bytes(void *context, uint64_t offset, int origin) {
    tiff_source *file = context;
    switch (origin) {
    case SEEK_CUR: offset += file->position; break;
    case SEEK_END: offset += file->count; break;
    default: break;
    }
    // A position after the end is limited to it: nothing can be read there.
    file->position = offset < file->count ? offset : file->count;
    return offset;
}

static int close_bytes(void *context) {
    (void)context;
    return 0;
}

static uint64_t count_bytes(void *context) { return ((tiff_source *)context)->count; }

// Keeps the first message, which is about the cause.
static int take_error(tiff_file *file, void *context, const char *module, const char *format,
                      va_list values) {
    (void)file, (void)module;
    clip_image *image = context;
    if (image->message[0] == 0) {
        vsnprintf(image->message, sizeof image->message, format, values);
    }
    return 1;  // do not call the handler of the process, too
}

static int ignore_warning(tiff_file *file, void *context, const char *module, const char *format,
                          va_list values) {
    (void)file, (void)context, (void)module, (void)format, (void)values;
    return 1;
}

// "m": libtiff calls read_bytes instead of mapping the file.
tiff_file *clip_tiff_open(tiff_source *from, const clip_image_options *options) {
    if (!clip_tiff.ClientOpenExt) {
        return clip_tiff.ClientOpen("", "rm", from, read_bytes, write_bytes, seek_bytes,
                                    close_bytes, count_bytes, NULL, NULL);
    }
    tiff_options *choices = clip_tiff.OpenOptionsAlloc();
    if (!choices) return NULL;
    // Directories are read before the size of the image is known; they need a little in any case.
    uint64_t limit = options->memory_limit < INT64_MAX ? options->memory_limit : INT64_MAX;
    if (limit < 1 << 20) limit = 1 << 20;
    clip_tiff.OpenOptionsSetMaxSingleMemAlloc(choices, (tiff_size)limit);
    if (clip_tiff.OpenOptionsSetMaxCumulatedMemAlloc) {
        clip_tiff.OpenOptionsSetMaxCumulatedMemAlloc(choices, (tiff_size)limit);
    }
    clip_tiff.OpenOptionsSetErrorHandlerExtR(choices, take_error, from->image);
    clip_tiff.OpenOptionsSetWarningHandlerExtR(choices, ignore_warning, NULL);
    tiff_file *file = clip_tiff.ClientOpenExt("", "rm", from, read_bytes, write_bytes, seek_bytes,
                                              close_bytes, count_bytes, NULL, NULL, choices);
    clip_tiff.OpenOptionsFree(choices);
    return file;
}
