/* quality.c -- a ranking's quality, query by query, with labels or by agreement. */
#include "pipeline/quality.h"
#include "core/error.h"
#include "core/memory.h"

#include <stdio.h>
#include <string.h>

enum { AGREEMENT_DEPTH = 10, NAME_SIZE = 24 };

/* The one value that a measure given by the user stands for. */
static wn_status single_value(const wn_evaluation *e, const char *measure, size_t *out, wn_error *err) {
    size_t n = wn_evaluation_describe(e).values, found = 0;
    for (size_t v = 0; v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(e, v);
        if (info.text || !info.per_query || info.summary != WN_SUMMARY_MEAN) continue;
        *out = v;
        found++;
    }
    if (found == 1) return WN_OK;
    return wn_fail(err, WN_ERR_ARGUMENT, "\"%s\" is not one value of each query; one is, as in nDCG@10",
                   measure);
}

/* Where an evaluation, which is in order of id, has a query; SIZE_MAX when it hasn't. */
static size_t find_query(const wn_evaluation *e, size_t n, const char *id) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(wn_evaluation_query(e, mid), id) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo < n && strcmp(wn_evaluation_query(e, lo), id) == 0 ? lo : SIZE_MAX;
}

static void take_values(const wn_study *study, const wn_evaluation *e, size_t value, double *out,
                        size_t *places, size_t *count) {
    const double *column = wn_evaluation_column(e, value);
    size_t n = wn_evaluation_describe(e).queries;
    *count = 0;
    for (size_t q = 0; q < study->info.queries; q++) {
        size_t at = find_query(e, n, study->records[q].id);
        if (at == SIZE_MAX) continue;
        if (places) places[*count] = q;
        out[(*count)++] = column[at];
    }
}

wn_status wn_quality_by_labels(const wn_study *study, size_t depth, bool reranked, wn_qrels *qrels,
                               const char *measure, wn_label_level level, double *out, size_t *places,
                               size_t *count, wn_error *err) {
    wn_run *run = NULL;
    wn_evaluation *e = NULL;
    wn_evaluate_options options = wn_evaluate_options_default();
    size_t value = 0;
    options.measures = &measure;
    options.nmeasures = 1;
    WN_TRY(wn_study_to_run(study, depth, reranked, qrels, level, NULL, &run, err));
    wn_status st = wn_evaluate(qrels, run, &options, &e, err);
    wn_run_free(run);
    if (st == WN_OK) st = single_value(e, measure, &value, err);
    if (st == WN_OK) take_values(study, e, value, out, places, count);
    wn_evaluation_free(e);
    return st;
}

static size_t first_names(const wn_study_order *o, char names[][NAME_SIZE], const char **list) {
    size_t n = o->n < AGREEMENT_DEPTH ? o->n : AGREEMENT_DEPTH;
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], NAME_SIZE, "%lld", (long long)o->hits[o->final[i]].passage);
        list[i] = names[i];
    }
    return n;
}

wn_status wn_quality_by_agreement(const wn_study *study, size_t depth, bool reranked, size_t reference,
                                  double *out, wn_error *err) {
    wn_study_order order = {0};
    wn_status st = WN_OK;
    for (size_t q = 0; st == WN_OK && q < study->info.queries; q++) {
        char names[2][AGREEMENT_DEPTH][NAME_SIZE];
        const char *lists[2][AGREEMENT_DEPTH];
        size_t n[2] = {0, 0};
        st = wn_study_order_at(study, q, reference, true, &order, err);
        if (st == WN_OK) n[0] = first_names(&order, names[0], lists[0]);
        if (st == WN_OK) st = wn_study_order_at(study, q, depth, reranked, &order, err);
        if (st == WN_OK) n[1] = first_names(&order, names[1], lists[1]);
        if (st == WN_OK) st = wn_rank_biased_overlap(lists[0], n[0], lists[1], n[1], 0.9, &out[q], err);
    }
    wn_study_order_release(&order);
    return st;
}
