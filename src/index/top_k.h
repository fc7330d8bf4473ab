/* top_k.h -- the k best hits of a stream: score descending, then passage id ascending.
 *
 * A binary heap with the worst kept hit at its root, in the caller's array; most of a scan is
 * one comparison with that root. The order is total (ids are unique), so the result does
 * not depend on the order of the stream, and partial heaps can be merged by pushing one into
 * another: a parallel scan needs nothing else. A NaN score is never kept. */
#ifndef WN_INDEX_TOP_K_H
#define WN_INDEX_TOP_K_H

#include <winnow/index.h>

typedef struct wn_top_k {
    wn_hit *hits; /* [k] */
    size_t k, count;
} wn_top_k;

/* True when a stands behind b. */
static inline bool wn_hit_worse(const wn_hit *a, const wn_hit *b) {
    return a->score < b->score || (a->score == b->score && a->passage > b->passage);
}

static inline void wn_top_k_sink(wn_hit *hits, size_t count, size_t i) {
    wn_hit moved = hits[i];
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && wn_hit_worse(&hits[child + 1], &hits[child])) child++;
        if (!wn_hit_worse(&hits[child], &moved)) break;
        hits[i] = hits[child];
    }
    hits[i] = moved;
}

static inline void wn_top_k_push(wn_top_k *top, int64_t passage, float score) {
    wn_hit hit = {.passage = passage, .score = score};
    if (top->count == top->k) {
        if (!(score >= top->hits[0].score) || !wn_hit_worse(&top->hits[0], &hit)) return;
        top->hits[0] = hit;
        wn_top_k_sink(top->hits, top->count, 0);
        return;
    }
    if (score != score) return;
    size_t i = top->count++;
    for (size_t parent; i && wn_hit_worse(&hit, &top->hits[parent = (i - 1) / 2]); i = parent)
        top->hits[i] = top->hits[parent];
    top->hits[i] = hit;
}

/* Heap to best first. The heap is spent. */
static inline void wn_top_k_sort(wn_top_k *top) {
    for (size_t n = top->count; n > 1; n--) {
        wn_hit worst = top->hits[0];
        top->hits[0] = top->hits[n - 1];
        top->hits[n - 1] = worst;
        wn_top_k_sink(top->hits, n - 1, 0);
    }
}

#endif
