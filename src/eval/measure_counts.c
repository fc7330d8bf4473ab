/* measure_counts.c -- num_q, num_ret, num_rel, num_rel_ret, num_nonrel_judged_ret. */
#include "eval/measure_list.h"

static void calc_num_q(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    values[0] = 1;
}

static void calc_num_ret(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    values[0] = (double)judged->retrieved;
}

static void calc_num_rel(const wn_judged *judged, const wn_parameters *parameters,
                         double *values) {
    values[0] = (double)judged->relevant;
}

static void calc_num_rel_ret(const wn_judged *judged, const wn_parameters *parameters,
                             double *values) {
    values[0] = (double)judged->relevant_retrieved;
}

static void calc_num_nonrel(const wn_judged *judged, const wn_parameters *parameters,
                            double *values) {
    values[0] = (double)(judged->retrieved - judged->not_in_pool - judged->not_judged -
                         judged->relevant_retrieved);
}

const wn_measure wn_measure_num_q = {
    .name = "num_q",
    .help = "How many queries the summary is over: those with judgements and results; with -c, all\n"
            "that have judgements.",
    .summary = WN_SUMMARY_QUERIES, .integer = true, .hidden = true, .source = WN_SOURCE_ANY,
    .judged = calc_num_q};

const wn_measure wn_measure_num_ret = {
    .name = "num_ret",
    .help = "Documents retrieved (after -M and -J). The summary is their sum.",
    .summary = WN_SUMMARY_SUM, .integer = true, .source = WN_SOURCE_QRELS,
    .judged = calc_num_ret};

const wn_measure wn_measure_num_rel = {
    .name = "num_rel",
    .help = "Relevant documents in the qrels. The summary is their sum; with -c it counts every\n"
            "relevance above 0, whatever -l says, as trec_eval does.",
    .summary = WN_SUMMARY_SUM, .integer = true, .source = WN_SOURCE_QRELS,
    .judged = calc_num_rel};

const wn_measure wn_measure_num_rel_ret = {
    .name = "num_rel_ret",
    .help = "Relevant documents retrieved. The summary is their sum.",
    .summary = WN_SUMMARY_SUM, .integer = true, .source = WN_SOURCE_QRELS,
    .judged = calc_num_rel_ret};

const wn_measure wn_measure_num_nonrel_judged_ret = {
    .name = "num_nonrel_judged_ret",
    .help = "Documents retrieved that were judged, and not relevant. The summary is their sum.",
    .summary = WN_SUMMARY_SUM, .integer = true, .source = WN_SOURCE_QRELS,
    .judged = calc_num_nonrel};
