/* index_schema.c -- creating and checking the tables; loading and comparing the identity.
 *
 * The check is by text: SQLite keeps the statement that made each object, and an index's
 * must be exactly ours. That shuts out what a hostile file could otherwise bring along
 * (triggers, views, generated columns, expression indexes, other virtual tables) without a
 * list of such things. */
#include "index/index_schema.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct schema_object {
    const char *name, *sql;
} schema_object;

#define FULL_TEXT_SQL(tokenizer)                                                      \
    "CREATE VIRTUAL TABLE full_text USING fts5(context, content, content='', tokenize='" tokenizer "')"

/* The FTS5 table is made apart: its text depends on the analyser. */
static const schema_object objects[] = {
    {"meta", "CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID"},
    {"documents",
     "CREATE TABLE documents(id INTEGER PRIMARY KEY, source TEXT NOT NULL, origin TEXT NOT NULL, "
     "kind INTEGER NOT NULL, title TEXT NOT NULL, metadata TEXT NOT NULL, hash BLOB NOT NULL)"},
    {"documents_source", "CREATE UNIQUE INDEX documents_source ON documents(source, origin)"},
    {"chunks",
     "CREATE TABLE chunks(id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, "
     "ordinal INTEGER NOT NULL, begin_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, "
     "heading TEXT NOT NULL, content TEXT NOT NULL, hash BLOB NOT NULL, block INTEGER)"},
    {"chunks_document", "CREATE INDEX chunks_document ON chunks(document, ordinal)"},
    {"chunks_hash", "CREATE INDEX chunks_hash ON chunks(hash)"},
    {"chunks_pending", "CREATE INDEX chunks_pending ON chunks(block) WHERE block IS NULL"},
    {"vectors",
     "CREATE TABLE vectors(block INTEGER PRIMARY KEY, ids BLOB NOT NULL, data BLOB NOT NULL, "
     "hash BLOB NOT NULL)"},
};
enum { object_count = sizeof objects / sizeof *objects };

/* Measured in full_text.c. remove_diacritics 2 also folds letters with several marks. */
static const char *const full_text_sql[] = {
    FULL_TEXT_SQL("unicode61 remove_diacritics 2"),
    FULL_TEXT_SQL("porter unicode61 remove_diacritics 2"),
};

/* Made by SQLite itself, whose wording may differ by version. */
static const char *const internal_names[] = {
    "sqlite_sequence", "sqlite_stat1", "sqlite_stat4", "sqlite_autoindex_meta_1",
    "full_text_data", "full_text_idx", "full_text_docsize", "full_text_config",
};

/* ---- Identity ------------------------------------------------------------- */

/* Each member, by its key in meta, so that load and store can't disagree. */
typedef struct identity_member {
    const char *key;
    size_t offset;
    bool text;
    int64_t lowest, highest; /* of a number */
} identity_member;

#define TEXT(name) {#name, offsetof(wn_identity, name), true, 0, 0}
#define NUMBER(name, lo, hi) {#name, offsetof(wn_identity, name), false, lo, hi}
static const identity_member members[] = {
    TEXT(model_name), TEXT(model_hash), TEXT(model_path), TEXT(query_prompt), TEXT(document_prompt),
    TEXT(split_tokenizer),
    NUMBER(dim, 0, WN_MAX_DIM),
    NUMBER(model_max_length, 0, INT32_MAX),
    NUMBER(pooling, WN_POOL_CLS, WN_POOL_MEAN),
    NUMBER(normalize, 0, 1),
    NUMBER(split_unit, WN_UNIT_CHARACTERS, WN_UNIT_TOKENS),
    NUMBER(chunk_size, 1, INT64_MAX),
    NUMBER(chunk_overlap, 0, INT64_MAX),
    NUMBER(stemming, 0, 1),
};
enum { member_count = sizeof members / sizeof *members };

