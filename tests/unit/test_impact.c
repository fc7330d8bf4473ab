/* test_impact.c -- impact's numbers against a plain count over the rankings of searches. */
#include "study_fixture.h"

static study_fixture f;

static int open_fixture(void **state) {
    study_fixture_open(&f, true);
    return 0;
}

static int close_fixture(void **state) {
    study_fixture_close(&f);
    return 0;
}

/* The plain twin: one search with reranking, one without. */
static wn_impact_query count_by_hand(wn_str query, size_t depth, size_t k) {
    wn_error err;
    wn_answer *with = NULL, *without = NULL;
    wn_search_options options = wn_search_options_default();
    options.k = k;
    options.first_stage_k = depth;
    fixture_ok(wn_search(f.searcher, query, &options, &with, &err), &err);
    options.rerank = false;
    fixture_ok(wn_search(f.searcher, query, &options, &without, &err), &err);
    wn_impact_query row = {.results = wn_answer_count(with)};
    size_t common = 0;
    for (size_t i = 0; i < row.results; i++) {
        const wn_result *r = wn_answer_result(with, i);
        row.up += r->rank_change > 0;
        row.down += r->rank_change < 0;
        row.unchanged += r->rank_change == 0;
        row.mean_change += fabs((double)r->rank_change) / (double)row.results;
        if ((uint32_t)abs(r->rank_change) > row.max_change) row.max_change = (uint32_t)abs(r->rank_change);
        for (size_t j = 0; j < row.results; j++)
            common += wn_answer_result(without, j)->passage->id == r->passage->id;
    }
    row.overlap = (double)common / (double)row.results;
    row.top1_changed = wn_answer_result(with, 0)->passage->id != wn_answer_result(without, 0)->passage->id;
    wn_answer_free(with);
    wn_answer_free(without);
    return row;
}

static void impact_equals_a_count_over_searches(void **state) {
    static const size_t depths[] = {6, 15};
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_DENSE, depths, 2);
    wn_impact_query rows[5];
    wn_impact_total total;
    for (int d = 0; d < 2; d++) {
        size_t k = d ? 5 : 3, up = 0, down = 0, results = 0, top1 = 0;
        fixture_ok(wn_impact(study, depths[d], k, rows, &total, &err), &err);
        for (size_t q = 0; q < 5; q++) {
            wn_impact_query want = count_by_hand(wn_topics_get(topics, q).text, depths[d], k);
            assert_int_equal(rows[q].results, want.results);
            assert_int_equal(rows[q].up, want.up);
            assert_int_equal(rows[q].down, want.down);
            assert_int_equal(rows[q].unchanged, want.unchanged);
            assert_int_equal(rows[q].max_change, want.max_change);
            assert_int_equal(rows[q].top1_changed, want.top1_changed);
            assert_float_equal(rows[q].mean_change, want.mean_change, 1e-12);
            assert_float_equal(rows[q].overlap, want.overlap, 1e-12);
            assert_true(rows[q].rbo >= 0 && rows[q].rbo <= 1);
            up += want.up;
            down += want.down;
            results += want.results;
            top1 += want.top1_changed;
        }
        assert_int_equal(total.queries, 5);
        assert_int_equal(total.results, results);
        assert_float_equal(total.up, (double)up / (double)results, 1e-12);
        assert_float_equal(total.down, (double)down / (double)results, 1e-12);
        assert_float_equal(total.up + total.down + total.unchanged, 1, 1e-12);
        assert_float_equal(total.top1_change_rate, (double)top1 / 5, 1e-12);
        assert_true(total.latency_p95_ms >= total.latency_p50_ms && total.latency_p50_ms > 0);
    }
    wn_study_free(study);
    wn_topics_free(topics);
}

static void query_without_candidates_has_no_results(void **state) {
    static const size_t depth = 6;
    wn_error err;
    wn_topics *topics = fixture_topics(&f, "{\"query\": \"xyzzy\"}\n{\"query\": \"memory\"}\n");
    wn_study *study = fixture_study(&f, topics, WN_FIRST_BM25, &depth, 1);
    wn_impact_query rows[2];
    wn_impact_total total;
    fixture_ok(wn_impact(study, depth, 3, rows, &total, &err), &err);
    assert_int_equal(rows[0].results, 0);
    assert_float_equal(rows[0].overlap, 1, 0);
    assert_float_equal(rows[0].rbo, 1, 0);
    assert_false(rows[0].top1_changed);
    assert_true(rows[1].results > 0);
    wn_study_free(study);
    wn_topics_free(topics);
}

static void k_beyond_depth_is_refused(void **state) {
    static const size_t depth = 6;
    wn_error err;
    wn_impact_total total;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_DENSE, &depth, 1);
    assert_int_equal(wn_impact(study, depth, 7, NULL, &total, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_impact(study, depth, 0, NULL, &total, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_impact(study, 5, 3, NULL, &total, &err), WN_ERR_ARGUMENT);
    wn_study_free(study);
    wn_topics_free(topics);
}

int main(void) {
    if (study_is_too_slow("impact")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impact_equals_a_count_over_searches),
        cmocka_unit_test(query_without_candidates_has_no_results),
        cmocka_unit_test(k_beyond_depth_is_refused),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
