/* winnow/index.h -- one SQLite file: documents, passages, embeddings, full text.
 *
 * A document is a file (or a line of a BEIR corpus, or standard input); a passage (chunk) is
 * a piece of it. The index knows which model made its embeddings and refuses another.
 *
 * Writing is incremental and atomic by document: kill -9 at any moment leaves the old
 * state or a consistent part of the new one, which the next run completes. Many processes may
 * read while one writes; a second writer gets WN_ERR_BUSY. A wn_index belongs to one thread at
 * a time (open the file once a thread); it sees what other processes commit. */
#ifndef WINNOW_INDEX_H
#define WINNOW_INDEX_H

#include <winnow/core.h>
#include <winnow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wn_index wn_index;

/* Opens an index for reading. WN_ERR_FORMAT: not a winnow index, or corrupt;
 * WN_ERR_UNSUPPORTED: made by a newer winnow. */
WN_API wn_status wn_index_open(const char *path, wn_index **out, wn_error *err);
WN_API void wn_index_close(wn_index *index);

/* Strings borrowed until close. model_name is "" for an index without embeddings. */
typedef struct wn_index_info {
    int schema_version;
    uint64_t documents, passages, embedded;
    size_t dim;
    const char *model_name, *model_hash, *model_path;
    const char *query_prompt, *document_prompt;
    wn_pooling pooling;
    bool normalize;
    wn_split_unit unit;
    size_t chunk_size, chunk_overlap;
    bool stemming;
} wn_index_info;
WN_API wn_status wn_index_describe(wn_index *index, wn_index_info *out, wn_error *err);
/* WN_ERR_MISMATCH with both names when the index was made by another model. */
WN_API wn_status wn_index_check_model(wn_index *index, const wn_model *model, wn_error *err);

/* ---- Building ------------------------------------------------------------- */

typedef struct wn_build_options {
    size_t size;              /* sizeof(wn_build_options) */
    wn_split_options split;   /* default 500 characters, overlap 100 */
    bool keep_missing;        /* default false: documents that the inputs no longer hold are removed
                               * (a file below a folder given, a line of a corpus given); those of
                               * inputs not given this time always stay */
    bool stemming;            /* default true: BM25 compares English word stems (Porter) */
    size_t batch_tokens;      /* tokens (estimated) encoded between commits; 0: 65536 */
    wn_progress_fn progress;  /* stages "scan", "embed"; units: files, passages */
    void *progress_ctx;
    void (*warning)(void *ctx, const char *message); /* a skipped file and why; may be NULL */
    void *warning_ctx;
} wn_build_options;
WN_API wn_build_options wn_build_options_default(void);

typedef struct wn_build_stats {
    uint64_t documents_added, documents_changed, documents_unchanged, documents_removed,
        documents_skipped;
    uint64_t passages_embedded, passages_reused, tokens_embedded, tokens_dropped;
    double seconds;
} wn_build_stats;

/* Creates or updates the index at `path` from files and folders: folders are walked for .md,
 * .markdown and .txt; a .jsonl file is a BEIR corpus; "-" is standard input (one document).
 * encoder NULL: no embeddings (BM25 only); a later build with an encoder adds them.
 * Another model or other split options than the index was made with: WN_ERR_MISMATCH. After an
 * error (or WN_ERR_CANCELLED) what was committed is kept, and the next build goes on. Sources are the paths as given. */
WN_API wn_status wn_index_build(const char *path, const char *const *inputs, size_t ninputs,
                                wn_bi_encoder *encoder, const wn_build_options *options,
                                wn_build_stats *stats, wn_error *err);

/* ---- Single documents --------------------------------------------------------- */

/* A document that no file holds. Everything is copied; texts are UTF-8. */
typedef struct wn_new_document {
    const char *source;   /* its name: not empty, at most 4096 bytes, no control characters */
    const char *title;    /* NULL or "": none (Markdown: its own). With a title of plain text, the models
                           * read it in front of each passage, as of a corpus line */
    wn_str text;          /* not blank, unless there is a title, which is then the text; may hold NULs */
    const char *metadata; /* a JSON object for filters; NULL: {} */
    bool markdown;        /* headings become heading paths, front matter goes to the metadata below what
                           * is given */
} wn_new_document;

typedef struct wn_put_options {
    size_t size;      /* sizeof(wn_put_options) */
    int wait_ms;      /* for another writer to finish; default 0: WN_ERR_BUSY at once */
} wn_put_options;
WN_API wn_put_options wn_put_options_default(void);

/* Adds documents, or replaces those whose source is one of theirs, all or none: when it returns WN_OK
 * they are searchable and on the disk; otherwise, and after a kill, the index is as it was. The index must
 * exist; its own way to split is used. scorers: `embed` of the model that made the index (MISMATCH
 * otherwise); NULL or another's is no matter for an index without embeddings. Split by tokens, an index
 * needs its tokenizer's model there. Passages that stay keep their embeddings.
 * A later wn_index_build never removes such a document as missing; an input of that build that has the
 * same source takes its place. WN_ERR_ARGUMENT names the document that is wrong. */