static char **text_member(const wn_identity *identity, const identity_member *member) {
    return (char **)((uintptr_t)identity + member->offset);
}

static int64_t *number_member(const wn_identity *identity, const identity_member *member) {
    return (int64_t *)((uintptr_t)identity + member->offset);
}

void wn_identity_release(wn_identity *identity) {
    for (size_t i = 0; i < member_count; i++)
        if (members[i].text) wn_free(*text_member(identity, &members[i]));
    *identity = (wn_identity){0};
}

static wn_status load_member(const wn_database *database, sqlite3_stmt *statement,
                             const identity_member *member, wn_identity *out, wn_error *err) {
    bool row;
    sqlite3_bind_text(statement, 1, member->key, -1, SQLITE_STATIC);
    WN_TRY(wn_database_step(database, statement, &row, err));
    if (!row) return wn_database_corrupt(database, err, "meta has no %s", member->key);
    if (member->text) {
        wn_str text;
        WN_TRY(wn_database_text(database, statement, 0, &text, err));
        *text_member(out, member) = wn_strndup(text.data, text.len);
        return *text_member(out, member) ? WN_OK : wn_fail_memory(err, text.len);
    }
    int64_t number = sqlite3_column_int64(statement, 0);
    if (sqlite3_column_type(statement, 0) != SQLITE_INTEGER || number < member->lowest ||
        number > member->highest)
        return wn_database_corrupt(database, err, "%s in meta is out of range", member->key);
    *number_member(out, member) = number;
    return WN_OK;
}

wn_status wn_identity_load(const wn_database *database, wn_identity *out, wn_error *err) {
    wn_identity identity = {0};
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database, "SELECT value FROM meta WHERE key = ?", &statement, err));
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < member_count; i++) {
        st = load_member(database, statement, &members[i], &identity, err);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    if (st == WN_OK && identity.chunk_overlap > identity.chunk_size)
        st = wn_database_corrupt(database, err, "meta: chunk_overlap is larger than chunk_size");
    if (st != WN_OK) {
        wn_identity_release(&identity);
        return st;
    }
    *out = identity;
    return WN_OK;
}

wn_status wn_identity_store(const wn_database *database, const wn_identity *identity, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database, "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)",
                               &statement, err));
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < member_count; i++) {
        const identity_member *member = &members[i];
        sqlite3_bind_text(statement, 1, member->key, -1, SQLITE_STATIC);
        if (member->text) {
            const char *text = *text_member(identity, member);
            sqlite3_bind_text(statement, 2, text ? text : "", -1, SQLITE_STATIC);
        } else {
            sqlite3_bind_int64(statement, 2, *number_member(identity, member));
        }
        st = wn_database_run(database, statement, err);
    }
    if (st == WN_OK) {
        sqlite3_bind_text(statement, 1, "created_by", -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, wn_version(), -1, SQLITE_STATIC);
        st = wn_database_run(database, statement, err);
    }
    sqlite3_finalize(statement);
    return st;
}

static const char *pooling_name(int64_t pooling) { return pooling == WN_POOL_CLS ? "cls" : "mean"; }

