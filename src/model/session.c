/* session.c -- the forward pass: groups of whole sequences, one worker each, no barriers.
 *
 * A batch's tokens lie packed, without padding. They are cut into groups of about GROUP_TOKENS, at
 * sequence boundaries; a pool task takes one group through ALL layers. Workers meet once, at the end. The
 * usual design splits every matrix product over all threads: 4 barriers a layer, and each worker's rows move
 * between cores' caches. Here a group's activations stay in one core's second-level cache.
 *
 * Within a layer a group's rows go through query-key-value together, then attention by sequence and head,
 * then in tiles of TILE_ROWS through everything that is row by row: attention's output product, norm, both
 * feed-forward products, norm. So the feed-forward's wide intermediate is never more than one tile.
 *
 * The last layer of a cross-encoder or a CLS-pooled model computes key and value for all tokens, but query,
 * attention and feed-forward for the first token of each sequence alone, gathered into rows 0, 1, ... of the
 * group: 5/6 of one layer in 6 saved for MiniLM.
 *
 * Same bits. Every kernel and product gives a row the same bits whatever rows are beside it, so a
 * sequence's result depends on neither batch, order, grouping nor thread count.
 *
 * What stays serial: one sequence runs on one worker; a call with fewer sequences than workers leaves some
 * idle. For one query of a search (10 tokens) that is the fastest way anyhow: its time is that of reading the
 * weights once. One pair of 512 tokens on many cores is where a split by rows would pay.
 *
 * Memory: a worker's arena holds GROUP_TOKENS plus the longest sequence, sized at creation. */
#include "core/cpu.h"
#include "core/error.h"
#include "core/memory.h"
#include "model/encoder_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { GROUP_TOKENS = 256, TILE_ROWS = 64 };

typedef struct worker {
    wn_gemm *gemm;
    wn_arena arena;
    float *x;       /* [rows, hidden]: the state */
    float *qkv;     /* [rows, 3 hidden], or [rows, 2 hidden] keys and values, then [rows, hidden] queries */
    float *context; /* [rows, hidden]: attention's result */
    float *wide;    /* [TILE_ROWS, intermediate] */
    float *narrow;  /* [TILE_ROWS, hidden] */
    float *scratch; /* of the attention kernel */
} worker;

struct wn_session {
    const wn_encoder *encoder;
    wn_pool *pool;
    worker *workers;
    size_t nworkers, group_tokens;
};

typedef enum wanted { WANT_EMBEDDING, WANT_LOGITS, WANT_STATES } wanted;

typedef struct forward {
    const wn_session *session;
    const wn_packed *batch;
    wanted want;
    float *out;
    size_t ntasks;
    _Atomic bool failed;
} forward;

/* ---- Embedding sum -------------------------------------------------------- */

static void word_read(const wn_encoder *encoder, int32_t id, float *out) {
    size_t hidden = encoder->config.hidden;
    size_t width = encoder->words.dtype == WN_DTYPE_F32 ? 4 : 2;
    const unsigned char *row = encoder->words.data + (size_t)id * hidden * width;
    switch (encoder->words.dtype) {
    case WN_DTYPE_F16: encoder->kernels->f16_to_f32(row, out, hidden); break;
    case WN_DTYPE_BF16: encoder->kernels->bf16_to_f32(row, out, hidden); break;
    default: memcpy(out, row, hidden * sizeof *out); break;
    }
}

/* One sequence. Positions: BERT counts from 0. RoBERTa counts tokens that are not padding from padding_idx + 1,
 * and a padding token (a text may spell one) stands at padding_idx and is not counted. */
