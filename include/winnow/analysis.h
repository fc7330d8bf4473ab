/* winnow/analysis.h -- does reranking pay? Answers from the user's own queries.
 *
 * Mental model. A *study* asks both stages about a set of queries once, at one or several depths
 * (values of first_stage_k), scores each candidate once and keeps all of it: every ranking that a
 * search with one of those depths would give, with and without reranking, and how long each part
 * took. Everything else here is computed from a study without running a model again:
 *   wn_impact         what reranking changed; needs no labels
 *   wn_study_to_run   a ranking of every query, as a run for wn_evaluate
 *   wn_sweep          quality against depth and time; which depth is enough
 *   wn_advise         which queries need reranking at all
 * wn_explain says why one passage stands where it stands; wn_rerank_run reorders another
 * system's run.
 *
 * Threads. A study, once made, is read-only; making one uses the searcher's thread. */
#ifndef WINNOW_ANALYSIS_H
#define WINNOW_ANALYSIS_H

#include <winnow/core.h>
#include <winnow/eval.h>
#include <winnow/search.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Study ----------------------------------------------------------------- */

typedef struct wn_study_options {
    size_t size;
    const size_t *depths;   /* first_stage_k values, each at least 1, in any order; each once */
    size_t ndepths;         /* 0: the one depth 50 */
    wn_first_stage first_stage;
    bool rerank;            /* default true; false: first stage alone */
    bool confidence;        /* also the first stage's confidence (see skip_when_sure), for wn_advise */
    wn_length_policy length_policy;
    const wn_filter *filters;
    size_t nfilters;
    size_t batch_size;      /* as in wn_search_options */
    float blend;            /* the same; default 0 */
    const wn_qrels *judged; /* only topics that these judge; NULL: all */
    size_t max_queries;     /* the first so many of them; 0: all */
    wn_progress_fn progress; /* stage "queries" */
    void *progress_ctx;
} wn_study_options;
WN_API wn_study_options wn_study_options_default(void);

typedef struct wn_study wn_study;
/* Runs every topic through the searcher. The first topic is answered once more before, unmeasured, so
 * that times are of a warm process. The study keeps its own copy of what it needs; topics,
 * searcher and index may go. No topic left to ask (`judged` knows none of them) is WN_ERR_MISMATCH. */
WN_API wn_status wn_study_run(wn_searcher *searcher, const wn_topics *topics,
                              const wn_study_options *options, wn_study **out, wn_error *err);
WN_API void wn_study_free(wn_study *study);

typedef struct wn_study_info {
    size_t queries, ndepths;
    const size_t *depths;  /* ascending */
    wn_first_stage first_stage;
    bool reranked;
    float blend;           /* as asked */
    uint64_t pairs;        /* that the cross-encoder scored: each candidate once */
    uint64_t truncated;    /* of them, cut to its length */
    double seconds;        /* the whole study */
    const char *embedder, *embedder_hash, *reranker, *reranker_hash; /* "" where there is none */
} wn_study_info;
WN_API wn_study_info wn_study_describe(const wn_study *study);

/* One query: borrowed from the study. */
typedef struct wn_study_query {
    const char *id, *text;
    double stage1_time_ms;  /* at the largest depth */
    float confidence;       /* NaN unless asked */
} wn_study_query;
WN_API wn_study_query wn_study_get(const wn_study *study, size_t query);

/* One entry of a query's ranking; ranks from 1, scores NaN where there is none. */
typedef struct wn_study_entry {
    int64_t passage;
    const char *source;     /* borrowed from the study */
    uint32_t ordinal;
    uint32_t first_stage_rank, final_rank;
    float first_stage_score, rerank_score, rerank_logit;
    wn_fit fit;
} wn_study_entry;
/* The candidates at a depth, in final order (first-stage order when not `reranked`); out [depth].
 * A depth that the study does not have is WN_ERR_ARGUMENT. */
WN_API wn_status wn_study_ranking(const wn_study *study, size_t query, size_t depth, bool reranked,
                                  wn_study_entry *out, size_t *count, wn_error *err);
/* Milliseconds that stage 2 took, or would take, at a depth: measured batch by batch, batches ending
 * at each depth. */
WN_API wn_status wn_study_stage2_ms(const wn_study *study, size_t query, size_t depth, double *out,
                                    wn_error *err);

/* ---- Impact ------------------------------------------------------------------ */

/* What reranking did to the results of one query: the first k of the final order. */
typedef struct wn_impact_query {
    size_t results;          /* k, or as many as there are */
    size_t up, down, unchanged;
    double mean_change;      /* average |first_stage_rank - final_rank| of the results */
    uint32_t max_change;
    bool top1_changed;
    double overlap;          /* share of the results that the unreranked first k has too */
    double rbo;              /* rank-biased overlap of the two, p = 0.9 */
    double stage1_time_ms, stage2_time_ms;
} wn_impact_query;

