/* index_build.h -- the inside of building: documents from anywhere, embeddings from anything.
 *
 * A build is two passes over one write lock. The scan brings documents, chunks and full text up
 * to date, and leaves new chunks without an embedding. The embedding pass then takes whatever
 * lacks one, in the order of ids, and neither knows nor cares which build left it so:
 * that is how a killed build is resumed. */
#ifndef WN_INDEX_INDEX_BUILD_H
#define WN_INDEX_INDEX_BUILD_H

#include "core/memory.h"
#include "index/document_source.h"
#include "index/embedder.h"
#include "index/full_text.h"
#include "index/index_schema.h"
#include "index/vector_store.h"

/* Where documents come from: wn_document_source, or a program's own memory. */
typedef struct wn_build_input {
    void *ctx;
    wn_status (*next)(void *ctx, const wn_document **out, wn_error *err);
    void (*position)(void *ctx, uint64_t *done, uint64_t *total); /* files; may be NULL */
    /* Stored documents from these paths (files, or below folders, or lines of corpora) that
     * next() does not yield are removed. None: nothing is. */
    const char *const *covered;
    size_t ncovered;
} wn_build_input;

/* embedder NULL: BM25 only. options NULL: defaults. stats may be NULL. */
wn_status wn_index_build_from(const char *path, const wn_build_input *input,
                              const wn_embedder *embedder, const wn_build_options *options,
                              wn_build_stats *stats, wn_error *err);

/* ---- Shared by index_build.c, index_update.c and index_embed.c -------------- */

typedef struct wn_old_chunk {
    int64_t id, block; /* block 0: none */
    wn_hash hash;
    size_t content, content_len, heading, heading_len; /* in `old_text` */
    size_t taken; /* in the first of a run of equal hashes: how many of the run are used */
    bool used;
} wn_old_chunk;

typedef struct wn_builder {
    wn_database database;
    wn_identity identity;
    wn_build_options options;
    wn_build_stats stats;
    const wn_embedder *embedder;  /* NULL: BM25 only */
    wn_vector_writer *vectors;    /* NULL: BM25 only */
    wn_full_text_writer full_text;
    bool atomic;                  /* one transaction for all: wn_builder_commit waits for its end */
    bool half_document;           /* the transaction holds part of a document: it can't be committed */
    bool committed;               /* something beyond the empty tables */
    double committed_at, reported_at;
    sqlite3_stmt *find_document, *insert_document, *update_document, *delete_document;
    sqlite3_stmt *old_chunks, *insert_chunk, *move_chunk, *delete_chunk, *set_block;
    sqlite3_stmt *pending, *find_hash;
    wn_buf input, heading, context, old_context, old_text;
    wn_old_chunk *old;
    size_t old_count, old_capacity;
    float *vector; /* [dim]; NULL: BM25 only */
} wn_builder;

/* The documents that wn_index_put stored: a build takes them for missing under no input, and puts a file
 * or line of the same source in their place. No path that can be given is this one. */
#define WN_ORIGIN_PUT "\x01put"

/* The existing index, in a write transaction, with its own identity and way to split. Release
 * whatever happened. */
wn_status wn_builder_open(wn_builder *builder, const char *path, int wait_ms, wn_error *err);
/* Ends an atomic builder's transaction, on the disk. */
wn_status wn_builder_finish(wn_builder *builder, wn_error *err);
/* Rolls back what was not committed. */
void wn_builder_release(wn_builder *builder);
/* A vocabulary's hash as hex: passages counted in other tokens are other passages. */
wn_status wn_vocabulary_hash(const wn_tokenizer *tokenizer, char **out, wn_error *err);

/* wn_index_put with any embedder; tokenizer: for an index that is split by tokens. */
wn_status wn_index_put_from(const char *path, const wn_new_document *documents, size_t n,
                            const wn_embedder *embedder, const wn_tokenizer *tokenizer,
                            const wn_put_options *options, wn_build_stats *stats, wn_error *err);

/* Commits and goes on in a new transaction. */
wn_status wn_builder_commit(wn_builder *builder, wn_error *err);
/* Calls the progress callback, at most 20 times a second unless `always`. */
wn_status wn_builder_progress(wn_builder *builder, const char *stage, uint64_t done, uint64_t total,
                              bool always, wn_error *err);
double wn_builder_now(void); /* seconds, monotonic */

/* index_update.c. *id: 0 when the document is not stored. */
wn_status wn_builder_find(wn_builder *builder, const wn_document *document, int64_t *id,
                          bool *unchanged, wn_error *err);
/* Stores a document that is new (*id 0: set) or changed, all of it. */
wn_status wn_builder_store(wn_builder *builder, const wn_document *document, int64_t *id, wn_error *err);
wn_status wn_builder_remove(wn_builder *builder, int64_t id, wn_error *err);

/* index_embed.c. find: the stored embedding of an equal text, into out [dim]. */
wn_status wn_builder_find_embedding(wn_builder *builder, const wn_hash *hash, float *out, bool *found,
                                    wn_error *err);
wn_status wn_builder_put_embedding(wn_builder *builder, int64_t id, const float *vector, wn_error *err);
/* Passages without an embedding and an id above `after`. */
wn_status wn_builder_embed(wn_builder *builder, int64_t after, wn_error *err);

#endif
