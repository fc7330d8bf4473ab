/* measure_interpolated.c -- iprec_at_recall, 11pt_avg: the best precision from a recall on. */
#include "eval/measure_list.h"

#include <math.h>

/* Interpolated precision at the given recall: the largest precision at any rank from that on where
 * the recall is reached. The recall becomes a number of documents by rounding, as in trec_eval 10
 * (up to version 9 it was cut after adding 0.9). */
static double interpolated(const wn_judged *judged, double recall) {
    double wanted = (double)lround(recall * (double)judged->relevant);
    if (!judged->retrieved || wanted > (double)judged->relevant_retrieved) return 0;
    size_t found = judged->relevant_retrieved;
    double best = 0;
    for (size_t i = judged->retrieved; i > 0 && found > 0; i--) {
        double precision = (double)found / (double)i;
        if (precision > best) best = precision;
        if (!wn_is_relevant(judged, i - 1)) continue;
        if ((double)found == wanted) break;
        found--;
    }
    return best;
}

static void calc_iprec(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    for (size_t k = 0; k < parameters->count; k++)
        values[k] = interpolated(judged, parameters->values[k]);
}

static void calc_average(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    double sum = 0;
    for (size_t k = parameters->count; k > 0; k--)
        sum += interpolated(judged, parameters->values[k - 1]);
    if (parameters->count) values[0] = sum / (double)parameters->count;
}

const wn_measure wn_measure_iprec_at_recall = {
    .name = "iprec_at_recall",
    .help = "Interpolated precision: the largest precision at any rank where at least that share of\n"
            "the relevant documents has been retrieved. Drawn over recall it gives the usual curve.",
    .kind = WN_PARAMETERS_FRACTIONS, .defaults = "0.0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0",
    .source = WN_SOURCE_QRELS, .judged = calc_iprec};

const wn_measure wn_measure_11pt_avg = {
    .name = "11pt_avg",
    .help = "The mean of interpolated precision at the given recalls (eleven of them by default).\n"
            "Obsolete; map is what replaced it.",
    .kind = WN_PARAMETERS_NUMBERS, .defaults = "0.0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0",
    .source = WN_SOURCE_QRELS, .judged = calc_average};
