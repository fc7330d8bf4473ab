/* encoder.c -- weights of a BERT or XLM-R encoder, prepared for computing.
 *
 * What is kept: every linear layer packed for the GEMM (gemm.h), norms and small vectors in one block, and
 * one table of type + position embeddings (their sum is what a token needs; two types of 512 x 384 are
 * 1.5 MB). Word embeddings, half of a small model and a third of a large one, are neither copied nor
 * converted: a forward pass reads a few hundred rows of them, in the file's own type.
 *
 * The file's pages are given back after each tensor, so that weights are in memory once: all-MiniLM-L6-v2
 * peaks at 74 MB resident, its f32 file being 91 MB (only the word rows that were read stay).
 *
 * Layers are packed in parallel, on threads of a pool that ends with this call: the GEMM library must
 * be set up per thread (wn_gemm_thread_start), and the caller's thread is not ours to set up.
 *
 * Names are those of Hugging Face's modules without the "bert." or "roberta." in front. Where the last
 * layer's other tokens are never asked for (CLS pooling, classification) its keys and values are packed by heads
 * (wn_head). */
#include "model/encoder_internal.h"
#include "core/error.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TYPES = 256 }; /* type ids are bytes */

/* ---- Small vectors -------------------------------------------------------- */

static size_t aligned_floats(size_t n) { return (n + 15) & ~(size_t)15; }

/* n floats of encoder->vectors, 64-byte aligned. The block's size counted every one of them. */
static float *vector_take(wn_encoder *encoder, size_t n) {
    float *p = encoder->vectors + encoder->vectors_used;
    encoder->vectors_used += aligned_floats(n);
    return encoder->vectors_used <= encoder->vectors_size ? p : NULL;
}

/* Where a name's tensor goes: "<prefix>.<suffix>" read into the next vector. */
static wn_status vector_read(wn_encoder *encoder, const wn_weights *weights, const char *prefix,
                             const char *suffix, size_t rows, size_t cols, const float **out,
                             wn_error *err) {
    char name[160];
    snprintf(name, sizeof name, "%s.%s", prefix, suffix);
    float *p = vector_take(encoder, rows * cols);
    if (!p) return wn_fail(err, WN_ERR_INTERNAL, "no room was counted for %s", name);
    WN_TRY(wn_weights_read(weights, name, (int64_t)rows, (int64_t)cols, p, err));
    encoder->parameters += rows * cols;
    *out = p;
    return WN_OK;
}

static wn_status norm_read(wn_encoder *encoder, const wn_weights *weights, const char *prefix,
                           wn_norm *out, wn_error *err) {
    size_t hidden = encoder->config.hidden;
    WN_TRY(vector_read(encoder, weights, prefix, "weight", hidden, 1, &out->gamma, err));
    return vector_read(encoder, weights, prefix, "bias", hidden, 1, &out->beta, err);
}

/* One block for norms, place table and classifier. */
static wn_status vectors_create(wn_encoder *encoder, wn_error *err) {
    const wn_model_config *c = &encoder->config;
    size_t rows, places, classifier, bytes, norms = (2 * c->layers + 1) * 2;
    size_t width = aligned_floats(c->hidden);
    bool overflow = wn_mul_overflows(c->type_vocab, c->max_positions, &places) ||
                    wn_mul_overflows(c->labels, 2, &classifier) ||
                    wn_add_overflows(places, norms + 16, &rows) ||
                    wn_add_overflows(rows, classifier, &rows) || wn_mul_overflows(rows, width, &rows) ||
                    wn_add_overflows(rows, aligned_floats(c->labels), &rows) ||
                    wn_mul_overflows(rows, sizeof(float), &bytes);
    if (overflow) return wn_fail(err, WN_ERR_FORMAT, "the model's sizes in config.json are too large");
    encoder->vectors = wn_malloc_aligned(bytes);
    if (!encoder->vectors) return wn_fail_memory(err, bytes);
    encoder->vectors_size = rows;
    return WN_OK;
}

