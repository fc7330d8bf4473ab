/* eval_compare.c -- two evaluations side by side: is the second better, by how much, how surely. */
#include "cmd_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const wn_evaluation *a, *b;
    const char *name_a, *name_b;
    const eval_style *style;
} sides;

/* Values that are a number of each query and whose mean means something. */
static bool comparable(wn_value_info info) {
    return !info.text && info.per_query && info.summary == WN_SUMMARY_MEAN;
}

static wn_gain *gains_of(const sides *s, const char *value, size_t *count, wn_error *err) {
    if (wn_evaluation_gains(s->a, s->b, value, NULL, count, err) != WN_OK) return NULL;
    wn_gain *gains = calloc(*count, sizeof *gains);
    if (!gains) {
        cli_fail_memory();
        err->code = WN_OK; /* told already */
        return NULL;
    }
    if (wn_evaluation_gains(s->a, s->b, value, gains, count, err) == WN_OK) return gains;
    free(gains);
    return NULL;
}

static void print_percent(double percent, int width) {
    char text[32];
    if (isfinite(percent)) snprintf(text, sizeof text, "%+.1f %%", percent);
    else snprintf(text, sizeof text, "-");
    printf("%*s", width, text);
}

/* "~" before p: from random assignments, not from all. */
static void print_p(const wn_permutation *test) {
    char text[24];
    if (test->p < 0.0001) snprintf(text, sizeof text, "<0.0001");
    else snprintf(text, sizeof text, "%s%.4f", test->exact ? "" : "~", test->p);
    printf("%7s", text);
}

static void print_row(const char *name, const wn_comparison *c, const eval_style *style) {
    if (style->format == EVAL_TSV) {
        printf("%s\t%zu\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%d\t%zu\t%zu\t%zu\n", name,
               c->queries, c->mean_a, c->mean_b, c->improvement, c->difference.mean,
               c->difference.low, c->difference.high, c->test.p, c->test.exact, c->better, c->worse,
               c->equal);
        return;
    }
    printf("%-22s %8.4f %8.4f ", name, c->mean_a, c->mean_b);
    print_percent(c->improvement, 10);
    printf("   %+.4f  [%+.4f, %+.4f]  ", c->difference.mean, c->difference.low,
           c->difference.high);
    print_p(&c->test);
    printf("  %5zu %5zu %5zu\n", c->better, c->worse, c->equal);
}

static void print_header(const sides *s, size_t queries, size_t left_out) {
    if (s->style->format == EVAL_TSV) {
        printf("measure\tqueries\ta\tb\timprovement_percent\tdifference\tlow\thigh\tp\tp_exact\t"
               "better\tworse\tequal\n");
        return;
    }
    printf("a: %s\nb: %s\n%zu queries that both have", s->name_a, s->name_b, queries);
    if (left_out) printf("; %zu that only one has are left out", left_out);
    printf("\n\n%-22s %8s %8s %10s   %-7s  %-18s  %-7s  %5s %5s %5s\n", "measure", "a", "b",
           "change", "b - a", "95 % interval", "p", "up", "down", "same");
}

static void print_gains(const wn_gain *gains, size_t count, const char *value,
                        const eval_style *style) {
    bool tsv = style->format == EVAL_TSV, color = !tsv && cli_color(stdout);
    if (tsv) printf("\nmeasure\tquery\ta\tb\tgain\n");
    else printf("\n%s by query, largest gain first\n", value);
    for (size_t i = 0; i < count; i++) {
        const wn_gain *g = &gains[i];
        if (tsv) {
            printf("%s\t%s\t%.9g\t%.9g\t%.9g\n", value, g->query, g->a, g->b, g->gain);
            continue;
        }
        int ink = g->gain > 0 ? 32 : g->gain < 0 ? 31 : 0;
        printf("  %8.4f %8.4f  ", g->a, g->b);
        if (color && ink) printf("\x1b[%dm%+.4f\x1b[0m  ", ink, g->gain);
        else printf("%+.4f  ", g->gain);
        cli_print_snippet(stdout, g->query, strlen(g->query), 60);
        putchar('\n');
    }
}

