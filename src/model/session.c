/* session.c -- the forward pass: groups of whole sequences, one worker each; teams where workers would be idle.
 *
 * A batch's tokens lie packed, without padding. Groups of about GROUP_TOKENS are made of whole
 * sequences (grouping.c); a pool task takes one group through ALL layers. Workers meet once, at the end. The
 * usual design splits every matrix product over all threads: 4 barriers a layer, and each worker's rows move
 * between cores' caches. Here a group's activations stay in one core's second-level cache.
 *
 * Teams. Where a batch has fewer groups than workers, or few left at its end, each of these groups goes to a team. A
 * member takes its share of the group's rows through all layers, in the arena of the team's leader, with scratch of its own; it
 * needs others' rows only as keys and values, so a team meets twice a layer: when they are there, and when they have
 * been read. The leader alone makes embeddings, the last layer by heads and the results. Rejected: columns of a product
 * shared in place of rows, which would read the weights once for all, but meet at every product.
 *
 * Within a layer a group's rows go through query-key-value together, then attention by sequence and head,
 * then in tiles of some rows through everything that is row by row: attention's output product, norm, both
 * feed-forward products, norm. So the feed-forward's wide intermediate is never more than one tile.
 *
 * The last layer of a cross-encoder or a CLS-pooled model is computed for the first token of each sequence alone,
 * gathered into rows 0, 1, ... of the group, and makes neither keys nor values (wn_head): all of one layer in
 * 6 saved for MiniLM, but for some 2 %.
 *
 * In bf16 a row lies beside the state as halves too, made by the norm that made the row while it is in
 * the first-level cache; queries, keys, values, attention's result and the feed-forward's intermediate exist as
 * halves only, written so by the product before. The state, the norms and all sums stay f32.
 *
 * Same bits. Every kernel and product gives a row the same bits whatever rows are beside it, so a
 * sequence's result depends on neither batch, order, grouping nor thread count.
 *
 * Memory: a worker's arena holds GROUP_TOKENS plus half the longest sequence, sized at creation. */
#include "core/barrier.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/memory.h"
#include "model/encoder_internal.h"
#include "model/grouping.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* HEAD_ROWS: queries of the last layer that go through its heads together. */
enum { GROUP_TOKENS = 256, HEAD_ROWS = 16 };

/* What a group keeps between the steps of a layer. */
typedef struct group_rows {
    float *x;         /* [rows, hidden]: the state */
    uint16_t *halves; /* [rows, hidden]: the state narrowed; NULL but in bf16 */
    void *qkv;        /* [rows, 3 hidden] of encoder->attention; of f32 for the head's dense layer */
    void *context;    /* [rows, hidden] of encoder->attention, of f32 in a layer by heads: attention's result */
    uint32_t *starts; /* [rows + 1]: of the group's sequences */
} group_rows;

typedef struct worker {
    wn_gemm *gemm;
    wn_arena arena;
    group_rows rows;  /* of a group that it computes alone, or that a team computes in its arena */
    void *wide;       /* [tile, intermediate] of encoder->inner */
    float *sum;       /* [tile, hidden]: what is added to the state */
    float *heads;     /* a layer by heads: see heads_take */
    float *scratch;   /* of the attention kernel */
    size_t tile;      /* rows that go through what is row by row together */
} worker;

/* Workers that compute a group together. */
typedef struct team {
    wn_barrier barrier;
    const group_rows *rows; /* those of its leader, who sets this before they first meet */
} team;

struct wn_session {
    const wn_encoder *encoder;
    wn_pool *pool;
    worker *workers;
    team *teams; /* [nworkers], of which nteams are initialised */
    size_t nworkers, nteams, group_tokens;
    wn_grouping grouping;
};

typedef enum wanted { WANT_EMBEDDING, WANT_LOGITS, WANT_STATES } wanted;

