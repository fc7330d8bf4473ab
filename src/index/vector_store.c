/* vector_store.c -- reading embeddings: load once, then only what changed.
 *
 * All stored rows have length 1, so with a query of length 1 the dot product is the cosine. Rows of a model
 * that does not normalise were divided by their norm when they were stored (vector_writer.c).
 *
 * A refresh lists the blocks with their ids (8 KB a block, in its first pages: rows are not touched) and keeps
 * each block whose ids it has already, by the invariant in the header. Comparing hashes instead would
 * read the whole file: a hash lies behind its block's rows in a chain of pages.
 *
 * Rows lie in slabs, one a load or refresh, so that a change moves nothing. What replaced blocks leave
 * unused in a slab is bounded: past one half everything is loaded anew.
 *
 * Rejected: scanning the blocks in SQLite's page cache (a copy a page, 2 to 5 GB/s for every
 * query instead of once) and mapping the file (overflow pages are not contiguous, and a file
 * cut by another process would be a SIGBUS). */
#include "index/vector_store.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian and read as it is");

enum { HUGE_PAGE = 2 << 20, SPARE = 64 << 20 /* bytes of unused rows that are no matter */ };

wn_status wn_vector_block_hash(const void *ids, size_t ids_bytes, const void *rows, size_t rows_bytes,
                               wn_hash *out, wn_error *err) {
    wn_hasher *hasher = wn_hasher_create();
    if (!hasher) return wn_fail_memory(err, 0);
    wn_hasher_update(hasher, ids, ids_bytes);
    wn_hasher_update(hasher, rows, rows_bytes);
    *out = wn_hasher_finish(hasher);
    return WN_OK;
}

/* ---- Slabs ------------------------------------------------------------------ */

struct wn_slab {
    size_t users, bytes;
    void *memory;
};

/* A scan walks the whole of it: with 4 KiB pages, 1.5 GB are 375,000 translations a query. */
wn_slab *wn_slab_create(size_t bytes) {
    wn_slab *slab = wn_calloc(1, sizeof *slab);
    if (!slab) return NULL;
    slab->bytes = bytes;
    slab->memory = wn_malloc_aligned(bytes);
    if (!slab->memory) {
        wn_free(slab);
        return NULL;
    }
    uintptr_t begin = ((uintptr_t)slab->memory + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)slab->memory + bytes) & ~(uintptr_t)(HUGE_PAGE - 1);
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* a hint */
    return slab;
}

void *wn_slab_memory(wn_slab *slab) { return slab->memory; }
void wn_slab_use(wn_slab *slab) { slab->users++; }

void wn_slab_drop(wn_slab *slab) {
    if (!slab || (slab->users && --slab->users)) return;
    wn_free(slab->memory);
    wn_free(slab);
}

/* ---- What the file has ---------------------------------------------------------- */

static size_t row_bytes(const wn_vectors *v, const wn_vector_block *block) {
    return block->count * v->dim * sizeof(float);
}

/* Each block starts on a cache line. */
static size_t slab_share(const wn_vectors *v, const wn_vector_block *block) {
    return (row_bytes(v, block) + 63) & ~(size_t)63;
}

/* Sizes first: no number of the file is believed unless its bytes are there. */
static wn_status measure(const wn_database *database, wn_vectors *v, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database,
                               "SELECT length(ids), length(data), typeof(ids) = 'blob' AND "
                               "typeof(data) = 'blob', block FROM vectors",
                               &statement, err));
    int64_t pages, page_size;
    wn_status st = wn_database_int(database, "PRAGMA page_count", &pages, err);
    if (st == WN_OK) st = wn_database_int(database, "PRAGMA page_size", &page_size, err);
    bool row;
    while (st == WN_OK && (st = wn_database_step(database, statement, &row, err)) == WN_OK && row) {
        int64_t ids = sqlite3_column_int64(statement, 0), data = sqlite3_column_int64(statement, 1);
        int64_t n = ids / 8;
        v->nblocks++;
        if (!sqlite3_column_int(statement, 2) || n < 1 || n > WN_VECTOR_BLOCK_MAX || ids % 8 ||
            data != n * (int64_t)v->dim * 4)
            st = wn_database_corrupt(database, err, "block %lld of embeddings has sizes %lld and %lld",
                                     (long long)sqlite3_column_int64(statement, 3), (long long)ids,
                                     (long long)data);
        else if ((v->count += (size_t)n) > (uint64_t)(pages * page_size) / (v->dim * 4))
            st = wn_database_corrupt(database, err, "its embeddings are larger than the file");
    }
    sqlite3_finalize(statement);
    if (st == WN_OK && v->count >= UINT32_MAX)
        st = wn_fail(err, WN_ERR_UNSUPPORTED, "%s: more than 2^32 embeddings", database->path);
    return st;
}

