/* winnow/eval.h -- labelled queries, runs, measures, and how sure one may be of a difference.
 *
 * Mental model. *Topics* are queries with ids. *Qrels* say which document is how relevant to
 * which query. A *run* is what a system answered: documents with scores, for each query.
 * wn_evaluate puts a run beside the qrels and gives every measure for every query and over all of
 * them: an *evaluation*. Two evaluations are compared query by query, with an interval and a
 * p-value.
 *
 * The measures, their names, their parameters and their values are those of NIST's trec_eval
 * (version 10): documents are ordered by score descending (the score is a double), ties by document
 * id descending; the rank column of a run is not read. Differences, each on purpose:
 *   - a query of the qrels without results is left out, as trec_eval's manual says (10.0-rc3 stops
 *     with an error there); `complete` counts it, with an empty ranking;
 *   - `-m P.5 -m P.10` gives both cutoffs, trec_eval keeps the first only;
 *   - where trec_eval divides by zero or reads past an array, the value is 0;
 *   - what is malformed is refused with file and line, where trec_eval reads a number leniently.
 *
 * Lifecycle. *_read or *_create, then add; any number of wn_evaluate; *_free. Reading a document id
 * from an object needs no lock; the first wn_evaluate sorts both objects, so share them between
 * threads only after it. Strings are borrowed from the object that gave them, until it is changed
 * or freed. */
#ifndef WINNOW_EVAL_H
#define WINNOW_EVAL_H

#include <winnow/core.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Topics ---------------------------------------------------------------- */

typedef enum wn_topics_format {
    WN_TOPICS_AUTO = 0, /* by the first line that is not empty: `{` is JSONL, a tab is TSV */
    WN_TOPICS_TSV,      /* id <TAB> text */
    WN_TOPICS_JSONL,    /* {"_id" or "id", "text" or "query", "expected_source"} one a line */
    WN_TOPICS_LINES     /* a line is a query; ids are "1", "2", ... */
} wn_topics_format;

typedef struct wn_topic {
    const char *id;
    wn_str text; /* NUL-terminated too; never empty */
    const char *const *expected; /* sources that answer it; from "expected_source" */
    size_t nexpected;            /* 0: no label */
} wn_topic;

typedef struct wn_topics wn_topics;
/* path "-" is standard input. JSONL lines without an id are numbered by their place among the
 * queries. No query at all, an empty text and an id given twice are WN_ERR_FORMAT. */
WN_API wn_status wn_topics_read(const char *path, wn_topics_format format, wn_topics **out,
                                wn_error *err);
/* The same of a text in memory, which is copied; name is for messages. */
WN_API wn_status wn_topics_parse(const char *name, wn_str text, wn_topics_format format, wn_topics **out,
                                 wn_error *err);
WN_API void wn_topics_free(wn_topics *topics);
WN_API size_t wn_topics_count(const wn_topics *topics);
WN_API wn_topic wn_topics_get(const wn_topics *topics, size_t i); /* in the order of the file */
/* The topic of that id; false when there is none. */
WN_API bool wn_topics_find(const wn_topics *topics, const char *id, size_t *out);

/* The document that `source` (a path of the index, a corpus id) is to this topic: the expected source
 * it equals or ends with after a slash ("docs/lora.md" is "lora.md"), else `source` itself. What a
 * run must be built with when its qrels come from wn_qrels_from_topics. */
WN_API const char *wn_topic_document(const wn_topic *topic, const char *source);

/* ---- Qrels ----------------------------------------------------------------- */

typedef enum wn_qrels_format {
    WN_QRELS_AUTO = 0, /* BEIR when the first line is its header, else TREC */
    WN_QRELS_TREC,     /* qid iter docno rel */
    WN_QRELS_BEIR,     /* header, then query-id <TAB> corpus-id <TAB> score */
    WN_QRELS_GROUPS,   /* TREC, `iter` naming the judge: trec_eval's qrels_jg */
    WN_QRELS_PREFS,    /* qid judge subgroup docno level: trec_eval's prefs */
    WN_QRELS_AS_PREFS  /* TREC, read as preferences: trec_eval's qrels_prefs */
} wn_qrels_format;

