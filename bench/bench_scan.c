/* bench_scan.c -- dense search of many embeddings: against a plain read of the same bytes, and against FAISS.
 *
 *   bench_scan [--rows 1000000] [--dim 384] [--index FILE] [--k 100] [--queries 64] [--threads 2] [--repeat 5] [--no-faiss] [--csv]
 *
 * --index: real embeddings, from an index of winnow's. Where it has fewer than --rows, rows are made from
 * it: a real one plus half the difference of two others, normalised, which keeps the spread of real scores. --rows 0:
 * only the real ones. Without: 1000 random centres with noise around them. Queries are rows, disturbed.
 *
 * Every round runs everything once, so what else the machine does hits all alike; median and least of the
 * rounds are printed, and the median of processor time, which waiting for a processor does not lengthen (but idle threads
 * of OpenMP spin). The scan over codes must give the f32 scan's hits and scores bit for bit, or the
 * program fails. FAISS sums in another order, so its lists are compared by overlap. FAISS (IndexFlatIP) uses
 * threads for several queries only, so it is asked one query and all of them. --no-faiss: without it and its copy of the rows,
 * for the largest corpora. */
#include "bench_program.h"
#include "core/memory.h"
#include "core/threadpool.h"
#include "index/vector_codes.h"
#include "index/vector_scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 1024, MAX_REPEAT = 100 };

typedef struct setup {
    size_t rows, dim, k, nq;
    int threads, repeat;
    bool csv, faiss;
    const char *index;
    wn_vectors v;
    float *all;     /* [rows, dim]: where the blocks lie */
    float *queries; /* [nq, dim] */
    float *scales;
    wn_pool *pool;
} setup;

/* ---- Data ------------------------------------------------------------------------- */

/* Mean 0, deviation about 1: the sum of eight bytes. */
static float noise(void) {
    uint64_t bits = next_random();
    int sum = 0;
    for (int i = 0; i < 8; i++) sum += (int)(bits >> (8 * i) & 255);
    return (float)(sum - 1020) / 209.0f;
}

static void normalise(float *x, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < dim; i++) x[i] = (float)((double)x[i] / sqrt(sum));
}

static void fill(setup *s, const float *real, size_t nreal) {
    size_t dim = s->dim, ncentres = 1000;
    float *centres = malloc(ncentres * dim * sizeof *centres);
    if (!centres) die("out of memory");
    for (size_t i = 0; i < ncentres * dim; i++) centres[i] = noise();
    for (size_t r = 0; r < s->rows; r++) {
        float *x = s->all + r * dim;
        const float *base = real ? real + r % nreal * dim : centres + next_random() % ncentres * dim;
        if (real && r < nreal) {
            memcpy(x, base, dim * sizeof *x);
            continue;
        }
        const float *a = real ? real + next_random() % nreal * dim : NULL, *b = real ? real + next_random() % nreal * dim : NULL;
        for (size_t i = 0; i < dim; i++) x[i] = base[i] + (real ? 0.5f * (a[i] - b[i]) : noise());
        normalise(x, dim);
    }
    free(centres);
}

