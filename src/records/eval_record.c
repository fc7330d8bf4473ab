/* eval_record.c -- quality with and without reranking, side by side, as a report.
 *
 * Both rankings hold the same candidates, so recall at first_stage_k can't differ; what differs is
 * the order. Names of measures are trec_eval's, computed by the same code as `winnow eval --run`. */
#include "records/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wn_status no_memory(wn_error *err) {
    *err = (wn_error){.code = WN_ERR_MEMORY, .offset = -1, .line = -1, .message = "out of memory"};
    return WN_ERR_MEMORY;
}

/* ---- Two evaluations -------------------------------------------------------------- */

static char *measure_list(const char *name, const char *cutoffs) {
    char *text = NULL;
    return asprintf(&text, "%s.%s", name, cutoffs) < 0 ? NULL : text;
}

enum { FAMILIES = 4, ALL_MEASURES = FAMILIES + 2 };

/* The measures of the table, or with `one` that of the queries' table alone. */
static wn_status evaluate_run(const rec_eval *a, wn_run *run, bool one, wn_evaluation **out, wn_error *err) {
    static const char *const families[FAMILIES] = {"ndcg_cut", "recall", "P", "success"};
    const char *measures[ALL_MEASURES] = {"map", "recip_rank"};
    char *texts[FAMILIES] = {NULL};
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = one ? &a->measure : measures;
    options.nmeasures = one ? 1 : ALL_MEASURES;
    wn_status st = WN_OK;
    for (int i = 0; i < FAMILIES; i++) {
        measures[2 + i] = texts[i] = measure_list(families[i], a->cutoffs);
        if (texts[i]) continue;
        st = no_memory(err);
    }
    if (st == WN_OK) st = wn_evaluate(a->qrels, run, &options, out, err);
    for (int i = 0; i < FAMILIES; i++) free(texts[i]);
    return st;
}

static wn_status save_run(const rec_eval *a, wn_run *run, bool reranked, wn_error *err) {
    char path[4096];
    if (!a->save_runs) return WN_OK;
    snprintf(path, sizeof path, "%s.%s.trec", a->save_runs, reranked ? "reranked" : "first_stage");
    return wn_run_write(run, path, err);
}

/* [0]: all measures, [1]: the one of the queries' table. */
static wn_status evaluate(const rec_eval *a, const wn_study *study, bool reranked,
                          wn_evaluation *out[2], wn_error *err) {
    wn_run *run = NULL;
    wn_status st = wn_study_to_run(study, a->depth, reranked, a->qrels, a->level,
                                   reranked ? "reranked" : "first_stage", &run, err);
    if (st == WN_OK) st = save_run(a, run, reranked, err);
    if (st == WN_OK) st = evaluate_run(a, run, false, &out[0], err);
    if (st == WN_OK) st = evaluate_run(a, run, true, &out[1], err);
    wn_run_free(run);
    return st;
}

static void put_comparison(rec_report *report, const char *name, const wn_comparison *c) {
    rec_report_row(report);
    rec_put_text(report, "measure", "measure", name);
    rec_put_real(report, "first_stage", "first stage", c->mean_a, 4);
    rec_put_real(report, "reranked", "reranked", c->mean_b, 4);
    rec_put_signed(report, "improvement_percent", "change %", c->improvement, 1);
    rec_put_signed(report, "difference", "difference", c->difference.mean, 4);
    rec_put_interval(report, "interval_95", "95 % interval", c->difference.low, c->difference.high, 4);
    rec_put_real(report, "p", "p", c->test.p, 4);
    rec_put_bool(report, "p_exact", NULL, c->test.exact);
    rec_put_int(report, "better", "better", (long long)c->better);
    rec_put_int(report, "worse", "worse", (long long)c->worse);
    rec_put_int(report, "equal", "equal", (long long)c->equal);
    rec_put_int(report, "queries", NULL, (long long)c->queries);
}

static wn_status put_measures(rec_report *report, const wn_evaluation *a, const wn_evaluation *b,
                              wn_error *err) {
    size_t n = wn_evaluation_describe(a).values;
    rec_report_section(report, SECTION_TABLE, "measures", "Quality with and without reranking");
    for (size_t v = 0; v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(a, v);
        wn_comparison c;
        if (info.text || !info.per_query) continue;
        wn_status st = wn_evaluation_compare(a, b, info.name, NULL, &c, err);
        if (st != WN_OK) return st;
        put_comparison(report, info.name, &c);
    }
    return WN_OK;
}

