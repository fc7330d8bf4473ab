/* report_data.c -- studies to the document of numbers that a report is.
 *
 * Quality is measured by the code of `winnow eval` on runs of the study's rankings. The rank of the labelled
 * answer is 1 / reciprocal rank: the rank among documents, each counted once, so that slope
 * graph and measures speak of the same ranking. Depths and systems come from wn_sweep. */
#include "report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const LEVELS[] = {"document", "passage"};
static const char *const MEASURES[] = {"ndcg_cut.5,10", "recip_rank", "map", "recall.5,10", "success.1,5"};
enum { NMEASURES = sizeof MEASURES / sizeof *MEASURES };

/* ---- Members of its own kinds ------------------------------------------------------- */

static json_t *string(const char *text) { return text && *text ? page_text(text, strlen(text)) : json_null(); }

static json_t *quality(double value) { return page_real(value, 6); }
static json_t *time_ms(double value) { return page_real(value, 3); }

static json_t *interval(double low, double high) {
    json_t *pair = json_array();
    page_append(pair, quality(low));
    page_append(pair, quality(high));
    return pair;
}

/* ---- Settings --------------------------------------------------------------------- */

static json_t *filters_json(const cli_studying *s) {
    json_t *all = json_array();
    for (size_t i = 0; i < s->where.count; i++)
        page_append(all, page_text(s->where.items[i], strlen(s->where.items[i])));
    return all;
}

static void put_index(json_t *settings, wn_index *index) {
    wn_index_info info;
    wn_error err;
    if (wn_index_describe(index, &info, &err) != WN_OK) return; /* the study read it: facts only */
    page_set(settings, "documents", json_integer((json_int_t)info.documents));
    page_set(settings, "passages", json_integer((json_int_t)info.passages));
    page_set(settings, "chunk_size", json_integer((json_int_t)info.chunk_size));
    page_set(settings, "chunk_overlap", json_integer((json_int_t)info.chunk_overlap));
    page_set(settings, "chunk_unit", json_string(info.unit == WN_UNIT_TOKENS ? "tokens" : "characters"));
    page_set(settings, "stemming", json_boolean(info.stemming));
}

