/* vector_store.c -- reading embeddings: load once, scan exactly.
 *
 * The scan is a dot product a row: all stored rows have length 1, so with a query of length 1
 * that is the cosine. Rows of a model that does not normalise were divided by their norm when
 * they were stored (vector_writer.c); the caller does the same to the query by `scale`.
 *
 * Rejected: scanning the blocks in SQLite's page cache (a copy a page, 2 to 5 GB/s for every
 * query instead of once) and mapping the file (overflow pages are not contiguous, and a file
 * cut by another process would be a SIGBUS). */
#include "index/vector_store.h"
#include "core/memory.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian and read as it is");

wn_status wn_vector_block_hash(const void *ids, size_t ids_bytes, const void *rows, size_t rows_bytes,
                               wn_hash *out, wn_error *err) {
    wn_hasher *hasher = wn_hasher_create();
    if (!hasher) return wn_fail_memory(err, 0);
    wn_hasher_update(hasher, ids, ids_bytes);
    wn_hasher_update(hasher, rows, rows_bytes);
    *out = wn_hasher_finish(hasher);
    return WN_OK;
}

/* Sizes first: one allocation, and no number of the file is believed unless its bytes are there. */
static wn_status measure(const wn_database *database, size_t dim, size_t *count, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database,
                               "SELECT length(ids), length(data), typeof(ids) = 'blob' AND "
                               "typeof(data) = 'blob', block FROM vectors",
                               &statement, err));
    int64_t pages, page_size;
    wn_status st = wn_database_int(database, "PRAGMA page_count", &pages, err);
    if (st == WN_OK) st = wn_database_int(database, "PRAGMA page_size", &page_size, err);
    size_t total = 0;
    bool row;
    while (st == WN_OK && (st = wn_database_step(database, statement, &row, err)) == WN_OK && row) {
        int64_t ids = sqlite3_column_int64(statement, 0), data = sqlite3_column_int64(statement, 1);
        int64_t n = ids / 8;
        if (!sqlite3_column_int(statement, 2) || n < 1 || n > WN_VECTOR_BLOCK_MAX || ids % 8 ||
            data != n * (int64_t)dim * 4)
            st = wn_database_corrupt(database, err, "block %lld of embeddings has sizes %lld and %lld",
                                     (long long)sqlite3_column_int64(statement, 3), (long long)ids,
                                     (long long)data);
        else if ((total += (size_t)n) > (uint64_t)(pages * page_size) / (dim * 4))
            st = wn_database_corrupt(database, err, "its embeddings are larger than the file");
    }
    sqlite3_finalize(statement);
    if (st == WN_OK && total >= UINT32_MAX)
        st = wn_fail(err, WN_ERR_UNSUPPORTED, "%s: more than 2^32 embeddings", database->path);
    if (st == WN_OK) *count = total;
    return st;
}

/* Straight from SQLite's pages to `to`: no intermediate copy of a block. */
static wn_status read_blob(const wn_database *database, sqlite3_blob **blob, const char *column,
                           int64_t block, void *to, size_t len, wn_error *err) {
    int rc = *blob ? sqlite3_blob_reopen(*blob, block)
                   : sqlite3_blob_open(database->db, "main", "vectors", column, block, 0, blob);
    if (rc == SQLITE_OK && (size_t)sqlite3_blob_bytes(*blob) != len)
        return wn_database_corrupt(database, err, "block %lld changed its size", (long long)block);
    if (rc == SQLITE_OK) rc = sqlite3_blob_read(*blob, to, (int)len, 0);
    return rc == SQLITE_OK ? WN_OK : wn_database_fail(database, "read embeddings", err);
}