/* ---- Embeddings and head -------------------------------------------------- */

static wn_status words_find(wn_encoder *encoder, const wn_weights *weights, wn_error *err) {
    static const char name[] = "embeddings.word_embeddings.weight";
    const wn_model_config *c = &encoder->config;
    const wn_tensor *t = wn_weights_find(weights, name);
    if (!t) return wn_fail(err, WN_ERR_NOT_FOUND, "the weights hold no tensor %s", name);
    if (t->rank != 2 || t->transposed || t->shape[0] != (int64_t)c->vocab ||
        t->shape[1] != (int64_t)c->hidden)
        return wn_fail(err, WN_ERR_FORMAT, "%s: shape [%lld, %lld] where config.json means [%zu, %zu]", name,
                       (long long)t->shape[0], (long long)t->shape[1], c->vocab, c->hidden);
    if (t->dtype != WN_DTYPE_F32 && t->dtype != WN_DTYPE_F16 && t->dtype != WN_DTYPE_BF16)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s: only F32, F16 and BF16 are read", name);
    encoder->words = *t;
    encoder->parameters += (uint64_t)c->vocab * c->hidden;
    return WN_OK;
}

/* places[t][p] = type_embedding[t] + position_embedding[p] */
static wn_status places_read(wn_encoder *encoder, const wn_weights *weights, wn_error *err) {
    const wn_model_config *c = &encoder->config;
    size_t types = c->type_vocab, positions = c->max_positions, hidden = c->hidden;
    float *places = vector_take(encoder, types * positions * hidden);
    wn_status st = WN_OK;
    float *position = wn_malloc(positions * hidden * sizeof *position);
    float *type = wn_malloc(types * hidden * sizeof *type);
    if (!places || !position || !type) {
        st = wn_fail_memory(err, (positions + types) * hidden * sizeof *type);
        goto fail;
    }
    WN_TRY_GOTO(wn_weights_read(weights, "embeddings.position_embeddings.weight", (int64_t)positions,
                                (int64_t)hidden, position, err));
    WN_TRY_GOTO(wn_weights_read(weights, "embeddings.token_type_embeddings.weight", (int64_t)types,
                                (int64_t)hidden, type, err));
    for (size_t t = 0; t < types; t++)
        for (size_t p = 0; p < positions; p++)
            for (size_t i = 0; i < hidden; i++)
                places[(t * positions + p) * hidden + i] = type[t * hidden + i] + position[p * hidden + i];
    encoder->places = places;
    encoder->parameters += (types + positions) * hidden;
fail:
    wn_free(position);
    wn_free(type);
    return st;
}

static wn_status classifier_read(wn_encoder *encoder, const wn_weights *weights, wn_error *err) {
    const wn_model_config *c = &encoder->config;
    const char *name = c->roberta ? "classifier.out_proj" : "classifier";
    WN_TRY(vector_read(encoder, weights, name, "weight", c->labels, c->hidden, &encoder->classifier, err));
    return vector_read(encoder, weights, name, "bias", c->labels, 1, &encoder->classifier_bias, err);
}

/* ---- Layers --------------------------------------------------------------- */

/* What one packing thread reads a layer's weights into. */
typedef struct staging {
    float *weight, *bias;
    uint64_t parameters;
} staging;

typedef struct part {
    const char *prefix; /* module name, without ".weight" */
    size_t rows;
} part;

/* A linear made of the rows of one or more modules, one below the other. */
static wn_status linear_read(const wn_encoder *encoder, const wn_weights *weights, staging *stage,
                             const part *parts, size_t nparts, size_t cols, wn_linear_kind kind,
                             wn_linear **out, wn_error *err) {
    size_t rows = 0;
    for (size_t i = 0; i < nparts; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s.weight", parts[i].prefix);
        WN_TRY(wn_weights_read(weights, name, (int64_t)parts[i].rows, (int64_t)cols,
                               stage->weight + rows * cols, err));
        snprintf(name, sizeof name, "%s.bias", parts[i].prefix);
        WN_TRY(wn_weights_read(weights, name, (int64_t)parts[i].rows, 1, stage->bias + rows, err));
        wn_weights_forget(weights); /* another worker's pages are read again from the cache */
        rows += parts[i].rows;
    }
    stage->parameters += (uint64_t)rows * (cols + 1);
    return wn_linear_create(stage->weight, stage->bias, cols, rows, kind, out, err);
}

