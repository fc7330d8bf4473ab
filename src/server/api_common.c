/* api_common.c -- an index and models for one call, and options by name. See api.h.
 *
 * A search holds a handle of the pool only while it asks the index: it's given back before its pairs
 * wait for the batcher, so a few handles (each with the index's embeddings in memory) serve many searches.
 * Stage 1 keeps no deadline, as in wn_search: its one text waits for a pass at most. */
#include "api.h"
#include "reply_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Encoders behind the batcher ------------------------------------------------- */

static wn_status run(srv_searching *s, srv_work *work, wn_error *err) {
    work->client = s->call->request->client;
    work->gone = s->call->request->gone;
    wn_status st = srv_batcher_run(srv_service_batcher(s->call->service), work, err);
    s->tokens += work->tokens;
    s->queue_ms += work->queue_ms;
    s->compute_ms += work->compute_ms;
    return st;
}

static wn_status embed(void *ctx, const wn_str *texts, size_t n, wn_role role, wn_length_policy policy,
                       float *out, wn_fit *fits, wn_error *err) {
    srv_searching *s = ctx;
    srv_work work = {.encoder = s->embedder, .texts = texts, .n = n, .role = role, .policy = policy,
                     .embeddings = out, .fits = fits};
    return run(s, &work, err);
}

static void give_back(srv_searching *s) {
    if (s->own) wn_index_close(s->index);
    else if (s->entry) srv_index_return(s->entry, s->index);
    s->index = NULL;
}

static wn_status score(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy,
                       size_t batch_size, double time_left_ms, wn_pair_score *out, size_t *done,
                       wn_error *err) {
    (void)batch_size; /* the batcher's own */
    srv_searching *s = ctx;
    srv_work work = {.encoder = s->reranker, .queries = &query, .shared_query = true, .texts = passages,
                     .n = n, .policy = policy, .scores = out,
                     .deadline_ms = time_left_ms > 0 ? srv_now_ms() + time_left_ms : 0};
    if (s->lend_back) give_back(s);
    wn_status st = run(s, &work, err);
    if (st == WN_OK) *done = work.ndone;
    return st;
}

void srv_searching_connect(srv_searching *s) {
    s->scorers = (wn_scorers){.size = sizeof s->scorers};
    if (s->embedder) {
        s->scorers.embedder = srv_encoder_model(s->embedder);
        s->scorers.embed_ctx = s;
        s->scorers.embed = embed;
    }
    if (s->reranker) {
        s->scorers.reranker = srv_encoder_model(s->reranker);
        s->scorers.score_ctx = s;
        s->scorers.score = score;
    }
}

void srv_searching_between(srv_searching *s, srv_call *call, srv_encoder *embedder, srv_encoder *reranker) {
    s->call = call;
    s->embedder = embedder;
    s->reranker = reranker;
    srv_searching_connect(s);
}

const wn_model *srv_searching_embedder(const srv_searching *s) {
    return s->embedder ? srv_encoder_model(s->embedder) : NULL;
}

const wn_model *srv_searching_reranker(const srv_searching *s) {
    return s->reranker ? srv_encoder_model(s->reranker) : NULL;
}

/* ---- Index and models ------------------------------------------------------------- */

/* The one of the loaded models that made the index; none is needed where it has no embeddings. */
static bool find_embedder(srv_searching *s) {
    wn_error err;
    if (!*s->info.model_name) return true;
    for (size_t i = 0; i < srv_snapshot_encoder_count(s->call->snapshot); i++) {
        srv_encoder *encoder = srv_snapshot_encoder(s->call->snapshot, i);
        if (srv_encoder_describe(encoder).kind != WN_MODEL_BI_ENCODER) continue;
        if (wn_index_check_model(s->index, srv_encoder_model(encoder), &err) != WN_OK) continue;
        s->embedder = encoder;
        return true;
    }
    srv_respond_error(s->call->response, s->call->dialect, 503, NULL, "index",
                      "the index %s was made with the model %s, which this server has not loaded",
                      s->index_name, s->info.model_name);
    return false;
}

