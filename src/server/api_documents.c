/* api_documents.c -- documents of an index, one by one: added, replaced, removed, listed.
 *
 * POST and PUT /documents. Request: {"index": string (the first), "documents": [document, ...]}, or one document's
 *   fields beside "index". A document:
 *     source    string: its name, at most 4096 bytes; replaces what has that source
 *     text      string (or "content")
 *     title     string; of plain text the models read it in front of each passage
 *     metadata  object, for filters
 *     format    "text" | "markdown" | "auto": auto (the default) is Markdown where the source ends in .md or .markdown
 *   Answer 200, once all of them are on the disk (all or none): {"index", "added", "changed", "unchanged",
 *   "removed" (other documents of the same source), "passages_embedded", "passages_reused", "tokens_embedded",
 *   "tokens_dropped", "seconds"}.
 * DELETE /documents. Request: {"index", "sources": [string, ...]} or ?source=...&index=...
 *   Answer 200: {"index", "removed": integer, "unknown": [string]}; 404 when no source was known.
 * GET /documents ?index=...&source=... (ends in *: a prefix) &after=ID&limit=N (100, at most 1000)
 *   Answer 200: {"index", "total": documents of the index, "documents": [{"source", "title", "passages", "metadata",
 *   "corpus": string or null, "put": boolean}], "next": ID for `after`, or null}.
 * Errors: 400; 404 unknown index; 429 another writer is at work; 503 disk full or read-only.
 *
 * Writers of one index wait for each other here, so that requests don't fail for being two; another process
 * (`winnow index`) is waited for shortly. Readers go on: handles of the pool see a commit by themselves. */
#include "api.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { WRITER_LOCKS = 16, WAIT_HERE_MS = 30000, WAIT_OTHERS_MS = 2000, LIST_DEFAULT = 100, LIST_MOST = 1000 };

/* By path, not by index: a reload makes new entries for the same files. Two files on one lock only wait. */
#define L PTHREAD_MUTEX_INITIALIZER
static pthread_mutex_t writers[WRITER_LOCKS] = {L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L};
#undef L

static pthread_mutex_t *writer_lock(const char *path) {
    unsigned hash = 2166136261u;
    for (; *path; path++) hash = (hash ^ (unsigned char)*path) * 16777619u;
    return &writers[hash % WRITER_LOCKS];
}

/* Until the call's deadline, at most WAIT_HERE_MS. */
static bool lock_writer(srv_call *call, pthread_mutex_t *lock) {
    double wait = WAIT_HERE_MS;
    if (call->deadline_ms > 0 && call->deadline_ms - srv_now_ms() < wait) wait = call->deadline_ms - srv_now_ms();
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (wait > 0) {
        until.tv_sec += (time_t)(wait / 1e3);
        until.tv_nsec += (long)((wait - 1e3 * (double)(long)(wait / 1e3)) * 1e6);
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    }
    if (pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until) == 0) return true;
    srv_respond_error(call->response, call->dialect, 429, NULL, NULL,
                      "other documents are being written; try again in a moment");
    return false;
}

static wn_put_options put_options(void) {
    wn_put_options options = wn_put_options_default();
    options.wait_ms = WAIT_OTHERS_MS;
    return options;
}

/* ---- POST, PUT ------------------------------------------------------------------------ */

typedef struct new_documents {
    wn_new_document *items;
    char **metadata; /* [n], owned */
    size_t n;
} new_documents;

static void documents_release(new_documents *d) {
    for (size_t i = 0; d->metadata && i < d->n; i++) free(d->metadata[i]);
    free(d->metadata);
    free(d->items);
}

/* A member that is a string; absent or null leaves *out. */
static bool take_string(srv_call *call, const json_t *document, size_t i, const char *name, bool nuls, wn_str *out) {
    json_t *value = json_object_get(document, name);
    if (!value || json_is_null(value)) return true;
    if (!json_is_string(value))
        return srv_call_invalid(call, "documents", "document %zu: %s must be a string", i + 1, name);
    *out = (wn_str){json_string_value(value), json_string_length(value)};
    if (nuls || strlen(out->data) == out->len) return true;
    return srv_call_invalid(call, "documents", "document %zu: %s holds a NUL", i + 1, name);
}

static bool ends_in(wn_str text, const char *end) {
    size_t n = strlen(end);
    return text.len > n && strcasecmp(text.data + text.len - n, end) == 0;
}

static bool take_format(srv_call *call, const json_t *document, size_t i, wn_str source, bool *markdown) {
    wn_str format = {"auto", 4};
    if (!take_string(call, document, i, "format", false, &format)) return false;
    *markdown = strcmp(format.data, "markdown") == 0;
    if (*markdown || strcmp(format.data, "text") == 0) return true;
    if (strcmp(format.data, "auto") != 0)
        return srv_call_invalid(call, "documents", "document %zu: format must be one of: auto, text, markdown", i + 1);
    *markdown = ends_in(source, ".md") || ends_in(source, ".markdown");
    return true;
}

