/* score_cache.c -- scorers that remember: keys of pairs, hits from the store, the rest from the model.
 *
 * A key is SHA-256 over the model's identity (model_identity.h), the length policy, and both texts with their
 * lengths in front. SHA-256 and not XXH3, because here a collision is a wrong score, and texts may come
 * from anybody. Hashing is 1 us a pair; a pair's score takes thousands.
 *
 * The store is asked and written under the handle's lock, the model is not: other threads' hits do not wait for a
 * forward pass. Two threads that miss the same pair both compute it, and store the same bits. */
#include "core/error.h"
#include "core/memory.h"
#include "model/model_identity.h"
#include "pipeline/score_store.h"
#include "pipeline/stages.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

enum { DEFAULT_BYTES = 256 << 20, LEAST_BYTES = 1 << 20 };

struct wn_score_cache {
    pthread_mutex_t lock;
    wn_score_store *store;
    wn_score_cache_info info;
};

struct wn_cached_scorers {
    wn_score_cache *cache;
    wn_scorers inner;
    wn_hash model;
};

wn_score_cache_options wn_score_cache_options_default(void) {
    return (wn_score_cache_options){.size = sizeof(wn_score_cache_options), .max_bytes = DEFAULT_BYTES};
}

wn_status wn_score_cache_open(const char *path, const wn_score_cache_options *options, wn_score_cache **out,
                              wn_error *err) {
    wn_score_cache_options opt = wn_score_cache_options_default();
    if (options) memcpy(&opt, options, options->size < sizeof opt ? options->size : sizeof opt);
    if (opt.max_bytes < LEAST_BYTES)
        return wn_fail(err, WN_ERR_ARGUMENT, "a score cache of less than %d bytes", (int)LEAST_BYTES);
    wn_score_cache *cache = wn_calloc(1, sizeof *cache);
    if (!cache) return wn_fail_memory(err, sizeof *cache);
    pthread_mutex_init(&cache->lock, NULL);
    wn_status st = wn_score_store_open(path, opt.max_bytes, &cache->store, err);
    if (st == WN_OK) *out = cache;
    else wn_score_cache_close(cache);
    return st;
}

void wn_score_cache_close(wn_score_cache *cache) {
    if (!cache) return;
    wn_score_store_close(cache->store);
    pthread_mutex_destroy(&cache->lock);
    wn_free(cache);
}

wn_score_cache_info wn_score_cache_describe(wn_score_cache *cache) {
    pthread_mutex_lock(&cache->lock);
    wn_score_cache_info info = cache->info;
    pthread_mutex_unlock(&cache->lock);
    return info;
}

/* ---- One call ---------------------------------------------------------------------- */

/* Everything of one call; arrays are [n]. */
typedef struct {
    wn_score_key *keys;
    wn_score_state *states;
    wn_str *missing, *queries; /* pairs to compute, */
    size_t *places, nmissing;  /* and where they stand */
    wn_pair_score *computed;
} call;

static void release(call *c) {
    wn_free(c->keys);
    wn_free(c->states);
    wn_free(c->missing);
    wn_free(c->queries);
    wn_free(c->places);
    wn_free(c->computed);
}

static wn_status allocate(call *c, size_t n, wn_error *err) {
    c->keys = wn_calloc(n, sizeof *c->keys);
    c->states = wn_calloc(n, sizeof *c->states);
    c->missing = wn_calloc(n, sizeof *c->missing);
    c->queries = wn_calloc(n, sizeof *c->queries);
    c->places = wn_calloc(n, sizeof *c->places);
    c->computed = wn_calloc(n, sizeof *c->computed);
    if (!c->keys || !c->states || !c->missing || !c->queries || !c->places || !c->computed)
        return wn_fail_memory(err, n * sizeof *c->computed);
    return WN_OK;
}

static bool add(EVP_MD_CTX *md, wn_str text) {
    uint64_t len = text.len;
    return EVP_DigestUpdate(md, &len, sizeof len) == 1 && EVP_DigestUpdate(md, text.data, text.len) == 1;
}

/* What neighbours share is hashed once. queries [n], or one where they are shared. */
static wn_status make_keys(const wn_hash *model, const wn_str *queries, bool one, const wn_str *passages, size_t n,
                           wn_length_policy policy, wn_score_key *keys, wn_error *err) {
    EVP_MD_CTX *shared = EVP_MD_CTX_new(), *md = EVP_MD_CTX_new();
    unsigned char how = (unsigned char)policy;
    unsigned int len = WN_SCORE_KEY;
    bool fine = shared && md;
    for (size_t i = 0; fine && i < n; i++) {
        if (i == 0 || (!one && (queries[i].data != queries[i - 1].data || queries[i].len != queries[i - 1].len)))
            fine = EVP_DigestInit_ex(shared, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(shared, model->bytes, sizeof model->bytes) == 1 &&
                   EVP_DigestUpdate(shared, &how, 1) == 1 && add(shared, queries[i]);
        fine = fine && EVP_MD_CTX_copy_ex(md, shared) == 1 && add(md, passages[i]) &&
               EVP_DigestFinal_ex(md, keys[i].bytes, &len) == 1 && len == WN_SCORE_KEY;
    }
    EVP_MD_CTX_free(shared);
    EVP_MD_CTX_free(md);
    return fine ? WN_OK : wn_fail(err, WN_ERR_INTERNAL, "SHA-256 of a pair failed");
}

static wn_status look_up(wn_score_cache *cache, call *c, const wn_str *queries, bool one, const wn_str *passages, size_t n,
                         wn_pair_score *out, wn_error *err) {
    pthread_mutex_lock(&cache->lock);
    wn_status st = wn_score_store_get(cache->store, c->keys, n, c->states, out, err);
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        if (c->states[i] == WN_SCORE_FOUND) {
            cache->info.hits++;
            continue;
        }
        cache->info.misses++;
        cache->info.damaged += c->states[i] == WN_SCORE_DAMAGED;
        c->missing[c->nmissing] = passages[i];
        c->queries[c->nmissing] = queries[one ? 0 : i];
        c->places[c->nmissing++] = i;
    }
    pthread_mutex_unlock(&cache->lock);
    return st;
}

