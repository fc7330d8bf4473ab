/* measure_rbp.c -- rbp, rbp_resid: rank-biased precision (Moffat and Zobel 2008).
 *
 * Gains are brought into [0, 1] when a level of the query lies outside. trec_eval's code leaves the
 * two bounds unset before it looks for them; what its expected outputs show, and what is done here,
 * is that 0 is always among the levels. */
#include "eval/measure_list.h"

static double persistence(const wn_parameters *parameters) {
    for (size_t i = 0; i < parameters->count; i++)
        if (parameters->keys[i] == WN_KEY_P) return parameters->values[i];
    return 0.9;
}

static void calc_rbp(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    size_t ngains = wn_gains_fill(judged, parameters);
    double least = 0, most = 0, p = persistence(parameters), weight = 1, sum = 0;
    for (size_t i = 0; i < ngains; i++) {
        if (judged->gains[i].gain < least) least = judged->gains[i].gain;
        if (judged->gains[i].gain > most) most = judged->gains[i].gain;
    }
    bool scale = (least < 0 || most > 1) && most > least;
    for (size_t i = 0; i < judged->retrieved; i++, weight *= p) {
        if (judged->relevance[i] < 0) continue;
        double gain = wn_gain_of(judged, ngains, judged->relevance[i]);
        sum += weight * (scale ? (gain - least) / (most - least) : gain);
    }
    values[0] = (1 - p) * sum;
}

static void calc_rbp_resid(const wn_judged *judged, const wn_parameters *parameters,
                           double *values) {
    double p = persistence(parameters), weight = 1, sum = 0;
    for (size_t i = 0; i < judged->retrieved; i++, weight *= p)
        if (judged->relevance[i] < 0) sum += weight;
    if (sum > 0) values[0] = weight + (1 - p) * sum;
}

const wn_measure wn_measure_rbp = {
    .name = "rbp",
    .help = "Rank-biased precision: gain at each rank, weighted by the chance that a reader who goes\n"
            "on with probability p gets there (rbp.p=0.8; default 0.9).",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_rbp};

const wn_measure wn_measure_rbp_resid = {
    .name = "rbp_resid",
    .help = "What rbp could still gain if every document without judgement were relevant.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_rbp_resid};
