// Checks every function of CKernels, CThreads and CSHA256 in plain C, for CPUs that are available
// only in an emulator. Scripts/arm.sh builds and runs it.

#ifndef CHECK_H
#define CHECK_H

#include "CSHA256.h"
#include "CThreads.h"
#include "tables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Counting

// Makes a crash name its case.
void begin_checks(void);

// Begins a function, under whose name the following cases are counted. `tolerance` is the largest
// allowed difference, relative to the scale that compare() is given; 0 demands equality.
void begin_function(const char *table, const char *function, double tolerance);

// Begins a case, one input of the current function. The text is printed if the case differs.
__attribute__((format(printf, 1, 2))) void begin_case(const char *format, ...);

// Compares one number of the case. NaN equals NaN; infinities must have the same sign.
void compare(double found, double expected, double scale);

// Compares all bits.
void compare_bytes(const void *found, const void *expected, size_t count);

// Records that the case differs if `holds` is false.
void require(bool holds, const char *what);

// Prints the last function and the total, and returns the exit status.
int end_checks(void);

// MARK: Memory between guard pages

// Returns a buffer that ends, or begins, at a guard page: an access beyond it ends the program with
// a message. The other side is filled with a pattern for margins_untouched().
typedef enum { AT_END, AT_START } side;

enum { ROOMS = 12, ROOM_BYTES = 1 << 21 };

// The `count` bytes are uninitialised. The earlier buffer of the room becomes invalid.
void *take(int room, side at, size_t count);

// True if the bytes beside the room's buffer are as take() left them.
bool margins_untouched(int room);

// A copy of `count` bytes in a room.
void *copy(int room, side at, const void *source, size_t count);

// MARK: Inputs

typedef struct {
    uint64_t state;
} random_numbers;

uint64_t next_random(random_numbers *random);
size_t random_below(random_numbers *random, size_t bound);
void fill_floats(random_numbers *random, float *x, size_t n, double low, double high);
void fill_bytes(random_numbers *random, void *x, size_t n);

// 0...67, and sizes next to powers of two and to the models' own.
extern const size_t sizes[];
extern const size_t size_count;

// The activations as the header defines them, in double.
double exact_activation(double x, clip_activation activation);
extern const char *const activation_names[5];

// MARK: The checks

void check_rows(const clip_kernels *table);      // loops over floats
void check_dots(const clip_kernels *table);      // dot products and sums of squares
void check_bytes(const clip_kernels *table);     // widening, packing, resizing
void check_products(const clip_kernels *table);  // matrix products
void check_dispatch(void);
void check_threads(void);
void check_sha256(void);
void check_blas(void);  // in builds with CLIP_BLAS

#endif
