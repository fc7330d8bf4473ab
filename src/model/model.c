/* model.c -- opening a model directory: configuration, weights, tokenizer, in that order,
 * so that the cheapest refusal comes first.
 *
 * The weights are hashed at open (XXH3 at memory speed: about 15 ms for bge-small's
 * 133 MB) because an index refuses every other model's embeddings by that hash. A thread of its own does it while
 * the layers are packed: both read the same pages. */
#include "model/model.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

wn_model_options wn_model_options_default(void) {
    return (wn_model_options){.size = sizeof(wn_model_options), .precision = WN_F32};
}

/* sentence-transformers lower-cases the text itself when do_lower_case is set. An uncased
 * tokenizer does the same, so nothing is left to do; a cased one would see other text. */
static wn_status check_lower_case(const wn_model *model, wn_error *err) {
    if (!model->config.do_lower_case) return WN_OK;
    wn_encoding *upper = NULL, *lower = NULL;
    wn_status st = wn_encoding_create(&upper, err);
    if (st == WN_OK) st = wn_encoding_create(&lower, err);
    if (st == WN_OK) st = wn_tokenizer_encode_raw(model->tokenizer, (wn_str){"A", 1}, upper, err);
    if (st == WN_OK) st = wn_tokenizer_encode_raw(model->tokenizer, (wn_str){"a", 1}, lower, err);
    if (st == WN_OK &&
        (wn_encoding_length(upper) != 1 || wn_encoding_length(lower) != 1 ||
         wn_encoding_ids(upper)[0] != wn_encoding_ids(lower)[0]))
        st = wn_fail(err, WN_ERR_UNSUPPORTED,
                     "%s: sentence_bert_config.json asks for do_lower_case with a tokenizer that "
                     "keeps case; that combination is not supported",
                     model->path);
    wn_encoding_free(upper);
    wn_encoding_free(lower);
    return st;
}

static wn_status choose_max_length(wn_model *model, size_t wanted, wn_error *err) {
    model->max_length = model->config.max_length;
    if (!wanted) return WN_OK;
    size_t specials = wn_tokenizer_special_count(model->tokenizer,
                                                 model->config.kind == WN_MODEL_CROSS_ENCODER);
    size_t positions = model->config.max_positions - model->config.position_offset;
    if (wanted > positions)
        return wn_fail(err, WN_ERR_ARGUMENT, "%s: max length %zu is over the model's %zu positions",
                       model->path, wanted, positions);
    if (wanted <= specials)
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "%s: max length %zu leaves no room beside %zu special tokens", model->path,
                       wanted, specials);
    model->max_length = model->config.max_length = wanted; /* the encoder sizes its buffers by it */
    return WN_OK;
}

static char *base_name(const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    return wn_strndup(path + begin, end - begin);
}

/* A name from the cache keeps its owner ("BAAI/bge-m3"); a directory gives its last part. */
static wn_status locate(const char *dir, wn_model *model, wn_error *err) {
    WN_TRY(wn_model_path(dir, &model->path, err));
    model->name = base_name(model->path);
    return model->name ? WN_OK : wn_fail_memory(err, strlen(dir));
}

/* A thread that hashes the weights, which remember it; where it can't be had, wn_weights_hash computes. */
typedef struct hashing {
    const wn_weights *weights;
    double ms;
    pthread_t thread;
    bool started;
} hashing;

static void *hashing_main(void *p) {
    hashing *h = p;
    double begin = wn_now_ms();
    (void)wn_weights_hash(h->weights);
    h->ms = wn_now_ms() - begin;
    return NULL;
}

static void hashing_start(hashing *h, const wn_weights *weights) {
    h->weights = weights;
    h->started = pthread_create(&h->thread, NULL, hashing_main, h) == 0;
}

static void hashing_end(hashing *h) {
    if (h->started) pthread_join(h->thread, NULL);
    else hashing_main(h);
}

