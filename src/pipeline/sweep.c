/* sweep.c -- quality and time at every depth of one or several studies, and what follows from them.
 *
 * Nothing is scored here: the studies hold every score. Time at a depth is what its candidates took in
 * the study; the cost line is fitted to those measurements and is told beside them, never in their
 * place.
 *
 * "Indistinguishable" is a permutation test that finds no difference, which with few queries says little:
 * so the rows carry difference and interval too, and a recommendation may moreover lose no more than
 * max_loss of the mean. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/quality.h"

#include <math.h>
#include <string.h>

wn_sweep_options wn_sweep_options_default(void) {
    return (wn_sweep_options){.size = sizeof(wn_sweep_options), .measure = "nDCG@10", .alpha = 0.05,
                              .max_loss = 0.01, .stats = wn_stats_options_default()};
}

typedef struct {
    const wn_study *const *studies;
    size_t nstudies, queries; /* asked */
    wn_sweep_options options;
    wn_qrels *qrels;
    wn_sweep_row *rows;
    size_t count;
    double *values;    /* [rows, queries]: quality of each query */
    double *latencies; /* [queries] */
} sweep;

static double *values_of(const sweep *s, size_t row) { return s->values + row * s->queries; }
static double latency(const wn_sweep_row *row) { return row->stage1_ms + row->stage2_ms; }

static size_t deepest(const wn_study *study) { return study->depths[study->info.ndepths - 1]; }

/* ---- One row -------------------------------------------------------------------- */

static wn_status measure_time(sweep *s, const wn_study *study, wn_sweep_row *row, wn_error *err) {
    static const double percents[2] = {50, 95};
    double at[2];
    for (size_t q = 0; q < s->queries; q++) {
        double stage2 = 0;
        if (row->depth) WN_TRY(wn_study_stage2_ms(study, q, row->depth, &stage2, err));
        s->latencies[q] = study->records[q].stage1_ms + stage2;
        row->stage1_ms += study->records[q].stage1_ms / (double)s->queries;
        row->stage2_ms += stage2 / (double)s->queries;
    }
    WN_TRY(wn_percentiles(s->latencies, s->queries, percents, 2, at, err));
    row->latency_p50_ms = at[0];
    row->latency_p95_ms = at[1];
    return WN_OK;
}

static wn_status add_row(sweep *s, size_t study_at, size_t depth, wn_error *err) {
    const wn_study *study = s->studies[study_at];
    wn_sweep_row row = {.study = study_at, .depth = depth, .queries = s->queries};
    double *values = values_of(s, s->count);
    size_t at = depth ? depth : deepest(study);
    if (s->qrels)
        WN_TRY(wn_quality_by_labels(study, at, depth > 0, s->qrels, s->options.measure, s->options.level,
                                    values, NULL, &row.queries, err));
    else
        WN_TRY(wn_quality_by_agreement(study, at, depth > 0, deepest(study), values, err));
    WN_TRY(wn_bootstrap_mean(values, row.queries, &s->options.stats, &row.quality, err));
    WN_TRY(measure_time(s, study, &row, err));
    row.within_budget = s->options.budget_ms <= 0 || row.latency_p95_ms <= s->options.budget_ms;
    s->rows[s->count++] = row;
    return WN_OK;
}

/* The first stage alone is the same whoever reranks it. */
static bool is_first_of_its_stage(const sweep *s, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (s->studies[i]->info.first_stage == s->studies[at]->info.first_stage) return false;
    return true;
}

static wn_status add_rows(sweep *s, wn_error *err) {
    for (size_t i = 0; i < s->nstudies; i++) {
        if (is_first_of_its_stage(s, i)) WN_TRY(add_row(s, i, 0, err));
        for (size_t d = 0; d < s->studies[i]->info.ndepths; d++)
            WN_TRY(add_row(s, i, s->studies[i]->depths[d], err));
    }
    return WN_OK;
}

/* ---- Marks ------------------------------------------------------------------------ */

/* Better: a higher mean; of equal ones the faster. */
static bool is_better(const wn_sweep_row *a, const wn_sweep_row *b) {
    if (a->quality.mean != b->quality.mean) return a->quality.mean > b->quality.mean;
    return latency(a) < latency(b);
}

enum { ANY_STUDY = -1 };

/* The best row of a study (or of any), of those within budget when asked; SIZE_MAX when there is none. */
static size_t best_of(const sweep *s, int study, bool within_budget) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->count; i++) {
        const wn_sweep_row *row = &s->rows[i];
        if ((study != ANY_STUDY && row->study != (size_t)study) || (within_budget && !row->within_budget))
            continue;
        if (best == SIZE_MAX || is_better(row, &s->rows[best])) best = i;
    }
    return best;
}

static wn_status differs(const sweep *s, size_t a, size_t b, double *p, wn_error *err) {
    wn_permutation test;
    *p = 1;
    if (a == b) return WN_OK;
    WN_TRY(wn_permutation_test(values_of(s, a), values_of(s, b), s->rows[a].queries, &s->options.stats,
                               &test, err));
    *p = test.p;
    return WN_OK;
}

/* Of the rows within budget that can't be told from row `best` and lose little, the fastest. */
static wn_status recommend(const sweep *s, size_t best, size_t *out, wn_error *err) {
    double least = s->rows[best].quality.mean - s->options.max_loss;
    *out = best;
    for (size_t i = 0; i < s->count; i++) {
        const wn_sweep_row *row = &s->rows[i];
        double p;
        if (!row->within_budget || row->quality.mean < least || latency(row) >= latency(&s->rows[*out]))
            continue;
        WN_TRY(differs(s, i, best, &p, err));
        if (p >= s->options.alpha) *out = i;
    }
    return WN_OK;
}

