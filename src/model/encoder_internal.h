/* encoder_internal.h -- an encoder's weights as its sessions read them. */
#ifndef WN_MODEL_ENCODER_INTERNAL_H
#define WN_MODEL_ENCODER_INTERNAL_H
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "kernels/narrow.h"
#include "model/encoder.h"

typedef struct wn_norm {
    const float *gamma, *beta; /* [hidden] each */
} wn_norm;

/* The last layer where the first token alone is wanted. Its keys and values are never made: a head's score of token j
 * is q_h . (K_h x_j) = (K_h^T q_h) . x_j, and the weighted sum of V_h x_j is V_h times the weighted sum of x_j. So
 * `keys` turns a query into what is compared with the states themselves, `values` takes their weighted sum to
 * the head's result: both once a sequence, in place of two products a token. f32 in every precision. A key's
 * bias adds the same to all scores of a query: dropped. */
typedef struct wn_head {
    wn_linear *keys;   /* [hidden, head_dim] */
    wn_linear *values; /* [head_dim, hidden] */
} wn_head;

typedef struct wn_layer {
    wn_linear *qkv;            /* [3 hidden, hidden]; NULL where q and heads are set */
    wn_linear *q;              /* [hidden, hidden], rows of f32 */
    wn_head *heads;            /* [config.heads] */
    wn_linear *attention_out;  /* [hidden, hidden] */
    wn_linear *ffn_in;         /* [intermediate, hidden], GELU */
    wn_linear *ffn_out;        /* [hidden, intermediate] */
    wn_norm attention_norm, ffn_norm;
} wn_layer;

struct wn_encoder {
    wn_model_config config;    /* strings and prompts are not copied: NULL */
    const wn_kernels *kernels;
    const wn_narrow *narrow;
    size_t head_dim;
    wn_precision precision;    /* of the layers */
    wn_rows inner;             /* the feed-forward's intermediate */
    wn_rows attention;         /* queries, keys, values and attention's result */
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

/* How many linears the encoder has at most, then all of them into out; returns how many. */
size_t wn_encoder_most_linears(const wn_encoder *encoder);
size_t wn_encoder_linears(const wn_encoder *encoder, const wn_linear **out);
#endif
