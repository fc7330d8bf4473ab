/* evaluation.c -- what an evaluation answers. */
#include "eval/evaluation.h"

#include <string.h>

void wn_evaluation_free(wn_evaluation *evaluation) {
    if (!evaluation) return;
    for (size_t q = 0; evaluation->relstrings && q < evaluation->nqueries; q++)
        wn_free(evaluation->relstrings[q]);
    wn_free(evaluation->relstrings);
    wn_free(evaluation->summaries);
    wn_free(evaluation->columns);
    wn_free(evaluation->infos);
    wn_free(evaluation->queries);
    wn_requests_free(evaluation->requests, evaluation->nrequests);
    wn_pool_text_release(&evaluation->text);
    wn_free(evaluation);
}

wn_evaluation_info wn_evaluation_describe(const wn_evaluation *evaluation) {
    return (wn_evaluation_info){evaluation->nqueries, evaluation->missing, evaluation->extra,
                                evaluation->nvalues};
}

const char *wn_evaluation_query(const wn_evaluation *evaluation, size_t query) {
    return evaluation->queries[query];
}

wn_value_info wn_evaluation_value_info(const wn_evaluation *evaluation, size_t value) {
    return evaluation->infos[value];
}

bool wn_evaluation_find(const wn_evaluation *evaluation, const char *name, size_t *value) {
    for (size_t v = 0; v < evaluation->nvalues; v++)
        if (strcmp(evaluation->infos[v].name, name) == 0) {
            *value = v;
            return true;
        }
    return false;
}

const double *wn_evaluation_column(const wn_evaluation *evaluation, size_t value) {
    return evaluation->columns + value * evaluation->nqueries;
}

double wn_evaluation_summary(const wn_evaluation *evaluation, size_t value) {
    return evaluation->summaries[value];
}

const char *wn_evaluation_text(const wn_evaluation *evaluation, size_t value, size_t query) {
    bool overall = strcmp(evaluation->infos[value].name, "runid") == 0;
    if (query == SIZE_MAX) return overall ? evaluation->tag : "";
    if (overall || !evaluation->infos[value].text) return "";
    return evaluation->relstrings[query] ? evaluation->relstrings[query] : "";
}
