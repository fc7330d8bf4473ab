/* index_sources.c -- documents found by what people call them. */
#include "index/index_handle.h"

#include <string.h>

/* Compared by length and tail, not by LIKE: a name may hold % and _. The scan of all documents is
 * milliseconds for a hundred thousand, and is asked a few times a command. */
wn_status wn_index_has_source(wn_index *index, const char *name, bool *out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    const wn_database *database = &index->database;
    bool row = false;
    if (!*name) return wn_fail(err, WN_ERR_ARGUMENT, "a document's name is empty");
    WN_TRY(wn_database_prepare(database,
                               "SELECT 1 FROM documents WHERE source = ?1 OR (length(source) > "
                               "length(?1) AND substr(source, -length(?1) - 1) = '/' || ?1) LIMIT 1",
                               &statement, err));
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    wn_status st = wn_database_step(database, statement, &row, err);
    sqlite3_finalize(statement);
    if (st == WN_OK) *out = row;
    return st;
}
