/* rank_agreement.c -- how alike two rankings are: rank-biased overlap, Kendall's tau-b. */
#include "core/error.h"
#include "eval/id_table.h"
#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the documents of one list; a repeated one is refused. */
static wn_status number_list(wn_id_table *table, const char *const *list, size_t n,
                             unsigned char **seen, size_t *cap, unsigned char mark,
                             uint32_t *numbers, wn_error *err) {
    for (size_t i = 0; i < n; i++) {
        WN_TRY(wn_id_table_add(table, list[i], strlen(list[i]), &numbers[i], NULL, err));
        size_t old = *cap;
        WN_TRY(wn_grow(seen, cap, table->count, 1, err));
        memset(*seen + old, 0, *cap - old);
        if ((*seen)[numbers[i]] & mark)
            return wn_fail(err, WN_ERR_ARGUMENT, "document %s is twice in a ranking", list[i]);
        (*seen)[numbers[i]] |= mark;
    }
    return WN_OK;
}

/* Webber, Moffat, Zobel 2010, equation 32: S the shorter list (s), L the longer one (l), X_d the
 * overlap at depth d. Beyond s the shorter list is taken to agree as it did so far. */
static double extrapolated(const uint32_t *shorter, size_t s, const uint32_t *longer, size_t l,
                           unsigned char *met, double p) {
    double sum = 0, weight = 1, overlap = 0, overlap_s = 0;
    for (size_t d = 1; d <= l; d++) {
        if (d <= s) {
            overlap += (met[shorter[d - 1]] & 2) != 0;
            met[shorter[d - 1]] |= 1;
        }
        overlap += (met[longer[d - 1]] & 1) != 0;
        met[longer[d - 1]] |= 2;
        if (d == s) overlap_s = overlap;
        weight *= p;
        sum += overlap / (double)d * weight;
        if (d > s) sum += overlap_s * (double)(d - s) / ((double)s * (double)d) * weight;
    }
    return (1 - p) / p * sum +
           ((overlap - overlap_s) / (double)l + overlap_s / (double)s) * weight;
}

static wn_status overlap(const char *const *a, size_t na, const char *const *b, size_t nb, double p,
                         uint32_t *numbers, wn_id_table *table, unsigned char **seen, double *out,
                         wn_error *err) {
    size_t cap = 0;
    WN_TRY(number_list(table, a, na, seen, &cap, 1, numbers, err));
    WN_TRY(number_list(table, b, nb, seen, &cap, 2, numbers + na, err));
    memset(*seen, 0, cap);
    *out = na <= nb ? extrapolated(numbers, na, numbers + na, nb, *seen, p)
                    : extrapolated(numbers + na, nb, numbers, na, *seen, p);
    return WN_OK;
}

wn_status wn_rank_biased_overlap(const char *const *a, size_t na, const char *const *b, size_t nb,
                                 double p, double *out, wn_error *err) {
    if (!(p > 0 && p < 1))
        return wn_fail(err, WN_ERR_ARGUMENT, "rank-biased overlap: p must lie between 0 and 1");
    if (!na || !nb) {
        *out = na == nb ? 1 : 0;
        return WN_OK;
    }
    wn_id_table table = {0};
    unsigned char *seen = NULL;
    uint32_t *numbers = wn_calloc(na + nb, sizeof *numbers);
    wn_status st = numbers ? overlap(a, na, b, nb, p, numbers, &table, &seen, out, err)
                           : wn_fail_memory(err, (na + nb) * sizeof *numbers);
    wn_free(numbers);
    wn_free(seen);
    wn_id_table_release(&table);
    return st;
}

typedef struct {
    double x, y;
} pair;

static int by_x_then_y(const void *pa, const void *pb) {
    const pair *a = pa, *b = pb;
    if (a->x != b->x) return a->x < b->x ? -1 : 1;
    return (a->y > b->y) - (a->y < b->y);
}

/* Sorts by y, counting the exchanges of neighbours that would take: the discordant pairs. */
static double merge_sort(pair *pairs, pair *scratch, size_t n) {
    if (n < 2) return 0;
    size_t half = n / 2, i = 0, j = half, k = 0;
    double exchanges = merge_sort(pairs, scratch, half) +
                       merge_sort(pairs + half, scratch, n - half);
    while (i < half && j < n) {
        if (pairs[j].y < pairs[i].y) {
            exchanges += (double)(half - i);
            scratch[k++] = pairs[j++];
        } else {
            scratch[k++] = pairs[i++];
        }
    }
    while (i < half) scratch[k++] = pairs[i++];
    memcpy(pairs, scratch, k * sizeof *pairs);
    return exchanges;
}

/* Pairs that are equal: in x, in y, or in both. */
static double count_ties(const pair *pairs, size_t n, bool in_x, bool in_y) {
    double ties = 0;
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n; end++)
            if ((in_x && pairs[end].x != pairs[begin].x) ||
                (in_y && pairs[end].y != pairs[begin].y))
                break;
        ties += 0.5 * (double)(end - begin) * (double)(end - begin - 1);
    }
    return ties;
}

wn_status wn_kendall_tau_b(const double *x, const double *y, size_t n, double *out,
                           wn_error *err) {
    pair *pairs = wn_calloc(n, sizeof *pairs), *scratch = wn_calloc(n, sizeof *scratch);
    if (!pairs || !scratch) {
        wn_free(pairs);
        wn_free(scratch);
        return wn_fail_memory(err, 2 * n * sizeof *pairs);
    }
    for (size_t i = 0; i < n; i++) pairs[i] = (pair){x[i], y[i]};
    if (n) qsort(pairs, n, sizeof *pairs, by_x_then_y);
    double all = 0.5 * (double)n * ((double)n - 1);
    double ties_x = count_ties(pairs, n, true, false), ties_both = count_ties(pairs, n, true, true);
    double discordant = merge_sort(pairs, scratch, n);
    double ties_y = count_ties(pairs, n, false, true);
    double scale = sqrt((all - ties_x) * (all - ties_y));
    *out = scale > 0 ? (all - ties_x - ties_y + ties_both - 2 * discordant) / scale : NAN;
    wn_free(pairs);
    wn_free(scratch);
    return WN_OK;
}