typedef struct wn_impact_total {
    size_t queries, results;
    double up, down, unchanged; /* shares of the results; they add up to 1 */
    double mean_change;         /* over all results */
    uint32_t max_change;
    double top1_change_rate;    /* share of the queries */
    double overlap, rbo;        /* averages over the queries */
    double stage1_time_ms, stage2_time_ms;         /* averages over the queries */
    double latency_p50_ms, latency_p95_ms;         /* of both stages together */
} wn_impact_total;

/* rows [queries] may be NULL. k larger than the depth is WN_ERR_ARGUMENT, and so is a study
 * without reranking. A query without candidates has no results and overlaps fully. */
WN_API wn_status wn_impact(const wn_study *study, size_t depth, size_t k, wn_impact_query *rows,
                           wn_impact_total *total, wn_error *err);

/* ---- Labels -------------------------------------------------------------------- */

typedef enum wn_label_level {
    WN_LABEL_DOCUMENT = 0, /* documents: of a document's passages the best counts, once */
    WN_LABEL_PASSAGE       /* passages, named SOURCE#N, N being the passage's number from 0 */
} wn_label_level;

/* Does a document's source answer to this name? By its whole path or by its last components:
 * "lora.md" and "docs/lora.md" both name "examples/docs/lora.md", "ora.md" does not. */
WN_API bool wn_source_matches(const char *source, const char *name);

/* The rankings of all queries as a run. A document is written as `qrels` name it where the query's
 * judgements hold a name that matches its source (the longest such), else by its source; two
 * documents of one name are one. Give the same qrels to wn_evaluate. */
WN_API wn_status wn_study_to_run(const wn_study *study, size_t depth, bool reranked,
                                 const wn_qrels *qrels, wn_label_level level, const char *tag,
                                 wn_run **out, wn_error *err);

/* ---- Sweep ----------------------------------------------------------------------- */

typedef struct wn_sweep_options {
    size_t size;
    const char *measure;    /* one value, as "nDCG@10" (the default) */
    wn_label_level level;
    double alpha;           /* of "indistinguishable": p at least this; default 0.05 */
    double budget_ms;       /* 95th percentile of both stages together; 0: none */
    double max_loss;        /* of mean quality that a recommendation may give up for time, where the test
                             * finds no difference; default 0.01. Few queries find none easily */
    wn_stats_options stats;
} wn_sweep_options;
WN_API wn_sweep_options wn_sweep_options_default(void);

/* One way to search: a study's first stage and reranker at one depth. */
typedef struct wn_sweep_row {
    size_t study;           /* which of the studies given */
    size_t depth;           /* first_stage_k; 0: the first stage alone */
    size_t queries;
    wn_interval quality;
    double difference, p;   /* from the best row of all: mean difference, permutation test */
    double stage1_ms, stage2_ms; /* averages */
    double latency_p50_ms, latency_p95_ms; /* both stages together */
    bool best;              /* of its study: highest mean quality, the faster of equals */
    bool fastest;           /* of its study */
    bool enough;            /* of its study: smallest depth indistinguishable from the study's best */
    bool pareto;            /* no other row is as fast and as good, and better in one of the two */
    bool within_budget;     /* true without a budget */
    bool recommended;       /* at most one row: the fastest of those within budget that are
                             * indistinguishable from the best of those, and lose at most max_loss */
} wn_sweep_row;

/* stage 2 = fixed_ms + per_candidate_ms * candidates, least squares over all queries and depths. */
typedef struct wn_cost_line {
    double fixed_ms, per_candidate_ms, r2; /* r2: share of the variance explained */
} wn_cost_line;

/* Rows for every study and depth; those of the first stage alone once a first stage. rows has room for
 * the sum of (ndepths + 1); lines [nstudies] may be NULL. All studies must have asked the same
 * queries. qrels NULL: quality is the rank-biased overlap (p = 0.9) of the first ten with those of the
 * study's largest depth, for one study only: agreement can't tell which of two rerankers is right. */
WN_API wn_status wn_sweep(const wn_study *const *studies, size_t nstudies, wn_qrels *qrels,
                          const wn_sweep_options *options, wn_sweep_row *rows, size_t *count,
                          wn_cost_line *lines, wn_error *err);

/* ---- Advice ------------------------------------------------------------------------ */

typedef struct wn_advise_options {
    size_t size;
    const char *measure;   /* as in wn_sweep_options; default "nDCG@10" */
    wn_label_level level;
    double max_loss;       /* of mean quality that skipping may cost; default 0.005, without labels 0.05 (of
                            * agreement). NaN: the default */
    wn_stats_options stats;
} wn_advise_options;
WN_API wn_advise_options wn_advise_options_default(void);

/* Quality without labels is agreement with reranking, as in wn_sweep: then `always` is 1. */
typedef struct wn_advice {
    size_t queries;
    bool pays;              /* some queries can be skipped; else threshold is above every confidence */
    float threshold;        /* calibrated on all queries; for skip_threshold */
    wn_interval always, never; /* quality with every query reranked, and with none */
    /* What follows is cross-validated: each query was judged by a threshold that never saw it. */
    size_t folds;           /* 0: fewer than 4 queries; the rest is then of the same queries */
    wn_interval automatic;  /* quality under the rule */
    wn_interval loss;       /* automatic - always, query by query */
    double p;               /* of a paired permutation test of that difference */
    double skipped;         /* share of queries */
    double saved_ms;        /* average time a query that the rule saves */
    double saved;           /* share of both stages' time */
} wn_advice;

