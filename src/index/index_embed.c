/* index_embed.c -- embedding whatever has no embedding yet, a window at a time.
 *
 * A window is the next passages in the order of their ids, up to a budget of tokens
 * (estimated from bytes: it decides only how much work a kill can cost). Within it texts are
 * sorted by length and cut into batches, so a batch's sequences are alike; then the
 * window is stored in the order of ids, which keeps the file's rows in that order, and committed.
 * A text that already has an embedding anywhere in the index (a repeated licence header) is
 * copied, not computed.
 *
 * Rejected: sorting all pending passages by length. It needs all texts, or random reads, writes rows
 * in no order, and gains nothing: forward passes are packed, and a window of 65,536
 * tokens holds hundreds of passages to sort. */
#include "index/index_build.h"
#include "index/passage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    window_passages = 4096,
    window_tokens = 65536,
    batch_passages = 128,
    batch_tokens = 8192 /* estimated; one call of the encoder, and one step of the progress bar */
};

typedef struct pending_passage {
    int64_t id;
    size_t text, len; /* in the window's text */
    size_t tokens;
    wn_hash hash;
    size_t row;       /* of the window's rows: equal texts share one */
    bool ready;       /* that row is filled */
} pending_passage;

typedef struct window {
    wn_buf text;
    pending_passage *passages; /* by id */
    size_t count, capacity;
    uint32_t *order;           /* [window_passages]: by length, longest first */
    float *rows;               /* [window_passages, dim] */
    wn_str texts[batch_passages];
    wn_fit fits[batch_passages];
    float *batch;              /* [batch_passages, dim] */
} window;

/* English: four bytes a token, other scripts: one character, two or three bytes. */
static size_t estimate_tokens(const char *text, size_t len) {
    size_t ascii = 0;
    for (size_t i = 0; i < len; i++) ascii += (unsigned char)text[i] < 0x80;
    return ascii / 4 + (len - ascii) / 3 + 3;
}

static wn_status window_create(size_t dim, window *w, wn_error *err) {
    w->order = wn_malloc(window_passages * sizeof *w->order);
    w->rows = wn_malloc_aligned(window_passages * dim * sizeof *w->rows);
    w->batch = wn_malloc_aligned(batch_passages * dim * sizeof *w->batch);
    if (!w->order || !w->rows || !w->batch)
        return wn_fail_memory(err, window_passages * dim * sizeof *w->rows);
    return WN_OK;
}

static void window_release(window *w) {
    wn_buf_release(&w->text);
    wn_free(w->passages);
    wn_free(w->order);
    wn_free(w->rows);
    wn_free(w->batch);
}

static wn_status add_passage(wn_builder *b, window *w, sqlite3_stmt *row, wn_error *err) {
    wn_str content, title;
    const void *hash;
    WN_TRY(wn_database_text(&b->database, row, 1, &content, err));
    WN_TRY(wn_database_text(&b->database, row, 2, &title, err));
    WN_TRY(wn_database_blob(&b->database, row, 4, sizeof(wn_hash), &hash, err));
    WN_TRY(wn_passage_input(sqlite3_column_int64(row, 3), title, content, &b->input, err));
    WN_TRY(wn_grow(&w->passages, &w->capacity, w->count + 1, sizeof *w->passages, err));
    pending_passage *passage = &w->passages[w->count];
    *passage = (pending_passage){.id = sqlite3_column_int64(row, 0), .text = w->text.len,
                                 .len = b->input.len, .row = w->count,
                                 .tokens = estimate_tokens(b->input.data, b->input.len)};
    memcpy(passage->hash.bytes, hash, sizeof passage->hash.bytes);
    WN_TRY(wn_buf_append(&w->text, b->input.data, b->input.len, err));
    w->count++;
    return WN_OK;
}

