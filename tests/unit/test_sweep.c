/* test_sweep.c -- the sweep's numbers at each k are those of separate runs at that k; its marks follow
 * from its numbers. */
#include "study_fixture.h"

static study_fixture f;
static const size_t DEPTHS[] = {2, 5, 9, 14};
enum { NDEPTHS = 4, QUERIES = 5 };

static int open_fixture(void **state) {
    study_fixture_open(&f, true);
    return 0;
}

static int close_fixture(void **state) {
    study_fixture_close(&f);
    return 0;
}

/* nDCG@10 of wn_search at one depth, with nothing of a study: labels matched, documents collapsed and
 * the gain summed here. One relevant document a query: nDCG is 1 / log2(rank + 1). */
static double mean_by_searches(const wn_topics *topics, wn_first_stage stage, size_t depth, bool rerank) {
    wn_error err;
    double sum = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        wn_topic topic = wn_topics_get(topics, q);
        wn_answer *answer = NULL;
        wn_search_options options = wn_search_options_default();
        options.k = options.first_stage_k = depth;
        options.first_stage = stage;
        options.rerank = rerank;
        fixture_ok(wn_search(f.searcher, topic.text, &options, &answer, &err), &err);
        const char *seen[32];
        size_t distinct = 0;
        for (size_t i = 0; i < wn_answer_count(answer); i++) {
            const char *source = wn_answer_result(answer, i)->passage->source;
            bool again = false;
            for (size_t j = 0; j < distinct; j++) again |= strcmp(seen[j], source) == 0;
            if (again) continue;
            seen[distinct++] = source;
            if (distinct > 10 || !wn_source_matches(source, topic.expected[0])) continue;
            sum += 1 / log2((double)distinct + 1);
            break;
        }
        wn_answer_free(answer);
    }
    return sum / QUERIES;
}

static void check_rows(const wn_sweep_row *rows, size_t n, size_t nstudies) {
    size_t best = 0, fastest = 0, enough = 0, recommended = 0;
    for (size_t i = 0; i < n; i++) {
        const wn_sweep_row *r = &rows[i];
        best += r->best;
        fastest += r->fastest;
        enough += r->enough;
        recommended += r->recommended;
        assert_true(r->quality.low <= r->quality.mean + 1e-9 && r->quality.mean <= r->quality.high + 1e-9);
        assert_true(r->latency_p50_ms <= r->latency_p95_ms);
        assert_true(r->p > 0 && r->p <= 1 && r->difference <= 1e-12);
        assert_int_equal(r->queries, QUERIES);
        for (size_t j = 0; j < n; j++) {
            const wn_sweep_row *o = &rows[j];
            bool beaten = o->quality.mean > r->quality.mean &&
                          o->stage1_ms + o->stage2_ms < r->stage1_ms + r->stage2_ms;
            if (r->pareto) assert_false(beaten);
            if (o->study != r->study) continue;
            if (r->best) assert_true(o->quality.mean <= r->quality.mean);
            if (r->fastest) assert_true(o->stage1_ms + o->stage2_ms >= r->stage1_ms + r->stage2_ms);
            if (r->enough && o->best) assert_true(r->depth <= o->depth);
        }
    }
    assert_int_equal(best, nstudies);
    assert_int_equal(fastest, nstudies);
    assert_int_equal(enough, nstudies);
    assert_int_equal(recommended, 1);
}

static void rows_equal_separate_runs_at_each_k(void **state) {
    static const wn_first_stage stages[] = {WN_FIRST_DENSE, WN_FIRST_BM25, WN_FIRST_HYBRID};
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_qrels *qrels = NULL;
    wn_study *studies[3];
    wn_sweep_row rows[3 * (NDEPTHS + 1)];
    wn_cost_line lines[3];
    size_t n;
    double largest = 0;
    fixture_ok(wn_qrels_from_topics(topics, &qrels, &err), &err);
    for (int i = 0; i < 3; i++) studies[i] = fixture_study(&f, topics, stages[i], DEPTHS, NDEPTHS);
    fixture_ok(wn_sweep((const wn_study *const *)studies, 3, qrels, NULL, rows, &n, lines, &err), &err);
    assert_int_equal(n, 3 * (NDEPTHS + 1));
    for (size_t i = 0; i < n; i++) {
        size_t depth = rows[i].depth ? rows[i].depth : DEPTHS[NDEPTHS - 1];
        double want = mean_by_searches(topics, stages[rows[i].study], depth, rows[i].depth > 0);
        if (fabs(rows[i].quality.mean - want) > largest) largest = fabs(rows[i].quality.mean - want);
    }
    printf("compared %zu rows with separate searches; largest difference %.3g\n", n, largest);
    assert_true(largest < 1e-12);
    check_rows(rows, n, 3);
    for (int i = 0; i < 3; i++) assert_true(lines[i].per_candidate_ms > 0);
    for (int i = 0; i < 3; i++) wn_study_free(studies[i]);
    wn_qrels_free(qrels);
    wn_topics_free(topics);
}

