/* impact.c -- what reranking changed, query by query and in total; no labels needed.
 *
 * Ranks are compared among the candidates (first_stage_rank against final_rank), and the results are
 * the first k of the final order: so a passage that came up from rank 40 counts with its 39, and
 * what it pushed out of the first k shows in the overlap. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/study.h"

#include <stdio.h>
#include <stdlib.h>

enum { ID_SIZE = 24 };

/* The two first-k lists by name, for the overlaps. */
typedef struct {
    char (*names)[ID_SIZE];           /* [2 k] */
    const char **before, **after;     /* [k] each */
} lists;

static wn_status lists_init(lists *l, size_t k, wn_error *err) {
    l->names = wn_calloc(2 * k, sizeof *l->names);
    l->before = wn_calloc(k, sizeof *l->before);
    l->after = wn_calloc(k, sizeof *l->after);
    if (!l->names || !l->before || !l->after) return wn_fail_memory(err, 2 * k * sizeof *l->names);
    return WN_OK;
}

static void lists_release(lists *l) {
    wn_free(l->names);
    wn_free(l->before);
    wn_free(l->after);
}

static const char *name(lists *l, size_t slot, int64_t passage) {
    snprintf(l->names[slot], ID_SIZE, "%lld", (long long)passage);
    return l->names[slot];
}

static wn_status overlaps(const wn_study_order *o, size_t n, lists *l, wn_impact_query *row, wn_error *err) {
    size_t common = 0;
    for (size_t i = 0; i < n; i++) {
        l->before[i] = name(l, i, o->hits[i].passage);
        l->after[i] = name(l, n + i, o->hits[o->final[i]].passage);
        common += o->final[i] < n;
    }
    row->overlap = n ? (double)common / (double)n : 1;
    return wn_rank_biased_overlap(l->before, n, l->after, n, 0.9, &row->rbo, err);
}

static wn_status impact_of_query(const wn_study *study, size_t query, size_t depth, size_t k,
                                 wn_study_order *o, lists *l, wn_impact_query *out, wn_error *err) {
    wn_impact_query row = {.stage1_time_ms = study->records[query].stage1_ms};
    WN_TRY(wn_study_order_at(study, query, depth, true, o, err));
    WN_TRY(wn_study_stage2_ms(study, query, depth, &row.stage2_time_ms, err));
    size_t n = o->n < k ? o->n : k;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t before = o->final[i], change = before > i ? before - i : i - before;
        row.up += before > i;
        row.down += before < i;
        row.unchanged += before == i;
        if (change > row.max_change) row.max_change = change;
        sum += change;
    }
    row.results = n;
    row.mean_change = n ? sum / (double)n : 0;
    row.top1_changed = n && o->final[0] != 0;
    WN_TRY(overlaps(o, n, l, &row, err));
    *out = row;
    return WN_OK;
}

static void add(wn_impact_total *t, const wn_impact_query *row) {
    t->queries++;
    t->results += row->results;
    t->up += (double)row->up;
    t->down += (double)row->down;
    t->unchanged += (double)row->unchanged;
    t->mean_change += row->mean_change * (double)row->results;
    if (row->max_change > t->max_change) t->max_change = row->max_change;
    t->top1_change_rate += row->top1_changed;
    t->overlap += row->overlap;
    t->rbo += row->rbo;
    t->stage1_time_ms += row->stage1_time_ms;
    t->stage2_time_ms += row->stage2_time_ms;
}

static wn_status finish(wn_impact_total *t, const double *latencies, wn_error *err) {
    static const double percents[2] = {50, 95};
    double q = (double)t->queries, r = t->results ? (double)t->results : 1, at[2];
    t->up /= r;
    t->down /= r;
    t->unchanged /= r;
    t->mean_change /= r;
    t->top1_change_rate /= q;
    t->overlap /= q;
    t->rbo /= q;
    t->stage1_time_ms /= q;
    t->stage2_time_ms /= q;
    WN_TRY(wn_percentiles(latencies, t->queries, percents, 2, at, err));
    t->latency_p50_ms = at[0];
    t->latency_p95_ms = at[1];
    return WN_OK;
}

wn_status wn_impact(const wn_study *study, size_t depth, size_t k, wn_impact_query *rows,
                    wn_impact_total *total, wn_error *err) {
    if (k < 1 || k > depth)
        return wn_fail(err, WN_ERR_ARGUMENT, "k must be from 1 to first_stage_k, %zu", depth);
    size_t queries = study->info.queries;
    if (!queries) return wn_fail(err, WN_ERR_ARGUMENT, "there are no queries");
    wn_study_order order = {0};
    lists l = {0};
    wn_impact_total t = {0};
    wn_status st = WN_OK;
    double *latencies = wn_calloc(queries, sizeof *latencies);
    if (!latencies) return wn_fail_memory(err, queries * sizeof *latencies);
    WN_TRY_GOTO(lists_init(&l, k, err));
    for (size_t i = 0; i < queries; i++) {
        wn_impact_query row;
        WN_TRY_GOTO(impact_of_query(study, i, depth, k, &order, &l, &row, err));
        latencies[i] = row.stage1_time_ms + row.stage2_time_ms;
        add(&t, &row);
        if (rows) rows[i] = row;
    }
    WN_TRY_GOTO(finish(&t, latencies, err));
    *total = t;
fail:
    lists_release(&l);
    wn_study_order_release(&order);
    wn_free(latencies);
    return st;
}
