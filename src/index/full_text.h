/* full_text.h -- BM25: what is indexed of a passage, and how a query is put to FTS5. */
#ifndef WN_INDEX_FULL_TEXT_H
#define WN_INDEX_FULL_TEXT_H

#include "core/memory.h"
#include "index/index_filter.h"
#include "index/top_k.h"

/* `text` as FTS5 shall see it, appended to *out: a space around each Chinese or Japanese
 * character. Returns in *same whether there is none (then *out is left alone). */
wn_status wn_full_text_segment(wn_str text, bool *same, wn_buf *out, wn_error *err);

/* The FTS5 expression of a query: its distinct words, quoted, joined by OR. Nothing is
 * appended for a query without words. */
wn_status wn_full_text_query(wn_str query, wn_buf *out, wn_error *err);

/* Writes the row of passage `id`, or takes it away; what is taken away must be what was written. */
typedef struct wn_full_text_writer {
    sqlite3_stmt *insert, *delete;
    wn_buf segmented[2];
} wn_full_text_writer;
wn_status wn_full_text_insert(const wn_database *database, wn_full_text_writer *writer, int64_t id,
                              wn_str context, wn_str content, wn_error *err);
wn_status wn_full_text_delete(const wn_database *database, wn_full_text_writer *writer, int64_t id,
                              wn_str context, wn_str content, wn_error *err);
void wn_full_text_writer_release(wn_full_text_writer *writer);

/* *statement is kept for the next search. allowed NULL: every passage. The connection needs
 * wn_bm25_register. */
wn_status wn_full_text_search(const wn_database *database, sqlite3_stmt **statement,
                              const char *expression, const wn_allowed *allowed, wn_top_k *top,
                              wn_error *err);

#endif
