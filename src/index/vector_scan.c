/* vector_scan.c -- exact dense search: all rows in f32, or a pass over codes and then few rows in f32.
 *
 * A product of codes gives each row an interval that its score lies in, surely (vector_codes.c). The k-th largest
 * lower end is a score that k rows reach. A row whose upper end is below that is behind k others whatever
 * the rounding did; all the rest are candidates, and their f32 scores are taken by the code and in the
 * order rules of a plain scan. So the answer is the plain scan's answer, ties included, and codes
 * decide only how long it takes: they are a quarter of the memory that a scan must read, and a scan is
 * bound by that. Where candidates are too many (equal rows without end, a query of zeros) the
 * query is scanned in f32.
 *
 * Several queries share each row that is brought from memory: tiles of codes and of rows stay in the
 * second-level cache while all queries of a batch pass over them.
 *
 * Work is cut into runs of blocks. Each worker keeps its own heaps and lists; the order of hits is total, so how
 * rows fell to workers does not show. */
#include "index/vector_scan.h"
#include "core/memory.h"
#include "index/top_k.h"
#include "index/vector_codes.h"
#include "kernels/kernels.h"
#include "kernels/scan_i8.h"

#include <math.h>
#include <string.h>

enum {
    BATCH = 32,              /* queries of one pass */
    BATCH_HITS = 1 << 16,    /* k times the queries of a pass, where k is large */
    TILE = 256,              /* rows of a tile of codes: 96 KiB at 384 dimensions */
    F32_TILE_BYTES = 96 << 10,
    RUN = 4                  /* blocks of a task */
};

typedef struct candidate {
    uint32_t row;
    float upper;
} candidate;

/* One worker's share of one query. */
typedef struct scan_part {
    wn_top_k best;    /* hits; in a pass over codes, lower ends by row */
    candidate *list;  /* [cap] */
    size_t n;
    bool overflow;
} scan_part;

/* A batch of queries in one pass. */
typedef struct scan {
    const wn_vectors *v;
    const wn_scan_request *request;
    size_t nq, workers, cap;
    size_t which[BATCH];        /* queries of the request */
    wn_query_code codes[BATCH];
    scan_part *parts;           /* [workers][nq] */
    int8_t *query_codes;        /* [nq][4 quads] */
    int32_t *products;          /* [workers][nq][TILE] */
    wn_hit *hits;               /* of the request */
    size_t *counts;
    size_t *rescored;           /* [nq] */
    float floor[BATCH];         /* the k-th largest lower end */
    bool fallen[BATCH];         /* too many candidates */
} scan;

static bool passes(const uint64_t *mask, size_t row) { return !mask || mask[row / 64] >> (row % 64) & 1; }

static const float *query_at(const scan *s, size_t q) { return s->request->queries + s->which[q] * s->v->dim; }

static void run_tasks(const scan *s, size_t ntasks, wn_task_fn fn) {
    if (s->request->pool) {
        wn_pool_run(s->request->pool, ntasks, fn, (void *)(uintptr_t)s);
        return;
    }
    for (size_t i = 0; i < ntasks; i++) fn((void *)(uintptr_t)s, i, 0);
}

static size_t run_count(const wn_vectors *v) { return (v->nblocks + RUN - 1) / RUN; }

/* ---- In f32 ----------------------------------------------------------------------- */

static void scan_rows(const scan *s, const wn_vector_block *block, size_t begin, size_t end, size_t q,
                      wn_top_k *best) {
    float (*dot)(const float *, const float *, size_t) = wn_kernels_get()->dot_f32;
    const wn_vectors *v = s->v;
    const float *query = query_at(s, q), *row = block->rows + begin * v->dim;
    float scale = s->request->scales[s->which[q]];
    for (size_t r = begin; r < end; r++, row += v->dim)
        if (passes(s->request->mask, block->begin + r))
            wn_top_k_push(best, v->ids[block->begin + r], scale * dot(query, row, v->dim));
}

static void scan_run(void *ctx, size_t task, int worker) {
    const scan *s = ctx;
    size_t end = task * RUN + RUN < s->v->nblocks ? task * RUN + RUN : s->v->nblocks;
    size_t tile = F32_TILE_BYTES / (s->v->dim * sizeof(float)) + 1;
    scan_part *parts = s->parts + (size_t)worker * s->nq;
    for (size_t b = task * RUN; b < end; b++) {
        const wn_vector_block *block = &s->v->blocks[b];
        if (s->nq == 1) tile = block->count;
        for (size_t r = 0; r < block->count; r += tile)
            for (size_t q = 0; q < s->nq; q++)
                scan_rows(s, block, r, block->count - r < tile ? block->count : r + tile, q, &parts[q].best);
    }
}

