/* test_eval_nist.c -- every case of NIST's own test of trec_eval (its Makefile's quicktest).
 *
 * Every line of an expected output is looked up in our evaluation, printed in trec_eval's way and
 * compared as text; a value of ours that has no line fails too. The files are not in the tree:
 * they are looked for in ../shared/data/trec_eval (or $WN_SHARED/data/trec_eval), else SKIPPED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <winnow/eval.h>
#include "eval/lines.h"

typedef struct {
    const char *expected, *qrels, *run;
    wn_qrels_format format;
    const char *measures[10]; /* NULL-terminated */
    bool per_query, complete;
    int level;
    size_t max_retrieved;
    const char *zscores;
} nist_case;

static const nist_case CASES[] = {
    {"out.test", "qrels.test", "results.test", WN_QRELS_AUTO, {"official"}},
    {"out.test", "qrels.test.with-comments", "results.test", WN_QRELS_AUTO, {"official"}},
    {"out.comment.test", "qrels.comment.test", "results.comment.test", WN_QRELS_AUTO, {"official"}},
    {"out.test.a", "qrels.test", "results.test", WN_QRELS_AUTO, {"all_trec"}},
    {"out.test.aq", "qrels.test", "results.test", WN_QRELS_AUTO, {"all_trec"}, .per_query = true},
    {"out.test.aqc", "qrels.test", "results.trunc", WN_QRELS_AUTO, {"all_trec"}, .per_query = true,
     .complete = true},
    {"out.test.aqcM", "qrels.test", "results.trunc", WN_QRELS_AUTO, {"all_trec"}, .per_query = true,
     .complete = true, .max_retrieved = 100},
    {"out.test.aql", "qrels.rel_level", "results.test", WN_QRELS_AUTO,
     {"all_trec", "relstring.20"}, .per_query = true, .level = 2},
    {"out.test.prefs", "prefs.test", "prefs.results.test", WN_QRELS_PREFS, {"all_prefs"},
     .per_query = true},
    {"out.test.prefs", "prefs.comment.test", "prefs.results.test", WN_QRELS_PREFS, {"all_prefs"},
     .per_query = true},
    {"out.test.qrels_prefs", "qrels.test", "results.test", WN_QRELS_AS_PREFS, {"all_prefs"},
     .per_query = true},
    {"out.test.qrels_jg", "qrels.123", "results.test", WN_QRELS_GROUPS, {"qrels_jg"},
     .per_query = true},
    {"out.test.qrels_jg", "qrels.comments.123", "results.test", WN_QRELS_GROUPS, {"qrels_jg"},
     .per_query = true},
    {"out.test.meas_params", "qrels.test", "results.test", WN_QRELS_AUTO,
     {"iprec_at_recall..10,.20,.25,.75,.50", "P.5,7,3", "recall.20,2000", "Rprec_mult.5.0,0.2,0.35",
      "utility.2,-1,0,0", "11pt_avg..25,.5,.75", "ndcg.1=3,2=9,4=4.5", "ndcg_cut.10,20,23.4",
      "success.2,5,20"}, .per_query = true},
    {"out.test.aqZ", "qrels.test", "results.test", WN_QRELS_AUTO, {"all_trec"}, .per_query = true,
     .zscores = "zscores_file"},
};

static char folder[512];

static const char *in_folder(const char *name, char *out, size_t size) {
    snprintf(out, size, "%s/test/%s", folder, name);
    return out;
}

static int find_folder(void **state) {
    const char *shared = getenv("WN_SHARED");
    if (shared) snprintf(folder, sizeof folder, "%s/data/trec_eval", shared);
    else snprintf(folder, sizeof folder, "%s/../shared/data/trec_eval", WN_SOURCE_ROOT);
    return 0;
}

static size_t query_number(const wn_evaluation *e, const char *id, size_t len) {
    size_t n = wn_evaluation_describe(e).queries;
    for (size_t q = 0; q < n; q++)
        if (strlen(wn_evaluation_query(e, q)) == len &&
            memcmp(wn_evaluation_query(e, q), id, len) == 0)
            return q;
    return SIZE_MAX;
}

