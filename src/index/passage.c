/* passage.c -- one passage, read back from the index.
 *
 * The hash that keys the embedding is checked on the way out, so a damaged text is an error
 * and never a result. */
#include "index/passage.h"
#include "index/document_source.h"

#include <string.h>

wn_status wn_passage_input(int64_t kind, wn_str title, wn_str content, wn_buf *out, wn_error *err) {
    wn_buf_clear(out);
    if (kind == WN_DOCUMENT_CORPUS && title.len) {
        WN_TRY(wn_buf_append(out, title.data, title.len, err));
        /* An empty text's passage is the title itself. */
        if (title.len == content.len && memcmp(title.data, content.data, title.len) == 0) return WN_OK;
        WN_TRY(wn_buf_append(out, " ", 1, err));
    }
    return wn_buf_append(out, content.data, content.len, err);
}

wn_status wn_passage_context(wn_str title, wn_str heading, wn_buf *out, wn_error *err) {
    wn_buf_clear(out);
    WN_TRY(wn_buf_append(out, title.data, title.len, err));
    if (title.len && heading.len) WN_TRY(wn_buf_append(out, " > ", 3, err));
    return wn_buf_append(out, heading.data, heading.len, err);
}

typedef struct passage_columns {
    wn_str source, title, heading, metadata, content;
    int64_t kind, begin, end, ordinal;
} passage_columns;

static wn_status read_columns(wn_index *index, sqlite3_stmt *row, passage_columns *out, wn_error *err) {
    const wn_database *database = &index->database;
    WN_TRY(wn_database_text(database, row, 0, &out->source, err));
    WN_TRY(wn_database_text(database, row, 1, &out->title, err));
    WN_TRY(wn_database_text(database, row, 2, &out->heading, err));
    WN_TRY(wn_database_text(database, row, 3, &out->metadata, err));
    WN_TRY(wn_database_text(database, row, 4, &out->content, err));
    out->kind = sqlite3_column_int64(row, 5);
    out->begin = sqlite3_column_int64(row, 6);
    out->end = sqlite3_column_int64(row, 7);
    out->ordinal = sqlite3_column_int64(row, 8);
    if (out->begin < 0 || out->end < out->begin || out->ordinal < 0 || out->ordinal > UINT32_MAX)
        return wn_database_corrupt(database, err, "a passage of %.80s has a wrong place", out->source.data);
    const void *stored;
    WN_TRY(wn_database_blob(database, row, 9, sizeof(wn_hash), &stored, err));
    WN_TRY(wn_passage_input(out->kind, out->title, out->content, &index->input, err));
    wn_hash hash = wn_hash_bytes(index->input.len ? index->input.data : "", index->input.len);
    if (memcmp(stored, hash.bytes, sizeof hash.bytes) != 0)
        return wn_database_corrupt(database, err, "a passage of %.80s fails its checksum",
                                   out->source.data);
    return WN_OK;
}

static const char *place(char **at, wn_str text) {
    char *to = *at;
    if (text.len) memcpy(to, text.data, text.len);
    to[text.len] = 0;
    *at += text.len + 1;
    return to;
}

/* One allocation holds the struct and its strings. Each is shorter than the file, so the sum
 * can't overflow. */
static wn_status build_passage(const wn_index *index, int64_t id, const passage_columns *c,
                               wn_passage **out, wn_error *err) {
    wn_str input = {index->input.data, index->input.len};
    bool own_input = input.len != c->content.len;
    size_t bytes = sizeof(wn_passage) + c->source.len + c->title.len + c->heading.len +
                   c->metadata.len + c->content.len + (own_input ? input.len : 0) + 6;
    wn_passage *passage = wn_malloc(bytes);
    if (!passage) return wn_fail_memory(err, bytes);
    char *at = (char *)(passage + 1);
    *passage = (wn_passage){.id = id, .begin = (uint64_t)c->begin, .end = (uint64_t)c->end,
                            .ordinal = (uint32_t)c->ordinal};
    passage->source = place(&at, c->source);
    passage->title = place(&at, c->title);
    passage->heading_path = place(&at, c->heading);
    passage->metadata = place(&at, c->metadata);
    passage->content = place(&at, c->content);
    passage->content_length = c->content.len;
    passage->input = own_input ? place(&at, input) : passage->content;
    passage->input_length = input.len;
    *out = passage;
    return WN_OK;
}

wn_status wn_index_passage(wn_index *index, int64_t id, wn_passage **out, wn_error *err) {
    WN_TRY(wn_database_prepare(&index->database,
                               "SELECT d.source, d.title, c.heading, d.metadata, c.content, d.kind, "
                               "c.begin_byte, c.end_byte, c.ordinal, c.hash "
                               "FROM chunks c JOIN documents d ON d.id = c.document WHERE c.id = ?",
                               &index->passage, err));
    sqlite3_bind_int64(index->passage, 1, id);
    bool row;
    WN_TRY(wn_database_step(&index->database, index->passage, &row, err));
    passage_columns columns;
    wn_status st = row ? read_columns(index, index->passage, &columns, err)
                       : wn_fail(err, WN_ERR_NOT_FOUND, "%s: no passage %lld", index->database.path,
                                 (long long)id);
    if (st == WN_OK) st = build_passage(index, id, &columns, out, err);
    sqlite3_reset(index->passage);
    return st;
}

void wn_passage_free(wn_passage *passage) { wn_free(passage); }