WN_API wn_status wn_index_put(const char *path, const wn_new_document *documents, size_t n,
                              const wn_scorers *scorers, const wn_put_options *options,
                              wn_build_stats *stats, wn_error *err);
/* Removes the documents of these sources (exactly; wherever they came from), all or none, as durably.
 * known [n] may be NULL: whether there was such a document. None known is no error. */
WN_API wn_status wn_index_remove(const char *path, const char *const *sources, size_t n,
                                 const wn_put_options *options, bool *known, wn_build_stats *stats,
                                 wn_error *err);

/* Borrowed during the callback. */
typedef struct wn_document_info {
    int64_t id;           /* ascending in the order of first storing */
    const char *source, *title, *metadata;
    const char *corpus;   /* the corpus file of a line; "" otherwise */
    uint64_t passages;
    bool put;             /* stored by wn_index_put */
} wn_document_info;
/* Documents with an id above `after` (0: from the start), at most `limit`, by ascending id. source: only
 * that one, or those that begin so when it ends in *; NULL: all. fn returning false stops. */
WN_API wn_status wn_index_documents(wn_index *index, const char *source, int64_t after, size_t limit,
                                    bool (*fn)(void *ctx, const wn_document_info *document), void *ctx,
                                    wn_error *err);

/* ---- First stage ---------------------------------------------------------- */

typedef struct wn_hit {
    int64_t passage; /* passage id, stable while its text is */
    float score;     /* cosine, or BM25 (larger is better) */
} wn_hit;

/* Keeps passages whose document's metadata `key` equals `value`; "source" and "title" are
 * always there; a value ending in * matches by prefix. All filters must hold. */
typedef struct wn_filter {
    const char *key, *value;
} wn_filter;

/* Exact cosine over all embeddings: hits [k] filled with the *count best, by score
 * descending, ties by passage id ascending. query [dim], as the model gives it: where it does
 * not normalise, this does (passages were divided by their norm when they were stored). */
WN_API wn_status wn_index_search_dense(wn_index *index, const float *query, size_t k,
                                       const wn_filter *filters, size_t nfilters, wn_hit *hits,
                                       size_t *count, wn_error *err);
/* The same for several queries [nqueries, dim] in one pass over the embeddings: hits [nqueries, k], counts
 * [nqueries]. Each query's hits and scores are the same bits as alone. */
WN_API wn_status wn_index_search_dense_many(wn_index *index, const float *queries, size_t nqueries, size_t k,
                                            const wn_filter *filters, size_t nfilters, wn_hit *hits,
                                            size_t *counts, wn_error *err);
/* Threads of a dense search of this handle: 1 at first; <= 0: one a processor. Never changes hits. From the second
 * search on (or with 8 queries at once) embeddings are also held as 8-bit codes, a quarter more memory, which decide
 * what need not be compared in f32; they never change hits either. */
WN_API wn_status wn_index_use_threads(wn_index *index, int threads, wn_error *err);
/* BM25 (FTS5, k1 = 1.2, b = 0.75) over the passages; every word is optional. */
WN_API wn_status wn_index_search_bm25(wn_index *index, wn_str query, size_t k,
                                      const wn_filter *filters, size_t nfilters, wn_hit *hits,
                                      size_t *count, wn_error *err);
/* Cosine of `query` with given passages (NaN where one has no embedding). */
WN_API wn_status wn_index_score_dense(wn_index *index, const float *query, const int64_t *passages,
                                      size_t n, float *scores, wn_error *err);

/* Whether a document's source is `name` or ends in it at a path component ("lora.md" names
 * "docs/lora.md"). */
WN_API wn_status wn_index_has_source(wn_index *index, const char *name, bool *out, wn_error *err);

/* The passage `ordinal` of the document of that name, named as above (of several, the first that was
 * indexed). WN_ERR_NOT_FOUND. */
WN_API wn_status wn_index_find_passage(wn_index *index, const char *name, uint32_t ordinal, int64_t *out,
                                       wn_error *err);

/* ---- Passages ------------------------------------------------------------- */

/* Borrowed from the wn_passage's own memory; free with wn_passage_free. */
typedef struct wn_passage {
    int64_t id;
    const char *source;       /* path, or corpus id */
    const char *title;        /* first heading, or the corpus's title, or "" */
    const char *heading_path; /* "Memory > Bandwidth", or "" */
    const char *metadata;     /* JSON object: front matter and what else the source gave */
    const char *content;      /* NUL-terminated; content_length counts bytes */
    size_t content_length;
    const char *input;        /* what the models read: content, and before it the title of a corpus
                               * line, whose text does not hold it (BEIR's convention) */
    size_t input_length;
    uint64_t begin, end;      /* bytes of the document */
    uint32_t ordinal;         /* passage number within its document, from 0 */
} wn_passage;
WN_API wn_status wn_index_passage(wn_index *index, int64_t id, wn_passage **out, wn_error *err);
WN_API void wn_passage_free(wn_passage *passage);

#ifdef __cplusplus
}
#endif
#endif
