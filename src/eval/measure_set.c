/* measure_set.c -- set_P, set_relative_P, set_recall, set_map, set_F, utility: the retrieved
 * documents as a set, whatever their order. */
#include "eval/measure_list.h"

static double ratio(size_t a, size_t b) { return b ? (double)a / (double)b : 0; }

static void calc_set_P(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    values[0] = ratio(judged->relevant_retrieved, judged->retrieved);
}

static void calc_set_relative_P(const wn_judged *judged, const wn_parameters *parameters,
                                double *values) {
    values[0] = ratio(judged->relevant_retrieved, judged->retrieved < judged->relevant
                                                      ? judged->retrieved : judged->relevant);
}

static void calc_set_recall(const wn_judged *judged, const wn_parameters *parameters,
                            double *values) {
    values[0] = ratio(judged->relevant_retrieved, judged->relevant);
}

static void calc_set_map(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    values[0] = ratio(judged->relevant_retrieved, judged->retrieved) *
                ratio(judged->relevant_retrieved, judged->relevant);
}

static void calc_set_F(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    double p = ratio(judged->relevant_retrieved, judged->retrieved);
    double r = ratio(judged->relevant_retrieved, judged->relevant), x = parameters->values[0];
    if (judged->relevant_retrieved) values[0] = (x + 1) * p * r / (x * p + r);
}

static void calc_utility(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    if (judged->missing) return;
    const double *c = parameters->values;
    double both = (double)judged->relevant_retrieved, retrieved = (double)judged->retrieved;
    double relevant = (double)judged->relevant;
    values[0] = c[0] * both + c[1] * (retrieved - both) + c[2] * (relevant - both) +
                c[3] * ((double)judged->collection_size + both - retrieved - relevant);
}

const wn_measure wn_measure_set_P = {
    .name = "set_P",
    .help = "Precision of the retrieved set: relevant retrieved over retrieved.",
    .source = WN_SOURCE_QRELS, .judged = calc_set_P};

const wn_measure wn_measure_set_relative_P = {
    .name = "set_relative_P",
    .help = "Relevant retrieved over the most that could have been: the smaller of retrieved and\n"
            "relevant.",
    .source = WN_SOURCE_QRELS, .judged = calc_set_relative_P};

const wn_measure wn_measure_set_recall = {
    .name = "set_recall",
    .help = "Recall of the retrieved set: relevant retrieved over relevant.",
    .source = WN_SOURCE_QRELS, .judged = calc_set_recall};

const wn_measure wn_measure_set_map = {
    .name = "set_map",
    .help = "Precision times recall of the retrieved set.",
    .source = WN_SOURCE_QRELS, .judged = calc_set_map};

const wn_measure wn_measure_set_F = {
    .name = "set_F",
    .help = "The weighted harmonic mean of set precision and recall: (x + 1) P R / (x P + R).",
    .kind = WN_PARAMETERS_NUMBERS, .defaults = "1.0", .source = WN_SOURCE_QRELS,
    .judged = calc_set_F};

const wn_measure wn_measure_utility = {
    .name = "utility",
    .help = "c1 * relevant retrieved + c2 * nonrelevant retrieved + c3 * relevant not retrieved +\n"
            "c4 * the rest of the collection (its size: -N). Four coefficients.",
    .kind = WN_PARAMETERS_NUMBERS, .defaults = "1.0,-1.0,0.0,0.0", .source = WN_SOURCE_QRELS,
    .judged = calc_utility};
