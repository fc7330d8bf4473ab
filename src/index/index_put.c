/* index_put.c -- single documents: stored, replaced, removed, all of a call or nothing.
 *
 * A put is a build without a scan: the same code cuts, compares, stores and embeds, but in one
 * transaction that ends when everything of the call is in it. The lock is held while the model
 * computes: readers go on (SQLite's RESERVED lock keeps out writers only), and a document of a
 * thousand passages makes another writer wait. Rejected: embedding before the lock; the passages that
 * can be kept are known only under it, and a second writer could take them away in between.
 *
 * Where they come from is told by documents.origin: WN_ORIGIN_PUT (docs/INDEX_FORMAT.md). */
#include "core/json.h"
#include "core/utf8.h"
#include "index/index_build.h"
#include "index/index_handle.h"
#include "text/markdown.h"
#include "text/white_space.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SOURCE = 4096,
    MAX_TITLE = 65536,
    MAX_METADATA = 1 << 20,
    MAX_METADATA_DEPTH = 64
};

wn_put_options wn_put_options_default(void) { return (wn_put_options){.size = sizeof(wn_put_options)}; }

/* ---- What was given, checked ------------------------------------------------------ */

typedef struct prepared {
    wn_document document;
    wn_markdown *markdown;
    wn_buf metadata;
} prepared;

static void prepared_release(prepared *p) {
    wn_markdown_free(p->markdown);
    wn_buf_release(&p->metadata);
}

static wn_status check_source(const char *source, size_t i, wn_error *err) {
    size_t bad, len = source ? strlen(source) : 0;
    if (!len) return wn_fail(err, WN_ERR_ARGUMENT, "document %zu has no source", i);
    if (len > MAX_SOURCE)
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu: its source has %zu bytes, over %d", i, len, MAX_SOURCE);
    if (!wn_utf8_valid(source, len, &bad))
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu: its source is not UTF-8", i);
    for (const char *c = source; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return wn_fail(err, WN_ERR_ARGUMENT, "document %zu: its source holds a control character", i);
    return WN_OK;
}

static wn_status check_texts(const wn_new_document *d, size_t i, wn_error *err) {
    size_t bad = 0;
    const char *title = d->title ? d->title : "";
    WN_TRY(check_source(d->source, i, err));
    if (strlen(title) > MAX_TITLE)
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu (%.200s): its title is over %d bytes", i, d->source,
                       MAX_TITLE);
    if (!wn_utf8_valid(title, strlen(title), &bad))
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu (%.200s): its title is not UTF-8", i, d->source);
    if (d->text.len && !wn_utf8_valid(d->text.data, d->text.len, &bad))
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu (%.200s): its text is not UTF-8 at byte %zu", i,
                       d->source, bad);
    return WN_OK;
}

static size_t json_depth(const json_t *value) {
    size_t deepest = 0, i;
    const char *key;
    json_t *member;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            size_t depth = json_depth(member);
            if (depth > deepest) deepest = depth;
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            size_t depth = json_depth(member);
            if (depth > deepest) deepest = depth;
        }
    } else {
        return 0;
    }
    return deepest + 1;
}

static wn_status parse_metadata(const wn_new_document *d, size_t i, json_t **out, wn_error *err) {
    const char *text = d->metadata ? d->metadata : "{}";
    size_t len = strlen(text);
    json_t *object = NULL;
    wn_error why;
    if (len > MAX_METADATA)
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu (%.200s): its metadata has %zu bytes, over %d", i,
                       d->source, len, MAX_METADATA);
    wn_status st = wn_json_parse("metadata", text, len, &object, &why);
    if (st == WN_ERR_MEMORY) return wn_fail_memory(err, len);
    if (st == WN_OK && !json_is_object(object))
        st = wn_fail(&why, WN_ERR_ARGUMENT, "metadata is not a JSON object");
    if (st == WN_OK && json_depth(object) > MAX_METADATA_DEPTH)
        st = wn_fail(&why, WN_ERR_ARGUMENT, "metadata is nested over %d deep", MAX_METADATA_DEPTH);
    if (st != WN_OK) {
        json_decref(object);
        return wn_fail(err, WN_ERR_ARGUMENT, "document %zu (%.120s): %.250s", i, d->source, why.message);
    }
    *out = object;
    return WN_OK;
}

static int buffer_write(const char *bytes, size_t len, void *buf) {
    return wn_buf_append(buf, bytes, len, NULL) == WN_OK ? 0 : -1;
}

