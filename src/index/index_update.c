/* index_update.c -- one document in the index: stored, changed, removed.
 *
 * A changed document keeps every chunk whose text stayed: its id, its embedding, its full-text
 * row. Chunks are matched by the hash of what the models read, in order among equals, so a
 * paragraph inserted at the top of a file costs one or two embeddings and not the file. */
#include "index/index_build.h"
#include "index/passage.h"

#include <stdlib.h>
#include <string.h>

static wn_str str_of(const char *s) { return (wn_str){s, strlen(s)}; }
static wn_str str_in(const wn_buf *buf) { return (wn_str){buf->data, buf->len}; }

/* SQLITE_STATIC: callers run the statement before the text goes. */
static wn_status bind_text(sqlite3_stmt *statement, int parameter, wn_str text, wn_error *err) {
    if (sqlite3_bind_text64(statement, parameter, text.len ? text.data : "", text.len, SQLITE_STATIC,
                            SQLITE_UTF8) != SQLITE_OK)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "a text of %zu bytes is too long for SQLite", text.len);
    return WN_OK;
}

wn_status wn_builder_find(wn_builder *b, const wn_document *document, int64_t *id, bool *unchanged,
                          wn_error *err) {
    WN_TRY(wn_database_prepare(&b->database,
                               "SELECT id, hash, origin = ?2 FROM documents WHERE source = ?1 AND "
                               "(origin = ?2 OR origin = '" WN_ORIGIN_PUT "') ORDER BY origin = ?2 DESC LIMIT 1",
                               &b->find_document, err));
    WN_TRY(bind_text(b->find_document, 1, str_of(document->source), err));
    WN_TRY(bind_text(b->find_document, 2, str_of(document->origin ? document->origin : ""), err));
    bool row;
    WN_TRY(wn_database_step(&b->database, b->find_document, &row, err));
    *id = 0;
    *unchanged = false;
    const void *hash = NULL;
    wn_status st = WN_OK;
    if (row) {
        st = wn_database_blob(&b->database, b->find_document, 1, sizeof document->hash.bytes, &hash, err);
        if (st == WN_OK) {
            *id = sqlite3_column_int64(b->find_document, 0);
            *unchanged = sqlite3_column_int(b->find_document, 2) &&
                         memcmp(hash, document->hash.bytes, sizeof document->hash.bytes) == 0;
        }
    }
    sqlite3_reset(b->find_document);
    return st;
}

/* ---- Chunks as they were --------------------------------------------------- */

