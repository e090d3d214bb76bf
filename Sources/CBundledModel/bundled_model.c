#include "CBundledModel.h"

// #embed is C23. clang supports it in C17 too, as an extension with a warning.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t weights[] = {
#embed "../../Weights/tiny.safetensors"
};

static const uint8_t configuration[] = {
#embed "../../Weights/tiny.json"
};

static const uint8_t checksum[] = {
#embed "../../Weights/tiny.sha256"
};

#pragma clang diagnostic pop

clip_bundled_bytes clip_tiny_weights(void) {
    return (clip_bundled_bytes){weights, sizeof(weights)};
}

clip_bundled_bytes clip_tiny_configuration(void) {
    return (clip_bundled_bytes){configuration, sizeof(configuration)};
}

clip_bundled_bytes clip_tiny_checksum(void) {
    return (clip_bundled_bytes){checksum, sizeof(checksum)};
}
