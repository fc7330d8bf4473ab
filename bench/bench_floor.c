/* bench_floor.c -- a large reranker's time over the time of its matrix products alone, in one process.
 *
 *   bench_floor make DIR [--layers N]                       writes the model: config.json, model.safetensors
 *   bench_floor run DIR [--precision P] [--pairs 50] [--tokens 130] [--rounds 5] [--threads 2]
 *
 * The model has the shape of bge-reranker-large (XLM-R large: 24 layers of 1024, 16 heads, 4096, 250,002 words) and
 * random bf16 weights: speed does not depend on them. 24 layers are 1.1 GB on disk; --layers makes a shorter one.
 *
 * A round is the library's forward pass over `pairs` sequences of `tokens` tokens on average (ids: no tokenising),
 * then bare oneDNN matmuls of the same shapes: for each layer query-key-value, attention's output and both feed-forward
 * products of all tokens, each layer with weights of its own, no bias, the narrowest types oneDNN takes (f32; bf16 to
 * bf16; u8 x s8 to s32). A thread takes its share of the rows through all products, so that no thread waits for
 * another: a floor that a call with a team of threads does not reach on a busy machine.
 * The floor counts the last layer in full. The library does not compute it in full, since a score needs the first
 * token alone; `ratio_less_last` is therefore the ratio to the floor without the last layer.
 *
 * Memory: the process's peak (VmHWM) is read when the library has run once and the floor's own memory is not
 * there yet. packed_mib are the packed linears, words_mib the word table, which stays in the file; both are the model's
 * weights. files_mib are the mapped pages of files that were in memory then (libraries, the words that were read), which
 * the system may take back. One precision a process, so that peaks are of one.
 *
 * Prints one CSV line under its names; floor.py runs it for each precision. */
#include "bench_program.h"
#include "core/memory.h"
#include "core/threadpool.h"
#include "kernels/gemm.h"
#include "model/encoder_internal.h"

#include <dnnl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { HIDDEN = 1024, HEADS = 16, WIDE = 4096, WORDS = 250002, PLACES = 514, PRODUCTS = 4, MOST_THREADS = 64, MOST_ROUNDS = 64 };

typedef struct options {
    const char *dir;
    int layers, pairs, tokens, rounds, threads;
    wn_precision precision;
} options;

static uint16_t bf16_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}

/* ---- The model's files ---------------------------------------------------- */

typedef enum filling { RANDOM, ONES, ZEROS } filling;

/* Two passes over the same list of tensors: first the header's entries, then the numbers. */
typedef struct writer {
    FILE *file;
    bool numbers;
    wn_buf header;
    size_t offset;
} writer;

static void numbers_write(FILE *file, size_t n, filling how) {
    static uint16_t block[1 << 16];
    static float normal[1024];
    if (normal[0] == 0)
        for (int i = 0; i < 1024; i++) {
            float sum = 0; /* of four uniforms: near enough to normal, deviation 0.02 */
            for (int j = 0; j < 4; j++) sum += (float)random_32() / 4294967296.0f - 0.5f;
            normal[i] = sum * 0.0346f;
        }
    for (size_t done = 0; done < n;) {
        size_t part = n - done < 1 << 16 ? n - done : 1 << 16;
        for (size_t i = 0; i < part; i++)
            block[i] = how == RANDOM ? bf16_of(normal[random_32() & 1023]) : bf16_of(how == ONES ? 1 : 0);
        if (fwrite(block, 2, part, file) != part) die("the model cannot be written");
        done += part;
    }
}

