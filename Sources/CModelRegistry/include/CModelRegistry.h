// The pretrained weights that are known, and what they are known to answer, compiled in: JSON, written by
// Scripts/registry/.

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

clip_registry_bytes clip_registry_models(void);
clip_registry_bytes clip_registry_answers(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
