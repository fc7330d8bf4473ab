/* compare.c -- both scorers over given passages, without an index. */
#include "core/error.h"
#include "core/memory.h"
#include "model/model.h"
#include "pipeline/ranking.h"
#include "pipeline/stages.h"

#include <math.h>

enum { EMBED_BATCH = 64 };

typedef struct {
    float *scores;
    wn_pair_score *pairs;
    wn_keyed *scratch;
    uint32_t *order;
    float *query, *embeddings; /* [dim], [EMBED_BATCH, dim] */
    wn_fit *fits;              /* [EMBED_BATCH]; what the bi-encoder dropped is not told */
} compare_state;

static wn_status score_bi(const wn_scorers *scorers, wn_str query, const wn_str *documents, size_t n,
                          compare_state *s, wn_error *err) {
    size_t dim = wn_model_describe(scorers->embedder).hidden;
    s->query = wn_calloc(dim, sizeof *s->query);
    s->embeddings = wn_calloc(EMBED_BATCH * dim, sizeof *s->embeddings);
    s->fits = wn_calloc(EMBED_BATCH, sizeof *s->fits);
    if (!s->query || !s->embeddings || !s->fits) return wn_fail_memory(err, EMBED_BATCH * dim * sizeof(float));
    WN_TRY(scorers->embed(scorers->embed_ctx, &query, 1, WN_ROLE_QUERY, WN_LENGTH_TRUNCATE, s->query,
                          s->fits, err));
    for (size_t done = 0, count; done < n; done += count) {
        count = n - done < EMBED_BATCH ? n - done : EMBED_BATCH;
        WN_TRY(scorers->embed(scorers->embed_ctx, documents + done, count, WN_ROLE_DOCUMENT,
                              WN_LENGTH_TRUNCATE, s->embeddings, s->fits, err));
        for (size_t i = 0; i < count; i++)
            s->scores[done + i] = wn_cosine(s->query, s->embeddings + i * dim, dim);
    }
    return WN_OK;
}

static wn_status fill_bi(const wn_scorers *scorers, wn_str query, const wn_str *documents, size_t n,
                         compare_state *s, wn_compare_row *rows, wn_error *err) {
    WN_TRY(score_bi(scorers, query, documents, n, s, err));
    wn_rank_by_score(s->scores, n, s->scratch, s->order);
    for (uint32_t r = 0; r < n; r++) rows[s->order[r]].bi_encoder_rank = r + 1;
    for (size_t i = 0; i < n; i++) rows[i].bi_encoder_score = s->scores[i];
    return WN_OK;
}

static wn_status fill_cross(const wn_scorers *scorers, wn_str query, const wn_str *documents,
                            size_t n, wn_length_policy policy, compare_state *s,
                            wn_compare_row *rows, wn_error *err) {
    WN_TRY(wn_scorers_score_all(scorers, query, documents, n, policy, WN_RERANK_BATCH, s->pairs, err));
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

wn_status wn_compare_with(const wn_scorers *given, wn_str query, const wn_str *documents, size_t n,
                          wn_length_policy policy, wn_compare_row *rows, wn_error *err) {
    wn_scorers scorers;
    WN_TRY(wn_scorers_take(given, &scorers, err));
    if (!query.len) return wn_fail(err, WN_ERR_ARGUMENT, "the query is empty");
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "there are no documents to compare");
    compare_state s = {
        .scores = wn_calloc(n, sizeof(float)),
        .pairs = wn_calloc(n, sizeof(wn_pair_score)),
        .scratch = wn_calloc(n, sizeof(wn_keyed)),
        .order = wn_calloc(n, sizeof(uint32_t)),
    };
    wn_status st = WN_OK;
    bool bi = scorers.embedder != NULL, cross = scorers.reranker != NULL;
    if (!s.scores || !s.pairs || !s.scratch || !s.order) {
        st = wn_fail_memory(err, n * sizeof(wn_pair_score));
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        rows[i] = (wn_compare_row){.bi_encoder_score = NAN, .rerank_score = NAN, .rerank_logit = NAN};
    if (bi) st = fill_bi(&scorers, query, documents, n, &s, rows, err);
    if (st == WN_OK && cross) st = fill_cross(&scorers, query, documents, n, policy, &s, rows, err);
    for (size_t i = 0; st == WN_OK && bi && cross && i < n; i++)
        rows[i].rank_change = (int32_t)rows[i].bi_encoder_rank - (int32_t)rows[i].rerank_rank;
done:
    wn_free(s.scores);
    wn_free(s.pairs);
    wn_free(s.scratch);
    wn_free(s.order);
    wn_free(s.query);
    wn_free(s.embeddings);
    wn_free(s.fits);
    return st;
}

wn_status wn_compare(wn_bi_encoder *bi, wn_cross_encoder *cross, wn_str query, const wn_str *documents,
                     size_t n, wn_length_policy policy, wn_compare_row *rows, wn_error *err) {
    wn_scorers scorers = wn_scorers_of(bi, cross);
    return wn_compare_with(&scorers, query, documents, n, policy, rows, err);
}
