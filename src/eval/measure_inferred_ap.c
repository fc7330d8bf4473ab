/* measure_inferred_ap.c -- infAP: average precision estimated from a sample of judgements. */
#include "eval/measure_list.h"

/* Keeps an estimate from being 0 or 1 when few documents above were judged; trec_eval's. */
#define EPSILON 0.00001

static void calc_infAP(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    double sum = 0, relevant = 0, nonrelevant = 0, sampled_out = 0;
    for (size_t i = 0; i < judged->retrieved; i++) {
        int32_t relevance = judged->relevance[i];
        if (relevance == WN_NOT_IN_POOL) continue;
        if (relevance == WN_NOT_JUDGED) {
            sampled_out++;
        } else if (!wn_is_relevant(judged, i)) {
            nonrelevant++;
        } else {
            double above = (double)i;
            if (i == 0) {
                sum += 1;
            } else {
                double pooled = (relevant + nonrelevant + sampled_out) / above;
                double precision = (relevant + EPSILON) / (relevant + nonrelevant + 2 * EPSILON);
                sum += 1 / (above + 1) + above / (above + 1) * pooled * precision;
            }
            relevant++;
        }
    }
    if (judged->relevant) values[0] = sum / (double)judged->relevant;
}

const wn_measure wn_measure_infAP = {
    .name = "infAP",
    .help = "Inferred average precision (Yilmaz and Aslam, CIKM 2006), for pools of which a sample\n"
            "was judged: a negative relevance says that a document was in the pool, not judged.",
    .source = WN_SOURCE_QRELS, .judged = calc_infAP};
