/* embedder.h -- what a build needs of a bi-encoder, and nothing more.
 *
 * The one seam between the index and the models: production wraps wn_bi_encoder
 * (bi_encoder_embedder.c); tests pass a function of a text's hash, so that crashes, bad
 * models and slow models can be had at will. */
#ifndef WN_INDEX_EMBEDDER_H
#define WN_INDEX_EMBEDDER_H

#include <winnow/model.h>

typedef struct wn_embedder {
    void *ctx;
    size_t dim;
    /* The identity that the index keeps and compares. */
    const char *name, *hash, *path, *query_prompt, *document_prompt;
    wn_pooling pooling;
    bool normalize;
    size_t max_length;
    /* Documents to out [n, dim]; fits [n] says what was cut. */
    wn_status (*embed)(void *ctx, const wn_str *texts, size_t n, float *out, wn_fit *fits,
                       wn_error *err);
} wn_embedder;

/* Borrows the encoder and its model's strings. */
wn_embedder wn_embedder_of_bi_encoder(wn_bi_encoder *encoder);
/* Of scorers that have an embedder; borrows them. */
wn_embedder wn_embedder_of_scorers(const wn_scorers *scorers);
/* Whether an index of this identity may hold its embeddings: as wn_index_check_model. */
struct wn_identity;
wn_status wn_embedder_check(const char *path, const struct wn_identity *stored, const wn_embedder *embedder,
                            wn_error *err);

#endif
