/* barrier.c -- look for a while, then sleep. Looking yields: where two members have one processor (woken there, or the machine
 * is busy), the other goes on at once. */
#include "core/barrier.h"
#include "core/clock.h"

#include <sched.h>

/* LOOK_MS: how long to look before sleeping. Being woken takes 0.05 to 0.1 ms on a virtual machine, and makes the others wait in
 * turn: shorter than that, and all sleep at every barrier. LOOKS: between two looks at the clock, some 10 to 50 ns each. */
#define LOOK_MS 1.0
enum { LOOKS = 64 };

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

void wn_barrier_init(wn_barrier *barrier) {
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->round, 0);
    barrier->members = 1;
    pthread_mutex_init(&barrier->lock, NULL);
    pthread_cond_init(&barrier->met, NULL);
}

void wn_barrier_destroy(wn_barrier *barrier) {
    pthread_mutex_destroy(&barrier->lock);
    pthread_cond_destroy(&barrier->met);
}

void wn_barrier_set(wn_barrier *barrier, size_t members) { barrier->members = members; }

void wn_barrier_wait(wn_barrier *barrier) {
    uint32_t round = atomic_load(&barrier->round);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == barrier->members) {
        atomic_store(&barrier->arrived, 0);
        pthread_mutex_lock(&barrier->lock);
        atomic_store(&barrier->round, round + 1);
        pthread_cond_broadcast(&barrier->met);
        pthread_mutex_unlock(&barrier->lock);
        return;
    }
    for (double end = wn_now_ms() + LOOK_MS; wn_now_ms() < end; sched_yield())
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(&barrier->round, memory_order_acquire) != round) return;
            pause_briefly();
        }
    pthread_mutex_lock(&barrier->lock);
    while (atomic_load(&barrier->round) == round) pthread_cond_wait(&barrier->met, &barrier->lock);
    pthread_mutex_unlock(&barrier->lock);
}
