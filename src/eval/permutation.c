/* permutation.c -- the paired randomisation test of a mean difference.
 *
 * If the two systems were one, each query's difference could as well have the other sign. p is the
 * share of sign assignments whose mean is at least as far from 0 as the observed one. Queries
 * without difference say nothing and are dropped, which makes the exact test reach further: up to
 * 20 differing queries all assignments are gone through (a million sums, half of them by symmetry).
 * Beyond that assignments are drawn; the observed one counts as one of them (Phipson and Smyth
 * 2010), so p is never 0. */
#include "core/error.h"
#include "eval/random.h"
#include "eval/statistics.h"

#include <math.h>

enum { MOST_EXACT = 20 };

/* Assignments of the signs of x[i..n) that, added to sum, reach the limit in absolute value. */
static uint64_t count_extreme(const double *x, size_t i, size_t n, double sum, double limit) {
    if (i == n) return fabs(sum) >= limit;
    return count_extreme(x, i + 1, n, sum + x[i], limit) +
           count_extreme(x, i + 1, n, sum - x[i], limit);
}

static double random_p(const double *x, size_t n, double limit, const wn_stats_options *o) {
    wn_random random;
    wn_random_seed(&random, o->seed);
    uint64_t extreme = 0;
    for (size_t s = 0; s < o->shuffles; s++) {
        double sum = 0;
        uint64_t bits = 0;
        for (size_t i = 0; i < n; i++, bits >>= 1) {
            if (i % 64 == 0) bits = wn_random_next(&random);
            sum += bits & 1 ? x[i] : -x[i];
        }
        extreme += fabs(sum) >= limit;
    }
    return ((double)extreme + 1) / ((double)o->shuffles + 1);
}

wn_status wn_permutation_test(const double *a, const double *b, size_t n,
                              const wn_stats_options *options, wn_permutation *out,
                              wn_error *err) {
    wn_stats_options o;
    WN_TRY(wn_stats_resolve(options, &o, err));
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "a test of no pairs");
    double *x = wn_calloc(n, sizeof *x), sum = 0, size = 0;
    if (!x) return wn_fail_memory(err, n * sizeof *x);
    size_t differing = 0;
    for (size_t i = 0; i < n; i++) {
        if (a[i] == b[i]) continue;
        x[differing] = b[i] - a[i];
        sum += x[differing];
        size += fabs(x[differing++]);
    }
    /* Sums of the same numbers in another order differ by rounding; equal ones must count. */
    double limit = fabs(sum) - 1e-12 * size;
    if (!differing) {
        *out = (wn_permutation){1, true};
    } else if (differing <= MOST_EXACT) {
        uint64_t half = count_extreme(x, 1, differing, x[0], limit);
        *out = (wn_permutation){(double)half / (double)((uint64_t)1 << (differing - 1)), true};
    } else {
        *out = (wn_permutation){random_p(x, differing, limit, &o), false};
    }
    wn_free(x);
    return WN_OK;
}