typedef struct forward {
    const wn_session *session;
    const wn_packed *batch;
    wanted want;
    float *out;
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

/* Some sequences of the batch, as one worker sees them: alone, or one of a team. */
typedef struct group {
    const wn_encoder *encoder;
    worker *w;                 /* who computes */
    const group_rows *rows;
    const uint32_t *sequences; /* [n]: which of the batch */
    size_t n;
    size_t first, end;         /* rows that w computes: all of them, or its share */
    team *team;                /* NULL: alone */
    bool leads;                /* does what only one can: the first of a team, or who is alone */
} group;

/* Where a team's members wait for each other. */
static void meet(const group *g) {
    if (g->team) wn_barrier_wait(&g->team->barrier);
}

static size_t size_of(wn_rows kind) { return kind == WN_ROWS_BF16 ? sizeof(uint16_t) : sizeof(float); }

/* Rows that fill a GEMM tile up: read by it, their results never used. Zeros, so that no leftover
 * NaN or subnormal slows the product down. */
static void clear_padding(void *x, size_t rows, size_t width, wn_rows kind) {
    size_t row = width * size_of(kind);
    memset((char *)x + rows * row, 0, (wn_gemm_padded_rows(rows) - rows) * row);
}

static const void *row_of(const void *x, size_t row, size_t width, wn_rows kind) {
    return (const char *)x + row * width * size_of(kind);
}

/* The state's rows from `row` on, as products read them. */
static const void *state_rows(const group_rows *rows, size_t row, size_t hidden, wn_rows *kind) {
    *kind = rows->halves ? WN_ROWS_BF16 : WN_ROWS_F32;
    return row_of(rows->halves ? (const void *)rows->halves : rows->x, row, hidden, *kind);
}

/* x = norm(sum + x) for the state's rows [row, row + n), then their halves. */
static void add_norm(const group *g, const wn_norm *norm, size_t row, size_t n) {
    const wn_encoder *e = g->encoder;
    size_t hidden = e->config.hidden;
    for (size_t r = 0; r < n; r++) {
        float *x = g->rows->x + (row + r) * hidden;
        e->kernels->add_layer_norm_f32(g->w->sum + r * hidden, x, norm->gamma, norm->beta, e->config.layer_norm_eps,
                                       x, 1, hidden);
        if (g->rows->halves) e->narrow->f32_to_bf16(x, g->rows->halves + (row + r) * hidden, hidden);
    }
}

/* context rows [first, end) = attention of one head: those queries over the keys and values of rows [begin, begin + n). */
static void attend_head(const group *g, size_t head, size_t first, size_t end, size_t begin, size_t n) {
    const wn_encoder *e = g->encoder;
    size_t hidden = e->config.hidden, dim = e->head_dim, ld = 3 * hidden, at = head * dim;
    float scale = 1.0f / sqrtf((float)dim);
    if (e->attention == WN_ROWS_BF16) {
        const uint16_t *q = (const uint16_t *)g->rows->qkv + at, *keys = q + begin * ld + hidden;
        e->narrow->attention_bf16(q + first * ld, ld, keys, keys + hidden, ld,
                                  (uint16_t *)g->rows->context + first * hidden + at, hidden, end - first, n, dim, scale,
                                  g->w->scratch);
    } else {
        const float *q = (const float *)g->rows->qkv + at, *keys = q + begin * ld + hidden;
        e->kernels->attention_f32(q + first * ld, ld, keys, keys + hidden, ld,
                                  (float *)g->rows->context + first * hidden + at, hidden, end - first, n, dim, scale,
                                  g->w->scratch);
    }
}

/* context = attention of every head of every sequence, for the worker's rows. */
static void attend(const group *g) {
    const uint32_t *starts = g->rows->starts;
    for (size_t s = 0; s < g->n; s++) {
        size_t first = starts[s] > g->first ? starts[s] : g->first, end = starts[s + 1] < g->end ? starts[s + 1] : g->end;
        for (size_t head = 0; head < g->encoder->config.heads && first < end; head++)
            attend_head(g, head, first, end, starts[s], starts[s + 1] - starts[s]);
    }
}

/* What follows attention, tile by tile, for rows [first, end) of context; padded where they are the last. */
static bool feed_forward(const group *g, const wn_layer *layer, size_t first, size_t end, wn_rows context) {
    const wn_encoder *e = g->encoder;
    worker *w = g->w;
    size_t hidden = e->config.hidden;
    wn_rows kind;
    for (size_t done = first; done < end; done += w->tile) {
        size_t n = end - done < w->tile ? end - done : w->tile;
        const void *from = row_of(g->rows->context, done, hidden, context);
        if (!wn_linear_run(layer->attention_out, w->gemm, from, context, w->sum, n)) return false;
        add_norm(g, &layer->attention_norm, done, n);
        from = state_rows(g->rows, done, hidden, &kind);
        if (!wn_linear_chain(layer->ffn_in, layer->ffn_out, w->gemm, from, kind, w->wide, w->sum, n)) return false;
        add_norm(g, &layer->ffn_norm, done, n);
    }
    return true;
}

static bool attention_inputs(const group *g, const wn_layer *layer) {
    const wn_encoder *e = g->encoder;
    wn_rows kind;
    const void *x = state_rows(g->rows, g->first, e->config.hidden, &kind);
    void *qkv = (char *)g->rows->qkv + g->first * 3 * e->config.hidden * size_of(e->attention);
    return wn_linear_run(layer->qkv, g->w->gemm, x, kind, qkv, g->end - g->first);
}

/* Who has failed meets the others all the same. */
static bool layer_run(const group *g, const wn_layer *layer, bool ok) {
    ok = ok && attention_inputs(g, layer);
    meet(g); /* everybody's keys and values are there */
    if (ok) {
        attend(g);
        if (g->end == g->rows->starts[g->n])
            clear_padding(g->rows->context, g->end, g->encoder->config.hidden, g->encoder->attention);
        ok = feed_forward(g, layer, g->first, g->end, g->encoder->attention);
    }
    meet(g); /* nobody reads them any more */
    return ok;
}

/* ---- A layer by heads: the last, where first tokens alone are wanted ------- */

/* What HEAD_ROWS queries need on their way, cut from worker->heads. */
typedef struct head_buffers {
    float *x, *q;           /* [HEAD_ROWS, hidden]: states, queries */
    float *part;            /* [HEAD_ROWS, head_dim]: one head's queries or results, without gaps */
    float *sought, *found;  /* [heads, HEAD_ROWS, hidden]: compared with states; weighted sums of states */
} head_buffers;

static head_buffers heads_take(const group *g) {
    const wn_encoder *e = g->encoder;
    size_t block = HEAD_ROWS * e->config.hidden;
    head_buffers b = {.x = g->w->heads, .q = g->w->heads + block, .sought = g->w->heads + 2 * block};
    b.found = b.sought + e->config.heads * block;
    b.part = b.found + e->config.heads * block;
    return b;
}

/* to[r] = from[r], n rows of `width` floats that lie ldfrom and ldto apart. */
static void rows_copy(const float *from, size_t ldfrom, float *to, size_t ldto, size_t n, size_t width) {
    for (size_t r = 0; r < n; r++) memcpy(to + r * ldto, from + r * ldfrom, width * sizeof *to);
}

/* context [n, hidden] = attention of tokens tokens[n] (of the group), each over the states of its own sequence. */
static bool attend_states(const group *g, const wn_layer *layer, const size_t *tokens, const size_t *sequences,
                          size_t n, float *context) {
    const wn_encoder *e = g->encoder;
    worker *w = g->w;
    size_t hidden = e->config.hidden, dim = e->head_dim, heads = e->config.heads, block = HEAD_ROWS * hidden;
    head_buffers b = heads_take(g);
    for (size_t r = 0; r < n; r++) rows_copy(g->rows->x + tokens[r] * hidden, hidden, b.x + r * hidden, hidden, 1, hidden);
    if (!wn_linear_run(layer->q, w->gemm, b.x, WN_ROWS_F32, b.q, n)) return false;
    for (size_t h = 0; h < heads; h++) {
        rows_copy(b.q + h * dim, hidden, b.part, dim, n, dim);
        if (!wn_linear_run(layer->heads[h].keys, w->gemm, b.part, WN_ROWS_F32, b.sought + h * block, n)) return false;
    }
    for (size_t r = 0; r < n; r++) {
        size_t first = g->rows->starts[sequences[r]], length = g->rows->starts[sequences[r] + 1] - first;
        const float *x = g->rows->x + first * hidden;
        e->kernels->attention_f32(b.sought + r * hidden, block, x, x, hidden, b.found + r * hidden, block, heads,
                                  length, hidden, 1.0f / sqrtf((float)dim), w->scratch);
    }
    for (size_t h = 0; h < heads; h++) {
        if (!wn_linear_run(layer->heads[h].values, w->gemm, b.found + h * block, WN_ROWS_F32, b.part, n)) return false;
        rows_copy(b.part, dim, context + h * dim, hidden, n, dim);
    }
    return true;
}

/* Afterwards x holds a row a sequence; with `all`, as tests ask, still a row a token. */
static bool layer_run_by_heads(const group *g, const wn_layer *layer, bool all) {
    const group_rows *at = g->rows;
    size_t hidden = g->encoder->config.hidden, rows = 0, n = 0, tokens[HEAD_ROWS], sequences[HEAD_ROWS];
    for (size_t s = 0; s < g->n; s++) {
        size_t first = at->starts[s], last = all ? at->starts[s + 1] : first + 1;
        for (size_t token = first; token < last; token++) {
            tokens[n] = token;
            sequences[n++] = s;
            bool end = s + 1 == g->n && token + 1 == last;
            if (n < HEAD_ROWS && !end) continue;
            if (!attend_states(g, layer, tokens, sequences, n, (float *)at->context + rows * hidden)) return false;
            rows += n;
            n = 0;
        }
    }
    for (size_t s = 1; s < g->n && !all; s++)
        rows_copy(at->x + at->starts[s] * hidden, hidden, at->x + s * hidden, hidden, 1, hidden);
    clear_padding(at->context, rows, hidden, WN_ROWS_F32);
    return feed_forward(g, layer, 0, rows, WN_ROWS_F32);
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

/* out: of the batch, as of those below. */
static void pool(const group *g, float *out) {
    const wn_model_config *c = &g->encoder->config;
    for (size_t s = 0; s < g->n; s++) {
        float *one = out + g->sequences[s] * c->hidden;
        size_t begin = g->rows->starts[s], n = g->rows->starts[s + 1] - begin;
        if (c->pooling == WN_POOL_MEAN) pool_mean(g->rows->x + begin * c->hidden, n, c->hidden, one);
        else memcpy(one, g->rows->x + s * c->hidden, c->hidden * sizeof *one);
        if (c->normalize) normalize(one, c->hidden, g->encoder->kernels);
    }
}

/* x holds a row a sequence. */
static bool classify(const group *g, float *out) {
    const wn_encoder *e = g->encoder;
    size_t hidden = e->config.hidden, labels = e->config.labels;
    const float *x = g->rows->x;
    if (e->head_dense) {
        float *y = g->rows->qkv;
        clear_padding(g->rows->x, g->n, hidden, WN_ROWS_F32);
        if (!wn_linear_run(e->head_dense, g->w->gemm, x, WN_ROWS_F32, y, g->n)) return false;
        for (size_t i = 0; i < g->n * hidden; i++) y[i] = tanhf(y[i]);
        x = y;
    }
    for (size_t s = 0; s < g->n; s++)
        for (size_t l = 0; l < labels; l++)
            out[g->sequences[s] * labels + l] = e->kernels->dot_f32(x + s * hidden, e->classifier + l * hidden, hidden) +
                                  e->classifier_bias[l];
    return true;
}

static void states_copy(const group *g, const uint32_t *starts, float *out) {
    size_t hidden = g->encoder->config.hidden;
    for (size_t s = 0; s < g->n; s++)
        rows_copy(g->rows->x + g->rows->starts[s] * hidden, hidden, out + starts[g->sequences[s]] * hidden, hidden,
                  g->rows->starts[s + 1] - g->rows->starts[s], hidden);
}

/* ---- Groups --------------------------------------------------------------- */

/* The group's token rows: their embeddings, and halves of these. */
static void embed(const group *g, const wn_packed *batch) {
    const wn_encoder *e = g->encoder;
    const group_rows *to = g->rows;
    size_t hidden = e->config.hidden, rows = to->starts[g->n];
    for (size_t s = 0; s < g->n; s++) {
        size_t at = batch->starts[g->sequences[s]], n = to->starts[s + 1] - to->starts[s];
        embed_sequence(e, batch->ids + at, batch->type_ids ? batch->type_ids + at : NULL, n, to->x + to->starts[s] * hidden);
    }
    clear_padding(to->x, rows, hidden, WN_ROWS_F32);
    if (to->halves) e->narrow->f32_to_bf16(to->x, to->halves, wn_gemm_padded_rows(rows) * hidden);
}

static bool results_make(const forward *job, const group *g) {
    switch (job->want) {
    case WANT_EMBEDDING: pool(g, job->out); return true;
    case WANT_LOGITS: return classify(g, job->out);
    case WANT_STATES: break;
    }
    states_copy(g, job->batch->starts, job->out);
    return true;
}

static bool group_run(const forward *job, group *g) {
    const wn_encoder *e = g->encoder;
    bool ok = true;
    if (g->leads) embed(g, job->batch);
    meet(g);
    if (g->team) g->rows = g->team->rows;
    for (size_t i = 0; i < e->config.layers; i++) {
        const wn_layer *layer = &e->layers[i];
        if (!layer->heads) ok = layer_run(g, layer, ok);
        else if (g->leads) ok = ok && layer_run_by_heads(g, layer, job->want == WANT_STATES);
    }
    return g->leads ? ok && results_make(job, g) : ok;
}

/* The leader's: where the group's sequences begin, in its own arena. */
static void group_open(group *g, const uint32_t *starts) {
    uint32_t *own = g->w->rows.starts;
    own[0] = 0;
    for (size_t s = 0; s < g->n; s++) own[s + 1] = own[s] + starts[g->sequences[s] + 1] - starts[g->sequences[s]];
    g->rows = &g->w->rows;
    if (g->team) g->team->rows = g->rows;
}

/* Where a member's share of `rows` ends. */
static size_t share_end(const wn_encoder *encoder, size_t rows, size_t member, size_t members) {
    size_t cut = wn_linear_cut(encoder->layers[0].ffn_out), end = (rows + cut - 1) / cut * (member + 1) / members * cut;
    return end < rows ? end : rows;
}

/* The first plan->alone tasks are a group each; behind them plan->team tasks are one group, and members wait for each
 * other: these are never more than workers, so that each is taken by one of its own. */
static void group_task(void *ctx, size_t task, int index) {
    forward *job = ctx;
    const wn_session *session = job->session;
    const wn_grouping *plan = &session->grouping;
    bool alone = task < plan->alone;
    size_t members = alone ? 1 : plan->team, together = alone ? 0 : task - plan->alone, member = together % members;
    size_t number = alone ? task : plan->alone + together / members, from = number ? plan->ends[number - 1] : 0, rows = 0;
    if (alone && atomic_load_explicit(&job->failed, memory_order_relaxed)) return;
    group g = {.encoder = session->encoder, .w = &session->workers[index], .sequences = plan->order + from,
               .n = plan->ends[number] - from, .leads = member == 0};
    if (!alone) g.team = &session->teams[together / members];
    if (g.leads) group_open(&g, job->batch->starts);
    for (size_t s = 0; s < g.n; s++)
        rows += job->batch->starts[g.sequences[s] + 1] - job->batch->starts[g.sequences[s]];
    g.first = member ? share_end(session->encoder, rows, member - 1, members) : 0;
    g.end = share_end(session->encoder, rows, member, members);
    if (!group_run(job, &g)) atomic_store(&job->failed, true);
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
    WN_TRY(wn_grouping_plan(&session->grouping, batch->starts, batch->n, session->nworkers, session->group_tokens, err));
    forward job = {.session = session, .batch = batch, .want = want, .out = out};
    const wn_grouping *plan = &session->grouping;
    size_t teams = plan->groups - plan->alone;
    for (size_t i = 0; i < teams; i++) wn_barrier_set(&session->teams[i].barrier, plan->team);
    wn_pool_run(session->pool, plan->alone + teams * plan->team, group_task, &job);
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

enum { NBUFFERS = 9 };

static size_t product(size_t a, size_t b, bool *overflow) {
    size_t out = 0;
    *overflow |= wn_mul_overflows(a, b, &out);
    return out;
}

static size_t tile_of(const wn_encoder *e) { return wn_linear_tile(e->layers[0].ffn_out); }

/* Bytes of a worker's buffers, in the order of its fields. False on overflow. */
static bool buffer_sizes(const wn_encoder *e, size_t rows, size_t sizes[NBUFFERS]) {
    const wn_model_config *c = &e->config;
    bool overflow = false, heads = e->first_token_only;
    size_t cells = product(rows, c->hidden, &overflow), tile = tile_of(e), scratch;
    /* a layer by heads has the whole state for keys and values */
    scratch = wn_attention_scratch(c->max_length, heads ? c->hidden : e->head_dim);
    overflow |= scratch == SIZE_MAX;
    sizes[0] = product(cells, sizeof(float), &overflow);
    sizes[1] = e->precision == WN_BF16 ? product(cells, sizeof(uint16_t), &overflow) : 0;
    sizes[2] = product(cells, 3 * size_of(e->attention), &overflow);
    sizes[3] = product(cells, heads ? sizeof(float) : size_of(e->attention), &overflow);
    sizes[4] = product(product(tile, c->intermediate, &overflow), size_of(e->inner), &overflow);
    sizes[5] = product(product(tile, c->hidden, &overflow), sizeof(float), &overflow);
    /* head_buffers; a part is no longer than a row */
    sizes[6] = heads ? product(product(c->hidden, 2 * c->heads + 3, &overflow), HEAD_ROWS * sizeof(float), &overflow) : 0;
    sizes[7] = product(scratch, sizeof(float), &overflow);
    sizes[8] = product(rows + 1, sizeof(uint32_t), &overflow);
    return !overflow;
}

static wn_status worker_create(const wn_session *session, const wn_linear *const *linears, size_t nlinears,
                               worker *w, wn_error *err) {
    size_t sizes[NBUFFERS], bytes = 0, rows;
    rows = wn_gemm_padded_rows(wn_grouping_most_tokens(session->group_tokens, session->encoder->config.max_length));
    bool overflow = !buffer_sizes(session->encoder, rows, sizes);
    for (int i = 0; i < NBUFFERS && !overflow; i++) {
        size_t part;
        overflow = wn_add_overflows(sizes[i], 64, &part) || wn_add_overflows(bytes, part, &bytes);
    }
    if (overflow) return wn_fail_memory(err, SIZE_MAX);
    WN_TRY(wn_gemm_create(linears, nlinears, &w->gemm, err));
    WN_TRY(wn_arena_init(&w->arena, bytes, err));
    void *buffers[NBUFFERS];
    for (int i = 0; i < NBUFFERS; i++) buffers[i] = sizes[i] ? wn_arena_alloc(&w->arena, sizes[i]) : NULL;
    w->tile = tile_of(session->encoder);
    w->rows = (group_rows){.x = buffers[0], .halves = buffers[1], .qkv = buffers[2], .context = buffers[3],
                           .starts = buffers[8]};
    w->wide = buffers[4];
    w->sum = buffers[5];
    w->heads = buffers[6];
    w->scratch = buffers[7];
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
    linears = wn_calloc(wn_encoder_most_linears(encoder), sizeof *linears);
    session->teams = wn_calloc(session->nworkers, sizeof *session->teams);
    if (!session->workers || !session->teams || !linears) {
        st = wn_fail_memory(err, wn_encoder_most_linears(encoder) * sizeof *linears);
        goto fail;
    }
    session->nteams = session->nworkers / 2; /* of 2 or more */
    for (size_t i = 0; i < session->nteams; i++) wn_barrier_init(&session->teams[i].barrier);
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
    for (size_t i = 0; i < session->nteams; i++) wn_barrier_destroy(&session->teams[i].barrier);
    wn_grouping_release(&session->grouping);
    wn_free(session->teams);
    wn_free(session->workers);
    wn_free(session);
}
