/* model.h -- what the scorers see of an open model. Immutable after wn_model_open. */
#ifndef WN_MODEL_MODEL_H
#define WN_MODEL_MODEL_H
#include "model/config.h"
#include "model/encoder.h"
#include "model/model_blend.h"
#include "model/weights.h"
#include <winnow/model.h>

struct wn_model {
    char *name, *path;
    wn_model_config config;
    wn_weights *weights;     /* stay open: the word embeddings are read in place */
    wn_encoder *encoder;
    wn_tokenizer *tokenizer;
    size_t max_length;       /* tokens read, special tokens included */
    char hash[33];
    wn_blends blends;        /* what a reranker recommends */
    double open_ms, tokenizer_ms, hash_ms, pack_ms; /* what opening took */
};

/* bi_encoder.c: of two embeddings, whatever their lengths. */
float wn_cosine(const float *a, const float *b, size_t dim);
#endif