/* Our value as trec_eval prints it. */
static void format_value(const wn_evaluation *e, size_t v, size_t query, char *out, size_t size) {
    wn_value_info info = wn_evaluation_value_info(e, v);
    bool all = query == SIZE_MAX;
    if (info.text) {
        snprintf(out, size, all ? "%s" : "'%s'", wn_evaluation_text(e, v, query));
        return;
    }
    double x = all ? wn_evaluation_summary(e, v) : wn_evaluation_column(e, v)[query];
    if (info.integer) snprintf(out, size, "%ld", (long)x);
    else snprintf(out, size, "%6.4f", x);
}

static size_t compare_lines(const nist_case *c, const wn_evaluation *e) {
    char path[700], name[128], mine[256];
    wn_lines lines;
    assert_int_equal(wn_lines_open(in_folder(c->expected, path, sizeof path), &lines, NULL), WN_OK);
    size_t compared = 0;
    for (wn_str line; wn_lines_next(&lines, &line);) {
        wn_str rest = line, field, id, value;
        assert_true(wn_field_next(&rest, &field) && wn_field_next(&rest, &id) &&
                    wn_field_next(&rest, &value));
        size_t cut = c->zscores && field.data[0] == 'Z' ? 1 : 0;
        snprintf(name, sizeof name, "%.*s", (int)(field.len - cut), field.data + cut);
        size_t v, query = SIZE_MAX;
        if (!wn_evaluation_find(e, name, &v)) fail_msg("%s: no value %s", c->expected, name);
        if (!(id.len == 3 && memcmp(id.data, "all", 3) == 0)) {
            query = query_number(e, id.data, id.len);
            assert_true(query != SIZE_MAX);
        }
        format_value(e, v, query, mine, sizeof mine);
        if (strlen(mine) != value.len || memcmp(mine, value.data, value.len) != 0)
            fail_msg("%s: line %lld: %.*s, ours %s", c->expected, (long long)lines.line,
                     (int)line.len, line.data, mine);
        compared++;
    }
    wn_lines_release(&lines);
    return compared;
}

/* How many lines trec_eval's options would have us print. */
static size_t count_lines(const nist_case *c, const wn_evaluation *e) {
    wn_evaluation_info info = wn_evaluation_describe(e);
    size_t summaries = 0, singles = 0;
    for (size_t v = 0; v < info.values; v++) {
        wn_value_info value = wn_evaluation_value_info(e, v);
        summaries += !value.text || !value.per_query;
        singles += value.per_query;
    }
    return summaries + (c->per_query ? singles * info.queries : 0);
}

static size_t run_case(const nist_case *c) {
    char path[700];
    wn_error err = {0};
    wn_qrels *qrels = NULL;
    wn_run *run = NULL;
    wn_zscores *zscores = NULL;
    wn_evaluation *e = NULL;
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = c->measures;
    while (c->measures[options.nmeasures]) options.nmeasures++;
    options.complete = c->complete;
    options.max_retrieved = c->max_retrieved;
    if (c->level) options.level = c->level;
    wn_status st = wn_qrels_read(in_folder(c->qrels, path, sizeof path), c->format, &qrels, &err);
    if (st == WN_OK) st = wn_run_read(in_folder(c->run, path, sizeof path), &run, &err);
    if (st == WN_OK && c->zscores)
        st = wn_zscores_read(in_folder(c->zscores, path, sizeof path), &zscores, &err);
    options.zscores = zscores;
    if (st == WN_OK) st = wn_evaluate(qrels, run, &options, &e, &err);
    if (st != WN_OK) fail_msg("%s: %s", c->expected, err.message);
    size_t compared = compare_lines(c, e);
    assert_int_equal(compared, count_lines(c, e));
    wn_evaluation_free(e);
    wn_zscores_free(zscores);
    wn_run_free(run);
    wn_qrels_free(qrels);
    return compared;
}

static void trec_eval_every_case_of_nist_is_equal(void **state) {
    char path[700];
    FILE *probe = fopen(in_folder("out.test", path, sizeof path), "r");
    if (!probe) {
        print_message("SKIPPED: NIST's files are not in %s\n", folder);
        skip();
    }
    fclose(probe);
    size_t compared = 0, ncases = sizeof CASES / sizeof *CASES;
    for (size_t i = 0; i < ncases; i++) compared += run_case(&CASES[i]);
    print_message("parity with trec_eval: %zu cases, %zu values compared, all equal as printed\n",
                  ncases, compared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(trec_eval_every_case_of_nist_is_equal, find_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
