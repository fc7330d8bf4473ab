/* measures.h -- what a measure is, and what it is computed from.
 *
 * A measure is one wn_measure: name, help text, parameters, and a function from a judged ranking
 * to values. Measures that differ in a factor share a file (measure_*.c); each has its own help.
 * The table in measures.c gives the order in which they are printed: trec_eval's. */
#ifndef WN_EVAL_MEASURES_H
#define WN_EVAL_MEASURES_H
#include "core/memory.h"
#include <winnow/eval.h>

/* Relevance of a retrieved document that nobody judged. */
enum {
    WN_NOT_IN_POOL = -1, /* not in the qrels */
    WN_NOT_JUDGED = -2   /* in the qrels, with a negative relevance */
};

typedef struct wn_level {
    int32_t relevance; /* 0 or more */
    size_t count;      /* documents judged so, retrieved or not */
} wn_level;

/* Gains of relevance levels; scratch of the measures that weigh levels. */
typedef struct wn_gain_level {
    int32_t relevance;
    size_t count;
    double gain;
} wn_gain_level;

/* One query's ranking with its judgements. */
typedef struct wn_judged {
    const int32_t *relevance; /* [retrieved]; best first */
    size_t retrieved;
    size_t relevant, relevant_retrieved; /* of at least `level` */
    size_t nonrelevant;                  /* judged, below `level` */
    size_t not_in_pool, not_judged;      /* retrieved ones */
    const wn_level *levels;              /* ascending, each count > 0 */
    size_t nlevels;
    int level;                           /* what counts as relevant: -l */
    uint64_t collection_size;            /* -N */
    bool missing;                        /* no results at all; counted because of -c */
    wn_gain_level *gains;                /* scratch [nlevels + 1] */
} wn_judged;

static inline bool wn_is_relevant(const wn_judged *judged, size_t rank) {
    return judged->relevance[rank] >= judged->level;
}

typedef enum wn_parameters_kind {
    WN_PARAMETERS_NONE,
    WN_PARAMETERS_CUTOFFS,  /* ranks, one value each: P_5 */
    WN_PARAMETERS_FRACTIONS,/* shares of the relevant documents, one value each: P_0.20 */
    WN_PARAMETERS_NUMBERS,  /* coefficients of one value */
    WN_PARAMETERS_PAIRS     /* level=gain, or p=number, of one value */
} wn_parameters_kind;

typedef struct wn_parameters {
    double *values; /* cutoffs and fractions ascending, without repetition */
    int32_t *keys;  /* PAIRS: the relevance level, or WN_KEY_P */
    size_t count;
    char *text;     /* as given; NULL: the defaults */
} wn_parameters;
enum { WN_KEY_P = INT32_MIN };

typedef enum wn_measure_source {
    WN_SOURCE_ANY,    /* runid, num_q */
    WN_SOURCE_QRELS,
    WN_SOURCE_GROUPS, /* the mean of a qrels measure over judges */
    WN_SOURCE_PREFS
} wn_measure_source;

struct wn_preferences;
typedef struct wn_measure {
    const char *name, *help;
    wn_parameters_kind kind;
    const char *defaults; /* "5,10,15"; NULL: none */
    wn_summary summary;
    bool integer;
    bool hidden; /* a query's value is not shown */
    wn_measure_source source;
    /* Fills values (zero at entry): one for each cutoff or fraction, else one. */
    void (*judged)(const wn_judged *judged, const wn_parameters *parameters, double *values);
    void (*preferences)(const struct wn_preferences *preferences, double *value);
} wn_measure;

/* measures.c */
extern const wn_measure *const WN_MEASURES[];
extern const size_t WN_NMEASURES;

/* A measure that was asked for. */
typedef struct wn_request {
    const wn_measure *measure;
    wn_parameters parameters;
    size_t first, nvalues; /* its values in the evaluation */
} wn_request;
/* All requests in the table's order, each measure once. Freed with wn_requests_free. */
wn_status wn_requests_parse(const char *const *specs, size_t nspecs, wn_request **out,
                            size_t *count, wn_error *err);
void wn_requests_free(wn_request *requests, size_t count);

/* measure_ndcg.c: the gain of each level, as the parameters say (default: the level itself),
 * ordered by gain descending; returns how many. */
size_t wn_gains_fill(const wn_judged *judged, const wn_parameters *parameters);
double wn_gain_of(const wn_judged *judged, size_t ngains, int32_t relevance);
/* The gains of the best ranking there can be, one by one; 0 at the end. */
typedef struct wn_ideal {
    const wn_gain_level *gains;
    size_t ngains, at, used;
} wn_ideal;
double wn_ideal_next(wn_ideal *ideal);
/* The first one, without taking it. */
double wn_ideal_first(const wn_judged *judged, size_t ngains);

/* The least value that enters a geometric mean. */
#define WN_LEAST_GEOMETRIC 0.00001
#endif
