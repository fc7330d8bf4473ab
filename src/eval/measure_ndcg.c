/* measure_ndcg.c -- ndcg, ndcg_cut, dcg, ideal_dcg, and the gains they share with others.
 *
 * Linear gain over log2(rank + 1), the ideal ranking taken from all judged documents of the query.
 * The gain of a level is the level itself unless a parameter says otherwise; -l does not matter
 * here. Documents without judgement gain nothing. */
#include "eval/measure_list.h"

#include <math.h>
#include <stdlib.h>

static int by_gain(const void *pa, const void *pb) {
    const wn_gain_level *a = pa, *b = pb;
    if (a->gain != b->gain) return a->gain > b->gain ? -1 : 1;
    return (a->relevance < b->relevance) - (a->relevance > b->relevance);
}

size_t wn_gains_fill(const wn_judged *judged, const wn_parameters *parameters) {
    size_t n = 0;
    for (size_t i = 0; i < judged->nlevels; i++)
        judged->gains[n++] = (wn_gain_level){judged->levels[i].relevance, judged->levels[i].count,
                                             judged->levels[i].relevance};
    for (size_t i = 0; i < parameters->count; i++) {
        if (!parameters->keys || parameters->keys[i] == WN_KEY_P) continue;
        for (size_t g = 0; g < n; g++)
            if (judged->gains[g].relevance == parameters->keys[i])
                judged->gains[g].gain = parameters->values[i];
    }
    if (n) qsort(judged->gains, n, sizeof *judged->gains, by_gain);
    return n;
}

double wn_gain_of(const wn_judged *judged, size_t ngains, int32_t relevance) {
    for (size_t i = 0; relevance >= 0 && i < ngains; i++)
        if (judged->gains[i].relevance == relevance) return judged->gains[i].gain;
    return 0;
}

double wn_ideal_next(wn_ideal *ideal) {
    while (ideal->at < ideal->ngains && ideal->used == ideal->gains[ideal->at].count) {
        ideal->at++;
        ideal->used = 0;
    }
    if (ideal->at == ideal->ngains) return 0;
    ideal->used++;
    return ideal->gains[ideal->at].gain;
}

double wn_ideal_first(const wn_judged *judged, size_t ngains) {
    return ngains ? judged->gains[0].gain : 0;
}

static double dcg(const wn_judged *judged, size_t ngains, size_t depth) {
    double sum = 0;
    for (size_t i = 0; i < judged->retrieved && i < depth; i++) {
        double gain = wn_gain_of(judged, ngains, judged->relevance[i]);
        if (gain != 0) sum += gain / log2((double)(i + 2));
    }
    return sum;
}

static double ideal_dcg(const wn_judged *judged, size_t ngains, size_t depth) {
    wn_ideal ideal = {judged->gains, ngains, 0, 0};
    double sum = 0;
    for (size_t i = 0; i < depth; i++) {
        double gain = wn_ideal_next(&ideal);
        if (gain <= 0) break;
        sum += gain / log2((double)(i + 2));
    }
    return sum;
}

static void calc_dcg(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    values[0] = dcg(judged, wn_gains_fill(judged, parameters), SIZE_MAX);
}

static void calc_ideal_dcg(const wn_judged *judged, const wn_parameters *parameters,
                           double *values) {
    values[0] = ideal_dcg(judged, wn_gains_fill(judged, parameters), SIZE_MAX);
}

static void calc_ndcg(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    size_t ngains = wn_gains_fill(judged, parameters);
    double ideal = ideal_dcg(judged, ngains, SIZE_MAX);
    if (ideal > 0) values[0] = dcg(judged, ngains, SIZE_MAX) / ideal;
}

static void calc_ndcg_cut(const wn_judged *judged, const wn_parameters *parameters,
                          double *values) {
    size_t ngains = wn_gains_fill(judged, &(wn_parameters){0});
    for (size_t k = 0; k < parameters->count; k++) {
        size_t depth = (size_t)parameters->values[k];
        double ideal = ideal_dcg(judged, ngains, depth);
        if (ideal > 0) values[k] = dcg(judged, ngains, depth) / ideal;
    }
}

const wn_measure wn_measure_ndcg = {
    .name = "ndcg",
    .help = "Normalised discounted cumulative gain (Jarvelin and Kekalainen 2002) of the whole\n"
            "ranking: the sum of relevance / log2(rank + 1), over that of the ideal ranking.\n"
            "ndcg.1=3,2=9 gives level 1 the gain 3 and level 2 the gain 9.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_ndcg};

const wn_measure wn_measure_ndcg_cut = {
    .name = "ndcg_cut",
    .help = "nDCG at k: the first k documents against the ideal ranking's first k. Gains are the\n"
            "relevance levels.",
    .kind = WN_PARAMETERS_CUTOFFS, .defaults = "5,10,15,20,30,100,200,500,1000",
    .source = WN_SOURCE_QRELS, .judged = calc_ndcg_cut};

const wn_measure wn_measure_dcg = {
    .name = "dcg",
    .help = "Discounted cumulative gain, not normalised. Parameters as for ndcg.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_dcg};

const wn_measure wn_measure_ideal_dcg = {
    .name = "ideal_dcg",
    .help = "The discounted cumulative gain of the ideal ranking. Parameters as for ndcg.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_ideal_dcg};
