/* cmd_eval.h -- how evaluations are printed: one run (eval_print.c), two runs (eval_compare.c). */
#ifndef WN_CLI_CMD_EVAL_H
#define WN_CLI_CMD_EVAL_H
#include "cli.h"

typedef enum { EVAL_AUTO, EVAL_TREC, EVAL_TABLE, EVAL_TSV, EVAL_JSON } eval_format;

typedef struct eval_style {
    eval_format format;
    bool per_query;  /* -q */
    bool no_summary; /* -n */
    bool zscores;    /* names are printed with a Z before them */
} eval_style;

/* One evaluation: trec_eval's three columns, or `name` with all values as JSON or TSV. */
int eval_print(const wn_evaluation *evaluation, const char *name, const eval_style *style);
/* Two: means, improvement, interval, p; with -q each query's gain or loss. */
int eval_print_comparison(const wn_evaluation *a, const char *name_a, const wn_evaluation *b,
                          const char *name_b, const eval_style *style);
/* cmd_eval_search.c: `winnow eval INDEX --queries FILE` and `winnow eval --beir DIR`. */
bool eval_wants_search(int argc, char **argv);
int cmd_eval_search(int argc, char **argv);
#endif
