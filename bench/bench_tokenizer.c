/* bench_tokenizer.c -- tokenizer speed, one core: MB/s of text, ids without template.
 * Time is the thread's processor time, so that a busy machine tells little lies.
 *
 *   bench_tokenizer TOKENIZER.JSON FILE.jsonl [REPEATS]
 *
 * Every "text" of the file is encoded, one after another, in one thread. Prints CSV:
 * program, tokenizer, file, texts, bytes, tokens, then MB/s at the fastest and at the
 * median repeat, and the warm open in milliseconds. bench_tokenizer_hf.py prints the
 * same line for Hugging Face tokenizers; run both beside each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <winnow/text.h>

#include "core/file.h"
#include "core/json.h"

typedef struct corpus {
    wn_buf bytes;
    size_t *start, count, cap; /* start: [count + 1] */
} corpus;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

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

int main(int argc, char **argv) {
    wn_error err = {0};
    corpus c = {0};
    wn_tokenizer *t = NULL;
    wn_encoding *e = NULL;
    int repeats = argc > 3 ? atoi(argv[3]) : 7;
    double times[64], opened;
    size_t tokens = 0;
    if (argc < 3 || repeats < 1 || repeats > 64) {
        fprintf(stderr, "usage: bench_tokenizer TOKENIZER.JSON FILE.jsonl [REPEATS, 1 to 64]\n");
        return 2;
    }
    if (read_corpus(argv[2], &c, &err) != WN_OK) return fail(&err);
    if (wn_tokenizer_open(argv[1], &t, &err) != WN_OK) return fail(&err); /* fills the cache */
    wn_tokenizer_close(t);
    opened = now();
    if (wn_tokenizer_open(argv[1], &t, &err) != WN_OK) return fail(&err);
    opened = now() - opened;
    if (wn_encoding_create(&e, &err) != WN_OK) return fail(&err);
    for (int r = -1; r < repeats; r++) { /* the first round warms up */
        double begin = now();
        tokens = 0;
        for (size_t i = 0; i < c.count; i++) {
            wn_str text = {c.bytes.data + c.start[i], c.start[i + 1] - c.start[i]};
            if (wn_tokenizer_encode(t, text, NULL, 0, WN_TRUNCATE_NONE, e, &err) != WN_OK) return fail(&err);
            tokens += wn_encoding_length(e) - wn_tokenizer_special_count(t, false);
        }
        if (r >= 0) times[r] = now() - begin;
    }
    qsort(times, (size_t)repeats, sizeof *times, by_time);
    double mb = (double)c.bytes.len / 1e6;
    printf("winnow,%s,%s,%zu,%zu,%zu,%.1f,%.1f,%.2f\n", argv[1], argv[2], c.count, c.bytes.len, tokens,
           mb / times[0], mb / times[repeats / 2], opened * 1e3);
    wn_encoding_free(e);
    wn_tokenizer_close(t);
    wn_buf_release(&c.bytes);
    wn_free(c.start);
    return 0;
}