static void embed_sequence(const wn_encoder *encoder, const int32_t *ids, const uint8_t *types,
                           size_t n, float *x) {
    const wn_model_config *c = &encoder->config;
    size_t position = c->position_offset;
    for (size_t i = 0; i < n; i++, x += c->hidden) {
        bool padding = c->roberta && position > 0 && (size_t)ids[i] + 1 == c->position_offset;
        size_t place = padding ? c->position_offset - 1 : position++;
        if (types) place += types[i] * c->max_positions;
        word_read(encoder, ids[i], x);
        encoder->kernels->add_layer_norm_f32(x, encoder->places + place * c->hidden,
                                             encoder->embedding_norm.gamma, encoder->embedding_norm.beta,
                                             c->layer_norm_eps, x, 1, c->hidden);
    }
}

/* ---- One layer ------------------------------------------------------------ */

/* The sequences [first, last) of the batch, as one worker computes them. */
typedef struct group {
    const wn_encoder *encoder;
    worker *w;
    const uint32_t *starts; /* [n + 1], of the batch; the group's rows count from starts[0] */
    size_t n;
} group;

static size_t group_rows(const group *g) { return g->starts[g->n] - g->starts[0]; }

/* Rows that fill a GEMM tile up: read by it, their results never used. Zeros, so that no leftover
 * NaN or subnormal slows the product down. */
static void clear_padding(float *x, size_t rows, size_t width) {
    memset(x + rows * width, 0, (wn_gemm_padded_rows(rows) - rows) * width * sizeof *x);
}

/* context = attention of every head; queries: one row a token, or one a sequence. */
static void attend(const group *g, const float *q, size_t ldq, const float *kv, size_t ldkv,
                   bool first_only) {
    const wn_encoder *e = g->encoder;
    size_t hidden = e->config.hidden, dim = e->head_dim;
    float scale = 1.0f / sqrtf((float)dim);
    for (size_t s = 0; s < g->n; s++) {
        size_t begin = g->starts[s] - g->starts[0], n = g->starts[s + 1] - g->starts[s];
        size_t row = first_only ? s : begin;
        for (size_t h = 0; h < e->config.heads; h++) {
            const float *k = kv + begin * ldkv + h * dim;
            e->kernels->attention_f32(q + row * ldq + h * dim, ldq, k, k + hidden, ldkv,
                                      g->w->context + row * hidden + h * dim, hidden,
                                      first_only ? 1 : n, n, dim, scale, g->w->scratch);
        }
    }
}

/* Rows 0, 1, ... of x become the first tokens of the sequences. */
static void gather_first(const group *g, float *x, size_t width) {
    for (size_t s = 1; s < g->n; s++)
        memcpy(x + s * width, x + (g->starts[s] - g->starts[0]) * width, width * sizeof *x);
}

static bool query_key_value(const group *g, const wn_layer *layer, bool first_only) {
    worker *w = g->w;
    size_t rows = group_rows(g), hidden = g->encoder->config.hidden;
    if (layer->qkv) {
        if (!wn_linear_run(layer->qkv, w->gemm, w->x, w->qkv, rows)) return false;
        attend(g, w->qkv, 3 * hidden, w->qkv + hidden, 3 * hidden, false);
        return true;
    }
    float *q = w->qkv + wn_gemm_padded_rows(rows) * 2 * hidden;
    if (!wn_linear_run(layer->kv, w->gemm, w->x, w->qkv, rows)) return false;
    if (first_only) gather_first(g, w->x, hidden);
    if (!wn_linear_run(layer->q, w->gemm, w->x, q, first_only ? g->n : rows)) return false;
    attend(g, q, hidden, w->qkv, 2 * hidden, first_only);
    return true;
}

