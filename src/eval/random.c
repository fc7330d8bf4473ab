/* random.c -- xoshiro256++ 1.0, written from its published definition (prng.di.unimi.it). */
#include "eval/random.h"

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void wn_random_seed(wn_random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) random->state[i] = splitmix(&seed);
}

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

uint64_t wn_random_next(wn_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

size_t wn_random_below(wn_random *random, size_t n) {
    /* The high half of a 128-bit product: its bias is below n / 2^64, which no count here shows. */
    return (size_t)(((unsigned __int128)wn_random_next(random) * n) >> 64);
}

double wn_random_unit(wn_random *random) { return (double)(wn_random_next(random) >> 11) * 0x1p-53; }