static wn_status read_blocks(const wn_database *database, wn_vectors *v, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    sqlite3_blob *ids = NULL, *data = NULL;
    size_t at = 0;
    bool row;
    wn_status st = wn_database_prepare(database,
                                       "SELECT block, length(ids), hash FROM vectors ORDER BY block",
                                       &statement, err);
    while (st == WN_OK && (st = wn_database_step(database, statement, &row, err)) == WN_OK && row) {
        int64_t block = sqlite3_column_int64(statement, 0);
        size_t n = (size_t)sqlite3_column_int64(statement, 1) / 8;
        const void *stored;
        wn_hash hash;
        if (n > v->count - at)
            WN_TRY_GOTO(wn_database_corrupt(database, err, "blocks of embeddings changed meanwhile"));
        size_t row_bytes = n * v->dim * sizeof(float);
        WN_TRY_GOTO(read_blob(database, &ids, "ids", block, v->ids + at, n * 8, err));
        WN_TRY_GOTO(read_blob(database, &data, "data", block, v->rows + at * v->dim, row_bytes, err));
        WN_TRY_GOTO(wn_database_blob(database, statement, 2, sizeof hash.bytes, &stored, err));
        WN_TRY_GOTO(wn_vector_block_hash(v->ids + at, n * 8, v->rows + at * v->dim, row_bytes, &hash, err));
        if (memcmp(stored, hash.bytes, sizeof hash.bytes) != 0)
            WN_TRY_GOTO(wn_database_corrupt(database, err, "block %lld of embeddings fails its checksum",
                                            (long long)block));
        at += n;
    }
    if (st == WN_OK && at != v->count) st = wn_database_corrupt(database, err, "blocks of embeddings are missing");
fail:
    sqlite3_blob_close(ids);
    sqlite3_blob_close(data);
    sqlite3_finalize(statement);
    return st;
}

static int compare_rows(const void *a, const void *b, void *ids) {
    int64_t x = ((const int64_t *)ids)[*(const uint32_t *)a];
    int64_t y = ((const int64_t *)ids)[*(const uint32_t *)b];
    return (x > y) - (x < y);
}

/* An index that was only ever added to has its rows in order. */
static wn_status sort_rows(const wn_database *database, wn_vectors *v, wn_error *err) {
    size_t i = 1;
    while (i < v->count && v->ids[i - 1] < v->ids[i]) i++;
    if (i < v->count) {
        v->order = wn_malloc(v->count * sizeof *v->order);
        if (!v->order) return wn_fail_memory(err, v->count * sizeof *v->order);
        for (i = 0; i < v->count; i++) v->order[i] = (uint32_t)i;
        qsort_r(v->order, v->count, sizeof *v->order, compare_rows, v->ids);
        for (i = 1; i < v->count; i++)
            if (v->ids[v->order[i - 1]] == v->ids[v->order[i]])
                return wn_database_corrupt(database, err, "passage %lld has two embeddings",
                                           (long long)v->ids[v->order[i]]);
    }
    return WN_OK;
}

wn_status wn_vectors_load(const wn_database *database, size_t dim, wn_vectors *out, wn_error *err) {
    wn_vectors v = {.dim = dim};
    WN_TRY(measure(database, dim, &v.count, err));
    size_t bytes = v.count * dim * sizeof(float); /* at most the file's size: measured */
    v.rows = wn_malloc_aligned(bytes);
    v.ids = wn_malloc(v.count * sizeof *v.ids);
    wn_status st = v.rows && v.ids ? WN_OK : wn_fail_memory(err, bytes);
    if (st == WN_OK) st = read_blocks(database, &v, err);
    if (st == WN_OK) st = sort_rows(database, &v, err);
    if (st != WN_OK) {
        wn_vectors_release(&v);
        return st;
    }
    *out = v;
    return WN_OK;
}

void wn_vectors_release(wn_vectors *vectors) {
    wn_free(vectors->rows);
    wn_free(vectors->ids);
    wn_free(vectors->order);
    *vectors = (wn_vectors){0};
}

static size_t row_at(const wn_vectors *v, size_t rank) { return v->order ? v->order[rank] : rank; }

size_t wn_vectors_find(const wn_vectors *v, int64_t id) {
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v->ids[row_at(v, middle)] < id) low = middle + 1;
        else high = middle;
    }
    return low < v->count && v->ids[row_at(v, low)] == id ? row_at(v, low) : SIZE_MAX;
}

void wn_vectors_mask(const wn_vectors *v, const wn_allowed *allowed, uint64_t *mask) {
    size_t rank = 0;
    for (size_t i = 0; i < allowed->count && rank < v->count;) {
        size_t row = row_at(v, rank);
        if (v->ids[row] < allowed->ids[i]) {
            rank++;
        } else {
            if (v->ids[row] == allowed->ids[i]) mask[row / 64] |= (uint64_t)1 << (row % 64);
            i++;
        }
    }
}

void wn_vectors_scan(const wn_vectors *v, size_t begin, size_t end, const float *query, float scale,
                     const uint64_t *mask, wn_top_k *top) {
    float (*dot)(const float *, const float *, size_t) = wn_kernels_get()->dot_f32;
    for (size_t row = begin; row < end; row++) {
        if (mask && !(mask[row / 64] >> (row % 64) & 1)) continue;
        wn_top_k_push(top, v->ids[row], scale * dot(query, v->rows + row * v->dim, v->dim));
    }
}
