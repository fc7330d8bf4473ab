/* test_eval_measures.c -- measures of rankings small enough to count by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "core/memory.h"
#include "eval_fixture.h"

#define NEAR(actual, expected) assert_true(fabs((actual) - (expected)) < 1e-12)
#define DEFAULTS wn_evaluate_options_default()

/* Query 1: a (2), b (1), c (0), d (1) are judged; the run gives c, a, x, b. */
static const char QRELS[] = "1 0 a 2\n1 0 b 1\n1 0 c 0\n1 0 d 1\n";
static const char RUN[] = "1 Q0 c 1 4 t\n1 Q0 a 2 3 t\n1 Q0 x 3 2 t\n1 Q0 b 4 1 t\n";

static void measures_of_four_documents_are_those_by_hand(void **state) {
    wn_qrels *qrels = qrels_of(QRELS, WN_QRELS_AUTO);
    wn_run *run = run_of(RUN);
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS,
                                "all_trec P.1,2,4 recall.2,4 ndcg_cut.1,2,4 success.1,2 "
                                "map_cut.2 recip_rank_cut.1,2 dcg ideal_dcg rbp.p=0.5");
    double dcg = 2 / log2(3) + 1 / log2(5), ideal = 2 + 1 / log2(3) + 1 / log2(4);
    NEAR(value_of(e, "num_ret", "1"), 4);
    NEAR(value_of(e, "num_rel", "1"), 3);
    NEAR(value_of(e, "num_rel_ret", "1"), 2);
    NEAR(value_of(e, "num_nonrel_judged_ret", "1"), 1);
    NEAR(value_of(e, "map", "1"), (1.0 / 2 + 2.0 / 4) / 3);
    NEAR(value_of(e, "map_cut_2", "1"), (1.0 / 2) / 3);
    NEAR(value_of(e, "P_1", "1"), 0);
    NEAR(value_of(e, "P_2", "1"), 0.5);
    NEAR(value_of(e, "P_4", "1"), 0.5);
    NEAR(value_of(e, "recall_2", "1"), 1.0 / 3);
    NEAR(value_of(e, "recall_4", "1"), 2.0 / 3);
    NEAR(value_of(e, "Rprec", "1"), 1.0 / 3);
    NEAR(value_of(e, "recip_rank", "1"), 0.5);
    NEAR(value_of(e, "recip_rank_cut_1", "1"), 0);
    NEAR(value_of(e, "recip_rank_cut_2", "1"), 0.5);
    NEAR(value_of(e, "success_1", "1"), 0);
    NEAR(value_of(e, "success_2", "1"), 1);
    NEAR(value_of(e, "dcg", "1"), dcg);
    NEAR(value_of(e, "ideal_dcg", "1"), ideal);
    NEAR(value_of(e, "ndcg", "1"), dcg / ideal);
    NEAR(value_of(e, "ndcg_cut_1", "1"), 0);
    NEAR(value_of(e, "ndcg_cut_2", "1"), (2 / log2(3)) / (2 + 1 / log2(3)));
    NEAR(value_of(e, "ndcg_cut_4", "1"), dcg / ideal);
    /* one nonrelevant judged document above both; min(1 nonrelevant, 3 relevant) = 1 */
    NEAR(value_of(e, "bpref", "1"), 0);
    /* gains are halved, because level 2 is over 1 */
    NEAR(value_of(e, "rbp_p=0.5", "1"), 0.5 * (0.5 * 1 + 0.125 * 0.5));
    NEAR(value_of(e, "set_F", "1"), 2 * 0.5 * (2.0 / 3) / (0.5 + 2.0 / 3));
    NEAR(value_of(e, "utility", "1"), 2 - 2);
    NEAR(value_of(e, "unj_5", "1"), 1.0 / 5);
    size_t v;
    assert_true(wn_evaluation_find(e, "relstring", &v));
    assert_string_equal(wn_evaluation_text(e, v, 0), "02-1");
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void level_two_leaves_one_relevant_document(void **state) {
    wn_qrels *qrels = qrels_of(QRELS, WN_QRELS_AUTO);
    wn_run *run = run_of(RUN);
    wn_evaluate_options options = DEFAULTS;
    options.level = 2;
    wn_evaluation *e = evaluate(qrels, run, options, "num_rel map ndcg P.2");
    NEAR(value_of(e, "num_rel", "1"), 1);
    NEAR(value_of(e, "map", "1"), 0.5);
    NEAR(value_of(e, "P_2", "1"), 0.5);
    /* gains are not a matter of the level */
    NEAR(value_of(e, "ndcg", "1"),
         (2 / log2(3) + 1 / log2(5)) / (2 + 1 / log2(3) + 1 / log2(4)));
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void ties_are_ordered_by_document_descending(void **state) {
    wn_qrels *qrels = qrels_of("1 0 a 1\n", WN_QRELS_AUTO);
    wn_run *run = run_of("1 Q0 a 1 0.5 t\n1 Q0 b 2 0.5 t\n1 Q0 c 3 0.5 t\n");
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS, "recip_rank");
    NEAR(value_of(e, "recip_rank", "1"), 1.0 / 3);
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void rank_column_is_not_read(void **state) {
    wn_qrels *qrels = qrels_of("1 0 a 1\n", WN_QRELS_AUTO);
    wn_run *run = run_of("1 Q0 b 1 0.1 t\n1 Q0 a 99 0.2 t\n");
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS, "recip_rank");
    NEAR(value_of(e, "recip_rank", NULL), 1);
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void missing_query_counts_only_when_complete(void **state) {
    wn_qrels *qrels = qrels_of("1 0 a 1\n2 0 a 1\n3 0 a 0\n", WN_QRELS_AUTO);
    wn_run *run = run_of("1 Q0 a 1 1 t\n9 Q0 a 1 1 t\n");
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS, "num_q map gm_map num_rel");
    wn_evaluation_info info = wn_evaluation_describe(e);
    assert_int_equal(info.queries, 1);
    assert_int_equal(info.missing, 2);
    assert_int_equal(info.extra, 1);
    NEAR(value_of(e, "map", NULL), 1);
    wn_evaluation_free(e);
    wn_evaluate_options options = DEFAULTS;
    options.complete = true;
    e = evaluate(qrels, run, options, "num_q map gm_map num_rel num_ret utility unj rbp_resid");
    assert_int_equal(wn_evaluation_describe(e).queries, 3);
    NEAR(value_of(e, "num_q", NULL), 3);
    NEAR(value_of(e, "map", NULL), 1.0 / 3);
    NEAR(value_of(e, "gm_map", NULL), exp(2 * log(0.00001) / 3));
    NEAR(value_of(e, "num_rel", NULL), 2);
    NEAR(value_of(e, "num_ret", "2"), 0);
    NEAR(value_of(e, "utility", "2"), 0);
    NEAR(value_of(e, "unj_5", "2"), 0);
    NEAR(value_of(e, "rbp_resid", "2"), 0);
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void negative_relevance_is_pooled_but_not_judged(void **state) {
    wn_qrels *qrels = qrels_of("1 0 a -1\n1 0 b 1\n1 0 c 0\n", WN_QRELS_AUTO);
    wn_run *run = run_of("1 Q0 a 1 4 t\n1 Q0 b 2 3 t\n1 Q0 x 3 2 t\n");
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS, "bpref infAP map relstring num_rel");
    NEAR(value_of(e, "bpref", "1"), 1);
    NEAR(value_of(e, "map", "1"), 0.5);
    /* above b: one document, pooled; nothing judged there: 1/2 + 1/2 * 1 * (eps / 2 eps) */
    NEAR(value_of(e, "infAP", "1"), 0.5 + 0.5 * 0.5);
    size_t v;
    assert_true(wn_evaluation_find(e, "relstring", &v));
    assert_string_equal(wn_evaluation_text(e, v, 0), ".1-");
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void judged_only_and_depth_cut_the_ranking(void **state) {
    wn_qrels *qrels = qrels_of(QRELS, WN_QRELS_AUTO);
    wn_run *run = run_of(RUN);
    wn_evaluate_options options = DEFAULTS;
    options.judged_only = true;
    wn_evaluation *e = evaluate(qrels, run, options, "num_ret map");
    NEAR(value_of(e, "num_ret", "1"), 3);
    NEAR(value_of(e, "map", "1"), (1.0 / 2 + 2.0 / 3) / 3);
    wn_evaluation_free(e);
    options = DEFAULTS;
    options.max_retrieved = 2;
    e = evaluate(qrels, run, options, "num_ret map set_P");
    NEAR(value_of(e, "num_ret", "1"), 2);
    NEAR(value_of(e, "map", "1"), (1.0 / 2) / 3);
    NEAR(value_of(e, "set_P", "1"), 0.5);
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

/* No value may be NaN or infinite, whatever is empty. */
static void degenerate_queries_give_finite_values(void **state) {
    static const char *const QRELS_TEXTS[] = {"1 0 a 0\n", "1 0 a -1\n", "1 0 a 1\n", "1 0 z 3\n"};
    for (size_t i = 0; i < 4; i++)
        for (int empty = 0; empty < 2; empty++)
            for (int level = 0; level < 5; level++) {
                wn_qrels *qrels = qrels_of(QRELS_TEXTS[i], WN_QRELS_AUTO);
                wn_run *run = NULL;
                assert_int_equal(wn_run_create(NULL, &run, NULL), WN_OK);
                const char *documents[] = {"b", "a", "b"};
                assert_int_equal(wn_run_add_ranking(run, "1", documents, empty ? 0 : 3, NULL), WN_OK);
                wn_evaluate_options options = DEFAULTS;
                options.level = level;
                wn_evaluation *e = evaluate(qrels, run, options,
                                            "all_trec yaap dcg ideal_dcg recip_rank_cut "
                                            "Rndcg.0=0,1=0,3=0 G.1=0.5");
                for (size_t v = 0; v < wn_evaluation_describe(e).values; v++)
                    if (!isfinite(wn_evaluation_column(e, v)[0]) ||
                        !isfinite(wn_evaluation_summary(e, v)))
                        fail_msg("%s is not finite", wn_evaluation_value_info(e, v).name);
                wn_evaluation_free(e);
                wn_run_free(run);
                wn_qrels_free(qrels);
            }
}

static void names_of_values_and_of_papers_are_understood(void **state) {
    wn_qrels *qrels = qrels_of(QRELS, WN_QRELS_AUTO);
    wn_run *run = run_of(RUN);
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS,
                                "nDCG@10 P_5 MRR@10 mrr MAP Recall@100 success@3 Rprec_mult_0.5 "
                                "P.10 ndcg_cut_10");
    static const char *const NAMES[] = {"map", "Rprec_mult_0.50", "P_5", "P_10", "recip_rank",
                                        "recip_rank_cut_10", "recall_100", "ndcg_cut_10",
                                        "success_3"};
    size_t v;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        assert_true(wn_evaluation_find(e, NAMES[i], &v));
    assert_int_equal(wn_evaluation_describe(e).values, sizeof NAMES / sizeof *NAMES);
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void wrong_measures_are_refused_by_name(void **state) {
    static const struct { const char *spec, *words; } BAD[] = {
        {"nope", "no measure \"nope\""}, {"P.0", "a cutoff"}, {"P.x", "not a number"},
        {"P.", "not a number"}, {"P.5,,6", "not a number"}, {"map.5", "no parameters"},
        {"utility.1,2", "four coefficients"}, {"ndcg.5", "level=gain"}, {"ndcg.x=1", "whole number"},
        {"nDCG@", "not a number"}, {"Rprec@5", "no measure"}, {"prefs_simp", "needs preferences"},
        {"map_avgjg", "by judge"}, {"P.nan", "not a number"}, {"", "no measure"},
        {"P.1e300", "a cutoff"}, {"_5", "no measure"},
    };
    wn_qrels *qrels = qrels_of(QRELS, WN_QRELS_AUTO);
    wn_run *run = run_of(RUN);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        wn_evaluate_options options = DEFAULTS;
        wn_evaluation *e = NULL;
        wn_error err = {0};
        options.measures = &BAD[i].spec;
        options.nmeasures = 1;
        assert_int_not_equal(wn_evaluate(qrels, run, &options, &e, &err), WN_OK);
        assert_null(e);
        if (!strstr(err.message, BAD[i].words)) fail_msg("%s: %s", BAD[i].spec, err.message);
    }
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void no_query_in_common_names_one_of_each(void **state) {
    wn_qrels *qrels = qrels_of("301 0 a 1\n", WN_QRELS_AUTO);
    wn_run *run = run_of("q7 Q0 a 1 1 t\n");
    wn_evaluation *e = NULL;
    wn_error err = {0};
    assert_int_equal(wn_evaluate(qrels, run, NULL, &e, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "301"));
    assert_non_null(strstr(err.message, "q7"));
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void ranking_keeps_its_order_and_drops_repetitions(void **state) {
    wn_run *run = NULL;
    const char *documents[] = {"m", "z", "m", "a", "z", "k"};
    assert_int_equal(wn_run_create("mine", &run, NULL), WN_OK);
    assert_int_equal(wn_run_add_ranking(run, "q", documents, 6, NULL), WN_OK);
    const wn_run_entry *entries;
    size_t n;
    assert_int_equal(wn_run_ranking(run, "q", &entries, &n, NULL), WN_OK);
    assert_int_equal(n, 4);
    assert_string_equal(entries[0].document, "m");
    assert_string_equal(entries[1].document, "z");
    assert_string_equal(entries[2].document, "a");
    assert_string_equal(entries[3].document, "k");
    assert_int_equal(wn_run_ranking(run, "r", &entries, &n, NULL), WN_OK);
    assert_int_equal(n, 0);
    wn_run_free(run);
}

static void preferences_of_two_judges_are_those_by_hand(void **state) {
    /* judge 1: a > b > c; judge 2: b > a. The run gives b, a; c is not retrieved. */
    wn_qrels *qrels = qrels_of("1 j1 0 a 3\n1 j1 0 b 2\n1 j1 0 c 1\n1 j2 0 b 2\n1 j2 0 a 1\n",
                               WN_QRELS_PREFS);
    wn_run *run = run_of("1 Q0 b 1 2 t\n1 Q0 a 2 1 t\n");
    wn_evaluation *e = evaluate(qrels, run, DEFAULTS, "all_prefs");
    NEAR(value_of(e, "prefs_num_prefs_poss", "1"), 4);
    NEAR(value_of(e, "prefs_num_prefs_ful", "1"), 3);
    NEAR(value_of(e, "prefs_num_prefs_ful_ret", "1"), 1);
    NEAR(value_of(e, "prefs_simp", "1"), 3.0 / 4);
    NEAR(value_of(e, "prefs_simp_ret", "1"), 1.0 / 2);
    NEAR(value_of(e, "prefs_pair", "1"), (0.5 + 1 + 1) / 3);
    NEAR(value_of(e, "prefs_avgjg", "1"), (2.0 / 3 + 1) / 2);
    wn_evaluation_free(e);
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void contradicting_preferences_are_refused(void **state) {
    wn_qrels *qrels = qrels_of("1 j 0 a 2\n1 j 0 b 1\n1 j 1 b 2\n1 j 1 a 1\n", WN_QRELS_PREFS);
    wn_run *run = run_of("1 Q0 b 1 2 t\n1 Q0 a 2 1 t\n");
    wn_evaluate_options options = DEFAULTS;
    const char *measure = "prefs";
    options.measures = &measure;
    options.nmeasures = 1;
    wn_evaluation *e = NULL;
    wn_error err = {0};
    assert_int_equal(wn_evaluate(qrels, run, &options, &e, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "contradict"));
    wn_run_free(run);
    wn_qrels_free(qrels);
}

static void measure_list_describes_every_measure(void **state) {
    assert_true(wn_measure_count() > 50);
    for (size_t i = 0; i < wn_measure_count(); i++) {
        wn_measure_info m = wn_measure_describe(i);
        assert_non_null(m.name);
        assert_true(m.help && *m.help && m.help[strlen(m.help) - 1] == '.');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_of_four_documents_are_those_by_hand),
        cmocka_unit_test(level_two_leaves_one_relevant_document),
        cmocka_unit_test(ties_are_ordered_by_document_descending),
        cmocka_unit_test(rank_column_is_not_read),
        cmocka_unit_test(missing_query_counts_only_when_complete),
        cmocka_unit_test(negative_relevance_is_pooled_but_not_judged),
        cmocka_unit_test(judged_only_and_depth_cut_the_ranking),
        cmocka_unit_test(degenerate_queries_give_finite_values),
        cmocka_unit_test(names_of_values_and_of_papers_are_understood),
        cmocka_unit_test(wrong_measures_are_refused_by_name),
        cmocka_unit_test(no_query_in_common_names_one_of_each),
        cmocka_unit_test(ranking_keeps_its_order_and_drops_repetitions),
        cmocka_unit_test(preferences_of_two_judges_are_those_by_hand),
        cmocka_unit_test(contradicting_preferences_are_refused),
        cmocka_unit_test(measure_list_describes_every_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