static void tensor(writer *w, const char *name, size_t rows, size_t cols, filling how) {
    size_t n = rows * (cols ? cols : 1);
    if (w->numbers) {
        numbers_write(w->file, n, how);
        return;
    }
    char shape[64];
    snprintf(shape, sizeof shape, cols ? "[%zu,%zu]" : "[%zu]", rows, cols);
    if (wn_buf_printf(&w->header, NULL, "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                      w->offset ? "," : "{", name, shape, w->offset, w->offset + 2 * n) != WN_OK)
        die("out of memory");
    w->offset += 2 * n;
}

static void linear(writer *w, const char *prefix, const char *name, size_t out, size_t in) {
    char full[160];
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    tensor(w, full, out, in, RANDOM);
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    tensor(w, full, out, 0, RANDOM);
}

static void norm(writer *w, const char *prefix, const char *name) {
    char full[160];
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    tensor(w, full, HIDDEN, 0, ONES);
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    tensor(w, full, HIDDEN, 0, ZEROS);
}

static void tensors(writer *w, int layers) {
    char prefix[64] = "roberta.embeddings.";
    tensor(w, "roberta.embeddings.word_embeddings.weight", WORDS, HIDDEN, RANDOM);
    tensor(w, "roberta.embeddings.position_embeddings.weight", PLACES, HIDDEN, RANDOM);
    tensor(w, "roberta.embeddings.token_type_embeddings.weight", 1, HIDDEN, RANDOM);
    norm(w, prefix, "LayerNorm");
    for (int i = 0; i < layers; i++) {
        snprintf(prefix, sizeof prefix, "roberta.encoder.layer.%d.", i);
        linear(w, prefix, "attention.self.query", HIDDEN, HIDDEN);
        linear(w, prefix, "attention.self.key", HIDDEN, HIDDEN);
        linear(w, prefix, "attention.self.value", HIDDEN, HIDDEN);
        linear(w, prefix, "attention.output.dense", HIDDEN, HIDDEN);
        norm(w, prefix, "attention.output.LayerNorm");
        linear(w, prefix, "intermediate.dense", WIDE, HIDDEN);
        linear(w, prefix, "output.dense", HIDDEN, WIDE);
        norm(w, prefix, "output.LayerNorm");
    }
    linear(w, "classifier.", "dense", HIDDEN, HIDDEN);
    linear(w, "classifier.", "out_proj", 1, HIDDEN);
}

static FILE *file_create(const char *dir, const char *name) {
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f) die(path);
    return f;
}

static void model_make(const options *o) {
    writer w = {0};
    mkdir(o->dir, 0777);
    tensors(&w, o->layers);
    if (wn_buf_append(&w.header, "}", 1, NULL) != WN_OK) die("out of memory");
    while (w.header.len % 8)
        if (wn_buf_append(&w.header, " ", 1, NULL) != WN_OK) die("out of memory");
    w.file = file_create(o->dir, "model.safetensors");
    uint64_t length = w.header.len;
    if (fwrite(&length, 8, 1, w.file) != 1 || fwrite(w.header.data, 1, w.header.len, w.file) != w.header.len)
        die("the model cannot be written");
    w.numbers = true;
    tensors(&w, o->layers);
    if (fclose(w.file)) die("the model cannot be written");
    wn_buf_release(&w.header);
    FILE *f = file_create(o->dir, "config.json");
    fprintf(f, "{\"architectures\": [\"XLMRobertaForSequenceClassification\"], \"model_type\": \"xlm-roberta\", \"hidden_act\": \"gelu\",\n"
               " \"hidden_size\": %d, \"intermediate_size\": %d, \"num_attention_heads\": %d, \"num_hidden_layers\": %d,\n"
               " \"layer_norm_eps\": 1e-05, \"max_position_embeddings\": %d, \"pad_token_id\": 1, \"type_vocab_size\": 1,\n"
               " \"vocab_size\": %d, \"position_embedding_type\": \"absolute\", \"id2label\": {\"0\": \"LABEL_0\"}}\n",
            HIDDEN, WIDE, HEADS, o->layers, PLACES, WORDS);
    if (fclose(f)) die("the model cannot be written");
}

/* ---- The floor ------------------------------------------------------------ */

typedef struct product {
    size_t in, out;
    dnnl_primitive_t matmul;
    dnnl_memory_desc_t weights;
} product;

typedef struct share { /* a thread's rows */
    void *x, *y, *scratch;
    dnnl_stream_t stream;
    dnnl_memory_t from[PRODUCTS], to[PRODUCTS], scratchpad;
} share;

typedef struct floor_work {
    size_t rows, layers; /* rows of a share */
    dnnl_data_type_t source_type, weights_type, result_type;
    dnnl_engine_t engine;
    product products[PRODUCTS];
    dnnl_memory_t *weights; /* [layers][PRODUCTS] */
    share shares[MOST_THREADS];
    size_t scratch;
} floor_work;

#define DNNL(call)                                             \
    do {                                                       \
        if ((call) != dnnl_success) die("oneDNN: " #call);     \
    } while (0)

/* Small numbers of any type, never subnormal: bytes of 1 to 4, bf16 and f32 of +-0.01. */
static void *operand(size_t bytes, dnnl_data_type_t type) {
    unsigned char *p = wn_malloc_aligned(bytes);
    if (!p) die("out of memory");
    for (size_t i = 0; type == dnnl_f32 && i < bytes / 4; i++) ((float *)p)[i] = random_32() & 1 ? 0.01f : -0.01f;
    for (size_t i = 0; type == dnnl_bf16 && i < bytes / 2; i++) ((uint16_t *)p)[i] = bf16_of(random_32() & 1 ? 0.01f : -0.01f);
    for (size_t i = 0; type != dnnl_f32 && type != dnnl_bf16 && i < bytes; i++) p[i] = (unsigned char)(1 + (random_32() & 3));
    return p;
}

static dnnl_memory_desc_t matrix(size_t rows, size_t cols, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    DNNL(dnnl_memory_desc_init_by_tag(&md, 2, dims, type, tag));
    return md;
}

static void product_create(floor_work *f, product *p) {
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_attr_t attr;
    dnnl_memory_desc_t x = matrix(f->rows, p->in, f->source_type, dnnl_ab), y = matrix(f->rows, p->out, f->result_type, dnnl_ab);
    dnnl_memory_desc_t w = matrix(p->in, p->out, f->weights_type, dnnl_format_tag_any);
    DNNL(dnnl_matmul_desc_init(&desc, &x, &w, NULL, &y));
    DNNL(dnnl_primitive_attr_create(&attr));
    DNNL(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    DNNL(dnnl_primitive_desc_create(&pd, &desc, attr, f->engine, NULL));
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (bytes > f->scratch) f->scratch = bytes;
    p->weights = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    DNNL(dnnl_primitive_create(&p->matmul, pd));
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
}

static void share_create(floor_work *f, share *s) {
    size_t cells = f->rows * WIDE;
    s->x = operand(cells * dnnl_data_type_size(f->source_type), f->source_type);
    s->y = operand(cells * dnnl_data_type_size(f->result_type), f->result_type);
    s->scratch = wn_malloc_aligned(f->scratch + 64);
    if (!s->scratch) die("out of memory");
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {(dnnl_dim_t)f->scratch + 64};
    DNNL(dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_u8, dnnl_a));
    DNNL(dnnl_memory_create(&s->scratchpad, &md, f->engine, s->scratch));
    for (int i = 0; i < PRODUCTS; i++) {
        dnnl_memory_desc_t x = matrix(f->rows, f->products[i].in, f->source_type, dnnl_ab);
        dnnl_memory_desc_t y = matrix(f->rows, f->products[i].out, f->result_type, dnnl_ab);
        DNNL(dnnl_memory_create(&s->from[i], &x, f->engine, s->x));
        DNNL(dnnl_memory_create(&s->to[i], &y, f->engine, s->y));
    }
    DNNL(dnnl_stream_create(&s->stream, f->engine, dnnl_stream_default_flags));
}

/* A task of the pool: oneDNN fits a primitive to the calling thread's team, which is 1 there. */
static void floor_create(void *ctx, size_t task, int worker) {
    floor_work *f = ctx;
    DNNL(dnnl_engine_create(&f->engine, dnnl_cpu, 0));
    for (int i = 0; i < PRODUCTS; i++) product_create(f, &f->products[i]);
    f->weights = wn_calloc(f->layers * PRODUCTS, sizeof *f->weights);
    if (!f->weights) die("out of memory");
    for (size_t i = 0; i < f->layers * PRODUCTS; i++) {
        const dnnl_memory_desc_t *md = &f->products[i % PRODUCTS].weights;
        DNNL(dnnl_memory_create(&f->weights[i], md, f->engine, operand(dnnl_memory_desc_get_size(md), f->weights_type)));
    }
}

static void share_run(void *ctx, size_t task, int worker) {
    floor_work *f = ctx;
    share *s = &f->shares[task];
    for (size_t layer = 0; layer < f->layers; layer++)
        for (int i = 0; i < PRODUCTS; i++) {
            dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, s->from[i]}, {DNNL_ARG_WEIGHTS, f->weights[layer * PRODUCTS + (size_t)i]},
                                      {DNNL_ARG_DST, s->to[i]}, {DNNL_ARG_SCRATCHPAD, s->scratchpad}};
            DNNL(dnnl_primitive_execute(f->products[i].matmul, s->stream, 4, args));
            DNNL(dnnl_stream_wait(s->stream));
        }
}

/* Whatever the library calls its precisions: the name decides. */
static floor_work *floor_open(wn_pool *pool, const char *precision, size_t rows, size_t layers) {
    floor_work *f = calloc(1, sizeof *f);
    if (!f) die("out of memory");
    size_t threads = (size_t)wn_pool_size(pool);
    f->rows = (rows + threads - 1) / threads;
    f->layers = layers;
    f->source_type = f->weights_type = f->result_type = !strcmp(precision, "bf16") ? dnnl_bf16 : dnnl_f32;
    if (!strcmp(precision, "int8")) f->source_type = dnnl_u8, f->weights_type = dnnl_s8, f->result_type = dnnl_s32;
    f->products[0] = (product){.in = HIDDEN, .out = 3 * HIDDEN};
    f->products[1] = (product){.in = HIDDEN, .out = HIDDEN};
    f->products[2] = (product){.in = HIDDEN, .out = WIDE};
    f->products[3] = (product){.in = WIDE, .out = HIDDEN};
    wn_pool_run(pool, 1, floor_create, f);
    for (size_t i = 0; i < threads; i++) share_create(f, &f->shares[i]);
    return f;
}

/* ---- The measurement ------------------------------------------------------ */

typedef struct batch {
    wn_packed packed;
    int32_t *ids;
    uint32_t *starts;
} batch;

/* By Zipf's law, as the words of a text: the r-th with a chance of 1/r. So as much of the word table is read. */
static int32_t word(void) {
    double u = (double)random_32() / 4294967296.0;
    return (int32_t)(4 + exp(u * log(WORDS - 5)));
}

/* Lengths from 3/4 to 5/4 of `tokens`, evenly spread. */
static batch batch_make(const options *o) {
    batch b = {0};
    size_t n = (size_t)o->pairs, most = n * ((size_t)o->tokens * 5 / 4 + 1);
    b.ids = malloc(most * sizeof *b.ids);
    b.starts = malloc((n + 1) * sizeof *b.starts);
    if (!b.ids || !b.starts) die("out of memory");
    b.starts[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t length = (size_t)o->tokens * 3 / 4 + (n > 1 ? (size_t)o->tokens * (i * 7 % n) / (2 * (n - 1)) : (size_t)o->tokens / 4);
        b.starts[i + 1] = b.starts[i] + (uint32_t)(length ? length : 1);
    }
    for (uint32_t i = 0; i < b.starts[n]; i++) b.ids[i] = word();
    b.packed = (wn_packed){.ids = b.ids, .starts = b.starts, .n = n};
    return b;
}

/* A field of /proc/self/status that is in kB, in MiB. */
static double status_mib(const char *field) {
    char line[256];
    double kib = 0;
    size_t len = strlen(field);
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, field, len) && line[len] == ':') kib = atof(line + len + 1);
    if (f) fclose(f);
    return kib / 1024;
}

