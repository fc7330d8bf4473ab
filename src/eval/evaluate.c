/* evaluate.c -- a run beside qrels: every measure for every query, and over all of them.
 *
 * Values are kept by column, [value][query], because that is how they are used afterwards: means,
 * intervals and comparisons take one measure over all queries.
 *
 * The summary of trec_eval under -c divides by all queries of the qrels. Here a query without
 * results is evaluated with an empty ranking and its values (0, for a geometric mean the logarithm
 * of the least) enter like any other, which is the same number and lets -c's queries be paired. */
#include "core/error.h"
#include "eval/collections.h"
#include "eval/evaluation.h"
#include "eval/measure_list.h"
#include "eval/preferences.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

wn_evaluate_options wn_evaluate_options_default(void) {
    return (wn_evaluate_options){.size = sizeof(wn_evaluate_options), .level = 1};
}

/* What is used again for each query. */
typedef struct {
    wn_evaluate_options options;
    wn_document_index index;
    int32_t *relevance;
    size_t relevance_cap;
    wn_level *levels;
    size_t levels_cap;
    wn_gain_level *gains;
    size_t gains_cap;
    int32_t *sorted;
    size_t sorted_cap;
    double *values; /* of one measure and one judge */
} workspace;

static void release_workspace(workspace *ws) {
    wn_document_index_release(&ws->index);
    wn_free(ws->relevance);
    wn_free(ws->levels);
    wn_free(ws->gains);
    wn_free(ws->sorted);
    wn_free(ws->values);
}