typedef struct wn_qrels wn_qrels;
/* Lines that begin with # and empty lines are passed over. A document judged twice for a query (by
 * the same judge, in WN_QRELS_GROUPS) is WN_ERR_FORMAT, as in trec_eval; so is a file without any
 * judgement. A negative relevance means "in the pool, not judged". */
WN_API wn_status wn_qrels_read(const char *path, wn_qrels_format format, wn_qrels **out,
                               wn_error *err);
/* The same of a text in memory; name is for messages. */
WN_API wn_status wn_qrels_parse(const char *name, wn_str text, wn_qrels_format format, wn_qrels **out,
                                wn_error *err);
WN_API wn_status wn_qrels_create(wn_qrels **out, wn_error *err);
/* A second judgement of the same document is told by the next wn_evaluate (or wn_qrels_write). */
WN_API wn_status wn_qrels_add(wn_qrels *qrels, const char *query, const char *document,
                              int relevance, wn_error *err);
/* Relevance 1 for every expected source of every topic; topics without label are not in it. */
WN_API wn_status wn_qrels_from_topics(const wn_topics *topics, wn_qrels **out, wn_error *err);
/* WN_QRELS_TREC or WN_QRELS_BEIR, queries in order of id; whole or not at all. */
WN_API wn_status wn_qrels_write(wn_qrels *qrels, const char *path, wn_qrels_format format,
                                wn_error *err);
WN_API void wn_qrels_free(wn_qrels *qrels);
WN_API size_t wn_qrels_queries(const wn_qrels *qrels);
WN_API size_t wn_qrels_judgements(const wn_qrels *qrels); /* of all queries */
WN_API const char *wn_qrels_query(const wn_qrels *qrels, size_t i);
WN_API bool wn_qrels_has_query(const wn_qrels *qrels, const char *query);
/* False when the document is not judged. Looks through the query's judgements one by one. */
WN_API bool wn_qrels_relevance(const wn_qrels *qrels, const char *query, const char *document,
                               int *out);

/* ---- Runs ------------------------------------------------------------------ */

typedef struct wn_run wn_run;
/* `qid Q0 docno rank score tag`, as trec_eval reads it: what follows the tag is not read, the tag
 * of the last line counts. path "-" is standard input. A document twice in a query's ranking is
 * WN_ERR_FORMAT (trec_eval refuses it too), told with both lines. */
WN_API wn_status wn_run_read(const char *path, wn_run **out, wn_error *err);
/* tag NULL: "winnow". */
WN_API wn_status wn_run_create(const char *tag, wn_run **out, wn_error *err);
/* A NaN score is WN_ERR_ARGUMENT; a document added twice is told by the next wn_evaluate. */
WN_API wn_status wn_run_add(wn_run *run, const char *query, const char *document, double score,
                            wn_error *err);
/* A whole ranking, best first, whose order is kept exactly: scores are n, n-1, ..., 1. Later
 * occurrences of a document are dropped, so documents of ranked passages can be given as they
 * come. n may be 0: the query then has an empty ranking and still counts as answered. */
WN_API wn_status wn_run_add_ranking(wn_run *run, const char *query, const char *const *documents,
                                    size_t n, wn_error *err);
/* Queries in order of id, documents in evaluation order; whole or not at all. */
WN_API wn_status wn_run_write(wn_run *run, const char *path, wn_error *err);
WN_API void wn_run_free(wn_run *run);
WN_API const char *wn_run_tag(const wn_run *run);
WN_API size_t wn_run_queries(const wn_run *run);
WN_API size_t wn_run_lines(const wn_run *run);
WN_API const char *wn_run_query(const wn_run *run, size_t i);
WN_API bool wn_run_has_query(const wn_run *run, const char *query);
/* The documents of a query in evaluation order; *count is 0 for a query the run lacks. Sorts. */
typedef struct wn_run_entry {
    const char *document;
    double score;
    uint32_t line; /* of the file it came from; 0: added by wn_run_add */
} wn_run_entry;
WN_API wn_status wn_run_ranking(wn_run *run, const char *query, const wn_run_entry **out,
                                size_t *count, wn_error *err);

/* ---- BEIR folders ------------------------------------------------------------ */

/* corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv of a folder; split NULL: "test", or the only one
 * there is. WN_ERR_NOT_FOUND names what is missing. Free with wn_beir_release. */
