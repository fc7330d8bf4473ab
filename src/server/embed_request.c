/* embed_request.c -- see embed_request.h.
 *
 * `dimensions` takes the first components and normalises again: what Matryoshka models are trained
 * for, and what OpenAI, Jina and TEI do. Any model takes it; only such a model keeps its quality.
 * A deadline that comes before all texts are embedded is 408: half an answer would be no answer. */
#include "embed_request.h"
#include "text_cut.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool srv_body_role(srv_call *call, const char *names, wn_role *out) {
    const char *name = NULL;
    if (!srv_body_string(call, names, &name)) return false;
    if (!name) return true;
    static const char *const QUERY[] = {"query", "search_query", "retrieval.query", NULL};
    static const char *const DOCUMENT[] = {"document", "passage", "search_document",
                                           "retrieval.passage", "retrieval.document", NULL};
    *out = WN_ROLE_NONE;
    for (size_t i = 0; QUERY[i]; i++)
        if (strcmp(name, QUERY[i]) == 0) *out = WN_ROLE_QUERY;
    for (size_t i = 0; DOCUMENT[i]; i++)
        if (strcmp(name, DOCUMENT[i]) == 0) *out = WN_ROLE_DOCUMENT;
    return true;
}

bool srv_embed_read(srv_call *call, srv_embed *embed, const char *input_names, bool empty_allowed) {
    json_t *warning = NULL;
    embed->warnings = json_array();
    if (!embed->warnings) return srv_call_no_memory(call);
    if (!srv_choose_model(call, WN_MODEL_BI_ENCODER, &embed->encoder, &warning)) return false;
    if (warning) json_array_append_new(embed->warnings, warning);
    wn_model_info info = srv_encoder_describe(embed->encoder);
    embed->model = info.name;
    embed->stride = info.hidden;
    if (!srv_body_inputs(call, input_names, wn_model_tokenizer(srv_encoder_model(embed->encoder)),
                          empty_allowed, &embed->inputs) ||
        !srv_body_count(call, "dimensions|output_dimension", 1, &embed->dimensions) ||
        !srv_body_cut_left(call, &embed->cut_left) ||
        !srv_body_string(call, "prompt_name", &embed->prompt_name) ||
        !srv_body_length_policy(call, &embed->policy))
        return false;
    if (embed->dimensions > embed->stride)
        return srv_call_invalid(call, "dimensions", "dimensions must be at most %zu with this model",
                                embed->stride);
    return true;
}

/* ---- Truncation from the left ------------------------------------------------------------ */

static wn_status cut_left(srv_embed *embed, size_t *ncut, wn_error *err) {
    wn_model_info info = srv_encoder_describe(embed->encoder);
    const wn_tokenizer *tokenizer = wn_model_tokenizer(srv_encoder_model(embed->encoder));
    const char *prompt = embed->role == WN_ROLE_QUERY      ? info.query_prompt
                         : embed->role == WN_ROLE_DOCUMENT ? info.document_prompt
                                                           : "";
    wn_encoding *encoding = NULL;
    wn_status st = wn_encoding_create(&encoding, err);
    if (st == WN_OK)
        st = wn_tokenizer_encode_raw(tokenizer, (wn_str){prompt, strlen(prompt)}, encoding, err);
    if (st == WN_OK) {
        size_t used = wn_encoding_length(encoding) + wn_tokenizer_special_count(tokenizer, false);
        size_t room = used < info.max_length ? info.max_length - used : 1;
        for (size_t i = 0; st == WN_OK && i < embed->inputs.n; i++) {
            size_t dropped;
            st = srv_text_cut(tokenizer, encoding, room, true, &embed->inputs.items[i], &dropped, err);
            *ncut += st == WN_OK && dropped > 0;
        }
    }
    wn_encoding_free(encoding);
    return st;
}

/* ---- The vectors -------------------------------------------------------------------------- */

static void normalize_rows(srv_embed *embed) {
    for (size_t i = 0; i < embed->inputs.n; i++) {
        float *row = embed->vectors + i * embed->stride;
        double square = 0;
        for (size_t d = 0; d < embed->width; d++) square += (double)row[d] * row[d];
        double scale = square > 0 ? 1 / sqrt(square) : 1;
        for (size_t d = 0; d < embed->width; d++) row[d] = (float)(row[d] * scale);
    }
}

static bool compute(srv_call *call, srv_embed *embed, wn_fit *fits) {
    size_t n = embed->inputs.n, cut_before = 0;
    wn_error err;
    if (embed->cut_left && embed->policy == WN_LENGTH_TRUNCATE) {
        if (embed->prompt_name)
            return srv_call_invalid(call, "truncation_direction",
                                    "truncation from the left does not go together with prompt_name");
        if (cut_left(embed, &cut_before, &err) != WN_OK) return srv_call_failed(call, &err);
    }
    srv_work work = {.encoder = embed->encoder, .texts = embed->inputs.items, .n = n,
                     .role = embed->role, .prompt_name = embed->prompt_name, .policy = embed->policy,
                     .client = call->request->client, .gone = call->request->gone,
                     .deadline_ms = call->deadline_ms, .embeddings = embed->vectors, .fits = fits};
    if (srv_batcher_run(srv_service_batcher(call->service), &work, &err) != WN_OK)
        return srv_call_failed(call, &err);
    if (work.ndone < n) {
        srv_respond_error(call->response, call->dialect, 408, NULL, NULL,
                          "the deadline came after %zu of %zu texts", work.ndone, n);
        return false;
    }
    embed->tokens = work.tokens;
    embed->queue_ms = work.queue_ms;
    embed->compute_ms = work.compute_ms;
    embed->cut = cut_before;
    for (size_t i = 0; i < n; i++) embed->cut += fits[i].tokens_dropped > 0;
    return true;
}

bool srv_embed_run(srv_call *call, srv_embed *embed, int normalize) {
    size_t n = embed->inputs.n;
    bool unit = srv_encoder_describe(embed->encoder).normalize;
    if (unit && normalize == 0)
        return srv_call_invalid(call, "normalize", "this model's own files normalise: its vectors can't be "
                                                   "had otherwise; leave normalize out");
    embed->vectors = calloc(n, embed->stride * sizeof(float));
    wn_fit *fits = calloc(n, sizeof *fits);
    bool good = embed->vectors && fits ? compute(call, embed, fits) : srv_call_no_memory(call);
    free(fits);
    if (!good) return false;
    bool shortened = embed->dimensions && embed->dimensions < embed->stride;
    embed->width = shortened ? embed->dimensions : embed->stride;
    if (shortened ? normalize != 0 : normalize == 1 && !unit) normalize_rows(embed);
    if (embed->cut)
        json_array_append_new(embed->warnings,
                              json_sprintf("%zu of %zu texts were cut to the %zu tokens that the model reads",
                                           embed->cut, n, srv_encoder_describe(embed->encoder).max_length));
    return true;
}

void srv_embed_release(srv_embed *embed) {
    srv_texts_release(&embed->inputs);
    free(embed->vectors);
    json_decref(embed->warnings);
    embed->vectors = NULL;
    embed->warnings = NULL;
}

void srv_text_embedding(srv_text *text, const srv_embed *embed, srv_vector_form form, size_t i) {
    srv_text_vector(text, form, embed->vectors + i * embed->stride, embed->width);
}
