/* score_store.c -- scores in an SQLite file of their own.
 *
 *     PRAGMA application_id   0x776E7363 ("wnsc")
 *     PRAGMA user_version     1
 *   scores     one row a pair
 *       key    BLOB 32, PRIMARY KEY   (score_cache.c)
 *       value  BLOB 44  score and logit as f32, five u32 of wn_fit, little-endian; XXH3-128 of key and these
 *       used   INTEGER  the call that used it last, counted over all processes
 *   scores_used  an index, for eviction
 *
 * Write-ahead log, because many processes read while one writes and a commit then needs no fsync: a power cut
 * may lose the last scores, which costs their computing and nothing else.
 *
 * Damage. SQLite finds a broken structure (the file is refused); the checksum finds a broken entry, which
 * counts as absent. The schema is compared with our own text, so that no file brings views or triggers along.
 *
 * Bound. The page count is limited for the connection (SQLITE_FULL is the last resort), and before it is
 * near, the entries used longest ago go, a few more than come in. Rejected: times in `used` (clocks jump); updating
 * it now and then only (cheaper, but no order one can rely on). */
#include "pipeline/score_store.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are stored as they lie in memory");

enum {
    APPLICATION_ID = 0x776E7363,
    VERSION = 1,
    PAGE = 4096,
    VALUE = 28,
    STORED = VALUE + 16,
    WAIT_MS = 1000,         /* for another writer's commit, which takes few of them */
    EVICT_LEAST = 64,
    LOG_BYTES = 4 << 20
};
static const char TABLE_SQL[] = "CREATE TABLE scores(key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) "
                                "WITHOUT ROWID";
static const char INDEX_SQL[] = "CREATE INDEX scores_used ON scores(used)";

struct wn_score_store {
    sqlite3 *db;
    char *path;
    int64_t max_pages;
    sqlite3_stmt *find, *touch, *insert, *evict;
};

/* ---- SQLite to ours ------------------------------------------------------------- */

static wn_status fail(const wn_score_store *s, const char *doing, wn_error *err) {
    int code = s->db ? sqlite3_extended_errcode(s->db) : SQLITE_NOMEM;
    switch (code & 0xff) {
    case SQLITE_NOMEM: return wn_fail_memory(err, 0);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return wn_fail(err, WN_ERR_BUSY, "%s: another process is writing this score cache", s->path);
    case SQLITE_FULL: return wn_fail(err, WN_ERR_FULL, "%s: no space left for the score cache", s->path);
    case SQLITE_READONLY:
    case SQLITE_PERM: return wn_fail(err, WN_ERR_READONLY, "%s: the score cache or its folder can't be written", s->path);
    case SQLITE_CANTOPEN: return wn_fail(err, WN_ERR_IO, "%s: the score cache can't be opened: %s", s->path,
                                         sqlite3_errmsg(s->db));
    case SQLITE_IOERR: return wn_fail(err, WN_ERR_IO, "%s: cannot %s: %s", s->path, doing, sqlite3_errmsg(s->db));
    case SQLITE_NOTADB: return wn_fail(err, WN_ERR_FORMAT, "%s: not a score cache of winnow, or its first page is damaged; "
                                       "delete it, or name another file", s->path);
    default: return wn_fail(err, WN_ERR_FORMAT, "%s: damaged score cache (cannot %s: %.150s); delete it, it will be made anew",
                            s->path, doing, sqlite3_errmsg(s->db));
    }
}

static wn_status exec(const wn_score_store *s, const char *sql, const char *doing, wn_error *err) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? WN_OK : fail(s, doing, err);
}

static wn_status prepare(const wn_score_store *s, const char *sql, sqlite3_stmt **out, wn_error *err) {
    if (*out) return WN_OK;
    return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK ? WN_OK
                                                                                          : fail(s, "read", err);
}

static wn_status number(const wn_score_store *s, const char *sql, int64_t *out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(prepare(s, sql, &statement, err));
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
    wn_status st = rc == SQLITE_ROW ? WN_OK : fail(s, "read", err);
    sqlite3_finalize(statement);
    return st;
}

static wn_status run(const wn_score_store *s, sqlite3_stmt *statement, wn_error *err) {
    int rc = sqlite3_step(statement);
    wn_status st = rc == SQLITE_DONE ? WN_OK : fail(s, "write", err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return st;
}

/* ---- Opening ---------------------------------------------------------------------- */

static wn_status refuse(const wn_score_store *s, const char *why, wn_error *err) {
    return wn_fail(err, WN_ERR_FORMAT, "%s: not a score cache of this winnow (%s); delete it, or name another file", s->path, why);
}

/* Nothing but our two objects, by their text. */
static wn_status check_schema(const wn_score_store *s, wn_error *err) {
    int64_t application = 0, version = 0;
    WN_TRY(number(s, "PRAGMA application_id", &application, err));
    WN_TRY(number(s, "PRAGMA user_version", &version, err));
    if (application != APPLICATION_ID) return refuse(s, "another kind of file", err);
    if (version != VERSION) return refuse(s, "another version", err);
    sqlite3_stmt *statement = NULL;
    WN_TRY(prepare(s, "SELECT sql FROM sqlite_schema ORDER BY name", &statement, err));
    static const char *const want[] = {TABLE_SQL, INDEX_SQL};
    int n = 0, rc;
    bool same = true;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(statement, 0);
        same = same && n < 2 && sql && strcmp(sql, want[n]) == 0;
        n++;
    }
    wn_status st = rc == SQLITE_DONE ? WN_OK : fail(s, "read", err);
    sqlite3_finalize(statement);
    if (st == WN_OK && (!same || n != 2)) st = refuse(s, "tables that are not ours", err);
    return st;
}

