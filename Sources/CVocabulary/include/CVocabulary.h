// The byte-pair merges of CLIP's vocabulary and the character references of HTML 5, as constant
// tables in the binary: nothing is read, parsed or allocated at start-up, and every function may
// be called from any thread. Scripts/vocabulary/make_vocabulary.py writes the tables.

#ifndef CVOCABULARY_H
#define CVOCABULARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The id of the token that the two tokens merge into, or -1 when they do not merge. Ids are ordered
// by rank: of two merges, the one with the lower id comes first.
int32_t clip_vocabulary_merge(uint16_t left, uint16_t right);

// The two tokens that the token `id`, which must be in 512..<49406, is made of.
void clip_vocabulary_parts(uint16_t id, uint16_t *left, uint16_t *right);

// Looks up an HTML 5 character reference by its exact name: the bytes after the '&', with the ';'
// where the name has one ("amp" and "amp;" are different names). Returns how many code points it
// stands for (1 or 2) and stores them, or returns 0 and stores nothing when there is no such name.
size_t clip_html_entity(const uint8_t *name, size_t length, uint32_t code_points[2]);

#ifdef __cplusplus
}
#endif

#endif