/* One projection of a layer's attention: stage->weight [hidden, hidden], stage->bias. */
static wn_status projection_read(const wn_encoder *encoder, const wn_weights *weights, staging *stage, size_t index,
                                 const char *which, wn_error *err) {
    size_t hidden = encoder->config.hidden;
    char name[96];
    snprintf(name, sizeof name, "encoder.layer.%zu.attention.self.%s.weight", index, which);
    WN_TRY(wn_weights_read(weights, name, (int64_t)hidden, (int64_t)hidden, stage->weight, err));
    snprintf(name, sizeof name, "encoder.layer.%zu.attention.self.%s.bias", index, which);
    WN_TRY(wn_weights_read(weights, name, (int64_t)hidden, 1, stage->bias, err));
    stage->parameters += (uint64_t)hidden * (hidden + 1);
    wn_weights_forget(weights);
    return WN_OK;
}

/* A layer's keys and values by heads (wn_head). A head's transposed block is made behind the projection:
 * stage->weight has room for 3 hidden rows. */
static wn_status heads_read(const wn_encoder *encoder, const wn_weights *weights, staging *stage, size_t index,
                            wn_error *err) {
    wn_layer *layer = &encoder->layers[index];
    size_t hidden = encoder->config.hidden, dim = encoder->head_dim;
    float *block = stage->weight + hidden * hidden;
    const wn_linear_kind kind = {.precision = WN_F32};
    layer->heads = wn_calloc(encoder->config.heads, sizeof *layer->heads);
    if (!layer->heads) return wn_fail_memory(err, encoder->config.heads * sizeof *layer->heads);
    WN_TRY(projection_read(encoder, weights, stage, index, "key", err));
    for (size_t h = 0; h < encoder->config.heads; h++) {
        for (size_t i = 0; i < hidden; i++)
            for (size_t d = 0; d < dim; d++) block[i * dim + d] = stage->weight[(h * dim + d) * hidden + i];
        WN_TRY(wn_linear_create(block, NULL, dim, hidden, kind, &layer->heads[h].keys, err));
    }
    WN_TRY(projection_read(encoder, weights, stage, index, "value", err));
    for (size_t h = 0; h < encoder->config.heads; h++)
        WN_TRY(wn_linear_create(stage->weight + h * dim * hidden, stage->bias + h * dim, hidden, dim, kind,
                                &layer->heads[h].values, err));
    return WN_OK;
}

static bool is_by_heads(const wn_encoder *encoder, size_t index) {
    return encoder->first_token_only && index + 1 == encoder->config.layers;
}

/* A layer by heads has one row a sequence: int8 would save nothing there. */
static wn_precision precision_of(const wn_encoder *encoder, size_t index) {
    if (encoder->precision != WN_INT8 || !is_by_heads(encoder, index)) return encoder->precision;
    return encoder->inner == WN_ROWS_BF16 ? WN_BF16 : WN_F32;
}

static wn_status attention_read(const wn_encoder *encoder, const wn_weights *weights, staging *stage,
                                size_t index, wn_error *err) {
    bool by_heads = is_by_heads(encoder, index);
    wn_layer *layer = &encoder->layers[index];
    size_t hidden = encoder->config.hidden;
    wn_linear_kind kind = {.precision = precision_of(encoder, index), .result = by_heads ? WN_ROWS_F32 : encoder->attention};
    char names[3][80];
    static const char *const which[3] = {"query", "key", "value"};
    part parts[3];
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "encoder.layer.%zu.attention.self.%s", index, which[i]);
        parts[i] = (part){names[i], hidden};
    }
    if (!by_heads) return linear_read(encoder, weights, stage, parts, 3, hidden, kind, &layer->qkv, err);
    WN_TRY(linear_read(encoder, weights, stage, parts, 1, hidden, kind, &layer->q, err));
    return heads_read(encoder, weights, stage, index, err);
}