typedef struct wn_beir {
    char *corpus, *queries, *qrels; /* paths */
} wn_beir;
WN_API wn_status wn_beir_locate(const char *dir, const char *split, wn_beir *out, wn_error *err);
WN_API void wn_beir_release(wn_beir *beir);

/* ---- Measures ---------------------------------------------------------------- */

typedef struct wn_measure_info {
    const char *name, *help;
    const char *parameters; /* the default ones: "5,10,15,..."; "" for none */
} wn_measure_info;
WN_API size_t wn_measure_count(void);
WN_API wn_measure_info wn_measure_describe(size_t i);

typedef struct wn_zscores wn_zscores;
/* `qid measure mean deviation`, trec_eval's -Z. */
WN_API wn_status wn_zscores_read(const char *path, wn_zscores **out, wn_error *err);
WN_API void wn_zscores_free(wn_zscores *zscores);

typedef struct wn_evaluate_options {
    size_t size;                 /* sizeof(wn_evaluate_options) */
    const char *const *measures; /* "map", "P.5,10", "ndcg_cut_10", "nDCG@10", "MRR@10", "Recall@5",
                                  * or a set: official, all_trec, set, all_prefs, prefs, qrels_jg */
    size_t nmeasures;            /* 0: "official" */
    bool complete;               /* -c: queries of the qrels without results count, as 0 */
    bool judged_only;            /* -J: documents without judgement are taken out of rankings */
    int level;                   /* -l: the least relevance that is relevant; default 1 */
    size_t max_retrieved;        /* -M: documents a query that count; 0: all */
    uint64_t collection_size;    /* -N: for `utility` */
    const wn_zscores *zscores;   /* values become z-scores */
} wn_evaluate_options;
WN_API wn_evaluate_options wn_evaluate_options_default(void);

/* What a value is over all queries. */
typedef enum wn_summary {
    WN_SUMMARY_MEAN = 0,
    WN_SUMMARY_SUM,       /* num_ret and its like */
    WN_SUMMARY_GEOMETRIC, /* gm_map: a query's value is a logarithm and is not shown */
    WN_SUMMARY_QUERIES,   /* num_q */
    WN_SUMMARY_NONE       /* relstring (per query), runid (over all): text, not a number */
} wn_summary;

/* One value of a measure: P with two cutoffs gives two, P_5 and P_10. */
typedef struct wn_value_info {
    const char *name; /* "P_5" */
    wn_summary summary;
    bool integer;       /* printed without decimals */
    bool per_query;     /* has a value for each query */
    bool text;          /* wn_evaluation_text instead of a number */
} wn_value_info;

typedef struct wn_evaluation_info {
    size_t queries;  /* evaluated */
    size_t missing;  /* in the qrels, without results: left out, or 0 under `complete` */
    size_t extra;    /* in the run, without qrels: never evaluated */
    size_t values;
} wn_evaluation_info;

typedef struct wn_evaluation wn_evaluation;
/* WN_ERR_ARGUMENT: no such measure, or bad parameters. WN_ERR_MISMATCH: no query is in both (the
 * message gives an id of each), or a measure that these qrels can't give. WN_ERR_FORMAT: a document
 * twice. The evaluation keeps nothing of qrels and run. */
WN_API wn_status wn_evaluate(wn_qrels *qrels, wn_run *run, const wn_evaluate_options *options,
                             wn_evaluation **out, wn_error *err);
WN_API void wn_evaluation_free(wn_evaluation *evaluation);
WN_API wn_evaluation_info wn_evaluation_describe(const wn_evaluation *evaluation);
WN_API const char *wn_evaluation_query(const wn_evaluation *evaluation, size_t query); /* by id */
WN_API wn_value_info wn_evaluation_value_info(const wn_evaluation *evaluation, size_t value);
/* The value named so ("ndcg_cut_10"); false when it was not asked for. */
WN_API bool wn_evaluation_find(const wn_evaluation *evaluation, const char *name, size_t *value);
/* One value of all queries [queries], in the order of wn_evaluation_query. */
WN_API const double *wn_evaluation_column(const wn_evaluation *evaluation, size_t value);
WN_API double wn_evaluation_summary(const wn_evaluation *evaluation, size_t value);
/* relstring of a query; runid when query is SIZE_MAX. "" where there is none. */
WN_API const char *wn_evaluation_text(const wn_evaluation *evaluation, size_t value, size_t query);

