/* measure_ndcg_averaged.c -- ndcg_rel, Rndcg: nDCG averaged over ranks that depend on the query.
 * Both are experimental in trec_eval; the order in which a rank is added and a boundary is seen
 * follows it, because the value depends on that. */
#include "eval/measure_list.h"

#include <math.h>

static void calc_ndcg_rel(const wn_judged *judged, const wn_parameters *parameters,
                          double *values) {
    size_t ngains = wn_gains_fill(judged, parameters), found = 0, relevant = 0, i = 0;
    wn_ideal ideal = {judged->gains, ngains, 0, 0};
    double dcg = 0, ideal_dcg = 0, sum = 0, best = wn_ideal_first(judged, ngains);
    if (best <= 0) return;
    for (; i < judged->retrieved; i++) {
        double gain = wn_gain_of(judged, ngains, judged->relevance[i]);
        if (gain != 0) dcg += gain / log2((double)(i + 2));
        if (best > 0 && (best = wn_ideal_next(&ideal)) > 0) {
            relevant++;
            ideal_dcg += best / log2((double)(i + 2));
        }
        if (gain > 0) {
            sum += dcg / ideal_dcg;
            found++;
        }
    }
    for (; best > 0; i++)
        if ((best = wn_ideal_next(&ideal)) > 0) {
            relevant++;
            ideal_dcg += best / log2((double)(i + 2));
        }
    sum += ((double)relevant - (double)found) * dcg / ideal_dcg;
    if (sum > 0) values[0] = sum / (double)relevant;
}

typedef struct {
    double dcg, ideal_dcg, sum;
    size_t points;
} rndcg;

static void take_point(rndcg *r) {
    if (r->ideal_dcg <= 0) return;
    r->sum += r->dcg / r->ideal_dcg;
    r->points++;
}

static void calc_Rndcg(const wn_judged *judged, const wn_parameters *parameters, double *values) {
    if (!judged->relevant) return;
    size_t ngains = wn_gains_fill(judged, parameters), i = 0;
    wn_ideal ideal = {judged->gains, ngains, 0, 0};
    double best = wn_ideal_first(judged, ngains);
    rndcg r = {0};
    bool taken = true; /* whether the ideal ranking still gains */
    for (; i < judged->retrieved; i++) {
        taken = best > 0;
        if (taken) {
            double next = wn_ideal_next(&ideal);
            if (next != best) take_point(&r);
            best = next;
        }
        double gain = wn_gain_of(judged, ngains, judged->relevance[i]);
        if (gain != 0) r.dcg += gain / log2((double)(i + 2));
        if (best > 0) r.ideal_dcg += best / log2((double)(i + 2));
    }
    if (!taken) take_point(&r); /* the end of a ranking longer than the ideal one */
    for (; best > 0; i++) {
        double next = wn_ideal_next(&ideal);
        if (next != best) take_point(&r);
        best = next;
        if (best > 0) r.ideal_dcg += best / log2((double)(i + 2));
    }
    if (r.points) values[0] = r.sum / (double)r.points;
}

const wn_measure wn_measure_ndcg_rel = {
    .name = "ndcg_rel",
    .help = "nDCG at the rank of each relevant document, averaged over relevant documents; one that\n"
            "was not retrieved counts with the nDCG at the end. Parameters as for ndcg.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_ndcg_rel};

const wn_measure wn_measure_Rndcg = {
    .name = "Rndcg",
    .help = "nDCG at the ranks where the ideal ranking changes from one gain to the next, averaged\n"
            "over those. Parameters as for ndcg.",
    .kind = WN_PARAMETERS_PAIRS, .source = WN_SOURCE_QRELS, .judged = calc_Rndcg};
