/* index_sources.c -- documents found by what people call them. */
#include "index/index_handle.h"

#include <string.h>

#define NAMED "(source = ?1 OR (length(source) > length(?1) AND substr(source, -length(?1) - 1) = '/' || ?1))"

/* Compared by length and tail, not by LIKE: a name may hold % and _. The scan of all documents is
 * milliseconds for a hundred thousand, and is asked a few times a command. */
wn_status wn_index_has_source(wn_index *index, const char *name, bool *out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    const wn_database *database = &index->database;
    bool row = false;
    if (!*name) return wn_fail(err, WN_ERR_ARGUMENT, "a document's name is empty");
    WN_TRY(wn_database_prepare(database,
                               "SELECT 1 FROM documents WHERE " NAMED " LIMIT 1",
                               &statement, err));
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    wn_status st = wn_database_step(database, statement, &row, err);
    sqlite3_finalize(statement);
    if (st == WN_OK) *out = row;
    return st;
}

wn_status wn_index_find_passage(wn_index *index, const char *name, uint32_t ordinal, int64_t *out,
                                wn_error *err) {
    sqlite3_stmt *statement = NULL;
    const wn_database *database = &index->database;
    bool row = false;
    if (!*name) return wn_fail(err, WN_ERR_ARGUMENT, "a document's name is empty");
    WN_TRY(wn_database_prepare(database,
                               "SELECT c.id FROM documents d JOIN chunks c ON c.document = d.id "
                               "WHERE c.ordinal = ?2 AND " NAMED " ORDER BY d.id LIMIT 1",
                               &statement, err));
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, ordinal);
    wn_status st = wn_database_step(database, statement, &row, err);
    int64_t id = st == WN_OK && row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (st == WN_OK && !row)
        st = wn_fail(err, WN_ERR_NOT_FOUND, "%s: no document %s has a passage %u", database->path, name, ordinal);
    if (st == WN_OK) *out = id;
    return st;
}
