/* bi_encoder.c -- texts to embeddings, and cosine as a score.
 *
 * Follows sentence-transformers: the prompt is put in front of the text before
 * tokenising, the whole is cut at max_seq_length, pooling and normalisation are the
 * model's. A score is always the cosine, also for a model that does not normalise.
 *
 * Texts are tokenised into one packed batch until BATCH_TOKENS are together, then
 * encoded. The batch bounds memory; it never changes a result. */
#include "core/error.h"
#include "model/model.h"
#include "model/packing.h"

#include <math.h>
#include <string.h>

enum { BATCH_TOKENS = 16384, DEFAULT_BATCH = 32 };

struct wn_bi_encoder {
    const wn_model *model;
    wn_session *session;
    wn_encoding *encoding;
    wn_packing packing;
    wn_buf prompted;             /* prompt + text */
    float *query, *documents;    /* [dim], [batch, dim]: for scores */
    size_t query_cap, documents_cap;
};

wn_status wn_bi_encoder_create(const wn_model *model, int threads, wn_bi_encoder **out,
                               wn_error *err) {
    if (model->config.kind != WN_MODEL_BI_ENCODER)
        return wn_fail(err, WN_ERR_MISMATCH, "%s is a cross-encoder (%s); a bi-encoder is needed here",
                       model->path, model->config.architecture);
    wn_status st = WN_OK;
    wn_bi_encoder *encoder = wn_calloc(1, sizeof *encoder);
    if (!encoder) return wn_fail_memory(err, sizeof *encoder);
    encoder->model = model;
    WN_TRY_GOTO(wn_encoding_create(&encoder->encoding, err));
    WN_TRY_GOTO(wn_session_create(model->encoder, threads, &encoder->session, err));
    *out = encoder;
    return WN_OK;
fail:
    wn_bi_encoder_free(encoder);
    return st;
}

void wn_bi_encoder_free(wn_bi_encoder *encoder) {
    if (!encoder) return;
    wn_session_free(encoder->session);
    wn_encoding_free(encoder->encoding);
    wn_packing_release(&encoder->packing);
    wn_buf_release(&encoder->prompted);
    wn_free(encoder->query);
    wn_free(encoder->documents);
    wn_free(encoder);
}

const wn_model *wn_bi_encoder_model(const wn_bi_encoder *encoder) { return encoder->model; }

size_t wn_bi_encoder_dim(const wn_bi_encoder *encoder) { return encoder->model->config.hidden; }

/* Tokenises one text into the batch and says how it fitted. */
static wn_status add_text(wn_bi_encoder *encoder, wn_str text, const char *prompt,
                          wn_length_policy policy, wn_fit *fit, wn_error *err) {
    if (*prompt) {
        wn_buf_clear(&encoder->prompted);
        WN_TRY(wn_buf_append(&encoder->prompted, prompt, strlen(prompt), err));
        WN_TRY(wn_buf_append(&encoder->prompted, text.data, text.len, err));
        text = (wn_str){encoder->prompted.data, encoder->prompted.len};
    }
    const wn_model *model = encoder->model;
    WN_TRY(wn_tokenizer_encode(model->tokenizer, text, NULL, model->max_length,
                               WN_TRUNCATE_LONGEST_FIRST, encoder->encoding, err));
    size_t dropped = wn_encoding_dropped_first(encoder->encoding);
    if (dropped && policy == WN_LENGTH_ERROR)
        return wn_fail(err, WN_ERR_TOO_LONG,
                       "text has %zu tokens more than the %zu that %s reads; shorten it or choose "
                       "the policy truncate",
                       dropped, model->max_length, model->name);
    if (fit)
        *fit = (wn_fit){
            .tokens_seen = (uint32_t)(wn_encoding_length(encoder->encoding) -
                                      wn_tokenizer_special_count(model->tokenizer, false)),
            .tokens_dropped = (uint32_t)dropped,
            .window_begin = 0,
            .window_end = (uint32_t)(text.len > UINT32_MAX ? UINT32_MAX : text.len),
        };
    return wn_packing_add(&encoder->packing, encoder->encoding, err);
}