static wn_status create(const wn_score_store *s, wn_error *err) {
    char sql[512];
    snprintf(sql, sizeof sql, "BEGIN IMMEDIATE; %s; %s; PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", TABLE_SQL,
             INDEX_SQL, (int)APPLICATION_ID, (int)VERSION);
    wn_status st = exec(s, sql, "create it", err);
    if (st == WN_OK) return WN_OK;
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return check_schema(s, NULL) == WN_OK ? WN_OK : st; /* another process was quicker */
}

static wn_status harden(const wn_score_store *s, wn_error *err) {
    char sql[256];
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, WAIT_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    snprintf(sql, sizeof sql, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA page_size=%d; "
             "PRAGMA journal_size_limit=%d", PAGE, LOG_BYTES);
    return exec(s, sql, "open", err);
}

/* A file that a larger bound let grow keeps its size; its entries shrink to the new bound. */
static wn_status limit_pages(const wn_score_store *s, wn_error *err) {
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld", (long long)s->max_pages);
    return exec(s, sql, "open", err);
}

wn_status wn_score_store_open(const char *path, uint64_t max_bytes, wn_score_store **out, wn_error *err) {
    wn_score_store *s = wn_calloc(1, sizeof *s);
    wn_status st = WN_OK;
    int64_t objects = 0, size = PAGE;
    if (!s || !(s->path = wn_strdup(path))) {
        wn_score_store_close(s);
        return wn_fail_memory(err, strlen(path));
    }
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        st = fail(s, "open", err);
        goto fail;
    }
    WN_TRY_GOTO(harden(s, err));
    WN_TRY_GOTO(number(s, "SELECT count(*) FROM sqlite_schema", &objects, err));
    if (objects) WN_TRY_GOTO(check_schema(s, err)); /* before anything is written into somebody's file */
    WN_TRY_GOTO(exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", "open", err));
    if (!objects) WN_TRY_GOTO(create(s, err));
    WN_TRY_GOTO(number(s, "PRAGMA page_size", &size, err));
    s->max_pages = (int64_t)(max_bytes / (uint64_t)size); /* SQLite checked the size: at least 512 */
    WN_TRY_GOTO(limit_pages(s, err));
    *out = s;
    return WN_OK;
fail:
    wn_score_store_close(s);
    return st;
}

void wn_score_store_close(wn_score_store *s) {
    if (!s) return;
    sqlite3_finalize(s->find);
    sqlite3_finalize(s->touch);
    sqlite3_finalize(s->insert);
    sqlite3_finalize(s->evict);
    sqlite3_close(s->db);
    wn_free(s->path);
    wn_free(s);
}

/* ---- Entries ------------------------------------------------------------------------ */

/* value [STORED] of a score. */
static void pack(const wn_score_key *key, const wn_pair_score *score, unsigned char *value) {
    const uint32_t fit[5] = {score->fit.tokens_seen, score->fit.tokens_dropped, score->fit.query_dropped,
                             score->fit.window_begin, score->fit.window_end};
    unsigned char both[WN_SCORE_KEY + VALUE];
    memcpy(value, &score->score, 4);
    memcpy(value + 4, &score->logit, 4);
    memcpy(value + 8, fit, sizeof fit);
    memcpy(both, key->bytes, WN_SCORE_KEY);
    memcpy(both + WN_SCORE_KEY, value, VALUE);
    wn_hash hash = wn_hash_bytes(both, sizeof both);
    memcpy(value + VALUE, hash.bytes, sizeof hash.bytes);
}

static wn_score_state unpack(const wn_score_key *key, const void *stored, size_t len, wn_pair_score *out) {
    unsigned char again[STORED];
    wn_pair_score score = {0};
    uint32_t fit[5];
    if (!stored || len != STORED) return WN_SCORE_DAMAGED;
    memcpy(&score.score, stored, 4);
    memcpy(&score.logit, (const char *)stored + 4, 4);
    memcpy(fit, (const char *)stored + 8, sizeof fit);
    score.fit = (wn_fit){fit[0], fit[1], fit[2], fit[3], fit[4]};
    pack(key, &score, again);
    if (memcmp(again, stored, STORED) != 0) return WN_SCORE_DAMAGED;
    *out = score;
    return WN_SCORE_FOUND;
}

