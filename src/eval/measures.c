/* measures.c -- the table of measures, and what a name on the command line means.
 *
 * A specification is a name and maybe parameters: "map", "P.5,10", "ndcg.1=3,2=9". Besides
 * trec_eval's spelling the names of values are understood ("P_10", "ndcg_cut_10", as pytrec_eval
 * writes them) and those of papers ("nDCG@10", "MRR@10", "Recall@100"). Cutoffs of a measure named
 * twice are joined. */
#include "core/error.h"
#include "eval/lines.h"
#include "eval/measure_list.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const wn_measure *const WN_MEASURES[] = {
    &wn_measure_runid,
    &wn_measure_num_q,
    &wn_measure_num_ret,
    &wn_measure_num_rel,
    &wn_measure_num_rel_ret,
    &wn_measure_map,
    &wn_measure_gm_map,
    &wn_measure_Rprec,
    &wn_measure_bpref,
    &wn_measure_recip_rank,
    &wn_measure_recip_rank_cut,
    &wn_measure_iprec_at_recall,
    &wn_measure_P,
    &wn_measure_relstring,
    &wn_measure_recall,
    &wn_measure_infAP,
    &wn_measure_gm_bpref,
    &wn_measure_Rprec_mult,
    &wn_measure_utility,
    &wn_measure_11pt_avg,
    &wn_measure_binG,
    &wn_measure_G,
    &wn_measure_dcg,
    &wn_measure_ideal_dcg,
    &wn_measure_ndcg,
    &wn_measure_ndcg_rel,
    &wn_measure_Rndcg,
    &wn_measure_ndcg_cut,
    &wn_measure_map_cut,
    &wn_measure_relative_P,
    &wn_measure_success,
    &wn_measure_set_P,
    &wn_measure_set_relative_P,
    &wn_measure_set_recall,
    &wn_measure_set_map,
    &wn_measure_set_F,
    &wn_measure_num_nonrel_judged_ret,
    &wn_measure_prefs_num_prefs_poss,
    &wn_measure_prefs_num_prefs_ful,
    &wn_measure_prefs_num_prefs_ful_ret,
    &wn_measure_prefs_simp,
    &wn_measure_prefs_pair,
    &wn_measure_prefs_avgjg,
    &wn_measure_prefs_avgjg_Rnonrel,
    &wn_measure_prefs_simp_ret,
    &wn_measure_prefs_pair_ret,
    &wn_measure_prefs_avgjg_ret,
    &wn_measure_prefs_avgjg_Rnonrel_ret,
    &wn_measure_prefs_simp_imp,
    &wn_measure_prefs_pair_imp,
    &wn_measure_prefs_avgjg_imp,
    &wn_measure_map_avgjg,
    &wn_measure_P_avgjg,
    &wn_measure_Rprec_mult_avgjg,
    &wn_measure_yaap,
    &wn_measure_rbp,
    &wn_measure_rbp_resid,
    &wn_measure_unj,
};
const size_t WN_NMEASURES = sizeof WN_MEASURES / sizeof *WN_MEASURES;

static const struct {
    const char *name, *members; /* set apart by blanks */
} SETS[] = {
    {"official", "runid num_q num_ret num_rel num_rel_ret map gm_map Rprec bpref recip_rank "
                 "iprec_at_recall P"},
    {"set", "runid num_q num_ret num_rel num_rel_ret utility set_P set_recall set_relative_P "
            "set_map set_F"},
    {"all_trec", "runid num_q num_ret num_rel num_rel_ret map gm_map Rprec bpref recip_rank "
                 "iprec_at_recall P relstring recall unj rbp rbp_resid infAP gm_bpref utility "
                 "11pt_avg ndcg relative_P Rprec_mult success map_cut ndcg_cut ndcg_rel Rndcg binG "
                 "G set_P set_recall set_relative_P set_map set_F num_nonrel_judged_ret"},
    {"all_prefs", "runid num_q prefs_num_prefs_poss prefs_num_prefs_ful prefs_num_prefs_ful_ret "
                  "prefs_simp prefs_pair prefs_avgjg prefs_avgjg_Rnonrel prefs_simp_ret "
                  "prefs_pair_ret prefs_avgjg_ret prefs_avgjg_Rnonrel_ret prefs_simp_imp "
                  "prefs_pair_imp prefs_avgjg_imp"},
    {"prefs", "runid num_q prefs_num_prefs_poss prefs_num_prefs_ful prefs_num_prefs_ful_ret "
              "prefs_simp prefs_pair prefs_avgjg"},
    {"qrels_jg", "runid num_q map_avgjg P_avgjg Rprec_mult_avgjg"},
};