static double packed_mib(const wn_encoder *encoder) {
    const wn_linear **all = calloc(wn_encoder_most_linears(encoder), sizeof *all);
    size_t bytes = 0, n = all ? wn_encoder_linears(encoder, all) : 0;
    for (size_t i = 0; i < n; i++) bytes += wn_linear_bytes(all[i]);
    free(all);
    return (double)bytes / 1048576;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

typedef struct memory { /* MiB */
    double packed, words, peak, files;
} memory;

typedef struct times {
    double wall[MOST_ROUNDS], cpu[MOST_ROUNDS];
} times;

static void clock_begin(times *t, int round) {
    t->wall[round] = -clock_ms(CLOCK_MONOTONIC);
    t->cpu[round] = -clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}
static void clock_end(times *t, int round) {
    t->wall[round] += clock_ms(CLOCK_MONOTONIC);
    t->cpu[round] += clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

static void report(const options *o, const char *precision, size_t layers, size_t tokens, times *ours, times *bare, memory m) {
    double wall = median(ours->wall, o->rounds), floor_wall = median(bare->wall, o->rounds);
    double cpu = median(ours->cpu, o->rounds), floor_cpu = median(bare->cpu, o->rounds);
    double shorter = layers > 1 ? (double)layers / (double)(layers - 1) : 0;
    printf("precision,layers,pairs,tokens,threads,rounds,library_ms,floor_ms,ratio,ratio_less_last,library_cpu_ms,floor_cpu_ms,"
           "cpu_ratio,floor_gflops,packed_mib,words_mib,peak_mib,files_mib,peak_over_packed,peak_over_weights\n");
    printf("%s,%zu,%d,%zu,%d,%d,%.0f,%.0f,%.3f,%.3f,%.0f,%.0f,%.3f,%.0f,%.0f,%.0f,%.0f,%.0f,%.3f,%.3f\n", precision, layers, o->pairs, tokens,
           o->threads, o->rounds, wall, floor_wall, wall / floor_wall, wall / floor_wall * shorter, cpu, floor_cpu, cpu / floor_cpu,
           24.0 * HIDDEN * HIDDEN * (double)layers * (double)tokens / floor_wall * 1e-6, m.packed, m.words, m.peak, m.files,
           m.peak / m.packed, m.peak / (m.packed + m.words));
}

static void measure(const options *o) {
    static times ours, bare;
    wn_error err;
    wn_model_config config;
    wn_weights *weights;
    wn_encoder *encoder;
    wn_session *session;
    wn_pool *pool;
    if (wn_model_config_read(o->dir, &config, &err) || wn_weights_open(o->dir, &weights, &err) ||
        wn_encoder_create(&config, weights, o->precision, &encoder, &err) || wn_session_create(encoder, o->threads, &session, &err))
        die(err.message);
    batch b = batch_make(o);
    size_t tokens = b.starts[o->pairs];
    const char *precision = wn_precision_name(wn_encoder_precision(encoder));
    float *out = malloc((size_t)o->pairs * config.labels * sizeof *out);
    if (!out || wn_session_classify(session, &b.packed, out, &err)) die(err.message);
    memory m = {packed_mib(encoder), (double)encoder->words.bytes / 1048576, status_mib("VmHWM"), status_mib("RssFile")};
    if (wn_pool_create(o->threads, wn_gemm_thread_start, &pool, &err)) die(err.message);
    floor_work *f = floor_open(pool, precision, tokens, config.layers);
    wn_pool_run(pool, (size_t)o->threads, share_run, f);
    for (int r = 0; r < o->rounds; r++) {
        clock_begin(&ours, r);
        if (wn_session_classify(session, &b.packed, out, &err)) die(err.message);
        clock_end(&ours, r);
        clock_begin(&bare, r);
        wn_pool_run(pool, (size_t)o->threads, share_run, f);
        clock_end(&bare, r);
    }
    report(o, precision, config.layers, tokens, &ours, &bare, m);
    wn_pool_free(pool); /* the floor's memory goes with the process */
    wn_session_free(session);
    wn_encoder_free(encoder);
    wn_weights_close(weights);
    wn_model_config_release(&config);
    free(out), free(b.ids), free(b.starts);
}

int main(int argc, char **argv) {
    options o = {.layers = 24, .pairs = 50, .tokens = 130, .rounds = 5, .threads = 2};
    if (argc < 3) die("usage: bench_floor make|run DIR [options]");
    o.dir = argv[2];
    for (int i = 3; i + 1 < argc; i += 2) {
        int value = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--precision")) {
            if (!precision_read(argv[i + 1], &o.precision)) die("winnow has no such precision");
        } else if (!strcmp(argv[i], "--layers")) o.layers = value;
        else if (!strcmp(argv[i], "--pairs")) o.pairs = value;
        else if (!strcmp(argv[i], "--tokens")) o.tokens = value;
        else if (!strcmp(argv[i], "--rounds")) o.rounds = value;
        else if (!strcmp(argv[i], "--threads")) o.threads = value;
        else die(argv[i]);
    }
    if (o.layers < 2 || o.layers > 24 || o.pairs < 1 || o.pairs > 1000 || o.tokens < 4 || o.tokens > 400 || o.rounds < 1 ||
        o.rounds > MOST_ROUNDS || o.threads < 1 || o.threads > MOST_THREADS)
        die("an option is out of range");
    if (!strcmp(argv[1], "make")) model_make(&o);
    else measure(&o);
    return 0;
}
