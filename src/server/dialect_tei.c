/* dialect_tei.c -- Text Embeddings Inference: /embed, /rerank (its half), /predict, /similarity,
 * /tokenize, /info.
 *
 * TEI serves one model; this server an embedder and rerankers, each path by the default one of its
 * kind (a body may name another in `model`). Bare arrays have no room for warnings, so what was cut is
 * told in the header X-Winnow-Truncated. Not here: /embed_all and /embed_sparse (the library pools
 * always and has no sparse head), /decode (no decoder). */
#include "dialects.h"
#include "embed_request.h"
#include "rerank_request.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Headers ------------------------------------------------------------------------- */

static void add_header(srv_call *call, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.0f", value);
    srv_respond_header(call->response, name, text);
}

/* Milliseconds, as TEI gives them. Its x-tokenization-time is part of our x-inference-time. */
static void add_headers(srv_call *call, const srv_texts *texts, uint64_t tokens, double queue_ms,
                        double compute_ms, size_t cut) {
    double characters = 0;
    for (size_t i = 0; i < texts->n; i++)
        for (size_t b = 0; b < texts->items[i].len; b++) characters += (texts->items[i].data[b] & 0xC0) != 0x80;
    srv_respond_header(call->response, "x-compute-type", "cpu");
    add_header(call, "x-compute-time", compute_ms);
    add_header(call, "x-compute-characters", characters);
    add_header(call, "x-compute-tokens", (double)tokens);
    add_header(call, "x-total-time", srv_now_ms() - call->begin_ms);
    add_header(call, "x-queue-time", queue_ms);
    add_header(call, "x-inference-time", compute_ms);
    if (cut) add_header(call, "X-Winnow-Truncated", (double)cut);
}

static void add_rerank_headers(srv_call *call, const srv_rerank *rerank) {
    add_headers(call, &rerank->documents, rerank->tokens, rerank->queue_ms, rerank->compute_ms, rerank->cut);
    size_t late = rerank->documents.n - rerank->done;
    if (late) add_header(call, "X-Winnow-Not-Reranked", (double)late);
}

/* ---- /embed ---------------------------------------------------------------------------- */

static void embed(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_embed embed = {0};
    bool normalize = true;
    json_t *asked = NULL;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_TEI) &&
        srv_embed_read(&call, &embed, "inputs|input|texts", false) &&
        srv_body_role(&call, "input_type", &embed.role) && srv_body_bool(&call, "normalize", &normalize)) {
        asked = srv_body_field(&call, "normalize", NULL);
        if (srv_embed_run(&call, &embed, asked ? normalize : 1)) {
            srv_text text = {0};
            srv_text_add(&text, "[", 1);
            for (size_t i = 0; i < embed.inputs.n; i++) {
                srv_text_next(&text);
                srv_text_embedding(&text, &embed, SRV_FORM_FLOAT, i);
            }
            srv_text_add(&text, "]", 1);
            add_headers(&call, &embed.inputs, embed.tokens, embed.queue_ms, embed.compute_ms, embed.cut);
            srv_text_send(&text, &call);
        }
    }
    srv_embed_release(&embed);
    srv_call_end(&call);
}

/* ---- /rerank ---------------------------------------------------------------------------- */

void srv_tei_rerank(srv_call *call) {
    srv_rerank rerank = {0};
    call->dialect = SRV_DIALECT_TEI;
    if (srv_rerank_read(call, &rerank) && srv_rerank_run(call, &rerank)) {
        json_t *body = json_array();
        for (size_t i = 0; i < rerank.count; i++) {
            const srv_ranked *ranked = &rerank.ranked[i];
            json_t *rank = json_pack("{s:I, s:o}", "index", (json_int_t)ranked->index, "score",
                                     srv_rerank_score(&rerank, ranked));
            const wn_str *text = &rerank.documents.items[ranked->index];
            if (rank && rerank.return_documents)
                json_object_set_new(rank, "text", json_stringn(text->data, text->len));
            if (rank && !ranked->reranked) json_object_set_new(rank, "reranked", json_false());
            json_array_append_new(body, rank);
        }
        add_rerank_headers(call, &rerank);
        srv_respond_json(call->response, 200, body);
    }
    srv_rerank_release(&rerank);
}

/* ---- /predict ---------------------------------------------------------------------------- */

/* inputs: ["query", "text"] is one pair, [["q","t"], ...] several. One text alone is refused: the models
 * served are pair scorers. */
