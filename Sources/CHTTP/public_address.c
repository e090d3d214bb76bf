#define _DEFAULT_SOURCE  // interfaces

#include "public_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "CHTTP.h"

// A range of addresses: its first bytes, and the number of bits that its members share.
typedef struct {
    uint8_t start[4];
    int bits;
} address_range;

static int is_within(const uint8_t *address, const address_range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int bits = ranges[i].bits, whole = bits / 8, rest = bits % 8;
        if (memcmp(address, ranges[i].start, (size_t)whole) != 0) continue;
        if (rest == 0 || (address[whole] ^ ranges[i].start[whole]) >> (8 - rest) == 0) return 1;
    }
    return 0;
}

// The IANA's registries of special-purpose addresses, and multicast.
static int is_public_ipv4(const uint8_t *address) {
    static const address_range special[] = {
        {{0}, 8},            {{10}, 8},           {{100, 64}, 10},      {{127}, 8},
        {{169, 254}, 16},    {{172, 16}, 12},     {{192, 0, 0}, 24},    {{192, 0, 2}, 24},
        {{168, 63, 129, 16}, 32},  // answers inside virtual machines of Azure only
        {{192, 88, 99}, 24}, {{192, 168}, 16},    {{198, 18}, 15},      {{198, 51, 100}, 24},
        {{203, 0, 113}, 24}, {{224}, 4},          {{240}, 4},
    };
    return !is_within(address, special, sizeof special / sizeof *special);
}

static int is_public_ipv6(const uint8_t *address) {
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    static const uint8_t translated[12] = {0x00, 0x64, 0xFF, 0x9B};
    if (memcmp(address, mapped, 12) == 0 || memcmp(address, translated, 12) == 0)
        return is_public_ipv4(address + 12);
    static const address_range global[] = {{{0x20}, 3}};
    static const address_range special[] = {
        {{0x20, 0x01, 0x00}, 23},        // protocols of the IETF, among them Teredo
        {{0x20, 0x01, 0x0D, 0xB8}, 32},  // documentation
        {{0x20, 0x02}, 16},              // 6to4, which embeds an IPv4 address
        {{0x3F, 0xFF, 0x00}, 20},        // documentation
    };
    return is_within(address, global, 1)
           && !is_within(address, special, sizeof special / sizeof *special);
}

// Returns the bytes of an IP address and sets their number; NULL for other families.
static const uint8_t *bytes_of(const struct sockaddr *address, size_t *count) {
    if (address == NULL) return NULL;
    switch (address->sa_family) {
    case AF_INET:
        *count = 4;
        return (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    case AF_INET6:
        *count = 16;
        return (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    default: return NULL;
    }
}

// Returns 1 if an address lies in the network of an interface of this machine, which includes the
// machine itself. IPv6 gives the devices of a home network global addresses.
static int is_near(const uint8_t *address, size_t count) {
    struct ifaddrs *interfaces;
    if (getifaddrs(&interfaces) != 0) return 1;
    int found = 0;
    for (struct ifaddrs *i = interfaces; i != NULL && !found; i = i->ifa_next) {
        size_t size, mask_size;
        const uint8_t *own = bytes_of(i->ifa_addr, &size);
        const uint8_t *mask = bytes_of(i->ifa_netmask, &mask_size);
        if (own == NULL || size != count) continue;
        int is_within = 1, has_network = 0;
        for (size_t k = 0; k < count; k++) {
            uint8_t bits = mask != NULL && mask_size == count ? mask[k] : 0xFF;
            has_network |= bits != 0;
            is_within &= ((own[k] ^ address[k]) & bits) == 0;
        }
        found = is_within && (has_network || memcmp(own, address, count) == 0);
    }
    freeifaddrs(interfaces);
    return found;
}

int clip_is_public_address(const struct sockaddr *address) {
    size_t count;
    const uint8_t *bytes = bytes_of(address, &count);
    if (bytes == NULL) return 0;
    return (count == 4 ? is_public_ipv4(bytes) : is_public_ipv6(bytes)) && !is_near(bytes, count);
}

int clip_http_is_public(const char *address) {
    uint8_t bytes[16];
    if (inet_pton(AF_INET, address, bytes) == 1) return is_public_ipv4(bytes);
    return inet_pton(AF_INET6, address, bytes) == 1 && is_public_ipv6(bytes);
}