static json_t *now_text(void) {
    char text[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    return json_string(text);
}

json_t *report_begin(report_request *r) {
    json_t *root = json_object(), *settings = json_object();
    page_set(root, "format", json_string(PAGE_FORMAT));
    page_set(root, "version", json_integer(PAGE_VERSION));
    page_set(root, "title", string(r->title ? r->title : "Does reranking pay?"));
    page_set(root, "made", now_text());
    page_set(root, "summary", json_object());
    page_set(root, "settings", settings);
    page_set(settings, "winnow", json_string(wn_version()));
    page_set(settings, "command", string(r->command));
    page_set(settings, "index", string(r->s.index));
    put_index(settings, r->s.searching.index);
    page_set(settings, "queries_file", string(r->s.queries));
    page_set(settings, "labels", r->s.qrels ? string(r->qrels ? r->qrels : "expected_source") : json_null());
    page_set(settings, "level", json_string(LEVELS[r->level]));
    page_set(settings, "filters", filters_json(&r->s));
    page_set(settings, "length_policy", json_string(REC_LENGTH_POLICIES[r->s.policy]));
    page_set(settings, "k", json_integer((json_int_t)r->k));
    page_set(settings, "threads", json_integer(r->s.threads));
    page_set(settings, "processors", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    return root;
}

static void put_study_settings(json_t *settings, const wn_study_info *info) {
    json_t *depths = json_array();
    for (size_t i = 0; i < info->ndepths; i++) page_append(depths, json_integer((json_int_t)info->depths[i]));
    page_set(settings, "k_values", depths);
    page_set(settings, "first_stage_k", json_integer((json_int_t)info->depths[info->ndepths - 1]));
    page_set(settings, "queries", json_integer((json_int_t)info->queries));
    page_set(settings, "first_stage", json_string(REC_FIRST_STAGES[info->first_stage]));
    page_set(settings, "embedder", string(info->embedder));
    page_set(settings, "embedder_hash", string(info->embedder_hash));
    page_set(settings, "reranker", string(info->reranker));
    page_set(settings, "reranker_hash", string(info->reranker_hash));
    page_set(settings, "blend", page_real((double)info->blend, 4));
    page_set(settings, "pairs", json_integer((json_int_t)info->pairs));
    page_set(settings, "truncated", json_integer((json_int_t)info->truncated));
    page_set(settings, "seconds", page_real(info->seconds, 1));
}

/* ---- Quality ----------------------------------------------------------------------- */

static wn_status evaluate(const report_request *r, const wn_study *study, size_t depth, bool reranked,
                          const char *const *measures, size_t n, wn_evaluation **out, wn_error *err) {
    wn_run *run = NULL;
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = measures;
    options.nmeasures = n;
    wn_status st = wn_study_to_run(study, depth, reranked, r->s.qrels, (wn_label_level)r->level,
                                   NULL, &run, err);
    if (st == WN_OK) st = wn_evaluate(r->s.qrels, run, &options, out, err);
    wn_run_free(run);
    return st;
}

static json_t *comparison_json(const char *name, const wn_comparison *c) {
    json_t *row = json_object();
    page_set(row, "measure", string(name));
    page_set(row, "first_stage", quality(c->mean_a));
    page_set(row, "reranked", quality(c->mean_b));
    page_set(row, "improvement_percent", page_real(c->improvement, 3));
    page_set(row, "difference", quality(c->difference.mean));
    page_set(row, "interval_95", interval(c->difference.low, c->difference.high));
    page_set(row, "p", page_real(c->test.p, 6));
    page_set(row, "p_exact", json_boolean(c->test.exact));
    page_set(row, "better", json_integer((json_int_t)c->better));
    page_set(row, "worse", json_integer((json_int_t)c->worse));
    page_set(row, "equal", json_integer((json_int_t)c->equal));
    page_set(row, "queries", json_integer((json_int_t)c->queries));
    return row;
}

/* The main measure first, then the usual ones. */
static wn_status add_measures(json_t *root, const report_request *r, const wn_evaluation *main_a,
                              const wn_evaluation *main_b, const wn_study *study, size_t depth, wn_error *err) {
    wn_evaluation *a = NULL, *b = NULL;
    wn_comparison c;
    json_t *rows = json_array();
    page_set(root, "measures", rows);
    const char *main_name = wn_evaluation_value_info(main_a, 0).name;
    wn_status st = wn_evaluation_compare(main_a, main_b, main_name, NULL, &c, err);
    if (st == WN_OK) page_append(rows, comparison_json(main_name, &c));
    if (st == WN_OK) st = evaluate(r, study, depth, false, MEASURES, NMEASURES, &a, err);
    if (st == WN_OK) st = evaluate(r, study, depth, true, MEASURES, NMEASURES, &b, err);
    for (size_t v = 0; st == WN_OK && v < wn_evaluation_describe(a).values; v++) {
        const char *name = wn_evaluation_value_info(a, v).name;
        if (!strcmp(name, main_name)) continue;
        st = wn_evaluation_compare(a, b, name, NULL, &c, err);
        if (st == WN_OK) page_append(rows, comparison_json(name, &c));
    }
    wn_evaluation_free(a);
    wn_evaluation_free(b);
    return st;
}

/* ---- Times of one depth ---------------------------------------------------------------- */

/* totals [queries]: both stages together; their averages. */
static wn_status depth_times(const wn_study *study, size_t depth, double *totals, double *stage1,
                             double *stage2, wn_error *err) {
    size_t n = wn_study_describe(study).queries;
    *stage1 = *stage2 = 0;
    for (size_t q = 0; q < n; q++) {
        double second;
        wn_status st = wn_study_stage2_ms(study, q, depth, &second, err);
        if (st != WN_OK) return st;
        double first = wn_study_get(study, q).stage1_time_ms;
        totals[q] = first + second;
        *stage1 += first / (double)n;
        *stage2 += second / (double)n;
    }
    return WN_OK;
}

/* ---- Queries ------------------------------------------------------------------------------ */

static json_t *rank_json(double reciprocal) {
    return reciprocal > 0 ? json_integer((json_int_t)lround(1 / reciprocal)) : json_null();
}

static json_t *query_json(const wn_study_query *q, const wn_impact_query *i) {
    json_t *row = json_object();
    page_set(row, "id", page_text(q->id, strlen(q->id)));
    page_set(row, "query", page_text(q->text, strlen(q->text)));
    page_set(row, "results", json_integer((json_int_t)i->results));
    page_set(row, "moved_up", json_integer((json_int_t)i->up));
    page_set(row, "moved_down", json_integer((json_int_t)i->down));
    page_set(row, "unchanged", json_integer((json_int_t)i->unchanged));
    page_set(row, "mean_rank_change", page_real(i->mean_change, 3));
    page_set(row, "max_rank_change", json_integer(i->max_change));
    page_set(row, "top1_changed", json_boolean(i->top1_changed));
    page_set(row, "overlap", quality(i->overlap));
    page_set(row, "rbo", quality(i->rbo));
    page_set(row, "stage1_time_ms", time_ms(i->stage1_time_ms));
    page_set(row, "stage2_time_ms", time_ms(i->stage2_time_ms));
    return row;
}

static void put_impact(json_t *root, const wn_impact_total *t) {
    json_t *o = json_object();
    page_set(root, "impact", o);
    page_set(o, "results", json_integer((json_int_t)t->results));
    page_set(o, "moved_up", quality(t->up));
    page_set(o, "moved_down", quality(t->down));
    page_set(o, "unchanged", quality(t->unchanged));
    page_set(o, "mean_rank_change", page_real(t->mean_change, 3));
    page_set(o, "max_rank_change", json_integer(t->max_change));
    page_set(o, "top1_change_rate", quality(t->top1_change_rate));
    page_set(o, "overlap", quality(t->overlap));
    page_set(o, "rbo", quality(t->rbo));
    page_set(o, "stage1_time_ms", time_ms(t->stage1_time_ms));
    page_set(o, "stage2_time_ms", time_ms(t->stage2_time_ms));
    page_set(o, "latency_p50_ms", time_ms(t->latency_p50_ms));
    page_set(o, "latency_p95_ms", time_ms(t->latency_p95_ms));
}

static wn_status add_queries(json_t *root, const wn_study *study, size_t depth, size_t k, wn_error *err) {
    size_t n = wn_study_describe(study).queries;
    wn_impact_total total;
    wn_impact_query *impact = calloc(n, sizeof *impact);
    json_t *rows = json_array();
    page_set(root, "queries", rows);
    if (!impact) page_out_of_memory();
    wn_status st = wn_impact(study, depth, k, impact, &total, err);
    if (st == WN_OK) put_impact(root, &total);
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        wn_study_query q = wn_study_get(study, i);
        page_append(rows, query_json(&q, &impact[i]));
    }
    free(impact);
    return st;
}

/* Measures by query come in order of id, studies in that of the file. */
static wn_status label_queries(json_t *root, const report_request *r, const wn_study *study, size_t depth,
                               const wn_evaluation *a, const wn_evaluation *b, wn_error *err) {
    static const char *const reciprocal[] = {"recip_rank"};
    wn_evaluation *ra = NULL, *rb = NULL;
    json_t *row, *by_id = json_object();
    size_t i;
    wn_status st = evaluate(r, study, depth, false, reciprocal, 1, &ra, err);
    if (st == WN_OK) st = evaluate(r, study, depth, true, reciprocal, 1, &rb, err);
    if (!by_id) page_out_of_memory();
    json_array_foreach(page_array(root, "queries"), i, row)
        page_set(by_id, page_string(row, "id"), json_incref(row));
    for (i = 0; st == WN_OK && i < wn_evaluation_describe(a).queries; i++) {
        double before = wn_evaluation_column(a, 0)[i], after = wn_evaluation_column(b, 0)[i];
        row = json_object_get(by_id, wn_evaluation_query(a, i));
        if (!row) continue;
        page_set(row, "first_stage", quality(before));
        page_set(row, "reranked", quality(after));
        page_set(row, "gain", quality(after - before));
        page_set(row, "rank_before", rank_json(wn_evaluation_column(ra, 0)[i]));
        page_set(row, "rank_after", rank_json(wn_evaluation_column(rb, 0)[i]));
    }
    json_decref(by_id);
    wn_evaluation_free(ra);
    wn_evaluation_free(rb);
    return st;
}

/* ---- Slopes and rank changes ------------------------------------------------------------------ */

/* One more move from rank to rank (0: not there); equal moves are one line with a count. */
static void count_slope(json_t *slopes, json_t *seen, json_int_t before, json_int_t after, const json_t *row) {
    char key[64];
    snprintf(key, sizeof key, "%lld %lld", (long long)before, (long long)after);
    json_t *slope = json_object_get(seen, key), *ids;
    if (!slope) {
        slope = json_object();
        page_set(slope, "before", before ? json_integer(before) : json_null());
        page_set(slope, "after", after ? json_integer(after) : json_null());
        page_set(slope, "count", json_integer(0));
        page_set(slope, "ids", json_array());
        page_append(slopes, slope);
        page_set(seen, key, json_incref(slope));
    }
    page_set(slope, "count", json_integer((json_int_t)page_number(slope, "count") + 1));
    ids = page_array(slope, "ids");
    page_append(ids, json_incref(json_object_get(row, "id")));
}

/* Bins of rank changes, worst first; the outer ones are open. */
static const int CHANGE_LOWS[] = {-1000000, -9, -4, -2, -1, 0, 1, 2, 3, 5, 10, 20};
enum { NCHANGES = sizeof CHANGE_LOWS / sizeof *CHANGE_LOWS };

static void put_changes(json_t *root, const size_t counts[NCHANGES]) {
    json_t *bins = json_array();
    page_set(root, "rank_changes", bins);
    for (size_t i = 0; i < NCHANGES; i++) {
        json_t *bin = json_object();
        page_set(bin, "low", i ? json_integer(CHANGE_LOWS[i]) : json_null());
        page_set(bin, "high", i + 1 < NCHANGES ? json_integer(CHANGE_LOWS[i + 1] - 1) : json_null());
        page_set(bin, "count", json_integer((json_int_t)counts[i]));
        page_append(bins, bin);
    }
}

/* The slopes of labelled queries are those of the answer; else those of all results. */
static wn_status add_moves(json_t *root, const wn_study *study, size_t depth, size_t k, bool labels, wn_error *err) {
    size_t counts[NCHANGES] = {0}, n;
    wn_study_entry *entries = calloc(depth, sizeof *entries);
    json_t *slopes = json_array(), *seen = json_object();
    wn_status st = WN_OK;
    if (!entries || !seen) page_out_of_memory();
    page_set(root, "slopes", slopes);
    for (size_t q = 0; q < wn_study_describe(study).queries; q++) {
        json_t *row = json_array_get(page_array(root, "queries"), q);
        st = wn_study_ranking(study, q, depth, true, entries, &n, err);
        if (st != WN_OK) break;
        if (n > k) n = k;
        for (size_t i = 0; i < n; i++) {
            long change = (long)entries[i].first_stage_rank - (long)entries[i].final_rank;
            size_t bin = NCHANGES - 1;
            while (change < CHANGE_LOWS[bin]) bin--;
            counts[bin]++;
            if (!labels) count_slope(slopes, seen, entries[i].first_stage_rank, entries[i].final_rank, row);
        }
        if (!labels || !json_object_get(row, "gain")) continue;
        count_slope(slopes, seen, json_integer_value(json_object_get(row, "rank_before")),
                    json_integer_value(json_object_get(row, "rank_after")), row);
    }
    put_changes(root, counts);
    json_decref(seen);
    free(entries);
    return st;
}

/* ---- Latency ----------------------------------------------------------------------------------- */

enum { LATENCY_BINS = 12 };

/* Bins of equal width; the last one is open when a few queries are far slower than the rest, so that
 * they do not press all others into one bin. */
static wn_status add_latency(json_t *root, const wn_study *study, size_t depth, wn_error *err) {
    static const double percents[] = {0, 50, 95, 100};
    size_t n = wn_study_describe(study).queries, counts[LATENCY_BINS] = {0};
    double *totals = calloc(n, sizeof *totals), at[4] = {0}, stage1, stage2;
    if (!totals) page_out_of_memory();
    wn_status st = depth_times(study, depth, totals, &stage1, &stage2, err);
    if (st == WN_OK) st = wn_percentiles(totals, n, percents, 4, at, err);
    bool open = at[3] > 2 * at[2];
    double low = at[0], high = open ? 2 * at[2] : at[3], width = (high - low) / LATENCY_BINS;
    for (size_t q = 0; st == WN_OK && q < n; q++) {
        double place = width > 0 ? (totals[q] - low) / width : 0;
        counts[place >= LATENCY_BINS - 1 ? LATENCY_BINS - 1 : place > 0 ? (size_t)place : 0]++;
    }
    free(totals);
    if (st != WN_OK) return st;
    json_t *latency = json_object(), *bins = json_array();
    page_set(root, "latency", latency);
    page_set(latency, "p50_ms", time_ms(at[1]));
    page_set(latency, "p95_ms", time_ms(at[2]));
    page_set(latency, "max_ms", time_ms(at[3]));
    page_set(latency, "stage1_ms", time_ms(stage1));
    page_set(latency, "stage2_ms", time_ms(stage2));
    page_set(latency, "bins", bins);
    for (size_t i = 0; i < LATENCY_BINS && (width > 0 || i == 0); i++) {
        json_t *bin = json_object();
        page_set(bin, "low", time_ms(low + width * (double)i));
        page_set(bin, "high", open && i == LATENCY_BINS - 1 ? json_null() : time_ms(low + width * (double)(i + 1)));
        page_set(bin, "count", json_integer((json_int_t)counts[i]));
        page_append(bins, bin);
    }
    return WN_OK;
}

/* ---- Systems ------------------------------------------------------------------------ */

static json_t *system_json(const wn_study_info *info, const wn_sweep_row *w) {
    json_t *row = json_object();
    page_set(row, "first_stage", json_string(REC_FIRST_STAGES[info->first_stage]));
    page_set(row, "reranker", w->depth ? string(info->reranker) : json_null());
    page_set(row, "reranker_hash", w->depth ? string(info->reranker_hash) : json_null());
    page_set(row, "first_stage_k", w->depth ? json_integer((json_int_t)w->depth) : json_null());
    page_set(row, "quality", quality(w->quality.mean));
    page_set(row, "interval_95", interval(w->quality.low, w->quality.high));
    page_set(row, "difference_from_best", quality(w->difference));
    page_set(row, "p_against_best", page_real(w->p, 6));
    page_set(row, "stage1_time_ms", time_ms(w->stage1_ms));
    page_set(row, "stage2_time_ms", time_ms(w->stage2_ms));
    page_set(row, "latency_p50_ms", time_ms(w->latency_p50_ms));
    page_set(row, "latency_p95_ms", time_ms(w->latency_p95_ms));
    page_set(row, "best", json_boolean(w->best));
    page_set(row, "enough", json_boolean(w->enough));
    page_set(row, "front", json_boolean(w->pareto));
    page_set(row, "recommended", json_boolean(w->recommended));
    return row;
}

wn_status report_add_systems(json_t *root, report_request *r, const wn_study *const *studies, size_t n,
                             wn_error *err) {
    wn_sweep_options options = wn_sweep_options_default();
    json_t *systems = json_array(), *depths = json_array();
    size_t room = 0, count;
    options.measure = r->measure;
    options.level = (wn_label_level)r->level;
    options.budget_ms = r->budget_ms;
    if (!r->s.qrels) n = 1; /* agreement with itself can't tell which of two is right */
    for (size_t i = 0; i < n; i++) room += wn_study_describe(studies[i]).ndepths + 1;
    wn_sweep_row *rows = calloc(room, sizeof *rows);
    wn_cost_line *lines = calloc(n, sizeof *lines);
    if (!rows || !lines) page_out_of_memory();
    wn_status st = wn_sweep(studies, n, r->s.qrels, &options, rows, &count, lines, err);
    page_set(root, "systems", systems);
    page_set(root, "depths", depths);
    for (size_t i = 0; st == WN_OK && i < count; i++) {
        wn_study_info info = wn_study_describe(studies[rows[i].study]);
        json_t *row = system_json(&info, &rows[i]);
        page_append(systems, row);
        if (rows[i].study == 0 && rows[i].depth) page_append(depths, json_incref(row));
    }
    if (st == WN_OK) {
        json_t *cost = json_object();
        page_set(root, "cost", cost);
        page_set(cost, "fixed_ms", time_ms(lines[0].fixed_ms));
        page_set(cost, "per_candidate_ms", time_ms(lines[0].per_candidate_ms));
        page_set(cost, "r2", quality(lines[0].r2));
    }
    free(rows);
    free(lines);
    return st;
}

/* ---- The main study ------------------------------------------------------------------- */

wn_status report_add_study(json_t *root, report_request *r, const wn_study *study, wn_error *err) {
    wn_study_info info = wn_study_describe(study);
    size_t deepest = info.depths[info.ndepths - 1];
    json_t *settings = json_object_get(root, "settings");
    wn_evaluation *before = NULL, *after = NULL;
    wn_status st = WN_OK;
    put_study_settings(settings, &info);
    if (r->s.qrels) st = evaluate(r, study, deepest, false, &r->measure, 1, &before, err);
    if (st == WN_OK && r->s.qrels) st = evaluate(r, study, deepest, true, &r->measure, 1, &after, err);
    if (st == WN_OK) st = add_queries(root, study, deepest, r->k, err);
    if (st == WN_OK && before) st = add_measures(root, r, before, after, study, deepest, err);
    if (st == WN_OK && before) st = label_queries(root, r, study, deepest, before, after, err);
    if (st == WN_OK) st = add_moves(root, study, deepest, r->k, before != NULL, err);
    if (st == WN_OK) st = add_latency(root, study, deepest, err);
    if (st == WN_OK) st = report_add_losses(root, r, study, err);
    if (st == WN_OK)
        page_set(settings, "measure", before ? string(wn_evaluation_value_info(before, 0).name) : json_null());
    wn_evaluation_free(before);
    wn_evaluation_free(after);
    return st;
}