/* As papers write them: "name@k" is the first, "name" alone the second. */
static const struct {
    const char *name, *at, *alone;
} PAPER_NAMES[] = {
    {"ndcg", "ndcg_cut", "ndcg"},           {"p", "P", NULL},
    {"precision", "P", NULL},               {"recall", "recall", NULL},
    {"r", "recall", NULL},                  {"map", "map_cut", "map"},
    {"ap", "map_cut", "map"},               {"mrr", "recip_rank_cut", "recip_rank"},
    {"rr", "recip_rank_cut", "recip_rank"}, {"success", "success", NULL},
    {"hit", "success", NULL},               {"rprec", NULL, "Rprec"},
};

size_t wn_measure_count(void) { return WN_NMEASURES; }

wn_measure_info wn_measure_describe(size_t i) {
    const wn_measure *m = WN_MEASURES[i];
    return (wn_measure_info){m->name, m->help, m->defaults ? m->defaults : ""};
}

/* Where a measure's parameters are gathered while the specifications are read. */
typedef struct {
    bool wanted;
    wn_parameters parameters;
    size_t cap, keys_cap;
} gathered;

static size_t find_measure(const char *name, size_t len) {
    for (size_t i = 0; i < WN_NMEASURES; i++)
        if (strlen(WN_MEASURES[i]->name) == len && memcmp(WN_MEASURES[i]->name, name, len) == 0)
            return i;
    return SIZE_MAX;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static wn_status bad(const wn_measure *m, wn_str text, const char *want, wn_error *err) {
    return wn_fail(err, WN_ERR_ARGUMENT, "measure %s: \"%.*s\" is not %s", m->name,
                   (int)(text.len < 60 ? text.len : 60), text.data, want);
}

/* One parameter: "10", "0.5", "2=9.0", "p=0.8". */
static wn_status parse_parameter(const wn_measure *m, wn_str item, double *value, int32_t *key,
                                 wn_error *err) {
    *key = 0;
    if (m->kind == WN_PARAMETERS_PAIRS) {
        const char *equals = item.len ? memchr(item.data, '=', item.len) : NULL;
        if (!equals) return bad(m, item, "of the form level=gain", err);
        wn_str name = {item.data, (size_t)(equals - item.data)};
        if (name.len == 1 && *name.data == 'p') *key = WN_KEY_P;
        else if (!wn_field_integer(name, key))
            return bad(m, item, "of the form level=gain, the level being a whole number", err);
        item = (wn_str){equals + 1, item.len - name.len - 1};
    }
    if (!wn_field_real(item, value)) return bad(m, item, "a number", err);
    if (m->kind != WN_PARAMETERS_CUTOFFS) return WN_OK;
    /* trec_eval reads "23.4" as 23, and one of NIST's cases asks so. */
    if (!(*value >= 1 && *value < 1e9)) return bad(m, item, "a cutoff: a rank from 1 up", err);
    *value = (double)(uint64_t)*value;
    return WN_OK;
}

static bool adds_up(wn_parameters_kind kind) {
    return kind == WN_PARAMETERS_CUTOFFS || kind == WN_PARAMETERS_FRACTIONS;
}

static wn_status parse_parameters(const wn_measure *m, wn_str text, gathered *g, wn_error *err) {
    if (m->kind == WN_PARAMETERS_NONE)
        return wn_fail(err, WN_ERR_ARGUMENT, "measure %s has no parameters", m->name);
    if (!adds_up(m->kind)) g->parameters.count = 0;
    while (true) {
        const char *comma = text.len ? memchr(text.data, ',', text.len) : NULL;
        wn_str item = {text.data, comma ? (size_t)(comma - text.data) : text.len};
        wn_parameters *p = &g->parameters;
        WN_TRY(wn_grow(&p->values, &g->cap, p->count + 1, sizeof *p->values, err));
        WN_TRY(wn_grow(&p->keys, &g->keys_cap, p->count + 1, sizeof *p->keys, err));
        WN_TRY(parse_parameter(m, item, &p->values[p->count], &p->keys[p->count], err));
        p->count++;
        if (!comma) return WN_OK;
        text = (wn_str){comma + 1, text.len - item.len - 1};
    }
}

static wn_status want(gathered *all, size_t measure, wn_str parameters, wn_error *err) {
    gathered *g = &all[measure];
    const wn_measure *m = WN_MEASURES[measure];
    g->wanted = true;
    if (!parameters.data) return WN_OK;
    WN_TRY(parse_parameters(m, parameters, g, err));
    wn_free(g->parameters.text);
    g->parameters.text = wn_strndup(parameters.data, parameters.len);
    return g->parameters.text ? WN_OK : wn_fail_memory(err, parameters.len);
}

static wn_status unknown(const char *spec, wn_error *err) {
    return wn_fail(err, WN_ERR_ARGUMENT,
                   "there is no measure \"%.100s\" (winnow eval --list-measures tells them)", spec);
}

/* "nDCG@10", "MRR" */
static wn_status want_paper_name(gathered *all, const char *spec, wn_error *err) {
    size_t len = strcspn(spec, "@");
    for (size_t i = 0; i < sizeof PAPER_NAMES / sizeof *PAPER_NAMES; i++) {
        if (strlen(PAPER_NAMES[i].name) != len || strncasecmp(PAPER_NAMES[i].name, spec, len) != 0)
            continue;
        const char *name = spec[len] ? PAPER_NAMES[i].at : PAPER_NAMES[i].alone;
        if (!name) break;
        wn_str parameters = {spec[len] ? spec + len + 1 : NULL, spec[len] ? strlen(spec) - len - 1 : 0};
        return want(all, find_measure(name, strlen(name)), parameters, err);
    }
    return unknown(spec, err);
}

static wn_status want_spec(gathered *all, const char *spec, wn_error *err) {
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++) {
        if (strcmp(SETS[i].name, spec) != 0) continue;
        wn_str rest = {SETS[i].members, strlen(SETS[i].members)}, name;
        while (wn_field_next(&rest, &name))
            WN_TRY(want(all, find_measure(name.data, name.len), (wn_str){0}, err));
        return WN_OK;
    }
    const char *dot = strchr(spec, '.');
    size_t measure = find_measure(spec, dot ? (size_t)(dot - spec) : strlen(spec));
    if (measure != SIZE_MAX)
        return want(all, measure, dot ? (wn_str){dot + 1, strlen(dot + 1)} : (wn_str){0}, err);
    const char *line = strrchr(spec, '_'); /* "ndcg_cut_10" */
    measure = line ? find_measure(spec, (size_t)(line - spec)) : SIZE_MAX;
    if (measure != SIZE_MAX && adds_up(WN_MEASURES[measure]->kind))
        return want(all, measure, (wn_str){line + 1, strlen(line + 1)}, err);
    return want_paper_name(all, spec, err);
}

