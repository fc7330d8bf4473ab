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

wn_embedder wn_embedder_of_bi_encoder(wn_bi_encoder *encoder) {
    wn_model_info info = wn_model_describe(wn_bi_encoder_model(encoder));
    return (wn_embedder){.ctx = encoder, .dim = wn_bi_encoder_dim(encoder), .name = info.name,
                         .hash = info.weights_hash, .path = info.path,
                         .query_prompt = info.query_prompt, .document_prompt = info.document_prompt,
                         .pooling = info.pooling, .normalize = info.normalize,
                         .max_length = info.max_length, .embed = embed};
}

wn_status wn_index_check_model(wn_index *index, const wn_model *model, wn_error *err) {
    if (!model) return wn_fail(err, WN_ERR_ARGUMENT, "no model is given");
    wn_model_info info = wn_model_describe(model);
    /* Borrowed strings: this identity is only compared. */
    wn_identity wanted = {
        .model_name = (char *)(uintptr_t)info.name, .model_hash = (char *)(uintptr_t)info.weights_hash,
        .document_prompt = (char *)(uintptr_t)info.document_prompt,
        .dim = (int64_t)info.hidden, .model_max_length = (int64_t)info.max_length,
        .pooling = info.pooling, .normalize = info.normalize};
    return wn_identity_check_model(index->database.path, &index->identity, &wanted, err);
}
