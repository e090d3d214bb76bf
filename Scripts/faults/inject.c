// A library for LD_PRELOAD that makes one system call of a program fail.
//
//     CLIP_FAULT_UNDER=FOLDER CLIP_FAULT=KIND:N:ERRNO LD_PRELOAD=inject.so PROGRAM
//
// Counts calls by kind and makes the Nth of a kind fail with an error number; with
// "KIND:N:ERRNO:on" it and all later ones fail. Calls with a path or a descriptor count only if
// they concern a path below FOLDER (an absolute path that starts with the same bytes); descriptors
// are followed from open and opendir to close. mmap counts if it maps such a file. Every
// pthread_create counts, also those of libraries.
//
// CLIP_FAULT_LOG=FILE gets a line for the call that failed, "failed KIND N PATH", and when the
// program ends "count KIND N" for each kind. These writes are direct system calls, which are not
// counted.
//
// Written for glibc 2.33 and later, where stat and its relatives are functions. Internal calls of
// glibc, such as the reads of fopen's streams, are not intercepted.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, READ, OPENDIR, READDIR, STAT, WRITE, FSYNC, RENAME, UNLINK, MKDIR, MMAP,
            FTRUNCATE, FLOCK, THREAD, KINDS };
static const char *const names[KINDS] = {"open", "read", "opendir", "readdir", "stat", "write",
                                         "fsync", "rename", "unlink", "mkdir", "mmap",
                                         "ftruncate", "flock", "pthread_create"};

enum { DESCRIPTORS = 1 << 16 };
static atomic_int counts[KINDS];
static atomic_bool tracked[DESCRIPTORS];
static const char *under;
static size_t under_length;
static int fault_kind = -1, fault_number, fault_errno, fault_goes_on;
static int log_file = -1;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void say(const char *word, enum kind kind, int number, const char *path) {
    char line[4400];
    int length = snprintf(line, sizeof line, "%s %s %d %.4096s\n", word, names[kind], number, path);
    if (log_file >= 0) syscall(SYS_write, log_file, line, (size_t)length);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLIP_FAULT_UNDER"), *fault = getenv("CLIP_FAULT"),
               *log = getenv("CLIP_FAULT_LOG");
    char kind[32] = "", rest[8] = "";
    if (fault && sscanf(fault, "%31[^:]:%d:%d:%7s", kind, &fault_number, &fault_errno, rest) >= 3) {
        for (int i = 0; i < KINDS; i++)
            if (!strcmp(names[i], kind)) fault_kind = i;
        fault_goes_on = !strcmp(rest, "on");
    }
    if (log) {
        // A high number, so that the program's own descriptors keep their numbers.
        int file = (int)syscall(SYS_openat, AT_FDCWD, log,
                                O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        log_file = file < 0 ? -1 : (int)syscall(SYS_fcntl, file, F_DUPFD_CLOEXEC, 900);
        if (log_file >= 0) syscall(SYS_close, file); else log_file = file;
    }
    if (path) under_length = strlen(path);
    under = path;
    // A program that this one starts is left alone.
    unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void end(void) {
    for (int i = 0; i < KINDS; i++) say("count", i, counts[i], "");
}

static int is_under(const char *path) {
    return under && path && !strncmp(path, under, under_length) &&
           (path[under_length] == '/' || path[under_length] == 0);
}

static int is_tracked(int file) { return file >= 0 && file < DESCRIPTORS && tracked[file]; }

static void track(int file, int is_one) {
    if (file >= 0 && file < DESCRIPTORS) tracked[file] = is_one;
}

static int is_under_at(int folder, const char *path) {
    return path && path[0] != '/' && folder != AT_FDCWD ? is_tracked(folder) : is_under(path);
}

/// Counts a call; returns 1 if it must fail, with errno set.
static int fails(enum kind kind, const char *path, int file) {
    int number = atomic_fetch_add(&counts[kind], 1) + 1;
    if ((int)kind != fault_kind || (fault_goes_on ? number < fault_number : number != fault_number))
        return 0;
    char name[4097] = "", link[64];
    if (!path && file >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        long length = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name - 1);
        name[length < 0 ? 0 : length] = 0;
    }
    say("failed", kind, number, path ? path : name);
    errno = fault_errno;
    return 1;
}

// MARK: paths

static int opened(int file, int is_one) {
    if (file >= 0) track(file, is_one);
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags)
    int is_one = is_under(path);
    if (is_one && fails(OPEN, path, -1)) return -1;
    return opened(real(path, flags, mode), is_one);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE(flags)
    int is_one = is_under(path);
    if (is_one && fails(OPEN, path, -1)) return -1;
    return opened(real(path, flags, mode), is_one);
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    int is_one = is_under_at(folder, path);
    if (is_one && fails(OPEN, path, -1)) return -1;
    return opened(real(folder, path, flags, mode), is_one);
}

int openat64(int folder, const char *path, int flags, ...) {
    REAL(openat64);
    MODE(flags)
    int is_one = is_under_at(folder, path);
    if (is_one && fails(OPEN, path, -1)) return -1;
    return opened(real(folder, path, flags, mode), is_one);
}

DIR *opendir(const char *path) {
    REAL(opendir);
    int is_one = is_under(path);
    if (is_one && fails(OPENDIR, path, -1)) return NULL;
    DIR *folder = real(path);
    if (folder) track(dirfd(folder), is_one);
    return folder;
}

