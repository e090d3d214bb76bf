// For MAP_ANONYMOUS.
#define _DEFAULT_SOURCE
#include "check.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// MARK: Counting

enum { PRINTED_PER_FUNCTION = 3 };

static struct {
    char function[80], description[160];
    double tolerance, worst;
    long cases, different;
    bool case_differs;
    long all_cases, all_different;
} now;

static void end_function(void) {
    if (now.function[0] == 0) return;
    if (now.tolerance > 0) {
        printf("%-36s %7ld cases, %ld different, worst difference %.1e of %.0e allowed\n",
               now.function, now.cases, now.different, now.worst, now.tolerance);
    } else {
        printf("%-36s %7ld cases, %ld different\n", now.function, now.cases, now.different);
    }
    now.all_cases += now.cases;
    now.all_different += now.different;
}

void begin_function(const char *table, const char *function, double tolerance) {
    end_function();
    snprintf(now.function, sizeof now.function, "%s %s", table, function);
    now.description[0] = 0;
    now.tolerance = tolerance;
    now.worst = 0;
    now.cases = now.different = 0;
}

void begin_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(now.description, sizeof now.description, format, arguments);
    va_end(arguments);
    now.cases++;
    now.case_differs = false;
}

// True if the difference is the first of its case, and the number of printed ones is small.
static bool is_to_be_printed(void) {
    if (now.case_differs) return false;
    now.case_differs = true;
    return ++now.different <= PRINTED_PER_FUNCTION;
}

void compare(double found, double expected, double scale) {
    if (found == expected || (isnan(found) && isnan(expected))) return;
    double difference = fabs(found - expected) / scale;
    // NaN if one of them is infinite or NaN.
    if (!(difference <= INFINITY)) difference = INFINITY;
    if (difference > now.worst) now.worst = difference;
    if (difference <= now.tolerance) return;
    if (is_to_be_printed()) {
        printf("%s (%s): expected %.9g, found %.9g, a difference of %.2g of %.2g\n", now.function,
               now.description, expected, found, difference * scale, scale);
    }
}

void compare_bytes(const void *found, const void *expected, size_t count) {
    const uint8_t *a = found, *b = expected;
    for (size_t i = 0; i < count; i++) {
        if (a[i] == b[i]) continue;
        if (is_to_be_printed()) {
            printf("%s (%s): expected %d as byte %zu of %zu, found %d\n", now.function,
                   now.description, b[i], i, count, a[i]);
        }
        return;
    }
}

void require(bool holds, const char *what) {
    if (holds) return;
    if (is_to_be_printed()) printf("%s (%s): %s\n", now.function, now.description, what);
}

int end_checks(void) {
    end_function();
    printf("%ld cases, %ld different\n", now.all_cases, now.all_different);
    return now.all_different > 0;
}

// MARK: Memory

enum { MARGIN = 64, PATTERN = 0xA5 };

static struct {
    uint8_t *first, *buffer;
    size_t count;
} rooms[ROOMS];

static void print_and_exit(int signal) {
    const char *reason = signal == SIGSEGV || signal == SIGBUS ? "): access beyond a buffer\n"
                         : signal == SIGILL ? "): an instruction that the CPU does not have\n"
                                            : "): a division by zero\n";
    // Only functions that a signal handler may call.
    const char *const text[] = {now.function, " (", now.description, reason};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        if (write(STDERR_FILENO, text[i], strlen(text[i])) < 0) break;
    }
    _exit(128 + signal);
}

void begin_checks(void) {
    // The earlier lines must survive a crash.
    setvbuf(stdout, NULL, _IOLBF, 0);
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = print_and_exit};
    for (int i = 0; i < 4; i++) sigaction(signals[i], &action, NULL);
}

static void make_room(int room) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, ROOM_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, ROOM_BYTES, PROT_READ | PROT_WRITE) != 0) {
        perror("no memory for the check");
        exit(1);
    }
    rooms[room].first = pages + page;
}

void *take(int room, side at, size_t count) {
    if (rooms[room].first == NULL) make_room(room);
    if (count + MARGIN > ROOM_BYTES) {
        fprintf(stderr, "%zu bytes do not fit into a room of the check\n", count);
        exit(1);
    }
    uint8_t *buffer = at == AT_START ? rooms[room].first : rooms[room].first + ROOM_BYTES - count;
    memset(at == AT_START ? buffer + count : buffer - MARGIN, PATTERN, MARGIN);
    rooms[room].buffer = buffer;
    rooms[room].count = count;
    return buffer;
}

bool margins_untouched(int room) {
    const uint8_t *buffer = rooms[room].buffer;
    const uint8_t *margin =
        buffer == rooms[room].first ? buffer + rooms[room].count : buffer - MARGIN;
    for (int i = 0; i < MARGIN; i++) {
        if (margin[i] != PATTERN) return false;
    }
    return true;
}

void *copy(int room, side at, const void *source, size_t count) {
    void *buffer = take(room, at, count);
    if (count > 0) memcpy(buffer, source, count);
    return buffer;
}

// MARK: Inputs

const size_t sizes[] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 95, 96, 97,
    100, 127, 128, 129, 255, 256, 257, 511, 513, 768, 1023, 1025, 1664,
};
const size_t size_count = sizeof sizes / sizeof *sizes;

// SplitMix64.
uint64_t next_random(random_numbers *random) {
    random->state += 0x9E3779B97F4A7C15;
    uint64_t z = random->state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

size_t random_below(random_numbers *random, size_t bound) {
    return next_random(random) % bound;
}

void fill_floats(random_numbers *random, float *x, size_t n, double low, double high) {
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(low + (high - low) * (double)(next_random(random) >> 11) * 0x1p-53);
    }
}

void fill_bytes(random_numbers *random, void *x, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)x)[i] = (uint8_t)next_random(random);
}

const char *const activation_names[5] = {"identity", "relu", "quick gelu", "gelu", "tanh gelu"};

double exact_activation(double x, clip_activation activation) {
    switch (activation) {
    case CLIP_IDENTITY:
        return x;
    case CLIP_RELU:
        return x < 0 ? 0 : x;
    case CLIP_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case CLIP_GELU:
        return 0.5 * x * erfc(-x * sqrt(0.5));
    case CLIP_TANH_GELU:
        return x / (1 + exp(-2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    }
    return x;
}
