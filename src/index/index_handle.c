/* index_handle.c -- opening an index for reading, and its two first stages.
 *
 * Embeddings are loaded at the first dense search, and after another process changed the file (PRAGMA
 * data_version) those of the blocks that differ, so a BM25 search of a large index starts at
 * once, and a long-lived reader is never stale. Each search is one read transaction.
 *
 * Codes for the first pass of a scan are made when embeddings are searched a second time, or by many
 * queries: making them costs about as much as ten scans without, which one search never earns back. */
#include "index/index_handle.h"
#include "core/cpu.h"
#include "index/full_text.h"
#include "index/top_k.h"
#include "index/vector_codes.h"
#include "index/vector_scan.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

enum {
    CODES_LEAST_ROWS = 8192,          /* below, a scan in f32 takes half a millisecond or less */
    CODES_LEAST_QUERIES = 8,
    POOL_LEAST_BYTES = 4 << 20        /* of rows: less is scanned before a pool has woken */
};

wn_status wn_index_open(const char *path, wn_index **out, wn_error *err) {
    wn_index *index = wn_calloc(1, sizeof *index);
    if (!index) return wn_fail_memory(err, sizeof *index);
    index->seen_version = -1;
    index->threads = 1;
    wn_status st = WN_OK;
    WN_TRY_GOTO(wn_database_open(path, WN_DATABASE_READ, &index->database, err));
    WN_TRY_GOTO(wn_index_begin(index, err));
    WN_TRY_GOTO(wn_schema_check(&index->database, err));
    WN_TRY_GOTO(wn_identity_load(&index->database, &index->identity, err));
    WN_TRY_GOTO(wn_bm25_register(&index->database, &index->bm25, err));
    wn_index_end(index);
    *out = index;
    return WN_OK;
fail:
    wn_index_close(index);
    return st;
}

void wn_index_close(wn_index *index) {
    if (!index) return;
    sqlite3_finalize(index->match);
    sqlite3_finalize(index->passage);
    sqlite3_finalize(index->data_version);
    wn_vectors_release(&index->vectors);
    wn_pool_free(index->pool);
    wn_free(index->mask);
    wn_buf_release(&index->expression);
    wn_buf_release(&index->input);
    wn_identity_release(&index->identity);
    wn_database_close(&index->database);
    wn_bm25_free(index->bm25);
    wn_free(index);
}

wn_status wn_index_begin(wn_index *index, wn_error *err) {
    int rc = sqlite3_exec(index->database.db, "BEGIN", NULL, NULL, NULL);
    return rc == SQLITE_OK ? WN_OK : wn_database_fail(&index->database, "begin reading", err);
}

void wn_index_end(wn_index *index) { wn_database_rollback(&index->database); }

static wn_status count_passages(const wn_database *database, wn_index_info *info, wn_error *err) {
    int64_t documents, passages, pending;
    WN_TRY(wn_database_int(database, "SELECT count(*) FROM documents", &documents, err));
    WN_TRY(wn_database_int(database, "SELECT count(*) FROM chunks", &passages, err));
    WN_TRY(wn_database_int(database, "SELECT count(*) FROM chunks WHERE block IS NULL", &pending, err));
    info->documents = (uint64_t)documents;
    info->passages = (uint64_t)passages;
    info->embedded = (uint64_t)(passages - pending);
    return WN_OK;
}

wn_status wn_index_describe(wn_index *index, wn_index_info *out, wn_error *err) {
    const wn_identity *identity = &index->identity;
    wn_index_info info = {
        .schema_version = WN_SCHEMA_VERSION,
        .dim = (size_t)identity->dim,
        .model_name = identity->model_name, .model_hash = identity->model_hash,
        .model_path = identity->model_path,
        .query_prompt = identity->query_prompt, .document_prompt = identity->document_prompt,
        .pooling = (wn_pooling)identity->pooling, .normalize = identity->normalize != 0,
        .unit = (wn_split_unit)identity->split_unit,
        .chunk_size = (size_t)identity->chunk_size, .chunk_overlap = (size_t)identity->chunk_overlap,
        .stemming = identity->stemming != 0,
    };
    WN_TRY(wn_index_begin(index, err));
    wn_status st = count_passages(&index->database, &info, err);
    wn_index_end(index);
    if (st == WN_OK) *out = info;
    return st;
}

