/* statistics.h -- what the statistics share. */
#ifndef WN_EVAL_STATISTICS_H
#define WN_EVAL_STATISTICS_H
#include "core/memory.h"
#include <winnow/eval.h>

/* The caller's options over the defaults; WN_ERR_ARGUMENT when out of range. */
wn_status wn_stats_resolve(const wn_stats_options *given, wn_stats_options *out, wn_error *err);
int wn_compare_doubles(const void *a, const void *b);
/* sorted [n], n >= 1; share in [0, 1]; linear between neighbours. */
double wn_quantile_sorted(const double *sorted, size_t n, double share);
/* t of Student's distribution with P(|T| > t) = outside, in (0, 1); df >= 1. */
double wn_student_quantile(double outside, double df);
#endif
