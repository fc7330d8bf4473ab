/* evaluation.h -- the inside of a wn_evaluation. */
#ifndef WN_EVAL_EVALUATION_H
#define WN_EVAL_EVALUATION_H
#include "eval/id_table.h"
#include "eval/measures.h"

struct wn_evaluation {
    wn_request *requests;
    size_t nrequests;
    const char **queries; /* [nqueries], by id */
    size_t nqueries, missing, extra;
    wn_value_info *infos; /* [nvalues] */
    size_t nvalues;
    double *columns;      /* [nvalues, nqueries] */
    double *summaries;    /* [nvalues] */
    char **relstrings;    /* [nqueries], or NULLs */
    const char *tag;
    wn_pool_text text;
};

/* zscores.c: every value becomes its distance from the mean in standard deviations. */
void wn_zscores_apply(const wn_zscores *zscores, wn_evaluation *evaluation);
#endif
