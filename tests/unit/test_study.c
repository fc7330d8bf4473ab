/* test_study.c -- a study's rankings are those of searches; runs carry the labels' names. */
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

static const size_t DEPTHS[] = {7, 2, 12, 20};
enum { NDEPTHS = 4 };

/* Every ranking of the study, entry by entry and bit by bit, against a search with that depth. */
static size_t compare_with_search(wn_first_stage stage, float blend) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study_options how = wn_study_options_default();
    wn_study *study = NULL;
    how.depths = DEPTHS;
    how.ndepths = NDEPTHS;
    how.first_stage = stage;
    how.blend = blend;
    fixture_ok(wn_study_run(f.searcher, topics, &how, &study, &err), &err);
    size_t compared = 0;
    for (size_t q = 0; q < wn_topics_count(topics); q++)
        for (int both = 0; both < 2 * NDEPTHS; both++) {
            size_t depth = DEPTHS[both / 2], n;
            bool rerank = both % 2;
            wn_study_entry entries[32];
            wn_answer *answer = NULL;
            wn_search_options options = wn_search_options_default();
            options.k = options.first_stage_k = depth;
            options.first_stage = stage;
            options.rerank = rerank;
            options.blend = blend;
            fixture_ok(wn_search(f.searcher, wn_topics_get(topics, q).text, &options, &answer, &err), &err);
            fixture_ok(wn_study_ranking(study, q, depth, rerank, entries, &n, &err), &err);
            assert_int_equal(n, wn_answer_count(answer));
            for (size_t i = 0; i < n; i++, compared++) {
                const wn_result *r = wn_answer_result(answer, i);
                assert_int_equal(entries[i].passage, r->passage->id);
                assert_string_equal(entries[i].source, r->passage->source);
                assert_int_equal(entries[i].first_stage_rank, r->first_stage_rank);
                assert_int_equal(entries[i].final_rank, r->final_rank);
                assert_memory_equal(&entries[i].first_stage_score, &r->first_stage_score, sizeof(float));
                if (rerank) assert_memory_equal(&entries[i].rerank_logit, &r->rerank_logit, sizeof(float));
                else assert_true(isnan(entries[i].rerank_logit));
            }
            wn_answer_free(answer);
        }
    wn_study_info info = wn_study_describe(study);
    assert_int_equal(info.ndepths, NDEPTHS);
    for (size_t i = 1; i < info.ndepths; i++) assert_true(info.depths[i - 1] < info.depths[i]);
    wn_study_free(study);
    wn_topics_free(topics);
    return compared;
}

static void ranking_at_each_depth_is_that_of_a_search(void **state) {
    size_t dense = compare_with_search(WN_FIRST_DENSE, 0), bm25 = compare_with_search(WN_FIRST_BM25, 0),
           hybrid = compare_with_search(WN_FIRST_HYBRID, 0);
    printf("compared %zu dense, %zu BM25, %zu hybrid entries: the same bits\n", dense, bm25, hybrid);
    assert_int_equal(dense, 5 * 2 * (7 + 2 + 12 + 20));
    assert_int_equal(hybrid, dense);
}

static void blended_ranking_at_each_depth_is_that_of_a_search(void **state) {
    size_t n = compare_with_search(WN_FIRST_BM25, 20) + compare_with_search(WN_FIRST_HYBRID, 20);
    printf("compared %zu entries ordered by logit + 20 * cosine\n", n);
    assert_true(n > 400);
}

/* The order by hand: every result of a search for all passages, against logit + weight * cosine. */
static void blend_orders_by_the_weighted_sum(void **state) {
    wn_error err;
    wn_str query = {"fewer bits for weights", 22};
    wn_search_options options = wn_search_options_default();
    options.k = options.first_stage_k = 12;
    options.blend = 35;
    wn_answer *blended = NULL, *plain = NULL;
    fixture_ok(wn_search(f.searcher, query, &options, &blended, &err), &err);
    options.blend = 0;
    fixture_ok(wn_search(f.searcher, query, &options, &plain, &err), &err);
    assert_true(wn_answer_describe(blended).blend == 35 && wn_answer_describe(plain).blend == 0);
    size_t differ = 0;
    for (size_t i = 0; i < wn_answer_count(blended); i++) {
        const wn_result *r = wn_answer_result(blended, i), *p = wn_answer_result(plain, i);
        assert_true(r->final_score == r->rerank_logit + 35 * r->bi_encoder_score);
        assert_true(p->final_score == p->rerank_logit);
        if (i) assert_true(wn_answer_result(blended, i - 1)->final_score >= r->final_score);
        differ += r->passage->id != p->passage->id;
    }
    assert_true(differ > 0);
    wn_answer_free(blended);
    wn_answer_free(plain);

    wn_answer *answer = NULL;
    for (float bad = -1; !isnan(bad); bad = bad < 0 ? INFINITY : NAN) {
        options.blend = bad;
        assert_int_equal(wn_search(f.searcher, query, &options, &answer, &err), WN_ERR_ARGUMENT);
    }
}

