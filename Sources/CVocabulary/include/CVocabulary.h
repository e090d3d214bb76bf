// Constant tables in the binary: the byte-pair merges of CLIP's vocabulary, the character
// references of HTML 5, the rules that detect mojibake (text decoded with a wrong encoding), and
// Unicode's normal form C. Nothing is read, parsed or allocated at start-up, and every function may
// be called from any thread. The scripts in Scripts/vocabulary/ write the tables.

#ifndef CVOCABULARY_H
#define CVOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Returns the id of the token that two tokens merge into; -1 if they do not merge. Ids are ordered
// by rank: BPE applies the merge with the lowest id first.
int32_t clip_vocabulary_merge(uint16_t left, uint16_t right);

// Returns the id of the merged token for a whole word; -1 if the word is a single byte or consists
// of several tokens.
int32_t clip_vocabulary_word(const uint8_t *bytes, size_t count);

// Stores the two tokens whose merge is the token `id`, which must be in 512..<49406.
void clip_vocabulary_parts(uint16_t id, uint16_t *left, uint16_t *right);

// Looks up an HTML 5 character reference by its exact name: the bytes after the '&', with the ';'
// if the name has one ("amp" and "amp;" are different names). Stores its code points and returns
// their number, 1 or 2; returns 0 and stores nothing if there is no such name.
size_t clip_html_entity(const uint8_t *name, size_t length, uint32_t code_points[2]);

// The number of single-byte encodings besides Latin-1: Windows-1252, -1251, -1250, -1253, -1254,
// -1257, ISO 8859-2, MacRoman and code page 437, in the order in which they are tried. The first
// clip_mojibake_windows assign a character to every byte, and encode U+FFFD as 0x1A.
enum { clip_mojibake_encodings = 9, clip_mojibake_windows = 6 };

// Returns the byte of a character in an encoding: 0x80 or above, or 0x1A; 0 if it has none.
uint8_t clip_mojibake_byte(uint32_t scalar, size_t encoding);

// The character sets to which a character belongs, and the rules whose sequences it may begin, as
// bit masks: the sets 0 to 63, the sets from 64 on, and the rules.
typedef struct {
    uint64_t low, high, rules;
} clip_mojibake_sets;
clip_mojibake_sets clip_mojibake_sets_of(uint32_t scalar);

// Returns a rule, a sequence of character sets that occurs in mojibake; 0 after the last rule. From
// the lowest byte on, the rule has the number of the set of each character, then 0xFF. If the first
// byte is 0xFE, the rule holds at the beginning of the text only.
uint64_t clip_mojibake_rule(size_t index);

// Returns true if normalisation to form C may change a character or compose it with those before
// it.
bool clip_composition_may_change(uint32_t scalar);

// Stores the canonical decomposition of a character: two characters, or one and 0. Returns false if
// it has none. Hangul syllables are not in the table.
bool clip_composition_parts(uint32_t scalar, uint32_t *first, uint32_t *second);

// Returns the canonical composition of two characters; 0 if they do not compose.
uint32_t clip_composition_of(uint32_t first, uint32_t second);

#ifdef __cplusplus
}
#endif

#endif
