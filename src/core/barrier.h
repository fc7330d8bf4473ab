/* barrier.h -- where a fixed number of threads wait for each other, again and again.
 *
 * POSIX has one, but its waiters sleep at once, and being woken takes longer (some 50 us on a virtual machine) than the
 * wait itself, where equal shares of a few hundred microseconds' work end together. Here a waiter looks on for up to a
 * millisecond before it sleeps, and lets others have its processor meanwhile. */
#ifndef WN_CORE_BARRIER_H
#define WN_CORE_BARRIER_H
#include <winnow/core.h>

#include <pthread.h>
#include <stdatomic.h>

typedef struct wn_barrier {
    size_t members;
    _Atomic size_t arrived;
    _Atomic uint32_t round; /* how often all have met */
    pthread_mutex_t lock;   /* of those that sleep */
    pthread_cond_t met;
} wn_barrier;

/* Its address may not change from then on. */
void wn_barrier_init(wn_barrier *barrier);
void wn_barrier_destroy(wn_barrier *barrier);
/* How many meet from now on; nobody may be waiting. */
void wn_barrier_set(wn_barrier *barrier, size_t members);
/* Returns when all have called it: what each wrote before is seen by all behind. */
void wn_barrier_wait(wn_barrier *barrier);
#endif
