/* measure_bpref.c -- bpref, gm_bpref: a measure for incomplete judgements. */
#include "eval/measure_list.h"

#include <math.h>

static void calc_bpref(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    size_t nonrelevant = 0, relevant = judged->relevant;
    size_t most = judged->nonrelevant < relevant ? judged->nonrelevant : relevant;
    double sum = 0;
    for (size_t i = 0; i < judged->retrieved; i++) {
        if (judged->relevance[i] < 0) continue;
        if (!wn_is_relevant(judged, i)) nonrelevant++;
        else if (!nonrelevant) sum += 1;
        else sum += 1 - (double)(nonrelevant < relevant ? nonrelevant : relevant) / (double)most;
    }
    if (relevant) values[0] = sum / (double)relevant;
}

static void calc_gm_bpref(const wn_judged *judged, const wn_parameters *parameters,
                          double *values) {
    double bpref = 0;
    calc_bpref(judged, parameters, &bpref);
    values[0] = log(bpref > WN_LEAST_GEOMETRIC ? bpref : WN_LEAST_GEOMETRIC);
}

const wn_measure wn_measure_bpref = {
    .name = "bpref",
    .help = "Binary preference (Buckley and Voorhees, SIGIR 2004): for each relevant document, the\n"
            "share of the first R judged nonrelevant ones that stand below it. Documents that\n"
            "nobody judged do not matter.",
    .source = WN_SOURCE_QRELS, .judged = calc_bpref};

const wn_measure wn_measure_gm_bpref = {
    .name = "gm_bpref",
    .help = "Geometric mean over queries of bpref, each taken as at least 0.00001.",
    .summary = WN_SUMMARY_GEOMETRIC, .hidden = true, .source = WN_SOURCE_QRELS,
    .judged = calc_gm_bpref};