/* first_only needs a layer whose query is packed apart; x then holds a row a sequence. */
static bool layer_run(const group *g, const wn_layer *layer, bool first_only) {
    const wn_encoder *e = g->encoder;
    const wn_kernels *k = e->kernels;
    worker *w = g->w;
    size_t hidden = e->config.hidden, rows = first_only ? g->n : group_rows(g);
    float eps = e->config.layer_norm_eps;
    if (!query_key_value(g, layer, first_only)) return false;
    clear_padding(w->context, rows, hidden);
    for (size_t done = 0; done < rows; done += TILE_ROWS) {
        size_t n = rows - done < TILE_ROWS ? rows - done : TILE_ROWS;
        float *x = w->x + done * hidden;
        if (!wn_linear_run(layer->attention_out, w->gemm, w->context + done * hidden, w->narrow, n))
            return false;
        k->add_layer_norm_f32(w->narrow, x, layer->attention_norm.gamma, layer->attention_norm.beta, eps,
                              x, n, hidden);
        if (!wn_linear_run(layer->ffn_in, w->gemm, x, w->wide, n) ||
            !wn_linear_run(layer->ffn_out, w->gemm, w->wide, w->narrow, n))
            return false;
        k->add_layer_norm_f32(w->narrow, x, layer->ffn_norm.gamma, layer->ffn_norm.beta, eps, x, n, hidden);
    }
    return true;
}

/* ---- What is made of the last states -------------------------------------- */

static void normalize(float *v, size_t n, const wn_kernels *kernels) {
    float norm = sqrtf(kernels->dot_f32(v, v, n)), inverse = 1.0f / (norm > 1e-12f ? norm : 1e-12f);
    for (size_t i = 0; i < n; i++) v[i] *= inverse;
}

static void pool_mean(const float *x, size_t rows, size_t width, float *out) {
    memset(out, 0, width * sizeof *out);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) out[i] += x[r * width + i];
    for (size_t i = 0; i < width; i++) out[i] /= (float)rows;
}

static void pool(const group *g, float *out) {
    const wn_model_config *c = &g->encoder->config;
    for (size_t s = 0; s < g->n; s++, out += c->hidden) {
        size_t begin = g->starts[s] - g->starts[0], n = g->starts[s + 1] - g->starts[s];
        if (c->pooling == WN_POOL_MEAN) pool_mean(g->w->x + begin * c->hidden, n, c->hidden, out);
        else memcpy(out, g->w->x + s * c->hidden, c->hidden * sizeof *out);
        if (c->normalize) normalize(out, c->hidden, g->encoder->kernels);
    }
}

/* x holds a row a sequence. */
static bool classify(const group *g, float *out) {
    const wn_encoder *e = g->encoder;
    size_t hidden = e->config.hidden, labels = e->config.labels;
    const float *x = g->w->x;
    if (e->head_dense) {
        clear_padding(g->w->x, g->n, hidden);
        if (!wn_linear_run(e->head_dense, g->w->gemm, x, g->w->qkv, g->n)) return false;
        for (size_t i = 0; i < g->n * hidden; i++) g->w->qkv[i] = tanhf(g->w->qkv[i]);
        x = g->w->qkv;
    }
    for (size_t s = 0; s < g->n; s++)
        for (size_t l = 0; l < labels; l++)
            out[s * labels + l] = e->kernels->dot_f32(x + s * hidden, e->classifier + l * hidden, hidden) +
                                  e->classifier_bias[l];
    return true;
}

/* ---- Groups --------------------------------------------------------------- */

static bool group_run(const forward *job, worker *w, size_t first, size_t last) {
    const wn_packed *batch = job->batch;
    const wn_encoder *e = job->session->encoder;
    const wn_model_config *c = &e->config;
    group g = {.encoder = e, .w = w, .starts = batch->starts + first, .n = last - first};
    size_t base = g.starts[0], rows = group_rows(&g);
    for (size_t s = 0; s < g.n; s++) {
        size_t at = g.starts[s];
        embed_sequence(e, batch->ids + at, batch->type_ids ? batch->type_ids + at : NULL,
                       g.starts[s + 1] - at, w->x + (at - base) * c->hidden);
    }
    clear_padding(w->x, rows, c->hidden);
    for (size_t i = 0; i < c->layers; i++) {
        bool first_only = i + 1 == c->layers && e->first_token_only && job->want != WANT_STATES;
        if (!layer_run(&g, &e->layers[i], first_only)) return false;
    }
    switch (job->want) {
    case WANT_EMBEDDING: pool(&g, job->out + first * c->hidden); return true;
    case WANT_LOGITS: return classify(&g, job->out + first * c->labels);
    case WANT_STATES: break;
    }
    memcpy(job->out + base * c->hidden, w->x, rows * c->hidden * sizeof *w->x);
    return true;
}

