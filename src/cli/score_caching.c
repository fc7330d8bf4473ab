/* score_caching.c -- a score cache for the commands that rerank. */
#include "cli.h"

wn_status cli_score_cache_open(cli_score_cache *c, wn_error *err) {
    if (!c->path || c->open) return WN_OK;
    wn_score_cache_options options = wn_score_cache_options_default();
    if (c->mebibytes) options.max_bytes = (uint64_t)c->mebibytes << 20;
    return wn_score_cache_open(c->path, &options, &c->open, err);
}

wn_status cli_score_cache_put(cli_score_cache *c, wn_scorers *scorers, wn_error *err) {
    if (!c->path) return WN_OK;
    wn_status st = cli_score_cache_open(c, err);
    if (st == WN_OK) st = wn_cached_scorers_create(c->open, scorers, &c->scorers, err);
    if (st == WN_OK) *scorers = wn_cached_scorers_calls(c->scorers);
    return st;
}

void cli_score_cache_drop(cli_score_cache *c) {
    wn_cached_scorers_free(c->scorers);
    c->scorers = NULL;
}

void cli_score_cache_close(cli_score_cache *c) {
    cli_score_cache_drop(c);
    wn_score_cache_close(c->open);
    c->open = NULL;
}

wn_score_cache_info cli_score_cache_info(const cli_score_cache *c) {
    return c->open ? wn_score_cache_describe(c->open) : (wn_score_cache_info){0};
}
