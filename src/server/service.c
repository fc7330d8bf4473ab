/* service.c -- models and indexes as a counted snapshot, and the one batcher.
 *
 * A reload opens everything afresh beside the old snapshot and swaps under a lock that is held for two
 * pointer moves. Requests that hold the old snapshot finish with the models they began with. */
#include "encoders.h"
#include "index_pool.h"
#include "router.h"
#include "service_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct srv_snapshot {
    wn_score_cache *cache;  /* the service's */
    atomic_size_t holders;
    srv_encoder **encoders; /* rerankers as configured, then embedders */
    size_t nencoders;
    srv_encoder *embedder, *reranker; /* the defaults; NULL: none */
    srv_index **indexes;
    size_t nindexes;
};

struct srv_service {
    const srv_config *config;
    srv_batcher *batcher;
    srv_metrics *metrics;
    wn_score_cache *cache; /* NULL: none. One file for all snapshots: keys tell models apart */
    pthread_mutex_t lock;
    srv_snapshot *current;
    _Atomic int phase;
    srv_load_fn look;
    void *look_ctx;
};

/* ---- Snapshot ------------------------------------------------------------- */

static void snapshot_free(srv_snapshot *s) {
    for (size_t i = 0; i < s->nindexes; i++) srv_index_close(s->indexes[i]);
    for (size_t i = 0; i < s->nencoders; i++) srv_encoder_close(s->encoders[i]);
    free(s->indexes);
    free(s->encoders);
    free(s);
}

void srv_snapshot_release(srv_snapshot *s) {
    if (s && atomic_fetch_sub(&s->holders, 1) == 1) snapshot_free(s);
}

srv_snapshot *srv_service_hold(srv_service *service) {
    pthread_mutex_lock(&service->lock);
    srv_snapshot *s = service->current;
    if (s) atomic_fetch_add(&s->holders, 1);
    pthread_mutex_unlock(&service->lock);
    return s;
}

static wn_status add_encoder(srv_snapshot *s, const srv_config *config, const char *name, srv_encoder **out,
                             wn_error *err) {
    srv_encoder **items = realloc(s->encoders, (s->nencoders + 1) * sizeof *items);
    if (!items) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    s->encoders = items;
    wn_status st = srv_encoder_open(name, config->precision, config->threads, s->cache, out, err);
    if (st == WN_OK) s->encoders[s->nencoders++] = *out;
    return st;
}

static wn_status load_configured(srv_snapshot *s, const srv_config *config, wn_error *err) {
    srv_encoder *encoder;
    for (size_t i = 0; i < config->nrerankers; i++) {
        wn_status st = add_encoder(s, config, config->rerankers[i], &encoder, err);
        if (st != WN_OK) return st;
        if (encoder->dim)
            return srv_fail(err, WN_ERR_MISMATCH, "%s is a bi-encoder; a reranker is a cross-encoder",
                            encoder->name);
        if (!s->reranker) s->reranker = encoder;
    }
    if (!config->embedder) return WN_OK;
    wn_status st = add_encoder(s, config, config->embedder, &encoder, err);
    if (st != WN_OK) return st;
    if (!encoder->dim)
        return srv_fail(err, WN_ERR_MISMATCH, "%s is a cross-encoder; an embedder is a bi-encoder", encoder->name);
    s->embedder = encoder;
    return WN_OK;
}

/* The bi-encoder that made an index, unless it is here already. */
static wn_status load_embedder_of(srv_snapshot *s, const srv_config *config, srv_index *index, wn_error *err) {
    wn_index *handle = NULL;
    wn_index_info info;
    srv_encoder *encoder;
    wn_status st = srv_index_borrow(index, &handle, err);
    if (st != WN_OK) return st;
    st = wn_index_describe(handle, &info, err);
    bool needed = st == WN_OK && *info.model_name;
    for (size_t i = 0; needed && i < s->nencoders; i++)
        if (s->encoders[i]->dim && !strcmp(s->encoders[i]->info.weights_hash, info.model_hash)) needed = false;
    if (needed) {
        char *path = NULL; /* by name first: an index is often made on another machine */
        if (wn_model_path(info.model_name, &path, NULL) != WN_OK) path = NULL;
        st = add_encoder(s, config, path ? path : info.model_path, &encoder, err);
        wn_string_free(path);
        if (st == WN_OK) st = wn_index_check_model(handle, encoder->model, err);
        if (st == WN_OK && !s->embedder) s->embedder = encoder;
    }
    srv_index_return(index, handle);
    return st;
}

static wn_status load_indexes(srv_snapshot *s, const srv_config *config, wn_error *err) {
    s->indexes = calloc(config->nindexes ? config->nindexes : 1, sizeof *s->indexes);
    if (!s->indexes) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < config->nindexes; i++) {
        srv_index *index = NULL;
        wn_status st = srv_index_open(config->indexes[i], &index, err);
        if (st != WN_OK) return st;
        for (size_t j = 0; j < s->nindexes; j++)
            if (!strcmp(srv_index_name(s->indexes[j]), srv_index_name(index)))
                st = srv_fail(err, WN_ERR_ARGUMENT, "two indexes are called %s; name one: --index NAME=FILE",
                              srv_index_name(index));
        s->indexes[s->nindexes++] = index;
        if (st == WN_OK) st = load_embedder_of(s, config, index, err);
        if (st != WN_OK) return st;
    }
    return WN_OK;
}