static bool read_pair(srv_call *call, const json_t *pair, wn_str *query, wn_str *text) {
    const json_t *a = json_array_get(pair, 0), *b = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_string(a) || !json_is_string(b))
        return srv_call_invalid(call, "inputs", "inputs must be pairs of strings: this model scores pairs, "
                                                "not single texts");
    *query = (wn_str){json_string_value(a), json_string_length(a)};
    *text = (wn_str){json_string_value(b), json_string_length(b)};
    if (!query->len) return srv_call_empty(call, "inputs", "the first text of a pair must not be empty");
    return true;
}

/* The pairs of `inputs`; *nested: there may be several. Frees what it made when it fails. */
static bool read_pairs(srv_call *call, wn_str **queries, wn_str **texts, size_t *n, bool *nested) {
    const json_t *inputs = srv_body_field(call, "inputs", NULL);
    size_t limit = srv_service_config(call->service)->max_documents;
    if (!inputs) return srv_call_invalid(call, "inputs", "inputs is missing");
    *nested = json_is_array(json_array_get(inputs, 0));
    if (json_is_array(inputs) && !json_array_size(inputs))
        return srv_call_empty(call, "inputs", "inputs must not be empty");
    *n = *nested ? json_array_size(inputs) : 1;
    if (*n > limit) return srv_call_too_many(call, "inputs", *n, limit);
    *queries = calloc(*n, sizeof **queries);
    *texts = calloc(*n, sizeof **texts);
    bool good = (*queries && *texts) || srv_call_no_memory(call);
    for (size_t i = 0; good && i < *n; i++)
        good = read_pair(call, *nested ? json_array_get(inputs, i) : inputs, *queries + i, *texts + i);
    return good;
}

static json_t *prediction(double logit, bool raw) {
    double score = raw ? logit : 1 / (1 + exp(-logit));
    return json_pack("[{s:o, s:s}]", "score", isfinite(score) ? json_real(score) : json_null(), "label",
                     "LABEL_0");
}

static bool predict_pairs(srv_call *call, srv_work *work, bool raw, bool nested) {
    wn_error err;
    if (srv_batcher_run(srv_service_batcher(call->service), work, &err) != WN_OK)
        return srv_call_failed(call, &err);
    if (work->ndone < work->n) {
        srv_respond_error(call->response, call->dialect, 408, NULL, NULL,
                          "the deadline came after %zu of %zu pairs", work->ndone, work->n);
        return false;
    }
    size_t cut = 0;
    json_t *body = nested ? json_array() : prediction(work->scores[0].logit, raw);
    for (size_t i = 0; i < work->n; i++) {
        if (nested) json_array_append_new(body, prediction(work->scores[i].logit, raw));
        cut += work->scores[i].fit.tokens_dropped || work->scores[i].fit.query_dropped;
    }
    srv_texts texts = {.items = (wn_str *)work->texts, .n = work->n};
    add_headers(call, &texts, work->tokens, work->queue_ms, work->compute_ms, cut);
    srv_respond_json(call->response, 200, body);
    return true;
}

static void predict(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    wn_str *queries = NULL, *texts = NULL;
    wn_pair_score *scores = NULL;
    json_t *warning = NULL;
    bool raw = false, nested = false;
    srv_work work = {0};
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_TEI) &&
        read_pairs(&call, &queries, &texts, &work.n, &nested) && srv_body_bool(&call, "raw_scores", &raw) &&
        srv_body_length_policy(&call, &work.policy) &&
        srv_choose_model(&call, WN_MODEL_CROSS_ENCODER, &work.encoder, &warning)) {
        scores = calloc(work.n, sizeof *scores);
        work.queries = queries;
        work.texts = texts;
        work.client = request->client;
        work.gone = request->gone;
        work.deadline_ms = call.deadline_ms;
        work.scores = scores;
        if (!scores) srv_call_no_memory(&call);
        else predict_pairs(&call, &work, raw, nested);
    }
    json_decref(warning);
    free(queries);
    free(texts);
    free(scores);
    srv_call_end(&call);
}

/* ---- /similarity ---------------------------------------------------------------------------- */

/* {"inputs": {"source_sentence", "sentences"}, "parameters": {...}} becomes /embed's body: the source
 * first. */
