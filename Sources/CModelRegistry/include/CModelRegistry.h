// The registry of pretrained models and their published outputs: two JSON files, compiled in. The
// scripts in Scripts/registry/ write them.

#ifndef CMODELREGISTRY_H
#define CMODELREGISTRY_H

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

typedef struct {
    const uint8_t *start;
    size_t count;
} clip_registry_bytes;

clip_registry_bytes clip_registry_models(void);   // models.json
clip_registry_bytes clip_registry_answers(void);  // answers.json

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
