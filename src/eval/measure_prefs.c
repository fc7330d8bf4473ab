/* measure_prefs.c -- the prefs_* measures: which share of the judges' preferences a ranking keeps.
 * Plain: a preference between two documents that were not retrieved counts as not kept. _imp leaves
 * those out; _ret looks only at pairs of which both were retrieved. */
#include "eval/measure_list.h"
#include "eval/preferences.h"

typedef enum { ALL, IMPLIED, RETRIEVED } scope;

static size_t fulfilled(const wn_judge_counts *c, scope s) {
    return c->fulfilled_both + (s == RETRIEVED ? 0 : c->fulfilled_one);
}

static size_t possible(const wn_judge_counts *c, scope s) {
    return c->possible_both + (s == RETRIEVED ? 0 : c->possible_one) +
           (s == ALL ? c->possible_none : 0);
}

static size_t total(const wn_preferences *p, size_t (*of)(const wn_judge_counts *, scope),
                    scope s) {
    size_t sum = 0;
    for (size_t i = 0; i < p->njudges; i++) sum += of(&p->judges[i], s);
    return sum;
}

static double simple(const wn_preferences *p, scope s) {
    size_t most = total(p, possible, s);
    return most ? (double)total(p, fulfilled, s) / (double)most : 0;
}

static double by_judge(const wn_preferences *p, scope s) {
    double sum = 0;
    for (size_t i = 0; i < p->njudges; i++) {
        size_t most = possible(&p->judges[i], s);
        if (most) sum += (double)fulfilled(&p->judges[i], s) / (double)most;
    }
    return p->njudges ? sum / (double)p->njudges : 0;
}

static double by_pair(const wn_preferences *p, scope s) {
    size_t pairs = 0;
    double sum = 0;
    for (size_t i = 0; i < p->judged; i++)
        for (size_t j = i + 1; j < p->judged; j++) {
            double for_it = p->counts[i * p->judged + j], against = p->counts[j * p->judged + i];
            if (for_it + against == 0) continue;
            if (s == RETRIEVED && j >= p->retrieved) continue;
            if (s == IMPLIED && i >= p->retrieved) continue;
            pairs++;
            if (i < p->retrieved) sum += for_it / (for_it + against);
        }
    return pairs ? sum / (double)pairs : 0;
}

/* Each judge with as many nonrelevant documents as relevant ones: surplus ones left out, missing
 * ones taken as ranked below every retrieved relevant one. A judge without any pair makes the
 * value 0 (it makes trec_eval's a NaN, which is then not stored). */
static double balanced(const wn_preferences *p, bool retrieved) {
    double sum = 0;
    for (size_t i = 0; i < p->njudges; i++) {
        const wn_judge_counts *c = &p->judges[i];
        size_t relevant = retrieved ? c->relevant_retrieved : c->relevant;
        size_t nonrelevant = retrieved ? c->nonrelevant_retrieved : c->nonrelevant;
        size_t kept, most;
        if (relevant >= nonrelevant) {
            scope s = retrieved ? RETRIEVED : ALL;
            kept = fulfilled(c, s) + c->relevant_retrieved * (relevant - nonrelevant);
            most = possible(c, s) + c->relevant * (relevant - nonrelevant);
        } else {
            kept = retrieved ? c->fulfilled_balanced_both : c->fulfilled_balanced;
            most = retrieved ? c->possible_balanced_both : c->possible_balanced;
        }
        if (!most) return 0;
        sum += (double)kept / (double)most;
    }
    return p->njudges ? sum / (double)p->njudges : 0;
}

static void calc_poss(const wn_preferences *p, double *v) { *v = (double)total(p, possible, ALL); }
static void calc_ful(const wn_preferences *p, double *v) { *v = (double)total(p, fulfilled, ALL); }
static void calc_ful_ret(const wn_preferences *p, double *v) {
    *v = (double)total(p, fulfilled, RETRIEVED);
}
static void calc_simp(const wn_preferences *p, double *v) { *v = simple(p, ALL); }
static void calc_simp_imp(const wn_preferences *p, double *v) { *v = simple(p, IMPLIED); }
static void calc_simp_ret(const wn_preferences *p, double *v) { *v = simple(p, RETRIEVED); }
static void calc_pair(const wn_preferences *p, double *v) { *v = by_pair(p, ALL); }
static void calc_pair_imp(const wn_preferences *p, double *v) { *v = by_pair(p, IMPLIED); }
static void calc_pair_ret(const wn_preferences *p, double *v) { *v = by_pair(p, RETRIEVED); }
static void calc_avgjg(const wn_preferences *p, double *v) { *v = by_judge(p, ALL); }
static void calc_avgjg_imp(const wn_preferences *p, double *v) { *v = by_judge(p, IMPLIED); }
static void calc_avgjg_ret(const wn_preferences *p, double *v) { *v = by_judge(p, RETRIEVED); }
static void calc_Rnonrel(const wn_preferences *p, double *v) { *v = balanced(p, false); }
static void calc_Rnonrel_ret(const wn_preferences *p, double *v) { *v = balanced(p, true); }

#define PREFS(suffix, calc, text)                                                              \
    const wn_measure wn_measure_prefs_##suffix = {.name = "prefs_" #suffix, .help = text,      \
                                                  .source = WN_SOURCE_PREFS,                   \
                                                  .preferences = calc}
#define PREFS_COUNT(suffix, calc, text)                                                        \
    const wn_measure wn_measure_prefs_##suffix = {.name = "prefs_" #suffix, .help = text,      \
                                                  .summary = WN_SUMMARY_SUM, .integer = true,  \
                                                  .source = WN_SOURCE_PREFS,                   \
                                                  .preferences = calc}

PREFS_COUNT(num_prefs_poss, calc_poss, "Preferences there are. The summary is their sum.");
PREFS_COUNT(num_prefs_ful, calc_ful, "Preferences kept, implied ones too. The summary is their sum.");
PREFS_COUNT(num_prefs_ful_ret, calc_ful_ret,
            "Preferences kept between retrieved documents. The summary is their sum.");
PREFS(simp, calc_simp, "Preferences kept over preferences there are.");
PREFS(simp_imp, calc_simp_imp, "prefs_simp without pairs of which neither was retrieved.");
PREFS(simp_ret, calc_simp_ret, "prefs_simp over pairs of which both were retrieved.");
PREFS(pair, calc_pair, "The share of judges' preferences kept of each pair, averaged over pairs.");
PREFS(pair_imp, calc_pair_imp, "prefs_pair without pairs of which neither was retrieved.");
PREFS(pair_ret, calc_pair_ret, "prefs_pair over pairs of which both were retrieved.");
PREFS(avgjg, calc_avgjg, "prefs_simp of each judge, averaged over judges.");
PREFS(avgjg_imp, calc_avgjg_imp, "prefs_simp_imp of each judge, averaged over judges.");
PREFS(avgjg_ret, calc_avgjg_ret, "prefs_simp_ret of each judge, averaged over judges.");
PREFS(avgjg_Rnonrel, calc_Rnonrel,
      "prefs_avgjg with as many nonrelevant documents as relevant ones for each judge.");
PREFS(avgjg_Rnonrel_ret, calc_Rnonrel_ret,
      "prefs_avgjg_Rnonrel over pairs of which both were retrieved.");
