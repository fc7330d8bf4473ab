/* index_handle.h -- the inside of wn_index: a read-only connection and what is kept of the file. */
#ifndef WN_INDEX_INDEX_HANDLE_H
#define WN_INDEX_INDEX_HANDLE_H

#include "core/memory.h"
#include "core/threadpool.h"
#include "index/bm25.h"
#include "index/index_schema.h"
#include "index/vector_store.h"

struct wn_index {
    wn_database database;
    wn_identity identity;   /* as at open: a model given to the file later needs a new open */
    int64_t seen_version;   /* PRAGMA data_version of `vectors`; -1: not loaded */
    wn_vectors vectors;
    bool scanned;           /* `vectors` were searched before: the next time they get codes */
    int threads;            /* of a scan */
    wn_pool *pool;          /* made for the first scan that is worth it */
    uint64_t *mask;         /* of rows, for filtered scans; grows to the file's size once */
    size_t mask_capacity;
    wn_bm25 *bm25;
    wn_buf expression, input;
    sqlite3_stmt *match, *passage, *data_version;
};

/* A read transaction, so that one search sees one state of the file. */
wn_status wn_index_begin(wn_index *index, wn_error *err);
void wn_index_end(wn_index *index);

#endif
