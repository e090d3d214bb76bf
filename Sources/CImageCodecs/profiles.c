#include "codecs.h"

#include <stdlib.h>
#include <string.h>

void clip_profile_set(clip_image *out, const uint8_t *bytes, size_t count) {
    if (out->profile || count == 0 || count > CLIP_LARGEST_PROFILE) return;
    out->profile = malloc(count);
    if (!out->profile) return;
    memcpy(out->profile, bytes, count);
    out->profile_count = count;
}

// The parts of a profile in a JPEG, in the order of their numbers. The number and the count are one
// byte each.
typedef struct {
    const uint8_t *bytes[256];
    size_t sizes[256];
    int count, found;
    size_t size;
} profile_parts;

// Adds an APP2 segment, without its marker and length. Returns false if it contradicts the segments
// before it.
static bool add(profile_parts *parts, const uint8_t *data, size_t size) {
    static const char name[] = "ICC_PROFILE";
    enum { HEADER = sizeof name + 2 };
    if (size < HEADER || memcmp(data, name, sizeof name) != 0) return true;
    int number = data[sizeof name], count = data[sizeof name + 1];
    if (parts->found == 0) parts->count = count;
    if (number < 1 || number > count || count != parts->count || parts->bytes[number]) return false;
    parts->bytes[number] = data + HEADER;
    parts->sizes[number] = size - HEADER;
    parts->size += size - HEADER;
    parts->found++;
    return parts->size <= CLIP_LARGEST_PROFILE;
}

void clip_jpeg_read_profile(const uint8_t *bytes, size_t count, clip_image *out) {
    profile_parts parts = {0};
    // The segments before the first scan.
    for (size_t i = 2; i + 1 < count;) {
        const uint8_t *mark = memchr(bytes + i, 0xFF, count - i - 1);
        if (!mark) break;
        uint8_t type = mark[1];
        i = (size_t)(mark - bytes) + 1;
        // Skip fill bytes, bytes between segments, and markers without a length.
        if (type == 0xFF) continue;
        i++;
        if (type == 0 || type == 1 || (type >= 0xD0 && type <= 0xD8)) continue;
        if (type == 0xD9 || type == 0xDA || count - i < 2) break;
        size_t length = (size_t)bytes[i] << 8 | bytes[i + 1];
        if (length < 2 || length > count - i) break;
        if (type == 0xE2 && !add(&parts, bytes + i + 2, length - 2)) return;
        i += length;
    }
    if (parts.found == 0 || parts.found != parts.count || parts.size == 0) return;
    out->profile = malloc(parts.size);
    if (!out->profile) return;
    for (int number = 1; number <= parts.count; number++) {
        memcpy(out->profile + out->profile_count, parts.bytes[number], parts.sizes[number]);
        out->profile_count += parts.sizes[number];
    }
}