/* Without a bi-encoder there is no cosine: the logit decides, and the answer says so. */
static void blend_without_embeddings_is_the_logit_alone(void **state) {
    wn_error err;
    wn_searcher *words = NULL;
    wn_answer *answer = NULL;
    wn_search_options options = wn_search_options_default();
    options.first_stage = WN_FIRST_BM25;
    options.blend = 35;
    fixture_ok(wn_searcher_create(f.index, NULL, f.cross, &words, &err), &err);
    fixture_ok(wn_search(words, (wn_str){"memory of weights", 17}, &options, &answer, &err), &err);
    assert_true(wn_answer_count(answer) > 1);
    assert_true(wn_answer_describe(answer).blend == 0);
    for (size_t i = 0; i < wn_answer_count(answer); i++)
        assert_true(wn_answer_result(answer, i)->final_score == wn_answer_result(answer, i)->rerank_logit);
    wn_answer_free(answer);
    wn_searcher_free(words);
}

static void pairs_are_scored_once_whatever_the_depths(void **state) {
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *one = fixture_study(&f, topics, WN_FIRST_DENSE, &DEPTHS[3], 1);
    wn_study *four = fixture_study(&f, topics, WN_FIRST_DENSE, DEPTHS, NDEPTHS);
    assert_int_equal(wn_study_describe(one).pairs, 5 * 20);
    assert_int_equal(wn_study_describe(four).pairs, 5 * 20);
    wn_study_free(one);
    wn_study_free(four);
    wn_topics_free(topics);
}

static void stage2_time_grows_with_depth(void **state) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_HYBRID, DEPTHS, NDEPTHS);
    double two, twenty;
    fixture_ok(wn_study_stage2_ms(study, 0, 2, &two, &err), &err);
    fixture_ok(wn_study_stage2_ms(study, 0, 20, &twenty, &err), &err);
    assert_true(two > 0 && twenty > two);
    assert_true(wn_study_get(study, 0).stage1_time_ms > 0);
    assert_int_equal(wn_study_stage2_ms(study, 0, 3, &two, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "2, 7, 12, 20"));
    wn_study_free(study);
    wn_topics_free(topics);
}

static void source_matches_whole_components_only(void **state) {
    assert_true(wn_source_matches("examples/docs/lora.md", "lora.md"));
    assert_true(wn_source_matches("examples/docs/lora.md", "docs/lora.md"));
    assert_true(wn_source_matches("lora.md", "lora.md"));
    assert_false(wn_source_matches("examples/docs/lora.md", "ora.md"));
    assert_false(wn_source_matches("lora.md", "docs/lora.md"));
    assert_false(wn_source_matches("docs/lora.md", ""));
}

static void run_names_documents_as_labels_do_and_once(void **state) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_BM25, &DEPTHS[3], 1);
    wn_qrels *qrels = NULL;
    wn_run *run = NULL;
    const wn_run_entry *entries;
    size_t n, named = 0;
    fixture_ok(wn_qrels_from_topics(topics, &qrels, &err), &err);
    fixture_ok(wn_study_to_run(study, 20, true, qrels, WN_LABEL_DOCUMENT, "t", &run, &err), &err);
    fixture_ok(wn_run_ranking(run, "3", &entries, &n, &err), &err);
    assert_true(n > 0 && n < 20); /* passages of one document are one */
    for (size_t i = 0; i < n; i++) {
        named += strcmp(entries[i].document, "docs/d01.md") == 0;
        for (size_t j = 0; j < i; j++) assert_string_not_equal(entries[i].document, entries[j].document);
    }
    assert_int_equal(named, 1);
    wn_run_free(run);
    fixture_ok(wn_study_to_run(study, 20, false, NULL, WN_LABEL_PASSAGE, "t", &run, &err), &err);
    fixture_ok(wn_run_ranking(run, "3", &entries, &n, &err), &err);
    assert_non_null(strstr(entries[0].document, ".md#"));
    wn_run_free(run);
    wn_qrels_free(qrels);
    wn_study_free(study);
    wn_topics_free(topics);
}