static wn_status fill_window(wn_builder *b, window *w, int64_t after, wn_error *err) {
    WN_TRY(wn_database_prepare(&b->database,
                               "SELECT c.id, c.content, d.title, d.kind, c.hash FROM chunks c "
                               "JOIN documents d ON d.id = c.document "
                               "WHERE c.block IS NULL AND c.id > ? ORDER BY c.id", &b->pending, err));
    size_t budget = b->options.batch_tokens ? b->options.batch_tokens : window_tokens, tokens = 0;
    w->count = 0;
    wn_buf_clear(&w->text);
    sqlite3_bind_int64(b->pending, 1, after);
    bool row = true;
    wn_status st = WN_OK;
    while (w->count < window_passages && tokens < budget) {
        st = wn_database_step(&b->database, b->pending, &row, err);
        if (st != WN_OK || !row) break;
        st = add_passage(b, w, b->pending, err);
        if (st != WN_OK) break;
        tokens += w->passages[w->count - 1].tokens;
    }
    sqlite3_reset(b->pending);
    return st;
}

wn_status wn_builder_find_embedding(wn_builder *b, const wn_hash *hash, float *out, bool *found,
                                    wn_error *err) {
    WN_TRY(wn_database_prepare(&b->database,
                               "SELECT id, block FROM chunks WHERE hash = ? AND block IS NOT NULL LIMIT 1",
                               &b->find_hash, err));
    sqlite3_bind_blob(b->find_hash, 1, hash->bytes, sizeof hash->bytes, SQLITE_STATIC);
    WN_TRY(wn_database_step(&b->database, b->find_hash, found, err));
    int64_t id = *found ? sqlite3_column_int64(b->find_hash, 0) : 0;
    int64_t block = *found ? sqlite3_column_int64(b->find_hash, 1) : 0;
    sqlite3_reset(b->find_hash);
    return *found ? wn_vector_writer_get(b->vectors, block, id, out, err) : WN_OK;
}

wn_status wn_builder_put_embedding(wn_builder *b, int64_t id, const float *vector, wn_error *err) {
    int64_t block;
    WN_TRY(wn_database_prepare(&b->database, "UPDATE chunks SET block = ? WHERE id = ?", &b->set_block, err));
    WN_TRY(wn_vector_writer_put(b->vectors, id, vector, &block, err));
    sqlite3_bind_int64(b->set_block, 1, block);
    sqlite3_bind_int64(b->set_block, 2, id);
    return wn_database_run(&b->database, b->set_block, err);
}

/* Fills rows from embeddings that the index has. */
static wn_status reuse_stored(wn_builder *b, window *w, wn_error *err) {
    for (size_t i = 0; i < w->count; i++) {
        pending_passage *passage = &w->passages[i];
        WN_TRY(wn_builder_find_embedding(b, &passage->hash, w->rows + i * b->embedder->dim,
                                         &passage->ready, err));
        if (passage->ready) b->stats.passages_reused++;
    }
    return WN_OK;
}

