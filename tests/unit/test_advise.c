/* test_advise.c -- the skip rule's threshold keeps what it promises. */
#include "study_fixture.h"

static study_fixture f;
enum { QUERIES = 12, DEPTH = 8 };

static int open_fixture(void **state) {
    study_fixture_open(&f, false);
    return 0;
}

static int close_fixture(void **state) {
    study_fixture_close(&f);
    return 0;
}

/* A query for each document, of words of its own. */
static wn_topics *twelve_topics(void) {
    static const char *const texts[QUERIES] = {
        "small trainable matrices beside a frozen matrix", "which store finds near embeddings", "boats in the evening",
        "fewer bits for weights", "what does attention mix", "how does a page of a tree hold keys",
        "when is the low-rank update merged", "what gives each piece of text a number", "what bounds generation",
        "which model reads both texts together", "weigh rare words", "what grows with every token"};
    char jsonl[4096];
    size_t n = 0;
    for (int i = 0; i < QUERIES; i++)
        n += (size_t)snprintf(jsonl + n, sizeof jsonl - n, "{\"query\": \"%s\", \"expected_source\": \"d%02d.md\"}\n",
                              texts[i], i);
    return fixture_topics(&f, jsonl);
}

static wn_advice advise(const wn_study *study, wn_qrels *qrels, double max_loss) {
    wn_error err;
    wn_advice advice;
    wn_advise_options options = wn_advise_options_default();
    options.max_loss = max_loss;
    fixture_ok(wn_advise(study, DEPTH, qrels, &options, &advice, &err), &err);
    return advice;
}

/* nDCG@10 with one relevant document, by searches under the rule. */
static double by_searches(const wn_topics *topics, bool automatic, float threshold, size_t *skipped) {
    wn_error err;
    double sum = 0;
    *skipped = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        wn_topic topic = wn_topics_get(topics, q);
        wn_answer *answer = NULL;
        wn_search_options options = wn_search_options_default();
        options.k = options.first_stage_k = DEPTH;
        options.first_stage = WN_FIRST_HYBRID;
        options.skip_when_sure = automatic;
        options.skip_threshold = threshold;
        fixture_ok(wn_search(f.searcher, topic.text, &options, &answer, &err), &err);
        *skipped += wn_answer_describe(answer).skipped;
        for (size_t i = 0; i < wn_answer_count(answer); i++)
            if (wn_source_matches(wn_answer_result(answer, i)->passage->source, topic.expected[0]))
                sum += 1 / log2((double)i + 2);
        wn_answer_free(answer);
    }
    return sum / QUERIES;
}

static void threshold_keeps_the_loss_that_was_allowed_in_searches(void **state) {
    static const double losses[] = {0, 0.02, 0.1, 1};
    static const size_t depth = DEPTH;
    wn_error err;
    wn_topics *topics = twelve_topics();
    wn_qrels *qrels = NULL;
    fixture_ok(wn_qrels_from_topics(topics, &qrels, &err), &err);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_HYBRID, &depth, 1);
    size_t skipped, before = 0;
    double always = by_searches(topics, false, 0, &skipped);
    for (int i = 0; i < 4; i++) {
        wn_advice a = advise(study, qrels, losses[i]);
        double automatic = by_searches(topics, true, a.threshold, &skipped);
        printf("allowed %.2f: threshold %.3f skips %zu of %d, %.4f to %.4f\n", losses[i], (double)a.threshold, skipped,
               QUERIES, always, automatic);
        assert_true(fabs(a.always.mean - always) < 1e-12);
        assert_true(automatic >= always - losses[i] - 1e-12);
        assert_true(skipped >= before);
        assert_int_equal(a.pays, skipped > 0);
        assert_int_equal(a.queries, QUERIES);
        assert_int_equal(a.folds, 5);
        assert_true(a.skipped >= 0 && a.skipped <= 1 && a.saved >= 0 && a.saved < 1);
        assert_true(fabs(a.loss.mean - (a.automatic.mean - a.always.mean)) < 1e-12);
        assert_true(a.loss.low <= a.loss.mean + 1e-12 && a.loss.mean <= a.loss.high + 1e-12);
        before = skipped;
    }
    assert_int_equal(before, QUERIES); /* a loss of 1 allows everything */
    wn_study_free(study);
    wn_qrels_free(qrels);
    wn_topics_free(topics);
}

static void without_labels_quality_is_agreement(void **state) {
    static const size_t depth = DEPTH;
    wn_topics *topics = twelve_topics();
    wn_study *study = fixture_study(&f, topics, WN_FIRST_HYBRID, &depth, 1);
    wn_advice a = advise(study, NULL, 1);
    assert_float_equal(a.always.mean, 1, 1e-12);
    /* the least sure query is above no threshold that the other folds have seen */
    assert_true(a.skipped >= (QUERIES - 1.0) / QUERIES && a.never.mean < 1);
    a = advise(study, NULL, -1); /* nothing allows a gain of 1 */
    assert_false(a.pays);
    assert_float_equal(a.skipped, 0, 0);
    assert_float_equal(a.loss.mean, 0, 0);
    assert_true(a.threshold > 1);
    wn_study_free(study);
    wn_topics_free(topics);
}

static void study_without_confidence_is_refused(void **state) {
    wn_error err;
    wn_advice advice;
    wn_study *study = NULL;
    wn_topics *topics = twelve_topics();
    size_t depth = 2;
    wn_study_options options = wn_study_options_default();
    options.depths = &depth;
    options.ndepths = 1;
    fixture_ok(wn_study_run(f.searcher, topics, &options, &study, &err), &err);
    assert_int_equal(wn_advise(study, 2, NULL, NULL, &advice, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_advise(study, 3, NULL, NULL, &advice, &err), WN_ERR_ARGUMENT);
    wn_study_free(study);
    wn_topics_free(topics);
}

int main(void) {
    if (study_is_too_slow("advise")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threshold_keeps_the_loss_that_was_allowed_in_searches),
        cmocka_unit_test(without_labels_quality_is_agreement),
        cmocka_unit_test(study_without_confidence_is_refused),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