static int by_relevance(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Levels of the judgements, relevant and nonrelevant counts. */
static wn_status fill_levels(workspace *ws, const wn_judgement *items, size_t count,
                             wn_judged *judged, wn_error *err) {
    size_t n = 0, nlevels = 0;
    WN_TRY(wn_grow(&ws->sorted, &ws->sorted_cap, count + 1, sizeof *ws->sorted, err));
    for (size_t i = 0; i < count; i++)
        if (items[i].relevance >= 0) ws->sorted[n++] = items[i].relevance;
    if (n) qsort(ws->sorted, n, sizeof *ws->sorted, by_relevance);
    for (size_t i = 0; i < n; i++) {
        if (!nlevels || ws->levels[nlevels - 1].relevance != ws->sorted[i]) {
            WN_TRY(wn_grow(&ws->levels, &ws->levels_cap, nlevels + 1, sizeof *ws->levels, err));
            ws->levels[nlevels++] = (wn_level){ws->sorted[i], 0};
        }
        ws->levels[nlevels - 1].count++;
        if (ws->sorted[i] >= judged->level) judged->relevant++;
        else judged->nonrelevant++;
    }
    judged->levels = ws->levels;
    judged->nlevels = nlevels;
    WN_TRY(wn_grow(&ws->gains, &ws->gains_cap, nlevels + 1, sizeof *ws->gains, err));
    judged->gains = ws->gains;
    return WN_OK;
}

/* Puts judgements [count] beside the ranking; ranked NULL: the query has no results. */
static wn_status judge(workspace *ws, const wn_judgement *items, size_t count,
                       const wn_ranked_query *ranked, wn_judged *judged, wn_error *err) {
    *judged = (wn_judged){.level = ws->options.level, .missing = !ranked,
                          .collection_size = ws->options.collection_size};
    WN_TRY(fill_levels(ws, items, count, judged, err));
    size_t depth = ranked ? ranked->count : 0;
    if (ws->options.max_retrieved && depth > ws->options.max_retrieved)
        depth = ws->options.max_retrieved;
    WN_TRY(wn_grow(&ws->relevance, &ws->relevance_cap, depth + 1, sizeof *ws->relevance, err));
    WN_TRY(wn_document_index_build(&ws->index, items, count, sizeof *items, NULL, NULL, err));
    for (size_t i = 0; i < depth; i++) {
        size_t at = wn_document_index_find(&ws->index, ranked->items[i].document);
        int32_t relevance = at == SIZE_MAX ? WN_NOT_IN_POOL : items[at].relevance;
        if (at != SIZE_MAX && relevance < 0) relevance = WN_NOT_JUDGED;
        if (relevance < 0 && ws->options.judged_only) continue;
        judged->not_in_pool += relevance == WN_NOT_IN_POOL;
        judged->not_judged += relevance == WN_NOT_JUDGED;
        judged->relevant_retrieved += relevance >= 0 && relevance >= judged->level;
        ws->relevance[judged->retrieved++] = relevance;
    }
    judged->relevance = ws->relevance;
    return WN_OK;
}

static char relevance_letter(int32_t relevance) {
    if (relevance > 9) return '>';
    if (relevance >= 0) return (char)('0' + relevance);
    return relevance == WN_NOT_IN_POOL ? '-' : '.';
}

static wn_status add_relstring(wn_evaluation *e, const wn_request *request, size_t query,
                               const wn_judged *judged, wn_error *err) {
    double wanted = request->parameters.values[0];
    size_t len = judged->retrieved;
    if (wanted < (double)len) len = wanted > 0 ? (size_t)wanted : 0;
    char *text = wn_malloc(len + 1);
    if (!text) return wn_fail_memory(err, len);
    for (size_t i = 0; i < len; i++) text[i] = relevance_letter(judged->relevance[i]);
    text[len] = 0;
    wn_free(e->relstrings[query]);
    e->relstrings[query] = text;
    return WN_OK;
}

static void put(wn_evaluation *e, const wn_request *request, size_t query, const double *values,
                double divisor) {
    for (size_t v = 0; v < request->nvalues; v++)
        e->columns[(request->first + v) * e->nqueries + query] += values[v] / divisor;
}

/* All measures of one judge's judgements (the only one's, unless divisor > 1). */
static wn_status measure_judged(wn_evaluation *e, workspace *ws, size_t query,
                                const wn_judged *judged, double divisor, bool grouped,
                                wn_error *err) {
    for (size_t r = 0; r < e->nrequests; r++) {
        const wn_request *request = &e->requests[r];
        if (request->measure == &wn_measure_relstring) {
            WN_TRY(add_relstring(e, request, query, judged, err));
            continue;
        }
        if (!request->measure->judged ||
            (grouped && request->measure->source == WN_SOURCE_QRELS))
            continue;
        memset(ws->values, 0, request->nvalues * sizeof *ws->values);
        request->measure->judged(judged, &request->parameters, ws->values);
        put(e, request, query, ws->values, divisor);
    }
    return WN_OK;
}

static wn_status measure_groups(wn_evaluation *e, workspace *ws, size_t query,
                                const wn_judged_query *items, const wn_ranked_query *ranked,
                                wn_error *err) {
    size_t ngroups = 0;
    for (size_t i = 0; i < items->count; i++)
        ngroups += !i || items->items[i].group != items->items[i - 1].group;
    for (size_t begin = 0, end; begin < items->count; begin = end) {
        for (end = begin + 1; end < items->count; end++)
            if (items->items[end].group != items->items[begin].group) break;
        wn_judged judged;
        WN_TRY(judge(ws, items->items + begin, end - begin, ranked, &judged, err));
        WN_TRY(measure_judged(e, ws, query, &judged, (double)ngroups, true, err));
    }
    return WN_OK;
}

static wn_status measure_preferences(wn_evaluation *e, workspace *ws, size_t query,
                                     const wn_qrels *qrels, uint32_t number,
                                     const wn_ranked_query *ranked, wn_error *err) {
    size_t depth = ws->options.max_retrieved ? ws->options.max_retrieved : SIZE_MAX;
    wn_preferences *preferences = NULL;
    WN_TRY(wn_preferences_create(qrels, number, ranked ? ranked->items : NULL,
                                 ranked ? ranked->count : 0, depth, &preferences, err));
    for (size_t r = 0; r < e->nrequests; r++) {
        const wn_request *request = &e->requests[r];
        double value = request->measure == &wn_measure_num_q;
        if (request->measure->preferences) request->measure->preferences(preferences, &value);
        put(e, request, query, &value, 1);
    }
    wn_preferences_free(preferences);
    return WN_OK;
}

static wn_status measure_query(wn_evaluation *e, workspace *ws, size_t query,
                               const wn_qrels *qrels, uint32_t number,
                               const wn_ranked_query *ranked, wn_error *err) {
    const wn_judged_query *items = &qrels->judged[number];
    if (qrels->format >= WN_QRELS_PREFS)
        return measure_preferences(e, ws, query, qrels, number, ranked, err);
    if (qrels->format == WN_QRELS_GROUPS)
        return measure_groups(e, ws, query, items, ranked, err);
    wn_judged judged;
    WN_TRY(judge(ws, items->items, items->count, ranked, &judged, err));
    return measure_judged(e, ws, query, &judged, 1, false, err);
}

/* The queries that count, in order of id, and how many are missing or extra. */
static wn_status choose_queries(wn_evaluation *e, const wn_qrels *qrels, const wn_run *run,
                                bool complete, uint32_t **in_qrels, wn_error *err) {
    size_t n = qrels->queries.count, common = 0;
    uint32_t *numbers = wn_calloc(n, sizeof *numbers), ignored;
    e->queries = wn_calloc(n, sizeof *e->queries);
    if (!numbers || !e->queries) {
        wn_free(numbers);
        return wn_fail_memory(err, n * sizeof *e->queries);
    }
    *in_qrels = numbers;
    for (size_t i = 0; i < n; i++) {
        const char *id = qrels->queries.names[qrels->order[i]];
        bool found = wn_id_table_find(&run->queries, id, strlen(id), &ignored);
        common += found;
        e->missing += !found;
        if (!found && !complete) continue;
        numbers[e->nqueries] = qrels->order[i];
        e->queries[e->nqueries] = wn_pool_text_add(&e->text, id, strlen(id));
        if (!e->queries[e->nqueries]) return wn_fail_memory(err, strlen(id));
        e->nqueries++;
    }
    e->extra = run->queries.count - common;
    if (!common)
        return wn_fail(err, WN_ERR_MISMATCH,
                       "no query is in both: %s has \"%.60s\", %s has \"%.60s\"", qrels->name,
                       n ? qrels->queries.names[qrels->order[0]] : "", run->name,
                       run->queries.count ? run->queries.names[run->order[0]] : "");
    return WN_OK;
}

static wn_status check_sources(const wn_evaluation *e, wn_qrels_format format, wn_error *err) {
    static const char *const WHAT[] = {"any qrels", "qrels", "qrels by judge (qrels_jg)",
                                       "preferences (prefs or qrels_prefs)"};
    wn_measure_source have = format >= WN_QRELS_PREFS    ? WN_SOURCE_PREFS
                             : format == WN_QRELS_GROUPS ? WN_SOURCE_GROUPS : WN_SOURCE_QRELS;
    for (size_t r = 0; r < e->nrequests; r++) {
        wn_measure_source need = e->requests[r].measure->source;
        if (need != WN_SOURCE_ANY && need != have)
            return wn_fail(err, WN_ERR_MISMATCH, "measure %s needs %s, and was given %s",
                           e->requests[r].measure->name, WHAT[need], WHAT[have]);
    }
    return WN_OK;
}

/* "P" with 5 is "P_5", "Rprec_mult" with 0.2 is "Rprec_mult_0.20", "ndcg" with "1=3" "ndcg_1=3". */
static wn_status name_values(wn_evaluation *e, wn_error *err) {
    for (size_t r = 0; r < e->nrequests; r++) {
        const wn_request *request = &e->requests[r];
        const wn_measure *m = request->measure;
        for (size_t v = 0; v < request->nvalues; v++) {
            wn_buf name = {0};
            double x = request->parameters.count ? request->parameters.values[v] : 0;
            wn_status st;
            if (m->kind == WN_PARAMETERS_CUTOFFS)
                st = wn_buf_printf(&name, err, "%s_%.0f", m->name, x);
            else if (m->kind == WN_PARAMETERS_FRACTIONS)
                st = wn_buf_printf(&name, err, "%s_%.2f", m->name, x);
            else if (request->parameters.text)
                st = wn_buf_printf(&name, err, "%s_%s", m->name, request->parameters.text);
            else st = wn_buf_printf(&name, err, "%s", m->name);
            char *copy = st == WN_OK ? wn_pool_text_add(&e->text, name.data, name.len) : NULL;
            wn_buf_release(&name);
            if (!copy) return st != WN_OK ? st : wn_fail_memory(err, 32);
            e->infos[request->first + v] = (wn_value_info){
                .name = copy, .summary = m->summary, .integer = m->integer,
                .per_query = !m->hidden, .text = m->summary == WN_SUMMARY_NONE};
        }
    }
    return WN_OK;
}

/* Relevances above 0 in the whole file: what num_rel says under -c. */
static double count_positive(const wn_qrels *qrels) {
    double n = 0;
    for (size_t q = 0; q < qrels->queries.count; q++)
        for (size_t i = 0; i < qrels->judged[q].count; i++)
            n += qrels->judged[q].items[i].relevance > 0;
    return n;
}

static void summarise(wn_evaluation *e, const wn_qrels *qrels, bool complete) {
    for (size_t v = 0; v < e->nvalues; v++) {
        double sum = 0;
        for (size_t q = 0; q < e->nqueries; q++) sum += e->columns[v * e->nqueries + q];
        switch (e->infos[v].summary) {
        case WN_SUMMARY_MEAN: sum /= (double)e->nqueries; break;
        case WN_SUMMARY_GEOMETRIC: sum = exp(sum / (double)e->nqueries); break;
        case WN_SUMMARY_QUERIES: sum = (double)e->nqueries; break;
        case WN_SUMMARY_SUM:
            if (complete && strcmp(e->infos[v].name, "num_rel") == 0) sum = count_positive(qrels);
            break;
        case WN_SUMMARY_NONE: sum = 0; break;
        }
        e->summaries[v] = sum;
    }
}

static wn_status allocate(wn_evaluation *e, workspace *ws, wn_error *err) {
    size_t cells;
    if (wn_mul_overflows(e->nvalues, e->nqueries, &cells)) return wn_fail_memory(err, SIZE_MAX);
    e->infos = wn_calloc(e->nvalues, sizeof *e->infos);
    e->summaries = wn_calloc(e->nvalues, sizeof *e->summaries);
    e->columns = wn_calloc(cells, sizeof *e->columns);
    e->relstrings = wn_calloc(e->nqueries, sizeof *e->relstrings);
    ws->values = wn_calloc(e->nvalues, sizeof *ws->values);
    if (!e->infos || !e->summaries || !e->columns || !e->relstrings || !ws->values)
        return wn_fail_memory(err, cells * sizeof *e->columns);
    return WN_OK;
}

static wn_status evaluate(wn_evaluation *e, workspace *ws, wn_qrels *qrels, wn_run *run,
                          uint32_t **numbers, wn_error *err) {
    const wn_evaluate_options *o = &ws->options;
    WN_TRY(wn_requests_parse(o->measures, o->nmeasures, &e->requests, &e->nrequests, err));
    for (size_t r = 0; r < e->nrequests; r++) e->nvalues += e->requests[r].nvalues;
    WN_TRY(check_sources(e, qrels->format, err));
    WN_TRY(wn_qrels_sort(qrels, err));
    WN_TRY(wn_run_sort(run, err));
    WN_TRY(choose_queries(e, qrels, run, o->complete, numbers, err));
    WN_TRY(allocate(e, ws, err));
    WN_TRY(name_values(e, err));
    e->tag = wn_pool_text_add(&e->text, run->tag, strlen(run->tag));
    if (!e->tag) return wn_fail_memory(err, strlen(run->tag));
    for (size_t q = 0; q < e->nqueries; q++) {
        uint32_t at;
        bool found = wn_id_table_find(&run->queries, e->queries[q], strlen(e->queries[q]), &at);
        WN_TRY(measure_query(e, ws, q, qrels, (*numbers)[q], found ? &run->ranked[at] : NULL, err));
    }
    if (o->zscores) wn_zscores_apply(o->zscores, e);
    summarise(e, qrels, o->complete);
    return WN_OK;
}

wn_status wn_evaluate(wn_qrels *qrels, wn_run *run, const wn_evaluate_options *options,
                      wn_evaluation **out, wn_error *err) {
    workspace ws = {.options = wn_evaluate_options_default()};
    if (options) {
        size_t size = options->size < sizeof ws.options ? options->size : sizeof ws.options;
        memcpy(&ws.options, options, size);
    }
    if (ws.options.level < 0)
        return wn_fail(err, WN_ERR_ARGUMENT, "the level of relevance must be 0 or more, not %d",
                       ws.options.level);
    wn_evaluation *e = wn_calloc(1, sizeof *e);
    if (!e) return wn_fail_memory(err, sizeof *e);
    uint32_t *numbers = NULL;
    wn_status st = evaluate(e, &ws, qrels, run, &numbers, err);
    wn_free(numbers);
    release_workspace(&ws);
    if (st == WN_OK) *out = e;
    else wn_evaluation_free(e);
    return st;
}