static bool read_sentences(srv_call *call) {
    json_t *inputs = json_object_get(call->body, "inputs");
    json_t *source = json_object_get(inputs, "source_sentence");
    json_t *sentences = json_object_get(inputs, "sentences");
    json_t *parameters = json_object_get(call->body, "parameters");
    if (!json_is_string(source))
        return srv_call_invalid(call, "inputs", "inputs.source_sentence must be a string");
    if (!json_is_array(sentences))
        return srv_call_invalid(call, "inputs", "inputs.sentences must be an array of strings");
    if (!json_array_size(sentences))
        return srv_call_empty(call, "inputs", "inputs.sentences must not be empty");
    if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
        return srv_call_invalid(call, "parameters", "parameters must be an object");
    json_t *all = json_pack("[O]", source);
    if (!all || json_array_extend(all, sentences) != 0) {
        json_decref(all);
        return srv_call_no_memory(call);
    }
    if (json_is_object(parameters)) json_object_update_missing(call->body, parameters);
    json_object_set_new(call->body, "inputs", all);
    return true;
}

static void similarity(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_embed embed = {0};
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_TEI) && read_sentences(&call) &&
        srv_embed_read(&call, &embed, "inputs", false) && srv_embed_run(&call, &embed, 1)) {
        json_t *body = json_array();
        for (size_t i = 1; i < embed.inputs.n; i++) {
            double dot = 0;
            for (size_t d = 0; d < embed.width; d++)
                dot += (double)embed.vectors[d] * embed.vectors[i * embed.stride + d];
            json_array_append_new(body, isfinite(dot) ? json_real(dot) : json_null());
        }
        add_headers(&call, &embed.inputs, embed.tokens, embed.queue_ms, embed.compute_ms, embed.cut);
        srv_respond_json(response, 200, body);
    }
    srv_embed_release(&embed);
    srv_call_end(&call);
}

/* ---- /tokenize ---------------------------------------------------------------------------- */

/* Text, not a tree: a body of 2 MiB may be a million tokens, whose jansson objects would take a gigabyte. */
static void add_special_token(srv_text *out, const wn_tokenizer *tokenizer, int32_t id) {
    const char *text = wn_tokenizer_token(tokenizer, id);
    srv_text_next(out);
    srv_text_printf(out, "{\"id\":%d,\"text\":", (int)id);
    srv_text_string(out, text ? text : "", text ? strlen(text) : 0);
    srv_text_printf(out, ",\"special\":true,\"start\":null,\"stop\":null}");
}

static size_t count_characters(const char *bytes, size_t n) {
    size_t characters = 0;
    for (size_t i = 0; i < n; i++) characters += (bytes[i] & 0xC0) != 0x80;
    return characters;
}

/* Tokens of the text alone; start and stop count characters, as TEI's do. */
static void add_tokens(srv_text *out, wn_str text, const wn_encoding *raw) {
    const uint32_t *offsets = wn_encoding_offsets(raw);
    size_t byte = 0, character = 0; /* begins hardly ever fall back, so one pass counts */
    for (size_t i = 0; i < wn_encoding_length(raw); i++) {
        size_t begin = offsets[2 * i], end = offsets[2 * i + 1];
        if (begin < byte) byte = character = 0;
        character += count_characters(text.data + byte, begin - byte);
        byte = begin;
        size_t stop = character + count_characters(text.data + begin, end - begin);
        srv_text_next(out);
        srv_text_printf(out, "{\"id\":%d,\"text\":", (int)wn_encoding_ids(raw)[i]);
        srv_text_string(out, text.data + begin, end - begin);
        srv_text_printf(out, ",\"special\":false,\"start\":%zu,\"stop\":%zu}", character, stop);
    }
}

/* One text's array. Where its own ids lie among the template's tells which special tokens come first. */
static wn_status tokenize(const wn_tokenizer *tokenizer, wn_str text, bool add_special, wn_encoding *raw,
                          wn_encoding *whole, srv_text *out, wn_error *err) {
    wn_status st = wn_tokenizer_encode_raw(tokenizer, text, raw, err);
    if (st != WN_OK) return st;
    size_t n = wn_encoding_length(raw), special = 0, before = 0;
    if (add_special) {
        st = wn_tokenizer_join(tokenizer, wn_encoding_ids(raw), n, NULL, 0, false, 0, WN_TRUNCATE_NONE, whole, err);
        if (st != WN_OK) return st;
        special = wn_encoding_length(whole) - n;
        while (before < special && n &&
               memcmp(wn_encoding_ids(whole) + before, wn_encoding_ids(raw), n * sizeof(int32_t)) != 0)
            before++;
    }
    srv_text_next(out);
    srv_text_add(out, "[", 1);
    for (size_t i = 0; i < before; i++) add_special_token(out, tokenizer, wn_encoding_ids(whole)[i]);
    add_tokens(out, text, raw);
    for (size_t i = before; i < special; i++) add_special_token(out, tokenizer, wn_encoding_ids(whole)[n + i]);
    srv_text_add(out, "]", 1);
    return WN_OK;
}

