/* ranking.c -- orders candidates deterministically and fuses ranked lists.
 *
 * A few hundred candidates a query: qsort with a total order is microseconds beside the
 * milliseconds of one forward pass, so nothing cleverer is kept here. */
#include "pipeline/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_score(const void *pa, const void *pb) {
    const wn_keyed *a = pa, *b = pb;
    bool na = isnan(a->score), nb = isnan(b->score);
    if (na != nb) return na ? 1 : -1;
    if (!na && a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->position < b->position ? -1 : 1;
}

void wn_rank_by_score(const float *scores, size_t n, wn_keyed *scratch, uint32_t *order) {
    for (uint32_t i = 0; i < n; i++) scratch[i] = (wn_keyed){scores[i], i};
    qsort(scratch, n, sizeof *scratch, by_score);
    for (size_t i = 0; i < n; i++) order[i] = scratch[i].position;
}

float wn_final_keys(const float *logits, const float *cosines, size_t n, float blend, float *keys) {
    for (size_t i = 0; i < n && blend != 0; i++)
        if (isnan(cosines[i])) blend = 0;
    for (size_t i = 0; i < n; i++) keys[i] = blend != 0 ? logits[i] + blend * cosines[i] : logits[i];
    return blend;
}

static int by_fused_score(const void *pa, const void *pb) {
    const wn_hit *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->passage < b->passage ? -1 : a->passage > b->passage;
}

size_t wn_fuse_rrf(const wn_hit *a, size_t na, const wn_hit *b, size_t nb, wn_hit *out) {
    const float constant = 60.0f;
    size_t n = 0;
    for (size_t i = 0; i < na; i++)
        out[n++] = (wn_hit){a[i].passage, 1.0f / (constant + (float)(i + 1))};
    for (size_t i = 0; i < nb; i++) {
        float share = 1.0f / (constant + (float)(i + 1));
        size_t at = 0;
        while (at < na && out[at].passage != b[i].passage) at++;
        if (at < na) out[at].score += share;
        else out[n++] = (wn_hit){b[i].passage, share};
    }
    qsort(out, n, sizeof *out, by_fused_score);
    return n;
}