/* A call's keys, what the store knows of them in out, and what it does not in c. */
static wn_status begin(wn_score_cache *cache, call *c, const wn_hash *model, const wn_str *queries, bool one,
                       const wn_str *passages, size_t n, wn_length_policy policy, wn_pair_score *out, wn_error *err) {
    WN_TRY(allocate(c, n, err));
    WN_TRY(make_keys(model, queries, one, passages, n, policy, c->keys, err));
    return look_up(cache, c, queries, one, passages, n, out, err);
}

static void place(const call *c, size_t computed, wn_pair_score *out) {
    for (size_t i = 0; i < computed; i++) out[c->places[i]] = c->computed[i];
}

/* The first n pairs of the call, all of which have scores now. */
static wn_status remember(wn_score_cache *cache, const call *c, size_t n, size_t computed, const wn_pair_score *out,
                          wn_error *err) {
    bool saved = false;
    if (!n) return WN_OK;
    pthread_mutex_lock(&cache->lock);
    wn_status st = wn_score_store_put(cache->store, c->keys, n, c->states, out, &saved, &cache->info.evicted, err);
    if (saved) cache->info.stored += computed;
    else cache->info.unsaved += computed;
    pthread_mutex_unlock(&cache->lock);
    return st;
}

static wn_status score(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy,
                       size_t batch_size, double time_left_ms, wn_pair_score *out, size_t *done, wn_error *err) {
    wn_cached_scorers *s = ctx;
    const wn_scorers *inner = &s->inner;
    if (policy == WN_LENGTH_ERROR || !n) /* whose message names a pair by its place */
        return inner->score(inner->score_ctx, query, passages, n, policy, batch_size, time_left_ms, out, done, err);
    call c = {0};
    size_t computed = 0, scored = n;
    double began = wn_now_ms();
    wn_status st = WN_OK;
    WN_TRY_GOTO(begin(s->cache, &c, &s->model, &query, true, passages, n, policy, out, err));
    if (c.nmissing) {
        double left = time_left_ms > 0 ? time_left_ms - (wn_now_ms() - began) : 0;
        if (time_left_ms <= 0 || left > 0)
            WN_TRY_GOTO(inner->score(inner->score_ctx, query, c.missing, c.nmissing, policy, batch_size, left, c.computed,
                                     &computed, err));
        place(&c, computed, out);
        if (computed < c.nmissing) scored = c.places[computed]; /* before it, all have scores */
    }
    WN_TRY_GOTO(remember(s->cache, &c, scored, computed, out, err));
    *done = scored;
fail:
    release(&c);
    return st;
}

wn_status wn_score_cache_pairs(wn_score_cache *cache, wn_cross_encoder *encoder, const wn_str *queries,
                               const wn_str *documents, size_t n, size_t batch_size, wn_length_policy policy,
                               wn_pair_score *out, wn_error *err) {
    if (policy == WN_LENGTH_ERROR || !n)
        return wn_cross_encoder_score_pairs(encoder, queries, documents, n, batch_size, policy, out, err);
    call c = {0};
    wn_hash model;
    wn_status st = WN_OK;
    WN_TRY_GOTO(wn_model_identity(wn_cross_encoder_model(encoder), &model, err));
    WN_TRY_GOTO(begin(cache, &c, &model, queries, false, documents, n, policy, out, err));
    if (c.nmissing)
        WN_TRY_GOTO(wn_cross_encoder_score_pairs(encoder, c.queries, c.missing, c.nmissing, batch_size, policy, c.computed, err));
    place(&c, c.nmissing, out);
    st = remember(cache, &c, n, c.nmissing, out, err);
fail:
    release(&c);
    return st;
}

/* ---- The calls ------------------------------------------------------------------------ */

wn_status wn_cached_scorers_create(wn_score_cache *cache, const wn_scorers *scorers, wn_cached_scorers **out,
                                   wn_error *err) {
    wn_cached_scorers *s = wn_calloc(1, sizeof *s);
    if (!s) return wn_fail_memory(err, sizeof *s);
    s->cache = cache;
    wn_status st = wn_scorers_take(scorers, &s->inner, err);
    if (st == WN_OK && s->inner.reranker) st = wn_model_identity(s->inner.reranker, &s->model, err);
    if (st == WN_OK) *out = s;
    else wn_free(s);
    return st;
}

void wn_cached_scorers_free(wn_cached_scorers *cached) { wn_free(cached); }

wn_scorers wn_cached_scorers_calls(wn_cached_scorers *s) {
    wn_scorers calls = s->inner;
    calls.size = sizeof calls;
    if (calls.reranker) {
        calls.score_ctx = s;
        calls.score = score;
    }
    return calls;
}