static void make(setup *s) {
    wn_vectors stored = {0};
    float *real = NULL;
    wn_error err;
    if (s->index) {
        wn_database database;
        int64_t dim = 0;
        if (wn_database_open(s->index, WN_DATABASE_READ, &database, &err) ||
            wn_database_int(&database, "SELECT value FROM meta WHERE key = 'dim'", &dim, &err)) die(err.message);
        if (dim < 1) die("the index has no embeddings");
        s->dim = (size_t)dim;
        if (wn_vectors_refresh(&database, s->dim, &stored, &err)) die(err.message);
        wn_database_close(&database);
        real = malloc(stored.count * s->dim * sizeof *real);
        if (!real) die("out of memory");
        for (size_t r = 0; r < stored.count; r++)
            memcpy(real + r * s->dim, wn_vectors_row(&stored, r), s->dim * sizeof *real);
        if (!s->rows) s->rows = stored.count;
    }
    wn_vectors *v = &s->v;
    *v = (wn_vectors){.dim = s->dim, .count = s->rows, .nblocks = (s->rows + BLOCK - 1) / BLOCK};
    v->blocks = wn_calloc(v->nblocks, sizeof *v->blocks);
    v->ids = wn_malloc(s->rows * sizeof *v->ids);
    wn_slab *slab = wn_slab_create(s->rows * s->dim * sizeof(float));
    s->queries = malloc(s->nq * s->dim * sizeof(float));
    s->scales = malloc(s->nq * sizeof(float));
    if (!v->blocks || !v->ids || !slab || !s->queries || !s->scales) die("out of memory");
    s->all = wn_slab_memory(slab);
    fill(s, real, stored.count);
    for (size_t b = 0; b < v->nblocks; b++) {
        size_t begin = b * BLOCK, n = s->rows - begin < BLOCK ? s->rows - begin : BLOCK;
        v->blocks[b] = (wn_vector_block){.number = (int64_t)b + 1, .begin = begin, .count = (uint32_t)n,
                                         .rows = s->all + begin * s->dim, .slab = slab};
        wn_slab_use(slab);
    }
    for (size_t r = 0; r < s->rows; r++) v->ids[r] = (int64_t)r;
    for (size_t q = 0; q < s->nq; q++) {
        float *x = s->queries + q * s->dim;
        const float *from = s->all + next_random() % s->rows * s->dim;
        double deviation = 0.7 / sqrt((double)s->dim);
        for (size_t i = 0; i < s->dim; i++) x[i] = from[i] + (float)deviation * noise();
        normalise(x, s->dim);
        s->scales[q] = 1;
    }
    free(real);
    wn_vectors_release(&stored);
}

/* ---- What is timed -------------------------------------------------------------------- */

typedef struct reading {
    const uint64_t *words;
    size_t n, ntasks;
    uint64_t sums[64]; /* by task modulo, so that nothing is optimised away */
} reading;

/* As wide as the processor can. */
#if defined(__x86_64__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
static void read_task(void *ctx, size_t task, int worker) {
    reading *r = ctx;
    size_t begin = r->n / r->ntasks * task, end = task + 1 == r->ntasks ? r->n : begin + r->n / r->ntasks;
    uint64_t a[8] = {0};
    size_t i = begin;
    for (; i + 8 <= end; i += 8)
        for (size_t j = 0; j < 8; j++) a[j] ^= r->words[i + j];
    for (; i < end; i++) a[0] ^= r->words[i];
    r->sums[worker] ^= a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] ^ a[5] ^ a[6] ^ a[7];
}

static uint64_t sink;
static void plain_read(setup *s) {
    reading r = {.words = (const uint64_t *)s->all, .n = s->rows * s->dim / 2, .ntasks = 256};
    wn_pool_run(s->pool, r.ntasks, read_task, &r);
    for (size_t i = 0; i < 64; i++) sink ^= r.sums[i];
}

static wn_scan_stats stats;
static void search(setup *s, bool coded, size_t first, size_t nq, wn_hit *hits, size_t *counts) {
    wn_scan_request request = {.queries = s->queries + first * s->dim, .scales = s->scales, .nq = nq, .k = s->k, .pool = s->pool};
    wn_error err;
    s->v.coded = coded;
    if (wn_vectors_search(&s->v, &request, hits, counts, &stats, &err)) die(err.message);
}

#ifdef WN_HAVE_FAISS
void *faiss_flat_create(const float *rows, size_t n, size_t dim);
void faiss_flat_search(void *index, const float *queries, size_t nq, size_t k, int threads, float *scores, int64_t *rows);
void faiss_flat_free(void *index);
#endif

enum { READ, F32_ONE, CODES_ONE, F32_MANY, CODES_MANY, FAISS_ONE, FAISS_MANY, NKINDS };
static const char *const names[NKINDS] = {"plain read of the f32 rows", "f32, one query", "codes, one query", "f32, many queries",
                                          "codes, many queries", "FAISS flat, one query", "FAISS flat, many queries"};