static int compare_lengths(const void *a, const void *b, void *passages) {
    const pending_passage *x = (pending_passage *)passages + *(const uint32_t *)a;
    const pending_passage *y = (pending_passage *)passages + *(const uint32_t *)b;
    if (x->tokens != y->tokens) return x->tokens < y->tokens ? 1 : -1;
    if (x->len != y->len) return x->len < y->len ? 1 : -1;
    int order = memcmp(x->hash.bytes, y->hash.bytes, sizeof x->hash.bytes);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* order[]: the distinct texts to compute, longest first. Returns how many. */
static size_t sort_window(wn_builder *b, window *w) {
    size_t n = 0, distinct = 0;
    for (size_t i = 0; i < w->count; i++)
        if (!w->passages[i].ready) w->order[n++] = (uint32_t)i;
    if (n) qsort_r(w->order, n, sizeof *w->order, compare_lengths, w->passages);
    for (size_t i = 0; i < n; i++) {
        pending_passage *passage = &w->passages[w->order[i]];
        const pending_passage *last = distinct ? &w->passages[w->order[distinct - 1]] : NULL;
        if (last && last->len == passage->len && wn_hash_equal(&last->hash, &passage->hash)) {
            passage->row = last->row;
            b->stats.passages_reused++;
        } else {
            w->order[distinct++] = w->order[i];
        }
    }
    return distinct;
}

/* One call of the encoder: order[begin, end). */
static wn_status embed_batch(wn_builder *b, window *w, size_t begin, size_t end, wn_error *err) {
    const wn_embedder *embedder = b->embedder;
    size_t n = end - begin, dim = embedder->dim;
    for (size_t i = 0; i < n; i++) {
        const pending_passage *passage = &w->passages[w->order[begin + i]];
        w->texts[i] = (wn_str){w->text.data + passage->text, passage->len};
    }
    memset(w->fits, 0, sizeof w->fits);
    WN_TRY(embedder->embed(embedder->ctx, w->texts, n, w->batch, w->fits, err));
    for (size_t i = 0; i < n; i++) {
        pending_passage *passage = &w->passages[w->order[begin + i]];
        memcpy(w->rows + passage->row * dim, w->batch + i * dim, dim * sizeof *w->rows);
        passage->ready = true;
        b->stats.tokens_embedded += w->fits[i].tokens_seen;
        b->stats.tokens_dropped += w->fits[i].tokens_dropped;
    }
    b->stats.passages_embedded += n;
    return WN_OK;
}

static wn_status embed_window(wn_builder *b, window *w, uint64_t done, uint64_t total, wn_error *err) {
    size_t n = sort_window(b, w);
    uint64_t copied = w->count - n;
    for (size_t begin = 0, end; begin < n; begin = end) {
        size_t tokens = w->passages[w->order[begin]].tokens;
        for (end = begin + 1; end < n && end - begin < batch_passages; end++) {
            tokens += w->passages[w->order[end]].tokens;
            if (tokens > batch_tokens) break;
        }
        WN_TRY(embed_batch(b, w, begin, end, err));
        WN_TRY(wn_builder_progress(b, "embed", done + copied + end, total, false, err));
    }
    return WN_OK;
}

static wn_status store_window(wn_builder *b, window *w, wn_error *err) {
    for (size_t i = 0; i < w->count; i++) {
        const pending_passage *passage = &w->passages[i];
        /* Ready is the row's owner: the passage itself unless it shares. */
        if (!w->passages[passage->row].ready) continue;
        WN_TRY(wn_builder_put_embedding(b, passage->id, w->rows + passage->row * b->embedder->dim, err));
    }
    return WN_OK;
}

/* What was computed before an encoder failed or the caller stopped is stored all the same. */
static wn_status run_window(wn_builder *b, window *w, uint64_t done, uint64_t total, wn_error *err) {
    WN_TRY(reuse_stored(b, w, err));
    wn_status st = embed_window(b, w, done, total, err);
    wn_error ignored;
    b->half_document = true;
    wn_status stored = store_window(b, w, st == WN_OK ? err : &ignored);
    if (stored == WN_OK) b->half_document = false;
    if (stored == WN_OK) stored = wn_builder_commit(b, st == WN_OK ? err : &ignored);
    return st != WN_OK ? st : stored;
}

wn_status wn_builder_embed(wn_builder *b, int64_t after, wn_error *err) {
    int64_t pending, last = after;
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM chunks WHERE block IS NULL AND id > %lld", (long long)after);
    WN_TRY(wn_database_int(&b->database, sql, &pending, err));
    if (!pending) return WN_OK;
    uint64_t done = 0, total = (uint64_t)pending;
    window w = {0};
    wn_status st = WN_OK;
    WN_TRY_GOTO(window_create(b->embedder->dim, &w, err));
    WN_TRY_GOTO(wn_builder_progress(b, "embed", 0, total, true, err));
    for (;;) {
        WN_TRY_GOTO(fill_window(b, &w, last, err));
        if (!w.count) break;
        last = w.passages[w.count - 1].id;
        WN_TRY_GOTO(run_window(b, &w, done, total, err));
        done += w.count;
        WN_TRY_GOTO(wn_builder_progress(b, "embed", done, total, done == total, err));
    }
fail:
    window_release(&w);
    return st;
}
