/* fake_index.h -- documents in memory and an embedder made of hashes, for the index's tests.
 *
 * The fake model is a pure function of the text: any two builds over the same texts must hold the
 * same embeddings, whatever was killed in between. It can be slow, fail, and refuse to
 * normalise. check_consistent() holds an index file to the invariants of index_schema.h,
 * through SQLite alone. */
#ifndef WN_TESTS_FAKE_INDEX_H
#define WN_TESTS_FAKE_INDEX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/hash.h"
#include "index/full_text.h"
#include "index/index_build.h"
#include "index/passage.h"

/* ---- Documents ---------------------------------------------------------------- */

typedef struct fake_document {
    const char *source, *origin, *title, *metadata, *text;
    wn_document_kind kind;
    size_t text_len; /* 0: strlen(text) */
} fake_document;

typedef struct fake_source {
    const fake_document *documents;
    size_t count, next;
    size_t fail_at;  /* 1-based; 0: never */
    size_t slow_us;  /* a document */
    wn_document document;
} fake_source;

static inline wn_status fake_next(void *ctx, const wn_document **out, wn_error *err) {
    fake_source *source = ctx;
    if (source->fail_at && source->next + 1 == source->fail_at)
        return wn_fail(err, WN_ERR_FORMAT, "fake.jsonl: line %zu: broken", source->next + 1);
    if (source->next == source->count) {
        *out = NULL;
        return WN_OK;
    }
    if (source->slow_us) usleep((useconds_t)source->slow_us);
    const fake_document *from = &source->documents[source->next++];
    wn_buf all = {0};
    const char *title = from->title ? from->title : "", *metadata = from->metadata ? from->metadata : "{}";
    size_t len = from->text_len ? from->text_len : strlen(from->text);
    wn_status st = wn_buf_printf(&all, err, "%d|%s|%s|", (int)from->kind, title, metadata);
    if (st == WN_OK) st = wn_buf_append(&all, from->text, len, err);
    if (st != WN_OK) {
        wn_buf_release(&all);
        return st;
    }
    source->document = (wn_document){
        .kind = from->kind, .source = from->source, .origin = from->origin ? from->origin : "",
        .title = title, .metadata = metadata, .text = {from->text, len},
        .hash = wn_hash_bytes(all.data, all.len)};
    wn_buf_release(&all);
    *out = &source->document;
    return WN_OK;
}

static inline void fake_position(void *ctx, uint64_t *done, uint64_t *total) {
    const fake_source *source = ctx;
    *done = source->next;
    *total = source->count;
}

/* ---- Model -------------------------------------------------------------------- */

typedef struct fake_model {
    size_t dim;
    uint64_t seed;
    float length;       /* of its vectors; 1 when normalised */
    size_t calls, texts;
    size_t fail_at;     /* the n-th text fails; 0: never */
    size_t slow_us;     /* a text */
} fake_model;

static inline void fake_vector(const fake_model *model, wn_str text, float *out) {
    wn_hash hash = wn_hash_bytes(text.data, text.len);
    uint64_t state;
    memcpy(&state, hash.bytes, sizeof state);
    state += model->seed;
    double sum = 0;
    for (size_t i = 0; i < model->dim; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (float)((double)(state >> 40) / (1 << 23) - 1);
        sum += (double)out[i] * out[i];
    }
    for (size_t i = 0; i < model->dim; i++) out[i] *= (float)(model->length / sqrt(sum));
}

static inline wn_status fake_embed(void *ctx, const wn_str *texts, size_t n, float *out, wn_fit *fits,
                                   wn_error *err) {
    fake_model *model = ctx;
    model->calls++;
    for (size_t i = 0; i < n; i++) {
        model->texts++;
        if (model->fail_at && model->texts == model->fail_at)
            return wn_fail(err, WN_ERR_INTERNAL, "fake model broke");
        if (model->slow_us) usleep((useconds_t)model->slow_us);
        fake_vector(model, texts[i], out + i * model->dim);
        fits[i] = (wn_fit){.tokens_seen = (uint32_t)(texts[i].len / 4 + 1)};
    }
    return WN_OK;
}

static inline wn_embedder fake_embedder(fake_model *model) {
    if (!model->dim) model->dim = 24;
    if (model->length == 0) model->length = 1;
    return (wn_embedder){.ctx = model, .dim = model->dim, .name = "fake-model",
                         .hash = "00112233445566778899aabbccddeeff", .path = "/models/fake-model",
                         .query_prompt = "query: ", .document_prompt = "", .pooling = WN_POOL_MEAN,
                         .normalize = model->length == 1, .max_length = 256, .embed = fake_embed};
}

/* ---- Building ----------------------------------------------------------------- */

