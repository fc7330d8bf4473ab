/* bi_encoder_embedder.c -- the real model behind wn_embedder, and the index's check of a model.
 *
 * The only file of this room that knows the models' calls. */
#include "core/error.h"
#include "index/embedder.h"
#include "index/index_handle.h"

#include <string.h>

/* Passages longer than the model reads are cut, and counted in tokens_dropped. */
static wn_status embed(void *ctx, const wn_str *texts, size_t n, float *out, wn_fit *fits,
                       wn_error *err) {
    return wn_bi_encoder_embed(ctx, texts, n, WN_ROLE_DOCUMENT, WN_LENGTH_TRUNCATE, out, fits, err);
}

static wn_embedder describe(const wn_model *model) {
    wn_model_info info = wn_model_describe(model);
    return (wn_embedder){.dim = info.hidden, .name = info.name,
                         .hash = info.weights_hash, .path = info.path,
                         .query_prompt = info.query_prompt, .document_prompt = info.document_prompt,
                         .pooling = info.pooling, .normalize = info.normalize,
                         .max_length = info.max_length};
}

wn_embedder wn_embedder_of_bi_encoder(wn_bi_encoder *encoder) {
    wn_embedder embedder = describe(wn_bi_encoder_model(encoder));
    embedder.ctx = encoder;
    embedder.embed = embed;
    return embedder;
}

static wn_status embed_by_call(void *ctx, const wn_str *texts, size_t n, float *out, wn_fit *fits,
                               wn_error *err) {
    const wn_scorers *scorers = ctx;
    return scorers->embed(scorers->embed_ctx, texts, n, WN_ROLE_DOCUMENT, WN_LENGTH_TRUNCATE, out, fits, err);
}

wn_embedder wn_embedder_of_scorers(const wn_scorers *scorers) {
    wn_embedder embedder = describe(scorers->embedder);
    embedder.ctx = (void *)(uintptr_t)scorers;
    embedder.embed = embed_by_call;
    return embedder;
}

wn_status wn_embedder_check(const char *path, const wn_identity *stored, const wn_embedder *e,
                            wn_error *err) {
    /* Borrowed strings: this identity is only compared. */
    wn_identity wanted = {
        .model_name = (char *)(uintptr_t)e->name, .model_hash = (char *)(uintptr_t)e->hash,
        .document_prompt = (char *)(uintptr_t)e->document_prompt,
        .dim = (int64_t)e->dim, .model_max_length = (int64_t)e->max_length,
        .pooling = e->pooling, .normalize = e->normalize};
    return wn_identity_check_model(path, stored, &wanted, err);
}

wn_status wn_index_check_model(wn_index *index, const wn_model *model, wn_error *err) {
    if (!model) return wn_fail(err, WN_ERR_ARGUMENT, "no model is given");
    wn_embedder embedder = describe(model);
    return wn_embedder_check(index->database.path, &index->identity, &embedder, err);
}