static const char *query_text(const wn_topics *topics, const char *id) {
    size_t at;
    return wn_topics_find(topics, id, &at) ? wn_topics_get(topics, at).text.data : "";
}

static wn_status put_gains(rec_report *report, const rec_eval *args, const char *measure,
                           const wn_evaluation *a, const wn_evaluation *b, wn_error *err) {
    size_t n = 0;
    wn_status st = wn_evaluation_gains(a, b, measure, NULL, &n, err);
    if (st != WN_OK) return st;
    wn_gain *gains = calloc(n + 1, sizeof *gains);
    if (!gains) return no_memory(err);
    st = wn_evaluation_gains(a, b, measure, gains, &n, err);
    rec_report_section(report, SECTION_TABLE, "queries", "By query, largest gain first");
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        rec_report_row(report);
        rec_put_text(report, "id", "id", gains[i].query);
        rec_put_real(report, "first_stage", "first stage", gains[i].a, 4);
        rec_put_real(report, "reranked", "reranked", gains[i].b, 4);
        rec_put_signed(report, "gain", "gain", gains[i].gain, 4);
        rec_put_text(report, "query", "query", query_text(args->topics, gains[i].query));
    }
    rec_report_note(report, "measure: %s", measure);
    free(gains);
    return st;
}

static void put_values(rec_report *report, const wn_evaluation *a) {
    rec_report_section(report, SECTION_TABLE, "measures", "Quality of the first stage");
    for (size_t v = 0; v < wn_evaluation_describe(a).values; v++) {
        wn_value_info info = wn_evaluation_value_info(a, v);
        if (info.text || !info.per_query) continue;
        rec_report_row(report);
        rec_put_text(report, "measure", "measure", info.name);
        rec_put_real(report, "first_stage", "first stage", wn_evaluation_summary(a, v), 4);
        rec_put_int(report, "queries", NULL, (long long)wn_evaluation_describe(a).queries);
    }
}

wn_status rec_measure_check(wn_qrels *qrels, const char *measure, wn_error *err) {
    wn_run *run = NULL;
    wn_evaluation *evaluation = NULL;
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = &measure;
    options.nmeasures = 1;
    wn_status st = wn_run_create("none", &run, err);
    if (st == WN_OK) st = wn_evaluate(qrels, run, &options, &evaluation, err);
    if (st == WN_OK && wn_evaluation_describe(evaluation).values < 1) {
        *err = (wn_error){.code = WN_ERR_ARGUMENT, .offset = -1, .line = -1, .message = "it has no value"};
        st = WN_ERR_ARGUMENT;
    }
    wn_evaluation_free(evaluation);
    wn_run_free(run);
    return st == WN_ERR_ARGUMENT ? st : WN_OK; /* the run has no query: that is no fault of the measure */
}

wn_status rec_report_eval(rec_report *report, const rec_eval *eval, wn_error *err) {
    wn_evaluation *first[2] = {NULL, NULL}, *second[2] = {NULL, NULL};
    wn_status st = evaluate(eval, eval->study, false, first, err);
    if (st == WN_OK && eval->reranked) st = evaluate(eval, eval->study, true, second, err);
    rec_put_settings(report, eval->index, eval->queries, eval->study);
    rec_put_int(report, "first_stage_k", "candidates a query (first_stage_k)", (long long)eval->depth);
    rec_put_text(report, "level", "labels are of", REC_LABEL_LEVELS[eval->level]);
    if (st == WN_OK && !eval->reranked) put_values(report, first[0]);
    if (st == WN_OK && eval->reranked) st = put_measures(report, first[0], second[0], err);
    if (st == WN_OK && eval->reranked && eval->by_query)
        st = put_gains(report, eval, wn_evaluation_value_info(first[1], 0).name, first[1], second[1], err);
    for (int i = 0; i < 2; i++) {
        wn_evaluation_free(first[i]);
        wn_evaluation_free(second[i]);
    }
    return st;
}
