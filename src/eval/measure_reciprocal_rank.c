/* measure_reciprocal_rank.c -- recip_rank and recip_rank_cut (MRR, MRR@k). */
#include "eval/measure_list.h"

static double reciprocal_rank(const wn_judged *judged, size_t depth) {
    for (size_t i = 0; i < judged->retrieved && i < depth; i++)
        if (wn_is_relevant(judged, i)) return 1.0 / (double)(i + 1);
    return 0;
}

static void calc_recip_rank(const wn_judged *judged, const wn_parameters *parameters,
                            double *values) {
    values[0] = reciprocal_rank(judged, SIZE_MAX);
}

static void calc_recip_rank_cut(const wn_judged *judged, const wn_parameters *parameters,
                                double *values) {
    for (size_t k = 0; k < parameters->count; k++)
        values[k] = reciprocal_rank(judged, (size_t)parameters->values[k]);
}

const wn_measure wn_measure_recip_rank = {
    .name = "recip_rank",
    .help = "1 over the rank of the first relevant document, 0 when there is none (MRR).",
    .source = WN_SOURCE_QRELS, .judged = calc_recip_rank};

const wn_measure wn_measure_recip_rank_cut = {
    .name = "recip_rank_cut",
    .help = "The same over the first k documents (MRR@k). Not in trec_eval, where -M 10 does it.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,100", .source = WN_SOURCE_QRELS,
    .judged = calc_recip_rank_cut};
