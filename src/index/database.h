/* database.h -- one SQLite connection, opened as if the file were written by an enemy.
 *
 * Everything of SQLite that a file could use against its reader is off: no extensions, no
 * triggers, no views, no untrusted functions, shadow tables unwritable (defensive mode), cell
 * sizes checked, no value longer than the file. Every failure becomes a wn_error that names
 * the file, by one function. */
#ifndef WN_INDEX_DATABASE_H
#define WN_INDEX_DATABASE_H

#include "core/error.h"
#include <sqlite3.h>

typedef struct wn_database {
    sqlite3 *db;
    char *path;
} wn_database;

typedef enum wn_database_mode {
    WN_DATABASE_READ,  /* never writes, except to undo what a killed writer left (see database.c) */
    WN_DATABASE_WRITE, /* the file must exist */
    WN_DATABASE_CREATE /* or is created, empty */
} wn_database_mode;

/* On failure *out is closed already. */
wn_status wn_database_open(const char *path, wn_database_mode mode, wn_database *out, wn_error *err);
void wn_database_close(wn_database *database);

/* The status and message of the last failed SQLite call; `doing` completes "cannot ...". */
wn_status wn_database_fail(const wn_database *database, const char *doing, wn_error *err);
/* "PATH: corrupt index: DETAIL; delete it and build it again" */
wn_status wn_database_corrupt(const wn_database *database, wn_error *err, const char *fmt, ...)
    WN_PRINTF(3, 4);

wn_status wn_database_exec(const wn_database *database, const char *sql, wn_error *err);
/* Kept until sqlite3_finalize; *statement untouched when it's prepared already. */
wn_status wn_database_prepare(const wn_database *database, const char *sql,
                              sqlite3_stmt **statement, wn_error *err);
/* One step: *row says whether there is a row. On failure the statement is reset. */
wn_status wn_database_step(const wn_database *database, sqlite3_stmt *statement, bool *row,
                           wn_error *err);
/* Runs a statement that gives no row, resets it and clears its bindings. */
wn_status wn_database_run(const wn_database *database, sqlite3_stmt *statement, wn_error *err);
/* The single integer of a query without parameters. */
wn_status wn_database_int(const wn_database *database, const char *sql, int64_t *out, wn_error *err);

/* Text of a column, "" and 0 for an empty one; NULL or a blob is corruption. Borrowed from
 * the row. May hold NULs. */
wn_status wn_database_text(const wn_database *database, sqlite3_stmt *row, int column, wn_str *out,
                           wn_error *err);
/* The same for a blob of exactly `len` bytes. */
wn_status wn_database_blob(const wn_database *database, sqlite3_stmt *row, int column, size_t len,
                           const void **out, wn_error *err);

/* A write transaction: BUSY at once when another process is writing and wait_ms is 0. */
wn_status wn_database_begin(const wn_database *database, int wait_ms, wn_error *err);
wn_status wn_database_commit(const wn_database *database, wn_error *err);
/* Never fails; harmless outside of a transaction. */
void wn_database_rollback(const wn_database *database);

/* No value may be longer than the file is now (readers, again after each change). */
void wn_database_limit_values(const wn_database *database);

#endif