/* ---- Statistics ---------------------------------------------------------------
 * Deterministic: the same values, options and seed give the same result at every call; the random
 * numbers are the same on every machine. */

typedef struct wn_stats_options {
    size_t size;
    double confidence; /* of intervals; default 0.95 */
    size_t rounds;     /* bootstrap samples, default 10000 */
    size_t shuffles;   /* random sign assignments when n is too large for all; default 100000 */
    uint64_t seed;     /* default 42 */
} wn_stats_options;
WN_API wn_stats_options wn_stats_options_default(void);

typedef struct wn_interval {
    double mean, low, high;
} wn_interval;

/* Bootstrap interval of the mean of x [n] (percentiles, expanded for small n; src/eval/bootstrap.c
 * says why and how well it covers). n = 0 is WN_ERR_ARGUMENT; n = 1 or equal values give a point. */
WN_API wn_status wn_bootstrap_mean(const double *x, size_t n, const wn_stats_options *options,
                                   wn_interval *out, wn_error *err);
/* The same of b[i] - a[i]: query by query, which takes the queries' difficulty out. */
WN_API wn_status wn_bootstrap_difference(const double *a, const double *b, size_t n,
                                         const wn_stats_options *options, wn_interval *out,
                                         wn_error *err);

/* Paired permutation (randomisation) test, two-sided, of the mean difference. Exact when at most
 * 20 differences are not 0, else from `shuffles` random assignments, where the least p is
 * 1 / (shuffles + 1). */
typedef struct wn_permutation {
    double p;
    bool exact;
} wn_permutation;
WN_API wn_status wn_permutation_test(const double *a, const double *b, size_t n,
                                     const wn_stats_options *options, wn_permutation *out,
                                     wn_error *err);

/* A value of two evaluations, query by query, over the queries that both have. */
typedef struct wn_comparison {
    size_t queries, better, worse, equal; /* better: b above a */
    size_t left_out;                      /* queries that only one of the two has */
    double mean_a, mean_b;
    double improvement;                   /* of the mean, in percent; NaN when mean_a is 0 */
    wn_interval difference;               /* b - a */
    wn_permutation test;
} wn_comparison;
/* `name` as in wn_evaluation_find. WN_ERR_ARGUMENT: one lacks it, or it is not a number of each
 * query. WN_ERR_MISMATCH: no query in both. options NULL: the default ones. */
WN_API wn_status wn_evaluation_compare(const wn_evaluation *a, const wn_evaluation *b,
                                       const char *name, const wn_stats_options *options,
                                       wn_comparison *out, wn_error *err);

/* One query's gain. */
typedef struct wn_gain {
    const char *query; /* borrowed from a */
    double a, b, gain;
} wn_gain;
/* Largest gain first, ties by query id. out [wn_comparison.queries] or NULL to count. */
WN_API wn_status wn_evaluation_gains(const wn_evaluation *a, const wn_evaluation *b,
                                     const char *name, wn_gain *out, size_t *count, wn_error *err);

/* Extrapolated rank-biased overlap (Webber, Moffat, Zobel 2010, eq. 32) of two rankings of
 * possibly different length; p in (0, 1) says how deep the reader looks: the first 1 / (1 - p)
 * ranks on average. Two empty rankings overlap fully, an empty one and another not at all.
 * A document twice in one ranking is WN_ERR_ARGUMENT. */
WN_API wn_status wn_rank_biased_overlap(const char *const *a, size_t na, const char *const *b,
                                        size_t nb, double p, double *out, wn_error *err);
/* Kendall's tau-b of x [n] and y [n], O(n log n); NaN when one of them is constant or n < 2. */
WN_API wn_status wn_kendall_tau_b(const double *x, const double *y, size_t n, double *out,
                                  wn_error *err);
/* x [n] in any order; percent in [0, 100]; linear between neighbours (numpy's default). */
WN_API wn_status wn_percentiles(const double *x, size_t n, const double *percents, size_t npercents,
                                double *out, wn_error *err);

#ifdef __cplusplus
}
#endif
#endif
