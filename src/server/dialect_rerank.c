/* dialect_rerank.c -- the rerank paths that vendors share, and one reply for all of them.
 *
 *   /v1/rerank     Cohere v1, Jina, llama.cpp, vLLM: relevance_score in [0, 1]
 *   /v2/rerank     Cohere v2: the same; documents are never returned
 *   /rerank        TEI when the body has `texts` (a bare array), else as /reranking
 *   /reranking, /v1/reranking   llama.cpp: relevance_score is the raw logit
 *
 * raw_scores: true or false chooses on every path. Each result also has its `logit`, which never
 * saturates. What one vendor's client needs (Cohere: id, results, meta; Jina: model, usage, results;
 * llama.cpp: model, object, usage, results) does not contradict another's, so the reply has all. */
#include "dialects.h"
#include "rerank_request.h"

#include <math.h>

/* The document as Cohere v1 and Jina return it: an object, as it was sent or {"text"}. */
static json_t *document_of(const json_t *source) {
    if (json_is_object(source)) return json_incref((json_t *)source);
    return json_pack("{s:O}", "text", source);
}

static json_t *result_of(const srv_rerank *rerank, const srv_ranked *ranked) {
    json_t *result = json_pack("{s:I, s:o}", "index", (json_int_t)ranked->index, "relevance_score",
                               srv_rerank_score(rerank, ranked));
    if (!result) return NULL;
    if (rerank->return_documents)
        json_object_set_new(result, "document", document_of(rerank->documents.sources[ranked->index]));
    if (isfinite(ranked->logit)) json_object_set_new(result, "logit", json_real(ranked->logit));
    if (!ranked->reranked) json_object_set_new(result, "reranked", json_false());
    if (ranked->fit.tokens_dropped || ranked->fit.query_dropped) {
        json_object_set_new(result, "tokens_seen", json_integer(ranked->fit.tokens_seen));
        json_object_set_new(result, "tokens_dropped", json_integer(ranked->fit.tokens_dropped));
        if (ranked->fit.query_dropped)
            json_object_set_new(result, "query_tokens_dropped", json_integer(ranked->fit.query_dropped));
    }
    return result;
}

/* Cohere's unit: a query with up to a hundred documents. */
static json_t *meta_of(const srv_rerank *rerank, const char *version) {
    json_int_t units = (json_int_t)((rerank->documents.n + 99) / 100);
    json_t *meta = json_pack("{s:{s:s}, s:{s:I}, s:{s:I, s:i}}", "api_version", "version", version,
                             "billed_units", "search_units", units, "tokens", "input_tokens",
                             (json_int_t)rerank->tokens, "output_tokens", 0);
    if (meta && json_array_size(rerank->warnings)) json_object_set(meta, "warnings", rerank->warnings);
    return meta;
}

static void reply(srv_call *call, const srv_rerank *rerank, const char *version) {
    json_t *results = json_array();
    for (size_t i = 0; i < rerank->count; i++)
        json_array_append_new(results, result_of(rerank, &rerank->ranked[i]));
    json_int_t tokens = (json_int_t)rerank->tokens;
    json_t *body = json_pack("{s:s, s:s, s:s, s:o, s:{s:I, s:I}, s:o}", "id", call->request->id, "object",
                             "list", "model", rerank->model, "results", results, "usage", "prompt_tokens",
                             tokens, "total_tokens", tokens, "meta", meta_of(rerank, version));
    if (body) srv_respond_json(call->response, 200, body);
    else srv_call_no_memory(call);
}

typedef struct rerank_path {
    srv_dialect dialect;
    const char *version;
    bool raw_scores;        /* unless the body says otherwise */
    bool texts_mean_tei;    /* TEI's bare array for a body with `texts` */
    bool never_documents;
} rerank_path;

static void rerank_as(srv_service *service, const srv_request *request, srv_response *response,
                      const rerank_path *path) {
    srv_call call;
    srv_rerank rerank = {.raw_scores = path->raw_scores};
    if (srv_call_begin(&call, service, request, response, path->dialect)) {
        if (path->texts_mean_tei && srv_body_field(&call, "texts", NULL) && !srv_body_field(&call, "documents", NULL)) {
            srv_tei_rerank(&call);
        } else if (srv_rerank_read(&call, &rerank) && srv_rerank_run(&call, &rerank)) {
            if (path->never_documents) rerank.return_documents = false;
            reply(&call, &rerank, path->version);
        }
    }
    srv_rerank_release(&rerank);
    srv_call_end(&call);
}

static void rerank_v1(srv_service *service, const srv_request *request, srv_response *response) {
    rerank_as(service, request, response, &(rerank_path){SRV_DIALECT_COHERE, "1", false, true, false});
}

static void rerank_v2(srv_service *service, const srv_request *request, srv_response *response) {
    rerank_as(service, request, response, &(rerank_path){SRV_DIALECT_COHERE, "2", false, false, true});
}

static void reranking(srv_service *service, const srv_request *request, srv_response *response) {
    rerank_as(service, request, response, &(rerank_path){SRV_DIALECT_LLAMACPP, "1", true, true, false});
}

const srv_route srv_rerank_routes[] = {
    {"POST", "/v1/rerank", SRV_DIALECT_COHERE, rerank_v1, 0},
    {"POST", "/v2/rerank", SRV_DIALECT_COHERE, rerank_v2, 0},
    {"POST", "/rerank", SRV_DIALECT_TEI, reranking, 0},
    {"POST", "/reranking", SRV_DIALECT_LLAMACPP, reranking, 0},
    {"POST", "/v1/reranking", SRV_DIALECT_LLAMACPP, reranking, 0},
    {NULL, NULL, SRV_DIALECT_COHERE, NULL, 0},
};
