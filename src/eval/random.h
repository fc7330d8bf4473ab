/* random.h -- xoshiro256++ (Blackman and Vigna), seeded by splitmix64: the same numbers on every
 * machine, which rand() does not promise. Not for secrets. */
#ifndef WN_EVAL_RANDOM_H
#define WN_EVAL_RANDOM_H
#include <stddef.h>
#include <stdint.h>

typedef struct wn_random {
    uint64_t state[4];
} wn_random;

void wn_random_seed(wn_random *random, uint64_t seed);
uint64_t wn_random_next(wn_random *random);
/* Uniform in [0, n), n >= 1. */
size_t wn_random_below(wn_random *random, size_t n);
/* Uniform in [0, 1), 53 bits. */
double wn_random_unit(wn_random *random);
#endif