/* ---- Dense ---------------------------------------------------------------- */

static wn_status read_version(wn_index *index, int64_t *out, wn_error *err) {
    const wn_database *database = &index->database;
    WN_TRY(wn_database_prepare(database, "PRAGMA data_version", &index->data_version, err));
    bool row;
    WN_TRY(wn_database_step(database, index->data_version, &row, err));
    *out = row ? sqlite3_column_int64(index->data_version, 0) : 0;
    sqlite3_reset(index->data_version);
    return WN_OK;
}

/* A read transaction that holds its lock, as data_version tells of changes up to the last lock. */
static wn_status begin_locked(wn_index *index, wn_error *err) {
    int64_t ignored;
    WN_TRY(wn_index_begin(index, err));
    return wn_database_int(&index->database, "SELECT count(*) FROM meta", &ignored, err);
}

static wn_status refresh_vectors(wn_index *index, wn_error *err) {
    const wn_database *database = &index->database;
    if (!index->identity.dim)
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "%s: holds no embeddings; build it with a model, or search with BM25",
                       database->path);
    int64_t version;
    WN_TRY(read_version(index, &version, err));
    if (version == index->seen_version) return WN_OK;
    index->seen_version = -1;
    wn_database_limit_values(database);
    WN_TRY(wn_vectors_refresh(database, (size_t)index->identity.dim, &index->vectors, err));
    index->seen_version = version;
    return WN_OK;
}

static wn_status begin_dense(wn_index *index, wn_error *err) {
    WN_TRY(begin_locked(index, err));
    return refresh_vectors(index, err);
}

/* 1 / |query| where the model leaves length to us. */
static float query_scale(const wn_index *index, const float *query) {
    if (index->identity.normalize) return 1;
    double sum = 0;
    for (size_t i = 0; i < (size_t)index->identity.dim; i++) sum += (double)query[i] * query[i];
    return sum > 0 && isfinite(sum) ? (float)(1 / sqrt(sum)) : 1;
}

/* index->mask, and how many rows it lets pass. */
static wn_status allow(wn_index *index, const wn_filter *filters, size_t nfilters, size_t *passed,
                       wn_error *err) {
    wn_allowed allowed = {0};
    wn_status st = wn_filter_evaluate(&index->database, filters, nfilters, &allowed, err);
    size_t words = (index->vectors.count + 63) / 64;
    if (st == WN_OK) st = wn_grow(&index->mask, &index->mask_capacity, words, sizeof *index->mask, err);
    if (st == WN_OK) {
        if (words) memset(index->mask, 0, words * sizeof *index->mask);
        *passed = wn_vectors_mask(&index->vectors, &allowed, index->mask);
    }
    wn_allowed_release(&allowed);
    return st;
}

wn_status wn_index_use_threads(wn_index *index, int threads, wn_error *err) {
    if (threads > 256) return wn_fail(err, WN_ERR_ARGUMENT, "at most 256 threads, not %d", threads);
    wn_pool_free(index->pool);
    index->pool = NULL;
    index->threads = threads > 0 ? threads : wn_cpu_count();
    return WN_OK;
}

static wn_status check_k(size_t k, const wn_hit *hits, wn_error *err) {
    if (!k || !hits) return wn_fail(err, WN_ERR_ARGUMENT, "k must be at least 1");
    return WN_OK;
}

