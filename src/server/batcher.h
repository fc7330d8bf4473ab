/* batcher.h -- dynamic batching by tokens: the one door to the encoders.
 *
 * Handlers hand in whole requests (n texts, or n pairs); the batcher takes single items out of them,
 * in turns between clients and, within a client, between requests that have had nothing yet and those that
 * are under way (batcher.c tells which of them), until a forward pass has its tokens. So a request of one
 * pair is in the next pass or the one after it, whatever stands in the queue. One pass at a time owns all threads of the encoder. Scores never depend on who
 * shared the pass: the library promises that bitwise, and the soak test checks it.
 *
 * A pass is given up between items only: a request whose deadline has come gets what was scored
 * so far; one whose client is gone gets nothing and costs nothing more. */
#ifndef WN_SERVER_BATCHER_H
#define WN_SERVER_BATCHER_H

#include "http.h"

typedef struct srv_batcher srv_batcher;
typedef struct srv_encoder srv_encoder; /* a loaded model and its session: models.h */

typedef struct srv_work {
    srv_encoder *encoder;
    const wn_str *queries;     /* [n] pairs; or one for all when shared_query; NULL: embeddings */
    bool shared_query;
    const wn_str *texts;       /* [n] */
    size_t n;
    wn_role role;              /* embeddings */
    const char *prompt_name;   /* embeddings: overrides role; NULL: none */
    wn_length_policy policy;
    const char *client;
    const atomic_bool *gone;   /* may be NULL */
    double deadline_ms;        /* 0: none */
    /* out */
    wn_pair_score *scores;     /* [n] pairs */
    float *embeddings;         /* [n, dim] */
    wn_fit *fits;              /* [n] embeddings, may be NULL */
    bool *done;                /* [n]: computed in time; items are taken in order. May be NULL */
    size_t ndone;
    uint64_t tokens;           /* read by the model */
    double queue_ms, compute_ms; /* for headers and metrics */
} srv_work;

/* Blocks until all is done, the deadline has come (WN_OK with ndone < n), the client is gone
 * (WN_ERR_CANCELLED), or the queue is full (WN_ERR_BUSY, at once). TOO_LONG under policy error names the item. */
wn_status srv_batcher_run(srv_batcher *batcher, srv_work *work, wn_error *err);

/* ---- For the service ------------------------------------------------------- */

typedef struct srv_batcher_options {
    size_t max_batch_tokens; /* of one pass; a longer item has a pass of its own */
    size_t max_queue_tokens; /* waiting, estimated; one client gets three quarters of them */
    double pass_ms;          /* a pass is cut to what takes about this long; 0: only by tokens */
} srv_batcher_options;
struct srv_metrics;
wn_status srv_batcher_create(const srv_batcher_options *options, struct srv_metrics *metrics, srv_batcher **out,
                             wn_error *err);
/* Work that still waits is cancelled. No thread may be in srv_batcher_run any more when this returns. */
void srv_batcher_free(srv_batcher *batcher);
typedef struct srv_batcher_state {
    size_t requests, items, tokens; /* waiting; tokens are estimated */
} srv_batcher_state;
srv_batcher_state srv_batcher_look(srv_batcher *batcher);
#endif