wn_status wn_identity_check_model(const char *path, const wn_identity *stored,
                                  const wn_identity *wanted, wn_error *err) {
    static const char advice[] = "use that model, or build another index (-o another file)";
    if (!stored->dim)
        return wn_fail(err, WN_ERR_MISMATCH, "%s: was made without a model, not with %s; %s", path,
                       wanted->model_name, "build it again with that model");
    if (!wanted->dim)
        return wn_fail(err, WN_ERR_MISMATCH, "%s: was made with model %s, and no model is given; %s",
                       path, stored->model_name, advice);
    if (strcmp(stored->model_hash, wanted->model_hash) != 0 || stored->dim != wanted->dim)
        return wn_fail(err, WN_ERR_MISMATCH,
                       "%s: was made with model %s (%lld dimensions, weights %.8s), not %s (%lld "
                       "dimensions, weights %.8s); %s",
                       path, stored->model_name, (long long)stored->dim, stored->model_hash,
                       wanted->model_name, (long long)wanted->dim, wanted->model_hash, advice);
    /* The same weights, used in another way, give other embeddings. */
    const char *what = NULL;
    char before[96], now[96];
    if (stored->pooling != wanted->pooling) {
        what = "pooling";
        snprintf(before, sizeof before, "%s", pooling_name(stored->pooling));
        snprintf(now, sizeof now, "%s", pooling_name(wanted->pooling));
    } else if (stored->normalize != wanted->normalize) {
        what = "normalisation";
        snprintf(before, sizeof before, "%s", stored->normalize ? "on" : "off");
        snprintf(now, sizeof now, "%s", wanted->normalize ? "on" : "off");
    } else if (strcmp(stored->document_prompt, wanted->document_prompt) != 0) {
        what = "document prompt";
        snprintf(before, sizeof before, "\"%.80s\"", stored->document_prompt);
        snprintf(now, sizeof now, "\"%.80s\"", wanted->document_prompt);
    } else if (stored->model_max_length != wanted->model_max_length) {
        what = "maximum length";
        snprintf(before, sizeof before, "%lld", (long long)stored->model_max_length);
        snprintf(now, sizeof now, "%lld", (long long)wanted->model_max_length);
    }
    if (!what) return WN_OK;
    return wn_fail(err, WN_ERR_MISMATCH, "%s: was made with model %s and %s %s, not %s with %s; %s",
                   path, stored->model_name, what, before, wanted->model_name, now, advice);
}

static void describe_split(const wn_identity *identity, char *out, size_t size) {
    snprintf(out, size, "%lld %s, overlap %lld%s%.8s, %s", (long long)identity->chunk_size,
             identity->split_unit == WN_UNIT_TOKENS ? "tokens" : "characters",
             (long long)identity->chunk_overlap, *identity->split_tokenizer ? ", vocabulary " : "",
             identity->split_tokenizer, identity->stemming ? "stemming" : "no stemming");
}

wn_status wn_identity_check_split(const char *path, const wn_identity *stored,
                                  const wn_identity *wanted, wn_error *err) {
    if (stored->chunk_size == wanted->chunk_size && stored->chunk_overlap == wanted->chunk_overlap &&
        stored->split_unit == wanted->split_unit && stored->stemming == wanted->stemming &&
        strcmp(stored->split_tokenizer, wanted->split_tokenizer) == 0)
        return WN_OK;
    char before[128], now[128];
    describe_split(stored, before, sizeof before);
    describe_split(wanted, now, sizeof now);
    return wn_fail(err, WN_ERR_MISMATCH,
                   "%s: was split with %s, not %s; give the same options, delete the file, or build "
                   "another index (-o another file)", path, before, now);
}

/* ---- Schema --------------------------------------------------------------- */

wn_status wn_schema_is_empty(const wn_database *database, bool *empty, wn_error *err) {
    int64_t count, application, version;
    WN_TRY(wn_database_int(database, "SELECT count(*) FROM sqlite_schema", &count, err));
    WN_TRY(wn_database_int(database, "PRAGMA application_id", &application, err));
    WN_TRY(wn_database_int(database, "PRAGMA user_version", &version, err));
    *empty = count == 0 && application == 0 && version == 0;
    return WN_OK;
}