static wn_status mark_study(sweep *s, size_t study, wn_error *err) {
    size_t best = best_of(s, (int)study, false), fastest = best, enough = best;
    for (size_t i = 0; i < s->count; i++) {
        const wn_sweep_row *row = &s->rows[i];
        double p;
        if (row->study != study) continue;
        if (latency(row) < latency(&s->rows[fastest])) fastest = i;
        if (row->depth >= s->rows[enough].depth) continue;
        WN_TRY(differs(s, i, best, &p, err));
        if (p >= s->options.alpha) enough = i;
    }
    s->rows[best].best = s->rows[fastest].fastest = s->rows[enough].enough = true;
    return WN_OK;
}

static void mark_front(sweep *s) {
    for (size_t i = 0; i < s->count; i++) {
        wn_sweep_row *row = &s->rows[i];
        row->pareto = true;
        for (size_t j = 0; j < s->count; j++) {
            const wn_sweep_row *other = &s->rows[j];
            bool as_good = other->quality.mean >= row->quality.mean && latency(other) <= latency(row);
            bool better = other->quality.mean > row->quality.mean || latency(other) < latency(row);
            if (as_good && better) row->pareto = false;
        }
    }
}

static wn_status mark(sweep *s, wn_error *err) {
    size_t best = best_of(s, ANY_STUDY, false), affordable = best_of(s, ANY_STUDY, true);
    for (size_t i = 0; i < s->count; i++) {
        WN_TRY(differs(s, i, best, &s->rows[i].p, err));
        s->rows[i].difference = s->rows[i].quality.mean - s->rows[best].quality.mean;
    }
    for (size_t i = 0; i < s->nstudies; i++) WN_TRY(mark_study(s, i, err));
    mark_front(s);
    if (affordable == SIZE_MAX) return WN_OK;
    size_t take;
    WN_TRY(recommend(s, affordable, &take, err));
    s->rows[take].recommended = true;
    return WN_OK;
}

/* ---- Cost --------------------------------------------------------------------------- */

static wn_status fit_cost(const wn_study *study, wn_cost_line *out, wn_error *err) {
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0;
    for (size_t q = 0; q < study->info.queries; q++)
        for (size_t d = 0; d < study->info.ndepths; d++) {
            const wn_study_record *r = &study->records[q];
            double x = (double)(r->scored[d] < study->depths[d] ? r->scored[d] : study->depths[d]), y;
            WN_TRY(wn_study_stage2_ms(study, q, study->depths[d], &y, err));
            n++;
            sx += x;
            sy += y;
            sxx += x * x;
            sxy += x * y;
            syy += y * y;
        }
    double vx = sxx - sx * sx / n, vy = syy - sy * sy / n, cxy = sxy - sx * sy / n;
    /* One depth gives one point: then the line goes through the origin. */
    double slope = vx > 1e-9 ? cxy / vx : sx > 0 ? sy / sx : 0;
    *out = (wn_cost_line){.fixed_ms = vx > 1e-9 ? (sy - slope * sx) / n : 0, .per_candidate_ms = slope,
                          .r2 = vx > 1e-9 && vy > 0 ? cxy * cxy / (vx * vy) : NAN};
    return WN_OK;
}

/* ---- All ------------------------------------------------------------------------------ */

static wn_status check(const sweep *s, wn_error *err) {
    if (!s->nstudies) return wn_fail(err, WN_ERR_ARGUMENT, "there is no study to sweep");
    if (!s->qrels && s->nstudies > 1)
        return wn_fail(err, WN_ERR_ARGUMENT, "several rerankers or first stages can be compared with "
                                             "labels only: give expected_source or qrels");
    for (size_t i = 0; i < s->nstudies; i++) {
        const wn_study *a = s->studies[0], *b = s->studies[i];
        bool same = a->info.queries == b->info.queries;
        for (size_t q = 0; same && q < a->info.queries; q++)
            same = strcmp(a->records[q].id, b->records[q].id) == 0;
        if (!same) return wn_fail(err, WN_ERR_MISMATCH, "study %zu asked other queries than the first", i);
        if (!b->info.reranked) return wn_fail(err, WN_ERR_ARGUMENT, "study %zu has no reranking", i);
    }
    return WN_OK;
}

wn_status wn_sweep(const wn_study *const *studies, size_t nstudies, wn_qrels *qrels,
                   const wn_sweep_options *options, wn_sweep_row *rows, size_t *count, wn_cost_line *lines,
                   wn_error *err) {
    sweep s = {.studies = studies, .nstudies = nstudies, .qrels = qrels, .rows = rows,
               .options = wn_sweep_options_default()};
    if (options)
        memcpy(&s.options, options, options->size < sizeof s.options ? options->size : sizeof s.options);
    WN_TRY(check(&s, err));
    size_t cap = 0;
    for (size_t i = 0; i < nstudies; i++) cap += studies[i]->info.ndepths + 1;
    s.queries = studies[0]->info.queries;
    wn_status st = WN_OK;
    s.values = wn_calloc(cap * (s.queries + 1), sizeof *s.values);
    s.latencies = wn_calloc(s.queries + 1, sizeof *s.latencies);
    if (!s.values || !s.latencies) {
        st = wn_fail_memory(err, cap * s.queries * sizeof *s.values);
        goto fail;
    }
    WN_TRY_GOTO(add_rows(&s, err));
    WN_TRY_GOTO(mark(&s, err));
    for (size_t i = 0; lines && i < nstudies; i++) WN_TRY_GOTO(fit_cost(studies[i], &lines[i], err));
    *count = s.count;
fail:
    wn_free(s.values);
    wn_free(s.latencies);
    return st;
}
