// Decodes a file and writes its pixels, for codecs.py: a line of width, height, kind, bytes per
// pixel, orientation and size of the profile, the palette if it is indexed, and the samples. Prints
// the status and the message instead if decoding fails.

#include "CImageCodecs.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size > 0 ? (size_t)size : 1);
    if (!bytes || size < 0 || fread(bytes, 1, (size_t)size, file) != (size_t)size) return 2;
    fclose(file);
    clip_image_options options = {
        .max_pixels = 100000000, .memory_limit = 4ull << 30, .max_scans = 500};
    clip_image image;
    clip_image_status status = clip_image_decode(bytes, (size_t)size, &options, &image);
    if (status != CLIP_IMAGE_OK) {
        fprintf(stderr, "status %d %s\n", status, image.message);
        return 1;
    }
    printf("%u %u %d %d %d %zu\n", image.width, image.height, image.kind, image.channels,
           image.orientation, image.profile_count);
    if (image.kind == CLIP_IMAGE_INDEXED) fwrite(image.palette, 1, sizeof image.palette, stdout);
    fwrite(image.pixels, (size_t)image.channels, (size_t)image.width * image.height, stdout);
    clip_image_free(&image);
    free(bytes);
    return 0;
}