DIR *fdopendir(int file) {
    REAL(fdopendir);
    if (is_tracked(file) && fails(OPENDIR, NULL, file)) return NULL;
    return real(file);
}

#define ON_PATH(kind, name, parameters, ...) \
    int name parameters { \
        REAL(name); \
        if (is_under(path) && fails(kind, path, -1)) return -1; \
        return real(__VA_ARGS__); \
    }
#define ON_PATH_AT(kind, name, parameters, ...) \
    int name parameters { \
        REAL(name); \
        if (is_under_at(folder, path) && fails(kind, path, -1)) return -1; \
        return real(__VA_ARGS__); \
    }

ON_PATH(STAT, stat, (const char *restrict path, struct stat *restrict found), path, found)
ON_PATH(STAT, stat64, (const char *restrict path, struct stat64 *restrict found), path, found)
ON_PATH(STAT, lstat, (const char *restrict path, struct stat *restrict found), path, found)
ON_PATH(STAT, lstat64, (const char *restrict path, struct stat64 *restrict found), path, found)
ON_PATH_AT(STAT, fstatat, (int folder, const char *restrict path, struct stat *restrict found,
           int flags), folder, path, found, flags)
ON_PATH_AT(STAT, fstatat64, (int folder, const char *restrict path, struct stat64 *restrict found,
           int flags), folder, path, found, flags)
ON_PATH(RENAME, rename, (const char *path, const char *target), path, target)
ON_PATH_AT(RENAME, renameat, (int folder, const char *path, int other, const char *target),
           folder, path, other, target)
ON_PATH_AT(RENAME, renameat2, (int folder, const char *path, int other, const char *target,
           unsigned flags), folder, path, other, target, flags)
ON_PATH(UNLINK, unlink, (const char *path), path)
ON_PATH_AT(UNLINK, unlinkat, (int folder, const char *path, int flags), folder, path, flags)
ON_PATH(MKDIR, mkdir, (const char *path, mode_t mode), path, mode)
ON_PATH_AT(MKDIR, mkdirat, (int folder, const char *path, mode_t mode), folder, path, mode)

// MARK: descriptors

#define ON_FILE(kind, type, name, parameters, ...) \
    type name parameters { \
        REAL(name); \
        if (is_tracked(file) && fails(kind, NULL, file)) return -1; \
        return real(__VA_ARGS__); \
    }

ON_FILE(READ, ssize_t, read, (int file, void *bytes, size_t count), file, bytes, count)
ON_FILE(READ, ssize_t, pread, (int file, void *bytes, size_t count, off_t place), file, bytes,
        count, place)
ON_FILE(READ, ssize_t, pread64, (int file, void *bytes, size_t count, off64_t place), file, bytes,
        count, place)
ON_FILE(READ, ssize_t, readv, (int file, const struct iovec *parts, int count), file, parts, count)
ON_FILE(WRITE, ssize_t, write, (int file, const void *bytes, size_t count), file, bytes, count)
ON_FILE(WRITE, ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t place), file,
        bytes, count, place)
ON_FILE(WRITE, ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t place),
        file, bytes, count, place)
ON_FILE(WRITE, ssize_t, writev, (int file, const struct iovec *parts, int count), file, parts,
        count)
ON_FILE(STAT, int, fstat, (int file, struct stat *found), file, found)
ON_FILE(STAT, int, fstat64, (int file, struct stat64 *found), file, found)
ON_FILE(FSYNC, int, fsync, (int file), file)
ON_FILE(FSYNC, int, fdatasync, (int file), file)
ON_FILE(FTRUNCATE, int, ftruncate, (int file, off_t count), file, count)
ON_FILE(FTRUNCATE, int, ftruncate64, (int file, off64_t count), file, count)
ON_FILE(FLOCK, int, flock, (int file, int operation), file, operation)

struct dirent *readdir(DIR *folder) {
    REAL(readdir);
    if (is_tracked(dirfd(folder)) && fails(READDIR, NULL, dirfd(folder))) return NULL;
    return real(folder);
}

struct dirent64 *readdir64(DIR *folder) {
    REAL(readdir64);
    if (is_tracked(dirfd(folder)) && fails(READDIR, NULL, dirfd(folder))) return NULL;
    return real(folder);
}

void *mmap(void *address, size_t count, int protection, int flags, int file, off_t place) {
    REAL(mmap);
    if (!(flags & MAP_ANONYMOUS) && is_tracked(file) && fails(MMAP, NULL, file)) return MAP_FAILED;
    return real(address, count, protection, flags, file, place);
}

void *mmap64(void *address, size_t count, int protection, int flags, int file, off64_t place) {
    REAL(mmap64);
    if (!(flags & MAP_ANONYMOUS) && is_tracked(file) && fails(MMAP, NULL, file)) return MAP_FAILED;
    return real(address, count, protection, flags, file, place);
}

int close(int file) {
    REAL(close);
    track(file, 0);
    return real(file);
}

int closedir(DIR *folder) {
    REAL(closedir);
    track(dirfd(folder), 0);
    return real(folder);
}

// MARK: threads

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                   void *(*body)(void *), void *restrict argument) {
    REAL(pthread_create);
    if (fails(THREAD, "", -1)) return fault_errno;
    return real(thread, attributes, body, argument);
}