static wn_status layer_read(const wn_encoder *encoder, const wn_weights *weights, staging *stage,
                            size_t index, wn_error *err) {
    wn_layer *layer = &encoder->layers[index];
    size_t hidden = encoder->config.hidden, intermediate = encoder->config.intermediate;
    wn_linear_kind kind = {.precision = precision_of(encoder, index)};
    char name[80];
    part one = {name, hidden};
    WN_TRY(attention_read(encoder, weights, stage, index, err));
    snprintf(name, sizeof name, "encoder.layer.%zu.attention.output.dense", index);
    WN_TRY(linear_read(encoder, weights, stage, &one, 1, hidden, kind, &layer->attention_out, err));
    snprintf(name, sizeof name, "encoder.layer.%zu.output.dense", index);
    WN_TRY(linear_read(encoder, weights, stage, &one, 1, intermediate, kind, &layer->ffn_out, err));
    snprintf(name, sizeof name, "encoder.layer.%zu.intermediate.dense", index);
    one.rows = intermediate;
    kind.epilogue = WN_EPILOGUE_BIAS_GELU;
    kind.result = encoder->inner;
    return linear_read(encoder, weights, stage, &one, 1, hidden, kind, &layer->ffn_in, err);
}

/* f32 always: one row a sequence costs nothing, and its result is the score. */
static wn_status head_dense_read(wn_encoder *encoder, const wn_weights *weights, staging *stage,
                                 wn_error *err) {
    const wn_model_config *c = &encoder->config;
    if (!c->roberta && !c->has_pooler_head) return WN_OK;
    part one = {c->roberta ? "classifier.dense" : "pooler.dense", c->hidden};
    return linear_read(encoder, weights, stage, &one, 1, c->hidden, (wn_linear_kind){.precision = WN_F32},
                       &encoder->head_dense, err);
}

/* Task i packs layer i; task `layers` packs the head. The error kept is that of the lowest task. */
typedef struct packing {
    wn_encoder *encoder;
    const wn_weights *weights;
    staging *stages; /* one a worker */
    pthread_mutex_t lock;
    size_t failed_task;
    wn_status status;
    wn_error error;
} packing;

static void pack_task(void *ctx, size_t task, int worker) {
    packing *p = ctx;
    wn_error error;
    wn_status st = task < p->encoder->config.layers
                       ? layer_read(p->encoder, p->weights, &p->stages[worker], task, &error)
                       : head_dense_read(p->encoder, p->weights, &p->stages[worker], &error);
    if (st == WN_OK) return;
    pthread_mutex_lock(&p->lock);
    if (p->status == WN_OK || task < p->failed_task) {
        p->status = st;
        p->error = error;
        p->failed_task = task;
    }
    pthread_mutex_unlock(&p->lock);
}

static wn_status stages_create(const wn_encoder *encoder, staging *stages, size_t n, wn_error *err) {
    const wn_model_config *c = &encoder->config;
    size_t rows, cells, bytes;
    if (wn_mul_overflows(c->hidden, 3, &rows)) return wn_fail_memory(err, SIZE_MAX);
    if (c->intermediate > rows) rows = c->intermediate;
    if (wn_mul_overflows(rows, c->hidden, &cells) || wn_mul_overflows(cells, sizeof(float), &bytes))
        return wn_fail_memory(err, SIZE_MAX);
    for (size_t i = 0; i < n; i++) {
        stages[i].weight = wn_malloc_aligned(bytes);
        stages[i].bias = wn_malloc_aligned(rows * sizeof(float));
        if (!stages[i].weight || !stages[i].bias) return wn_fail_memory(err, bytes);
    }
    return WN_OK;
}

