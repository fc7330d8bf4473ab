/* bench_embed.c -- documents to embeddings, tokenising included, for embed_peers.py.
 *
 *   bench_embed MODEL_DIR CORPUS.jsonl [--documents 64] [--threads 2] [--precision f32]
 *
 * CORPUS.jsonl is BEIR's: a document is its title, a blank and its text. Each line on standard input, whatever it
 * says, embeds the first --documents of them in one call; the answer is a line with wall and processor
 * milliseconds and the number of tokens read (the passages' own, without the special ones). */
#include "bench_program.h"
#include "core/json.h"
#include "core/memory.h"
#include <winnow/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct documents {
    wn_str *texts;
    size_t n;
} documents;

static wn_str document_of(const json_t *row) {
    const char *title = json_string_value(json_object_get(row, "title")), *body = json_string_value(json_object_get(row, "text"));
    wn_buf text = {0};
    if (!body || wn_buf_printf(&text, NULL, "%s%s%s", title ? title : "", title && *title ? " " : "", body) != WN_OK)
        die("a line has no text");
    return (wn_str){text.data, text.len};
}

static documents documents_read(const char *path, size_t most) {
    documents d = {.texts = calloc(most, sizeof *d.texts)};
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    if (!f || !d.texts) die(path);
    while (d.n < most && (len = getline(&line, &cap, f)) > 0) {
        json_t *row;
        wn_error err;
        if (wn_json_parse(path, line, (size_t)len, &row, &err) != WN_OK) die(err.message);
        d.texts[d.n++] = document_of(row);
        json_decref(row);
    }
    free(line);
    fclose(f);
    return d;
}

static void serve(wn_bi_encoder *encoder, const documents *d) {
    char line[64];
    wn_error err;
    float *out = malloc(d->n * wn_bi_encoder_dim(encoder) * sizeof *out);
    wn_fit *fits = malloc(d->n * sizeof *fits);
    if (!out || !fits) die("out of memory");
    while (fgets(line, sizeof line, stdin)) {
        double wall = clock_ms(CLOCK_MONOTONIC), cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
        size_t tokens = 0;
        if (wn_bi_encoder_embed(encoder, d->texts, d->n, WN_ROLE_DOCUMENT, WN_LENGTH_TRUNCATE, out, fits, &err)) die(err.message);
        wall = clock_ms(CLOCK_MONOTONIC) - wall;
        cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        for (size_t i = 0; i < d->n; i++) tokens += fits[i].tokens_seen;
        printf("%.3f %.3f %zu\n", wall, cpu, tokens);
        fflush(stdout);
    }
    free(out);
    free(fits);
}

int main(int argc, char **argv) {
    size_t most = 64;
    int threads = 2;
    wn_error err;
    wn_model *model;
    wn_bi_encoder *encoder;
    wn_model_options options = wn_model_options_default();
    if (argc < 3) die("usage: bench_embed MODEL_DIR CORPUS.jsonl [options]");
    for (int i = 3; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--documents")) most = (size_t)atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--threads")) threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--precision")) die(argv[i]);
        else if (!precision_read(argv[i + 1], &options.precision)) die("winnow has no such precision");
    }
    documents d = documents_read(argv[2], most);
    if (wn_model_open(argv[1], &options, &model, &err) || wn_bi_encoder_create(model, threads, &encoder, &err)) die(err.message);
    serve(encoder, &d);
    wn_bi_encoder_free(encoder);
    wn_model_close(model);
    for (size_t i = 0; i < d.n; i++) wn_free((void *)(uintptr_t)d.texts[i].data);
    free(d.texts);
    return 0;
}