static wn_status embed(wn_bi_encoder *encoder, const wn_str *texts, size_t n, const char *prompt,
                       wn_length_policy policy, float *out, wn_fit *fits, wn_error *err) {
    size_t dim = wn_bi_encoder_dim(encoder);
    wn_packing *packing = &encoder->packing;
    wn_packing_clear(packing);
    size_t first = 0; /* text that the batch begins with */
    for (size_t i = 0; i < n; i++) {
        WN_TRY(add_text(encoder, texts[i], prompt, policy, fits ? &fits[i] : NULL, err));
        if (packing->tokens < BATCH_TOKENS && i + 1 < n) continue;
        wn_packed batch = wn_packing_view(packing);
        WN_TRY(wn_session_embed(encoder->session, &batch, out + first * dim, err));
        wn_packing_clear(packing);
        first = i + 1;
    }
    return WN_OK;
}

static const char *role_prompt(const wn_model *model, wn_role role) {
    wn_model_info info = wn_model_describe(model);
    if (role == WN_ROLE_QUERY) return info.query_prompt;
    if (role == WN_ROLE_DOCUMENT) return info.document_prompt;
    return "";
}

wn_status wn_bi_encoder_embed(wn_bi_encoder *encoder, const wn_str *texts, size_t n, wn_role role,
                              wn_length_policy policy, float *out, wn_fit *fits, wn_error *err) {
    return embed(encoder, texts, n, role_prompt(encoder->model, role), policy, out, fits, err);
}

static wn_status unknown_prompt(const wn_model *model, const char *name, wn_error *err) {
    wn_buf known = {0};
    for (size_t i = 0; i < model->config.nprompts; i++)
        WN_TRY(wn_buf_printf(&known, err, "%s\"%s\"", i ? ", " : "", model->config.prompts[i].name));
    wn_status st = wn_fail(err, WN_ERR_ARGUMENT, "%s has no prompt named \"%s\"; it has: %s",
                           model->name, name, known.len ? known.data : "none");
    wn_buf_release(&known);
    return st;
}

wn_status wn_bi_encoder_embed_named(wn_bi_encoder *encoder, const wn_str *texts, size_t n,
                                    const char *prompt_name, wn_length_policy policy, float *out,
                                    wn_fit *fits, wn_error *err) {
    const wn_model_config *config = &encoder->model->config;
    if (!prompt_name) return embed(encoder, texts, n, "", policy, out, fits, err);
    for (size_t i = 0; i < config->nprompts; i++)
        if (strcmp(config->prompts[i].name, prompt_name) == 0)
            return embed(encoder, texts, n, config->prompts[i].text, policy, out, fits, err);
    return unknown_prompt(encoder->model, prompt_name, err);
}

/* In double: the sum over 1,024 products must not cost digits of the score. */
float wn_cosine(const float *a, const float *b, size_t dim) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < dim; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? (float)(ab / sqrt(aa * bb)) : 0.0f;
}

wn_status wn_bi_encoder_score_batch(wn_bi_encoder *encoder, wn_str query, const wn_str *documents,
                                    size_t n, size_t batch_size, float *scores, wn_error *err) {
    size_t dim = wn_bi_encoder_dim(encoder);
    if (!batch_size) batch_size = DEFAULT_BATCH;
    if (batch_size > n) batch_size = n;
    size_t floats;
    if (wn_mul_overflows(batch_size, dim, &floats)) return wn_fail_memory(err, SIZE_MAX);
    WN_TRY(wn_grow(&encoder->query, &encoder->query_cap, dim, sizeof(float), err));
    WN_TRY(wn_grow(&encoder->documents, &encoder->documents_cap, floats, sizeof(float), err));
    WN_TRY(wn_bi_encoder_embed(encoder, &query, 1, WN_ROLE_QUERY, WN_LENGTH_TRUNCATE,
                               encoder->query, NULL, err));
    for (size_t done = 0; done < n;) {
        size_t count = n - done < batch_size ? n - done : batch_size;
        WN_TRY(wn_bi_encoder_embed(encoder, documents + done, count, WN_ROLE_DOCUMENT,
                                   WN_LENGTH_TRUNCATE, encoder->documents, NULL, err));
        for (size_t i = 0; i < count; i++)
            scores[done + i] = wn_cosine(encoder->query, encoder->documents + i * dim, dim);
        done += count;
    }
    return WN_OK;
}

wn_status wn_bi_encoder_score(wn_bi_encoder *encoder, wn_str query, wn_str document, float *score,
                              wn_error *err) {
    return wn_bi_encoder_score_batch(encoder, query, &document, 1, 1, score, err);
}