static wn_status linears_create(wn_encoder *encoder, const wn_weights *weights, wn_error *err) {
    wn_status st;
    wn_pool *pool = NULL;
    packing p = {.encoder = encoder, .weights = weights};
    size_t tasks = encoder->config.layers + (encoder->classifier ? 1 : 0), workers = 0;
    pthread_mutex_init(&p.lock, NULL);
    WN_TRY_GOTO(wn_pool_create(0, wn_gemm_thread_start, &pool, err));
    workers = (size_t)wn_pool_size(pool);
    p.stages = wn_calloc(workers, sizeof *p.stages);
    if (!p.stages) {
        st = wn_fail_memory(err, workers * sizeof *p.stages);
        goto fail;
    }
    WN_TRY_GOTO(stages_create(encoder, p.stages, workers, err));
    wn_pool_run(pool, tasks, pack_task, &p);
    st = p.status;
    if (st != WN_OK && err) *err = p.error;
fail:
    wn_pool_free(pool);
    for (size_t i = 0; p.stages && i < workers; i++) {
        encoder->parameters += p.stages[i].parameters;
        wn_free(p.stages[i].weight);
        wn_free(p.stages[i].bias);
    }
    wn_free(p.stages);
    pthread_mutex_destroy(&p.lock);
    return st;
}

/* ---- The encoder ---------------------------------------------------------- */

static wn_status config_check(const wn_model_config *c, wn_error *err) {
    if (!c->hidden || !c->layers || !c->heads || !c->intermediate || !c->vocab || !c->max_length ||
        !c->type_vocab)
        return wn_fail(err, WN_ERR_FORMAT, "config.json: a size of the model is 0");
    if (c->hidden % c->heads)
        return wn_fail(err, WN_ERR_FORMAT, "config.json: hidden_size %zu is not a multiple of %zu heads",
                       c->hidden, c->heads);
    if (c->position_offset >= c->max_positions || c->max_length > c->max_positions - c->position_offset)
        return wn_fail(err, WN_ERR_FORMAT,
                       "config.json: %zu positions, the first %zu unused, do not hold %zu tokens",
                       c->max_positions, c->position_offset, c->max_length);
    if (c->type_vocab > MAX_TYPES)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "config.json: type_vocab_size %zu (at most %d)",
                       c->type_vocab, MAX_TYPES);
    if (c->hidden > INT32_MAX / 4 || c->intermediate > INT32_MAX / 4 || c->layers > 4096 ||
        c->max_length > INT32_MAX / 4)
        return wn_fail(err, WN_ERR_FORMAT, "the model's sizes in config.json are too large");
    return WN_OK;
}

/* WN_AUTO becomes the fastest that holds the bound on quality (bench/quality.py) with every model measured, where the
 * processor has it: bf16. int8 breaks its own with one model (docs/PERFORMANCE.md). */
static wn_status precision_choose(wn_precision *precision, wn_error *err) {
    if (*precision == WN_AUTO) *precision = wn_precision_check(WN_BF16, NULL) == WN_OK ? WN_BF16 : WN_F32;
    return wn_precision_check(*precision, err);
}

