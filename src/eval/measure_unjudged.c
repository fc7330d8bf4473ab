/* measure_unjudged.c -- unj: how much of a ranking nobody judged. */
#include "eval/measure_list.h"

static void calc_unj(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    for (size_t k = 0; k < parameters->count; k++) {
        size_t found = 0;
        for (size_t i = 0; i < judged->retrieved && (double)i < parameters->values[k]; i++)
            found += judged->relevance[i] < 0;
        values[k] = (double)found / parameters->values[k];
    }
}

const wn_measure wn_measure_unj = {
    .name = "unj",
    .help = "The share of the first k documents that have no judgement. High values say that the\n"
            "qrels know little about this run, and that its other measures are too low.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,20", .source = WN_SOURCE_QRELS,
    .judged = calc_unj};
