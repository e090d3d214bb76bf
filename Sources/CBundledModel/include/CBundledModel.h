// The bundled model `tiny`, its configuration and its checksum: the files of Weights/, compiled in.

#ifndef CBUNDLEDMODEL_H
#define CBUNDLEDMODEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *start;
    size_t count;
} clip_bundled_bytes;

clip_bundled_bytes clip_tiny_weights(void);        // tiny.safetensors
clip_bundled_bytes clip_tiny_configuration(void);  // tiny.json
clip_bundled_bytes clip_tiny_checksum(void);       // tiny.sha256, in the format of sha256sum

#endif
