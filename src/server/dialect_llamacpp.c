/* dialect_llamacpp.c -- what llama.cpp's server has beyond OpenAI's paths: /tokenize, /embedding(s),
 * /props. Its rerank paths are in dialect_rerank.c.
 *
 * Two paths are shared. /tokenize: `content` is llama.cpp's, else TEI's. /embeddings: `content` is
 * llama.cpp's array, `input` OpenAI's reply, for OpenAI clients whose base URL lacks /v1. */
#include "dialects.h"
#include "embed_request.h"

#include <string.h>

static void reply_embeddings(srv_call *call, const srv_embed *embed) {
    srv_text text = {0};
    srv_text_add(&text, "[", 1);
    for (size_t i = 0; i < embed->inputs.n; i++) {
        srv_text_next(&text);
        srv_text_printf(&text, "{\"index\":%zu,\"embedding\":[", i);
        srv_text_embedding(&text, embed, SRV_FORM_FLOAT, i);
        srv_text_add(&text, "]}", 2);
    }
    srv_text_add(&text, "]", 1);
    srv_text_send(&text, call);
}

static void embed(srv_call *call) {
    srv_embed embed = {0};
    call->dialect = SRV_DIALECT_LLAMACPP;
    if (srv_embed_read(call, &embed, "content|input", false) && srv_embed_run(call, &embed, -1))
        reply_embeddings(call, &embed);
    srv_embed_release(&embed);
}

static void embedding(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_LLAMACPP)) embed(&call);
    srv_call_end(&call);
}

static void embeddings(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OPENAI)) {
        if (srv_body_field(&call, "content", NULL)) embed(&call);
        else srv_openai_embeddings_of(&call);
    }
    srv_call_end(&call);
}

/* ---- /tokenize --------------------------------------------------------------------------- */

static void reply_tokens(srv_call *call, const wn_tokenizer *tokenizer, const wn_encoding *encoding,
                         bool with_pieces) {
    srv_text text = {0};
    srv_text_printf(&text, "{\"tokens\":[");
    for (size_t i = 0; i < wn_encoding_length(encoding); i++) {
        int id = (int)wn_encoding_ids(encoding)[i];
        const char *piece = wn_tokenizer_token(tokenizer, id);
        srv_text_next(&text);
        srv_text_printf(&text, with_pieces ? "{\"id\":%d,\"piece\":" : "%d", id);
        if (!with_pieces) continue;
        srv_text_string(&text, piece ? piece : "", piece ? strlen(piece) : 0);
        srv_text_add(&text, "}", 1);
    }
    srv_text_add(&text, "]}", 2);
    srv_text_send(&text, call);
}

/* {"tokens": [ids]}, or with_pieces [{"id", "piece"}]; no special tokens unless add_special. */
static void tokenize(srv_call *call, const json_t *content) {
    wn_encoding *encoding = NULL;
    bool add_special = false, with_pieces = false;
    wn_error err;
    const wn_tokenizer *tokenizer = srv_choose_tokenizer(call);
    if (!tokenizer) return;
    if (!json_is_string(content)) {
        srv_call_invalid(call, "content", "content must be a string");
        return;
    }
    if (!srv_body_bool(call, "add_special", &add_special) ||
        !srv_body_bool(call, "with_pieces", &with_pieces))
        return;
    wn_str text = {json_string_value(content), json_string_length(content)};
    wn_status st = wn_encoding_create(&encoding, &err);
    if (st == WN_OK)
        st = add_special ? wn_tokenizer_encode(tokenizer, text, NULL, 0, WN_TRUNCATE_NONE, encoding, &err)
                         : wn_tokenizer_encode_raw(tokenizer, text, encoding, &err);
    if (st == WN_OK) reply_tokens(call, tokenizer, encoding, with_pieces);
    else srv_call_failed(call, &err);
    wn_encoding_free(encoding);
}

static void tokenize_either(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_TEI)) {
        const json_t *content = srv_body_field(&call, "content", NULL);
        if (content) call.dialect = SRV_DIALECT_LLAMACPP;
        if (content) tokenize(&call, content);
        else srv_tei_tokenize(&call);
    }
    srv_call_end(&call);
}

/* ---- /props -------------------------------------------------------------------------------- */

/* What clients read to learn the context length and the model's name. */
static void props(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_encoder *encoder = NULL;
    wn_error err;
    if (!srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_LLAMACPP)) goto done;
    if (srv_snapshot_embedder(call.snapshot, NULL, &encoder, &err) != WN_OK &&
        srv_snapshot_reranker(call.snapshot, NULL, &encoder, &err) != WN_OK) {
        srv_call_failed(&call, &err);
        goto done;
    }
    wn_model_info model = srv_encoder_describe(encoder);
    json_t *body = json_pack("{s:{s:I}, s:I, s:s, s:s}", "default_generation_settings", "n_ctx",
                             (json_int_t)model.max_length, "total_slots",
                             (json_int_t)srv_service_config(service)->max_concurrent, "model_path", model.name,
                             "build_info", wn_version());
    if (body) srv_respond_json(response, 200, body);
    else srv_call_no_memory(&call);
done:
    srv_call_end(&call);
}

const srv_route srv_llamacpp_routes[] = {
    {"POST", "/embedding", SRV_DIALECT_LLAMACPP, embedding, 0},
    {"POST", "/embeddings", SRV_DIALECT_OPENAI, embeddings, 0},
    {"POST", "/tokenize", SRV_DIALECT_TEI, tokenize_either, 0},
    {"GET", "/props", SRV_DIALECT_LLAMACPP, props, 0},
    {NULL, NULL, SRV_DIALECT_LLAMACPP, NULL, 0},
};
