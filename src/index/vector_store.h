/* vector_store.h -- embeddings: blocks in the file, one array in memory.
 *
 * Readers load every block into one 64-byte aligned array and scan it. Writers change blocks
 * through a small cache that is written back before each commit. A block never has holes: what
 * is removed is replaced by the block's last row, so a file needs no compaction and a new
 * embedding goes into the first block with room. */
#ifndef WN_INDEX_VECTOR_STORE_H
#define WN_INDEX_VECTOR_STORE_H

#include "core/hash.h"
#include "index/index_filter.h"
#include "index/top_k.h"

enum {
    WN_VECTOR_BLOCK = 1024,          /* rows in a full block: 1.5 MiB at 384 dimensions */
    WN_VECTOR_BLOCK_MAX = 64 * 1024  /* what a reader accepts */
};

/* ---- Reading -------------------------------------------------------------- */

typedef struct wn_vectors {
    size_t dim, count;
    float *rows;     /* [count, dim], 64-byte aligned */
    int64_t *ids;    /* [count]: passage of each row */
    uint32_t *order; /* [count]: rows by ascending id; NULL when they lie so already */
} wn_vectors;

/* Inside a read transaction. Checks sizes, ids and each block's hash. */
wn_status wn_vectors_load(const wn_database *database, size_t dim, wn_vectors *out, wn_error *err);
void wn_vectors_release(wn_vectors *vectors);

/* The row of a passage, or SIZE_MAX. */
size_t wn_vectors_find(const wn_vectors *vectors, int64_t id);

/* rows [begin, end) into *top, unsorted: tasks of a parallel scan each take a range and a heap
 * of their own. mask: one bit a row, NULL for all. scale multiplies the dot product. */
void wn_vectors_scan(const wn_vectors *vectors, size_t begin, size_t end, const float *query,
                     float scale, const uint64_t *mask, wn_top_k *top);
/* mask [(count + 63) / 64], zeroed by the caller. */
void wn_vectors_mask(const wn_vectors *vectors, const wn_allowed *allowed, uint64_t *mask);

/* ---- Writing -------------------------------------------------------------- */

typedef struct wn_vector_writer wn_vector_writer;

wn_status wn_vector_writer_create(const wn_database *database, size_t dim, wn_vector_writer **out,
                                  wn_error *err);
/* Unwritten changes are dropped: after a rollback the writer must be freed. */
void wn_vector_writer_free(wn_vector_writer *writer);

/* vector [dim] is stored with length 1 (an all-zero one as it is); one with a NaN or an
 * infinity is WN_ERR_INTERNAL. *block is what chunks.block must say. */
wn_status wn_vector_writer_put(wn_vector_writer *writer, int64_t id, const float *vector,
                               int64_t *block, wn_error *err);
wn_status wn_vector_writer_get(wn_vector_writer *writer, int64_t block, int64_t id, float *out,
                               wn_error *err);
wn_status wn_vector_writer_remove(wn_vector_writer *writer, int64_t block, int64_t id, wn_error *err);
/* Before each commit. */
wn_status wn_vector_writer_flush(wn_vector_writer *writer, wn_error *err);

/* XXH3-128 of ids followed by rows, as vectors.hash holds it. */
wn_status wn_vector_block_hash(const void *ids, size_t ids_bytes, const void *rows, size_t rows_bytes,
                               wn_hash *out, wn_error *err);

#endif