static wn_status find_one(const wn_score_store *s, const wn_score_key *key, wn_score_state *state, wn_pair_score *score,
                          wn_error *err) {
    sqlite3_bind_blob(s->find, 1, key->bytes, WN_SCORE_KEY, SQLITE_STATIC);
    int rc = sqlite3_step(s->find);
    wn_status st = WN_OK;
    if (rc == SQLITE_ROW)
        *state = unpack(key, sqlite3_column_blob(s->find, 0), (size_t)sqlite3_column_bytes(s->find, 0), score);
    else if (rc == SQLITE_DONE) *state = WN_SCORE_MISSING;
    else st = fail(s, "read", err);
    sqlite3_reset(s->find);
    return st;
}

wn_status wn_score_store_get(wn_score_store *s, const wn_score_key *keys, size_t n, wn_score_state *states,
                             wn_pair_score *scores, wn_error *err) {
    WN_TRY(prepare(s, "SELECT value FROM scores WHERE key = ?", &s->find, err));
    WN_TRY(exec(s, "BEGIN", "read", err));
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < n; i++) st = find_one(s, &keys[i], &states[i], &scores[i], err);
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); /* ends reading */
    return st;
}

/* Until the pages in use leave a sixteenth of the bound free: room for this call's entries and the tree above them. */
static wn_status make_room(wn_score_store *s, size_t coming, uint64_t *evicted, wn_error *err) {
    WN_TRY(prepare(s, "DELETE FROM scores WHERE key IN (SELECT key FROM scores ORDER BY used LIMIT ?)", &s->evict, err));
    for (;;) {
        int64_t pages = 0, idle = 0;
        WN_TRY(number(s, "PRAGMA page_count", &pages, err));
        WN_TRY(number(s, "PRAGMA freelist_count", &idle, err));
        int64_t reserve = s->max_pages / 16, need = (int64_t)(coming / 8) + 8; /* an entry takes 150 bytes at most */
        if (need > reserve) reserve = need;
        if (pages - idle + reserve <= s->max_pages) return WN_OK;
        sqlite3_bind_int64(s->evict, 1, (int64_t)(2 * coming + EVICT_LEAST));
        WN_TRY(run(s, s->evict, err));
        int gone = sqlite3_changes(s->db);
        if (!gone) return wn_fail(err, WN_ERR_FULL, "%s: the score cache's bound is too small for this call", s->path);
        *evicted += (uint64_t)gone;
    }
}

static wn_status write_all(wn_score_store *s, const wn_score_key *keys, size_t n, const wn_score_state *states,
                           const wn_pair_score *scores, uint64_t *evicted, wn_error *err) {
    size_t coming = 0;
    int64_t used = 0;
    for (size_t i = 0; i < n; i++) coming += states[i] != WN_SCORE_FOUND;
    WN_TRY(prepare(s, "UPDATE scores SET used = ? WHERE key = ?", &s->touch, err));
    WN_TRY(prepare(s, "INSERT OR REPLACE INTO scores(key, value, used) VALUES(?, ?, ?)", &s->insert, err));
    WN_TRY(number(s, "SELECT coalesce(max(used), 0) FROM scores", &used, err));
    if (used < 0 || used == INT64_MAX) return wn_fail(err, WN_ERR_FORMAT, "%s: damaged score cache (its order of use); delete it", s->path);
    if (coming) WN_TRY(make_room(s, coming, evicted, err));
    for (size_t i = 0; i < n; i++) {
        unsigned char value[STORED];
        sqlite3_stmt *statement = states[i] == WN_SCORE_FOUND ? s->touch : s->insert;
        if (statement == s->insert) {
            pack(&keys[i], &scores[i], value);
            sqlite3_bind_blob(statement, 1, keys[i].bytes, WN_SCORE_KEY, SQLITE_STATIC);
            sqlite3_bind_blob(statement, 2, value, STORED, SQLITE_STATIC);
            sqlite3_bind_int64(statement, 3, used + 1);
        } else {
            sqlite3_bind_int64(statement, 1, used + 1);
            sqlite3_bind_blob(statement, 2, keys[i].bytes, WN_SCORE_KEY, SQLITE_STATIC);
        }
        WN_TRY(run(s, statement, err));
    }
    return exec(s, "COMMIT", "write", err);
}

wn_status wn_score_store_put(wn_score_store *s, const wn_score_key *keys, size_t n, const wn_score_state *states,
                             const wn_pair_score *scores, bool *saved, uint64_t *evicted, wn_error *err) {
    uint64_t gone = 0;
    wn_error local;
    wn_status st = exec(s, "BEGIN IMMEDIATE", "write", &local);
    if (st == WN_OK) st = write_all(s, keys, n, states, scores, &gone, &local);
    if (st != WN_OK) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    *saved = st == WN_OK;
    if (st == WN_OK) *evicted += gone;
    if (st != WN_ERR_FORMAT && st != WN_ERR_MEMORY) return WN_OK; /* a cache may forget */
    if (err) *err = local;
    return st;
}
