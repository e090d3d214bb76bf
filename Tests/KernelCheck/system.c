// Checks the choice of the table, threads, cores, and SHA-256.

// For setenv.
#define _DEFAULT_SOURCE
#include "check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_dispatch(void) {
    begin_function("all", "clip_kernels_named", 0);
    static const char *const names[] = {"scalar", "neon", "avx2", "avx512", "avx512-vnni",
                                        "avx512-bf16", "amx", "avx-vnni"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        begin_case("%s", names[i]);
        const clip_kernels *table = clip_kernels_named(names[i]);
        if (table != NULL) require(strcmp(table->name, names[i]) == 0, "has another name");
#if defined(__aarch64__)
        require((table != NULL) == (i < 2), "expected scalar and neon, and no other");
#endif
    }
    begin_case("mmx");
    require(clip_kernels_named("mmx") == NULL, "expected NULL");

    begin_case("portable products");
    require(clip_products_are_portable() ==
                (clip_kernels_current()->multiply_float32 == clip_multiply_float32_portable),
            "does not agree with the table in use");
#if defined(__aarch64__)
    require(clip_products_are_portable() && !clip_cpu_is_basic(),
            "expected portable products, and no CPU that is too basic for a BLAS");
#endif

    begin_function("all", "clip_kernels_current", 0);
    const char *wanted = getenv("CLIP_ISA");
    const clip_kernels *current = clip_kernels_current();
    begin_case("CLIP_ISA is %s", wanted ? wanted : "not set");
    if (wanted && clip_kernels_named(wanted)) {
        require(current == clip_kernels_named(wanted), "expected the table that CLIP_ISA names");
    } else {
        require(current != &clip_kernels_scalar, "expected a faster table than scalar");
    }
    begin_case("CLIP_ISA changes later");
    if (wanted == NULL) setenv("CLIP_ISA", "scalar", 1);
    require(clip_kernels_current() == current, "expected the table that was chosen first");
    if (wanted == NULL) unsetenv("CLIP_ISA");
}

// MARK: Threads

enum { PARTS = 8 };

typedef struct {
    atomic_int runs[PARTS];
    long sums[PARTS];
    int round;
} shared_work;

static void count_run(void *context, int part) {
    shared_work *work = context;
    atomic_fetch_add(&work->runs[part], 1);
    // Not atomic: no other thread may run the part.
    work->sums[part] += work->round + part;
}

void check_threads(void) {
    begin_function("all", "clip_team", 0);
    for (int threads = 1; threads <= PARTS; threads++) {
        clip_team *team = clip_team_create(threads);
        begin_case("%d threads", threads);
        require(team != NULL, "no team was created");
        if (team == NULL) continue;
        require(clip_team_threads(team) == threads, "the team has another number of threads");
        shared_work work = {.round = 0};
        long expected[PARTS] = {0}, runs[PARTS] = {0};
        for (work.round = 1; work.round <= 300; work.round++) {
            int parts = 1 + work.round % clip_team_threads(team);
            begin_case("%d threads, %d parts, round %d", threads, parts, work.round);
            clip_team_run(team, parts, count_run, &work);
            for (int part = 0; part < PARTS; part++) {
                if (part < parts) {
                    expected[part] += work.round + part;
                    runs[part]++;
                }
                compare(atomic_load(&work.runs[part]), (double)runs[part], 1);
                compare((double)work.sums[part], (double)expected[part], 1);
            }
        }
        clip_team_destroy(team);
    }

    begin_function("all", "clip_available_cores", 0);
    begin_case("%d cores", clip_available_cores());
    require(clip_available_cores() >= 1 && clip_available_cores() <= 1 << 16,
            "expected from 1 to 65536");
    begin_function("all", "clip_cache_bytes", 0);
    begin_case("%zu bytes", clip_cache_bytes());
    require(clip_cache_bytes() >= 1 << 18 && clip_cache_bytes() <= 1 << 28,
            "expected from 256 KB to 256 MB");
    printf("%d cores, %zu bytes in the second cache, table %s\n", clip_available_cores(),
           clip_cache_bytes(), clip_kernels_current()->name);
}

// MARK: SHA-256

static void check_digest(const char *what, const uint8_t *bytes, size_t count,
                         const char *expected) {
    for (int portably = 0; portably < 2; portably++) {
        begin_case("%s%s", what, portably ? ", portably" : "");
        uint8_t digest[32];
        char found[65];
        clip_sha256(bytes, count, portably, digest);
        for (int i = 0; i < 32; i++) snprintf(found + 2 * i, 3, "%02x", digest[i]);
        compare_bytes(found, expected, 64);
    }
}

void check_sha256(void) {
    begin_function("all", "clip_sha256", 0);
    // The first, second, third and last are examples of FIPS 180-4; all digests are sha256sum's.
    check_digest("no bytes", NULL, 0,
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest("abc", (const uint8_t *)"abc", 3,
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check_digest("two blocks", (const uint8_t *)two_blocks, strlen(two_blocks),
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static uint8_t bytes[1000001];
    memset(bytes, 'a', sizeof bytes);
    // At an odd address.
    check_digest("55 a", bytes + 1, 55,
                 "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    check_digest("56 a", bytes + 1, 56,
                 "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    check_digest("63 a", bytes + 1, 63,
                 "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
    check_digest("64 a", bytes + 1, 64,
                 "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    check_digest("65 a", bytes + 1, 65,
                 "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");
    check_digest("a million a", bytes + 1, 1000000,
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