static void expected_source_gives_the_measures_of_hand_made_qrels(void **state) {
    static const char *const measures[] = {"recip_rank", "recall.1,5"};
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_HYBRID, &DEPTHS[3], 1);
    wn_qrels *qrels = NULL;
    wn_run *run = NULL;
    wn_evaluation *evaluation = NULL;
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = measures;
    options.nmeasures = 2;
    fixture_ok(wn_qrels_from_topics(topics, &qrels, &err), &err);
    fixture_ok(wn_study_to_run(study, 20, true, qrels, WN_LABEL_DOCUMENT, NULL, &run, &err), &err);
    fixture_ok(wn_evaluate(qrels, run, &options, &evaluation, &err), &err);
    for (size_t q = 0; q < 5; q++) { /* by hand: the rank of the first document that is expected */
        wn_study_entry entries[32];
        size_t n, value, rank = 0, distinct = 0;
        wn_topic topic = wn_topics_get(topics, q);
        fixture_ok(wn_study_ranking(study, q, 20, true, entries, &n, &err), &err);
        for (size_t i = 0; i < n && !rank; i++) {
            bool seen = false;
            for (size_t j = 0; j < i; j++) seen |= strcmp(entries[i].source, entries[j].source) == 0;
            distinct += !seen;
            if (wn_source_matches(entries[i].source, topic.expected[0])) rank = distinct;
        }
        assert_true(wn_evaluation_find(evaluation, "recip_rank", &value));
        assert_float_equal(wn_evaluation_column(evaluation, value)[q], rank ? 1.0 / (double)rank : 0, 1e-12);
        assert_true(wn_evaluation_find(evaluation, "recall_5", &value));
        assert_float_equal(wn_evaluation_column(evaluation, value)[q], rank && rank <= 5, 1e-12);
    }
    wn_evaluation_free(evaluation);
    wn_run_free(run);
    wn_qrels_free(qrels);
    wn_study_free(study);
    wn_topics_free(topics);
}

static void request_that_is_wrong_is_refused(void **state) {
    wn_error err;
    wn_study *study = NULL;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study_options options = wn_study_options_default();
    size_t twice[] = {3, 3}, none[] = {0};
    options.depths = twice;
    options.ndepths = 2;
    assert_int_equal(wn_study_run(f.searcher, topics, &options, &study, &err), WN_ERR_ARGUMENT);
    options.depths = none;
    options.ndepths = 1;
    assert_int_equal(wn_study_run(f.searcher, topics, &options, &study, &err), WN_ERR_ARGUMENT);
    wn_qrels *other = NULL;
    fixture_ok(wn_qrels_create(&other, &err), &err);
    fixture_ok(wn_qrels_add(other, "nobody", "d", 1, &err), &err);
    options = wn_study_options_default();
    options.judged = other;
    assert_int_equal(wn_study_run(f.searcher, topics, &options, &study, &err), WN_ERR_MISMATCH);
    wn_qrels_free(other);
    wn_topics_free(topics);
    assert_null(study);
}

static void allocation_failure_at_any_point_is_reported(void **state) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, "{\"query\": \"fewer bits for weights\"}\n");
    wn_study_options options = wn_study_options_default();
    size_t depths[] = {2, 4};
    options.depths = depths;
    options.ndepths = 2;
    options.first_stage = WN_FIRST_HYBRID;
    options.blend = 1;
    size_t failures = 0;
    for (uint64_t n = 1;; n += n < 60 ? 1 : 7) {
        wn_study *study = NULL;
        wn_memory_fail_at(n, false);
        wn_status st = wn_study_run(f.searcher, topics, &options, &study, &err);
        wn_memory_fail_at(0, false);
        if (st == WN_OK) {
            wn_study_free(study);
            break;
        }
        assert_int_equal(st, WN_ERR_MEMORY);
        assert_null(study);
        failures++;
    }
    printf("%zu allocation failures reported\n", failures);
    assert_true(failures > 10);
    wn_topics_free(topics);
}

int main(void) {
    if (study_is_too_slow("study")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranking_at_each_depth_is_that_of_a_search),
        cmocka_unit_test(blended_ranking_at_each_depth_is_that_of_a_search),
        cmocka_unit_test(blend_orders_by_the_weighted_sum),
        cmocka_unit_test(blend_without_embeddings_is_the_logit_alone),
        cmocka_unit_test(pairs_are_scored_once_whatever_the_depths),
        cmocka_unit_test(stage2_time_grows_with_depth),
        cmocka_unit_test(source_matches_whole_components_only),
        cmocka_unit_test(run_names_documents_as_labels_do_and_once),
        cmocka_unit_test(expected_source_gives_the_measures_of_hand_made_qrels),
        cmocka_unit_test(request_that_is_wrong_is_refused),
        cmocka_unit_test(allocation_failure_at_any_point_is_reported),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
