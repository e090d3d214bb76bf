// The byte-pair merges of CLIP's vocabulary, the character references of HTML 5, what tells text in
// a wrong encoding, and Unicode's normal form C, as constant tables in the binary: nothing is read,
// parsed or allocated at start-up, and every function may be called from any thread.
// Scripts/vocabulary/ has what writes the tables.

#ifndef CVOCABULARY_H
#define CVOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The id of the token that the two tokens merge into, or -1 when they do not merge. Ids are ordered
// by rank: of two merges, the one with the lower id comes first.
int32_t clip_vocabulary_merge(uint16_t left, uint16_t right);

// The id of the merged token that a whole word becomes, or -1 if it is one byte or becomes several.
int32_t clip_vocabulary_word(const uint8_t *bytes, size_t count);

// The two tokens that the token `id`, which must be in 512..<49406, is made of.
void clip_vocabulary_parts(uint16_t id, uint16_t *left, uint16_t *right);

// Looks up an HTML 5 character reference by its exact name: the bytes after the '&', with the ';'
// where the name has one ("amp" and "amp;" are different names). Returns how many code points it
// stands for (1 or 2) and stores them, or returns 0 and stores nothing when there is no such name.
size_t clip_html_entity(const uint8_t *name, size_t length, uint32_t code_points[2]);

// How many encodings of one byte a character there are, besides Latin-1: Windows-1252, -1251, -1250,
// -1253, -1254, -1257, ISO 8859-2, MacRoman and code page 437, in the order in which they are tried.
// The first clip_mojibake_windows leave no byte free, and have 0x1A for U+FFFD.
enum { clip_mojibake_encodings = 9, clip_mojibake_windows = 6 };

// The byte from 0x80, or 0x1A, that stands for a character in an encoding; 0 if there is none.
uint8_t clip_mojibake_byte(uint32_t scalar, size_t encoding);

// The sets of characters that a character is in, for the rules below: bits 0 to 63, and from 64 on;
// and the rules that it may begin.
typedef struct {
    uint64_t low, high, rules;
} clip_mojibake_sets;
clip_mojibake_sets clip_mojibake_sets_of(uint32_t scalar);

// A sequence of characters that tells text in a wrong encoding, or 0 after the last: the number of
// the set of each from the lowest byte on, 0xFF after them, before them 0xFE if the text begins there.
uint64_t clip_mojibake_rule(size_t index);

// Whether Unicode's normal form C may change a character or join it with those before it.
bool clip_composition_may_change(uint32_t scalar);

// A character's canonical decomposition into two, or one and 0; false if it has none. Syllables of
// Hangul are not in the table.
bool clip_composition_parts(uint32_t scalar, uint32_t *first, uint32_t *second);

// The character that two are composed to, or 0.
uint32_t clip_composition_of(uint32_t first, uint32_t second);

#ifdef __cplusplus
}
#endif

#endif
