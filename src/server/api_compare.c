/* api_compare.c -- POST /compare: a query and passages, scored by both encoders, without an index.
 *
 * Request: query string; documents array of strings or {"text"} (at most the server's max_documents);
 *   embedder, reranker strings: names, the defaults; length_policy as in /search.
 * Answer: the object that `winnow compare --format json` prints: query, and results in the
 *   cross-encoder's order (the bi-encoder's where there is no cross-encoder), each {index, document,
 *   bi_encoder_score, bi_encoder_rank, rerank_score, rerank_logit, rerank_rank, rank_change, tokens_seen,
 *   tokens_dropped}, null where that encoder is not loaded; and embedder, reranker (names or null), timings.
 * Errors: 400; 404 an unknown model, or none of the two is loaded. */
#include "api.h"

#include <stdlib.h>

/* *out NULL where none is asked for by name and none is loaded. */
static bool choose(srv_call *call, const char *field, bool embedder, srv_encoder **out) {
    const char *name = NULL;
    wn_error err;
    if (!srv_body_string(call, field, &name)) return false;
    wn_status st = embedder ? srv_snapshot_embedder(call->snapshot, name, out, &err)
                            : srv_snapshot_reranker(call->snapshot, name, out, &err);
    if (st == WN_OK) return true;
    *out = NULL;
    return name && *name ? srv_call_failed(call, &err) : true;
}

static json_t *name_json(const wn_model *model) {
    return model ? rec_text(wn_model_describe(model).name) : json_null();
}

static json_t *answer_json(const srv_searching *s, wn_str query, const srv_texts *documents,
                           const wn_compare_row *rows) {
    json_t *o = rec_compare(query, documents->items, rows, documents->n);
    if (o && (json_object_set_new(o, "embedder", name_json(srv_searching_embedder(s))) != 0 ||
              json_object_set_new(o, "reranker", name_json(srv_searching_reranker(s))) != 0 ||
              json_object_set_new(o, "timings", srv_searching_timings(s)) != 0)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static void compare(srv_call *call, wn_str query, const srv_texts *documents, srv_encoder *embedder,
                    srv_encoder *reranker, wn_length_policy policy) {
    srv_searching s = {0};
    wn_error err;
    wn_compare_row *rows = calloc(documents->n, sizeof *rows);
    if (!rows) {
        (void)srv_call_no_memory(call);
        return;
    }
    srv_searching_between(&s, call, embedder, reranker);
    if (wn_compare_with(&s.scorers, query, documents->items, documents->n, policy, rows, &err) == WN_OK)
        srv_call_answer(call, answer_json(&s, query, documents, rows));
    else (void)srv_call_failed(call, &err);
    free(rows);
}

void srv_api_compare(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_encoder *embedder = NULL, *reranker = NULL;
    srv_texts documents = {0};
    wn_length_policy policy;
    wn_str query;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN) &&
        srv_body_text(&call, "query", &query) && srv_body_documents(&call, "documents|passages", NULL, &documents) &&
        srv_body_length_policy(&call, &policy) && choose(&call, "embedder", true, &embedder) &&
        choose(&call, "reranker", false, &reranker)) {
        if (embedder || reranker) compare(&call, query, &documents, embedder, reranker, policy);
        else srv_respond_error(response, SRV_DIALECT_OWN, 404, NULL, NULL, "this server has no model to compare with");
    }
    srv_texts_release(&documents);
    srv_call_end(&call);
}
