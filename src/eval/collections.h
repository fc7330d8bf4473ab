/* collections.h -- qrels and runs as evaluation sees them: judgements and entries, by query. */
#ifndef WN_EVAL_COLLECTIONS_H
#define WN_EVAL_COLLECTIONS_H
#include "eval/document_index.h"
#include "eval/id_table.h"
#include "eval/lines.h"
#include <winnow/eval.h>

typedef struct wn_judgement {
    const char *document;        /* first: see document_index.h */
    const char *group, *subgroup; /* judge and part of a judge's work; "" where there is none */
    double level;                /* the relevance as written; preferences may have decimals */
    int32_t relevance;
    uint32_t line;
} wn_judgement;

typedef struct wn_judged_query {
    wn_judgement *items;
    size_t count, cap;
} wn_judged_query;

struct wn_qrels {
    wn_qrels_format format;   /* never AUTO once read */
    char *name;               /* of the file, for messages */
    wn_id_table queries, groups;
    wn_judged_query *judged;  /* [queries.count] */
    size_t judged_cap, total;
    uint32_t *order;          /* queries by id; valid while sorted */
    bool sorted;
    wn_pool_text text;        /* document ids */
};

typedef struct wn_ranked_query {
    wn_run_entry *items;
    size_t count, cap;
    bool sorted;
} wn_ranked_query;

struct wn_run {
    char *name, *tag;
    wn_id_table queries;
    wn_ranked_query *ranked;
    size_t ranked_cap, total;
    uint32_t *order;
    bool sorted;
    wn_pool_text text;
    wn_document_index index; /* for finding documents given twice */
};

/* Query numbers in order of id; duplicates checked (by query, or by query and group). */
wn_status wn_qrels_sort(wn_qrels *qrels, wn_error *err);
wn_status wn_run_sort(wn_run *run, wn_error *err);
#endif
