/* skip_rule.c -- is it worth asking the cross-encoder about this query?
 *
 * Two signs that the first stage is right, both without units and so the same for cosines, BM25 and
 * fused scores:
 *   agreement  the average overlap of the two lists' first d passages, over d = 1 .. 10: embeddings
 *              and words are wrong in different ways, so where they agree they are seldom wrong;
 *   gap        (s1 - s2) / (s1 - s10): how much of the spread of the first ten scores lies between
 *              the first and the second.
 * Confidence is their mean, or the gap alone where an index has no embeddings. Nothing is trained:
 * what is calibrated, on the user's queries, is the threshold (wn_advise). Rejected: a logistic model of
 * the two, which needs labels and hundreds of queries before it beats a mean, and can't be
 * checked by hand. */
#include "pipeline/skip_rule.h"
#include "core/error.h"
#include "index/index_notes.h"
#include <winnow/analysis.h>

#include <math.h>

static bool has(const wn_hit *hits, size_t n, int64_t passage) {
    for (size_t i = 0; i < n; i++)
        if (hits[i].passage == passage) return true;
    return false;
}

static float agreement(const wn_hit *a, size_t na, const wn_hit *b, size_t nb) {
    size_t depth = na > nb ? na : nb, common = 0;
    double sum = 0;
    for (size_t d = 0; d < depth; d++) {
        if (d < na) common += has(b, d + 1 < nb ? d + 1 : nb, a[d].passage);
        if (d < nb) common += has(a, d < na ? d : na, b[d].passage);
        sum += (double)common / (double)(d + 1);
    }
    return depth ? (float)(sum / (double)depth) : 0;
}

float wn_first_stage_confidence(const wn_lists *lists, wn_first_stage stage) {
    enum { DEPTH = WN_CONFIDENCE_DEPTH };
    wn_hit hits[2 * DEPTH];
    size_t n = wn_lists_candidates(lists, stage, DEPTH, hits);
    if (n < 2) return 1; /* there is nothing to reorder */
    float spread = hits[0].score - hits[n - 1].score;
    float gap = spread > 0 ? (hits[0].score - hits[1].score) / spread : 0;
    if (!lists->dense || !lists->bm25) return gap;
    size_t ndense = lists->ndense < DEPTH ? lists->ndense : DEPTH;
    size_t nbm25 = lists->nbm25 < DEPTH ? lists->nbm25 : DEPTH;
    return (gap + agreement(lists->dense, ndense, lists->bm25, nbm25)) / 2;
}

/* By first stage: a gap of cosines and a gap of BM25 scores are not spread alike. */
static const char *note_key(wn_first_stage stage) {
    switch (stage) {
    case WN_FIRST_DENSE: return "skip_threshold.dense";
    case WN_FIRST_BM25: return "skip_threshold.bm25";
    case WN_FIRST_HYBRID: break;
    }
    return "skip_threshold.hybrid";
}

wn_status wn_skip_threshold_load(wn_index *index, wn_first_stage stage, float *out, wn_error *err) {
    double value;
    wn_status st = wn_index_note_read(index, note_key(stage), &value, err);
    if (st == WN_ERR_NOT_FOUND)
        return wn_fail(err, st, "the index holds no threshold for this first stage; `winnow advise INDEX "
                                "--queries FILE --save` finds one, or give --skip-threshold");
    if (st == WN_OK) *out = (float)value;
    return st;
}

wn_status wn_skip_threshold_save(const char *path, wn_first_stage stage, float threshold, wn_error *err) {
    if (!isfinite(threshold)) return wn_fail(err, WN_ERR_ARGUMENT, "the threshold must be a number");
    return wn_index_note_write(path, note_key(stage), (double)threshold, err);
}
