/* winnow/search.h -- two-stage search: recall candidates, rerank them, say what changed. */
#ifndef WINNOW_SEARCH_H
#define WINNOW_SEARCH_H

#include <winnow/core.h>
#include <winnow/index.h>
#include <winnow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wn_first_stage {
    WN_FIRST_DENSE = 0,
    WN_FIRST_BM25,
    WN_FIRST_HYBRID /* reciprocal rank fusion of the two, constant 60 (Cormack et al. 2009) */
} wn_first_stage;

typedef struct wn_search_options {
    size_t size;             /* sizeof(wn_search_options) */
    size_t k;                /* results returned; default 5; at least 1 */
    size_t first_stage_k;    /* candidates recalled and reranked; default 50; at least k */
    wn_first_stage first_stage;
    bool rerank;             /* default true; needs a cross-encoder */
    bool has_min_score;
    float min_score;         /* keeps results whose final score is at least this */
    const wn_filter *filters;
    size_t nfilters;
    wn_length_policy length_policy;
    size_t batch_size;       /* pairs a forward pass; 0: a good default. Never changes scores */
    double deadline_ms;      /* 0: none. From the call on: candidates are reranked in first-stage order,
                              * in small batches, until the next would be late; those left keep
                              * first-stage order below the reranked ones. Late by one batch at most
                              * (and by stage 1, which is never cut short). With batch_size 0, 8 pairs */
    bool skip_when_sure;     /* default false: rerank every query. True: only those whose first stage's
                              * confidence is below skip_threshold; asks BM25 and, where the index
                              * has embeddings, the bi-encoder, whatever the first stage is */
    float blend;             /* default 0: final order by the logit alone. Else by logit + blend * cosine of
                              * the bi-encoder; without one, or where a reranked candidate has no
                              * embedding, by the logit alone. See wn_model_blend */
    float skip_threshold;    /* from wn_advise; default NaN, which skip_when_sure refuses */
} wn_search_options;
WN_API wn_search_options wn_search_options_default(void);

/* Index and encoders together; one thread at a time; all are borrowed and must outlive it. */
typedef struct wn_searcher wn_searcher;
/* bi NULL: only BM25 as first stage. cross NULL: no reranking. WN_ERR_MISMATCH when the
 * index was made by another bi-encoder than `bi`. */
WN_API wn_status wn_searcher_create(wn_index *index, wn_bi_encoder *bi, wn_cross_encoder *cross,
                                    wn_searcher **out, wn_error *err);
/* The same over any scorers (winnow/model.h), which are copied; what they point to is borrowed. Once a
 * wn_search has begun to call `score` it asks the index nothing more: another searcher may have it then. */
WN_API wn_status wn_searcher_create_with(wn_index *index, const wn_scorers *scorers, wn_searcher **out,
                                         wn_error *err);
WN_API void wn_searcher_free(wn_searcher *searcher);

/* One result. Ranks count from 1. Scores that were not computed are NaN, ranks 0. */
typedef struct wn_result {
    const wn_passage *passage;  /* borrowed from the answer */
    uint32_t final_rank;
    uint32_t first_stage_rank;
    float first_stage_score;    /* cosine, BM25 or RRF, by first stage */
    float bi_encoder_score;     /* cosine, whatever the first stage */
    uint32_t bi_encoder_rank;   /* among the candidates, by bi_encoder_score */
    float bm25_score;           /* NaN unless BM25 was asked */
    float rerank_score, rerank_logit;
    float final_score;          /* what the final order is by: logit, or blended; NaN when not reranked */
    int32_t rank_change;        /* first_stage_rank - final_rank: positive moved up */
    wn_fit fit;                 /* of the reranked pair; windows are bytes of passage->input */
} wn_result;

typedef struct wn_answer wn_answer;
/* An empty query is WN_ERR_ARGUMENT. k larger than the corpus returns what there is. */
WN_API wn_status wn_search(wn_searcher *searcher, wn_str query, const wn_search_options *options,
                           wn_answer **out, wn_error *err);
WN_API void wn_answer_free(wn_answer *answer);
WN_API size_t wn_answer_count(const wn_answer *answer);
WN_API const wn_result *wn_answer_result(const wn_answer *answer, size_t i);