static const char *index_name(const srv_call *call, const char *asked) {
    return asked && *asked ? asked : srv_snapshot_index_name(call->snapshot, 0);
}

bool srv_searching_open(srv_searching *s, srv_call *call, bool own) {
    const char *name = NULL;
    wn_error err;
    s->call = call;
    s->own = own;
    if (!srv_body_string(call, "index", &name)) return false;
    if (srv_snapshot_index(call->snapshot, name, &s->entry, &err) != WN_OK) {
        s->entry = NULL;
        return srv_call_failed(call, &err);
    }
    s->index_name = index_name(call, name);
    wn_status st = own ? wn_index_open(srv_index_path(s->entry), &s->index, &err)
                       : srv_index_borrow(s->entry, &s->index, &err);
    if (st != WN_OK) s->index = NULL;
    if (st == WN_OK) st = wn_index_describe(s->index, &s->info, &err);
    if (st != WN_OK) { /* the file is the server's affair, never the request's mistake */
        srv_respond_error(call->response, call->dialect, st == WN_ERR_BUSY ? 429 : 503, NULL, NULL,
                          "the index %s can't be read now", s->index_name);
        return false;
    }
    if (!find_embedder(s)) return false;
    srv_searching_connect(s);
    return true;
}

bool srv_searching_rerank(srv_searching *s, bool absent_ok) {
    const char *name = NULL;
    wn_error err;
    if (!srv_body_string(s->call, "reranker", &name)) return false;
    if (srv_snapshot_reranker(s->call->snapshot, name, &s->reranker, &err) != WN_OK) {
        s->reranker = NULL;
        if (!(absent_ok && (!name || !*name))) return srv_call_failed(s->call, &err);
    }
    srv_searching_connect(s);
    return true;
}

void srv_searching_close(srv_searching *s) {
    if (s->index) give_back(s);
}

json_t *srv_searching_timings(const srv_searching *s) {
    return json_pack("{s:o, s:o, s:o, s:I}", "queue_ms", rec_real(s->queue_ms), "compute_ms",
                     rec_real(s->compute_ms), "total_ms", rec_real(srv_now_ms() - s->call->begin_ms), "tokens",
                     (json_int_t)s->tokens);
}

/* ---- Options ------------------------------------------------------------------------ */

bool srv_body_first_stage(srv_searching *s, wn_first_stage *out) {
    int stage = *s->info.model_name ? WN_FIRST_DENSE : WN_FIRST_BM25;
    if (!srv_body_choice(s->call, "first_stage", REC_FIRST_STAGES, &stage)) return false;
    if (stage != WN_FIRST_BM25 && !*s->info.model_name)
        return srv_call_invalid(s->call, "first_stage",
                                "the index %s has no embeddings: its first stage is bm25", s->index_name);
    *out = (wn_first_stage)stage;
    return true;
}

bool srv_body_number(srv_call *call, const char *name, double lo, double hi, double *out, bool *given) {
    json_t *value = srv_body_field(call, name, NULL);
    if (given) *given = value != NULL;
    if (!value) return true;
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(number >= lo && number <= hi))
        return srv_call_invalid(call, name, "%s must be a number from %g to %g", name, lo, hi);
    *out = number;
    return true;
}

static bool check_depth(srv_call *call, const char *name, size_t value) {
    size_t most = srv_service_config(call->service)->max_documents;
    if (value <= most) return true;
    return srv_call_invalid(call, name, "%s is at most %zu here (--max-documents)", name, most);
}

bool srv_body_depths(srv_call *call, size_t *first_stage_k, size_t *k) {
    return srv_body_count(call, "first_stage_k", 1, first_stage_k) && srv_body_count(call, "k", 1, k) &&
           check_depth(call, "first_stage_k", *first_stage_k) && check_depth(call, "k", *k);
}

bool srv_body_blend(srv_searching *s, float *out) {
    double blend = (double)wn_model_blend(srv_searching_reranker(s), srv_searching_embedder(s));
    if (!srv_body_number(s->call, "blend", 0, 1e6, &blend, NULL)) return false;
    *out = (float)blend;
    return true;
}

