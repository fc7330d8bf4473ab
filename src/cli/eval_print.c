/* eval_print.c -- an evaluation as trec_eval prints it, as TSV and as JSON.
 * The three columns are trec_eval's to the byte: its users parse them. */
#include "cmd_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_value(const wn_evaluation *e, size_t v, size_t query, const eval_style *style) {
    wn_value_info info = wn_evaluation_value_info(e, v);
    bool all = query == SIZE_MAX, trec = style->format != EVAL_TSV;
    const char *id = all ? "all" : wn_evaluation_query(e, query);
    bool z = style->zscores && !(info.text && all) && !info.text;
    if (trec) printf("%s%-22s\t%s\t", z ? "Z" : "", info.name, id);
    else printf("%s%s\t%s\t", z ? "Z" : "", info.name, id);
    if (info.text) {
        const char *text = wn_evaluation_text(e, v, query);
        printf(all ? "%s\n" : "'%s'\n", text);
        return;
    }
    double value = all ? wn_evaluation_summary(e, v) : wn_evaluation_column(e, v)[query];
    if (info.integer && !z) printf("%lld\n", (long long)value);
    else if (trec) printf("%6.4f\n", value);
    else printf("%.9g\n", value);
}

/* relstring says nothing over all queries, runid and num_q nothing about one. */
static bool shown(wn_value_info info, bool all) {
    if (!info.text) return all || info.per_query;
    return info.per_query != all;
}

static void print_lines(const wn_evaluation *e, const eval_style *style) {
    wn_evaluation_info info = wn_evaluation_describe(e);
    if (style->format == EVAL_TSV) printf("measure\tquery\tvalue\n");
    for (size_t q = 0; style->per_query && q < info.queries; q++)
        for (size_t v = 0; v < info.values; v++)
            if (shown(wn_evaluation_value_info(e, v), false)) print_value(e, v, q, style);
    for (size_t v = 0; !style->no_summary && v < info.values; v++)
        if (shown(wn_evaluation_value_info(e, v), true)) print_value(e, v, SIZE_MAX, style);
}

static json_t *json_value(const wn_evaluation *e, size_t v, size_t query) {
    wn_value_info info = wn_evaluation_value_info(e, v);
    if (info.text) return json_string(wn_evaluation_text(e, v, query));
    double value = query == SIZE_MAX ? wn_evaluation_summary(e, v)
                                     : wn_evaluation_column(e, v)[query];
    return info.integer ? json_integer((json_int_t)value) : rec_real(value);
}

static json_t *json_values(const wn_evaluation *e, size_t query) {
    json_t *object = json_object();
    size_t n = wn_evaluation_describe(e).values;
    for (size_t v = 0; v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(e, v);
        if (shown(info, query == SIZE_MAX))
            json_object_set_new(object, info.name, json_value(e, v, query));
    }
    return object;
}

static void print_json(const wn_evaluation *e, const char *name, const eval_style *style) {
    wn_evaluation_info info = wn_evaluation_describe(e);
    json_t *root = json_pack("{s:s, s:I, s:I, s:I}", "run", name, "queries",
                             (json_int_t)info.queries, "missing_queries", (json_int_t)info.missing,
                             "unjudged_queries", (json_int_t)info.extra);
    if (!style->no_summary) json_object_set_new(root, "all", json_values(e, SIZE_MAX));
    if (style->per_query) {
        json_t *queries = json_object();
        for (size_t q = 0; q < info.queries; q++)
            json_object_set_new(queries, wn_evaluation_query(e, q), json_values(e, q));
        json_object_set_new(root, "by_query", queries);
    }
    cli_print_json(stdout, root);
}

int eval_print(const wn_evaluation *evaluation, const char *name, const eval_style *style) {
    if (style->format == EVAL_JSON) print_json(evaluation, name, style);
    else print_lines(evaluation, style);
    return cli_finish_output();
}