static void stage2_time_of_each_row_is_what_the_study_measured(void **state) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_DENSE, DEPTHS, NDEPTHS);
    wn_sweep_row rows[NDEPTHS + 1];
    size_t n;
    fixture_ok(wn_sweep((const wn_study *const *)&study, 1, NULL, NULL, rows, &n, NULL, &err), &err);
    for (size_t i = 1; i < n; i++) {
        double sum = 0, ms;
        for (size_t q = 0; q < QUERIES; q++) {
            fixture_ok(wn_study_stage2_ms(study, q, rows[i].depth, &ms, &err), &err);
            sum += ms;
        }
        assert_float_equal(rows[i].stage2_ms, sum / QUERIES, 1e-9);
        assert_true(rows[i].stage2_ms > rows[i - 1].stage2_ms);
    }
    assert_float_equal(rows[NDEPTHS].quality.mean, 1, 1e-12); /* agrees with itself */
    wn_study_free(study);
    wn_topics_free(topics);
}

static void budget_that_nothing_meets_recommends_nothing(void **state) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *study = fixture_study(&f, topics, WN_FIRST_DENSE, DEPTHS, NDEPTHS);
    wn_sweep_row rows[NDEPTHS + 1];
    wn_sweep_options options = wn_sweep_options_default();
    size_t n;
    options.budget_ms = 1e-6;
    fixture_ok(wn_sweep((const wn_study *const *)&study, 1, NULL, &options, rows, &n, NULL, &err), &err);
    for (size_t i = 0; i < n; i++) assert_false(rows[i].within_budget || rows[i].recommended);
    options.budget_ms = rows[1].latency_p95_ms; /* first stage, and k = 2, at least */
    fixture_ok(wn_sweep((const wn_study *const *)&study, 1, NULL, &options, rows, &n, NULL, &err), &err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].within_budget, rows[i].latency_p95_ms <= options.budget_ms);
        if (rows[i].recommended) assert_true(rows[i].within_budget);
    }
    wn_study_free(study);
    wn_topics_free(topics);
}

static void several_studies_need_labels_and_the_same_queries(void **state) {
    wn_error err;
    wn_topics *topics = fixture_topics(&f, FIXTURE_TOPICS);
    wn_study *studies[2] = {fixture_study(&f, topics, WN_FIRST_DENSE, DEPTHS, 1), NULL};
    wn_topics *other = fixture_topics(&f, "{\"query\": \"memory\", \"expected_source\": \"d03.md\"}\n");
    studies[1] = fixture_study(&f, other, WN_FIRST_BM25, DEPTHS, 1);
    wn_sweep_row rows[4];
    size_t n;
    assert_int_equal(wn_sweep((const wn_study *const *)studies, 2, NULL, NULL, rows, &n, NULL, &err), WN_ERR_ARGUMENT);
    wn_qrels *qrels = NULL;
    fixture_ok(wn_qrels_from_topics(topics, &qrels, &err), &err);
    assert_int_equal(wn_sweep((const wn_study *const *)studies, 2, qrels, NULL, rows, &n, NULL, &err), WN_ERR_MISMATCH);
    wn_sweep_options options = wn_sweep_options_default();
    options.measure = "P.5,10"; /* two values */
    assert_int_equal(wn_sweep((const wn_study *const *)studies, 1, qrels, &options, rows, &n, NULL, &err), WN_ERR_ARGUMENT);
    options.measure = "beauty";
    assert_int_equal(wn_sweep((const wn_study *const *)studies, 1, qrels, &options, rows, &n, NULL, &err), WN_ERR_ARGUMENT);
    wn_qrels_free(qrels);
    wn_study_free(studies[0]);
    wn_study_free(studies[1]);
    wn_topics_free(other);
    wn_topics_free(topics);
}

int main(void) {
    if (study_is_too_slow("sweep")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_separate_runs_at_each_k),
        cmocka_unit_test(stage2_time_of_each_row_is_what_the_study_measured),
        cmocka_unit_test(budget_that_nothing_meets_recommends_nothing),
        cmocka_unit_test(several_studies_need_labels_and_the_same_queries),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
