/* winnow/model.h -- the two encoders: a bi-encoder embeds, a cross-encoder scores pairs.
 *
 * A model directory is an ordinary Hugging Face one: config.json, tokenizer.json,
 * model.safetensors (or a sharded index, or model.onnx / onnx/model.onnx) and, where present, the
 * sentence-transformers files. Weights are mapped and borrowed until close. */
#ifndef WINNOW_MODEL_H
#define WINNOW_MODEL_H

#include <winnow/core.h>
#include <winnow/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Immutable and shared: configuration, weights prepacked for the CPU, tokenizer. */
typedef struct wn_model wn_model;

typedef enum wn_model_kind { WN_MODEL_BI_ENCODER = 0, WN_MODEL_CROSS_ENCODER } wn_model_kind;
typedef enum wn_pooling { WN_POOL_CLS = 0, WN_POOL_MEAN } wn_pooling;
typedef enum wn_activation { WN_ACT_IDENTITY = 0, WN_ACT_SIGMOID } wn_activation;

/* What to do with input longer than the model reads. */
typedef enum wn_length_policy {
    WN_LENGTH_TRUNCATE = 0, /* cut, and say how much in the result */
    WN_LENGTH_ERROR,        /* WN_ERR_TOO_LONG */
    WN_LENGTH_WINDOWS       /* cross-encoder: the passage's best-scoring window */
} wn_length_policy;

typedef struct wn_model_options {
    size_t size;            /* sizeof(wn_model_options) */
    wn_precision precision; /* default WN_F32; one this processor lacks is WN_ERR_UNSUPPORTED */
    size_t max_length;      /* 0: the model's own; larger values are an error */
} wn_model_options;
WN_API wn_model_options wn_model_options_default(void);

/* dir: a directory, or a name known to the model cache (wn_model_path). options may be NULL. */
WN_API wn_status wn_model_open(const char *dir, const wn_model_options *options, wn_model **out,
                               wn_error *err);
WN_API void wn_model_close(wn_model *model);

/* Facts. Strings are borrowed until close. */
typedef struct wn_model_info {
    const char *name;         /* directory's base name, or the cache's name for it */
    const char *path;
    const char *architecture; /* "BertModel", ... */
    const char *weights_hash; /* 32 hex digits, XXH3-128 of the weight file(s) */
    const char *weights_format; /* "safetensors" | "onnx" */
    wn_model_kind kind;
    wn_pooling pooling;
    bool normalize;
    wn_activation activation;
    size_t hidden, layers, heads, intermediate, vocab, max_length, labels;
    uint64_t parameters;
    wn_precision precision;      /* of the linear layers: what WN_AUTO chose, never WN_AUTO itself */
    const char *query_prompt;    /* "" when none */
    const char *document_prompt; /* "" when none */
    /* What wn_model_open took, and of that: the tokenizer; hashing the weights and packing them, at the same time. */
    double open_time_ms, tokenizer_time_ms, hash_time_ms, pack_time_ms;
} wn_model_info;
WN_API wn_model_info wn_model_describe(const wn_model *model);
/* The weight that the reranker's winnow_blend.json recommends for the cosine of this bi-encoder in a final order by
 * logit + weight * cosine (wn_search_options.blend); 0 where it names none, or one of the two is NULL. */
WN_API float wn_model_blend(const wn_model *reranker, const wn_model *embedder);
WN_API const wn_tokenizer *wn_model_tokenizer(const wn_model *model);

/* How a text or pair fitted into the model's length. */
typedef struct wn_fit {
    uint32_t tokens_seen;    /* tokens of the passage that the model read */
    uint32_t tokens_dropped; /* tokens of the passage it did not */
    uint32_t query_dropped;  /* pairs: tokens cut from the query */
    uint32_t window_begin, window_end; /* bytes of the passage the score is of (0, length when whole) */
} wn_fit;

/* ---- Bi-encoder ---------------------------------------------------------- */

/* A session over a model: workers and buffers. One thread at a time. The model must outlive it. */
typedef struct wn_bi_encoder wn_bi_encoder;

typedef enum wn_role { WN_ROLE_NONE = 0, WN_ROLE_QUERY, WN_ROLE_DOCUMENT } wn_role;

/* threads <= 0: one a processor. A cross-encoder model is refused. */
WN_API wn_status wn_bi_encoder_create(const wn_model *model, int threads, wn_bi_encoder **out,
                                      wn_error *err);
WN_API void wn_bi_encoder_free(wn_bi_encoder *encoder);
WN_API size_t wn_bi_encoder_dim(const wn_bi_encoder *encoder);
WN_API const wn_model *wn_bi_encoder_model(const wn_bi_encoder *encoder); /* borrowed */
/* Embeddings of n texts into out [n, dim] (row-major, caller's memory), pooled and normalised
 * as the model's files say, with the role's prompt put in front. fits [n] may be NULL. */
WN_API wn_status wn_bi_encoder_embed(wn_bi_encoder *encoder, const wn_str *texts, size_t n,
                                     wn_role role, wn_length_policy policy, float *out,
                                     wn_fit *fits, wn_error *err);
/* The same with a prompt named in config_sentence_transformers.json (NULL: none). An unknown
 * name is WN_ERR_ARGUMENT and the message lists the known ones. */
