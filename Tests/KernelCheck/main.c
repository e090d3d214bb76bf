// Checks every table of kernels that the CPU can run, or products by a BLAS if the argument is
// "blas". The last line is "N cases, 0 different"; if some are different, the status is 1.

#include "check.h"

#include <string.h>

static void check_kernels(void) {
    check_dispatch();
    check_threads();
    check_sha256();
    static const char *const names[] = {"avx512", "avx2", "neon", "scalar"};
    const clip_kernels *previous = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const clip_kernels *table = clip_kernels_named(names[i]);
        if (table == NULL) continue;
        check_rows(table);
        check_dots(table);
        check_bytes(table);
        // Some tables share functions.
        bool is_shared = previous && previous->multiply_float32 == table->multiply_float32;
        if (!is_shared) check_products(table);
        previous = table;
    }
}

int main(int count, char **arguments) {
    begin_checks();
    if (count > 1 && strcmp(arguments[1], "blas") == 0) {
        check_blas();
    } else {
        check_kernels();
    }
    return end_checks();
}
