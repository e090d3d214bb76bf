// The SHA-1 (FIPS 180-4) that git gives to a file: that of "blob ", its length, a zero byte and its
// bytes. It detects damage, but not files made on purpose to have the same SHA-1.

#include <stdio.h>
#include <string.h>

#include "CSHA256.h"

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

static void add_blocks(uint32_t state[5], const uint8_t *bytes, size_t blocks) {
    for (; blocks > 0; blocks--, bytes += 64) {
        uint32_t w[80];
        for (int i = 0; i < 16; i++) {
            w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
                   (uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int i = 0; i < 80; i++) {
            uint32_t mix, constant;
            if (i < 20) {
                mix = (b & c) | (~b & d), constant = 0x5a827999;
            } else if (i < 40) {
                mix = b ^ c ^ d, constant = 0x6ed9eba1;
            } else if (i < 60) {
                mix = (b & c) | (b & d) | (c & d), constant = 0x8f1bbcdc;
            } else {
                mix = b ^ c ^ d, constant = 0xca62c1d6;
            }
            const uint32_t next = rotate(a, 5) + mix + e + constant + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
    }
}

void clip_git_blob_sha1(const uint8_t *bytes, size_t count, uint8_t *digest) {
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t block[128] = {0};
    // The header, at most 26 bytes with its zero byte, and the bytes of the file in the same block.
    const size_t header = (size_t)snprintf((char *)block, 64, "blob %zu", count) + 1;
    const size_t total = header + count;
    size_t first = 64 - header < count ? 64 - header : count;
    if (first > 0) memcpy(block + header, bytes, first);
    size_t filled = header + first;
    if (filled == 64) {
        add_blocks(state, block, 1);
        const size_t whole = (count - first) / 64;
        if (whole > 0) add_blocks(state, bytes + first, whole);
        first += 64 * whole;
        filled = count - first;
        memset(block, 0, sizeof block);
        if (filled > 0) memcpy(block, bytes + first, filled);
    }
    // A one bit, zeros, and the number of bits: one block or two.
    block[filled] = 0x80;
    const size_t blocks = filled < 56 ? 1 : 2;
    for (int i = 0; i < 8; i++) {
        block[64 * blocks - 1 - i] = (uint8_t)((uint64_t)total * 8 >> 8 * i);
    }
    add_blocks(state, block, blocks);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}