static int compare_old(const void *a, const void *b) {
    const wn_old_chunk *x = a, *y = b;
    int order = memcmp(x->hash.bytes, y->hash.bytes, sizeof x->hash.bytes);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

static wn_status keep_text(wn_builder *b, wn_str text, size_t *at, size_t *len, wn_error *err) {
    *at = b->old_text.len;
    *len = text.len;
    return wn_buf_append(&b->old_text, text.data, text.len, err);
}

static wn_status read_old_chunk(wn_builder *b, wn_error *err) {
    sqlite3_stmt *row = b->old_chunks;
    const void *hash;
    wn_str content, heading;
    WN_TRY(wn_database_blob(&b->database, row, 1, sizeof(wn_hash), &hash, err));
    WN_TRY(wn_database_text(&b->database, row, 2, &content, err));
    WN_TRY(wn_database_text(&b->database, row, 3, &heading, err));
    WN_TRY(wn_grow(&b->old, &b->old_capacity, b->old_count + 1, sizeof *b->old, err));
    wn_old_chunk *chunk = &b->old[b->old_count];
    *chunk = (wn_old_chunk){.id = sqlite3_column_int64(row, 0), .block = sqlite3_column_int64(row, 4)};
    memcpy(chunk->hash.bytes, hash, sizeof chunk->hash.bytes);
    WN_TRY(keep_text(b, content, &chunk->content, &chunk->content_len, err));
    WN_TRY(keep_text(b, heading, &chunk->heading, &chunk->heading_len, err));
    b->old_count++;
    return WN_OK;
}

/* Fills b->old, sorted by hash. */
static wn_status load_old_chunks(wn_builder *b, int64_t document, wn_error *err) {
    b->old_count = 0;
    wn_buf_clear(&b->old_text);
    WN_TRY(wn_database_prepare(&b->database,
                               "SELECT id, hash, content, heading, block FROM chunks WHERE document = ? "
                               "ORDER BY ordinal", &b->old_chunks, err));
    sqlite3_bind_int64(b->old_chunks, 1, document);
    bool row;
    wn_status st;
    while ((st = wn_database_step(&b->database, b->old_chunks, &row, err)) == WN_OK && row)
        if ((st = read_old_chunk(b, err)) != WN_OK) break;
    sqlite3_reset(b->old_chunks);
    if (st == WN_OK && b->old_count) qsort(b->old, b->old_count, sizeof *b->old, compare_old);
    return st;
}

/* The first unused old chunk with this hash, or NULL. */
static wn_old_chunk *take_old_chunk(wn_builder *b, const wn_hash *hash, size_t content_len) {
    size_t low = 0, high = b->old_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(b->old[middle].hash.bytes, hash->bytes, sizeof hash->bytes) < 0) low = middle + 1;
        else high = middle;
    }
    if (low == b->old_count) return NULL;
    size_t at = low + b->old[low].taken;
    if (at >= b->old_count || !wn_hash_equal(&b->old[at].hash, hash)) return NULL;
    /* Equal inputs with another boundary between title and content are other passages. */
    if (b->old[at].content_len != content_len) return NULL;
    /* Left so by a killed build. An atomic write embeds what it made: by a new id it knows it. */
    if (b->atomic && b->vectors && !b->old[at].block) return NULL;
    b->old[low].taken++;
    b->old[at].used = true;
    return &b->old[at];
}

static wn_str old_content(const wn_builder *b, const wn_old_chunk *chunk) {
    return (wn_str){b->old_text.data + chunk->content, chunk->content_len};
}

static wn_str old_heading(const wn_builder *b, const wn_old_chunk *chunk) {
    return (wn_str){b->old_text.data + chunk->heading, chunk->heading_len};
}

/* What the documents row said before: the context of the old full-text rows. */
typedef struct old_document {
    wn_buf title;
} old_document;

static wn_status load_old_document(wn_builder *b, int64_t id, old_document *out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(&b->database, "SELECT title FROM documents WHERE id = ?",
                               &statement, err));
    sqlite3_bind_int64(statement, 1, id);
    bool row;
    wn_str title;
    wn_status st = wn_database_step(&b->database, statement, &row, err);
    if (st == WN_OK && !row)
        st = wn_database_corrupt(&b->database, err, "document %lld is missing", (long long)id);
    if (st == WN_OK) st = wn_database_text(&b->database, statement, 0, &title, err);
    if (st == WN_OK) st = wn_buf_append(&out->title, title.data, title.len, err);
    sqlite3_finalize(statement);
    return st;
}

/* Into b->old_context. */
static wn_status describe_old(wn_builder *b, const old_document *old, const wn_old_chunk *chunk,
                              wn_error *err) {
    return wn_passage_context(str_in(&old->title), old_heading(b, chunk), &b->old_context, err);
}

static wn_status remove_chunk(wn_builder *b, const old_document *old, const wn_old_chunk *chunk,
                              wn_error *err) {
    WN_TRY(describe_old(b, old, chunk, err));
    WN_TRY(wn_full_text_delete(&b->database, &b->full_text, chunk->id, str_in(&b->old_context),
                               old_content(b, chunk), err));
    if (chunk->block && b->vectors)
        WN_TRY(wn_vector_writer_remove(b->vectors, chunk->block, chunk->id, err));
    WN_TRY(wn_database_prepare(&b->database, "DELETE FROM chunks WHERE id = ?", &b->delete_chunk, err));
    sqlite3_bind_int64(b->delete_chunk, 1, chunk->id);
    return wn_database_run(&b->database, b->delete_chunk, err);
}

/* ---- Chunks as they are ---------------------------------------------------- */

