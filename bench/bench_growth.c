/* bench_growth.c -- how reranking's time grows, for growth.py: any number of pairs of any length.
 *
 *   bench_growth MODEL_DIR [--threads 2] [--precision f32]
 *
 * A line on standard input, "PAIRS LENGTH", scores that many pairs of LENGTH tokens each (special ones included:
 * 16 to 512) in one call, tokenising included; the answer is a line with wall and processor milliseconds. Texts are
 * common words, each one token, in an order of their own for every pair: no cache can help. */
#include "bench_program.h"
#include <winnow/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUERY_WORDS = 6, SPECIAL = 3, MOST_PAIRS = 1000, LEAST_LENGTH = 16, MOST_LENGTH = 512, WORD_BYTES = 12 };

static const char *const words[] = {"water", "river", "city",   "law",    "house",   "school", "music",  "paper",  "engine", "bridge",
                                    "court", "market", "doctor", "winter", "island",  "science", "window", "garden", "metal",  "history",
                                    "forest", "price", "member", "system", "memory",  "morning", "account", "answer", "animal", "energy"};
enum { NWORDS = sizeof words / sizeof *words };

/* n words into text, which has room for n * WORD_BYTES. */
static wn_str sentence(char *text, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n; i++) len += (size_t)sprintf(text + len, i ? " %s" : "%s", words[random_32() % NWORDS]);
    return (wn_str){text, len};
}

static void answer(wn_cross_encoder *encoder, size_t pairs, size_t length) {
    static char query[QUERY_WORDS * WORD_BYTES];
    static wn_str passages[MOST_PAIRS];
    static wn_pair_score scores[MOST_PAIRS];
    wn_error err;
    size_t n = length - QUERY_WORDS - SPECIAL;
    char *texts = malloc(pairs * n * WORD_BYTES);
    if (!texts) die("out of memory");
    wn_str asked = sentence(query, QUERY_WORDS);
    for (size_t i = 0; i < pairs; i++) passages[i] = sentence(texts + i * n * WORD_BYTES, n);
    double wall = clock_ms(CLOCK_MONOTONIC), cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (wn_cross_encoder_score_batch(encoder, asked, passages, pairs, 64, WN_LENGTH_ERROR, scores, &err)) die(err.message);
    wall = clock_ms(CLOCK_MONOTONIC) - wall;
    cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    for (size_t i = 0; i < pairs; i++)
        if (scores[i].fit.tokens_seen != n) die("this tokenizer has more than one token for one of the words");
    printf("%.3f %.3f\n", wall, cpu);
    fflush(stdout);
    free(texts);
}

int main(int argc, char **argv) {
    int threads = 2;
    char line[64];
    wn_error err;
    wn_model *model;
    wn_cross_encoder *encoder;
    wn_model_options options = wn_model_options_default();
    if (argc < 2) die("usage: bench_growth MODEL_DIR [--threads N] [--precision P]");
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--threads")) threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--precision")) die(argv[i]);
        else if (!precision_read(argv[i + 1], &options.precision)) die("winnow has no such precision");
    }
    if (wn_model_open(argv[1], &options, &model, &err) || wn_cross_encoder_create(model, threads, &encoder, &err)) die(err.message);
    while (fgets(line, sizeof line, stdin)) {
        size_t pairs, length;
        if (sscanf(line, "%zu %zu", &pairs, &length) != 2 || pairs < 1 || pairs > MOST_PAIRS || length < LEAST_LENGTH || length > MOST_LENGTH)
            die("a line is PAIRS (1 to 1000) LENGTH (16 to 512)");
        answer(encoder, pairs, length);
    }
    wn_cross_encoder_free(encoder);
    wn_model_close(model);
    return 0;
}