static inline wn_status fake_build(const char *path, const fake_document *documents, size_t n,
                                   const char *covered, fake_model *model,
                                   const wn_build_options *options, wn_build_stats *stats,
                                   wn_error *err) {
    fake_source source = {.documents = documents, .count = n};
    wn_build_input input = {.ctx = &source, .next = fake_next, .position = fake_position,
                            .covered = &covered, .ncovered = covered ? 1 : 0};
    wn_embedder embedder;
    if (model) embedder = fake_embedder(model);
    return wn_index_build_from(path, &input, model ? &embedder : NULL, options, stats, err);
}

static inline void assert_ok(wn_status st, const wn_error *err) {
    if (st != WN_OK) fail_msg("%s: %s", wn_status_name(st), err->message);
}

/* A new folder, and a path in it. In memory where there is such a place: thousands of commits
 * wait for no disk, and a killed process loses nothing that a file system holds. */
static inline char *temp_path(const char *name) {
    char folder[] = "/dev/shm/winnow-test-XXXXXX";
    if (access("/dev/shm", W_OK) != 0 || !mkdtemp(folder)) {
        strcpy(folder, "/tmp/winnow-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    char *path = malloc(sizeof folder + strlen(name) + 1);
    if (!path) abort();
    strcpy(path, folder);
    strcat(strcat(path, "/"), name);
    return path;
}

/* Removes the file, what SQLite may have left, and the folder; frees the path. */
static inline void remove_path(char *path) {
    char other[512];
    static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(other, sizeof other, "%s%s", path, suffixes[i]);
        unlink(other);
    }
    *strrchr(path, '/') = 0;
    rmdir(path);
    free(path);
}

/* ---- Consistency -------------------------------------------------------------- */

static inline int64_t sql_int(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Every (term, row, column, offset) of a full-text table. */
static inline wn_hash full_text_hash(sqlite3 *db) {
    char *message = NULL;
    sqlite3_exec(db, "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, full_text, instance)",
                 NULL, NULL, &message);
    if (message) fail_msg("%s", message);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT term || ' ' || doc || ' ' || col || ' ' || offset "
                                            "FROM vocabulary ORDER BY term, doc, col, offset",
                                        -1, &statement, NULL), SQLITE_OK);
    wn_hasher *hasher = wn_hasher_create();
    while (sqlite3_step(statement) == SQLITE_ROW)
        wn_hasher_update(hasher, sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_finalize(statement);
    return wn_hasher_finish(hasher);
}

/* The full-text table that the chunks should have, made afresh in memory. */
static inline wn_hash rebuilt_full_text_hash(sqlite3 *db) {
    sqlite3 *fresh = NULL;
    assert_int_equal(sqlite3_open(":memory:", &fresh), SQLITE_OK);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema WHERE name = 'full_text'", -1,
                                        &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_exec(fresh, (const char *)sqlite3_column_text(statement, 0), 0, 0, 0), SQLITE_OK);
    sqlite3_finalize(statement);
    wn_database database = {.db = fresh, .path = (char *)"memory"};
    wn_full_text_writer writer = {0};
    wn_buf context = {0};
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT c.id, d.title, c.heading, c.content FROM chunks c "
                                            "JOIN documents d ON d.id = c.document ORDER BY c.id",
                                        -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        wn_str text[3];
        for (int i = 0; i < 3; i++)
            text[i] = (wn_str){(const char *)sqlite3_column_text(statement, 1 + i),
                               (size_t)sqlite3_column_bytes(statement, 1 + i)};
        wn_error err;
        assert_ok(wn_passage_context(text[0], text[1], &context, &err), &err);
        assert_ok(wn_full_text_insert(&database, &writer, sqlite3_column_int64(statement, 0),
                                      (wn_str){context.data, context.len}, text[2], &err), &err);
    }
    sqlite3_finalize(statement);
    wn_hash hash = full_text_hash(fresh);
    wn_full_text_writer_release(&writer);
    wn_buf_release(&context);
    sqlite3_close(fresh);
    return hash;
}

/* Each embedding of the file stands where its chunk says, once. Returns how many there are. */
static inline size_t check_vectors(sqlite3 *db) {
    sqlite3_stmt *blocks = NULL, *chunk = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT block, ids, data, hash FROM vectors", -1, &blocks, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM chunks WHERE id = ? AND block = ?", -1, &chunk, NULL), SQLITE_OK);
    size_t total = 0;
    while (sqlite3_step(blocks) == SQLITE_ROW) {
        size_t n = (size_t)sqlite3_column_bytes(blocks, 1) / 8;
        assert_in_range(n, 1, WN_VECTOR_BLOCK);
        for (size_t i = 0; i < n; i++) {
            int64_t id;
            memcpy(&id, (const char *)sqlite3_column_blob(blocks, 1) + 8 * i, 8);
            sqlite3_bind_int64(chunk, 1, id);
            sqlite3_bind_int64(chunk, 2, sqlite3_column_int64(blocks, 0));
            assert_int_equal(sqlite3_step(chunk), SQLITE_ROW);
            assert_int_equal(sqlite3_column_int64(chunk, 0), 1);
            sqlite3_reset(chunk);
        }
        wn_hash hash;
        assert_int_equal(wn_vector_block_hash(sqlite3_column_blob(blocks, 1), n * 8, sqlite3_column_blob(blocks, 2),
                                              (size_t)sqlite3_column_bytes(blocks, 2), &hash, NULL), WN_OK);
        assert_memory_equal(hash.bytes, sqlite3_column_blob(blocks, 3), 16);
        total += n;
    }
    sqlite3_finalize(blocks);
    sqlite3_finalize(chunk);
    return total;
}

