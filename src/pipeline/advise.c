/* advise.c -- which queries need reranking: the skip rule's threshold, and what it costs.
 *
 * Queries are put in order of the first stage's confidence (skip_rule.c). Skipping the first m of them
 * changes the mean quality by the sum of what each loses, divided by all; the threshold is the lowest
 * confidence for which that stays within max_loss.
 *
 * A threshold chosen on the queries that then judge it looks better than it is. So what is reported is
 * cross-validated: the queries are dealt into folds, each fold is judged by the threshold of the
 * others, and interval and test are of those values. The threshold that is handed out is of all queries. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, LEAST_FOR_FOLDS = 4 };
static const float NEVER_SKIP = 2; /* above every confidence */

wn_advise_options wn_advise_options_default(void) {
    return (wn_advise_options){.size = sizeof(wn_advise_options), .measure = "nDCG@10", .max_loss = NAN,
                               .stats = wn_stats_options_default()};
}

typedef struct {
    float confidence;
    double always, never;      /* quality */
    double stage1_ms, stage2_ms;
    size_t fold;
} sample;

typedef struct {
    const wn_study *study;
    size_t depth;
    wn_qrels *qrels;
    wn_advise_options options;
    sample *samples;           /* [n] */
    size_t n;
    double *a, *b;             /* [n] scratch */
    size_t *places;            /* [n] */
} advising;

/* ---- Measuring ---------------------------------------------------------------------- */

static wn_status measure(advising *w, bool reranked, double *out, wn_error *err) {
    if (w->qrels)
        return wn_quality_by_labels(w->study, w->depth, reranked, w->qrels, w->options.measure,
                                    w->options.level, out, w->places, &w->n, err);
    w->n = w->study->info.queries;
    for (size_t q = 0; q < w->n; q++) w->places[q] = q;
    return wn_quality_by_agreement(w->study, w->depth, reranked, w->depth, out, err);
}

static wn_status take_samples(advising *w, wn_error *err) {
    WN_TRY(measure(w, false, w->a, err));
    WN_TRY(measure(w, true, w->b, err));
    size_t folds = w->n < LEAST_FOR_FOLDS ? 1 : FOLDS;
    for (size_t i = 0; i < w->n; i++) {
        const wn_study_record *r = &w->study->records[w->places[i]];
        w->samples[i] = (sample){.confidence = r->confidence, .never = w->a[i], .always = w->b[i],
                                 .stage1_ms = r->stage1_ms, .fold = i % folds};
        WN_TRY(wn_study_stage2_ms(w->study, w->places[i], w->depth, &w->samples[i].stage2_ms, err));
    }
    return WN_OK;
}

/* ---- The threshold -------------------------------------------------------------------- */

static int by_confidence(const void *pa, const void *pb) {
    const sample *a = pa, *b = pb;
    if (a->confidence != b->confidence) return a->confidence > b->confidence ? -1 : 1;
    return 0;
}

/* The lowest threshold within max_loss on the samples that are not of `fold` (SIZE_MAX: on all).
 * sorted [n] is in order of confidence. Equal confidences are skipped together. */
static float calibrate(const sample *sorted, size_t n, size_t fold, double max_loss) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) used += sorted[i].fold != fold;
    float threshold = NEVER_SKIP;
    double change = 0;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i].fold != fold) change += sorted[i].never - sorted[i].always;
        bool last_of_equals = i + 1 == n || sorted[i + 1].confidence != sorted[i].confidence;
        if (last_of_equals && sorted[i].fold != fold && change / (double)used >= -max_loss)
            threshold = sorted[i].confidence;
    }
    return threshold;
}

/* What the rule does to every query, into w->a (quality under the rule) and *out's sums. */
static wn_status judge(advising *w, wn_advice *out, wn_error *err) {
    double max_loss = w->options.max_loss, spent = 0, saved = 0;
    float thresholds[FOLDS];
    if (isnan(max_loss)) max_loss = w->qrels ? 0.005 : 0.05;
    qsort(w->samples, w->n, sizeof *w->samples, by_confidence);
    out->threshold = calibrate(w->samples, w->n, SIZE_MAX, max_loss);
    out->folds = w->n < LEAST_FOR_FOLDS ? 0 : FOLDS;
    for (size_t f = 0; f < FOLDS; f++)
        thresholds[f] = out->folds ? calibrate(w->samples, w->n, f, max_loss) : out->threshold;
    for (size_t i = 0; i < w->n; i++) {
        const sample *s = &w->samples[i];
        bool skip = s->confidence >= thresholds[s->fold];
        out->pays = out->pays || s->confidence >= out->threshold;
        w->a[i] = skip ? s->never : s->always;
        w->b[i] = s->always;
        out->skipped += skip;
        saved += skip ? s->stage2_ms : 0;
        spent += s->stage1_ms + s->stage2_ms;
    }
    out->queries = w->n;
    out->skipped /= (double)w->n;
    out->saved_ms = saved / (double)w->n;
    out->saved = spent > 0 ? saved / spent : 0;
    wn_permutation test;
    WN_TRY(wn_bootstrap_mean(w->a, w->n, &w->options.stats, &out->automatic, err));
    WN_TRY(wn_bootstrap_mean(w->b, w->n, &w->options.stats, &out->always, err));
    WN_TRY(wn_bootstrap_difference(w->b, w->a, w->n, &w->options.stats, &out->loss, err));
    WN_TRY(wn_permutation_test(w->b, w->a, w->n, &w->options.stats, &test, err));
    out->p = test.p;
    for (size_t i = 0; i < w->n; i++) w->a[i] = w->samples[i].never;
    return wn_bootstrap_mean(w->a, w->n, &w->options.stats, &out->never, err);
}

wn_status wn_advise(const wn_study *study, size_t depth, wn_qrels *qrels, const wn_advise_options *options,
                    wn_advice *out, wn_error *err) {
    advising w = {.study = study, .depth = depth, .qrels = qrels, .options = wn_advise_options_default()};
    wn_advice advice = {0};
    wn_status st = WN_OK;
    size_t at;
    if (options)
        memcpy(&w.options, options, options->size < sizeof w.options ? options->size : sizeof w.options);
    WN_TRY(wn_study_depth(study, depth, &at, err));
    if (!study->info.reranked) return wn_fail(err, WN_ERR_ARGUMENT, "the study has no reranking");
    if (!study->info.queries || isnan(study->records[0].confidence))
        return wn_fail(err, WN_ERR_ARGUMENT, "the study has no confidence: make it with that option");
    w.samples = wn_calloc(study->info.queries, sizeof *w.samples);
    w.a = wn_calloc(study->info.queries, sizeof *w.a);
    w.b = wn_calloc(study->info.queries, sizeof *w.b);
    w.places = wn_calloc(study->info.queries, sizeof *w.places);
    if (!w.samples || !w.a || !w.b || !w.places) {
        st = wn_fail_memory(err, study->info.queries * sizeof *w.samples);
        goto fail;
    }
    WN_TRY_GOTO(take_samples(&w, err));
    WN_TRY_GOTO(judge(&w, &advice, err));
    *out = advice;
fail:
    wn_free(w.samples);
    wn_free(w.a);
    wn_free(w.b);
    wn_free(w.places);
    return st;
}
