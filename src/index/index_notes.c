/* index_notes.c -- numbers kept beside an index's identity. */
#include "index/index_notes.h"
#include "index/index_handle.h"

#include <math.h>
#include <stdio.h>

enum { KEY_SIZE = 64 };

wn_status wn_index_note_read(wn_index *index, const char *key, double *out, wn_error *err) {
    char full[KEY_SIZE];
    sqlite3_stmt *statement = NULL;
    const wn_database *database = &index->database;
    snprintf(full, sizeof full, "note:%s", key);
    WN_TRY(wn_database_prepare(database, "SELECT value FROM meta WHERE key = ?", &statement, err));
    sqlite3_bind_text(statement, 1, full, -1, SQLITE_STATIC);
    bool row;
    wn_status st = wn_database_step(database, statement, &row, err);
    if (st == WN_OK && !row)
        st = wn_fail(err, WN_ERR_NOT_FOUND, "%s: holds no %s", database->path, key);
    double value = 0;
    if (st == WN_OK) {
        int type = sqlite3_column_type(statement, 0);
        value = sqlite3_column_double(statement, 0);
        if ((type != SQLITE_FLOAT && type != SQLITE_INTEGER) || !isfinite(value))
            st = wn_database_corrupt(database, err, "%s in meta is not a number", key);
    }
    sqlite3_finalize(statement);
    if (st == WN_OK) *out = value;
    return st;
}

wn_status wn_index_note_write(const char *path, const char *key, double value, wn_error *err) {
    char full[KEY_SIZE];
    wn_database database = {0};
    sqlite3_stmt *statement = NULL;
    wn_status st = WN_OK;
    snprintf(full, sizeof full, "note:%s", key);
    WN_TRY(wn_database_open(path, WN_DATABASE_WRITE, &database, err));
    WN_TRY_GOTO(wn_database_begin(&database, 0, err));
    WN_TRY_GOTO(wn_schema_check(&database, err));
    WN_TRY_GOTO(wn_database_prepare(&database, "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)",
                                    &statement, err));
    sqlite3_bind_text(statement, 1, full, -1, SQLITE_STATIC);
    sqlite3_bind_double(statement, 2, value);
    WN_TRY_GOTO(wn_database_run(&database, statement, err));
    sqlite3_finalize(statement);
    statement = NULL;
    WN_TRY_GOTO(wn_database_commit(&database, err));
fail:
    sqlite3_finalize(statement);
    wn_database_rollback(&database);
    wn_database_close(&database);
    return st;
}
