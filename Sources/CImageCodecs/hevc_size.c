#include "codecs.h"

#include <string.h>

// The sizes that an HEIF file states: in its boxes, and in the sequence parameter sets of its HEVC
// streams (ITU-T H.265, 7.3.2.2). libheif trusts the first and the decoder allocates the second, so
// that a small file could take gigabytes.

// MARK: bits of a NAL unit

typedef struct {
    const uint8_t *bytes;
    size_t count, offset;
    unsigned zeros;  // the number of zero bytes before offset
    unsigned byte, bits;  // the current byte and the number of its bits that are left
    bool failed;
} nal_reader;

static unsigned read_bit(nal_reader *reader) {
    if (reader->bits == 0) {
        // The 3 in 0 0 3 prevents a start code, and is no data.
        if (reader->zeros >= 2 && reader->offset < reader->count &&
            reader->bytes[reader->offset] == 3) {
            reader->offset++;
            reader->zeros = 0;
        }
        if (reader->offset >= reader->count) {
            reader->failed = true;
            return 0;
        }
        reader->byte = reader->bytes[reader->offset++];
        reader->zeros = reader->byte == 0 ? reader->zeros + 1 : 0;
        reader->bits = 8;
    }
    return reader->byte >> --reader->bits & 1;
}

static unsigned read_bits(nal_reader *reader, int count) {
    unsigned value = 0;
    for (int i = 0; i < count && !reader->failed; i++) value = value << 1 | read_bit(reader);
    return value;
}

static void skip_bits(nal_reader *reader, int count) {
    for (int i = 0; i < count && !reader->failed; i++) read_bit(reader);
}

// Reads an unsigned exponential Golomb code. Decoders refuse more than 20 leading zeros.
static uint32_t read_golomb(nal_reader *reader) {
    int zeros = 0;
    while (read_bit(reader) == 0) {
        if (reader->failed || ++zeros > 20) {
            reader->failed = true;
            return 0;
        }
    }
    return (1u << zeros) - 1 + read_bits(reader, zeros);
}

// MARK: sequence parameter set

static void skip_profile(nal_reader *reader, unsigned layers) {
    skip_bits(reader, 88 + 8);
    bool has_profile[8] = {false}, has_level[8] = {false};
    if (layers == 1) return;
    for (unsigned i = 0; i < 8; i++) {
        has_profile[i] = read_bit(reader);
        has_level[i] = read_bit(reader);
    }
    for (unsigned i = 0; i + 1 < layers; i++) {
        skip_bits(reader, (has_profile[i] ? 88 : 0) + (has_level[i] ? 8 : 0));
    }
}

// Reads the size of a NAL unit if it is a sequence parameter set that a decoder accepts.
// The checks are those of the decoder, at most: a set that fails one is not decoded.
static bool read_parameter_set(const uint8_t *bytes, size_t count, clip_stated_size *size) {
    nal_reader reader = {.bytes = bytes, .count = count, .offset = 2, .zeros = bytes[1] == 0};
    skip_bits(&reader, 4);
    unsigned layers = read_bits(&reader, 3) + 1;
    if (layers > 7) return false;
    skip_bits(&reader, 1);
    skip_profile(&reader, layers);
    if (read_golomb(&reader) > 15) return false;
    unsigned chroma = read_golomb(&reader);
    if (chroma > 3) return false;
    if (chroma == 3) skip_bits(&reader, 1);
    size->width = read_golomb(&reader);
    size->height = read_golomb(&reader);
    // libde265's limit is 70000 pixels.
    if (reader.failed || size->width == 0 || size->width > 1 << 17 || size->height == 0 ||
        size->height > 1 << 17) {
        return false;
    }
    if (read_bit(&reader)) {
        for (int i = 0; i < 4; i++) read_golomb(&reader);  // conformance window
    }
    for (int i = 0; i < 3; i++) read_golomb(&reader);  // bit depths and order count
    unsigned orders = read_bit(&reader) ? layers : 1;
    for (unsigned i = 0; i < 3 * orders; i++) read_golomb(&reader);
    // The size is a multiple of the smallest coding block, of 8 to 64 pixels.
    uint32_t smallest = read_golomb(&reader), more = read_golomb(&reader);
    if (reader.failed || smallest > 3 || more > 3 - smallest) return false;
    uint32_t mask = (8u << smallest) - 1;
    return (size->width & mask) == 0 && (size->height & mask) == 0;
}

// MARK: scan of a file

static uint64_t big_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

static void keep_larger(clip_stated_size *size, clip_stated_size other) {
    if (clip_stated_pixels(other) > clip_stated_pixels(*size)) *size = other;
}

// Keeps the size of the box of type `bytes`: the extent of an image item, or the entry of a video
// track, as in a photo with a video.
static void read_box(const uint8_t *bytes, size_t count, clip_stated_size *boxes) {
    if (count >= 16 && memcmp(bytes, "ispe\0\0\0\0", 8) == 0) {
        keep_larger(boxes, (clip_stated_size){.width = (uint32_t)big_endian(bytes + 8, 4),
                                              .height = (uint32_t)big_endian(bytes + 12, 4)});
    } else if (count >= 32 && (memcmp(bytes, "hvc1\0\0\0\0\0\0", 10) == 0 ||
                               memcmp(bytes, "hev1\0\0\0\0\0\0", 10) == 0)) {
        keep_larger(boxes, (clip_stated_size){.width = (uint32_t)big_endian(bytes + 28, 2),
                                              .height = (uint32_t)big_endian(bytes + 30, 2)});
    }
}

// Scans a part of a file. A NAL unit follows its length, which has 4 bytes in the data of images,
// and 2 bytes in the boxes. Both parts of the test matter: two bytes of a length and two of a
// header would appear by chance in megabytes of data.
static void scan(const uint8_t *bytes, size_t count, bool is_data, clip_stated_size *boxes,
                 clip_stated_size *stream) {
    for (size_t i = 2; count >= 16 && i <= count - 16; i++) {
        if (!is_data && (bytes[i] == 'i' || bytes[i] == 'h')) {
            read_box(bytes + i, count - i, boxes);
        }
        // Type 33 of layer 0; decoders ignore the highest bit and the temporal layer.
        if ((bytes[i] & 0x7F) != 0x42 || bytes[i + 1] > 7) continue;
        uint64_t long_length = i >= 4 ? big_endian(bytes + i - 4, 4) : 0;
        uint64_t short_length = is_data ? 0 : big_endian(bytes + i - 2, 2);
        for (int k = 0; k < 2; k++) {
            uint64_t length = k == 0 ? long_length : short_length;
            clip_stated_size size;
            if (length >= 16 && length <= count - i &&
                read_parameter_set(bytes + i, (size_t)length, &size)) {
                keep_larger(stream, size);
            }
        }
    }
}

void clip_hevc_sizes(const uint8_t *bytes, size_t count, clip_stated_size *boxes,
                     clip_stated_size *stream) {
    *boxes = *stream = (clip_stated_size){0};
    // The boxes of the file; only those of type mdat hold no boxes.
    size_t start = 0;
    while (count - start >= 16) {
        uint64_t length = big_endian(bytes + start, 4);
        if (length == 1) length = big_endian(bytes + start + 8, 8);
        bool is_data = memcmp(bytes + start + 4, "mdat", 4) == 0;
        if (length < 8) {
            // A length of 0 extends to the end; others are wrong.
            is_data = is_data && length == 0;
            length = count - start;
        }
        if (length > count - start) length = count - start;
        scan(bytes + start, (size_t)length, is_data, boxes, stream);
        start += (size_t)length;
    }
}
