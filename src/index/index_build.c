/* index_build.c -- building: the lock, the scan, what vanished, and the order of commits.
 *
 * The file is built in place, not beside and renamed: an hour of embedding must survive a kill,
 * so the partial file is the state that the next run goes on from. Every commit is a
 * consistent index (index_schema.h lists the invariants).
 *
 * One transaction is open at all times, so that SQLite's RESERVED lock keeps a second writer out
 * for the whole build while readers go on; a commit opens the next transaction at once. In
 * the microseconds between, a second writer could slip in: then this build ends with BUSY,
 * and nothing is lost. Rejected: a lock file (it stays behind after a kill), and flock on the
 * index (closing that descriptor would drop SQLite's own POSIX locks in this process). */
#include "index/index_build.h"
#include "core/clock.h"
#include "index/passage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    group_bytes = 16 << 20, /* of text between commits of the scan */
    group_removals = 2000
};
static const double group_seconds = 2, report_seconds = 0.05;

wn_build_options wn_build_options_default(void) {
    return (wn_build_options){.size = sizeof(wn_build_options),
                              .split = wn_split_options_default(),
                              .stemming = true};
}

double wn_builder_now(void) { return wn_now_ms() * 1e-3; }

wn_status wn_builder_progress(wn_builder *b, const char *stage, uint64_t done, uint64_t total,
                              bool always, wn_error *err) {
    if (!b->options.progress) return WN_OK;
    double now = wn_builder_now();
    if (!always && now - b->reported_at < report_seconds) return WN_OK;
    b->reported_at = now;
    if (b->options.progress(b->options.progress_ctx, stage, done, total)) return WN_OK;
    return wn_fail(err, WN_ERR_CANCELLED, "%s: stopped; the next build goes on from here",
                   b->database.path);
}

wn_status wn_builder_finish(wn_builder *b, wn_error *err) {
    if (b->vectors) WN_TRY(wn_vector_writer_flush(b->vectors, err));
    return wn_database_commit(&b->database, err);
}

wn_status wn_builder_commit(wn_builder *b, wn_error *err) {
    if (b->atomic) return WN_OK;
    if (b->vectors) WN_TRY(wn_vector_writer_flush(b->vectors, err));
    WN_TRY(wn_database_commit(&b->database, err));
    b->committed = b->committed || b->stats.documents_added || b->stats.documents_changed;
    b->committed_at = wn_builder_now();
    return wn_database_begin(&b->database, 60000, err);
}

/* ---- A set of document ids -------------------------------------------------- */

typedef struct id_set {
    int64_t *table; /* open addressing; 0 is free, and no id */
    size_t size, count;
} id_set;

static int64_t *id_slot(const id_set *set, int64_t id) {
    uint64_t hash = (uint64_t)id * 0x9E3779B97F4A7C15u;
    for (size_t i = (size_t)(hash >> 20) & (set->size - 1);; i = (i + 1) & (set->size - 1))
        if (!set->table[i] || set->table[i] == id) return &set->table[i];
}

static bool id_set_has(const id_set *set, int64_t id) { return set->size && *id_slot(set, id) == id; }

static wn_status id_set_add(id_set *set, int64_t id, wn_error *err) {
    if (2 * (set->count + 1) > set->size) {
        id_set grown = {.size = set->size ? set->size * 2 : 1024, .count = set->count};
        grown.table = wn_calloc(grown.size, sizeof *grown.table);
        if (!grown.table) return wn_fail_memory(err, grown.size * sizeof *grown.table);
        for (size_t i = 0; i < set->size; i++)
            if (set->table[i]) *id_slot(&grown, set->table[i]) = set->table[i];
        wn_free(set->table);
        *set = grown;
    }
    int64_t *slot = id_slot(set, id);
    if (!*slot) set->count++;
    *slot = id;
    return WN_OK;
}

/* ---- Scan ------------------------------------------------------------------- */

static void warn(const wn_builder *b, const char *source, const char *what) {
    wn_error message;
    if (!b->options.warning) return;
    wn_fail(&message, WN_OK, "%s: %s", source, what);
    b->options.warning(b->options.warning_ctx, message.message);
}

static wn_status scan_document(wn_builder *b, const wn_document *document, id_set *seen, wn_error *err) {
    int64_t id;
    bool unchanged;
    WN_TRY(wn_builder_find(b, document, &id, &unchanged, err));
    if (id && id_set_has(seen, id)) {
        warn(b, document->source, "occurs twice; the first is kept");
        b->stats.documents_skipped++;
        return WN_OK;
    }
    bool added = !id;
    if (!unchanged) WN_TRY(wn_builder_store(b, document, &id, err));
    uint64_t *counter = unchanged ? &b->stats.documents_unchanged
                        : added   ? &b->stats.documents_added
                                  : &b->stats.documents_changed;
    ++*counter;
    return id_set_add(seen, id, err);
}

