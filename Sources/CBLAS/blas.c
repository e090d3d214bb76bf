#include "include/clip_blas.h"

#if defined(CLIP_BLAS)

#if !defined(__APPLE__)
#define _GNU_SOURCE
#endif

#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <string.h>

#if defined(__APPLE__)
#define ACCELERATE_NEW_LAPACK
#include <Accelerate/Accelerate.h>
#else
#if __has_include(<cblas.h>)
#include <cblas.h>
#elif __has_include(<openblas/cblas.h>)
#include <openblas/cblas.h>
#else
#error "cblas.h is missing: install libopenblas-dev, or build with --disable-default-traits"
#endif
#include <dlfcn.h>
#include <unistd.h>
#endif

static struct {
    int is_there;
    size_t reproducible_rows;
    const char *version, *core;
} library;

#if defined(__APPLE__)

static void compute(const clip_blas_product *p) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, p->is_transposed ? CblasTrans : CblasNoTrans,
                (int)p->rows, (int)p->outputs, (int)p->inputs, 1, p->x, (int)p->x_stride, p->w,
                (int)p->w_stride, 0, p->y, (int)p->y_stride);
}

// Accelerate is part of the system. It is told to compute each product on one thread.
static int find_library(int is_fast) {
    library.version = "Accelerate";
    library.core = "Apple";
    return 1;
}

void clip_blas_multiply(const clip_blas_product *product) {
    if (__builtin_available(macOS 15.0, iOS 18.0, tvOS 18.0, watchOS 11.0, visionOS 2.0, *)) {
        BLASSetThreading(BLAS_THREADING_SINGLE_THREADED);
    }
    compute(product);
}

#else

// OpenBLAS keeps a buffer for each product in progress, and ends the process if there are too many.
// Its build without threads gives out buffers without a lock: concurrent products were seen to be
// wrong.
enum { MOST_AT_ONCE = 32 };

static struct {
    __typeof__(cblas_sgemm) *sgemm;
    // For builds with OpenMP, where each calling thread has its own number of threads.
    int (*omp_get_max_threads)(void);
    void (*omp_set_num_threads)(int);
    int most_at_once, now, has_avx;
    pthread_mutex_t mutex;
    pthread_cond_t freed;
} openblas = {.mutex = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};

static void compute(const clip_blas_product *p) {
    openblas.sgemm(CblasRowMajor, CblasNoTrans, p->is_transposed ? CblasTrans : CblasNoTrans,
                   (blasint)p->rows, (blasint)p->outputs, (blasint)p->inputs, 1, p->x,
                   (blasint)p->x_stride, p->w, (blasint)p->w_stride, 0, p->y,
                   (blasint)p->y_stride);
#if defined(__x86_64__)
    // Some AVX kernels leave the upper halves of registers in use, which makes SSE code slower.
    if (openblas.has_avx) __asm__ volatile("vzeroupper");
#endif
}

static void compute_on_one_thread(const clip_blas_product *p) {
    int threads = openblas.omp_get_max_threads ? openblas.omp_get_max_threads() : 1;
    if (threads != 1) openblas.omp_set_num_threads(1);
    compute(p);
    if (threads != 1) openblas.omp_set_num_threads(threads);
}

void clip_blas_multiply(const clip_blas_product *product) {
    pthread_mutex_lock(&openblas.mutex);
    while (openblas.now >= openblas.most_at_once) {
        pthread_cond_wait(&openblas.freed, &openblas.mutex);
    }
    openblas.now++;
    pthread_mutex_unlock(&openblas.mutex);
    compute_on_one_thread(product);
    pthread_mutex_lock(&openblas.mutex);
    openblas.now--;
    pthread_cond_signal(&openblas.freed);
    pthread_mutex_unlock(&openblas.mutex);
}

// The kernels to request. With AVX-512, those for SkylakeX: a library older than the CPU would
// choose its oldest kernels. With AVX2, unless `is_fast`, those for AVX, which round a row the same
// at every position. NULL if the library shall choose.
static const char *wanted_core(int is_fast) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        return "OPENBLAS_CORETYPE=SkylakeX";
    }
    if (__builtin_cpu_supports("avx2") && !is_fast) return "OPENBLAS_CORETYPE=Sandybridge";
#endif
    return NULL;
}