/* First sequence whose middle token is at or behind part/parts of the batch's tokens. */
static size_t sequence_at(const wn_packed *batch, size_t part, size_t parts) {
    uint64_t bound = 2 * (uint64_t)batch->starts[batch->n] * part;
    size_t lo = 0, hi = batch->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        uint64_t middle = (uint64_t)batch->starts[mid] + batch->starts[mid + 1];
        if (middle * parts < bound) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static void group_task(void *ctx, size_t task, int index) {
    forward *job = ctx;
    size_t first = sequence_at(job->batch, task, job->ntasks);
    size_t last = task + 1 == job->ntasks ? job->batch->n : sequence_at(job->batch, task + 1, job->ntasks);
    if (first >= last || atomic_load_explicit(&job->failed, memory_order_relaxed)) return;
    if (!group_run(job, &job->session->workers[index], first, last)) atomic_store(&job->failed, true);
}

static wn_status batch_check(const wn_encoder *encoder, const wn_packed *batch, wn_error *err) {
    const wn_model_config *c = &encoder->config;
    if (batch->starts[0] != 0) return wn_fail(err, WN_ERR_ARGUMENT, "a packed batch starts at 0");
    for (size_t s = 0; s < batch->n; s++) {
        uint32_t begin = batch->starts[s], end = batch->starts[s + 1];
        if (end <= begin || end - begin > c->max_length)
            return wn_fail(err, WN_ERR_ARGUMENT, "sequence %zu has %lld tokens (1 to %zu)", s,
                           (long long)end - (long long)begin, c->max_length);
        for (uint32_t i = begin; i < end; i++) {
            if (batch->ids[i] < 0 || (size_t)batch->ids[i] >= c->vocab)
                return wn_fail(err, WN_ERR_ARGUMENT, "token id %d is not in the model's vocabulary of %zu",
                               (int)batch->ids[i], c->vocab);
            if (batch->type_ids && batch->type_ids[i] >= c->type_vocab)
                return wn_fail(err, WN_ERR_ARGUMENT, "type id %d (the model has %zu)",
                               (int)batch->type_ids[i], c->type_vocab);
        }
    }
    return WN_OK;
}

static wn_status run(wn_session *session, const wn_packed *batch, wanted want, float *out, wn_error *err) {
    if (!batch->n) return WN_OK;
    WN_TRY(batch_check(session->encoder, batch, err));
    size_t tokens = batch->starts[batch->n], round = session->nworkers * session->group_tokens;
    forward job = {.session = session, .batch = batch, .want = want, .out = out};
    /* Equal groups, the same number for each worker. */
    job.ntasks = session->nworkers * ((tokens + round - 1) / round);
    wn_pool_run(session->pool, job.ntasks, group_task, &job);
    if (atomic_load(&job.failed)) return wn_fail(err, WN_ERR_INTERNAL, "oneDNN: a matrix product failed");
    return WN_OK;
}

wn_status wn_session_embed(wn_session *session, const wn_packed *batch, float *out, wn_error *err) {
    if (session->encoder->classifier)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s is a cross-encoder: it has no embeddings",
                       session->encoder->config.architecture);
    return run(session, batch, WANT_EMBEDDING, out, err);
}

wn_status wn_session_classify(wn_session *session, const wn_packed *batch, float *out, wn_error *err) {
    if (!session->encoder->classifier)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s has no classification head",
                       session->encoder->config.architecture);
    return run(session, batch, WANT_LOGITS, out, err);
}

wn_status wn_session_hidden(wn_session *session, const wn_packed *batch, float *out, wn_error *err) {
    return run(session, batch, WANT_STATES, out, err);
}

/* ---- Creation ------------------------------------------------------------- */

