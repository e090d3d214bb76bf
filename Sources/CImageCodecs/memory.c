#include "codecs.h"

#include <pthread.h>

// The image memory that all threads share. Waiting threads are served in order: a thread proceeds
// once it is first and its bytes fit, so that small images do not starve a large one.
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t used, next_ticket, serving;
} memory = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void clip_memory_acquire(uint64_t bytes, uint64_t limit, bool waits) {
    pthread_mutex_lock(&memory.mutex);
    if (waits) {
        uint64_t ticket = memory.next_ticket++;
        // `bytes` is within the limit, so that it fits at the latest when nothing is in use.
        while (ticket != memory.serving ||
               (memory.used > 0 && (memory.used > limit || bytes > limit - memory.used))) {
            pthread_cond_wait(&memory.changed, &memory.mutex);
        }
        memory.serving++;
        pthread_cond_broadcast(&memory.changed);
    }
    memory.used += bytes;
    pthread_mutex_unlock(&memory.mutex);
}

void clip_memory_release(uint64_t bytes) {
    if (bytes == 0) return;
    pthread_mutex_lock(&memory.mutex);
    memory.used -= bytes;
    pthread_cond_broadcast(&memory.changed);
    pthread_mutex_unlock(&memory.mutex);
}

uint64_t clip_memory_used(void) {
    pthread_mutex_lock(&memory.mutex);
    uint64_t used = memory.used;
    pthread_mutex_unlock(&memory.mutex);
    return used;
}
