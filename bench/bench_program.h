/* bench_program.h -- what every benchmark program of this folder begins with: an end with a word, clocks, a random
 * sequence that is the same in every run, a precision by its name. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winnow/core.h>

static inline _Noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

static inline double clock_ms(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static inline double clock_s(clockid_t id) { return clock_ms(id) * 1e-3; }

static inline uint64_t next_random(void) {
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
static inline uint32_t random_32(void) { return (uint32_t)(next_random() >> 32); }

static inline bool precision_read(const char *name, wn_precision *out) {
    for (wn_precision p = WN_F32; p <= WN_AUTO; p++)
        if (!strcmp(name, wn_precision_name(p))) return *out = p, true;
    return false;
}
#endif
