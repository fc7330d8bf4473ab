/* cmd_score.c -- {"query", "document"} a line in, {"score", ...} a line out, by either kind of encoder. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 }; /* pairs read before scoring: bounds memory, never changes a score */

typedef struct {
    wn_bi_encoder *bi;
    wn_cross_encoder *cross;
    cli_score_cache cache;
    wn_length_policy policy;
    json_t *objects[BATCH];
    wn_str queries[BATCH], documents[BATCH];
    wn_pair_score pairs[BATCH];
    size_t n;
} score_batch;

static wn_status score(score_batch *batch, wn_error *err) {
    if (batch->cross && batch->cache.open)
        return wn_score_cache_pairs(batch->cache.open, batch->cross, batch->queries, batch->documents, batch->n, 0,
                                    batch->policy, batch->pairs, err);
    if (batch->cross)
        return wn_cross_encoder_score_pairs(batch->cross, batch->queries, batch->documents, batch->n,
                                            0, batch->policy, batch->pairs, err);
    for (size_t i = 0; i < batch->n;) {
        /* one query's run of lines at once: the query is embedded once */
        float scores[BATCH];
        size_t end = i + 1;
        while (end < batch->n && batch->queries[end].len == batch->queries[i].len &&
               memcmp(batch->queries[end].data, batch->queries[i].data, batch->queries[i].len) == 0)
            end++;
        wn_status st = wn_bi_encoder_score_batch(batch->bi, batch->queries[i], batch->documents + i,
                                                 end - i, 0, scores, err);
        if (st != WN_OK) return st;
        for (size_t j = i; j < end; j++) batch->pairs[j].score = scores[j - i];
        i = end;
    }
    return WN_OK;
}

static void clear(score_batch *batch) {
    for (size_t i = 0; i < batch->n; i++) json_decref(batch->objects[i]);
    batch->n = 0;
}

static int flush(score_batch *batch) {
    wn_error err;
    int code = -1;
    if (batch->n && score(batch, &err) != WN_OK) code = cli_fail(&err);
    for (size_t i = 0; code < 0 && i < batch->n; i++) {
        const wn_pair_score *pair = &batch->pairs[i];
        json_t *out = json_pack("{s:o}", "score", rec_real(pair->score));
        if (batch->cross) json_object_set_new(out, "logit", rec_real(pair->logit));
        if (batch->cross && (pair->fit.tokens_dropped || pair->fit.query_dropped)) {
            json_object_set_new(out, "tokens_seen", json_integer(pair->fit.tokens_seen));
            json_object_set_new(out, "tokens_dropped", json_integer(pair->fit.tokens_dropped));
            json_object_set_new(out, "query_tokens_dropped", json_integer(pair->fit.query_dropped));
        }
        cli_print_json(stdout, out);
    }
    clear(batch);
    return code;
}

static int run(cli_lines *lines, score_batch *batch) {
    int code = -1;
    while (code < 0) {
        json_t *object = cli_lines_next_object(lines);
        if (!object) break;
        size_t i = batch->n;
        batch->queries[i].data = cli_lines_string(lines, object, "query", &batch->queries[i].len);
        if (batch->queries[i].data)
            batch->documents[i].data =
                cli_lines_string(lines, object, "document", &batch->documents[i].len);
        if (cli_lines_failed(lines)) {
            json_decref(object);
            break;
        }
        batch->objects[batch->n++] = object;
        if (batch->n == BATCH) code = flush(batch);
    }
    if (code < 0) code = flush(batch);
    clear(batch);
    if (code >= 0) return code;
    return cli_lines_failed(lines) ? EXIT_FAILED : cli_finish_output();
}

int cmd_score(int argc, char **argv) {
    const char *name = NULL;
    size_t max_length = 0;
    int threads = 0, policy = 0, precision = 0;
    cli_score_cache cache = {0};
    const cli_option options[] = {
        {"model", 'm', OPT_STRING, &name, "DIR", "model directory or cache name (default: the reranker)"},
        {"max-length", 0, OPT_SIZE, &max_length, "N", "cut pairs to N tokens", 1},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long passages",
         .choices = REC_LENGTH_POLICIES},
        {"precision", 0, OPT_CHOICE, &precision, NULL, "of the products; auto: the fastest that is safe",
         .choices = PRECISIONS},
        SCORE_CACHE_OPTIONS(cache),
        {"threads", 't', OPT_INT, &threads, "N", "worker threads (default: one a processor)", 0},
    };
    const cli_command command = {
        "score --model DIR [FILE...]",
        "Reads {\"query\", \"document\"}, one JSON object a line; writes {\"score\", \"logit\"} for a\n"
        "cross-encoder, {\"score\"} (cosine) for a bi-encoder, and what was cut where something was.",
        options, sizeof options / sizeof *options};
    cli_list files = {0};
    int code = cli_parse(&command, argc, argv, &files);
    wn_error err;
    wn_model *model = NULL;
    cli_lines *lines = NULL;
    score_batch *batch = NULL;
    if (code >= 0) goto done;
    code = EXIT_FAILED;
    if (cli_model_open(name, DEFAULT_RERANKERS, max_length, precision, &model, &err) != WN_OK) {
        code = cli_fail(&err);
        goto done;
    }
    batch = calloc(1, sizeof *batch);
    lines = cli_lines_open(&files);
    if (!batch || !lines) goto done;
    batch->policy = (wn_length_policy)policy;
    batch->cache = cache;
    wn_status st = wn_model_describe(model).kind == WN_MODEL_CROSS_ENCODER
                       ? wn_cross_encoder_create(model, threads, &batch->cross, &err)
                       : wn_bi_encoder_create(model, threads, &batch->bi, &err);
    if (st == WN_OK && batch->cross) st = cli_score_cache_open(&batch->cache, &err);
    code = st == WN_OK ? run(lines, batch) : cli_fail(&err);
    if (batch->cache.open) {
        wn_score_cache_info info = cli_score_cache_info(&batch->cache);
        fprintf(stderr, "winnow: score cache: %llu pairs known, %llu computed\n", (unsigned long long)info.hits,
                (unsigned long long)info.misses);
    }
done:
    if (batch) {
        cli_score_cache_close(&batch->cache);
        wn_bi_encoder_free(batch->bi);
        wn_cross_encoder_free(batch->cross);
        free(batch);
    }
    cli_lines_close(lines);
    wn_model_close(model);
    cli_list_release(&files);
    return code;
}
