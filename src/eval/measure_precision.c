/* measure_precision.c -- P, relative_P, Rprec, Rprec_mult, recall, success: how many relevant
 * documents a prefix of the ranking holds, divided by something. */
#include "eval/measure_list.h"

static size_t found_within(const wn_judged *judged, size_t depth) {
    size_t found = 0;
    for (size_t i = 0; i < judged->retrieved && i < depth; i++) found += wn_is_relevant(judged, i);
    return found;
}

static void calc_P(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    for (size_t k = 0; k < parameters->count; k++)
        values[k] = (double)found_within(judged, (size_t)parameters->values[k]) /
                    parameters->values[k];
}

static void calc_relative_P(const wn_judged *judged, const wn_parameters *parameters,
                            double *values) {
    double relevant = (double)judged->relevant;
    for (size_t k = 0; judged->relevant && k < parameters->count; k++) {
        double most = parameters->values[k] < relevant ? parameters->values[k] : relevant;
        values[k] = (double)found_within(judged, (size_t)parameters->values[k]) / most;
    }
}

static void calc_Rprec(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    if (judged->relevant)
        values[0] = (double)found_within(judged, judged->relevant) / (double)judged->relevant;
}

static void calc_Rprec_mult(const wn_judged *judged, const wn_parameters *parameters,
                            double *values) {
    for (size_t k = 0; k < parameters->count; k++) {
        double depth = parameters->values[k] * (double)judged->relevant + 0.9;
        size_t whole = depth >= 1 ? (size_t)depth : 0;
        if (whole) values[k] = (double)found_within(judged, whole) / (double)whole;
    }
}

static void calc_recall(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    for (size_t k = 0; judged->relevant && k < parameters->count; k++)
        values[k] = (double)found_within(judged, (size_t)parameters->values[k]) /
                    (double)judged->relevant;
}

static void calc_success(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    for (size_t k = 0; k < parameters->count; k++)
        values[k] = found_within(judged, (size_t)parameters->values[k]) ? 1 : 0;
}

const wn_measure wn_measure_P = {
    .name = "P",
    .help = "Precision at k: relevant documents among the first k, over k (also when fewer were\n"
            "retrieved).",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,15,20,30,100,200,500,1000",
    .source = WN_SOURCE_QRELS, .judged = calc_P};

const wn_measure wn_measure_relative_P = {
    .name = "relative_P",
    .help = "Precision at k over the best that can be had: relevant among the first k, over the\n"
            "smaller of k and the number of relevant documents.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,15,20,30,100,200,500,1000",
    .source = WN_SOURCE_QRELS, .judged = calc_relative_P};

const wn_measure wn_measure_Rprec = {
    .name = "Rprec",
    .help = "Precision at R, the number of relevant documents: there precision equals recall.",
    .source = WN_SOURCE_QRELS, .judged = calc_Rprec};

const wn_measure wn_measure_Rprec_mult = {
    .name = "Rprec_mult",
    .help = "Precision at multiples of R, the number of relevant documents.",
    .kind = WN_PARAMETERS_FRACTIONS, .defaults = "0.2,0.4,0.6,0.8,1.0,1.2,1.4,1.6,1.8,2.0",
    .source = WN_SOURCE_QRELS, .judged = calc_Rprec_mult};

const wn_measure wn_measure_recall = {
    .name = "recall",
    .help = "Recall at k: relevant documents among the first k, over all relevant ones.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,15,20,30,100,200,500,1000",
    .source = WN_SOURCE_QRELS, .judged = calc_recall};

const wn_measure wn_measure_success = {
    .name = "success",
    .help = "1 when a relevant document is among the first k, else 0.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "1,5,10", .source = WN_SOURCE_QRELS,
    .judged = calc_success};

/* The mean of each over the judges of a query, qrels_jg. */
const wn_measure wn_measure_P_avgjg = {
    .name = "P_avgjg",
    .help = "Precision at k by each judge (-R qrels_jg), averaged over judges.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,15,20,30,100,200,500,1000",
    .source = WN_SOURCE_GROUPS, .judged = calc_P};

const wn_measure wn_measure_Rprec_mult_avgjg = {
    .name = "Rprec_mult_avgjg",
    .help = "Precision at multiples of R by each judge (-R qrels_jg), averaged over judges.",
    .kind = WN_PARAMETERS_FRACTIONS, .defaults = "0.2,0.4,0.6,0.8,1.0,1.2,1.4,1.6,1.8,2.0",
    .source = WN_SOURCE_GROUPS, .judged = calc_Rprec_mult};
