/* database.c -- opening SQLite defensively, and one mapping of its errors to ours.
 *
 * Journal: SQLite's rollback journal (DELETE mode), not the write-ahead log. A WAL index read
 * from a read-only folder needs its -shm file, and a killed writer leaves two more files
 * for good; with the rollback journal a finished index is one file that can be copied,
 * mounted read-only and shared. What WAL would give (readers during a commit) costs us
 * little: a writer holds readers up only while it syncs, because nothing is spilled early
 * (cache_spill) and a build spends its time embedding, outside of commits.
 *
 * A writer killed inside a commit leaves FILE-journal. The next opener plays it back, which
 * needs write access; so a reader that meets one (SQLITE_READONLY_ROLLBACK) reopens for
 * writing, just for that, with query_only set. */
#include "index/database.h"
#include "core/file.h"
#include "core/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    reader_wait_ms = 10000,      /* a commit of a large group on a slow disk */
    writer_cache_kib = 64 << 10, /* of pages */
    spill_pages = 32 << 10       /* x 16 KiB = 512 MiB: only one enormous document gets there */
};

/* One line, and short: SQLite quotes SQL in some messages. */
wn_status wn_database_corrupt(const wn_database *database, wn_error *err, const char *fmt, ...) {
    char detail[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    return wn_fail(err, WN_ERR_FORMAT, "%s: corrupt index: %s; delete it and build it again",
                   database->path, detail);
}

static wn_status fail_open(const wn_database *database, int system_errno, wn_error *err) {
    const char *path = database->path;
    if (system_errno == ENOENT || system_errno == ENOTDIR)
        return wn_fail(err, WN_ERR_NOT_FOUND, "%s: no such file or folder", path);
    if (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS)
        return wn_fail(err, WN_ERR_READONLY, "%s: cannot be opened for writing: %s", path,
                       strerror(system_errno));
    if (wn_dir_exists(path))
        return wn_fail(err, WN_ERR_IO, "%s: is a folder, not an index file", path);
    return wn_fail(err, WN_ERR_IO, "%s: cannot open: %s", path,
                   system_errno ? strerror(system_errno) : sqlite3_errmsg(database->db));
}

/* SQLite forgets errno when COMMIT fails (3.40); its file object does not. */
static int failed_errno(const wn_database *database) {
    int value = sqlite3_system_errno(database->db);
    if (!value) sqlite3_file_control(database->db, "main", SQLITE_FCNTL_LAST_ERRNO, &value);
    return value;
}

wn_status wn_database_fail(const wn_database *database, const char *doing, wn_error *err) {
    const char *path = database->path;
    if (!database->db) return wn_fail_memory(err, 0);
    int extended = sqlite3_extended_errcode(database->db);
    int system_errno = failed_errno(database);
    const char *text = sqlite3_errmsg(database->db);
    switch (extended & 0xff) {
    case SQLITE_NOMEM: return wn_fail(err, WN_ERR_MEMORY, "%s: out of memory", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return wn_fail(err, WN_ERR_BUSY,
                       "%s: another process is writing this index; try again when it is done", path);
    case SQLITE_FULL:
        return wn_fail(err, WN_ERR_FULL, "%s: no space left; what was stored before is kept", path);
    case SQLITE_READONLY:
        if (extended == SQLITE_READONLY_ROLLBACK || extended == SQLITE_READONLY_CANTLOCK ||
            extended == SQLITE_READONLY_RECOVERY)
            return wn_fail(err, WN_ERR_READONLY,
                           "%s: an interrupted build must be undone first, and that needs write access "
                           "to the file and its folder", path);
        return wn_fail(err, WN_ERR_READONLY, "%s: the index or its folder is read-only", path);
    case SQLITE_PERM: return wn_fail(err, WN_ERR_READONLY, "%s: %s", path, text);
    case SQLITE_CANTOPEN:
        /* Once the file is open, this is its journal: the folder does not take files. */
        return fail_open(database, system_errno, err);
    case SQLITE_NOTADB:
        return wn_fail(err, WN_ERR_FORMAT, "%s: not a winnow index (not an SQLite file, or its first "
                       "page is damaged)", path);
    case SQLITE_IOERR:
        if (system_errno == ENOSPC || system_errno == EFBIG || system_errno == EDQUOT)
            return wn_fail(err, WN_ERR_FULL, "%s: no space left (%s); what was stored before is kept",
                           path, strerror(system_errno));
        if (extended == SQLITE_IOERR_NOMEM)
            return wn_fail(err, WN_ERR_MEMORY, "%s: out of memory", path);
        return wn_fail(err, WN_ERR_IO, "%s: cannot %s: %s", path, doing,
                       system_errno ? strerror(system_errno) : text);
    case SQLITE_INTERRUPT: return wn_fail(err, WN_ERR_CANCELLED, "%s: interrupted", path);
    case SQLITE_CORRUPT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR: return wn_database_corrupt(database, err, "cannot %s: %.150s", doing, text);
    default:
        return wn_fail(err, WN_ERR_INTERNAL, "%s: cannot %s: SQLite error %d: %s", path, doing,
                       extended, text);
    }
}

static wn_status harden(const wn_database *database, wn_database_mode mode, wn_error *err) {
    sqlite3 *db = database->db;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    WN_TRY(wn_database_exec(database,
                            "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;",
                            err));
    if (mode == WN_DATABASE_READ) {
        sqlite3_busy_timeout(db, reader_wait_ms);
        wn_database_limit_values(database);
        return wn_database_exec(database, "PRAGMA query_only=ON", err);
    }
    char pragmas[160];
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA synchronous=FULL; PRAGMA cache_size=-%d; PRAGMA cache_spill=%d; "
             "PRAGMA temp_store=MEMORY",
             (int)writer_cache_kib, (int)spill_pages);
    return wn_database_exec(database, pragmas, err);
}

static wn_status connect(const char *path, int flags, wn_database_mode mode, wn_database *out,
                         wn_error *err) {
    *out = (wn_database){.path = wn_strdup(path)};
    if (!out->path) return wn_fail_memory(err, strlen(path));
    /* ":memory:" and "file:..." mean something to SQLite (Debian's reads URIs unasked);
     * as a path that begins with a dot they are files. */
    char *name = path[0] == '/' ? wn_strdup(path) : wn_path_join(".", path);
    if (!name) {
        wn_database_close(out);
        return wn_fail_memory(err, strlen(path));
    }
    int rc = sqlite3_open_v2(name, &out->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    wn_free(name);
    wn_status st = rc == SQLITE_OK ? harden(out, mode, err) : wn_database_fail(out, "open", err);
    if (st != WN_OK) wn_database_close(out);
    return st;
}

/* The first read of the file: its header, and a journal that a killed writer left. */
static wn_status touch(const wn_database *database, int *extended, wn_error *err) {
    int rc = sqlite3_exec(database->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    *extended = sqlite3_extended_errcode(database->db);
    return rc == SQLITE_OK ? WN_OK : wn_database_fail(database, "read", err);
}

/* SQLite says ENOENT of any file that it can't create. */
static wn_status check_creatable(const char *path, wn_error *err) {
    const char *slash = strrchr(path, '/');
    if (access(path, F_OK) == 0) return WN_OK;
    char *folder = !slash ? wn_strdup(".") : wn_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!folder) return wn_fail_memory(err, strlen(path));
    wn_status st = WN_OK;
    if (access(folder, W_OK | X_OK) != 0) {
        if (errno == EACCES || errno == EROFS || errno == EPERM)
            st = wn_fail(err, WN_ERR_READONLY, "%s: cannot be created: its folder is read-only", path);
        else st = wn_fail_errno(err, path, "cannot create the index");
    }
    wn_free(folder);
    return st;
}

wn_status wn_database_open(const char *path, wn_database_mode mode, wn_database *out, wn_error *err) {
    if (!path || !*path) return wn_fail(err, WN_ERR_ARGUMENT, "the index file's name is empty");
    if (mode == WN_DATABASE_CREATE) WN_TRY(check_creatable(path, err));
    if (mode != WN_DATABASE_CREATE && access(path, F_OK) != 0)
        return wn_fail_errno(err, path, "cannot open the index");
    if (mode == WN_DATABASE_READ && access(path, R_OK) != 0)
        return wn_fail_errno(err, path, "cannot open the index");
    int flags = mode == WN_DATABASE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (mode == WN_DATABASE_CREATE) flags |= SQLITE_OPEN_CREATE;
    wn_database database;
    WN_TRY(connect(path, flags, mode, &database, err));
    if (mode != WN_DATABASE_READ && sqlite3_db_readonly(database.db, "main") == 1) {
        wn_database_close(&database);
        return wn_fail(err, WN_ERR_READONLY, "%s: the index is read-only", path);
    }
    int extended;
    wn_status st = touch(&database, &extended, err);
    if (st != WN_OK && mode == WN_DATABASE_READ && extended == SQLITE_READONLY_ROLLBACK) {
        wn_database_close(&database);
        WN_TRY(connect(path, SQLITE_OPEN_READWRITE, mode, &database, err));
        st = touch(&database, &extended, err);
    }
    /* Not in harden(): this pragma reads the file, and would be the one to meet the journal. */
    if (st == WN_OK && mode == WN_DATABASE_READ)
        st = wn_database_exec(&database, "PRAGMA cache_size=-32768", err);
    if (st != WN_OK) {
        wn_database_close(&database);
        return st;
    }
    *out = database;
    return WN_OK;
}

void wn_database_close(wn_database *database) {
    sqlite3_close_v2(database->db);
    wn_free(database->path);
    *database = (wn_database){0};
}

void wn_database_limit_values(const wn_database *database) {
    struct stat info;
    if (stat(database->path, &info) != 0) return;
    int64_t limit = info.st_size + (1 << 20); /* room for SQLite's own temporary records */
    if (limit > 1000000000) limit = 1000000000;
    sqlite3_limit(database->db, SQLITE_LIMIT_LENGTH, (int)limit);
}

wn_status wn_database_exec(const wn_database *database, const char *sql, wn_error *err) {
    if (sqlite3_exec(database->db, sql, NULL, NULL, NULL) == SQLITE_OK) return WN_OK;
    return wn_database_fail(database, "set up", err);
}

wn_status wn_database_prepare(const wn_database *database, const char *sql,
                              sqlite3_stmt **statement, wn_error *err) {
    if (*statement) return WN_OK;
    int rc = sqlite3_prepare_v3(database->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return rc == SQLITE_OK ? WN_OK : wn_database_fail(database, "read its tables", err);
}

wn_status wn_database_step(const wn_database *database, sqlite3_stmt *statement, bool *row,
                           wn_error *err) {
    int rc = sqlite3_step(statement);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) return WN_OK;
    wn_status st = wn_database_fail(database, sqlite3_stmt_readonly(statement) ? "read" : "write", err);
    sqlite3_reset(statement);
    return st;
}

wn_status wn_database_run(const wn_database *database, sqlite3_stmt *statement, wn_error *err) {
    bool row;
    wn_status st = wn_database_step(database, statement, &row, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return st;
}

wn_status wn_database_int(const wn_database *database, const char *sql, int64_t *out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database, sql, &statement, err));
    bool row = false;
    wn_status st = wn_database_step(database, statement, &row, err);
    if (st == WN_OK && !row) st = wn_database_corrupt(database, err, "no answer to %s", sql);
    if (st == WN_OK) *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return st;
}

wn_status wn_database_text(const wn_database *database, sqlite3_stmt *row, int column, wn_str *out,
                           wn_error *err) {
    if (sqlite3_column_type(row, column) != SQLITE_TEXT)
        return wn_database_corrupt(database, err, "column %s holds no text",
                                   sqlite3_column_name(row, column));
    const unsigned char *text = sqlite3_column_text(row, column);
    if (!text) return wn_fail_memory(err, 0);
    *out = (wn_str){(const char *)text, (size_t)sqlite3_column_bytes(row, column)};
    return WN_OK;
}

wn_status wn_database_blob(const wn_database *database, sqlite3_stmt *row, int column, size_t len,
                           const void **out, wn_error *err) {
    if (sqlite3_column_type(row, column) != SQLITE_BLOB ||
        (size_t)sqlite3_column_bytes(row, column) != len)
        return wn_database_corrupt(database, err, "column %s is not %zu bytes",
                                   sqlite3_column_name(row, column), len);
    const void *blob = sqlite3_column_blob(row, column);
    if (!blob && len) return wn_fail_memory(err, len);
    *out = blob;
    return WN_OK;
}

wn_status wn_database_begin(const wn_database *database, int wait_ms, wn_error *err) {
    sqlite3_busy_timeout(database->db, wait_ms);
    int rc = sqlite3_exec(database->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    return rc == SQLITE_OK ? WN_OK : wn_database_fail(database, "begin writing", err);
}

wn_status wn_database_commit(const wn_database *database, wn_error *err) {
    sqlite3_busy_timeout(database->db, 60000); /* readers that are loading embeddings */
    int rc = sqlite3_exec(database->db, "COMMIT", NULL, NULL, NULL);
    return rc == SQLITE_OK ? WN_OK : wn_database_fail(database, "commit", err);
}

void wn_database_rollback(const wn_database *database) {
    if (database->db && !sqlite3_get_autocommit(database->db))
        sqlite3_exec(database->db, "ROLLBACK", NULL, NULL, NULL);
}