static wn_status scan(wn_builder *b, const wn_build_input *input, id_set *seen, wn_error *err) {
    uint64_t files = 0, total = 0;
    size_t bytes = 0;
    for (bool first = true;; first = false) {
        const wn_document *document = NULL;
        WN_TRY(input->next(input->ctx, &document, err));
        if (input->position) input->position(input->ctx, &files, &total);
        WN_TRY(wn_builder_progress(b, "scan", files, total, first || !document, err));
        if (!document) return WN_OK;
        WN_TRY(scan_document(b, document, seen, err));
        bytes += document->text.len;
        if (bytes < group_bytes && wn_builder_now() - b->committed_at < group_seconds) continue;
        WN_TRY(wn_builder_commit(b, err));
        bytes = 0;
    }
}

/* ---- What vanished ---------------------------------------------------------- */

static bool is_below(const char *source, const char *folder) {
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') len--;
    if (strncmp(source, folder, len) != 0) return false;
    return source[len] == 0 || source[len] == '/' || folder[len - 1] == '/';
}

static bool is_covered(const wn_build_input *input, const char *source, const char *origin) {
    if (strcmp(origin, WN_ORIGIN_PUT) == 0) return false;
    for (size_t i = 0; i < input->ncovered; i++) {
        const char *path = input->covered[i];
        if (*origin ? strcmp(origin, path) == 0 : is_below(source, path)) return true;
    }
    return false;
}

/* A file that is there but can't be read today (permissions, a broken disk) has not
 * vanished. One that can be read was read, and had nothing to index. */
static bool is_unreadable(const char *source, const char *origin) {
    if (*origin) return false;
    int fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        close(fd);
        return false;
    }
    return errno != ENOENT && errno != ENOTDIR;
}

typedef struct id_list {
    int64_t *ids;
    size_t count, capacity;
} id_list;

static wn_status list_vanished(wn_builder *b, const wn_build_input *input, const id_set *seen,
                               id_list *out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    WN_TRY(wn_database_prepare(&b->database, "SELECT id, source, origin FROM documents", &statement, err));
    bool row;
    wn_status st;
    while ((st = wn_database_step(&b->database, statement, &row, err)) == WN_OK && row) {
        int64_t id = sqlite3_column_int64(statement, 0);
        wn_str source, origin;
        WN_TRY_GOTO(wn_database_text(&b->database, statement, 1, &source, err));
        WN_TRY_GOTO(wn_database_text(&b->database, statement, 2, &origin, err));
        if (id_set_has(seen, id) || !is_covered(input, source.data, origin.data)) continue;
        if (is_unreadable(source.data, origin.data)) {
            warn(b, source.data, "cannot be read now; what the index holds of it is kept");
            continue;
        }
        WN_TRY_GOTO(wn_grow(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, err));
        out->ids[out->count++] = id;
    }
fail:
    sqlite3_finalize(statement);
    return st;
}

static wn_status remove_vanished(wn_builder *b, const wn_build_input *input, const id_set *seen,
                                 wn_error *err) {
    if (b->options.keep_missing || !input->ncovered) return WN_OK;
    id_list vanished = {0};
    wn_status st = list_vanished(b, input, seen, &vanished, err);
    for (size_t i = 0; st == WN_OK && i < vanished.count; i++) {
        st = wn_builder_remove(b, vanished.ids[i], err);
        if (st == WN_OK) b->stats.documents_removed++;
        if (st == WN_OK && (i + 1) % group_removals == 0) st = wn_builder_commit(b, err);
    }
    wn_free(vanished.ids);
    return st;
}

/* ---- Opening ---------------------------------------------------------------- */

wn_status wn_vocabulary_hash(const wn_tokenizer *tokenizer, char **out, wn_error *err) {
    wn_hasher *hasher = wn_hasher_create();
    if (!hasher) return wn_fail_memory(err, 0);
    for (size_t i = 0; i < wn_tokenizer_vocab_size(tokenizer); i++) {
        const char *token = wn_tokenizer_token(tokenizer, (int32_t)i);
        wn_hasher_update(hasher, token ? token : "", token ? strlen(token) + 1 : 1);
    }
    char hex[33];
    wn_hash hash = wn_hasher_finish(hasher);
    wn_hash_hex(&hash, hex);
    *out = wn_strdup(hex);
    return *out ? WN_OK : wn_fail_memory(err, sizeof hex);
}