/* The tokenizer asked for: `model` names it; else the embedder's, else the reranker's. */
const wn_tokenizer *srv_choose_tokenizer(srv_call *call) {
    srv_encoder *encoder = NULL;
    const char *name = NULL;
    wn_error err;
    if (!srv_body_string(call, "model", &name)) return NULL;
    if (srv_snapshot_embedder(call->snapshot, name, &encoder, &err) != WN_OK &&
        srv_snapshot_reranker(call->snapshot, name, &encoder, &err) != WN_OK &&
        srv_snapshot_embedder(call->snapshot, NULL, &encoder, &err) != WN_OK &&
        srv_snapshot_reranker(call->snapshot, NULL, &encoder, &err) != WN_OK) {
        srv_call_failed(call, &err);
        return NULL;
    }
    return wn_model_tokenizer(srv_encoder_model(encoder));
}

void srv_tei_tokenize(srv_call *call) {
    srv_texts inputs = {0};
    srv_text text = {0};
    wn_encoding *raw = NULL, *whole = NULL;
    bool add_special = true;
    wn_error err;
    const wn_tokenizer *tokenizer = srv_choose_tokenizer(call);
    if (tokenizer && srv_body_inputs(call, "inputs|input|texts", tokenizer, true, &inputs) &&
        srv_body_bool(call, "add_special_tokens", &add_special)) {
        wn_status st = wn_encoding_create(&raw, &err);
        if (st == WN_OK) st = wn_encoding_create(&whole, &err);
        srv_text_add(&text, "[", 1);
        for (size_t i = 0; st == WN_OK && i < inputs.n; i++)
            st = tokenize(tokenizer, inputs.items[i], add_special, raw, whole, &text, &err);
        srv_text_add(&text, "]", 1);
        if (st == WN_OK) srv_text_send(&text, call);
        else srv_call_failed(call, &err);
    }
    srv_text_release(&text);
    wn_encoding_free(raw);
    wn_encoding_free(whole);
    srv_texts_release(&inputs);
}

/* ---- /info ---------------------------------------------------------------------------------- */

static json_t *model_type_of(const wn_model_info *info) {
    if (info->kind == WN_MODEL_CROSS_ENCODER)
        return json_pack("{s:{s:{s:s}, s:{s:i}}}", "reranker", "id2label", "0", "LABEL_0", "label2id",
                         "LABEL_0", 0);
    return json_pack("{s:{s:s}}", "embedding", "pooling", info->pooling == WN_POOL_CLS ? "cls" : "mean");
}

/* TEI tells of one model: the embedder, else the reranker; ?model=NAME asks for another. */
static void info(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_encoder *encoder = NULL;
    wn_error err;
    const char *name = srv_request_query(request, "model");
    if (!srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_TEI)) goto done;
    if (srv_snapshot_embedder(call.snapshot, name, &encoder, &err) != WN_OK &&
        srv_snapshot_reranker(call.snapshot, name, &encoder, &err) != WN_OK) {
        srv_call_failed(&call, &err);
        goto done;
    }
    wn_model_info model = srv_encoder_describe(encoder);
    const srv_config *config = srv_service_config(service);
    json_t *body = json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:n, s:I, s:b, s:i, s:s, s:n, s:n}", "model_id", model.name,
        "model_sha", model.weights_hash, "model_dtype", wn_precision_name(model.precision), "model_type",
        model_type_of(&model), "max_concurrent_requests", (json_int_t)config->max_concurrent,
        "max_input_length", (json_int_t)model.max_length, "max_batch_tokens",
        (json_int_t)config->max_batch_tokens, "max_batch_requests", "max_client_batch_size",
        (json_int_t)config->max_documents, "auto_truncate", config->length_policy == WN_LENGTH_TRUNCATE,
        "tokenization_workers", 1, "version", wn_version(), "sha", "docker_label");
    if (body) srv_respond_json(response, 200, body);
    else srv_call_no_memory(&call);
done:
    srv_call_end(&call);
}

const srv_route srv_tei_routes[] = {
    {"POST", "/embed", SRV_DIALECT_TEI, embed, 0},
    {"POST", "/predict", SRV_DIALECT_TEI, predict, 0},
    {"POST", "/similarity", SRV_DIALECT_TEI, similarity, 0},
    {"GET", "/info", SRV_DIALECT_TEI, info, 0},
    {NULL, NULL, SRV_DIALECT_TEI, NULL, 0},
};