WN_API wn_status wn_bi_encoder_embed_named(wn_bi_encoder *encoder, const wn_str *texts, size_t n,
                                           const char *prompt_name, wn_length_policy policy,
                                           float *out, wn_fit *fits, wn_error *err);
/* Cosine of query and document, in [-1, 1]. */
WN_API wn_status wn_bi_encoder_score(wn_bi_encoder *encoder, wn_str query, wn_str document,
                                     float *score, wn_error *err);
/* scores [n]; the query is embedded once. batch_size 0 means 32; it changes memory, not scores. */
WN_API wn_status wn_bi_encoder_score_batch(wn_bi_encoder *encoder, wn_str query,
                                           const wn_str *documents, size_t n, size_t batch_size,
                                           float *scores, wn_error *err);

/* ---- Cross-encoder ------------------------------------------------------- */

typedef struct wn_cross_encoder wn_cross_encoder;

typedef struct wn_pair_score {
    float score; /* the activation applied to the logit */
    float logit; /* what the classification head gave; rank by this (sigmoids saturate) */
    wn_fit fit;
} wn_pair_score;

/* A model without a classification head, or with more than one label, is refused. */
WN_API wn_status wn_cross_encoder_create(const wn_model *model, int threads, wn_cross_encoder **out,
                                         wn_error *err);
WN_API void wn_cross_encoder_free(wn_cross_encoder *encoder);
WN_API const wn_model *wn_cross_encoder_model(const wn_cross_encoder *encoder); /* borrowed */
WN_API wn_status wn_cross_encoder_score(wn_cross_encoder *encoder, wn_str query, wn_str document,
                                        float *score, wn_error *err);
/* out [n], in the order of documents. batch_size 0 means 32; it changes memory, not scores. */
WN_API wn_status wn_cross_encoder_score_batch(wn_cross_encoder *encoder, wn_str query,
                                              const wn_str *documents, size_t n, size_t batch_size,
                                              wn_length_policy policy, wn_pair_score *out,
                                              wn_error *err);
/* n pairs, each with its own query: queries [n], documents [n]. */
WN_API wn_status wn_cross_encoder_score_pairs(wn_cross_encoder *encoder, const wn_str *queries,
                                              const wn_str *documents, size_t n, size_t batch_size,
                                              wn_length_policy policy, wn_pair_score *out,
                                              wn_error *err);

/* ---- Both as calls -------------------------------------------------------- */

/* What searching, comparing and storing need of encoders. A program with sessions of its own takes
 * wn_scorers_of; one that batches the work of many callers (a server) puts its batcher behind the two
 * calls. Scores are a function of texts and models alone, so both give the same bits. */
typedef struct wn_scorers {
    size_t size;                /* sizeof(wn_scorers) */
    const wn_model *embedder;   /* whose embeddings `embed` gives: checked against the index. NULL: none */
    void *embed_ctx;
    /* As wn_bi_encoder_embed; fits [n] is never NULL. */
    wn_status (*embed)(void *ctx, const wn_str *texts, size_t n, wn_role role, wn_length_policy policy,
                       float *out, wn_fit *fits, wn_error *err);
    const wn_model *reranker;   /* NULL: none */
    void *score_ctx;
    /* Logits and scores of n passages, in their order. batch_size: pairs a forward pass, a hint that
     * never changes scores. time_left_ms > 0: only the first *done need be scored, those that can be
     * within that time; 0: all. */
    wn_status (*score)(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy,
                       size_t batch_size, double time_left_ms, wn_pair_score *out, size_t *done,
                       wn_error *err);
} wn_scorers;
/* Over two sessions, which are borrowed; either may be NULL. The thread that may use the sessions may use it. */
WN_API wn_scorers wn_scorers_of(wn_bi_encoder *bi, wn_cross_encoder *cross);

/* ---- Model cache and hub -------------------------------------------------- */

/* The cache is $WINNOW_CACHE, else $XDG_CACHE_HOME/winnow, else ~/.cache/winnow; models lie
 * in models/NAME below it. All strings written are freed with wn_string_free. */
WN_API wn_status wn_model_cache_dir(char **out, wn_error *err);
/* NAME (or an existing directory) to a directory. NOT_FOUND says how to get it. */
WN_API wn_status wn_model_path(const char *name, char **out, wn_error *err);
/* Names in the cache, sorted: calls fn for each. */
WN_API wn_status wn_model_list(bool (*fn)(void *ctx, const char *name, const char *path), void *ctx,
                               wn_error *err);
/* Copies (reflinks where the file system can) a model directory into the cache under name
 * (NULL: its base name) after opening it to check that it works. */
WN_API wn_status wn_model_import(const char *dir, const char *name, char **path_out, wn_error *err);

typedef struct wn_pull_options {
    size_t size;
    const char *revision; /* default "main" */
    const char *endpoint; /* default $HF_ENDPOINT, else the Hugging Face hub */
    const char *token;    /* default $HF_TOKEN */
    wn_progress_fn progress;
    void *progress_ctx;
} wn_pull_options;
WN_API wn_pull_options wn_pull_options_default(void);
/* Fetches "owner/name" into the cache: only the files winnow reads, resumed after a broken
 * transfer, SHA-256 checked where the hub gives it. */
WN_API wn_status wn_model_pull(const char *name, const wn_pull_options *options, char **path_out,
                               wn_error *err);
WN_API void wn_string_free(char *string);

#ifdef __cplusplus
}
#endif
#endif