typedef struct new_chunk {
    int64_t ordinal;
    size_t begin, end; /* of document->text */
    wn_str content, heading;
    wn_hash hash;
} new_chunk;

static wn_status describe_chunk(wn_builder *b, const wn_document *document, new_chunk *chunk,
                                wn_error *err) {
    chunk->content = (wn_str){document->text.data + chunk->begin, chunk->end - chunk->begin};
    wn_buf_clear(&b->heading);
    if (document->markdown)
        WN_TRY(wn_document_heading_path(document, chunk->begin, &b->heading, err));
    chunk->heading = (wn_str){b->heading.data, b->heading.len};
    WN_TRY(wn_passage_input(document->kind, str_of(document->title), chunk->content, &b->input, err));
    chunk->hash = wn_hash_bytes(b->input.data, b->input.len);
    WN_TRY(wn_passage_context(str_of(document->title), chunk->heading, &b->context, err));
    return WN_OK;
}

static wn_status insert_chunk(wn_builder *b, int64_t id, const new_chunk *chunk, wn_error *err) {
    WN_TRY(wn_database_prepare(&b->database,
                               "INSERT INTO chunks(document, ordinal, begin_byte, end_byte, heading, "
                               "content, hash) VALUES(?, ?, ?, ?, ?, ?, ?)", &b->insert_chunk, err));
    sqlite3_stmt *statement = b->insert_chunk;
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, chunk->ordinal);
    sqlite3_bind_int64(statement, 3, (int64_t)chunk->begin);
    sqlite3_bind_int64(statement, 4, (int64_t)chunk->end);
    WN_TRY(bind_text(statement, 5, chunk->heading, err));
    WN_TRY(bind_text(statement, 6, chunk->content, err));
    sqlite3_bind_blob(statement, 7, chunk->hash.bytes, sizeof chunk->hash.bytes, SQLITE_STATIC);
    WN_TRY(wn_database_run(&b->database, statement, err));
    int64_t chunk_id = sqlite3_last_insert_rowid(b->database.db);
    WN_TRY(wn_full_text_insert(&b->database, &b->full_text, chunk_id, str_in(&b->context),
                               chunk->content, err));
    if (!b->vectors) return WN_OK;
    /* Now, while the document that a text moved from is still there: a renamed file, or a
     * section that went to another, is not embedded again. */
    bool found;
    WN_TRY(wn_builder_find_embedding(b, &chunk->hash, b->vector, &found, err));
    if (!found) return WN_OK;
    b->stats.passages_reused++;
    return wn_builder_put_embedding(b, chunk_id, b->vector, err);
}

/* The text stayed; its place, or the headings above it, may have changed. */
static wn_status move_chunk(wn_builder *b, const old_document *old,
                            const wn_old_chunk *from, const new_chunk *to, wn_error *err) {
    WN_TRY(wn_database_prepare(&b->database,
                               "UPDATE chunks SET ordinal = ?, begin_byte = ?, end_byte = ?, heading = ? "
                               "WHERE id = ?", &b->move_chunk, err));
    sqlite3_stmt *statement = b->move_chunk;
    sqlite3_bind_int64(statement, 1, to->ordinal);
    sqlite3_bind_int64(statement, 2, (int64_t)to->begin);
    sqlite3_bind_int64(statement, 3, (int64_t)to->end);
    WN_TRY(bind_text(statement, 4, to->heading, err));
    sqlite3_bind_int64(statement, 5, from->id);
    WN_TRY(wn_database_run(&b->database, statement, err));
    WN_TRY(describe_old(b, old, from, err));
    wn_str before = str_in(&b->old_context), after = str_in(&b->context);
    if (before.len == after.len && (!after.len || memcmp(before.data, after.data, after.len) == 0))
        return WN_OK;
    WN_TRY(wn_full_text_delete(&b->database, &b->full_text, from->id, before, to->content, err));
    return wn_full_text_insert(&b->database, &b->full_text, from->id, after, to->content, err);
}