wn_status srv_service_load(srv_service *service, wn_error *err) {
    srv_snapshot *s = calloc(1, sizeof *s);
    if (!s) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    atomic_store(&s->holders, 1);
    s->cache = service->cache;
    wn_status st = load_configured(s, service->config, err);
    if (st == WN_OK) st = load_indexes(s, service->config, err);
    if (st != WN_OK) {
        snapshot_free(s);
        return st;
    }
    pthread_mutex_lock(&service->lock);
    srv_snapshot *old = service->current;
    service->current = s;
    pthread_mutex_unlock(&service->lock);
    srv_snapshot_release(old);
    return WN_OK;
}

/* ---- Finding -------------------------------------------------------------- */

static wn_status not_found(const srv_snapshot *s, const char *name, bool embedders, wn_error *err) {
    char known[300] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->nencoders && n < sizeof known; i++)
        if (!s->encoders[i]->dim != embedders)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", s->encoders[i]->info.name);
    const char *kind = embedders ? "embedding model" : "reranker";
    if (!*known) return srv_fail(err, WN_ERR_NOT_FOUND, "this server has no %s", kind);
    return srv_fail(err, WN_ERR_NOT_FOUND, "there is no %s \"%.100s\"; this server has %s", kind, name, known);
}

static wn_status find_encoder(const srv_snapshot *s, const char *name, bool embedders, srv_encoder **out,
                              wn_error *err) {
    if (!name || !*name) {
        srv_encoder *encoder = embedders ? s->embedder : s->reranker;
        if (!encoder) return not_found(s, "", embedders, err);
        *out = encoder;
        return WN_OK;
    }
    for (size_t i = 0; i < s->nencoders; i++)
        if (!s->encoders[i]->dim != embedders && srv_encoder_is_called(s->encoders[i], name)) {
            *out = s->encoders[i];
            return WN_OK;
        }
    return not_found(s, name, embedders, err);
}

wn_status srv_snapshot_embedder(srv_snapshot *s, const char *name, srv_encoder **out, wn_error *err) {
    return find_encoder(s, name, true, out, err);
}

wn_status srv_snapshot_reranker(srv_snapshot *s, const char *name, srv_encoder **out, wn_error *err) {
    return find_encoder(s, name, false, out, err);
}

size_t srv_snapshot_encoder_count(const srv_snapshot *s) { return s->nencoders; }
srv_encoder *srv_snapshot_encoder(const srv_snapshot *s, size_t i) { return s->encoders[i]; }
size_t srv_snapshot_index_count(const srv_snapshot *s) { return s->nindexes; }
const char *srv_snapshot_index_name(const srv_snapshot *s, size_t i) { return srv_index_name(s->indexes[i]); }

wn_status srv_snapshot_index(srv_snapshot *s, const char *name, srv_index **out, wn_error *err) {
    char known[300] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->nindexes; i++) {
        if (!name || !*name || !strcmp(name, srv_index_name(s->indexes[i]))) {
            *out = s->indexes[i];
            return WN_OK;
        }
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", srv_index_name(s->indexes[i]));
    }
    if (!s->nindexes) return srv_fail(err, WN_ERR_NOT_FOUND, "this server has no index");
    return srv_fail(err, WN_ERR_NOT_FOUND, "there is no index \"%.100s\"; this server has %s", name, known);
}

/* ---- Service -------------------------------------------------------------- */

enum { PASS_MS = 60 };

wn_status srv_service_create(const srv_config *config, srv_service **out, wn_error *err) {
    srv_service *service = calloc(1, sizeof *service);
    if (!service) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    pthread_mutex_init(&service->lock, NULL);
    service->config = config;
    service->metrics = srv_metrics_create(srv_router_count());
    srv_batcher_options options = {.max_batch_tokens = config->max_batch_tokens,
                                   .max_queue_tokens = config->max_queue_tokens, .pass_ms = PASS_MS};
    wn_status st = service->metrics ? srv_batcher_create(&options, service->metrics, &service->batcher, err)
                                    : srv_fail(err, WN_ERR_MEMORY, "out of memory");
    if (st == WN_OK && config->score_cache) {
        wn_score_cache_options cache = wn_score_cache_options_default();
        cache.max_bytes = (uint64_t)config->score_cache_mb << 20;
        st = wn_score_cache_open(config->score_cache, &cache, &service->cache, err);
    }
    if (st != WN_OK) {
        srv_service_free(service);
        return st;
    }
    *out = service;
    return WN_OK;
}

void srv_service_free(srv_service *service) {
    if (!service) return;
    srv_batcher_free(service->batcher);
    srv_snapshot_release(service->current);
    srv_metrics_free(service->metrics);
    wn_score_cache_close(service->cache);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

srv_batcher *srv_service_batcher(srv_service *service) { return service->batcher; }
const srv_config *srv_service_config(const srv_service *service) { return service->config; }
srv_metrics *srv_service_metrics(srv_service *service) { return service->metrics; }
wn_score_cache *srv_service_cache(srv_service *service) { return service->cache; }
srv_phase srv_service_phase(srv_service *service) { return (srv_phase)atomic_load(&service->phase); }
void srv_service_set_phase(srv_service *service, srv_phase phase) { atomic_store(&service->phase, (int)phase); }

void srv_service_set_load(srv_service *service, srv_load_fn look, void *ctx) {
    service->look = look;
    service->look_ctx = ctx;
}

srv_load srv_service_load_now(srv_service *service) {
    return service->look ? service->look(service->look_ctx) : (srv_load){0};
}
