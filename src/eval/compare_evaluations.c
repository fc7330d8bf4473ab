/* compare_evaluations.c -- two evaluations, query by query.
 * Both list their queries in order of id, so pairing them is one walk. Means are taken over the
 * pairs: a mean over other queries than the difference's would not add up. */
#include "core/error.h"
#include "eval/evaluation.h"
#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    wn_gain *gains;
    size_t count, left_out;
} paired;

static wn_status column_of(const wn_evaluation *e, const char *name, const double **out,
                           wn_error *err) {
    size_t value;
    if (!wn_evaluation_find(e, name, &value))
        return wn_fail(err, WN_ERR_ARGUMENT, "the value %.100s was not evaluated", name);
    if (e->infos[value].text || !e->infos[value].per_query)
        return wn_fail(err, WN_ERR_ARGUMENT, "%.100s is no number of a single query", name);
    *out = wn_evaluation_column(e, value);
    return WN_OK;
}

static wn_status pair_up(const wn_evaluation *a, const wn_evaluation *b, const char *name,
                         paired *out, wn_error *err) {
    const double *va = NULL, *vb = NULL;
    WN_TRY(column_of(a, name, &va, err));
    WN_TRY(column_of(b, name, &vb, err));
    size_t least = a->nqueries < b->nqueries ? a->nqueries : b->nqueries;
    wn_gain *gains = wn_calloc(least, sizeof *gains);
    if (!gains) return wn_fail_memory(err, least * sizeof *gains);
    size_t n = 0, i = 0, j = 0;
    while (i < a->nqueries && j < b->nqueries) {
        int c = strcmp(a->queries[i], b->queries[j]);
        if (!c) gains[n++] = (wn_gain){a->queries[i], va[i], vb[j], vb[j] - va[i]};
        i += c <= 0;
        j += c >= 0;
    }
    if (!n) {
        wn_free(gains);
        return wn_fail(err, WN_ERR_MISMATCH, "the two evaluations have no query in common");
    }
    *out = (paired){gains, n, a->nqueries + b->nqueries - 2 * n};
    return WN_OK;
}

static wn_status compare(const paired *p, double *values, const wn_stats_options *options,
                         wn_comparison *out, wn_error *err) {
    wn_comparison c = {.queries = p->count, .left_out = p->left_out};
    double *a = values, *b = values + p->count;
    for (size_t i = 0; i < p->count; i++) {
        a[i] = p->gains[i].a;
        b[i] = p->gains[i].b;
        c.mean_a += a[i] / (double)p->count;
        c.mean_b += b[i] / (double)p->count;
        c.better += b[i] > a[i];
        c.worse += b[i] < a[i];
        c.equal += b[i] == a[i];
    }
    c.improvement = c.mean_a != 0 ? 100 * (c.mean_b - c.mean_a) / fabs(c.mean_a) : NAN;
    WN_TRY(wn_bootstrap_difference(a, b, p->count, options, &c.difference, err));
    WN_TRY(wn_permutation_test(a, b, p->count, options, &c.test, err));
    *out = c;
    return WN_OK;
}

wn_status wn_evaluation_compare(const wn_evaluation *a, const wn_evaluation *b, const char *name,
                                const wn_stats_options *options, wn_comparison *out,
                                wn_error *err) {
    paired p;
    WN_TRY(pair_up(a, b, name, &p, err));
    double *values = wn_calloc(p.count, 2 * sizeof *values);
    wn_status st = values ? compare(&p, values, options, out, err)
                          : wn_fail_memory(err, 2 * p.count * sizeof *values);
    wn_free(values);
    wn_free(p.gains);
    return st;
}

static int by_gain(const void *pa, const void *pb) {
    const wn_gain *a = pa, *b = pb;
    if (a->gain != b->gain) return a->gain > b->gain ? -1 : 1;
    return strcmp(a->query, b->query);
}

wn_status wn_evaluation_gains(const wn_evaluation *a, const wn_evaluation *b, const char *name,
                              wn_gain *out, size_t *count, wn_error *err) {
    paired p;
    WN_TRY(pair_up(a, b, name, &p, err));
    if (out) {
        qsort(p.gains, p.count, sizeof *p.gains, by_gain);
        memcpy(out, p.gains, p.count * sizeof *p.gains);
    }
    *count = p.count;
    wn_free(p.gains);
    return WN_OK;
}
