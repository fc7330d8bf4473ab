/* rerank_request.h -- one rerank, whatever dialect it came in: fields, scores, order. */
#ifndef WN_SERVER_RERANK_REQUEST_H
#define WN_SERVER_RERANK_REQUEST_H

#include "json_fields.h"

/* One document of the answer. */
typedef struct srv_ranked {
    size_t index;       /* in the request */
    bool reranked;      /* false: the deadline came first; the scores are then 0 and NaN */
    double relevance;   /* sigmoid of the logit, in [0, 1] */
    double logit;
    wn_fit fit;         /* with what was cut before the model saw it */
} srv_ranked;

typedef struct srv_rerank {
    wn_str query;
    srv_texts documents;
    size_t top_n;             /* 0: all */
    bool raw_scores;          /* set the dialect's default before reading; answer with logits */
    bool return_documents;    /* likewise */
    bool cut_left;
    size_t max_tokens_per_doc; /* 0: the model's length alone */
    wn_length_policy policy;
    srv_encoder *encoder;
    const char *model;        /* the name of the one that answers */
    /* out */
    srv_ranked *ranked;       /* [documents.n], best first; then those not reranked, as they came */
    size_t count;             /* of them that the answer has: top_n or all */
    size_t done, cut;         /* documents scored; documents of which tokens were dropped */
    uint64_t tokens;
    double queue_ms, compute_ms;
    json_t *warnings;         /* an array of strings, maybe empty */
} srv_rerank;

/* Zero the struct, set defaults, then: false means that the request is answered with an error.
 * Release in any case. */
bool srv_rerank_read(srv_call *call, srv_rerank *rerank);
bool srv_rerank_run(srv_call *call, srv_rerank *rerank);
void srv_rerank_release(srv_rerank *rerank);
/* The score that the answer shows: a number, or null for a raw score that there is none of. */
json_t *srv_rerank_score(const srv_rerank *rerank, const srv_ranked *ranked);
#endif
