/* searching.c -- an index, its bi-encoder and a reranker, opened for the commands that search. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* The index says which bi-encoder made it: by its name in the cache, else by where it lay. */
static wn_status open_embedder(cli_searching *s, const char *name, wn_first_stage *first_stage,
                               wn_error *err) {
    wn_index_info info;
    wn_status st = wn_index_describe(s->index, &info, err);
    if (st != WN_OK) return st;
    if (!*info.model_name) {
        if (*first_stage == WN_FIRST_BM25) return WN_OK;
        fprintf(stderr, "winnow: the index has no embeddings; searching with --first-stage bm25\n");
        *first_stage = WN_FIRST_BM25;
        return WN_OK;
    }
    char *path = NULL;
    st = wn_model_path(name ? name : info.model_name, &path, err);
    if (st == WN_ERR_NOT_FOUND && !name) st = wn_model_path(info.model_path, &path, err);
    if (st == WN_OK) st = cli_model_open(path, NULL, 0, s->precision, &s->bi_model, err);
    wn_string_free(path);
    return st;
}

wn_status cli_searching_open(cli_searching *s, const char *path, const char *embedder, int threads,
                             wn_first_stage *first_stage, wn_error *err) {
    s->threads = threads;
    double begin = cli_now_ms();
    wn_status st = wn_index_open(path, &s->index, err);
    s->index_open_ms = cli_now_ms() - begin;
    if (st == WN_OK) st = wn_index_use_threads(s->index, threads, err);
    /* An index of one model refuses another by hash, before any time is spent on encoding. */
    if (st == WN_OK) st = open_embedder(s, embedder, first_stage, err);
    if (st == WN_OK && s->bi_model) st = wn_index_check_model(s->index, s->bi_model, err);
    begin = cli_now_ms();
    if (st == WN_OK && s->bi_model) st = wn_bi_encoder_create(s->bi_model, threads, &s->bi, err);
    s->sessions_ms = cli_now_ms() - begin;
    if (st == WN_OK) st = wn_searcher_create(s->index, s->bi, NULL, &s->searcher, err);
    return st;
}

static void drop_reranker(cli_searching *s) {
    wn_searcher_free(s->searcher);
    cli_score_cache_drop(&s->cache);
    wn_cross_encoder_free(s->cross);
    wn_model_close(s->cross_model);
    s->searcher = NULL;
    s->cross = NULL;
    s->cross_model = NULL;
}

wn_status cli_searching_rerank(cli_searching *s, const char *reranker, wn_error *err) {
    drop_reranker(s);
    wn_status st = cli_model_open(reranker, DEFAULT_RERANKERS, 0, s->precision, &s->cross_model, err);
    if (st == WN_OK && !s->blend_given) s->blend = wn_model_blend(s->cross_model, s->bi_model);
    double begin = cli_now_ms();
    if (st == WN_OK) st = wn_cross_encoder_create(s->cross_model, s->threads, &s->cross, err);
    s->sessions_ms += cli_now_ms() - begin;
    wn_scorers scorers = wn_scorers_of(s->bi, s->cross);
    if (st == WN_OK) st = cli_score_cache_put(&s->cache, &scorers, err);
    if (st == WN_OK) st = wn_searcher_create_with(s->index, &scorers, &s->searcher, err);
    return st;
}

void cli_searching_close(cli_searching *s) {
    drop_reranker(s);
    cli_score_cache_close(&s->cache);
    wn_bi_encoder_free(s->bi);
    wn_model_close(s->bi_model);
    wn_index_close(s->index);
    *s = (cli_searching){0};
}

int cli_filters_parse(const cli_command *command, const cli_list *where, wn_filter **out) {
    wn_filter *filters = calloc(where->count + 1, sizeof *filters);
    *out = filters;
    if (!filters) return cli_fail_memory();
    for (size_t i = 0; i < where->count; i++) {
        const char *equals = strchr(where->items[i], '=');
        if (!equals || equals == where->items[i])
            return cli_usage_error(command, "--where wants KEY=VALUE, not \"%s\"", where->items[i]);
        char *key = strdup(where->items[i]);
        if (!key) return cli_fail_memory();
        key[equals - where->items[i]] = 0;
        filters[i] = (wn_filter){key, equals + 1};
    }
    return -1;
}

void cli_filters_free(wn_filter *filters, size_t n) {
    for (size_t i = 0; filters && i < n; i++) free((void *)(uintptr_t)filters[i].key);
    free(filters);
}
