/* api.h -- what the handlers of winnow's own API share: an index and models for one call, options by name. */
#ifndef WN_SERVER_API_H
#define WN_SERVER_API_H

#include "json_fields.h"
#include "records/records.h"

/* One call's index and encoders. Zero-initialise; close whatever happened. Its pairs and texts go
 * through the batcher, so a searcher over `scorers` shares forward passes with every other request. */
typedef struct srv_searching {
    srv_call *call;
    srv_index *entry;
    const char *index_name;
    wn_index *index;                  /* of the pool, or own */
    bool own;
    wn_index_info info;
    srv_encoder *embedder, *reranker; /* NULL: the index has no embeddings; nothing is to be reranked */
    wn_scorers scorers;
    bool lend_back;                   /* the index is not needed any more once pairs are scored */
    uint64_t tokens;                  /* read by the models so far */
    double queue_ms, compute_ms;
} srv_searching;

/* The body's `index` (none: the first), its embedder, and its handle: of the pool, or with `own` one
 * that no other request waits for (long work). False: answered. */
bool srv_searching_open(srv_searching *s, srv_call *call, bool own);
/* The body's `reranker` (none: the first). absent_ok: without any and none asked for, s->reranker stays NULL. */
bool srv_searching_rerank(srv_searching *s, bool absent_ok);
/* s->scorers of both. */
void srv_searching_connect(srv_searching *s);
/* For work without an index: either may be NULL. */
void srv_searching_between(srv_searching *s, srv_call *call, srv_encoder *embedder, srv_encoder *reranker);
const wn_model *srv_searching_embedder(const srv_searching *s); /* NULL: none */
const wn_model *srv_searching_reranker(const srv_searching *s);
void srv_searching_close(srv_searching *s);

/* The body's `where` (or `filters`): {"key": value}, ["key=value"], or a "key=value" string. Owned by *out. */
typedef struct srv_filters {
    wn_filter *items;
    size_t n;
} srv_filters;
bool srv_body_filters(srv_call *call, srv_filters *out);
void srv_filters_release(srv_filters *filters);

/* `first_stage`. Not given, it is dense, or BM25 for an index without embeddings; an explicit one that the index
 * can't do is refused. */
bool srv_body_first_stage(srv_searching *s, wn_first_stage *out);
/* A number, as NAN to NAN. *given may be NULL. */
bool srv_body_number(srv_call *call, const char *name, double lo, double hi, double *out, bool *given);
/* `first_stage_k` and `k`, at most the server's max_documents. */
bool srv_body_depths(srv_call *call, size_t *first_stage_k, size_t *k);
/* `blend`; not given: what the reranker recommends for the embedder. */
bool srv_body_blend(srv_searching *s, float *out);

/* A field of the query string into the body, as a string; one that is not UTF-8 is refused, not left out:
 * else the default would answer for it. Absent: nothing. */
bool srv_call_take_query(srv_call *call, const char *name, const char *field);
/* Replaces the body by one whose integers are integers: for what is stored or handed on as it was sent. */
bool srv_call_read_exactly(srv_call *call);
/* 200 with nine digits, which is how the command line writes: every float comes back as it was. Steals body;
 * NULL is no memory. */
void srv_call_answer(srv_call *call, json_t *body);
/* {"queue_ms", "compute_ms", "total_ms", "tokens"} */
json_t *srv_searching_timings(const srv_searching *s);

/* ---- Handlers, by file ------------------------------------------------------------ */

void srv_api_search(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_search_get(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_compare(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_explain(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_indexes(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_documents_put(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_documents_delete(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_documents_list(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_impact(srv_service *service, const srv_request *request, srv_response *response);
void srv_api_eval(srv_service *service, const srv_request *request, srv_response *response);
#endif
