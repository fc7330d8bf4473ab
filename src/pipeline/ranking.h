/* ranking.h -- orders candidates deterministically and fuses ranked lists. */
#ifndef WN_PIPELINE_RANKING_H
#define WN_PIPELINE_RANKING_H
#include <winnow/index.h>

/* qsort has no portable context argument, so the keys travel with the positions. */
typedef struct wn_keyed {
    float score;
    uint32_t position;
} wn_keyed;

/* order [n] becomes the positions of scores sorted descending; NaN comes last; equal
 * scores keep their first-stage order (position ascending). scratch [n] is overwritten. */
void wn_rank_by_score(const float *scores, size_t n, wn_keyed *scratch, uint32_t *order);

/* Reciprocal rank fusion: score(p) = sum over lists of 1 / (60 + rank of p there), rank from 1
 * (Cormack, Clarke, Buettcher, SIGIR 2009). out [na + nb] receives the union, best first, ties by
 * passage id; returns how many. */
size_t wn_fuse_rrf(const wn_hit *a, size_t na, const wn_hit *b, size_t nb, wn_hit *out);
/* What the final order is by, keys [n]: logit + blend * cosine, or the logit alone where blend is 0 or a cosine
 * is NaN (one scale for all of a query's candidates). Returns the weight used. keys may be logits. */
float wn_final_keys(const float *logits, const float *cosines, size_t n, float blend, float *keys);
#endif
