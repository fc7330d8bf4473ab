/* bench_encoder.c -- the forward pass alone, on token ids that another program made.
 *
 *   bench_encoder MODEL_DIR IDS_FILE [--repeat N] [--threads N] [--group TOKENS] [--print]
 *
 * IDS_FILE: one sequence a line: "JOB FIRST id id id ...". Sequences of the same JOB (a query's candidates) are
 * one call; the first FIRST tokens have type 0, the others 1. Every job is run once to warm up, then
 * all jobs N times; printed are the median and the least milliseconds a job, tokens a second, and the processor
 * time, which other programs on the machine disturb less. --print writes logits (or embeddings) first. */
#include "bench_program.h"
#include "core/memory.h"
#include "model/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct job {
    uint32_t first, n; /* sequences */
} job;

static int32_t *ids;
static uint8_t *types;
static uint32_t *starts;
static size_t nids, nsequences, njobs, ids_cap, starts_cap;
static job *jobs;

static int fail(const wn_error *err) {
    fprintf(stderr, "bench_encoder: %s\n", err->message);
    return 1;
}

/* starts[nsequences] is always the number of ids so far. */
static void sequence_add(void) {
    if (nsequences + 2 > starts_cap) {
        starts_cap = starts_cap ? 2 * starts_cap : 4096;
        starts = realloc(starts, starts_cap * sizeof *starts);
        starts[0] = 0;
    }
    starts[++nsequences] = (uint32_t)nids;
}

static void line_read(char *line, long *job_now) {
    char *p = line, *end;
    long number = strtol(p, &p, 10), first = strtol(p, &p, 10);
    if (!njobs || number != *job_now) {
        jobs = realloc(jobs, (njobs + 1) * sizeof *jobs);
        jobs[njobs++] = (job){(uint32_t)nsequences, 0};
        *job_now = number;
    }
    for (long i = 0;; i++, p = end) {
        long id = strtol(p, &end, 10);
        if (end == p) break;
        if (nids == ids_cap) {
            ids_cap = ids_cap ? 2 * ids_cap : 65536;
            ids = realloc(ids, ids_cap * sizeof *ids);
            types = realloc(types, ids_cap);
        }
        ids[nids] = (int32_t)id;
        types[nids++] = i >= first;
    }
    sequence_add();
    jobs[njobs - 1].n++;
}

static bool file_read(const char *path) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    long job_now = -1;
    if (!f) return false;
    while (getline(&line, &cap, f) > 0) line_read(line, &job_now);
    free(line);
    fclose(f);
    return nsequences > 0;
}

/* One call; relative starts are made in `local`. */
static wn_status job_run(wn_session *session, const job *j, bool classify, uint32_t *local, float *out,
                         wn_error *err) {
    uint32_t base = starts[j->first];
    for (uint32_t i = 0; i <= j->n; i++) local[i] = starts[j->first + i] - base;
    wn_packed batch = {.ids = ids + base, .type_ids = types + base, .starts = local, .n = j->n};
    return classify ? wn_session_classify(session, &batch, out, err)
                    : wn_session_embed(session, &batch, out, err);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int repeat = 3, threads = 0;
    size_t group = 0;
    bool print = false;
    wn_error err;
    wn_model_config config;
    wn_weights *weights;
    wn_encoder *encoder;
    wn_session *session;
    if (argc < 3) return fprintf(stderr, "usage: bench_encoder MODEL_DIR IDS_FILE [options]\n"), 2;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--print")) print = true;
        else if (i + 1 < argc && !strcmp(argv[i], "--repeat")) repeat = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--threads")) threads = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--group")) group = (size_t)atol(argv[++i]);
        else return fprintf(stderr, "bench_encoder: what is %s?\n", argv[i]), 2;
    }
    if (!file_read(argv[2])) return fprintf(stderr, "bench_encoder: cannot read %s\n", argv[2]), 1;
    double t = clock_s(CLOCK_MONOTONIC);
    if (wn_model_config_read(argv[1], &config, &err) || wn_weights_open(argv[1], &weights, &err) ||
        wn_encoder_create(&config, weights, WN_F32, &encoder, &err) ||
        wn_session_create_grouped(encoder, threads, group, &session, &err))
        return fail(&err);
    double load = clock_s(CLOCK_MONOTONIC) - t;
    bool classify = config.kind == WN_MODEL_CROSS_ENCODER;
    size_t width = classify ? config.labels : config.hidden;
    float *out = malloc(nsequences * width * sizeof *out);
    uint32_t *local = malloc((nsequences + 1) * sizeof *local);
    double *times = malloc((size_t)repeat * njobs * sizeof *times);
    for (size_t j = 0; j < njobs; j++)
        if (job_run(session, &jobs[j], classify, local, out + jobs[j].first * width, &err)) return fail(&err);
    for (size_t i = 0; print && i < nsequences * width; i++)
        printf("%.9g%c", (double)out[i], (i + 1) % width ? ' ' : '\n');
    double wall = 0, cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    size_t n = 0;
    for (int r = 0; r < repeat; r++)
        for (size_t j = 0; j < njobs; j++) {
            t = clock_s(CLOCK_MONOTONIC);
            if (job_run(session, &jobs[j], classify, local, out, &err)) return fail(&err);
            wall += times[n++] = clock_s(CLOCK_MONOTONIC) - t;
        }
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (n) {
        qsort(times, n, sizeof *times, by_value);
        fprintf(stderr, "winnow f32: median %.1f ms, least %.1f ms a job, cpu %.1f ms a job, %.0f tokens/s, load %.0f ms\n",
                times[n / 2] * 1e3, times[0] * 1e3, cpu / (double)n * 1e3,
                (double)nids * repeat / wall, load * 1e3);
    }
    wn_session_free(session);
    wn_encoder_free(encoder);
    wn_weights_close(weights);
    wn_model_config_release(&config);
    free(out), free(local), free(times), free(ids), free(types), free(starts), free(jobs);
    return 0;
}