wn_status wn_model_open(const char *dir, const wn_model_options *options, wn_model **out,
                        wn_error *err) {
    wn_model_options opt = options ? *options : wn_model_options_default();
    wn_status st = WN_OK;
    wn_model *model = wn_calloc(1, sizeof *model);
    if (!model) return wn_fail_memory(err, sizeof *model);
    double begin = wn_now_ms(), before;
    WN_TRY_GOTO(locate(dir, model, err));
    WN_TRY_GOTO(wn_model_config_read(model->path, &model->config, err));
    before = wn_now_ms();
    WN_TRY_GOTO(wn_tokenizer_open(model->path, &model->tokenizer, err));
    model->tokenizer_ms = wn_now_ms() - before;
    if (wn_tokenizer_vocab_size(model->tokenizer) > model->config.vocab) {
        st = wn_fail(err, WN_ERR_MISMATCH,
                     "%s: tokenizer.json has %zu tokens, config.json's vocab_size is %zu",
                     model->path, wn_tokenizer_vocab_size(model->tokenizer), model->config.vocab);
        goto fail;
    }
    WN_TRY_GOTO(wn_blends_read(model->path, &model->blends, err));
    WN_TRY_GOTO(check_lower_case(model, err));
    WN_TRY_GOTO(choose_max_length(model, opt.max_length, err));
    WN_TRY_GOTO(wn_weights_open(model->path, &model->weights, err));
    hashing hash;
    hashing_start(&hash, model->weights);
    before = wn_now_ms();
    st = wn_encoder_create(&model->config, model->weights, opt.precision, &model->encoder, err);
    model->pack_ms = wn_now_ms() - before;
    hashing_end(&hash);
    if (st != WN_OK) goto fail;
    wn_hash value = wn_weights_hash(model->weights);
    wn_hash_hex(&value, model->hash);
    model->hash_ms = hash.ms;
    model->open_ms = wn_now_ms() - begin;
    *out = model;
    return WN_OK;
fail:
    wn_model_close(model);
    return st;
}

void wn_model_close(wn_model *model) {
    if (!model) return;
    wn_encoder_free(model->encoder);
    wn_weights_close(model->weights);
    wn_tokenizer_close(model->tokenizer);
    wn_model_config_release(&model->config);
    wn_blends_release(&model->blends);
    wn_free(model->name);
    wn_free(model->path);
    wn_free(model);
}

const wn_tokenizer *wn_model_tokenizer(const wn_model *model) { return model->tokenizer; }

float wn_model_blend(const wn_model *reranker, const wn_model *embedder) {
    for (size_t i = 0; reranker && embedder && i < reranker->blends.count; i++)
        if (strcmp(reranker->blends.items[i].embedder, embedder->name) == 0)
            return reranker->blends.items[i].weight;
    return 0;
}

wn_model_info wn_model_describe(const wn_model *model) {
    const wn_model_config *c = &model->config;
    const char *document = wn_model_config_prompt(c, "document");
    if (!*document) document = wn_model_config_prompt(c, "passage");
    return (wn_model_info){
        .name = model->name,
        .path = model->path,
        .architecture = c->architecture,
        .weights_hash = model->hash,
        .weights_format = wn_weights_format(model->weights),
        .kind = c->kind,
        .pooling = c->pooling,
        .normalize = c->normalize,
        .activation = c->activation,
        .hidden = c->hidden,
        .layers = c->layers,
        .heads = c->heads,
        .intermediate = c->intermediate,
        .vocab = c->vocab,
        .max_length = model->max_length,
        .labels = c->labels,
        .parameters = wn_encoder_parameters(model->encoder),
        .precision = wn_encoder_precision(model->encoder),
        .query_prompt = wn_model_config_prompt(c, "query"),
        .document_prompt = document,
        .open_time_ms = model->open_ms,
        .tokenizer_time_ms = model->tokenizer_ms,
        .hash_time_ms = model->hash_ms,
        .pack_time_ms = model->pack_ms,
    };
}
