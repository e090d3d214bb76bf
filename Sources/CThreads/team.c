#include "CThreads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

// A forward pass is a hundred short loops in a row. Waking a sleeping thread takes longer than many
// of them. So the threads of a team spin for the next loop, and sleep only if none comes soon.
enum { SPINS = 4000 };

struct clip_team {
    int threads;  // including the thread of the caller
    pthread_t *members;

    // The loop of the current round. Both stay unchanged while a part is unfinished, so a thread
    // that has claimed a part may read them.
    void (*body)(void *context, int part);
    void *context;

    // The number of the round (32 bits), its number of parts (16 bits) and the next part to be
    // claimed (16 bits), in one word, so that a late thread cannot claim a part of another round.
    atomic_ullong claims;
    atomic_int unfinished;
    atomic_int sleepers;
    atomic_int is_over;
    atomic_int is_taken;  // 1 while the team runs the loop of a caller
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static inline unsigned round_of(unsigned long long claims) {
    return (unsigned)(claims >> 32);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Claims parts and runs them until none is left.
static void run_parts(clip_team *team) {
    unsigned long long claims = atomic_load(&team->claims);
    for (;;) {
        unsigned next = claims & 0xFFFF, parts = claims >> 16 & 0xFFFF;
        if (next >= parts) return;
        if (!atomic_compare_exchange_weak(&team->claims, &claims, claims + 1)) continue;
        team->body(team->context, (int)next);
        atomic_fetch_sub(&team->unfinished, 1);
        claims = atomic_load(&team->claims);
    }
}

static void wait_for_round(clip_team *team, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (round_of(atomic_load(&team->claims)) != seen) return;
        pause_briefly();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    while (round_of(atomic_load(&team->claims)) == seen) {
        pthread_cond_wait(&team->wake, &team->mutex);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
}

static void *member(void *argument) {
    clip_team *team = argument;
    unsigned seen = 0;
    for (;;) {
        wait_for_round(team, seen);
        if (atomic_load(&team->is_over)) return NULL;
        seen = round_of(atomic_load(&team->claims));
        run_parts(team);
    }
}

static void start_round(clip_team *team, int parts) {
    unsigned long long round = round_of(atomic_load(&team->claims)) + 1u;
    atomic_store(&team->unfinished, parts);
    atomic_store(&team->claims, (round & 0xFFFFFFFF) << 32 | (unsigned long long)parts << 16);
    if (atomic_load(&team->sleepers) > 0) {
        pthread_mutex_lock(&team->mutex);
        pthread_cond_broadcast(&team->wake);
        pthread_mutex_unlock(&team->mutex);
    }
}

clip_team *clip_team_create(int threads) {
    clip_team *team = calloc(1, sizeof *team);
    if (!team) return NULL;
    if (threads > 0x7FFF) threads = 0x7FFF;
    team->threads = 1;
    team->members = threads > 1 ? calloc((size_t)threads - 1, sizeof *team->members) : NULL;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    // If the system cannot start as many threads, the team is smaller.
    while (team->members && team->threads < threads &&
           pthread_create(&team->members[team->threads - 1], NULL, member, team) == 0) {
        team->threads++;
    }
    return team;
}

int clip_team_threads(const clip_team *team) {
    return team->threads;
}

void clip_team_run(clip_team *team, int parts, void (*body)(void *context, int part),
                   void *context) {
    // The team runs another loop, perhaps the one that contains this loop: the cores are busy.
    if (atomic_exchange(&team->is_taken, 1)) {
        for (int part = 0; part < parts; part++) body(context, part);
        return;
    }
    team->body = body;
    team->context = context;
    start_round(team, parts);
    run_parts(team);
    for (int i = 0; atomic_load(&team->unfinished) > 0; i++) {
        if (i < SPINS) {
            pause_briefly();
        } else {
            sched_yield();
        }
    }
    atomic_store(&team->is_taken, 0);
}

void clip_team_destroy(clip_team *team) {
    atomic_store(&team->is_over, 1);
    start_round(team, 0);
    for (int i = 0; i < team->threads - 1; i++) pthread_join(team->members[i], NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    free(team->members);
    free(team);
}
