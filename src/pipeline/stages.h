/* stages.h -- the two stages of one query, in pieces that a search and a study share, so that what a
 * study says about first_stage_k = 20 is what a search with 20 does. */
#ifndef WN_PIPELINE_STAGES_H
#define WN_PIPELINE_STAGES_H
#include "core/clock.h"
#include <winnow/search.h>

enum { WN_MAX_CANDIDATES = 1 << 20, WN_RERANK_BATCH = 64, WN_DEADLINE_BATCH = 8 };

struct wn_searcher {
    wn_index *index;
    wn_scorers scorers;
    float *query; /* [dim]: the embedding of the query being answered */
};

/* What was asked of the first stage, best first. Zero-initialise; release whatever happened. */
typedef struct wn_lists {
    wn_hit *dense, *bm25; /* [cap] each */
    size_t ndense, nbm25;
    uint32_t query_dropped; /* tokens of the query that the bi-encoder did not read */
    double embed_ms, dense_ms, bm25_ms;
} wn_lists;

/* Checks and copies; fields that an older caller does not know are zero. */
wn_status wn_scorers_take(const wn_scorers *given, wn_scorers *out, wn_error *err);
/* The whole of n passages, without a deadline. */
wn_status wn_scorers_score_all(const wn_scorers *scorers, wn_str query, const wn_str *passages, size_t n,
                               wn_length_policy policy, size_t batch_size, wn_pair_score *out,
                               wn_error *err);
bool wn_query_is_blank(wn_str query);

/* Fills the lists that `opt` needs, to a depth of cap > 0, and searcher->query where there is a
 * bi-encoder. `both`: the list that the first stage does not need too, where it can be had (an
 * index without embeddings has no dense one). */
wn_status wn_lists_recall(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                          size_t cap, bool both, wn_lists *out, wn_error *err);
void wn_lists_release(wn_lists *lists);
/* The candidates that a search with first_stage_k = k has, in first-stage order: hits [2 k] is
 * overwritten, the first *result* of it count (at most k). k must not exceed the lists' depth.
 * Fusion sees the first k of each list only, so a smaller k is not a prefix of a larger one. */
size_t wn_lists_candidates(const wn_lists *lists, wn_first_stage stage, size_t k, wn_hit *hits);

/* Cosines [n] of the hits with searcher->query; NaN without a bi-encoder. */
wn_status wn_candidates_cosine(wn_searcher *searcher, const wn_hit *hits, size_t n, float *cosines,
                               wn_error *err);
#endif