/* Worker 0's heap takes in the others'. */
static wn_top_k *merge(const scan *s, size_t q) {
    wn_top_k *all = &s->parts[q].best;
    for (size_t w = 1; w < s->workers; w++) {
        const wn_top_k *other = &s->parts[w * s->nq + q].best;
        for (size_t i = 0; i < other->count; i++) wn_top_k_push(all, other->hits[i].passage, other->hits[i].score);
    }
    return all;
}

static void give(const scan *s, size_t q, wn_top_k *best) {
    wn_top_k_sort(best);
    memcpy(s->hits + s->which[q] * s->request->k, best->hits, best->count * sizeof *best->hits);
    s->counts[s->which[q]] = best->count;
}

static void scan_f32(scan *s) {
    for (size_t i = 0; i < s->workers * s->nq; i++) s->parts[i].best.count = 0;
    run_tasks(s, run_count(s->v), scan_run);
    for (size_t q = 0; q < s->nq; q++) give(s, q, merge(s, q));
}

/* ---- Over codes --------------------------------------------------------------------- */

static float floor_of(const wn_top_k *best) { return best->count == best->k ? best->hits[0].score : -INFINITY; }

/* Room in a full list, by what is known by now. */
static void prune(const scan *s, scan_part *part) {
    float floor = floor_of(&part->best);
    size_t kept = 0;
    for (size_t i = 0; i < part->n; i++)
        if (part->list[i].upper >= floor) part->list[kept++] = part->list[i];
    part->n = kept;
    part->overflow = kept > s->cap / 4 * 3;
}

static void take(const scan *s, scan_part *part, size_t row, float upper, float lower) {
    if (part->n == s->cap) prune(s, part);
    if (part->overflow) return;
    part->list[part->n++] = (candidate){(uint32_t)row, upper};
    wn_top_k_push(&part->best, (int64_t)row, lower);
}

/* Products of one tile to candidates. Sixteen at once: nearly always none of them is one. */
static void sift(const scan *s, scan_part *part, const wn_query_code *code, const wn_vector_block *block,
                 size_t begin, size_t end, const int32_t *products) {
    const float *steps = block->steps + begin, *errors = block->errors + begin;
    for (size_t r = 0; begin + r < end; r += WN_SCAN_GROUP) {
        float upper[WN_SCAN_GROUP], error[WN_SCAN_GROUP], floor = floor_of(&part->best);
        int any = 0;
        for (size_t i = 0; i < WN_SCAN_GROUP; i++) {
            error[i] = errors[r + i] * code->widen + code->slack;
            upper[i] = (float)products[r + i] * (steps[r + i] * code->step) + error[i];
            any |= upper[i] >= floor;
        }
        if (!any) continue;
        for (size_t i = 0; i < WN_SCAN_GROUP && begin + r + i < end; i++) {
            size_t row = block->begin + begin + r + i;
            if (upper[i] >= floor_of(&part->best) && passes(s->request->mask, row))
                take(s, part, row, upper[i], upper[i] - 2 * error[i]); /* infinite error: NaN, never kept */
        }
    }
}

static void sift_run(void *ctx, size_t task, int worker) {
    const scan *s = ctx;
    const wn_scan_kernels *kernels = wn_scan_kernels_get();
    size_t quads = wn_code_quads(s->v->dim);
    size_t end = task * RUN + RUN < s->v->nblocks ? task * RUN + RUN : s->v->nblocks;
    scan_part *parts = s->parts + (size_t)worker * s->nq;
    int32_t *products = s->products + (size_t)worker * s->nq * TILE;
    for (size_t b = task * RUN; b < end; b++) {
        const wn_vector_block *block = &s->v->blocks[b];
        for (size_t r = 0; r < block->count; r += TILE) {
            size_t n = block->count - r < TILE ? block->count - r : TILE;
            kernels->dot(block->codes + r * quads * 4, (n + WN_SCAN_GROUP - 1) / WN_SCAN_GROUP, quads,
                         s->query_codes, s->nq, products, TILE);
            for (size_t q = 0; q < s->nq; q++)
                if (!parts[q].overflow) sift(s, &parts[q], &s->codes[q], block, r, r + n, products + q * TILE);
        }
    }
}

/* f32 scores of one query's candidates. The rows are far from each other: the next is asked for early. */
static void rescore(void *ctx, size_t q, int worker) {
    const scan *s = ctx;
    float (*dot)(const float *, const float *, size_t) = wn_kernels_get()->dot_f32;
    const wn_vectors *v = s->v;
    wn_top_k *best = &s->parts[q].best;
    if (s->fallen[q]) return;
    best->count = 0;
    for (size_t w = 0; w < s->workers; w++) {
        const scan_part *part = &s->parts[w * s->nq + q];
        for (size_t i = 0; i < part->n; i++) {
            if (part->list[i].upper < s->floor[q]) continue;
            size_t row = part->list[i].row;
            s->rescored[q]++;
            wn_top_k_push(best, v->ids[row],
                          s->request->scales[s->which[q]] * dot(query_at(s, q), wn_vectors_row(v, row), v->dim));
        }
    }
}

