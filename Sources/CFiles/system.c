#define _GNU_SOURCE
#include "CFiles.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

int clip_rename_exclusively(int folder, const char *name, int new_folder, const char *new_name) {
#if defined(__linux__) && defined(SYS_renameat2)
    enum { NO_REPLACE = 1 };  // RENAME_NOREPLACE; not every C library has the function
    long result = syscall(SYS_renameat2, folder, name, new_folder, new_name, NO_REPLACE);
    return result == 0 ? 0 : errno;
#elif defined(__APPLE__)
    return renameatx_np(folder, name, new_folder, new_name, RENAME_EXCL) == 0 ? 0 : errno;
#else
    (void)folder, (void)name, (void)new_folder, (void)new_name;
    return ENOSYS;
#endif
}

bool clip_signal_is_ignored(int signal) {
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void clip_begin_transfer(int file, int64_t offset, int64_t count) {
#if defined(__linux__)
    sync_file_range(file, offset, count, SYNC_FILE_RANGE_WRITE);
#else
    (void)file, (void)offset, (void)count;
#endif
}
