/* vector_codes.h -- 8-bit codes of embeddings and queries, and how far a product of codes may be from the
 * score. The bound, and why it holds: vector_codes.c. */
#ifndef WN_INDEX_VECTOR_CODES_H
#define WN_INDEX_VECTOR_CODES_H

#include "core/threadpool.h"
#include "index/vector_store.h"

/* Codes for every block that has none: about (dim + 8) / (4 dim) of the rows' memory. pool NULL: in the
 * caller's thread. After a failure the vectors are as before. */
wn_status wn_vectors_encode(wn_vectors *vectors, wn_pool *pool, wn_error *err);

/* Quads (scan_i8.h) of a vector. */
static inline size_t wn_code_quads(size_t dim) { return (dim + 3) / 4; }

/* For each row of a block, with p the integer product of row's and query's codes:
 *     e = errors[row] * widen + slack
 *     | steps[row] * step * p - scale * dot(query, row) | <= e
 * where the right product is the float that the table's dot_f32 gives, times scale, in float; with room
 * for the roundings of computing the left side in float. */
typedef struct wn_query_code {
    float step, widen, slack;
} wn_query_code;

/* code [4 quads]. scale > 0. False where no useful bound can be given (a NaN, an infinity, a length
 * beyond 1e-18 to 1e18): such a query is scanned in f32. */
bool wn_query_encode(const float *query, size_t dim, float scale, int8_t *code, wn_query_code *out);

#endif
