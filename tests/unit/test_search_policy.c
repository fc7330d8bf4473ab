/* test_search_policy.c -- a search's deadline, and the rule that skips reranking. */
#include "study_fixture.h"

#include "pipeline/skip_rule.h"

static study_fixture f;
static wn_str query = {"how does attention use memory for each token", 44};

static int open_fixture(void **state) {
    study_fixture_open(&f, true);
    return 0;
}

static int close_fixture(void **state) {
    study_fixture_close(&f);
    return 0;
}

static wn_answer *search(const wn_search_options *options) {
    wn_error err;
    wn_answer *answer = NULL;
    fixture_ok(wn_search(f.searcher, query, options, &answer, &err), &err);
    return answer;
}

static void deadline_far_away_changes_nothing(void **state) {
    wn_search_options options = wn_search_options_default();
    options.k = options.first_stage_k = 20;
    wn_answer *want = search(&options);
    options.deadline_ms = 1e9;
    wn_answer *got = search(&options);
    assert_int_equal(wn_answer_count(got), wn_answer_count(want));
    for (size_t i = 0; i < wn_answer_count(want); i++) {
        assert_int_equal(wn_answer_result(got, i)->passage->id, wn_answer_result(want, i)->passage->id);
        assert_memory_equal(&wn_answer_result(got, i)->rerank_logit, &wn_answer_result(want, i)->rerank_logit, 4);
    }
    assert_false(wn_answer_describe(got).out_of_time);
    assert_int_equal(wn_answer_describe(got).reranked, 20);
    wn_answer_free(want);
    wn_answer_free(got);
}

static void deadline_in_the_past_keeps_first_stage_order(void **state) {
    wn_search_options options = wn_search_options_default();
    options.k = options.first_stage_k = 20;
    options.deadline_ms = 1e-6; /* over before stage 1 ends */
    wn_answer *answer = search(&options);
    assert_int_equal(wn_answer_describe(answer).reranked, 0);
    assert_true(wn_answer_describe(answer).out_of_time);
    for (size_t i = 0; i < wn_answer_count(answer); i++) {
        assert_int_equal(wn_answer_result(answer, i)->first_stage_rank, i + 1);
        assert_true(isnan(wn_answer_result(answer, i)->rerank_logit));
    }
    wn_answer_free(answer);
}

/* What the deadline left lies below what was read, in first-stage order; what was read is the first so
 * many of the first stage, in order of their logits. */
static void check_partial(const wn_answer *answer, size_t reranked) {
    const wn_result *before = NULL;
    for (size_t i = 0; i < wn_answer_count(answer); i++) {
        const wn_result *r = wn_answer_result(answer, i);
        assert_int_equal(isnan(r->rerank_logit), i >= reranked);
        assert_int_equal(r->first_stage_rank > reranked, i >= reranked);
        if (before && i < reranked) assert_true(before->rerank_logit >= r->rerank_logit);
        if (before && i > reranked) assert_true(before->first_stage_rank < r->first_stage_rank);
        before = r;
    }
}

static void deadline_stops_late_by_at_most_a_batch(void **state) {
    wn_search_options options = wn_search_options_default();
    options.k = options.first_stage_k = 20;
    options.batch_size = 1;
    wn_answer *whole = search(&options);
    wn_answer_info info = wn_answer_describe(whole);
    double a_pair = info.stage2_time_ms / 20, late = 0, slowest_batch = 0;
    wn_answer_free(whole);
    size_t partial = 0;
    for (int i = 1; i < 20; i++) {
        options.deadline_ms = info.stage1_time_ms + a_pair * i;
        wn_answer *answer = search(&options);
        wn_answer_info now = wn_answer_describe(answer);
        double over = now.stage1_time_ms + now.stage2_time_ms - options.deadline_ms;
        if (now.reranked && over > late) late = over;
        if (now.reranked && now.stage2_time_ms / (double)now.reranked > slowest_batch)
            slowest_batch = now.stage2_time_ms / (double)now.reranked;
        if (now.out_of_time && now.reranked) {
            partial++;
            check_partial(answer, now.reranked);
        }
        assert_int_equal(now.out_of_time, now.reranked < now.candidates);
        wn_answer_free(answer);
    }
    printf("%zu partial answers; latest %.2f ms over, a batch of one takes %.2f ms on average\n", partial,
           late, slowest_batch);
    assert_true(partial > 0);
    /* A busy machine may hold up the one batch that runs: so the bound is loose, and far below the
     * whole of stage 2, which is what a search that ignored its deadline would be late by. */
    assert_true(late < info.stage2_time_ms / 2 + 50);
}

static void min_score_drops_what_the_deadline_left(void **state) {
    wn_search_options options = wn_search_options_default();
    options.k = options.first_stage_k = 20;
    options.batch_size = 1;
    options.has_min_score = true;
    options.min_score = -1e9f;
    wn_answer *whole = search(&options);
    assert_int_equal(wn_answer_count(whole), 20);
    wn_answer_info info = wn_answer_describe(whole);
    wn_answer_free(whole);
    options.deadline_ms = info.stage1_time_ms + info.stage2_time_ms / 2;
    wn_answer *answer = search(&options);
    info = wn_answer_describe(answer);
    if (info.reranked) assert_int_equal(wn_answer_count(answer), info.reranked);
    wn_answer_free(answer);
}

static void deadline_that_is_no_time_is_refused(void **state) {
    wn_error err;
    wn_answer *answer = NULL;
    wn_search_options options = wn_search_options_default();
    options.deadline_ms = -1;
    assert_int_equal(wn_search(f.searcher, query, &options, &answer, &err), WN_ERR_ARGUMENT);
    options.deadline_ms = NAN;
    assert_int_equal(wn_search(f.searcher, query, &options, &answer, &err), WN_ERR_ARGUMENT);
}

