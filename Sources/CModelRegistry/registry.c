#include "CModelRegistry.h"

// #embed is C23. clang supports it in C17 too, as an extension with a warning.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t models[] = {
#embed "models.json"
};

static const uint8_t answers[] = {
#embed "answers.json"
};

#pragma clang diagnostic pop

clip_registry_bytes clip_registry_models(void) {
    return (clip_registry_bytes){models, sizeof(models)};
}

clip_registry_bytes clip_registry_answers(void) {
    return (clip_registry_bytes){answers, sizeof(answers)};
}
