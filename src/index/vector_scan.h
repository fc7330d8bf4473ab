/* vector_scan.h -- the k rows with the largest dot products, for one query or many. */
#ifndef WN_INDEX_VECTOR_SCAN_H
#define WN_INDEX_VECTOR_SCAN_H

#include "core/threadpool.h"
#include "index/vector_store.h"

typedef struct wn_scan_request {
    const float *queries; /* [nq, dim] */
    const float *scales;  /* [nq]: multiplies the dot product; above 0 */
    size_t nq, k;         /* k at least 1 */
    const uint64_t *mask; /* one bit a row, NULL for all; `passed` of them are set */
    size_t passed;
    wn_pool *pool;        /* NULL: in the caller's thread */
} wn_scan_request;

typedef struct wn_scan_stats {
    size_t coded;    /* queries whose first pass was over codes */
    size_t rescored; /* rows whose f32 product was taken after such a pass */
    size_t fallen;   /* of `coded`, those whose candidates were too many: scanned in f32 after all */
} wn_scan_stats;

/* hits [nq, k] by score descending, then id ascending; counts [nq]. The scores are scale * dot_f32, and
 * hits and scores are the same bits whether or not the vectors have codes, with any pool and any mixture of
 * queries. A NaN score is never a hit. stats may be NULL. */
wn_status wn_vectors_search(const wn_vectors *vectors, const wn_scan_request *request, wn_hit *hits,
                            size_t *counts, wn_scan_stats *stats, wn_error *err);

#endif