static bool take_metadata(srv_call *call, const json_t *document, size_t i, char **out) {
    json_t *value = json_object_get(document, "metadata");
    if (!value || json_is_null(value)) return true;
    if (!json_is_object(value))
        return srv_call_invalid(call, "documents", "document %zu: metadata must be an object", i + 1);
    *out = json_dumps(value, JSON_COMPACT);
    return *out || srv_call_no_memory(call);
}

static bool take_document(srv_call *call, const json_t *document, size_t i, wn_new_document *out, char **metadata) {
    wn_str source = {"", 0}, title = {"", 0}, text = {"", 0};
    if (!json_is_object(document))
        return srv_call_invalid(call, "documents", "document %zu must be an object", i + 1);
    if (!take_string(call, document, i, "source", false, &source) ||
        !take_string(call, document, i, "title", false, &title) ||
        !take_string(call, document, i, "content", true, &text) ||
        !take_string(call, document, i, "text", true, &text) || !take_metadata(call, document, i, metadata) ||
        !take_format(call, document, i, source, &out->markdown))
        return false;
    out->source = source.data;
    out->title = title.data;
    out->text = text;
    out->metadata = *metadata;
    return true;
}

static bool take_documents(srv_call *call, new_documents *out) {
    json_t *list = json_object_get(call->body, "documents");
    bool one = !list || json_is_null(list);
    if (!one && !json_is_array(list)) return srv_call_invalid(call, "documents", "documents must be an array");
    size_t n = one ? 1 : json_array_size(list), most = srv_service_config(call->service)->max_documents;
    if (!n) return srv_call_empty(call, "documents", "documents must not be empty");
    if (n > most) return srv_call_too_many(call, "documents", n, most);
    out->items = calloc(n, sizeof *out->items);
    out->metadata = calloc(n, sizeof *out->metadata);
    if (!out->items || !out->metadata) return srv_call_no_memory(call);
    out->n = n;
    for (size_t i = 0; i < n; i++)
        if (!take_document(call, one ? call->body : json_array_get(list, i), i, &out->items[i], &out->metadata[i]))
            return false;
    return true;
}

static json_t *put_json(const char *index, const wn_build_stats *stats) {
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "index", rec_text(index), "added",
                     (json_int_t)stats->documents_added, "changed", (json_int_t)stats->documents_changed,
                     "unchanged", (json_int_t)stats->documents_unchanged, "removed",
                     (json_int_t)stats->documents_removed, "passages_embedded",
                     (json_int_t)stats->passages_embedded, "passages_reused", (json_int_t)stats->passages_reused,
                     "tokens_embedded", (json_int_t)stats->tokens_embedded, "tokens_dropped",
                     (json_int_t)stats->tokens_dropped, "seconds", rec_real(stats->seconds));
}

static void put_documents(srv_call *call, const new_documents *documents) {
    srv_searching s = {0};
    if (srv_searching_open(&s, call, false)) {
        const char *path = srv_index_path(s.entry);
        pthread_mutex_t *lock = writer_lock(path);
        wn_put_options options = put_options();
        wn_build_stats stats;
        wn_error err;
        srv_searching_close(&s); /* a read that hangs on would keep the writer from committing */
        if (lock_writer(call, lock)) {
            wn_status st = wn_index_put(path, documents->items, documents->n, &s.scorers, &options, &stats, &err);
            pthread_mutex_unlock(lock);
            if (st == WN_OK) srv_call_answer(call, put_json(s.index_name, &stats));
            else (void)srv_call_failed(call, &err);
        }
    }
    srv_searching_close(&s);
}

void srv_api_documents_put(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    new_documents documents = {0};
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN) && srv_call_read_exactly(&call) &&
        take_documents(&call, &documents))
        put_documents(&call, &documents);
    documents_release(&documents);
    srv_call_end(&call);
}

/* ---- DELETE ----------------------------------------------------------------------------- */

/* Sources of the body, or the query's one. *out: calloc, strings borrowed. */
static bool take_sources(srv_call *call, const char ***out, size_t *n) {
    json_t *list = srv_body_field(call, "sources", NULL), *one = srv_body_field(call, "source", NULL);
    if (list && !json_is_array(list)) return srv_call_invalid(call, "sources", "sources must be an array of strings");
    if (!list && !one) return srv_call_invalid(call, "sources", "say which: sources, an array, or source");
    *n = list ? json_array_size(list) : 1;
    size_t most = srv_service_config(call->service)->max_documents;
    if (!*n) return srv_call_empty(call, "sources", "sources must not be empty");
    if (*n > most) return srv_call_too_many(call, "sources", *n, most);
    *out = calloc(*n, sizeof **out);
    if (!*out) return srv_call_no_memory(call);
    for (size_t i = 0; i < *n; i++) {
        const json_t *value = list ? json_array_get(list, i) : one;
        const char *source = json_string_value(value);
        if (!source || !*source || strlen(source) != json_string_length(value))
            return srv_call_invalid(call, "sources", "source %zu must be a string that is not empty", i + 1);
        (*out)[i] = source;
    }
    return true;
}