/* v->blocks and v->ids, as measured. */
static wn_status list_blocks(const wn_database *database, wn_vectors *v, wn_error *err) {
    v->blocks = wn_calloc(v->nblocks, sizeof *v->blocks);
    v->ids = wn_malloc(v->count * sizeof *v->ids);
    if (!v->blocks || !v->ids) return wn_fail_memory(err, v->count * sizeof *v->ids);
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database, "SELECT block, ids FROM vectors ORDER BY block", &statement, err));
    size_t i = 0, at = 0;
    bool row;
    wn_status st;
    while ((st = wn_database_step(database, statement, &row, err)) == WN_OK && row) {
        const void *ids = sqlite3_column_blob(statement, 1);
        size_t n = (size_t)sqlite3_column_bytes(statement, 1) / 8;
        if (!ids) st = wn_fail_memory(err, n * 8); /* it has a size: measured */
        else if (i == v->nblocks || !n || n > v->count - at)
            st = wn_database_corrupt(database, err, "blocks of embeddings changed meanwhile");
        if (st != WN_OK) break;
        memcpy(v->ids + at, ids, n * 8);
        v->blocks[i++] = (wn_vector_block){.number = sqlite3_column_int64(statement, 0), .begin = at,
                                           .count = (uint32_t)n};
        at += n;
    }
    sqlite3_finalize(statement);
    if (st == WN_OK && (i != v->nblocks || at != v->count))
        st = wn_database_corrupt(database, err, "blocks of embeddings are missing");
    return st;
}

/* ---- Rows ------------------------------------------------------------------------ */

/* The blocks whose ids `old` has too. How many rows are left to be read. */
static size_t take_over(const wn_vectors *old, wn_vectors *v) {
    size_t missing = v->count, j = 0;
    for (size_t i = 0; i < v->nblocks; i++) {
        wn_vector_block *block = &v->blocks[i];
        while (j < old->nblocks && old->blocks[j].number < block->number) j++;
        if (j == old->nblocks || old->blocks[j].number != block->number) continue;
        const wn_vector_block *had = &old->blocks[j];
        if (had->count != block->count ||
            memcmp(old->ids + had->begin, v->ids + block->begin, block->count * sizeof *v->ids) != 0)
            continue;
        size_t begin = block->begin;
        *block = *had;
        block->begin = begin;
        wn_slab_use(block->slab);
        if (block->code_slab) wn_slab_use(block->code_slab);
        missing -= block->count;
    }
    return missing;
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

/* Its hash lies in the pages that reading the rows has just brought into SQLite's cache. */
static wn_status check_hash(const wn_database *database, const wn_vectors *v, const wn_vector_block *block,
                            sqlite3_stmt **statement, wn_error *err) {
    const void *stored;
    wn_hash hash;
    bool row;
    WN_TRY(wn_database_prepare(database, "SELECT hash FROM vectors WHERE block = ?", statement, err));
    sqlite3_bind_int64(*statement, 1, block->number);
    WN_TRY(wn_database_step(database, *statement, &row, err));
    wn_status st = row ? wn_database_blob(database, *statement, 0, sizeof hash.bytes, &stored, err)
                       : wn_database_corrupt(database, err, "blocks of embeddings are missing");
    if (st == WN_OK)
        st = wn_vector_block_hash(v->ids + block->begin, block->count * sizeof *v->ids, block->rows,
                                  row_bytes(v, block), &hash, err);
    if (st == WN_OK && memcmp(stored, hash.bytes, sizeof hash.bytes) != 0)
        st = wn_database_corrupt(database, err, "block %lld of embeddings fails its checksum",
                                 (long long)block->number);
    sqlite3_reset(*statement);
    return st;
}

/* Rows of the blocks that have none yet, into one slab. */
static wn_status read_rows(const wn_database *database, wn_vectors *v, wn_error *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < v->nblocks; i++)
        if (!v->blocks[i].slab) bytes += slab_share(v, &v->blocks[i]); /* together hardly over the file's size */
    if (!bytes) return WN_OK;
    wn_slab *slab = wn_slab_create(bytes);
    if (!slab) return wn_fail_memory(err, bytes);
    wn_slab_use(slab); /* ours, while we fill it */
    char *at = wn_slab_memory(slab);
    sqlite3_blob *data = NULL;
    sqlite3_stmt *hash = NULL;
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < v->nblocks; i++) {
        wn_vector_block *block = &v->blocks[i];
        if (block->slab) continue;
        block->rows = (const float *)at;
        block->slab = slab;
        wn_slab_use(slab);
        v->read++;
        st = read_blob(database, &data, "data", block->number, at, row_bytes(v, block), err);
        if (st == WN_OK) st = check_hash(database, v, block, &hash, err);
        at += slab_share(v, block);
    }
    sqlite3_blob_close(data);
    sqlite3_finalize(hash);
    wn_slab_drop(slab);
    return st;
}

/* ---- Order of ids ------------------------------------------------------------------ */