// Loads the library with environment variables that it reads at that moment. Other threads may read
// the environment meanwhile, so it is not changed: `environ` points to a longer copy until the
// library is loaded. The copy is never freed.
static void *load_configured(const char *const *names, size_t count, int is_fast) {
    size_t variables = 0;
    char **old = environ;
    while (old && old[variables]) variables++;
    char **longer = malloc((variables + 3) * sizeof *longer);
    if (!longer) return NULL;
    size_t added = 0;
    // The build with threads would start them immediately.
    longer[added++] = "OPENBLAS_NUM_THREADS=1";
    const char *core = getenv("OPENBLAS_CORETYPE") ? NULL : wanted_core(is_fast);
    if (core) longer[added++] = (char *)core;
    if (variables > 0) memcpy(longer + added, old, variables * sizeof *longer);
    longer[added + variables] = NULL;

    __atomic_store_n(&environ, longer, __ATOMIC_RELEASE);
    void *handle = NULL;
    for (size_t i = 0; i < count && !handle; i++) handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    char **expected = longer;
    __atomic_compare_exchange_n(&environ, &expected, old, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    return handle;
}

static int find_library(int is_fast) {
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0"};
    void *handle = load_configured(names, sizeof names / sizeof *names, is_fast);
    if (!handle) return 0;
    char *(*config)(void) = NULL, *(*core)(void) = NULL;
    int (*parallel)(void) = NULL;
    *(void **)&openblas.sgemm = dlsym(handle, "cblas_sgemm");
    *(void **)&config = dlsym(handle, "openblas_get_config");
    *(void **)&core = dlsym(handle, "openblas_get_corename");
    *(void **)&parallel = dlsym(handle, "openblas_get_parallel");
    if (!openblas.sgemm || !config || !core || !parallel) return 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    openblas.has_avx = __builtin_cpu_supports("avx");
#endif
    library.version = config();
    library.core = core();
    enum { SERIAL = 0, OPENMP = 2 };
    openblas.most_at_once = parallel() == SERIAL ? 1 : MOST_AT_ONCE;
    if (parallel() == OPENMP) {
        *(void **)&openblas.omp_get_max_threads = dlsym(handle, "omp_get_max_threads");
        *(void **)&openblas.omp_set_num_threads = dlsym(handle, "omp_set_num_threads");
        if (!openblas.omp_get_max_threads || !openblas.omp_set_num_threads) return 0;
    }
    return 1;
}

#endif

// MARK: Does the position of a row change its bits?

// Enough inputs for more than one block of every kernel, and products too large for the kernels for
// small matrices.
enum { PROBE_ROWS = 96, PROBE_INPUTS = 700, PROBE_OUTPUTS = 264, PROBE_VECTORS = 7 };

// Multiplies the same row, at every position, with the same few vectors of weights, at every
// position. Returns 1 if any result differs.
static int depends_on_place(size_t rows, const float *x, const float *w, float *y,
                            float *expected) {
    clip_blas_product product = {
        .x = x, .rows = rows, .inputs = PROBE_INPUTS, .x_stride = PROBE_INPUTS,
        .w = w, .outputs = PROBE_OUTPUTS, .w_stride = PROBE_INPUTS, .is_transposed = 1,
        .y = y, .y_stride = PROBE_OUTPUTS,
    };
    clip_blas_multiply(&product);
    if (expected[0] == 0) memcpy(expected, y, PROBE_VECTORS * sizeof *y);
    for (size_t i = 0; i < rows * PROBE_OUTPUTS; i++) {
        if (y[i] != expected[i % PROBE_OUTPUTS % PROBE_VECTORS]) return 1;
    }
    return 0;
}

static size_t measure_reproducible_rows(void) {
    enum { X = PROBE_ROWS * PROBE_INPUTS, W = PROBE_OUTPUTS * PROBE_INPUTS };
    float *memory = malloc((X + W + PROBE_ROWS * PROBE_OUTPUTS) * sizeof *memory);
    if (!memory) return CLIP_BLAS_ROWS;
    float *x = memory, *w = x + X, *y = w + W;
    uint32_t state = 1;
    for (size_t i = 0; i < X + W; i++) {
        size_t row = i < X ? 0 : (i - X) / PROBE_INPUTS % PROBE_VECTORS;
        if (i < X ? i < PROBE_INPUTS : i - X < PROBE_VECTORS * PROBE_INPUTS) {
            state = state * 1664525 + 1013904223;
            memory[i] = (float)(state >> 8) / (1 << 23) - 1;
        } else {
            memory[i] = (i < X ? x : w)[row * PROBE_INPUTS + (i - (i < X ? 0 : X)) % PROBE_INPUTS];
        }
    }
    float expected[PROBE_VECTORS] = {0};
    size_t most = INT_MAX;
    for (size_t rows = CLIP_BLAS_ROWS; rows <= PROBE_ROWS; rows += CLIP_BLAS_ROWS) {
        if (depends_on_place(rows, x, w, y, expected)) most = CLIP_BLAS_ROWS;
    }
    free(memory);
    return most;
}

int clip_blas_is_built(void) {
    return 1;
}

int clip_blas_has_room(void) {
    // OpenBLAS needs 32 MB for each of its buffers, and retries for ever if it cannot get them.
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1;
    return limit.rlim_cur >= 512 * 1000 * 1000;
}

static int wants_fast;

static void load(void) {
    library.is_there = clip_blas_has_room() && find_library(wants_fast);
    if (library.is_there) library.reproducible_rows = measure_reproducible_rows();
}

int clip_blas_load(int is_fast) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    if (!library.is_there) wants_fast = is_fast;
    pthread_once(&once, load);
    pthread_mutex_unlock(&mutex);
    return library.is_there;
}

size_t clip_blas_reproducible_rows(void) {
    return library.reproducible_rows;
}

const char *clip_blas_version(void) {
    return library.version;
}

const char *clip_blas_core(void) {
    return library.core;
}

#else

// The package is built without the trait BLAS.

int clip_blas_is_built(void) {
    return 0;
}

int clip_blas_has_room(void) {
    return 1;
}

int clip_blas_load(int is_fast) {
    return 0;
}

size_t clip_blas_reproducible_rows(void) {
    return 0;
}

void clip_blas_multiply(const clip_blas_product *product) {}

const char *clip_blas_version(void) {
    return "";
}

const char *clip_blas_core(void) {
    return "";
}

#endif