static json_t *json_row(const char *name, const wn_comparison *c) {
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:[o, o], s:o, s:b, s:I, s:I, s:I}",
                     "measure", name, "queries", (json_int_t)c->queries, "a",
                     rec_real(c->mean_a), "b", rec_real(c->mean_b),
                     "improvement_percent", rec_real(c->improvement), "difference",
                     rec_real(c->difference.mean), "interval_95",
                     rec_real(c->difference.low), rec_real(c->difference.high), "p",
                     rec_real(c->test.p), "p_exact", c->test.exact, "better",
                     (json_int_t)c->better, "worse", (json_int_t)c->worse, "equal",
                     (json_int_t)c->equal);
}

static json_t *json_gains(const wn_gain *gains, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "query", gains[i].query, "a",
                                              rec_real(gains[i].a), "b",
                                              rec_real(gains[i].b), "gain",
                                              rec_real(gains[i].gain)));
    return list;
}

static int fail(const wn_error *err) { return err->code == WN_OK ? EXIT_FAILED : cli_fail(err); }

static int print_json(const sides *s) {
    wn_error err = {0};
    json_t *rows = json_array();
    size_t n = wn_evaluation_describe(s->a).values, left_out = 0;
    int code = EXIT_DONE;
    for (size_t v = 0; code == EXIT_DONE && v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(s->a, v);
        wn_comparison c;
        if (!comparable(info)) continue;
        if (wn_evaluation_compare(s->a, s->b, info.name, NULL, &c, &err) != WN_OK) {
            code = fail(&err);
            break;
        }
        json_t *row = json_row(info.name, &c);
        left_out = c.left_out;
        if (s->style->per_query) {
            size_t count;
            wn_gain *gains = gains_of(s, info.name, &count, &err);
            if (gains) json_object_set_new(row, "by_query", json_gains(gains, count));
            else code = fail(&err);
            free(gains);
        }
        json_array_append_new(rows, row);
    }
    if (code == EXIT_DONE)
        cli_print_json(stdout, json_pack("{s:s, s:s, s:I, s:O}", "run_a", s->name_a, "run_b",
                                         s->name_b, "queries_left_out", (json_int_t)left_out,
                                         "measures", rows));
    json_decref(rows);
    return code;
}

static int print_table(const sides *s) {
    wn_error err = {0};
    size_t n = wn_evaluation_describe(s->a).values;
    bool first = true;
    for (size_t v = 0; !s->style->no_summary && v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(s->a, v);
        wn_comparison c;
        if (!comparable(info)) continue;
        if (wn_evaluation_compare(s->a, s->b, info.name, NULL, &c, &err) != WN_OK)
            return fail(&err);
        if (first) print_header(s, c.queries, c.left_out);
        first = false;
        print_row(info.name, &c, s->style);
    }
    for (size_t v = 0; s->style->per_query && v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(s->a, v);
        size_t count;
        if (!comparable(info)) continue;
        wn_gain *gains = gains_of(s, info.name, &count, &err);
        if (!gains) return fail(&err);
        print_gains(gains, count, info.name, s->style);
        free(gains);
    }
    return EXIT_DONE;
}

int eval_print_comparison(const wn_evaluation *a, const char *name_a, const wn_evaluation *b,
                          const char *name_b, const eval_style *style) {
    sides s = {a, b, name_a, name_b, style};
    size_t n = 0;
    for (size_t v = 0; v < wn_evaluation_describe(a).values; v++)
        n += comparable(wn_evaluation_value_info(a, v));
    if (!n) {
        fprintf(stderr, "winnow eval: none of these measures can be compared query by query\n");
        return EXIT_USAGE;
    }
    int code = style->format == EVAL_JSON ? print_json(&s) : print_table(&s);
    return code == EXIT_DONE ? cli_finish_output() : code;
}
