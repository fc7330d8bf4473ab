/* encoders.c -- opening a model and making its session. */
#include "encoders.h"
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A cache that turns out to be damaged, or that the system can't read, is done without from then on: no request fails
 * for it. (Scoring itself ends in neither.) */
static wn_status pass_with_cache(srv_encoder *encoder, const srv_pass *pass, wn_error *err) {
    uint64_t before = wn_score_cache_describe(encoder->cache).hits;
    wn_status st = wn_score_cache_pairs(encoder->cache, encoder->cross, pass->queries, pass->texts, pass->n, pass->n,
                                        pass->policy, pass->scores, err);
    encoder->from_cache = wn_score_cache_describe(encoder->cache).hits != before;
    if (st != WN_ERR_FORMAT && st != WN_ERR_IO) return st;
    fprintf(stderr, "winnow: %s; going on without it\n", err->message);
    encoder->cache = NULL;
    encoder->from_cache = false;
    return wn_cross_encoder_score_pairs(encoder->cross, pass->queries, pass->texts, pass->n, pass->n, pass->policy,
                                        pass->scores, err);
}

static wn_status pass_of_library(srv_encoder *encoder, const srv_pass *pass, wn_error *err) {
    if (pass->queries && encoder->cache) return pass_with_cache(encoder, pass, err);
    if (pass->queries)
        return wn_cross_encoder_score_pairs(encoder->cross, pass->queries, pass->texts, pass->n, pass->n,
                                            pass->policy, pass->scores, err);
    if (pass->prompt_name)
        return wn_bi_encoder_embed_named(encoder->bi, pass->texts, pass->n, pass->prompt_name, pass->policy,
                                         pass->embeddings, pass->fits, err);
    return wn_bi_encoder_embed(encoder->bi, pass->texts, pass->n, pass->role, pass->policy, pass->embeddings,
                               pass->fits, err);
}

wn_status srv_encoder_open(const char *name, wn_precision precision, int threads, wn_score_cache *cache,
                           srv_encoder **out, wn_error *err) {
    wn_model_options options = wn_model_options_default();
    options.precision = precision;
    srv_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder || !(encoder->name = strdup(name))) {
        free(encoder);
        return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    }
    wn_status st = wn_model_open(name, &options, &encoder->model, err);
    if (st != WN_OK) goto fail;
    encoder->info = wn_model_describe(encoder->model);
    encoder->pass = pass_of_library;
    encoder->cache = cache;
    if (encoder->info.kind == WN_MODEL_BI_ENCODER)
        st = wn_bi_encoder_create(encoder->model, threads, &encoder->bi, err);
    else st = wn_cross_encoder_create(encoder->model, threads, &encoder->cross, err);
    if (st != WN_OK) goto fail;
    if (encoder->bi) encoder->dim = wn_bi_encoder_dim(encoder->bi);
    *out = encoder;
    return WN_OK;
fail:
    srv_encoder_close(encoder);
    return st;
}

void srv_encoder_close(srv_encoder *encoder) {
    if (!encoder) return;
    wn_bi_encoder_free(encoder->bi);
    wn_cross_encoder_free(encoder->cross);
    wn_model_close(encoder->model);
    free(encoder->name);
    free(encoder);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

bool srv_encoder_is_called(const srv_encoder *encoder, const char *name) {
    return !strcmp(name, encoder->name) || !strcmp(name, encoder->info.name) ||
           !strcmp(name, encoder->info.path) || !strcmp(base_name(name), encoder->info.name) ||
           !strcmp(name, base_name(encoder->name));
}

const wn_model *srv_encoder_model(const srv_encoder *encoder) { return encoder->model; }
wn_model_info srv_encoder_describe(const srv_encoder *encoder) { return encoder->info; }