static wn_status copy_string(const char *from, char **to, wn_error *err) {
    *to = wn_strdup(from ? from : "");
    return *to ? WN_OK : wn_fail_memory(err, from ? strlen(from) : 0);
}

static wn_status wanted_identity(const wn_embedder *embedder, const wn_build_options *options,
                                 wn_identity *out, wn_error *err) {
    static const wn_embedder none = {0};
    const wn_embedder *e = embedder ? embedder : &none;
    const wn_split_options *split = &options->split;
    if (!split->chunk_size || split->chunk_size > INT64_MAX || split->chunk_overlap > split->chunk_size)
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "chunk size must be at least 1, and the overlap at most the chunk size");
    if (split->unit == WN_UNIT_TOKENS && !split->tokenizer)
        return wn_fail(err, WN_ERR_ARGUMENT, "splitting by tokens needs a model's tokenizer");
    if (embedder && (!embedder->dim || embedder->dim > WN_MAX_DIM))
        return wn_fail(err, WN_ERR_UNSUPPORTED, "model %s has %zu dimensions; at most %d are stored",
                       embedder->name, embedder->dim, (int)WN_MAX_DIM);
    *out = (wn_identity){
        .dim = (int64_t)e->dim, .model_max_length = (int64_t)e->max_length,
        .pooling = e->pooling, .normalize = e->normalize,
        .split_unit = split->unit, .chunk_size = (int64_t)split->chunk_size,
        .chunk_overlap = (int64_t)split->chunk_overlap, .stemming = options->stemming};
    WN_TRY(copy_string(e->name, &out->model_name, err));
    WN_TRY(copy_string(e->hash, &out->model_hash, err));
    WN_TRY(copy_string(e->path, &out->model_path, err));
    WN_TRY(copy_string(e->query_prompt, &out->query_prompt, err));
    WN_TRY(copy_string(e->document_prompt, &out->document_prompt, err));
    if (split->unit == WN_UNIT_TOKENS) return wn_vocabulary_hash(split->tokenizer, &out->split_tokenizer, err);
    return copy_string("", &out->split_tokenizer, err);
}

/* An index without a model takes the first one it is given: all of its passages are then pending. */
static wn_status settle_identity(wn_builder *b, const wn_identity *wanted, wn_error *err) {
    const char *path = b->database.path;
    WN_TRY(wn_identity_load(&b->database, &b->identity, err));
    WN_TRY(wn_identity_check_split(path, &b->identity, wanted, err));
    if (!b->identity.dim && !wanted->dim) return WN_OK;
    if (b->identity.dim) return wn_identity_check_model(path, &b->identity, wanted, err);
    WN_TRY(wn_identity_store(&b->database, wanted, err));
    wn_identity_release(&b->identity);
    return wn_identity_load(&b->database, &b->identity, err);
}

static wn_status open_vectors(wn_builder *b, wn_error *err) {
    b->committed_at = wn_builder_now();
    if (!b->identity.dim) return WN_OK;
    size_t dim = (size_t)b->identity.dim;
    b->vector = wn_malloc(dim * sizeof *b->vector);
    if (!b->vector) return wn_fail_memory(err, dim * sizeof *b->vector);
    return wn_vector_writer_create(&b->database, dim, &b->vectors, err);
}

/* *created: the file is ours from here on, made of nothing. */
static wn_status open_for_building(wn_builder *b, const char *path, const wn_identity *wanted,
                                   bool *created, wn_error *err) {
    bool empty;
    WN_TRY(wn_database_open(path, WN_DATABASE_CREATE, &b->database, err));
    WN_TRY(wn_schema_is_empty(&b->database, &empty, err));
    *created = empty;
    if (empty) WN_TRY(wn_schema_create(&b->database, wanted, err));
    WN_TRY(wn_database_begin(&b->database, 0, err));
    WN_TRY(wn_schema_check(&b->database, err));
    WN_TRY(settle_identity(b, wanted, err));
    return open_vectors(b, err);
}

wn_status wn_builder_open(wn_builder *b, const char *path, int wait_ms, wn_error *err) {
    WN_TRY(wn_database_open(path, WN_DATABASE_WRITE, &b->database, err));
    /* FULL syncs the file; EXTRA the folder too, without which a power cut may bring the journal back
     * and undo what was answered for. */
    WN_TRY(wn_database_exec(&b->database, "PRAGMA synchronous=EXTRA", err));
    WN_TRY(wn_database_begin(&b->database, wait_ms, err));
    WN_TRY(wn_schema_check(&b->database, err));
    WN_TRY(wn_identity_load(&b->database, &b->identity, err));
    b->options.split.unit = (wn_split_unit)b->identity.split_unit;
    b->options.split.chunk_size = (size_t)b->identity.chunk_size;
    b->options.split.chunk_overlap = (size_t)b->identity.chunk_overlap;
    b->options.stemming = b->identity.stemming != 0;
    return open_vectors(b, err);
}