/* Compact, keys sorted, what is given above what the front matter says. */
static wn_status put_metadata(const wn_new_document *d, size_t i, prepared *p, wn_error *err) {
    json_t *object = NULL;
    WN_TRY(parse_metadata(d, i, &object, err));
    wn_status st = WN_OK;
    if (p->markdown &&
        json_object_update_missing(object, (json_t *)(uintptr_t)wn_markdown_front_matter(p->markdown)) != 0)
        st = wn_fail_memory(err, 256);
    if (st == WN_OK && json_dump_callback(object, buffer_write, &p->metadata, JSON_COMPACT | JSON_SORT_KEYS) != 0)
        st = wn_fail_memory(err, p->metadata.len);
    json_decref(object);
    p->document.metadata = p->metadata.data;
    return st;
}

/* Borrows the texts of `d`. i: from 1, for messages. */
static wn_status prepare(const wn_new_document *d, size_t i, prepared *p, wn_error *err) {
    wn_document *document = &p->document;
    WN_TRY(check_texts(d, i, err));
    const char *title = d->title && !wn_is_blank(d->title, strlen(d->title)) ? d->title : "";
    *document = (wn_document){.source = d->source, .origin = WN_ORIGIN_PUT, .title = title, .text = d->text};
    if (!d->text.len) document->text.data = "";
    bool bom = d->text.len >= 3 && memcmp(d->text.data, "\xEF\xBB\xBF", 3) == 0;
    if (d->markdown) {
        document->kind = WN_DOCUMENT_MARKDOWN;
        WN_TRY(wn_markdown_parse(document->text, &p->markdown, err));
        document->markdown = p->markdown;
        document->body_begin = wn_markdown_body_begin(p->markdown);
        if (!*title) document->title = wn_markdown_title(p->markdown);
    } else {
        document->kind = *title ? WN_DOCUMENT_CORPUS : WN_DOCUMENT_TEXT;
        document->body_begin = bom ? 3 : 0;
    }
    if (wn_is_blank(document->text.data + document->body_begin, document->text.len - document->body_begin)) {
        if (!*title) return wn_fail(err, WN_ERR_ARGUMENT, "document %zu (%.200s) is empty", i, d->source);
        document->text = (wn_str){title, strlen(title)};
        document->body_begin = 0;
    }
    WN_TRY(put_metadata(d, i, p, err));
    return wn_document_hash(document, err);
}

/* ---- One document in the transaction -------------------------------------------------- */

typedef struct same_source {
    int64_t *ids;
    size_t count, capacity;
    bool unchanged; /* of ids[0]: put before, equal, and all of its passages are embedded */
} same_source;

/* Those of this source, the one that was put first, else the oldest. */
static wn_status find_same(wn_builder *b, const char *source, const wn_hash *hash, same_source *out,
                           wn_error *err) {
    sqlite3_stmt *statement = NULL;
    const void *stored;
    bool row;
    wn_status st;
    WN_TRY(wn_database_prepare(&b->database,
                               "SELECT d.id, d.hash, d.origin = '" WN_ORIGIN_PUT "', EXISTS(SELECT 1 FROM "
                               "chunks c WHERE c.document = d.id AND c.block IS NULL) FROM documents d "
                               "WHERE d.source = ? ORDER BY 3 DESC, d.id", &statement, err));
    sqlite3_bind_text(statement, 1, source, -1, SQLITE_STATIC);
    while ((st = wn_database_step(&b->database, statement, &row, err)) == WN_OK && row) {
        WN_TRY_GOTO(wn_grow(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, err));
        WN_TRY_GOTO(wn_database_blob(&b->database, statement, 1, sizeof *hash, &stored, err));
        bool pending = b->vectors && sqlite3_column_int(statement, 3);
        if (!out->count && hash)
            out->unchanged = sqlite3_column_int(statement, 2) && !pending &&
                             memcmp(stored, hash->bytes, sizeof hash->bytes) == 0;
        out->ids[out->count++] = sqlite3_column_int64(statement, 0);
    }
fail:
    sqlite3_finalize(statement);
    return st;
}

static wn_status store(wn_builder *b, const wn_document *document, wn_error *err) {
    same_source same = {0};
    wn_status st = find_same(b, document->source, &document->hash, &same, err);
    for (size_t i = 1; st == WN_OK && i < same.count; i++) {
        st = wn_builder_remove(b, same.ids[i], err);
        b->stats.documents_removed += st == WN_OK;
    }
    int64_t id = same.count ? same.ids[0] : 0;
    if (st == WN_OK && !same.unchanged) st = wn_builder_store(b, document, &id, err);
    wn_free(same.ids);
    if (st != WN_OK) return st;
    if (same.unchanged) b->stats.documents_unchanged++;
    else if (same.count) b->stats.documents_changed++;
    else b->stats.documents_added++;
    return WN_OK;
}