/* Opening plays back what a killed writer left. True when the file holds tables. */
static inline bool check_consistent(const char *path) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    bool made = sql_int(db, "SELECT count(*) FROM sqlite_schema") > 0;
    if (made) {
        assert_int_equal(sql_int(db, "SELECT count(*) FROM chunks WHERE document NOT IN (SELECT id FROM documents)"), 0);
        assert_int_equal(sql_int(db, "SELECT count(*) FROM documents WHERE id NOT IN (SELECT document FROM chunks)"), 0);
        assert_int_equal(sql_int(db, "SELECT count(*) FROM (SELECT 1 FROM chunks GROUP BY document HAVING "
                                     "min(ordinal) <> 0 OR max(ordinal) <> count(*) - 1 OR count(DISTINCT ordinal) <> count(*))"), 0);
        assert_int_equal(sql_int(db, "SELECT count(*) FROM full_text_docsize"), sql_int(db, "SELECT count(*) FROM chunks"));
        assert_int_equal(check_vectors(db), sql_int(db, "SELECT count(*) FROM chunks WHERE block IS NOT NULL"));
        wn_hash stored = full_text_hash(db), rebuilt = rebuilt_full_text_hash(db);
        assert_memory_equal(stored.bytes, rebuilt.bytes, 16);
        assert_int_equal(sqlite3_exec(db, "INSERT INTO full_text(full_text) VALUES('integrity-check')", 0, 0, 0), SQLITE_OK);
    }
    sqlite3_close(db);
    return made;
}

/* ---- What several tests search ------------------------------------------------- */

static const fake_document small[] = {
    {.source = "docs/lora.md", .title = "LoRA", .text = "Low-rank adapters train few parameters.",
     .metadata = "{\"lang\": \"en\", \"tags\": [\"training\", \"adapter\"], \"year\": 2021}"},
    {.source = "docs/spark.md", .title = "DGX Spark", .text = "The DGX Spark has 128 GB of unified memory.",
     .metadata = "{\"lang\": \"en\", \"year\": 2025, \"draft\": true}"},
    {.source = "docs/quant.md", .title = "Quantisation", .text = "Quantised weights need less memory.",
     .metadata = "{\"lang\": \"de\"}"},
    {.source = "7", .origin = "c.jsonl", .kind = WN_DOCUMENT_CORPUS, .title = "Titled line",
     .text = "Only the body is here.", .metadata = "{}"},
};
enum { small_count = sizeof small / sizeof *small };

static inline char *build_small(fake_model *model) {
    char *path = temp_path("small.wn");
    wn_error err;
    assert_ok(fake_build(path, small, small_count, NULL, model, NULL, NULL, &err), &err);
    return path;
}

static inline wn_index *open_index(const char *path) {
    wn_index *index = NULL;
    wn_error err;
    assert_ok(wn_index_open(path, &index, &err), &err);
    return index;
}

static inline size_t bm25(wn_index *index, const char *query, wn_hit *hits, size_t k) {
    size_t count = 99;
    wn_error err;
    assert_ok(wn_index_search_bm25(index, (wn_str){query, strlen(query)}, k, NULL, 0, hits, &count, &err), &err);
    return count;
}

/* The source of a passage, checked to be `expected`. */
static inline void assert_source(wn_index *index, int64_t id, const char *expected) {
    wn_passage *passage = NULL;
    wn_error err;
    assert_ok(wn_index_passage(index, id, &passage, &err), &err);
    assert_string_equal(passage->source, expected);
    wn_passage_free(passage);
}

/* Long texts: words are numbered so that passages differ. */
static inline char *long_text(size_t words, unsigned seed) {
    char *text = malloc(words * 16), *at = text;
    assert_non_null(text);
    for (size_t i = 0; i < words; i++) {
        seed = seed * 1664525u + 1013904223u;
        at += sprintf(at, "w%u%s", seed >> 20, i % 40 == 39 ? "\n\n" : " ");
    }
    return text;
}

static inline void many_documents(fake_document *documents, size_t n, size_t words) {
    for (size_t i = 0; i < n; i++) {
        char *source = NULL;
        assert_true(asprintf(&source, "many/%04zu.txt", i) > 0);
        documents[i] = (fake_document){.source = source, .text = long_text(words, (unsigned)i + 1)};
    }
}

static inline void free_documents(fake_document *documents, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)documents[i].source);
        free((void *)(uintptr_t)documents[i].text);
    }
}

#endif