/* Floats of a worker's arena, in the order worker_create takes them. False on overflow. */
static bool arena_floats(const wn_model_config *c, size_t head_dim, size_t rows, size_t sizes[6]) {
    size_t hidden = c->hidden;
    sizes[5] = wn_attention_scratch(c->max_length, head_dim);
    return !wn_mul_overflows(rows, hidden, &sizes[0]) && !wn_mul_overflows(sizes[0], 3, &sizes[1]) &&
           !wn_mul_overflows(rows, hidden, &sizes[2]) &&
           !wn_mul_overflows(TILE_ROWS, c->intermediate, &sizes[3]) &&
           !wn_mul_overflows(TILE_ROWS, hidden, &sizes[4]) && sizes[5] != SIZE_MAX;
}

static wn_status worker_create(const wn_session *session, const wn_linear *const *linears, size_t nlinears,
                               worker *w, wn_error *err) {
    const wn_model_config *c = &session->encoder->config;
    size_t sizes[6], bytes = 0, rows;
    /* A group ends at most half a sequence behind its share, and starts as much before it. */
    rows = wn_gemm_padded_rows(session->group_tokens + c->max_length + 2);
    bool overflow = !arena_floats(c, session->encoder->head_dim, rows, sizes);
    for (int i = 0; i < 6 && !overflow; i++) {
        size_t part;
        overflow = wn_mul_overflows(sizes[i], sizeof(float), &part) || wn_add_overflows(part, 64, &part) ||
                   wn_add_overflows(bytes, part, &bytes);
    }
    if (overflow) return wn_fail_memory(err, SIZE_MAX);
    WN_TRY(wn_gemm_create(linears, nlinears, &w->gemm, err));
    WN_TRY(wn_arena_init(&w->arena, bytes, err));
    float **buffers[6] = {&w->x, &w->qkv, &w->context, &w->wide, &w->narrow, &w->scratch};
    for (int i = 0; i < 6; i++) *buffers[i] = wn_arena_alloc(&w->arena, sizes[i] * sizeof(float));
    return WN_OK;
}

wn_status wn_session_create_grouped(const wn_encoder *encoder, int threads, size_t group_tokens,
                                    wn_session **out, wn_error *err) {
    wn_status st;
    const wn_linear **linears = NULL;
    size_t nlinears = 0;
    wn_session *session = wn_calloc(1, sizeof *session);
    if (!session) return wn_fail_memory(err, sizeof *session);
    session->encoder = encoder;
    session->group_tokens = group_tokens ? group_tokens : GROUP_TOKENS;
    WN_TRY_GOTO(wn_pool_create(threads, wn_gemm_thread_start, &session->pool, err));
    session->nworkers = (size_t)wn_pool_size(session->pool);
    session->workers = wn_calloc(session->nworkers, sizeof *session->workers);
    linears = wn_calloc(encoder->config.layers * WN_LAYER_LINEARS + 1, sizeof *linears);
    if (!session->workers || !linears) {
        st = wn_fail_memory(err, encoder->config.layers * WN_LAYER_LINEARS * sizeof *linears);
        goto fail;
    }
    nlinears = wn_encoder_linears(encoder, linears);
    for (size_t i = 0; i < session->nworkers; i++)
        WN_TRY_GOTO(worker_create(session, linears, nlinears, &session->workers[i], err));
    wn_free(linears);
    *out = session;
    return WN_OK;
fail:
    wn_free(linears);
    wn_session_free(session);
    return st;
}

wn_status wn_session_create(const wn_encoder *encoder, int threads, wn_session **out, wn_error *err) {
    return wn_session_create_grouped(encoder, threads, 0, out, err);
}

void wn_session_free(wn_session *session) {
    if (!session) return;
    wn_pool_free(session->pool); /* first: no worker runs any more */
    for (size_t i = 0; session->workers && i < session->nworkers; i++) {
        wn_gemm_free(session->workers[i].gemm);
        wn_arena_release(&session->workers[i].arena);
    }
    wn_free(session->workers);
    wn_free(session);
}
