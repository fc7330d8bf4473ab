/* vector_store.h -- embeddings: blocks in the file, the same blocks in memory.
 *
 * Readers hold every block's rows, 64-byte aligned, and scan them (vector_scan.h). Writers change blocks
 * through a small cache that is written back before each commit. A block never has holes: what
 * is removed is replaced by the block's last row, so a file needs no compaction and a new
 * embedding goes into the first block with room.
 *
 * A passage's embedding never changes while the passage has its id (an id is never given to another
 * text, and the index keeps its model). So a reader that comes back after a write compares the blocks' ids
 * with those it has, and reads the rows of the blocks that differ. */
#ifndef WN_INDEX_VECTOR_STORE_H
#define WN_INDEX_VECTOR_STORE_H

#include "core/hash.h"
#include "index/index_filter.h"

enum {
    WN_VECTOR_BLOCK = 1024,          /* rows in a full block: 1.5 MiB at 384 dimensions */
    WN_VECTOR_BLOCK_MAX = 64 * 1024  /* what a reader accepts */
};

/* ---- Reading -------------------------------------------------------------- */

/* Memory that several blocks share: what one load or refresh read. Freed with the last of them. */
typedef struct wn_slab wn_slab;

typedef struct wn_vector_block {
    int64_t number;      /* vectors.block */
    size_t begin;        /* its first row among all rows */
    uint32_t count;
    const float *rows;   /* [count, dim] */
    wn_slab *slab;       /* which holds them */
    /* 8-bit codes for the first pass of a scan (vector_codes.h); NULL while there are none. */
    const uint8_t *codes;
    const float *steps, *errors; /* [count, rounded up to a group] */
    wn_slab *code_slab;
} wn_vector_block;

typedef struct wn_vectors {
    size_t dim, count;
    wn_vector_block *blocks; /* [nblocks], by number; rows count on from block to block */
    size_t nblocks;
    int64_t *ids;    /* [count]: passage of each row */
    uint32_t *order; /* [count]: rows by ascending id; NULL when they lie so already */
    size_t held;     /* bytes of rows in memory, of blocks that were replaced too */
    size_t read;     /* blocks whose rows the last load or refresh read */
    bool coded;      /* every block has codes */
} wn_vectors;

/* Inside a read transaction. *vectors: zeroed, or what an earlier call left; brought to the state of the
 * file. Checks sizes, ids, and the hash of each block that is read. After a failure *vectors is as it was, or
 * empty; which of the two the caller need not know: it must call again before it searches. */
wn_status wn_vectors_refresh(const wn_database *database, size_t dim, wn_vectors *vectors, wn_error *err);
void wn_vectors_release(wn_vectors *vectors);

/* The row of a passage, or SIZE_MAX; the embedding of a row, [dim]. */
size_t wn_vectors_find(const wn_vectors *vectors, int64_t id);
const float *wn_vectors_row(const wn_vectors *vectors, size_t row);

/* mask [(count + 63) / 64], one bit a row, zeroed by the caller. How many rows it lets pass. */
size_t wn_vectors_mask(const wn_vectors *vectors, const wn_allowed *allowed, uint64_t *mask);

/* Aligned to 64 bytes, in huge pages where the system gives them, with no user yet. */
wn_slab *wn_slab_create(size_t bytes);
void *wn_slab_memory(wn_slab *slab);
void wn_slab_use(wn_slab *slab);
void wn_slab_drop(wn_slab *slab); /* the last user's drop frees it; NULL is fine */

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