/* Queries that fell back are left in s->which [s->nq]. */
static void scan_codes(scan *s, wn_scan_stats *stats) {
    for (size_t i = 0; i < s->workers * s->nq; i++) {
        s->parts[i].best.count = s->parts[i].n = 0;
        s->parts[i].overflow = false;
    }
    run_tasks(s, run_count(s->v), sift_run);
    for (size_t q = 0; q < s->nq; q++) {
        s->fallen[q] = false;
        for (size_t w = 0; w < s->workers; w++) s->fallen[q] |= s->parts[w * s->nq + q].overflow;
        s->floor[q] = floor_of(merge(s, q));
        s->rescored[q] = 0;
    }
    run_tasks(s, s->nq, rescore);
    size_t left = 0;
    stats->coded += s->nq;
    for (size_t q = 0; q < s->nq; q++) {
        stats->rescored += s->rescored[q];
        if (s->fallen[q]) s->which[left++] = s->which[q];
        else give(s, q, &s->parts[q].best);
    }
    stats->fallen += left;
    s->nq = left;
}

/* ---- The call -------------------------------------------------------------------------- */

static void release(scan *s, size_t nparts) {
    for (size_t i = 0; s->parts && i < nparts; i++) {
        wn_free(s->parts[i].best.hits);
        wn_free(s->parts[i].list);
    }
    wn_free(s->parts);
    wn_free(s->query_codes);
    wn_free(s->products);
    wn_free(s->rescored);
}

static wn_status allocate(scan *s, size_t batch, bool coded, wn_error *err) {
    size_t k = s->request->k < s->v->count ? s->request->k : s->v->count, nparts = s->workers * batch;
    s->cap = 16 * k + 4096;
    s->parts = wn_calloc(nparts, sizeof *s->parts);
    bool good = s->parts;
    for (size_t i = 0; good && i < nparts; i++) {
        s->parts[i].best = (wn_top_k){.hits = wn_malloc(k * sizeof(wn_hit)), .k = k};
        if (coded) s->parts[i].list = wn_malloc(s->cap * sizeof(candidate));
        good = s->parts[i].best.hits && (!coded || s->parts[i].list);
    }
    if (good && coded) {
        s->query_codes = wn_malloc(batch * wn_code_quads(s->v->dim) * 4);
        s->products = wn_malloc_aligned(nparts * TILE * sizeof *s->products);
        s->rescored = wn_calloc(batch, sizeof *s->rescored);
        good = s->query_codes && s->products && s->rescored;
    }
    return good ? WN_OK : wn_fail_memory(err, nparts * k * sizeof(wn_hit));
}

/* Codes pay where most rows are asked and few of them can be hits. */
static bool worth_coding(const wn_vectors *v, const wn_scan_request *r) {
    size_t asked = r->mask ? r->passed : v->count;
    return v->coded && asked >= v->count / 4 && r->k <= asked / 8;
}

wn_status wn_vectors_search(const wn_vectors *v, const wn_scan_request *r, wn_hit *hits, size_t *counts,
                            wn_scan_stats *stats, wn_error *err) {
    wn_scan_stats ignored = {0};
    for (size_t q = 0; q < r->nq; q++) counts[q] = 0;
    if (!v->count || !r->nq) return WN_OK;
    bool coded = worth_coding(v, r);
    size_t batch = BATCH_HITS / r->k < BATCH ? BATCH_HITS / r->k + 1 : BATCH;
    if (batch > r->nq) batch = r->nq;
    scan s = {.v = v, .request = r, .workers = r->pool ? (size_t)wn_pool_size(r->pool) : 1,
              .hits = hits, .counts = counts};
    wn_status st = allocate(&s, batch, coded, err);
    for (size_t q = 0, next; st == WN_OK && q < r->nq; q = next) {
        size_t plain[BATCH], nplain = 0;
        s.nq = 0;
        for (next = q; next < r->nq && next < q + batch; next++) {
            s.which[s.nq] = next;
            int8_t *code = coded ? s.query_codes + s.nq * wn_code_quads(v->dim) * 4 : NULL;
            if (coded && wn_query_encode(r->queries + next * v->dim, v->dim, r->scales[next], code, &s.codes[s.nq]))
                s.nq++;
            else plain[nplain++] = next;
        }
        if (s.nq) scan_codes(&s, stats ? stats : &ignored);
        for (size_t i = 0; i < nplain; i++) s.which[s.nq++] = plain[i];
        if (s.nq) scan_f32(&s);
    }
    release(&s, s.workers * batch);
    return st;
}