/* ---- Filters --------------------------------------------------------------------------- */

void srv_filters_release(srv_filters *filters) {
    for (size_t i = 0; i < filters->n; i++) {
        free((void *)(uintptr_t)filters->items[i].key);
        free((void *)(uintptr_t)filters->items[i].value);
    }
    free(filters->items);
    *filters = (srv_filters){0};
}

static bool add_filter(srv_call *call, srv_filters *out, const char *key, size_t key_len, const char *value) {
    char *k = strndup(key, key_len), *v = strdup(value);
    if (!k || !v) {
        free(k);
        free(v);
        return srv_call_no_memory(call);
    }
    out->items[out->n++] = (wn_filter){k, v};
    return true;
}

/* A member's value as a user would type it: filters compare in that form. */
static bool add_member(srv_call *call, srv_filters *out, const char *key, const json_t *value) {
    char text[64];
    if (!*key) return srv_call_invalid(call, "where", "where has an empty key");
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        return add_filter(call, out, key, strlen(key), json_string_value(value));
    if (json_is_boolean(value)) return add_filter(call, out, key, strlen(key), json_is_true(value) ? "true" : "false");
    if (!json_is_number(value))
        return srv_call_invalid(call, "where", "where[\"%.100s\"] must be a string, a number, true or false", key);
    double number = json_number_value(value);
    bool whole = number == floor(number) && fabs(number) < 9e15; /* integers were read as reals */
    snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", number);
    return add_filter(call, out, key, strlen(key), text);
}

static bool add_pair(srv_call *call, srv_filters *out, const json_t *pair) {
    const char *text = json_string_value(pair), *equals = text ? strchr(text, '=') : NULL;
    if (!equals || equals == text || strlen(text) != json_string_length(pair))
        return srv_call_invalid(call, "where", "where wants {\"key\": \"value\"} or \"key=value\"");
    return add_filter(call, out, text, (size_t)(equals - text), equals + 1);
}

bool srv_body_filters(srv_call *call, srv_filters *out) {
    json_t *where = srv_body_field(call, "where|filters", NULL), *value;
    const char *key;
    size_t i, n = json_is_object(where) ? json_object_size(where) : json_is_array(where) ? json_array_size(where) : 1;
    if (!where) return true;
    if (n > 64) return srv_call_invalid(call, "where", "where has %zu filters; at most 64 are taken", n);
    out->items = calloc(n ? n : 1, sizeof *out->items);
    if (!out->items) return srv_call_no_memory(call);
    if (json_is_object(where)) {
        json_object_foreach(where, key, value)
            if (!add_member(call, out, key, value)) return false;
        return true;
    }
    if (!json_is_array(where)) return add_pair(call, out, where);
    json_array_foreach(where, i, value)
        if (!add_pair(call, out, value)) return false;
    return true;
}

/* ---- The query string ------------------------------------------------------------------- */

bool srv_call_take_query(srv_call *call, const char *name, const char *field) {
    const char *text = srv_request_query(call->request, name);
    if (!call->body) call->body = json_object();
    if (!call->body) return srv_call_no_memory(call);
    if (!text) return true;
    json_t *value = json_string(text);
    if (!value) return srv_call_invalid(call, name, "%s is not UTF-8", name);
    return json_object_set_new(call->body, field, value) == 0 || srv_call_no_memory(call);
}

/* ---- Bodies and answers ------------------------------------------------------------------ */

bool srv_call_read_exactly(srv_call *call) {
    json_error_t at;
    json_t *body = json_loadb(call->request->body, call->request->body_length, JSON_ALLOW_NUL, &at);
    if (!body) /* the only JSON that srv_call_begin took and this does not: integers over 64 bits */
        return srv_call_invalid(call, NULL, "the body holds a number that is too large (line %d, byte %d)", at.line,
                                at.position);
    json_decref(call->body);
    call->body = body;
    return true;
}

void srv_call_answer(srv_call *call, json_t *body) {
    srv_text text = {0};
    srv_text_json(&text, body);
    srv_text_send(&text, call);
}
