/* bootstrap.c -- intervals of a mean, percentiles.
 *
 * BCa (Efron 1987), not plain percentiles: a bootstrap interval of few or skewed values is too narrow
 * and lies off centre, and differences of nDCG are both (a reranker leaves most queries as they are
 * and changes some a lot). BCa corrects for bias and skew, and costs nothing here, because the
 * jackknife of a mean has a closed form. The t interval was rejected: it is symmetric whatever the
 * data. Measured coverage is in tests/unit/test_eval_stats.c. */
#include "core/error.h"
#include "eval/random.h"
#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

wn_stats_options wn_stats_options_default(void) {
    return (wn_stats_options){.size = sizeof(wn_stats_options), .confidence = 0.95,
                              .rounds = 10000, .shuffles = 100000, .seed = 42};
}

wn_status wn_stats_resolve(const wn_stats_options *given, wn_stats_options *out, wn_error *err) {
    *out = wn_stats_options_default();
    if (given) memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
    if (!(out->confidence > 0 && out->confidence < 1))
        return wn_fail(err, WN_ERR_ARGUMENT, "confidence must lie between 0 and 1");
    if (out->rounds < 100 || out->rounds > 10000000)
        return wn_fail(err, WN_ERR_ARGUMENT, "bootstrap rounds: from 100 to 10000000");
    if (out->shuffles < 100 || out->shuffles > 100000000)
        return wn_fail(err, WN_ERR_ARGUMENT, "shuffles: from 100 to 100000000");
    return WN_OK;
}

int wn_compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double wn_quantile_sorted(const double *sorted, size_t n, double share) {
    double at = share * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n) return sorted[n - 1];
    double part = at - (double)below;
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

static double normal_cdf(double z) { return 0.5 * erfc(-z / sqrt(2)); }

/* The inverse by bisection: called four times an interval, and exact to the last digits. */
static double normal_quantile(double p) {
    double low = -40, high = 40;
    for (int i = 0; i < 200 && low < high; i++) {
        double middle = 0.5 * (low + high);
        if (middle == low || middle == high) break;
        if (normal_cdf(middle) < p) low = middle;
        else high = middle;
    }
    return 0.5 * (low + high);
}

static double mean_of(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

/* Skew of the jackknife means, over 6: they lie mirrored around the mean, 1 / (n - 1) as far. */
static double acceleration(const double *x, size_t n, double mean) {
    double squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - mean;
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

static double adjusted(double bias, double skew, double z) {
    double denominator = 1 - skew * (bias + z);
    return denominator > 0 ? normal_cdf(bias + (bias + z) / denominator) : z < 0 ? 0 : 1;
}

static void interval_of(const double *means, size_t rounds, double mean, double skew,
                        double confidence, wn_interval *out) {
    size_t below = 0, equal = 0;
    for (size_t r = 0; r < rounds; r++) {
        below += means[r] < mean;
        equal += means[r] == mean;
    }
    /* Never 0 or 1, whose quantile is infinite. */
    double share = ((double)below + 0.5 * (double)equal + 0.5) / ((double)rounds + 1);
    double bias = normal_quantile(share), z = normal_quantile(0.5 + 0.5 * confidence);
    *out = (wn_interval){mean, wn_quantile_sorted(means, rounds, adjusted(bias, skew, -z)),
                         wn_quantile_sorted(means, rounds, adjusted(bias, skew, z))};
}

wn_status wn_bootstrap_mean(const double *x, size_t n, const wn_stats_options *options,
                            wn_interval *out, wn_error *err) {
    wn_stats_options o;
    WN_TRY(wn_stats_resolve(options, &o, err));
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "an interval of no values");
    double mean = mean_of(x, n);
    bool constant = true;
    for (size_t i = 1; i < n; i++) constant &= x[i] == x[0];
    if (constant) {
        *out = (wn_interval){x[0], x[0], x[0]};
        return WN_OK;
    }
    double *means = wn_calloc(o.rounds, sizeof *means);
    if (!means) return wn_fail_memory(err, o.rounds * sizeof *means);
    wn_random random;
    wn_random_seed(&random, o.seed);
    for (size_t r = 0; r < o.rounds; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += x[wn_random_below(&random, n)];
        means[r] = sum / (double)n;
    }
    qsort(means, o.rounds, sizeof *means, wn_compare_doubles);
    interval_of(means, o.rounds, mean, acceleration(x, n, mean), o.confidence, out);
    wn_free(means);
    return WN_OK;
}

wn_status wn_bootstrap_difference(const double *a, const double *b, size_t n,
                                  const wn_stats_options *options, wn_interval *out,
                                  wn_error *err) {
    double *differences = wn_calloc(n, sizeof *differences);
    if (!differences) return wn_fail_memory(err, n * sizeof *differences);
    for (size_t i = 0; i < n; i++) differences[i] = b[i] - a[i];
    wn_status st = wn_bootstrap_mean(differences, n, options, out, err);
    wn_free(differences);
    return st;
}

wn_status wn_percentiles(const double *x, size_t n, const double *percents, size_t npercents,
                         double *out, wn_error *err) {
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "percentiles of no values");
    for (size_t i = 0; i < npercents; i++)
        if (!(percents[i] >= 0 && percents[i] <= 100))
            return wn_fail(err, WN_ERR_ARGUMENT, "a percentile lies between 0 and 100");
    double *sorted = wn_calloc(n, sizeof *sorted);
    if (!sorted) return wn_fail_memory(err, n * sizeof *sorted);
    memcpy(sorted, x, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, wn_compare_doubles);
    for (size_t i = 0; i < npercents; i++)
        out[i] = wn_quantile_sorted(sorted, n, percents[i] / 100);
    wn_free(sorted);
    return WN_OK;
}