wn_status wn_schema_create(const wn_database *database, const wn_identity *identity, wn_error *err) {
    WN_TRY(wn_database_exec(database, "PRAGMA page_size=16384; PRAGMA encoding='UTF-8'; "
                                      "PRAGMA journal_mode=DELETE", err));
    WN_TRY(wn_database_begin(database, 0, err));
    bool empty;
    wn_status st = wn_schema_is_empty(database, &empty, err);
    if (st != WN_OK || !empty) { /* another process was quicker */
        wn_database_rollback(database);
        return st;
    }
    for (size_t i = 0; i < object_count; i++)
        WN_TRY_GOTO(wn_database_exec(database, objects[i].sql, err));
    WN_TRY_GOTO(wn_database_exec(database, full_text_sql[identity->stemming], err));
    char pragmas[96];
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id=%d; PRAGMA user_version=%d",
             (int)WN_APPLICATION_ID, (int)WN_SCHEMA_VERSION);
    WN_TRY_GOTO(wn_database_exec(database, pragmas, err));
    WN_TRY_GOTO(wn_identity_store(database, identity, err));
    WN_TRY_GOTO(wn_database_commit(database, err));
    return WN_OK;
fail:
    wn_database_rollback(database);
    return st;
}

static bool is_internal(const char *name) {
    for (size_t i = 0; i < sizeof internal_names / sizeof *internal_names; i++)
        if (strcmp(name, internal_names[i]) == 0) return true;
    return false;
}

/* *seen counts ours; a name can't occur twice in a schema that SQLite accepted. */
static wn_status check_object(const wn_database *database, const char *type, const char *name,
                              const char *sql, size_t *seen, wn_error *err) {
    if (strcmp(name, "full_text") == 0) {
        if (!sql || (strcmp(sql, full_text_sql[0]) != 0 && strcmp(sql, full_text_sql[1]) != 0))
            return wn_database_corrupt(database, err, "table full_text is not winnow's");
        ++*seen;
        return WN_OK;
    }
    for (size_t i = 0; i < object_count; i++) {
        if (strcmp(name, objects[i].name) != 0) continue;
        if (!sql || strcmp(sql, objects[i].sql) != 0)
            return wn_database_corrupt(database, err, "%.20s %.60s is not winnow's", type, name);
        ++*seen;
        return WN_OK;
    }
    bool plain = strcmp(type, "table") == 0 || strcmp(type, "index") == 0;
    if (plain && is_internal(name)) return WN_OK;
    return wn_database_corrupt(database, err, "%.20s %.60s does not belong in it", type, name);
}

static wn_status check_objects(const wn_database *database, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(database, "SELECT type, name, sql FROM sqlite_schema", &statement, err));
    size_t seen = 0;
    bool row;
    wn_status st;
    while ((st = wn_database_step(database, statement, &row, err)) == WN_OK && row) {
        const char *type = (const char *)sqlite3_column_text(statement, 0);
        const char *name = (const char *)sqlite3_column_text(statement, 1);
        const char *sql = (const char *)sqlite3_column_text(statement, 2);
        st = check_object(database, type ? type : "", name ? name : "", sql, &seen, err);
        if (st != WN_OK) break;
    }
    sqlite3_finalize(statement);
    if (st == WN_OK && seen != object_count + 1)
        st = wn_database_corrupt(database, err, "a table is missing");
    return st;
}

wn_status wn_schema_check(const wn_database *database, wn_error *err) {
    int64_t application, version;
    WN_TRY(wn_database_int(database, "PRAGMA application_id", &application, err));
    WN_TRY(wn_database_int(database, "PRAGMA user_version", &version, err));
    bool empty;
    WN_TRY(wn_schema_is_empty(database, &empty, err));
    if (empty)
        return wn_fail(err, WN_ERR_FORMAT, "%s: empty: not an index yet; build it first", database->path);
    if (application != WN_APPLICATION_ID)
        return wn_fail(err, WN_ERR_FORMAT, "%s: an SQLite file, but not a winnow index", database->path);
    if (version > WN_SCHEMA_VERSION)
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: made by a newer winnow (index version %lld; this one reads up to %d)",
                       database->path, (long long)version, (int)WN_SCHEMA_VERSION);
    if (version < 1)
        return wn_database_corrupt(database, err, "index version %lld", (long long)version);
    return check_objects(database, err);
}