wn_status wn_encoder_create(const wn_model_config *config, const wn_weights *weights,
                            wn_precision precision, wn_encoder **out, wn_error *err) {
    wn_status st;
    WN_TRY(config_check(config, err));
    WN_TRY(precision_choose(&precision, err));
    wn_encoder *encoder = wn_calloc(1, sizeof *encoder);
    if (!encoder) return wn_fail_memory(err, sizeof *encoder);
    encoder->precision = precision;
    encoder->config = *config;
    encoder->config.prompts = NULL;
    encoder->config.nprompts = 0;
    encoder->config.default_prompt = NULL;
    encoder->kernels = wn_kernels_get();
    encoder->narrow = wn_narrow_get();
    encoder->head_dim = config->hidden / config->heads;
    bool halves = precision != WN_F32 && wn_precision_check(WN_BF16, NULL) == WN_OK;
    encoder->inner = halves ? WN_ROWS_BF16 : WN_ROWS_F32;
    /* attention in bf16 reads dimensions by pairs */
    encoder->attention = encoder->head_dim % 2 == 0 ? encoder->inner : WN_ROWS_F32;
    bool classifies = config->kind == WN_MODEL_CROSS_ENCODER;
    encoder->first_token_only = classifies || config->pooling == WN_POOL_CLS;
    encoder->layers = wn_calloc(config->layers, sizeof *encoder->layers);
    if (!encoder->layers) {
        st = wn_fail_memory(err, config->layers * sizeof *encoder->layers);
        goto fail;
    }
    wn_weights_forget(weights); /* hashing has read all of it */
    WN_TRY_GOTO(vectors_create(encoder, err));
    WN_TRY_GOTO(words_find(encoder, weights, err));
    WN_TRY_GOTO(places_read(encoder, weights, err));
    WN_TRY_GOTO(norm_read(encoder, weights, "embeddings.LayerNorm", &encoder->embedding_norm, err));
    for (size_t i = 0; i < config->layers; i++) {
        char name[80];
        snprintf(name, sizeof name, "encoder.layer.%zu.attention.output.LayerNorm", i);
        WN_TRY_GOTO(norm_read(encoder, weights, name, &encoder->layers[i].attention_norm, err));
        snprintf(name, sizeof name, "encoder.layer.%zu.output.LayerNorm", i);
        WN_TRY_GOTO(norm_read(encoder, weights, name, &encoder->layers[i].ffn_norm, err));
    }
    if (classifies) WN_TRY_GOTO(classifier_read(encoder, weights, err));
    WN_TRY_GOTO(linears_create(encoder, weights, err));
    *out = encoder;
    return WN_OK;
fail:
    wn_encoder_free(encoder);
    return st;
}

static size_t add(const wn_linear **out, size_t n, const wn_linear *linear) {
    if (linear) out[n++] = linear;
    return n;
}

size_t wn_encoder_most_linears(const wn_encoder *encoder) {
    return encoder->config.layers * 5 + encoder->config.heads * 2 + 1;
}

size_t wn_encoder_linears(const wn_encoder *encoder, const wn_linear **out) {
    size_t n = add(out, 0, encoder->head_dense);
    for (size_t i = 0; encoder->layers && i < encoder->config.layers; i++) {
        const wn_layer *l = &encoder->layers[i];
        const wn_linear *all[] = {l->qkv, l->q, l->attention_out, l->ffn_in, l->ffn_out};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) n = add(out, n, all[j]);
        for (size_t h = 0; l->heads && h < encoder->config.heads; h++) {
            n = add(out, n, l->heads[h].keys);
            n = add(out, n, l->heads[h].values);
        }
    }
    return n;
}

static void layer_free(wn_layer *layer, size_t heads) {
    for (size_t h = 0; layer->heads && h < heads; h++) {
        wn_linear_free(layer->heads[h].keys);
        wn_linear_free(layer->heads[h].values);
    }
    wn_free(layer->heads);
    wn_linear_free(layer->qkv);
    wn_linear_free(layer->q);
    wn_linear_free(layer->attention_out);
    wn_linear_free(layer->ffn_in);
    wn_linear_free(layer->ffn_out);
}

void wn_encoder_free(wn_encoder *encoder) {
    if (!encoder) return;
    for (size_t i = 0; encoder->layers && i < encoder->config.layers; i++)
        layer_free(&encoder->layers[i], encoder->config.heads);
    wn_linear_free(encoder->head_dense);
    wn_free(encoder->layers);
    wn_free(encoder->vectors);
    wn_free(encoder);
}

wn_precision wn_encoder_precision(const wn_encoder *encoder) { return encoder->precision; }
uint64_t wn_encoder_parameters(const wn_encoder *encoder) { return encoder->parameters; }
