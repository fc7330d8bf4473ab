/* bm25.h -- FTS5's bm25(), with the lengths of passages in memory. */
#ifndef WN_INDEX_BM25_H
#define WN_INDEX_BM25_H

#include "core/memory.h"
#include "index/database.h"

/* Registers the SQL function wn_bm25(full_text) on the connection: the value of FTS5's bm25() with
 * equal weights, bit by bit. Freed after the connection is closed. */
typedef struct wn_bm25 wn_bm25;
wn_status wn_bm25_register(const wn_database *database, wn_bm25 **out, wn_error *err);
void wn_bm25_free(wn_bm25 *bm25);
/* Before each search: `version` is the file's PRAGMA data_version; lengths of another are dropped. */
void wn_bm25_begin(wn_bm25 *bm25, int64_t version);

#endif