typedef struct wn_answer_info {
    double stage1_time_ms, stage2_time_ms; /* stage 1 includes embedding the query */
    size_t candidates, reranked, truncated; /* truncated: reranked pairs that were cut */
    uint32_t query_tokens_dropped;
    wn_first_stage first_stage;
    bool out_of_time;        /* the deadline left candidates unread: reranked < candidates */
    bool skipped;            /* the first stage was sure enough, nothing was reranked */
    float blend;             /* the weight that was used: 0 when the logit alone decided */
    float confidence;        /* of the first stage, in [0, 1]; NaN unless skip_when_sure */
    /* What stage 1 is made of: embedding the query, the scan (the first of an index reads its embeddings), BM25,
     * fusing the lists, reading the candidates' passages and their cosines. */
    double embed_time_ms, dense_time_ms, bm25_time_ms, fusion_time_ms, passages_time_ms;
} wn_answer_info;
WN_API wn_answer_info wn_answer_describe(const wn_answer *answer);

/* Both scorers over given passages, without an index. rows [n] in the order of documents.
 * Either encoder may be NULL (its scores are NaN, its ranks 0). */
typedef struct wn_compare_row {
    float bi_encoder_score, rerank_score, rerank_logit;
    uint32_t bi_encoder_rank, rerank_rank;
    int32_t rank_change;
    wn_fit fit;
} wn_compare_row;
WN_API wn_status wn_compare(wn_bi_encoder *bi, wn_cross_encoder *cross, wn_str query,
                            const wn_str *documents, size_t n, wn_length_policy policy,
                            wn_compare_row *rows, wn_error *err);
WN_API wn_status wn_compare_with(const wn_scorers *scorers, wn_str query, const wn_str *documents,
                                 size_t n, wn_length_policy policy, wn_compare_row *rows, wn_error *err);

/* ---- Score cache --------------------------------------------------------------- */

/* Scores of pairs in a file, for queries that come again: what it gives is bit by bit what the model would give.
 * A key is the SHA-256 of query, passage, length policy and everything of model and machine that a score depends on
 * (weights, tokenizer, configuration, precision, maximum length, instruction set, versions). One file serves any models
 * and processes; a handle may be used by any threads. Keys don't tell texts, but who can write the file can
 * plant scores. Entries used longest ago make room for new ones. */
typedef struct wn_score_cache wn_score_cache;

typedef struct wn_score_cache_options {
    size_t size;         /* sizeof(wn_score_cache_options) */
    uint64_t max_bytes;  /* of the file; default 256 MiB, at least 1 MiB. (Its write-ahead log, FILE-wal, comes to some 4
                          * MiB beside it while processes have it open) */
} wn_score_cache_options;
WN_API wn_score_cache_options wn_score_cache_options_default(void);

/* Creates the file where there is none. WN_ERR_FORMAT: not a score cache, or damaged: nothing is read from it. */
WN_API wn_status wn_score_cache_open(const char *path, const wn_score_cache_options *options, wn_score_cache **out,
                                     wn_error *err);
WN_API void wn_score_cache_close(wn_score_cache *cache);

typedef struct wn_score_cache_info {
    uint64_t hits, misses;    /* pairs asked through this handle */
    uint64_t stored, evicted; /* entries, by this handle */
    uint64_t damaged;         /* entries that failed their checksum: computed anew, and replaced */
    uint64_t unsaved;         /* pairs that could not be stored: another process was writing, no space left */
} wn_score_cache_info;
WN_API wn_score_cache_info wn_score_cache_describe(wn_score_cache *cache);

/* Scorers whose `score` asks the cache first; `embed` is handed on. Borrows cache and models; what `scorers` points to
 * must outlive it. Under WN_LENGTH_ERROR everything is handed on. A cache found damaged while in use is WN_ERR_FORMAT. */
typedef struct wn_cached_scorers wn_cached_scorers;
WN_API wn_status wn_cached_scorers_create(wn_score_cache *cache, const wn_scorers *scorers, wn_cached_scorers **out,
                                          wn_error *err);
WN_API void wn_cached_scorers_free(wn_cached_scorers *cached);
/* wn_cross_encoder_score_pairs with the cache in front. */
WN_API wn_status wn_score_cache_pairs(wn_score_cache *cache, wn_cross_encoder *encoder, const wn_str *queries,
                                      const wn_str *documents, size_t n, size_t batch_size, wn_length_policy policy,
                                      wn_pair_score *out, wn_error *err);
/* The calls; valid until it is freed. */
WN_API wn_scorers wn_cached_scorers_calls(wn_cached_scorers *cached);

#ifdef __cplusplus
}
#endif
#endif