/* ---- A call ------------------------------------------------------------------------------ */

static int by_source(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static wn_status check_unique(const wn_new_document *documents, size_t n, wn_error *err) {
    const char **sources = wn_calloc(n, sizeof *sources);
    if (!sources) return wn_fail_memory(err, n * sizeof *sources);
    wn_status st = WN_OK;
    for (size_t i = 0; i < n; i++) sources[i] = documents[i].source;
    qsort(sources, n, sizeof *sources, by_source);
    for (size_t i = 1; st == WN_OK && i < n; i++)
        if (strcmp(sources[i - 1], sources[i]) == 0)
            st = wn_fail(err, WN_ERR_ARGUMENT, "source %.200s is given twice", sources[i]);
    wn_free(sources);
    return st;
}

static wn_status settle(wn_builder *b, const wn_embedder *embedder, const wn_tokenizer *tokenizer,
                        wn_error *err) {
    const char *path = b->database.path;
    if (b->identity.dim && !embedder)
        return wn_fail(err, WN_ERR_MISMATCH, "%s: was made with model %s, which embeds new documents; it is "
                       "not loaded", path, b->identity.model_name);
    if (b->identity.dim) WN_TRY(wn_embedder_check(path, &b->identity, embedder, err));
    b->embedder = b->identity.dim ? embedder : NULL;
    if (b->identity.split_unit != WN_UNIT_TOKENS) return WN_OK;
    char *hash = NULL;
    if (!tokenizer)
        return wn_fail(err, WN_ERR_MISMATCH, "%s: is split by tokens; the model that counts them is not loaded",
                       path);
    WN_TRY(wn_vocabulary_hash(tokenizer, &hash, err));
    bool equal = strcmp(hash, b->identity.split_tokenizer) == 0;
    wn_free(hash);
    if (!equal) return wn_fail(err, WN_ERR_MISMATCH, "%s: is split by the tokens of another vocabulary", path);
    b->options.split.tokenizer = tokenizer;
    return WN_OK;
}

static void take_options(const wn_put_options *given, wn_put_options *out) {
    *out = wn_put_options_default();
    if (given) memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
}

wn_status wn_index_put_from(const char *path, const wn_new_document *documents, size_t n,
                            const wn_embedder *embedder, const wn_tokenizer *tokenizer,
                            const wn_put_options *options, wn_build_stats *stats, wn_error *err) {
    wn_put_options opt;
    take_options(options, &opt);
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "no documents are given");
    double begin = wn_builder_now();
    wn_builder b = {.options = wn_build_options_default(), .atomic = true};
    prepared *all = wn_calloc(n, sizeof *all);
    if (!all) return wn_fail_memory(err, n * sizeof *all);
    int64_t last;
    wn_status st = WN_OK;
    for (size_t i = 0; i < n; i++) WN_TRY_GOTO(prepare(&documents[i], i + 1, &all[i], err));
    WN_TRY_GOTO(check_unique(documents, n, err));
    WN_TRY_GOTO(wn_builder_open(&b, path, opt.wait_ms, err));
    WN_TRY_GOTO(settle(&b, embedder, tokenizer, err));
    WN_TRY_GOTO(wn_database_int(&b.database, "SELECT coalesce(max(id), 0) FROM chunks", &last, err));
    for (size_t i = 0; i < n; i++) WN_TRY_GOTO(store(&b, &all[i].document, err));
    if (b.embedder) WN_TRY_GOTO(wn_builder_embed(&b, last, err));
    WN_TRY_GOTO(wn_builder_finish(&b, err));
    if (stats) *stats = b.stats;
    if (stats) stats->seconds = wn_builder_now() - begin;
fail:
    wn_builder_release(&b);
    for (size_t i = 0; i < n; i++) prepared_release(&all[i]);
    wn_free(all);
    return st;
}

