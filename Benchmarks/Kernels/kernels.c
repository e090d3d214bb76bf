// Times the loops and products of CKernels on one thread: the best of many runs, and for products
// the operations per second. Scripts/bench/kernels.sh builds and runs it.

#define _GNU_SOURCE
#include "CKernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void *memory(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) {
        fputs("kernels: no memory\n", stderr);
        exit(1);
    }
    memset(memory, 0, bytes);
    return memory;
}

// Numbers that are neither constant nor sparse.
static float *numbers(size_t count) {
    float *numbers = memory(count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) numbers[i] = (float)(i * 7919 % 1000) / 500 - 1;
    return numbers;
}

typedef struct {
    const clip_kernels *table;
    void (*multiply)(const clip_product *product);
    clip_product product;
    float *x, *ones;
    size_t count;
    clip_activation activation;
} benchmark;

static void run_product(benchmark *benchmark) { benchmark->multiply(&benchmark->product); }
static void run_layer_norm(benchmark *benchmark) {
    benchmark->table->layer_norm(
        benchmark->x, benchmark->ones, benchmark->ones, 1e-5f, benchmark->count, benchmark->x);
}
static void run_softmax(benchmark *benchmark) {
    benchmark->table->softmax(benchmark->x, benchmark->count, 0.125f);
}
static void run_activation(benchmark *benchmark) {
    benchmark->table->bias_activation(
        benchmark->x, NULL, benchmark->count, benchmark->activation);
}

// The fastest run in seconds, among samples of about 10 ms in half a second.
static double seconds_of(void (*run)(benchmark *), benchmark *benchmark) {
    double begin = now();
    run(benchmark);
    double once = now() - begin;
    size_t repetitions = once > 0.01 ? 1 : (size_t)(0.01 / (once + 1e-9)) + 1;
    double best = once;
    for (double end = now() + 0.5; now() < end;) {
        begin = now();
        for (size_t i = 0; i < repetitions; i++) run(benchmark);
        double seconds = (now() - begin) / (double)repetitions;
        if (seconds < best) best = seconds;
    }
    return best;
}

// Products with the MLP weights of ViT-B.
static void time_products(const clip_kernels *table) {
    enum { inputs = 768, outputs = 3072 };
    struct {
        const char *name;
        void (*multiply)(const clip_product *product);
        size_t width;
    } kinds[] = {
        {"fp32", table->multiply_float32, 4},
        {"bf16", table->multiply_bfloat16, 2},
        {"int8", table->multiply_int8, 1},
    };
    static const size_t counts[] = {1, 12, 50, 400};
    float *scales = numbers(outputs);
    int32_t *zeros = memory(outputs * sizeof *zeros);
    for (size_t i = 0; i < outputs; i++) zeros[i] = 1;
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        if (!kinds[kind].multiply) continue;
        size_t width = kinds[kind].width;
        uint8_t *panels = memory((size_t)outputs * inputs * width);
        for (size_t place = 0; place < sizeof counts / sizeof *counts; place++) {
            size_t rows = counts[place];
            benchmark benchmark = {.table = table, .multiply = kinds[kind].multiply};
            benchmark.product = (clip_product){
                .x = memory(rows * inputs * width),
                .rows = rows,
                .lines = 1,
                .row_stride = inputs * width,
                .words = inputs * width / 4,
                .segments = 1,
                .panels = panels,
                .outputs = outputs,
                .y = memory(rows * outputs * sizeof(float)),
                .y_row_stride = 4 * outputs,
                .activation = CLIP_QUICK_GELU,
            };
            if (width == 1) {
                benchmark.product.row_scales = scales;
                benchmark.product.row_zeros = zeros;
                benchmark.product.output_scales = scales;
                benchmark.product.output_sums = zeros;
            }
            double seconds = seconds_of(run_product, &benchmark);
            printf(
                "%s %3zu x 768 x 3072 %10.1f us %8.1f Gop/s\n", kinds[kind].name, rows,
                1e6 * seconds, 2e-9 * (double)(rows * inputs * outputs) / seconds);
            free((void *)benchmark.product.x);
            free(benchmark.product.y);
        }
        free(panels);
    }
    free(scales);
    free(zeros);
}

static void time_rows(const clip_kernels *table) {
    struct {
        const char *name;
        void (*run)(benchmark *);
        size_t count;
        clip_activation activation;
    } loops[] = {
        {"layer norm", run_layer_norm, 768, CLIP_QUICK_GELU},
        {"softmax", run_softmax, 50, CLIP_QUICK_GELU},
        {"quickgelu", run_activation, 3072, CLIP_QUICK_GELU},
        {"gelu", run_activation, 3072, CLIP_GELU},
        {"tanh gelu", run_activation, 3072, CLIP_TANH_GELU},
    };
    for (size_t loop = 0; loop < sizeof loops / sizeof *loops; loop++) {
        size_t count = loops[loop].count;
        benchmark benchmark = {
            .table = table,
            .x = numbers(count),
            .ones = numbers(count),
            .count = count,
            .activation = loops[loop].activation,
        };
        for (size_t i = 0; i < count; i++) benchmark.ones[i] = 1;
        printf(
            "%s of %zu %10.3f us\n", loops[loop].name, count,
            1e6 * seconds_of(loops[loop].run, &benchmark));
        free(benchmark.x);
        free(benchmark.ones);
    }
}

int main(void) {
    const clip_kernels *table = clip_kernels_current();
    printf("%s, one thread\n", table->name);
    time_products(table);
    time_rows(table);
}