/* ---- Skip rule ----------------------------------------------------------------- */

static wn_lists lists_of(wn_hit *dense, size_t nd, wn_hit *bm25, size_t nb) {
    return (wn_lists){.dense = dense, .ndense = nd, .bm25 = bm25, .nbm25 = nb};
}

static void confidence_is_one_when_lists_agree_and_first_stands_apart(void **state) {
    wn_hit dense[3] = {{1, 0.9f}, {2, 0.1f}, {3, 0.1f}}, same[3] = {{1, 9}, {2, 2}, {3, 1}};
    wn_hit other[3] = {{7, 9}, {8, 2}, {9, 1}}, flat[3] = {{1, 0.5f}, {2, 0.5f}, {3, 0.5f}};
    wn_lists sure = lists_of(dense, 3, same, 3), split = lists_of(dense, 3, other, 3);
    wn_lists unsure = lists_of(flat, 3, other, 3), alone = lists_of(NULL, 0, same, 3);
    assert_float_equal(wn_first_stage_confidence(&sure, WN_FIRST_DENSE), 1, 1e-6);
    assert_float_equal(wn_first_stage_confidence(&split, WN_FIRST_DENSE), 0.5, 1e-6);
    assert_float_equal(wn_first_stage_confidence(&unsure, WN_FIRST_DENSE), 0, 1e-6);
    assert_float_equal(wn_first_stage_confidence(&alone, WN_FIRST_BM25), 7.0 / 8, 1e-6);
    /* overlaps at depths 1, 2, 3 of (1 2 3) and (2 1 3): 0, 1, 1; gap (s1 - s2) / (s1 - s3) = 1/2 */
    wn_hit half[3] = {{1, 3}, {2, 2}, {3, 1}}, swapped[3] = {{2, 3}, {1, 2}, {3, 1}};
    wn_lists mixed = lists_of(half, 3, swapped, 3);
    assert_float_equal(wn_first_stage_confidence(&mixed, WN_FIRST_DENSE), (0.5 + 2.0 / 3) / 2, 1e-6);
    wn_lists one = lists_of(half, 1, swapped, 0);
    assert_float_equal(wn_first_stage_confidence(&one, WN_FIRST_DENSE), 1, 0);
}

static void rule_skips_at_and_above_its_threshold(void **state) {
    wn_search_options options = wn_search_options_default();
    options.skip_when_sure = true;
    options.skip_threshold = 2;
    wn_answer *answer = search(&options);
    wn_answer_info info = wn_answer_describe(answer);
    wn_answer_free(answer);
    assert_false(info.skipped);
    assert_true(info.reranked > 0 && info.confidence >= 0 && info.confidence <= 1);
    options.skip_threshold = info.confidence;
    answer = search(&options);
    assert_true(wn_answer_describe(answer).skipped);
    assert_int_equal(wn_answer_describe(answer).reranked, 0);
    assert_false(wn_answer_describe(answer).out_of_time);
    assert_int_equal(wn_answer_result(answer, 0)->first_stage_rank, 1);
    wn_answer_free(answer);
    options.skip_threshold = nextafterf(info.confidence, 2);
    answer = search(&options);
    assert_false(wn_answer_describe(answer).skipped);
    wn_answer_free(answer);
}

static void rule_without_threshold_is_refused(void **state) {
    wn_error err;
    wn_answer *answer = NULL;
    wn_search_options options = wn_search_options_default();
    options.skip_when_sure = true;
    assert_int_equal(wn_search(f.searcher, query, &options, &answer, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "advise"));
}

static void threshold_is_kept_in_the_index_by_first_stage(void **state) {
    wn_error err;
    float value = 0;
    assert_int_equal(wn_skip_threshold_load(f.index, WN_FIRST_DENSE, &value, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "advise"));
    fixture_ok(wn_skip_threshold_save(f.index_path, WN_FIRST_DENSE, 0.25f, &err), &err);
    fixture_ok(wn_skip_threshold_save(f.index_path, WN_FIRST_DENSE, 0.75f, &err), &err);
    fixture_ok(wn_skip_threshold_load(f.index, WN_FIRST_DENSE, &value, &err), &err);
    assert_float_equal(value, 0.75, 0);
    assert_int_equal(wn_skip_threshold_load(f.index, WN_FIRST_HYBRID, &value, &err), WN_ERR_NOT_FOUND);
    wn_index *again = NULL; /* the file is still an index, and one that a build accepts */
    fixture_ok(wn_index_open(f.index_path, &again, &err), &err);
    wn_index_close(again);
    assert_int_equal(wn_skip_threshold_save("/nonexistent/index", WN_FIRST_DENSE, 0.5f, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_skip_threshold_save(f.index_path, WN_FIRST_DENSE, NAN, &err), WN_ERR_ARGUMENT);
}

int main(void) {
    if (study_is_too_slow("search_policy")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadline_far_away_changes_nothing),
        cmocka_unit_test(deadline_in_the_past_keeps_first_stage_order),
        cmocka_unit_test(deadline_stops_late_by_at_most_a_batch),
        cmocka_unit_test(min_score_drops_what_the_deadline_left),
        cmocka_unit_test(deadline_that_is_no_time_is_refused),
        cmocka_unit_test(confidence_is_one_when_lists_agree_and_first_stands_apart),
        cmocka_unit_test(rule_skips_at_and_above_its_threshold),
        cmocka_unit_test(rule_without_threshold_is_refused),
        cmocka_unit_test(threshold_is_kept_in_the_index_by_first_stage),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