/* Defaults where nothing was given; cutoffs in order, each once. */
static wn_status finish(const wn_measure *m, gathered *g, wn_error *err) {
    wn_parameters *p = &g->parameters;
    if (!p->count && m->defaults)
        WN_TRY(parse_parameters(m, (wn_str){m->defaults, strlen(m->defaults)}, g, err));
    if (adds_up(m->kind)) {
        qsort(p->values, p->count, sizeof *p->values, by_value);
        size_t kept = 0;
        for (size_t i = 0; i < p->count; i++)
            if (!kept || p->values[kept - 1] != p->values[i]) p->values[kept++] = p->values[i];
        p->count = kept;
    }
    if (strcmp(m->name, "utility") == 0 && p->count != 4)
        return wn_fail(err, WN_ERR_ARGUMENT, "measure utility has four coefficients, not %zu",
                       p->count);
    return WN_OK;
}

static void release(wn_parameters *p) {
    wn_free(p->values);
    wn_free(p->keys);
    wn_free(p->text);
}

wn_status wn_requests_parse(const char *const *specs, size_t nspecs, wn_request **out,
                            size_t *count, wn_error *err) {
    gathered *all = wn_calloc(WN_NMEASURES, sizeof *all);
    wn_request *requests = wn_calloc(WN_NMEASURES, sizeof *requests);
    wn_status st = all && requests ? WN_OK : wn_fail_memory(err, WN_NMEASURES * sizeof *all);
    if (st == WN_OK && !nspecs) st = want_spec(all, "official", err);
    for (size_t i = 0; st == WN_OK && i < nspecs; i++) st = want_spec(all, specs[i], err);
    size_t n = 0, first = 0;
    for (size_t i = 0; st == WN_OK && i < WN_NMEASURES; i++) {
        if (!all[i].wanted) continue;
        st = finish(WN_MEASURES[i], &all[i], err);
        size_t nvalues = adds_up(WN_MEASURES[i]->kind) ? all[i].parameters.count : 1;
        requests[n++] = (wn_request){WN_MEASURES[i], all[i].parameters, first, nvalues};
        all[i].parameters = (wn_parameters){0};
        first += nvalues;
    }
    for (size_t i = 0; all && i < WN_NMEASURES; i++) release(&all[i].parameters);
    wn_free(all);
    if (st != WN_OK) {
        wn_requests_free(requests, n);
        return st;
    }
    *out = requests;
    *count = n;
    return WN_OK;
}

void wn_requests_free(wn_request *requests, size_t count) {
    for (size_t i = 0; i < count; i++) release(&requests[i].parameters);
    wn_free(requests);
}