/* Threads and codes, where they pay. Codes that no memory is left for are done without. */
static wn_status prepare_scan(wn_index *index, size_t nqueries, wn_error *err) {
    wn_vectors *v = &index->vectors;
    if (index->threads > 1 && !index->pool && v->count * v->dim * sizeof(float) >= POOL_LEAST_BYTES)
        WN_TRY(wn_pool_create(index->threads, NULL, &index->pool, err));
    if (v->count >= CODES_LEAST_ROWS && (index->scanned || nqueries >= CODES_LEAST_QUERIES))
        (void)wn_vectors_encode(v, index->pool, NULL);
    index->scanned = true;
    return WN_OK;
}

wn_status wn_index_search_dense_many(wn_index *index, const float *queries, size_t nqueries, size_t k,
                                     const wn_filter *filters, size_t nfilters, wn_hit *hits,
                                     size_t *counts, wn_error *err) {
    WN_TRY(check_k(k, hits, err));
    wn_scan_request request = {.queries = queries, .nq = nqueries, .k = k};
    float one, *scales = nqueries == 1 ? &one : wn_malloc(nqueries * sizeof *scales);
    if (!scales) return wn_fail_memory(err, nqueries * sizeof *scales);
    wn_status st = begin_dense(index, err);
    if (st == WN_OK && nfilters) st = allow(index, filters, nfilters, &request.passed, err);
    wn_index_end(index);
    if (st == WN_OK) st = prepare_scan(index, nqueries, err);
    if (st == WN_OK) {
        size_t dim = (size_t)index->identity.dim;
        for (size_t q = 0; q < nqueries; q++) scales[q] = query_scale(index, queries + q * dim);
        request.scales = scales;
        request.mask = nfilters ? index->mask : NULL;
        request.pool = index->vectors.count * dim * sizeof(float) >= POOL_LEAST_BYTES ? index->pool : NULL;
        st = wn_vectors_search(&index->vectors, &request, hits, counts, NULL, err);
    }
    if (scales != &one) wn_free(scales);
    return st;
}

wn_status wn_index_search_dense(wn_index *index, const float *query, size_t k, const wn_filter *filters,
                                size_t nfilters, wn_hit *hits, size_t *count, wn_error *err) {
    size_t found = 0;
    WN_TRY(wn_index_search_dense_many(index, query, 1, k, filters, nfilters, hits, &found, err));
    *count = found;
    return WN_OK;
}

wn_status wn_index_score_dense(wn_index *index, const float *query, const int64_t *passages, size_t n,
                               float *scores, wn_error *err) {
    wn_status st = begin_dense(index, err);
    wn_index_end(index);
    if (st != WN_OK) return st;
    const wn_vectors *v = &index->vectors;
    float scale = query_scale(index, query);
    for (size_t i = 0; i < n; i++) {
        size_t row = wn_vectors_find(v, passages[i]);
        scores[i] = row == SIZE_MAX
                        ? NAN
                        : scale * wn_kernels_get()->dot_f32(query, wn_vectors_row(v, row), v->dim);
    }
    return WN_OK;
}

/* ---- BM25 ----------------------------------------------------------------- */

wn_status wn_index_search_bm25(wn_index *index, wn_str query, size_t k, const wn_filter *filters,
                               size_t nfilters, wn_hit *hits, size_t *count, wn_error *err) {
    WN_TRY(check_k(k, hits, err));
    wn_buf_clear(&index->expression);
    WN_TRY(wn_full_text_query(query, &index->expression, err));
    if (!index->expression.len) {
        *count = 0;
        return WN_OK;
    }
    wn_allowed allowed = {0};
    wn_top_k top = {.hits = hits, .k = k};
    int64_t version;
    wn_status st = begin_locked(index, err);
    if (st == WN_OK) st = read_version(index, &version, err);
    if (st == WN_OK) wn_bm25_begin(index->bm25, version);
    if (st == WN_OK && nfilters)
        st = wn_filter_evaluate(&index->database, filters, nfilters, &allowed, err);
    if (st == WN_OK)
        st = wn_full_text_search(&index->database, &index->match, index->expression.data,
                                 nfilters ? &allowed : NULL, &top, err);
    wn_index_end(index);
    wn_allowed_release(&allowed);
    if (st == WN_OK) *count = top.count;
    return st;
}
