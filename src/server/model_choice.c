/* model_choice.c -- which model answers a request.
 *
 * Whoever switches a base URL leaves the vendor's model name in the request ("rerank-v3.5",
 * "text-embedding-3-small"). Where this server has one model of the kind, there is nothing to mistake:
 * it answers, and the reply says so by its own name and a warning. Where it has several, an unknown
 * name is refused with the known ones: to pick one silently would hide a typing mistake.
 * A name of a model of the other kind is a mistake always. */
#include "json_fields.h"

#include <string.h>

static size_t count_kind(const srv_snapshot *snapshot, wn_model_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < srv_snapshot_encoder_count(snapshot); i++)
        n += srv_encoder_describe(srv_snapshot_encoder(snapshot, i)).kind == kind;
    return n;
}

static bool is_other_kind(const srv_snapshot *snapshot, wn_model_kind kind, const char *name) {
    for (size_t i = 0; i < srv_snapshot_encoder_count(snapshot); i++) {
        wn_model_info info = srv_encoder_describe(srv_snapshot_encoder(snapshot, i));
        if (info.kind != kind && strcmp(info.name, name) == 0) return true;
    }
    return false;
}

static wn_status find(srv_snapshot *snapshot, wn_model_kind kind, const char *name, srv_encoder **out,
                      wn_error *err) {
    return kind == WN_MODEL_BI_ENCODER ? srv_snapshot_embedder(snapshot, name, out, err)
                                       : srv_snapshot_reranker(snapshot, name, out, err);
}

bool srv_choose_model(srv_call *call, wn_model_kind kind, srv_encoder **out, json_t **warning) {
    const char *name = NULL;
    wn_error err;
    *warning = NULL;
    if (!srv_body_string(call, "model", &name)) return false;
    wn_status st = find(call->snapshot, kind, name, out, &err);
    if (st == WN_OK) return true;
    if (st != WN_ERR_NOT_FOUND || !name || !*name) return srv_call_failed(call, &err);
    if (is_other_kind(call->snapshot, kind, name))
        return srv_call_invalid(call, "model", kind == WN_MODEL_BI_ENCODER
                                                   ? "this model is a reranker; an embedder is needed here"
                                                   : "this model is an embedder; a reranker is needed here");
    if (count_kind(call->snapshot, kind) != 1) return srv_call_failed(call, &err);
    if (find(call->snapshot, kind, NULL, out, &err) != WN_OK) return srv_call_failed(call, &err);
    const char *own = srv_encoder_describe(*out).name;
    *warning = strlen(name) <= 100
                   ? json_sprintf("model \"%s\" is not served here; answered by \"%s\"", name, own)
                   : json_sprintf("the model asked for is not served here; answered by \"%s\"", own);
    return true;
}
