/* measure_gain.c -- binG and G: gain discounted by the cost of what was read in vain. */
#include "eval/measure_list.h"

#include <math.h>

static void calc_binG(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    double sum = 0;
    size_t found = 0;
    for (size_t i = 0; i < judged->retrieved; i++)
        if (wn_is_relevant(judged, i)) sum += 1 / log2((double)(3 + i - ++found));
    if (judged->relevant) values[0] = sum / (double)judged->relevant;
}

static void calc_G(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    size_t ngains = wn_gains_fill(judged, parameters);
    wn_ideal ideal = {judged->gains, ngains, 0, 0};
    double best = wn_ideal_first(judged, ngains);
    double sum = 0, gained = 0, cost = 0, ideal_sum = 0;
    for (size_t i = 0; i < judged->retrieved; i++) {
        double gain = wn_gain_of(judged, ngains, judged->relevance[i]);
        gained += gain;
        if (best > 0) best = wn_ideal_next(&ideal);
        if (best > 0) ideal_sum += best;
        cost += best >= 1 ? best : 1; /* reading a document costs at least 1 */
        if (gain != 0) sum += gain / log2(2 + cost - gained);
    }
    while (best > 0) {
        best = wn_ideal_next(&ideal);
        if (best > 0) ideal_sum += best;
    }
    if (ideal_sum > 0) values[0] = sum / ideal_sum;
}

const wn_measure wn_measure_binG = {
    .name = "binG",
    .help = "For each relevant document 1 / log2(2 + nonrelevant ones above it), averaged over\n"
            "relevant documents. Experimental in trec_eval.",
    .source = WN_SOURCE_QRELS, .judged = calc_binG};

const wn_measure wn_measure_G = {
    .name = "G",
    .help = "The same with graded relevance: gain / log2(2 + cost - gain so far), over the ideal\n"
            "gain. Experimental in trec_eval. Parameters as for ndcg.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_G};
