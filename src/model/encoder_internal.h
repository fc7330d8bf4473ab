/* encoder_internal.h -- an encoder's weights as its sessions read them. */
#ifndef WN_MODEL_ENCODER_INTERNAL_H
#define WN_MODEL_ENCODER_INTERNAL_H
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "model/encoder.h"

typedef struct wn_norm {
    const float *gamma, *beta; /* [hidden] each */
} wn_norm;

typedef struct wn_layer {
    /* Query, key and value in one product, or, where the last layer answers for the first token alone,
     * the query apart: then qkv is NULL and q and kv are set. */
    wn_linear *qkv;            /* [3 hidden, hidden] */
    wn_linear *q, *kv;         /* [hidden, hidden], [2 hidden, hidden] */
    wn_linear *attention_out;  /* [hidden, hidden] */
    wn_linear *ffn_in;         /* [intermediate, hidden], GELU */
    wn_linear *ffn_out;        /* [hidden, intermediate] */
    wn_norm attention_norm, ffn_norm;
} wn_layer;

enum { WN_LAYER_LINEARS = 6 };

struct wn_encoder {
    wn_model_config config;    /* strings and prompts are not copied: NULL */
    const wn_kernels *kernels;
    size_t head_dim;
    wn_precision precision;    /* of the layers */
    bool first_token_only;     /* nothing but the first token's last state is ever wanted */
    wn_layer *layers;          /* [config.layers] */
    /* Embeddings. Words stay in the file's own type, borrowed from its mapping. */
    wn_tensor words;           /* [vocab, hidden] f32, f16 or bf16, any alignment */
    const float *places;       /* [type_vocab][max_positions][hidden]: type + position */
    wn_norm embedding_norm;
    /* Head of a cross-encoder, else NULL. */
    wn_linear *head_dense;     /* pooler or classifier.dense, then tanh; NULL where there is none */
    const float *classifier;   /* [labels, hidden] */
    const float *classifier_bias; /* [labels] */
    float *vectors;            /* memory of all of the small arrays above */
    size_t vectors_used, vectors_size;
    uint64_t parameters;
};

/* All linears of the encoder into out, at most layers x WN_LAYER_LINEARS + 1; returns how many. */
size_t wn_encoder_linears(const wn_encoder *encoder, const wn_linear **out);
#endif
