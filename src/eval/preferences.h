/* preferences.h -- which documents a judge prefers to which, and how many of these preferences a
 * ranking keeps. */
#ifndef WN_EVAL_PREFERENCES_H
#define WN_EVAL_PREFERENCES_H
#include "eval/collections.h"

/* A preference A > B by where the two documents are: both retrieved, one ("implied": the retrieved
 * one ranks above the other), or none. Fulfilled: A is above B. */
typedef struct wn_judge_counts {
    size_t fulfilled_both, possible_both, fulfilled_one, possible_one, possible_none;
    size_t relevant, relevant_retrieved, nonrelevant, nonrelevant_retrieved;
    /* with at most as many nonrelevant documents as relevant ones: of all, of the retrieved */
    size_t fulfilled_balanced, possible_balanced, fulfilled_balanced_both, possible_balanced_both;
} wn_judge_counts;

typedef struct wn_preferences {
    wn_judge_counts *judges;
    size_t njudges;
    size_t judged, retrieved; /* documents: all, and those the ranking holds */
    uint16_t *counts;         /* [judged, judged]: how many judges prefer row to column */
} wn_preferences;

/* Of query `number`; entries [nentries] is the ranking in evaluation order, of which the first
 * `depth` count. */
wn_status wn_preferences_create(const wn_qrels *qrels, uint32_t number, const wn_run_entry *entries,
                                size_t nentries, size_t depth, wn_preferences **out,
                                wn_error *err);
void wn_preferences_free(wn_preferences *preferences);
#endif