void wn_builder_release(wn_builder *b) {
    sqlite3_stmt *statements[] = {b->find_document, b->insert_document, b->update_document,
                                  b->delete_document, b->old_chunks, b->insert_chunk, b->move_chunk,
                                  b->delete_chunk, b->set_block, b->pending, b->find_hash};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) sqlite3_finalize(statements[i]);
    wn_full_text_writer_release(&b->full_text);
    wn_vector_writer_free(b->vectors);
    wn_buf_release(&b->input);
    wn_buf_release(&b->heading);
    wn_buf_release(&b->context);
    wn_buf_release(&b->old_context);
    wn_buf_release(&b->old_text);
    wn_free(b->old);
    wn_free(b->vector);
    wn_identity_release(&b->identity);
    wn_database_rollback(&b->database);
    wn_database_close(&b->database);
}

/* Whole documents are kept whatever stopped the build after them: a bad line of a corpus, a model
 * that failed, the caller. */
static wn_status build(wn_builder *b, const wn_build_input *input, wn_error *err) {
    id_set seen = {0};
    wn_status st = scan(b, input, &seen, err);
    if (st == WN_OK) st = remove_vanished(b, input, &seen, err);
    wn_free(seen.table);
    if (st != WN_OK) {
        wn_error ignored;
        if (!b->half_document) (void)wn_builder_commit(b, &ignored);
        return st;
    }
    WN_TRY(wn_builder_commit(b, err));
    if (b->embedder) WN_TRY(wn_builder_embed(b, 0, err));
    return WN_OK;
}

wn_status wn_index_build_from(const char *path, const wn_build_input *input, const wn_embedder *embedder,
                              const wn_build_options *options, wn_build_stats *stats, wn_error *err) {
    double begin = wn_builder_now();
    wn_builder b = {.options = wn_build_options_default(), .embedder = embedder};
    if (options && options->size)
        memcpy(&b.options, options, options->size < sizeof b.options ? options->size : sizeof b.options);
    wn_identity wanted = {0};
    bool existed = access(path ? path : "", F_OK) == 0, created = false;
    wn_status st = WN_OK;
    WN_TRY_GOTO(wanted_identity(embedder, &b.options, &wanted, err));
    WN_TRY_GOTO(open_for_building(&b, path, &wanted, &created, err));
    WN_TRY_GOTO(build(&b, input, err));
    if (stats) *stats = b.stats;
    if (stats) stats->seconds = wn_builder_now() - begin;
fail:
    wn_builder_release(&b);
    wn_identity_release(&wanted);
    /* A build that failed before it stored anything leaves no file that wasn't there. */
    if (st != WN_OK && st != WN_ERR_BUSY && !existed && created && !b.committed) unlink(path);
    return st;
}

/* ---- Files and folders -------------------------------------------------------- */

static wn_status next_document(void *ctx, const wn_document **out, wn_error *err) {
    return wn_document_source_next(ctx, out, err);
}

static void source_position(void *ctx, uint64_t *done, uint64_t *total) {
    wn_document_position position = wn_document_source_position(ctx);
    *done = position.files_done;
    *total = position.files_total;
}

wn_status wn_index_build(const char *path, const char *const *inputs, size_t ninputs,
                         wn_bi_encoder *encoder, const wn_build_options *options,
                         wn_build_stats *stats, wn_error *err) {
    wn_embedder embedder = {0};
    if (encoder) embedder = wn_embedder_of_bi_encoder(encoder);
    wn_document_source_options source_options = wn_document_source_options_default();
    if (options) {
        source_options.warning = options->warning;
        source_options.warning_ctx = options->warning_ctx;
    }
    wn_document_source *source = NULL;
    WN_TRY(wn_document_source_open(inputs, ninputs, &source_options, &source, err));
    wn_build_input input = {.ctx = source, .next = next_document, .position = source_position,
                            .covered = inputs, .ncovered = ninputs};
    wn_status st = wn_index_build_from(path, &input, encoder ? &embedder : NULL, options, stats, err);
    if (st == WN_OK && stats) stats->documents_skipped += wn_document_source_position(source).skipped;
    wn_document_source_close(source);
    return st;
}