static wn_status store_chunks(wn_builder *b, const wn_document *document, int64_t id,
                              const old_document *old, const wn_chunks *chunks, wn_error *err) {
    for (size_t i = 0; i < wn_chunks_count(chunks); i++) {
        wn_chunk_span span = wn_chunks_span(chunks, i);
        new_chunk chunk = {.ordinal = (int64_t)i, .begin = document->body_begin + span.begin,
                           .end = document->body_begin + span.end};
        WN_TRY(describe_chunk(b, document, &chunk, err));
        wn_old_chunk *same = take_old_chunk(b, &chunk.hash, chunk.content.len);
        if (same) {
            WN_TRY(move_chunk(b, old, same, &chunk, err));
            if (same->block) b->stats.passages_reused++;
        } else {
            WN_TRY(insert_chunk(b, id, &chunk, err));
        }
    }
    for (size_t i = 0; i < b->old_count; i++)
        if (!b->old[i].used) WN_TRY(remove_chunk(b, old, &b->old[i], err));
    return WN_OK;
}

static wn_status store_document_row(wn_builder *b, const wn_document *document, int64_t *id,
                                    wn_error *err) {
    sqlite3_stmt **slot = *id ? &b->update_document : &b->insert_document;
    WN_TRY(wn_database_prepare(
        &b->database,
        *id ? "UPDATE documents SET source = ?, origin = ?, kind = ?, title = ?, metadata = ?, hash = ? "
              "WHERE id = ?"
            : "INSERT INTO documents(source, origin, kind, title, metadata, hash) VALUES(?, ?, ?, ?, ?, ?)",
        slot, err));
    sqlite3_stmt *statement = *slot;
    WN_TRY(bind_text(statement, 1, str_of(document->source), err));
    WN_TRY(bind_text(statement, 2, str_of(document->origin ? document->origin : ""), err));
    sqlite3_bind_int64(statement, 3, document->kind);
    WN_TRY(bind_text(statement, 4, str_of(document->title), err));
    WN_TRY(bind_text(statement, 5, str_of(document->metadata), err));
    sqlite3_bind_blob(statement, 6, document->hash.bytes, sizeof document->hash.bytes, SQLITE_STATIC);
    if (*id) sqlite3_bind_int64(statement, 7, *id);
    WN_TRY(wn_database_run(&b->database, statement, err));
    if (!*id) *id = sqlite3_last_insert_rowid(b->database.db);
    return WN_OK;
}

wn_status wn_builder_store(wn_builder *b, const wn_document *document, int64_t *id, wn_error *err) {
    wn_str body = {document->text.data + document->body_begin, document->text.len - document->body_begin};
    wn_chunks *chunks = NULL;
    old_document old = {0};
    int64_t row = *id;
    b->old_count = 0;
    wn_status st = WN_OK;
    /* Whatever fails before the first write leaves the transaction whole. */
    WN_TRY_GOTO(wn_split_text(body, &b->options.split, &chunks, err));
    if (row) WN_TRY_GOTO(load_old_document(b, row, &old, err));
    if (row) WN_TRY_GOTO(load_old_chunks(b, row, err));
    b->half_document = true;
    WN_TRY_GOTO(store_document_row(b, document, &row, err));
    WN_TRY_GOTO(store_chunks(b, document, row, &old, chunks, err));
    b->half_document = false;
    *id = row;
fail:
    wn_buf_release(&old.title);
    wn_chunks_free(chunks);
    return st;
}

wn_status wn_builder_remove(wn_builder *b, int64_t id, wn_error *err) {
    old_document old = {0};
    wn_status st = WN_OK;
    WN_TRY_GOTO(load_old_document(b, id, &old, err));
    WN_TRY_GOTO(load_old_chunks(b, id, err));
    b->half_document = true;
    for (size_t i = 0; i < b->old_count; i++) WN_TRY_GOTO(remove_chunk(b, &old, &b->old[i], err));
    WN_TRY_GOTO(wn_database_prepare(&b->database, "DELETE FROM documents WHERE id = ?",
                                    &b->delete_document, err));
    sqlite3_bind_int64(b->delete_document, 1, id);
    WN_TRY_GOTO(wn_database_run(&b->database, b->delete_document, err));
    b->half_document = false;
fail:
    wn_buf_release(&old.title);
    return st;
}
