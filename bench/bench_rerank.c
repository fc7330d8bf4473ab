/* bench_rerank.c -- what a user waits for: score_batch of one query and its candidates, tokenising included.
 *
 *   bench_rerank MODEL_DIR DATA_DIR [--queries 8] [--candidates 50] [--threads N] [--repeat 5]
 *                [--precision f32|bf16|int8|auto] [--serve]
 *
 * DATA_DIR is a collection in BEIR layout with runs/BM25.trec (shared data: msmarco_dl19). Every query is
 * scored once to warm up, then all of them `repeat` times; printed: median and least wall time a query,
 * processor time a query (other programs disturb it less), tokens a second.
 *
 * --serve: for rerank_peers.py, which interleaves us with the peers. A query's number a line on standard
 * input, its wall and processor milliseconds and its tokens on standard output. */
#include "bench_program.h"
#include "core/json.h"
#include "core/memory.h"
#include <winnow/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct text {
    char *id, *body;
    size_t len;
} text;
typedef struct query {
    text text;
    wn_str *candidates;
    size_t n;
} query;

static text *corpus;
static size_t ncorpus, corpus_cap;
static query *queries;
static size_t nqueries, queries_cap;

static FILE *open_in(const char *dir, const char *name) {
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f) die(path);
    return f;
}

static int by_id(const void *a, const void *b) { return strcmp(((const text *)a)->id, ((const text *)b)->id); }

/* Every {"_id", "text"} of a file, or the first `most`. */
static void texts_read(const char *dir, const char *name, size_t most, void (*add)(text)) {
    FILE *f = open_in(dir, name);
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    for (size_t n = 0; n < most && (len = getline(&line, &cap, f)) > 0; n++) {
        json_t *one;
        wn_error err;
        if (wn_json_parse(name, line, (size_t)len, &one, &err) != WN_OK) die(err.message);
        const json_t *body = json_object_get(one, "text");
        add((text){strdup(json_string_value(json_object_get(one, "_id"))), strdup(json_string_value(body)),
                   json_string_length(body)});
        json_decref(one);
    }
    free(line);
    fclose(f);
}
static void corpus_add(text t) {
    if (wn_grow(&corpus, &corpus_cap, ncorpus + 1, sizeof *corpus, NULL)) die("out of memory");
    corpus[ncorpus++] = t;
}
static void query_add(text t) {
    if (wn_grow(&queries, &queries_cap, nqueries + 1, sizeof *queries, NULL)) die("out of memory");
    queries[nqueries++] = (query){.text = t};
}

/* The first `most` candidates of each query, in the order of the run file (ranks ascend there). */
static void run_read(const char *dir, size_t most) {
    FILE *f = open_in(dir, "runs/BM25.trec");
    char line[512], id[64], doc[64];
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%63s Q0 %63s", id, doc) != 2) continue;
        for (size_t q = 0; q < nqueries; q++) {
            if (strcmp(queries[q].text.id, id) != 0 || queries[q].n == most) continue;
            const text key = {.id = doc}, *hit = bsearch(&key, corpus, ncorpus, sizeof *corpus, by_id);
            if (!hit) die("a candidate is not in the corpus");
            if (!queries[q].candidates) queries[q].candidates = calloc(most, sizeof(wn_str));
            queries[q].candidates[queries[q].n++] = (wn_str){hit->body, hit->len};
        }
    }
    fclose(f);
}

typedef struct timing {
    double wall, cpu;
    size_t tokens; /* of the passages */
} timing;

static timing query_run(wn_cross_encoder *encoder, const query *q) {
    static wn_pair_score out[1000];
    wn_error err;
    timing t = {-clock_ms(CLOCK_MONOTONIC), -clock_ms(CLOCK_PROCESS_CPUTIME_ID), 0};
    if (wn_cross_encoder_score_batch(encoder, (wn_str){q->text.body, q->text.len}, q->candidates, q->n, q->n,
                                     WN_LENGTH_TRUNCATE, out, &err) != WN_OK)
        die(err.message);
    t.wall += clock_ms(CLOCK_MONOTONIC);
    t.cpu += clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < q->n; i++) t.tokens += out[i].fit.tokens_seen;
    return t;
}

static void serve(wn_cross_encoder *encoder) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        size_t q = (size_t)atol(line);
        if (q >= nqueries) die("no such query");
        timing t = query_run(encoder, &queries[q]);
        printf("%.3f %.3f %zu\n", t.wall, t.cpu, t.tokens);
        fflush(stdout);
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(wn_cross_encoder *encoder, int repeat) {
    size_t n = 0, tokens = 0;
    double *walls = malloc((size_t)repeat * nqueries * sizeof *walls), wall = 0, cpu = 0;
    for (size_t q = 0; q < nqueries; q++) query_run(encoder, &queries[q]);
    for (int r = 0; r < repeat; r++)
        for (size_t q = 0; q < nqueries; q++) {
            timing t = query_run(encoder, &queries[q]);
            wall += walls[n++] = t.wall;
            cpu += t.cpu;
            tokens += t.tokens;
        }
    qsort(walls, n, sizeof *walls, by_value);
    wn_precision precision = wn_model_describe(wn_cross_encoder_model(encoder)).precision;
    printf("winnow %s: %zu queries x %zu candidates, median %.1f ms/query, least %.1f, processor %.1f ms/query, "
           "%.0f passage tokens/s\n", wn_precision_name(precision), nqueries, queries[0].n, walls[n / 2], walls[0], cpu / (double)n,
           (double)tokens / wall * 1e3);
    free(walls);
}

int main(int argc, char **argv) {
    size_t candidates = 50, most = 8;
    int threads = 0, repeat = 5;
    bool serving = false;
    wn_error err;
    wn_model *model = NULL;
    wn_model_options options = wn_model_options_default();
    wn_cross_encoder *encoder = NULL;
    if (argc < 3) return fprintf(stderr, "usage: bench_rerank MODEL_DIR DATA_DIR [options]\n"), 2;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--serve")) serving = true;
        else if (i + 1 < argc && !strcmp(argv[i], "--queries")) most = (size_t)atol(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--candidates")) candidates = (size_t)atol(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--threads")) threads = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--repeat")) repeat = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--precision")) {
            if (!precision_read(argv[++i], &options.precision)) die("winnow has no such precision");
        } else return fprintf(stderr, "bench_rerank: what is %s?\n", argv[i]), 2;
    }
    if (candidates < 1 || candidates > 1000 || repeat < 1) die("--candidates is 1 to 1000, --repeat at least 1");
    texts_read(argv[2], "corpus.jsonl", SIZE_MAX, corpus_add);
    qsort(corpus, ncorpus, sizeof *corpus, by_id);
    texts_read(argv[2], "queries.jsonl", most, query_add);
    run_read(argv[2], candidates);
    if (wn_model_open(argv[1], &options, &model, &err) || wn_cross_encoder_create(model, threads, &encoder, &err))
        die(err.message);
    if (serving) serve(encoder);
    else measure(encoder, repeat);
    wn_cross_encoder_free(encoder);
    wn_model_close(model);
    for (size_t q = 0; q < nqueries; q++) free(queries[q].candidates), free(queries[q].text.id), free(queries[q].text.body);
    for (size_t i = 0; i < ncorpus; i++) free(corpus[i].id), free(corpus[i].body);
    wn_free(queries);
    wn_free(corpus);
    return 0;
}
