/* measure_average_precision.c -- map, map_cut, gm_map, yaap: precision at each relevant document. */
#include "eval/measure_list.h"

#include <math.h>

/* Sum over the relevant documents within `depth` of precision there. */
static double precision_sum(const wn_judged *judged, size_t depth) {
    double sum = 0;
    size_t found = 0;
    for (size_t i = 0; i < judged->retrieved && i < depth; i++)
        if (wn_is_relevant(judged, i)) sum += (double)++found / (double)(i + 1);
    return sum;
}

static void calc_map(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    if (judged->relevant) values[0] = precision_sum(judged, SIZE_MAX) / (double)judged->relevant;
}

static void calc_map_cut(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    for (size_t k = 0; judged->relevant && k < parameters->count; k++)
        values[k] = precision_sum(judged, (size_t)parameters->values[k]) /
                    (double)judged->relevant;
}

static void calc_gm_map(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    double ap = 0;
    calc_map(judged, parameters, &ap);
    values[0] = log(ap > WN_LEAST_GEOMETRIC ? ap : WN_LEAST_GEOMETRIC);
}

static void calc_yaap(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    double sum = precision_sum(judged, SIZE_MAX);
    values[0] = log((1 + sum) / (1 + (double)judged->relevant - sum));
}

const wn_measure wn_measure_map = {
    .name = "map",
    .help = "Mean average precision: precision at the rank of each relevant document, 0 for those\n"
            "not retrieved, averaged over the relevant documents of a query.",
    .source = WN_SOURCE_QRELS, .judged = calc_map};

const wn_measure wn_measure_map_cut = {
    .name = "map_cut",
    .help = "Average precision of the first k documents, over all relevant documents of the query.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,15,20,30,100,200,500,1000",
    .source = WN_SOURCE_QRELS, .judged = calc_map_cut};

const wn_measure wn_measure_gm_map = {
    .name = "gm_map",
    .help = "Geometric mean over queries of average precision, each taken as at least 0.00001: the\n"
            "queries that go badly weigh most.",
    .summary = WN_SUMMARY_GEOMETRIC, .hidden = true, .source = WN_SOURCE_QRELS,
    .judged = calc_gm_map};

const wn_measure wn_measure_yaap = {
    .name = "yaap",
    .help = "Average precision on a scale that averages better (Robertson, ECIR 2012):\n"
            "log((1 + s) / (1 + R - s)), s the sum of precisions at relevant documents.",
    .source = WN_SOURCE_QRELS, .judged = calc_yaap};

const wn_measure wn_measure_map_avgjg = {
    .name = "map_avgjg",
    .help = "Average precision by each judge (-R qrels_jg), averaged over judges.",
    .source = WN_SOURCE_GROUPS, .judged = calc_map};