static json_t *removed_json(const char *index, uint64_t removed, const char *const *sources, const bool *known,
                            size_t n) {
    json_t *unknown = json_array();
    for (size_t i = 0; unknown && i < n; i++)
        if (!known[i]) json_array_append_new(unknown, rec_text(sources[i]));
    return json_pack("{s:o, s:I, s:o}", "index", rec_text(index), "removed", (json_int_t)removed, "unknown", unknown);
}

static void remove_documents(srv_call *call, const char *const *sources, size_t n) {
    srv_index *entry = NULL;
    const char *name = NULL;
    wn_put_options options = put_options();
    wn_build_stats stats = {0};
    wn_error err;
    if (!srv_body_string(call, "index", &name)) return;
    if (srv_snapshot_index(call->snapshot, name, &entry, &err) != WN_OK) {
        (void)srv_call_failed(call, &err);
        return;
    }
    if (!name || !*name) name = srv_snapshot_index_name(call->snapshot, 0);
    bool *known = calloc(n, sizeof *known);
    pthread_mutex_t *lock = writer_lock(srv_index_path(entry));
    if (!known) (void)srv_call_no_memory(call);
    else if (lock_writer(call, lock)) {
        wn_status st = wn_index_remove(srv_index_path(entry), sources, n, &options, known, &stats, &err);
        pthread_mutex_unlock(lock);
        bool any = false;
        for (size_t i = 0; i < n; i++) any = any || known[i];
        if (st != WN_OK) (void)srv_call_failed(call, &err);
        else if (any) srv_call_answer(call, removed_json(name, stats.documents_removed, sources, known, n));
        else srv_respond_error(call->response, call->dialect, 404, NULL, "sources", "the index %s has no such document", name);
    }
    free(known);
}

void srv_api_documents_delete(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    const char **sources = NULL;
    size_t n = 0;
    bool good = request->body_length
                    ? srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN)
                    : srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_OWN) &&
                          srv_call_take_query(&call, "source", "source") && srv_call_take_query(&call, "index", "index");
    if (good && take_sources(&call, &sources, &n)) remove_documents(&call, sources, n);
    free(sources);
    srv_call_end(&call);
}

/* ---- GET -------------------------------------------------------------------------------- */

typedef struct listing {
    json_t *documents;
    int64_t last;
    size_t n;
} listing;

static bool list_document(void *ctx, const wn_document_info *d) {
    listing *l = ctx;
    json_t *metadata = json_loads(*d->metadata ? d->metadata : "{}", JSON_ALLOW_NUL, NULL);
    json_t *o = json_pack("{s:o, s:o, s:I, s:o, s:o, s:b}", "source", rec_text(d->source), "title", rec_text(d->title),
                          "passages", (json_int_t)d->passages, "metadata", metadata ? metadata : json_object(),
                          "corpus", *d->corpus ? rec_text(d->corpus) : json_null(), "put", d->put);
    l->last = d->id;
    l->n++;
    return json_array_append_new(l->documents, o) == 0;
}

static bool query_count(srv_call *call, const char *name, long long lo, long long hi, long long *out) {
    const char *text = srv_request_query(call->request, name);
    char *end = NULL;
    if (!text) return true;
    *out = strtoll(text, &end, 10);
    if (*text && !*end && *out >= lo && *out <= hi) return true;
    return srv_call_invalid(call, name, "%s must be a whole number from %lld to %lld", name, lo, hi);
}

static void list_documents(srv_call *call) {
    srv_searching s = {0};
    listing l = {0};
    long long after = 0, limit = LIST_DEFAULT;
    wn_error err;
    const char *source = srv_request_query(call->request, "source");
    if (query_count(call, "after", 0, INT64_MAX, &after) && query_count(call, "limit", 1, LIST_MOST, &limit) &&
        srv_searching_open(&s, call, false)) {
        l.documents = json_array();
        if (!l.documents) (void)srv_call_no_memory(call);
        else if (wn_index_documents(s.index, source, after, (size_t)limit, list_document, &l, &err) != WN_OK)
            (void)srv_call_failed(call, &err);
        else
            srv_call_answer(call, json_pack("{s:o, s:I, s:O, s:o}", "index", rec_text(s.index_name), "total",
                                            (json_int_t)s.info.documents, "documents", l.documents, "next",
                                            l.n == (size_t)limit ? json_integer(l.last) : json_null()));
    }
    json_decref(l.documents);
    srv_searching_close(&s);
}

void srv_api_documents_list(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_OWN) &&
        srv_call_take_query(&call, "index", "index"))
        list_documents(&call);
    srv_call_end(&call);
}
