/* stages.c -- recall: the lists of the first stage, and the candidates they make at a depth.
 *
 * The lists are kept apart from their fusion. For dense and BM25 the candidates at a smaller k
 * are a prefix; fused they are not (a passage at rank 9 of one list may be pushed out by
 * passages that are deep in both), so whoever wants several depths fuses once a depth. */
#include "pipeline/stages.h"
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/ranking.h"

#include <math.h>
#include <string.h>

bool wn_query_is_blank(wn_str query) {
    for (size_t i = 0; i < query.len; i++)
        if (!strchr(" \t\r\n\v\f", query.data[i]) || !query.data[i]) return false;
    return true;
}

wn_status wn_scorers_take(const wn_scorers *given, wn_scorers *out, wn_error *err) {
    wn_scorers s = {0};
    if (given) memcpy(&s, given, given->size < sizeof s ? given->size : sizeof s);
    if ((s.embedder && !s.embed) || (s.reranker && !s.score))
        return wn_fail(err, WN_ERR_ARGUMENT, "a model of the scorers has no call to use it");
    *out = s;
    return WN_OK;
}

wn_status wn_scorers_score_all(const wn_scorers *s, wn_str query, const wn_str *passages, size_t n,
                               wn_length_policy policy, size_t batch_size, wn_pair_score *out,
                               wn_error *err) {
    size_t done = 0;
    WN_TRY(s->score(s->score_ctx, query, passages, n, policy, batch_size, 0, out, &done, err));
    if (done < n)
        return wn_fail(err, WN_ERR_INTERNAL, "the scorer did %zu of %zu passages without a deadline", done, n);
    return WN_OK;
}

void wn_lists_release(wn_lists *lists) {
    wn_free(lists->dense);
    wn_free(lists->bm25);
    *lists = (wn_lists){0};
}

static wn_status embed(wn_searcher *searcher, wn_str query, wn_length_policy policy,
                       wn_lists *out, wn_error *err) {
    wn_fit fit = {0};
    WN_TRY(searcher->scorers.embed(searcher->scorers.embed_ctx, &query, 1, WN_ROLE_QUERY,
                                   policy == WN_LENGTH_ERROR ? WN_LENGTH_ERROR : WN_LENGTH_TRUNCATE,
                                   searcher->query, &fit, err));
    out->query_dropped = fit.tokens_dropped;
    return WN_OK;
}

wn_status wn_lists_recall(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                          size_t cap, bool both, wn_lists *out, wn_error *err) {
    bool dense = opt->first_stage != WN_FIRST_BM25 || (both && searcher->scorers.embedder);
    bool bm25 = opt->first_stage != WN_FIRST_DENSE || both;
    wn_lists lists = {0};
    wn_status st = WN_OK;
    if (dense) lists.dense = wn_calloc(cap, sizeof *lists.dense);
    if (bm25) lists.bm25 = wn_calloc(cap, sizeof *lists.bm25);
    if ((dense && !lists.dense) || (bm25 && !lists.bm25)) {
        st = wn_fail_memory(err, cap * sizeof *lists.dense);
        goto fail;
    }
    double begin = wn_now_ms();
    if (searcher->scorers.embedder) WN_TRY_GOTO(embed(searcher, query, opt->length_policy, &lists, err));
    double embedded = wn_now_ms();
    if (dense)
        WN_TRY_GOTO(wn_index_search_dense(searcher->index, searcher->query, cap, opt->filters,
                                          opt->nfilters, lists.dense, &lists.ndense, err));
    double scanned = wn_now_ms();
    if (bm25)
        WN_TRY_GOTO(wn_index_search_bm25(searcher->index, query, cap, opt->filters, opt->nfilters,
                                         lists.bm25, &lists.nbm25, err));
    lists.embed_ms = embedded - begin;
    lists.dense_ms = scanned - embedded;
    lists.bm25_ms = wn_now_ms() - scanned;
    *out = lists;
    return WN_OK;
fail:
    wn_lists_release(&lists);
    return st;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

size_t wn_lists_candidates(const wn_lists *lists, wn_first_stage stage, size_t k, wn_hit *hits) {
    size_t ndense = least(lists->ndense, k), nbm25 = least(lists->nbm25, k);
    if (stage == WN_FIRST_HYBRID)
        return least(wn_fuse_rrf(lists->dense, ndense, lists->bm25, nbm25, hits), k);
    size_t n = stage == WN_FIRST_DENSE ? ndense : nbm25;
    if (n) memcpy(hits, stage == WN_FIRST_DENSE ? lists->dense : lists->bm25, n * sizeof *hits);
    return n;
}

wn_status wn_candidates_cosine(wn_searcher *searcher, const wn_hit *hits, size_t n, float *cosines,
                               wn_error *err) {
    if (!searcher->scorers.embedder) {
        for (size_t i = 0; i < n; i++) cosines[i] = NAN;
        return WN_OK;
    }
    int64_t *ids = wn_calloc(n + 1, sizeof *ids);
    if (!ids) return wn_fail_memory(err, n * sizeof *ids);
    for (size_t i = 0; i < n; i++) ids[i] = hits[i].passage;
    wn_status st = wn_index_score_dense(searcher->index, searcher->query, ids, n, cosines, err);
    wn_free(ids);
    return st;
}