typedef struct result {
    wn_hit *one, *many;        /* [k], [nq k] of the f32 scan */
    wn_hit *other;             /* [nq k] */
    size_t *counts;
    float *faiss_scores;
    int64_t *faiss_rows;
    void *faiss;
    double times[NKINDS][MAX_REPEAT], cpu[NKINDS][MAX_REPEAT];
    double overlap;
} result;

/* hits of codes against those of f32 */
static void same(const wn_hit *a, const wn_hit *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i].passage != b[i].passage || memcmp(&a[i].score, &b[i].score, sizeof a[i].score) != 0)
            die("the scan over codes gave another answer than the scan in f32");
}

static bool run_kind(setup *s, result *r, int kind, int round) {
    size_t q = (size_t)round % s->nq, nk = s->nq * s->k;
    double begin = clock_ms(CLOCK_MONOTONIC), cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    switch (kind) {
    case READ: plain_read(s); break;
    case F32_ONE: search(s, false, q, 1, r->one, r->counts); break;
    case CODES_ONE: search(s, true, q, 1, r->other, r->counts); break;
    case F32_MANY: search(s, false, 0, s->nq, r->many, r->counts); break;
    case CODES_MANY: search(s, true, 0, s->nq, r->other, r->counts); break;
#ifdef WN_HAVE_FAISS
    case FAISS_ONE: faiss_flat_search(r->faiss, s->queries + q * s->dim, 1, s->k, s->threads, r->faiss_scores, r->faiss_rows); break;
    case FAISS_MANY: faiss_flat_search(r->faiss, s->queries, s->nq, s->k, s->threads, r->faiss_scores, r->faiss_rows); break;
#endif
    default: return false;
    }
    r->times[kind][round] = clock_ms(CLOCK_MONOTONIC) - begin;
    r->cpu[kind][round] = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (kind == CODES_ONE) same(r->one, r->other, s->k);
    if (kind == CODES_MANY) same(r->many, r->other, nk);
    if (kind == FAISS_MANY) {
        size_t found = 0;
        for (size_t i = 0; i < nk; i++)
            for (size_t j = i / s->k * s->k; j < (i / s->k + 1) * s->k; j++)
                if (r->many[i].passage == r->faiss_rows[j]) {
                    found++;
                    break;
                }
        r->overlap = (double)found / (double)nk;
    }
    return true;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(const setup *s, result *r, int nkinds) {
    double f32_bytes = (double)s->rows * (double)s->dim * 4;
    if (s->csv) puts("what,rows,dim,k,queries,threads,rounds,median_ms_a_query,least_ms_a_query,processor_ms_a_query,f32_gb_per_s");
    else printf("%zu x %zu, k = %zu, %d threads, %d rounds; milliseconds a query\n", s->rows, s->dim, s->k, s->threads, s->repeat);
    for (int kind = 0; kind < nkinds; kind++) {
        bool many = kind == F32_MANY || kind == CODES_MANY || kind == FAISS_MANY;
        size_t nq = many ? s->nq : 1;
        qsort(r->times[kind], (size_t)s->repeat, sizeof(double), by_value);
        qsort(r->cpu[kind], (size_t)s->repeat, sizeof(double), by_value);
        double median = r->times[kind][s->repeat / 2] / (double)nq, least = r->times[kind][0] / (double)nq,
               cpu = r->cpu[kind][s->repeat / 2] / (double)nq;
        if (s->csv) printf("%s,%zu,%zu,%zu,%zu,%d,%d,%.4f,%.4f,%.4f,%.2f\n", names[kind], s->rows, s->dim, s->k, nq, s->threads,
                           s->repeat, median, least, cpu, f32_bytes / median * 1e-6);
        else printf("%-28s %3zu  median %9.3f  least %9.3f  processor %9.3f  %7.1f GB/s of f32\n", names[kind], nq, median,
                    least, cpu, f32_bytes / median * 1e-6);
    }
    FILE *out = s->csv ? stderr : stdout;
    fprintf(out, "codes: %zu queries, %.0f rows rescored each, %zu fell back to f32; every answer equals the f32 scan's\n",
            stats.coded, (double)stats.rescored / (double)(stats.coded ? stats.coded : 1), stats.fallen);
    if (s->faiss) fprintf(out, "FAISS: %.4f of our hits are in its lists\n", r->overlap);
    else fprintf(out, "FAISS: SKIPPED (not asked for, or libfaiss was not found when winnow was built)\n");
}

static void run(setup *s) {
    result *r = calloc(1, sizeof *r);
    wn_error err;
    if (!r || wn_pool_create(s->threads, NULL, &s->pool, &err)) die("out of memory");
    make(s);
    double begin = clock_ms(CLOCK_MONOTONIC), cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (wn_vectors_encode(&s->v, s->pool, &err)) die(err.message);
    fprintf(stderr, "coding took %.0f ms, %.0f of processor time\n", clock_ms(CLOCK_MONOTONIC) - begin,
            clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    size_t nk = s->nq * s->k;
    r->one = malloc(s->k * sizeof *r->one), r->many = malloc(nk * sizeof *r->many), r->other = malloc(nk * sizeof *r->other);
    r->counts = malloc(s->nq * sizeof *r->counts);
    r->faiss_scores = malloc(nk * sizeof(float)), r->faiss_rows = malloc(nk * sizeof(int64_t));
    if (!r->one || !r->many || !r->other || !r->counts || !r->faiss_scores || !r->faiss_rows) die("out of memory");
#ifdef WN_HAVE_FAISS
    if (s->faiss) r->faiss = faiss_flat_create(s->all, s->rows, s->dim);
#else
    s->faiss = false;
#endif
    int nkinds = s->faiss ? NKINDS : FAISS_ONE;
    for (int kind = 0; kind < nkinds; kind++) run_kind(s, r, kind, 0); /* unmeasured */
    memset(&stats, 0, sizeof stats);
    for (int round = 0; round < s->repeat; round++)
        for (int kind = 0; kind < nkinds; kind++) run_kind(s, r, kind, round);
    tell(s, r, nkinds);
#ifdef WN_HAVE_FAISS
    if (s->faiss) faiss_flat_free(r->faiss);
#endif
    wn_vectors_release(&s->v);
    wn_pool_free(s->pool);
    free(s->queries), free(s->scales), free(r->one), free(r->many), free(r->other), free(r->counts);
    free(r->faiss_scores), free(r->faiss_rows), free(r);
}

int main(int argc, char **argv) {
    setup s = {.rows = 1000000, .dim = 384, .k = 100, .nq = 64, .threads = 2, .repeat = 5, .faiss = true};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--csv")) s.csv = true;
        else if (!strcmp(argv[i], "--no-faiss")) s.faiss = false;
        else if (i + 1 < argc && !strcmp(argv[i], "--index")) s.index = argv[++i];
        else if (i + 1 < argc && !strcmp(argv[i], "--rows")) s.rows = (size_t)atol(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--dim")) s.dim = (size_t)atol(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--k")) s.k = (size_t)atol(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--queries")) s.nq = (size_t)atol(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--threads")) s.threads = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--repeat")) s.repeat = atoi(argv[++i]);
        else return fprintf(stderr, "bench_scan: what is %s?\n", argv[i]), 2;
    }
    if ((!s.rows && !s.index) || s.dim < 2 || s.k < 1 || s.nq < 1 || s.repeat < 1 || s.repeat > MAX_REPEAT || s.threads < 1 || s.threads > 64)
        die("--rows, --dim, --k, --queries at least 1; --threads 1 to 64; --repeat 1 to 100");
    if (s.rows && s.k > s.rows) die("--k is larger than --rows");
    run(&s);
    return 0;
}
