/* compare.c -- both scorers over given passages, without an index. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/ranking.h"
#include <winnow/search.h>

#include <math.h>

typedef struct {
    float *scores;
    wn_pair_score *pairs;
    wn_keyed *scratch;
    uint32_t *order;
} compare_state;

static wn_status fill_bi(wn_bi_encoder *bi, wn_str query, const wn_str *documents, size_t n,
                         compare_state *s, wn_compare_row *rows, wn_error *err) {
    WN_TRY(wn_bi_encoder_score_batch(bi, query, documents, n, 0, s->scores, err));
    wn_rank_by_score(s->scores, n, s->scratch, s->order);
    for (uint32_t r = 0; r < n; r++) rows[s->order[r]].bi_encoder_rank = r + 1;
    for (size_t i = 0; i < n; i++) rows[i].bi_encoder_score = s->scores[i];
    return WN_OK;
}

static wn_status fill_cross(wn_cross_encoder *cross, wn_str query, const wn_str *documents,
                            size_t n, wn_length_policy policy, compare_state *s,
                            wn_compare_row *rows, wn_error *err) {
    WN_TRY(wn_cross_encoder_score_batch(cross, query, documents, n, 0, policy, s->pairs, err));
    for (size_t i = 0; i < n; i++) s->scores[i] = s->pairs[i].logit;
    wn_rank_by_score(s->scores, n, s->scratch, s->order);
    for (uint32_t r = 0; r < n; r++) rows[s->order[r]].rerank_rank = r + 1;
    for (size_t i = 0; i < n; i++) {
        rows[i].rerank_score = s->pairs[i].score;
        rows[i].rerank_logit = s->pairs[i].logit;
        rows[i].fit = s->pairs[i].fit;
    }
    return WN_OK;
}

wn_status wn_compare(wn_bi_encoder *bi, wn_cross_encoder *cross, wn_str query,
                     const wn_str *documents, size_t n, wn_length_policy policy,
                     wn_compare_row *rows, wn_error *err) {
    if (!query.len) return wn_fail(err, WN_ERR_ARGUMENT, "the query is empty");
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "there are no documents to compare");
    compare_state s = {
        .scores = wn_calloc(n, sizeof(float)),
        .pairs = wn_calloc(n, sizeof(wn_pair_score)),
        .scratch = wn_calloc(n, sizeof(wn_keyed)),
        .order = wn_calloc(n, sizeof(uint32_t)),
    };
    wn_status st = WN_OK;
    if (!s.scores || !s.pairs || !s.scratch || !s.order) {
        st = wn_fail_memory(err, n * sizeof(wn_pair_score));
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        rows[i] = (wn_compare_row){.bi_encoder_score = NAN, .rerank_score = NAN, .rerank_logit = NAN};
    if (bi) st = fill_bi(bi, query, documents, n, &s, rows, err);
    if (st == WN_OK && cross) st = fill_cross(cross, query, documents, n, policy, &s, rows, err);
    for (size_t i = 0; st == WN_OK && bi && cross && i < n; i++)
        rows[i].rank_change = (int32_t)rows[i].bi_encoder_rank - (int32_t)rows[i].rerank_rank;
done:
    wn_free(s.scores);
    wn_free(s.pairs);
    wn_free(s.scratch);
    wn_free(s.order);
    return st;
}