wn_status wn_index_put(const char *path, const wn_new_document *documents, size_t n,
                       const wn_scorers *given, const wn_put_options *options, wn_build_stats *stats,
                       wn_error *err) {
    wn_scorers scorers = {0};
    wn_embedder embedder = {0};
    if (given) memcpy(&scorers, given, given->size < sizeof scorers ? given->size : sizeof scorers);
    if (scorers.embedder && !scorers.embed)
        return wn_fail(err, WN_ERR_ARGUMENT, "a model of the scorers has no call to use it");
    if (scorers.embedder) embedder = wn_embedder_of_scorers(&scorers);
    return wn_index_put_from(path, documents, n, scorers.embedder ? &embedder : NULL,
                             scorers.embedder ? wn_model_tokenizer(scorers.embedder) : NULL, options, stats,
                             err);
}

static wn_status remove_source(wn_builder *b, const char *source, bool *known, wn_error *err) {
    same_source same = {0};
    wn_status st = find_same(b, source, NULL, &same, err);
    for (size_t i = 0; st == WN_OK && i < same.count; i++) {
        st = wn_builder_remove(b, same.ids[i], err);
        b->stats.documents_removed += st == WN_OK;
    }
    *known = same.count > 0;
    wn_free(same.ids);
    return st;
}

wn_status wn_index_remove(const char *path, const char *const *sources, size_t n,
                          const wn_put_options *options, bool *known, wn_build_stats *stats, wn_error *err) {
    wn_put_options opt;
    take_options(options, &opt);
    if (!n) return wn_fail(err, WN_ERR_ARGUMENT, "no sources are given");
    for (size_t i = 0; i < n; i++)
        if (!sources[i] || !*sources[i])
            return wn_fail(err, WN_ERR_ARGUMENT, "source %zu is empty", i + 1);
    double begin = wn_builder_now();
    wn_builder b = {.options = wn_build_options_default(), .atomic = true};
    bool *found = wn_calloc(n, sizeof *found);
    if (!found) return wn_fail_memory(err, n);
    wn_status st = WN_OK;
    WN_TRY_GOTO(wn_builder_open(&b, path, opt.wait_ms, err));
    for (size_t i = 0; i < n; i++) WN_TRY_GOTO(remove_source(&b, sources[i], &found[i], err));
    WN_TRY_GOTO(wn_builder_finish(&b, err));
    if (known) memcpy(known, found, n * sizeof *known);
    if (stats) *stats = b.stats;
    if (stats) stats->seconds = wn_builder_now() - begin;
fail:
    wn_builder_release(&b);
    wn_free(found);
    return st;
}

/* ---- Listing -------------------------------------------------------------------------------- */

static bool is_asked(const char *source, const char *asked) {
    size_t len = asked ? strlen(asked) : 0;
    if (!asked) return true;
    if (len && asked[len - 1] == '*') return strncmp(source, asked, len - 1) == 0;
    return strcmp(source, asked) == 0;
}

static wn_status read_document(const wn_database *database, sqlite3_stmt *row, wn_document_info *out,
                               wn_error *err) {
    wn_str source, title, metadata, origin;
    WN_TRY(wn_database_text(database, row, 1, &source, err));
    WN_TRY(wn_database_text(database, row, 2, &title, err));
    WN_TRY(wn_database_text(database, row, 3, &metadata, err));
    WN_TRY(wn_database_text(database, row, 4, &origin, err));
    bool put = strcmp(origin.data, WN_ORIGIN_PUT) == 0;
    *out = (wn_document_info){.id = sqlite3_column_int64(row, 0), .source = source.data, .title = title.data,
                              .metadata = metadata.data, .corpus = put ? "" : origin.data,
                              .passages = (uint64_t)sqlite3_column_int64(row, 5), .put = put};
    return WN_OK;
}

wn_status wn_index_documents(wn_index *index, const char *source, int64_t after, size_t limit,
                             bool (*fn)(void *ctx, const wn_document_info *document), void *ctx,
                             wn_error *err) {
    sqlite3_stmt *statement = NULL;
    const wn_database *database = &index->database;
    wn_document_info info;
    bool row;
    wn_status st = WN_OK;
    WN_TRY(wn_database_prepare(database,
                               "SELECT d.id, d.source, d.title, d.metadata, d.origin, (SELECT count(*) FROM "
                               "chunks c WHERE c.document = d.id) FROM documents d WHERE d.id > ? ORDER BY d.id",
                               &statement, err));
    sqlite3_bind_int64(statement, 1, after);
    for (size_t found = 0; found < limit;) {
        WN_TRY_GOTO(wn_database_step(database, statement, &row, err));
        if (!row) break;
        WN_TRY_GOTO(read_document(database, statement, &info, err));
        if (!is_asked(info.source, source)) continue;
        found++;
        if (!fn(ctx, &info)) break;
    }
fail:
    sqlite3_finalize(statement);
    return st;
}
