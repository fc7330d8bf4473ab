/* study.h -- the inside of a study. */
#ifndef WN_PIPELINE_STUDY_H
#define WN_PIPELINE_STUDY_H
#include "pipeline/ranking.h"
#include "pipeline/stages.h"
#include <winnow/analysis.h>

/* A candidate of one query at any of the depths, in the order of scoring. */
typedef struct wn_study_candidate {
    int64_t passage;
    char *source;
    uint32_t ordinal;
    wn_pair_score pair; /* logit NaN when not reranked */
    float cosine;       /* NaN unless the study blends */
} wn_study_candidate;

typedef struct wn_study_record {
    char *id, *text;
    wn_lists lists;
    wn_study_candidate *candidates; /* [n] */
    size_t n;
    double *spent_ms; /* [ndepths]: stage 2 up to and with this depth's candidates */
    size_t *scored;   /* [ndepths]: candidates scored by then */
    double stage1_ms;
    float confidence;
} wn_study_record;

struct wn_study {
    wn_study_info info;
    wn_study_record *records; /* [info.queries] */
    size_t *depths;
    char *names[4]; /* embedder, its hash, reranker, its hash */
};

/* The place of a depth in info.depths; WN_ERR_ARGUMENT names those there are. */
wn_status wn_study_depth(const wn_study *study, size_t depth, size_t *out, wn_error *err);

/* A query's candidates at a depth, by their place in `candidates`. Reusable; release when done. */
typedef struct wn_study_order {
    wn_hit *hits;     /* [n], first-stage order */
    uint32_t *first;  /* [n]: place in candidates, in first-stage order */
    uint32_t *final;  /* [n]: place in `first`, in final order */
    size_t n, cap;
    float *keys, *cosines;
    wn_keyed *scratch;
} wn_study_order;
wn_status wn_study_order_at(const wn_study *study, size_t query, size_t depth, bool reranked,
                            wn_study_order *out, wn_error *err);
void wn_study_order_release(wn_study_order *order);
#endif