/* Least significant byte first; only bytes in which some ids differ cost a pass. scratch: [count]. */
static void radix_sort(const wn_vectors *v, uint32_t *scratch) {
    uint32_t *from = v->order, *to = scratch;
    uint64_t differing = 0;
    for (size_t i = 1; i < v->count; i++) differing |= (uint64_t)(v->ids[i] ^ v->ids[0]);
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if (!(differing >> shift & 255)) continue;
        unsigned flip = shift == 56 ? 128 : 0; /* the sign: negative ids first */
        size_t places[256] = {0}, sum = 0;
        for (size_t i = 0; i < v->count; i++) places[((uint64_t)v->ids[i] >> shift & 255) ^ flip]++;
        for (size_t b = 0; b < 256; b++) {
            size_t n = places[b];
            places[b] = sum;
            sum += n;
        }
        for (size_t i = 0; i < v->count; i++)
            to[places[((uint64_t)v->ids[from[i]] >> shift & 255) ^ flip]++] = from[i];
        uint32_t *other = from;
        from = to;
        to = other;
    }
    if (from != v->order) memcpy(v->order, from, v->count * sizeof *from);
}

/* An index that was only ever added to has its rows in order. */
static wn_status sort_rows(const wn_database *database, wn_vectors *v, wn_error *err) {
    size_t i = 1;
    while (i < v->count && v->ids[i - 1] < v->ids[i]) i++;
    if (i >= v->count) return WN_OK;
    v->order = wn_malloc(v->count * sizeof *v->order);
    uint32_t *scratch = wn_malloc(v->count * sizeof *scratch);
    if (!v->order || !scratch) {
        wn_free(scratch);
        return wn_fail_memory(err, v->count * sizeof *v->order);
    }
    for (i = 0; i < v->count; i++) v->order[i] = (uint32_t)i;
    radix_sort(v, scratch);
    wn_free(scratch);
    for (i = 1; i < v->count; i++)
        if (v->ids[v->order[i - 1]] == v->ids[v->order[i]])
            return wn_database_corrupt(database, err, "passage %lld has two embeddings",
                                       (long long)v->ids[v->order[i]]);
    return WN_OK;
}

/* ---- The calls ----------------------------------------------------------------------- */

/* A slab's bytes are shared out among the blocks that use it, so that each slab counts once. */
static void account(wn_vectors *v) {
    v->coded = true;
    for (size_t i = 0; i < v->nblocks; i++) {
        v->held += v->blocks[i].slab->bytes / v->blocks[i].slab->users;
        v->coded = v->coded && v->blocks[i].codes;
    }
}

wn_status wn_vectors_refresh(const wn_database *database, size_t dim, wn_vectors *vectors, wn_error *err) {
    wn_vectors v = {.dim = dim};
    wn_status st = WN_OK;
    WN_TRY(measure(database, &v, err));
    WN_TRY_GOTO(list_blocks(database, &v, err));
    size_t missing = vectors->dim == dim ? take_over(vectors, &v) : v.count;
    size_t wanted = v.count * dim * sizeof(float), more = missing * dim * sizeof(float);
    if (missing > v.count / 2 || vectors->held + more > 2 * wanted + SPARE) {
        /* Two copies of nearly everything, or too much that no block uses: start again. */
        for (size_t i = 0; i < v.nblocks; i++) {
            wn_slab_drop(v.blocks[i].slab);
            wn_slab_drop(v.blocks[i].code_slab);
            v.blocks[i] = (wn_vector_block){.number = v.blocks[i].number, .begin = v.blocks[i].begin,
                                            .count = v.blocks[i].count};
        }
        wn_vectors_release(vectors);
    }
    WN_TRY_GOTO(read_rows(database, &v, err));
    WN_TRY_GOTO(sort_rows(database, &v, err));
    wn_vectors_release(vectors);
    account(&v);
    *vectors = v;
    return WN_OK;
fail:
    wn_vectors_release(&v);
    return st;
}

void wn_vectors_release(wn_vectors *vectors) {
    for (size_t i = 0; vectors->blocks && i < vectors->nblocks; i++) {
        wn_slab_drop(vectors->blocks[i].slab);
        wn_slab_drop(vectors->blocks[i].code_slab);
    }
    wn_free(vectors->blocks);
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

const float *wn_vectors_row(const wn_vectors *v, size_t row) {
    size_t low = 0, high = v->nblocks; /* the last block that begins at or before row */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (v->blocks[middle].begin <= row) low = middle;
        else high = middle;
    }
    return v->blocks[low].rows + (row - v->blocks[low].begin) * v->dim;
}

size_t wn_vectors_mask(const wn_vectors *v, const wn_allowed *allowed, uint64_t *mask) {
    size_t rank = 0, passed = 0;
    for (size_t i = 0; i < allowed->count && rank < v->count;) {
        size_t row = row_at(v, rank);
        if (v->ids[row] < allowed->ids[i]) {
            rank++;
        } else {
            if (v->ids[row] == allowed->ids[i]) {
                passed += !(mask[row / 64] >> (row % 64) & 1);
                mask[row / 64] |= (uint64_t)1 << (row % 64);
            }
            i++;
        }
    }
    return passed;
}