/* Calibrates the skip rule on a study made with `confidence`, at one of its depths: the threshold that
 * skips most while the mean loss stays within max_loss. qrels NULL: by agreement. */
WN_API wn_status wn_advise(const wn_study *study, size_t depth, wn_qrels *qrels,
                           const wn_advise_options *options, wn_advice *out, wn_error *err);

/* ---- Explain --------------------------------------------------------------------- */

/* A word of the query that the passage holds. */
typedef struct wn_matched_term {
    const char *term;     /* as BM25 asks for it: lower case; the index may compare its stem */
    float bm25;           /* its part of the passage's score; the parts add up to it */
    uint64_t passages;    /* how many passages of the index hold it */
} wn_matched_term;

/* A sentence of what the models read, and the cross-encoder's score without it. */
typedef struct wn_left_out {
    size_t begin, end;    /* bytes of passage->input */
    float logit_without;
    float change;         /* logit_without - logit: negative where the sentence helped */
} wn_left_out;

typedef struct wn_explanation_info {
    const wn_passage *passage;
    bool candidate;           /* the first stage recalled it; otherwise the ranks in the answer are 0 */
    uint32_t first_stage_rank, final_rank;
    size_t candidates;
    float first_stage_score;  /* NaN when not recalled */
    uint32_t dense_rank, bm25_rank; /* among all passages of the index (that filters allow); 0: none */
    float cosine, bm25_score;
    float rerank_score, rerank_logit; /* under the search's length policy */
    wn_fit fit;
    float window_logit;       /* the best window's, when the passage is longer than the model reads */
    uint32_t window_begin, window_end; /* bytes of passage->input; the whole where it fits */
    const wn_matched_term *terms; /* by part of the score, largest first */
    size_t nterms, query_terms;   /* of query_terms distinct words */
    const wn_left_out *sentences; /* in the order of the text */
    size_t nsentences;
} wn_explanation_info;

typedef struct wn_explanation wn_explanation;
/* Why a passage stands where it stands. rank > 0: the passage at that final rank. Else `document`: a
 * source by its last path components, "lora.md" or "lora.md#3" for its passage 3; without a number the
 * best placed candidate of it, else its passage 0. A passage that was not recalled is scored
 * all the same. NOT_FOUND: no such rank or document. Needs a searcher with a cross-encoder. */
WN_API wn_status wn_explain(wn_searcher *searcher, wn_str query, const wn_search_options *options,
                            size_t rank, const char *document, wn_explanation **out, wn_error *err);
WN_API wn_explanation_info wn_explanation_describe(const wn_explanation *explanation);
WN_API void wn_explanation_free(wn_explanation *explanation);

/* ---- Reranking a run --------------------------------------------------------------- */

typedef struct wn_rerank_run_options {
    size_t size;
    size_t depth;            /* documents of a query that are read; default 100 */
    wn_length_policy length_policy;
    size_t batch_size;       /* as in wn_search_options */
    const char *tag;         /* of the new run; default "winnow" */
    wn_progress_fn progress; /* stage "queries" */
    void *progress_ctx;
} wn_rerank_run_options;
WN_API wn_rerank_run_options wn_rerank_run_options_default(void);

typedef struct wn_rerank_run_stats {
    size_t queries, resumed; /* resumed: found finished from an earlier start */
    uint64_t pairs, truncated;
    uint64_t missing;        /* distinct documents of the run that the corpus does not hold */
    double seconds;
} wn_rerank_run_stats;

/* Reorders the first `depth` documents of each query of `run` by the cross-encoder and writes the run to
 * `out`. What is deeper, and what the corpus (corpus.jsonl of BEIR: title and text are read) does not
 * hold, stays below in the run's order. While it runs, what is finished lies in OUT.partial, and a
 * call with the same inputs goes on from there after a kill; `out` appears whole, at the end.
 * WN_ERR_NOT_FOUND: a query of the run without text. WN_ERR_MISMATCH: OUT.partial is of other inputs, or
 * the corpus holds no document of the run. WN_ERR_BUSY: another process writes it. */
WN_API wn_status wn_rerank_run(wn_cross_encoder *cross, wn_run *run, const wn_topics *topics,
                               const char *corpus, const char *out, const wn_rerank_run_options *options,
                               wn_rerank_run_stats *stats, wn_error *err);

/* ---- The skip rule's threshold --------------------------------------------------- */

/* What `winnow advise --save` left in the index for a first stage; WN_ERR_NOT_FOUND says how to
 * get one. */
WN_API wn_status wn_skip_threshold_load(wn_index *index, wn_first_stage first_stage, float *out,
                                        wn_error *err);
/* Writes it into the index file; WN_ERR_BUSY while another process builds it. */
WN_API wn_status wn_skip_threshold_save(const char *path, wn_first_stage first_stage, float threshold,
                                        wn_error *err);

#ifdef __cplusplus
}
#endif
#endif
