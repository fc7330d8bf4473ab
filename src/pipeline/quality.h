/* quality.h -- how good one ranking of every query is: a number a query. */
#ifndef WN_PIPELINE_QUALITY_H
#define WN_PIPELINE_QUALITY_H
#include "pipeline/study.h"

/* The value of `measure` for each query of the study that the qrels judge, in the study's order, into out
 * [queries], *count of them; places [queries] may be NULL, else says which queries they are. */
wn_status wn_quality_by_labels(const wn_study *study, size_t depth, bool reranked, wn_qrels *qrels,
                               const char *measure, wn_label_level level, double *out, size_t *places,
                               size_t *count, wn_error *err);
/* Without labels: rank-biased overlap (p = 0.9) of the first ten passages with the first ten of
 * the reranked ranking at depth `reference`, in the study's order; out [queries]. */
wn_status wn_quality_by_agreement(const wn_study *study, size_t depth, bool reranked, size_t reference,
                                  double *out, wn_error *err);
#endif
