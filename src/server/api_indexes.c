/* api_indexes.c -- GET /indexes: what there is to search.
 *
 * Answer: {"indexes": [{
 *   name            string: for `index` of the other routes; the first is the default
 *   documents, passages, embedded   integers, as they are now
 *   embedder        string, or null for an index without embeddings
 *   embedder_hash   string or null; dim integer or null
 *   pooling         "cls" | "mean" | null; normalize boolean or null
 *   chunking        {"unit": "characters" | "tokens", "size", "overlap"}
 *   stemming        boolean: BM25 compares English word stems
 *   first_stages    ["dense", "bm25", "hybrid"] or ["bm25"]
 *   skip_thresholds {first stage: number}: what `winnow advise --save` left, for rerank "auto"
 * }], "rerankers": [string, the default first]} */
#include "api.h"

static json_t *thresholds_json(wn_index *index) {
    json_t *o = json_object();
    wn_error err;
    for (int stage = 0; o && REC_FIRST_STAGES[stage]; stage++) {
        float threshold;
        if (wn_skip_threshold_load(index, (wn_first_stage)stage, &threshold, &err) == WN_OK)
            json_object_set_new(o, REC_FIRST_STAGES[stage], rec_real((double)threshold));
    }
    return o;
}

static json_t *index_json(const char *name, wn_index *index, const wn_index_info *info) {
    bool dense = *info->model_name;
    return json_pack(
        "{s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:{s:s, s:I, s:I}, s:b, s:o, s:o}", "name", rec_text(name),
        "documents", (json_int_t)info->documents, "passages", (json_int_t)info->passages, "embedded",
        (json_int_t)info->embedded, "embedder", dense ? rec_text(info->model_name) : json_null(), "embedder_hash",
        dense ? rec_text(info->model_hash) : json_null(), "dim", dense ? json_integer((json_int_t)info->dim) : json_null(),
        "pooling", dense ? json_string(info->pooling == WN_POOL_CLS ? "cls" : "mean") : json_null(), "normalize",
        dense ? json_boolean(info->normalize) : json_null(), "chunking", "unit",
        info->unit == WN_UNIT_TOKENS ? "tokens" : "characters", "size", (json_int_t)info->chunk_size, "overlap",
        (json_int_t)info->chunk_overlap, "stemming", info->stemming, "first_stages",
        dense ? json_pack("[s, s, s]", "dense", "bm25", "hybrid") : json_pack("[s]", "bm25"), "skip_thresholds",
        thresholds_json(index));
}

/* False: answered. */
static bool add_index(srv_call *call, const char *name, json_t *list) {
    srv_index *entry = NULL;
    wn_index *index = NULL;
    wn_index_info info;
    wn_error err;
    wn_status st = srv_snapshot_index(call->snapshot, name, &entry, &err);
    if (st == WN_OK) st = srv_index_borrow(entry, &index, &err);
    if (st != WN_OK) index = NULL;
    if (st == WN_OK) st = wn_index_describe(index, &info, &err);
    bool good = st == WN_OK && json_array_append_new(list, index_json(name, index, &info)) == 0;
    if (index) srv_index_return(entry, index);
    if (good) return true;
    srv_respond_error(call->response, call->dialect, 503, NULL, NULL, "the index %s can't be read now", name);
    return false;
}

static json_t *rerankers_json(const srv_call *call) {
    json_t *list = json_array();
    for (size_t i = 0; i < srv_snapshot_encoder_count(call->snapshot); i++) {
        wn_model_info info = srv_encoder_describe(srv_snapshot_encoder(call->snapshot, i));
        if (info.kind == WN_MODEL_CROSS_ENCODER) json_array_append_new(list, rec_text(info.name));
    }
    return list;
}

void srv_api_indexes(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_OWN)) {
        json_t *list = json_array();
        bool good = list || srv_call_no_memory(&call);
        for (size_t i = 0; good && i < srv_snapshot_index_count(call.snapshot); i++)
            good = add_index(&call, srv_snapshot_index_name(call.snapshot, i), list);
        if (good) srv_call_answer(&call, json_pack("{s:O, s:o}", "indexes", list, "rerankers", rerankers_json(&call)));
        json_decref(list);
    }
    srv_call_end(&call);
}
