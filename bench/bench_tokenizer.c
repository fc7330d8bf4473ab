/* bench_tokenizer.c -- tokenizer speed, one core: MB/s of text, ids without template.
 * Time is the thread's processor time, so that a busy machine tells little lies.
 *
 *   bench_tokenizer TOKENIZER.JSON FILE.jsonl [REPEATS | --serve]
 *
 * Every "text" of the file is encoded, one after another, in one thread. Prints CSV:
 * program, tokenizer, file, texts, bytes, tokens, then MB/s at the fastest and at the
 * median repeat, and the warm open in milliseconds.
 *
 * --serve: for tokenizer_peers.py, which takes turns between us and Hugging Face tokenizers. Every line on
 * standard input is one round over the file; the answer is wall and processor milliseconds, tokens, a checksum of
 * the ids (the sum of id times its place, modulo 2^31 - 1) and the warm open in milliseconds. */
#include "bench_program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <winnow/text.h>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

typedef struct corpus {
    wn_buf bytes;
    size_t *start, count, cap; /* start: [count + 1] */
} corpus;

static double now(void) { return clock_s(CLOCK_THREAD_CPUTIME_ID); }

static int fail(const wn_error *err) {
    fprintf(stderr, "bench_tokenizer: %s\n", err->message);
    return 1;
}

static wn_status read_corpus(const char *path, corpus *c, wn_error *err) {
    wn_map map = {0};
    wn_status st = wn_map_open(path, &map, err);
    for (size_t at = 0; st == WN_OK && at < map.size;) {
        const char *line = (const char *)map.data + at, *end = memchr(line, '\n', map.size - at);
        size_t len = end ? (size_t)(end - line) : map.size - at;
        json_t *row = NULL;
        at += len + 1;
        st = wn_json_parse(path, line, len, &row, err);
        if (st == WN_OK) st = wn_grow(&c->start, &c->cap, c->count + 2, sizeof *c->start, err);
        if (st == WN_OK) {
            const json_t *text = json_object_get(row, "text");
            c->start[c->count++] = c->bytes.len;
            st = wn_buf_append(&c->bytes, json_string_value(text), json_string_length(text), err);
            c->start[c->count] = c->bytes.len;
        }
        json_decref(row);
    }
    wn_map_close(&map);
    return st;
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(char **argv, const corpus *c, size_t tokens, double *times, int repeats, double opened) {
    qsort(times, (size_t)repeats, sizeof *times, by_time);
    double mb = (double)c->bytes.len / 1e6;
    printf("winnow,%s,%s,%zu,%zu,%zu,%.1f,%.1f,%.2f\n", argv[1], argv[2], c->count, c->bytes.len, tokens, mb / times[0],
           mb / times[repeats / 2], opened * 1e3);
}

/* One round over all texts; the ids without template. sum: NULL, or where the ids' checksum goes. */
static wn_status encode_all(const wn_tokenizer *t, const corpus *c, wn_encoding *e, size_t *tokens, uint64_t *sum, wn_error *err) {
    *tokens = 0;
    for (size_t i = 0; i < c->count; i++) {
        wn_str text = {c->bytes.data + c->start[i], c->start[i + 1] - c->start[i]};
        WN_TRY(wn_tokenizer_encode_raw(t, text, e, err));
        size_t n = wn_encoding_length(e);
        const int32_t *ids = wn_encoding_ids(e);
        for (size_t k = 0; sum && k < n; k++) *sum = (*sum + (uint64_t)ids[k] * (*tokens + k + 1)) % 2147483647u;
        *tokens += n;
    }
    return WN_OK;
}

static int serve(const wn_tokenizer *t, const corpus *c, wn_encoding *e, double opened) {
    char line[64];
    size_t tokens;
    uint64_t sum = 0;
    wn_error err;
    if (encode_all(t, c, e, &tokens, &sum, &err) != WN_OK) return fail(&err);
    while (fgets(line, sizeof line, stdin)) {
        double wall = clock_s(CLOCK_MONOTONIC), cpu = now();
        if (encode_all(t, c, e, &tokens, NULL, &err) != WN_OK) return fail(&err);
        cpu = now() - cpu;
        wall = clock_s(CLOCK_MONOTONIC) - wall;
        printf("%.3f %.3f %zu %llu %.3f\n", wall * 1e3, cpu * 1e3, tokens, (unsigned long long)sum, opened * 1e3);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    wn_error err = {0};
    corpus c = {0};
    wn_tokenizer *t = NULL;
    wn_encoding *e = NULL;
    bool serving = argc > 3 && !strcmp(argv[3], "--serve");
    int repeats = argc > 3 && !serving ? atoi(argv[3]) : 7, st = 0;
    double times[64], opened;
    size_t tokens = 0;
    if (argc < 3 || repeats < 1 || repeats > 64) {
        fprintf(stderr, "usage: bench_tokenizer TOKENIZER.JSON FILE.jsonl [REPEATS, 1 to 64 | --serve]\n");
        return 2;
    }
    if (read_corpus(argv[2], &c, &err) != WN_OK) return fail(&err);
    if (wn_tokenizer_open(argv[1], &t, &err) != WN_OK) return fail(&err); /* fills the cache */
    wn_tokenizer_close(t);
    opened = now();
    if (wn_tokenizer_open(argv[1], &t, &err) != WN_OK) return fail(&err);
    opened = now() - opened;
    if (wn_encoding_create(&e, &err) != WN_OK) return fail(&err);
    for (int r = -1; r < repeats && !serving; r++) { /* the first round warms up */
        double begin = now();
        if (encode_all(t, &c, e, &tokens, NULL, &err) != WN_OK) return fail(&err);
        if (r >= 0) times[r] = now() - begin;
    }
    if (serving) st = serve(t, &c, e, opened);
    else report(argv, &c, tokens, times, repeats, opened);
    wn_encoding_free(e);
    wn_tokenizer_close(t);
    wn_buf_release(&c.bytes);
    wn_free(c.start);
    return st;
}
