/* test_searcher_with.c -- a searcher over calls gives the bits of one over sessions, however the calls
 * cut the work. */
#include "study_fixture.h"

#include "core/error.h"
#include "pipeline/stages.h"

static study_fixture f;

/* Hands on in pieces of `piece`, longest place first, as a batcher might. */
typedef struct calls {
    wn_scorers sessions;
    wn_searcher *lose_index; /* whose index is gone once scoring begins */
    size_t piece, embeds, scores, stop_after; /* stop_after: pairs done under a deadline */
    double time_left_ms;
    wn_status fail;
} calls;

static wn_status embed(void *ctx, const wn_str *texts, size_t n, wn_role role, wn_length_policy policy,
                       float *out, wn_fit *fits, wn_error *err) {
    calls *c = ctx;
    size_t dim = wn_bi_encoder_dim(f.bi);
    c->embeds++;
    for (size_t i = 0; i < n; i++) {
        wn_status st = c->sessions.embed(c->sessions.embed_ctx, texts + i, 1, role, policy, out + i * dim, fits + i, err);
        if (st != WN_OK) return st;
    }
    return WN_OK;
}

static wn_status score(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy,
                       size_t batch_size, double time_left_ms, wn_pair_score *out, size_t *done, wn_error *err) {
    calls *c = ctx;
    size_t most = time_left_ms > 0 && c->stop_after < n ? c->stop_after : n;
    c->scores++;
    c->time_left_ms = time_left_ms;
    if (c->lose_index) c->lose_index->index = NULL;
    if (c->fail) return wn_fail(err, c->fail, "told to fail");
    for (size_t end = most; end; end -= end < c->piece ? end : c->piece) {
        size_t begin = end < c->piece ? 0 : end - c->piece, ignored;
        wn_status st = c->sessions.score(c->sessions.score_ctx, query, passages + begin, end - begin, policy, 64, 0,
                                         out + begin, &ignored, err);
        if (st != WN_OK) return st;
    }
    *done = most;
    return WN_OK;
}

static wn_scorers scorers_of(calls *c) {
    c->sessions = wn_scorers_of(f.bi, f.cross);
    if (!c->piece) c->piece = 3;
    return (wn_scorers){.size = sizeof(wn_scorers), .embedder = f.bi_model, .embed_ctx = c, .embed = embed,
                        .reranker = f.cross_model, .score_ctx = c, .score = score};
}

static wn_searcher *searcher_of(calls *c) {
    wn_scorers scorers = scorers_of(c);
    wn_searcher *searcher = NULL;
    wn_error err;
    fixture_ok(wn_searcher_create_with(f.index, &scorers, &searcher, &err), &err);
    return searcher;
}

static int open_fixture(void **state) {
    study_fixture_open(&f, true);
    return 0;
}

static int close_fixture(void **state) {
    study_fixture_close(&f);
    return 0;
}

static const char *const queries[] = {"how does attention use memory for each token", "low rank adapters",
                                      "learning rate", "what is a tokenizer?", "GPU"};

static size_t same_answer(wn_searcher *other, const char *query, const wn_search_options *options) {
    wn_answer *want = NULL, *got = NULL;
    wn_error err;
    wn_str q = {query, strlen(query)};
    fixture_ok(wn_search(f.searcher, q, options, &want, &err), &err);
    fixture_ok(wn_search(other, q, options, &got, &err), &err);
    size_t n = wn_answer_count(want);
    assert_int_equal(wn_answer_count(got), n);
    for (size_t i = 0; i < n; i++) {
        wn_result a = *wn_answer_result(want, i), b = *wn_answer_result(got, i);
        assert_int_equal(a.passage->id, b.passage->id);
        a.passage = b.passage = NULL;
        assert_memory_equal(&a, &b, sizeof a);
    }
    wn_answer_free(want);
    wn_answer_free(got);
    return n;
}

static void calls_give_the_same_bits_as_sessions(void **state) {
    calls c = {0};
    wn_searcher *other = searcher_of(&c);
    size_t compared = 0;
    for (int stage = WN_FIRST_DENSE; stage <= WN_FIRST_HYBRID; stage++)
        for (int policy = 0; policy < 3; policy++)
            for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
                wn_search_options options = wn_search_options_default();
                options.k = options.first_stage_k = 20;
                options.first_stage = (wn_first_stage)stage;
                options.length_policy = policy == 1 ? WN_LENGTH_WINDOWS : WN_LENGTH_TRUNCATE;
                options.rerank = policy != 2;
                compared += same_answer(other, queries[q], &options);
            }
    print_message("%zu results compared bit by bit\n", compared);
    assert_true(compared > 200);
    assert_in_range(c.scores, 20, 30); /* BM25 may find nothing to rerank */
    wn_searcher_free(other);
}

static void deadline_is_handed_on_and_its_rest_kept_in_order(void **state) {
    calls c = {.stop_after = 4};
    wn_searcher *other = searcher_of(&c);
    wn_search_options options = wn_search_options_default();
    wn_answer *answer = NULL;
    wn_error err;
    options.k = options.first_stage_k = 20;
    options.deadline_ms = 60000;
    fixture_ok(wn_search(other, (wn_str){queries[0], strlen(queries[0])}, &options, &answer, &err), &err);
    assert_true(c.time_left_ms > 0 && c.time_left_ms <= 60000);
    assert_int_equal(wn_answer_describe(answer).reranked, 4);
    assert_true(wn_answer_describe(answer).out_of_time);
    for (size_t i = 0; i < wn_answer_count(answer); i++) {
        assert_int_equal(isnan(wn_answer_result(answer, i)->rerank_logit), i >= 4);
        if (i >= 4) assert_int_equal(wn_answer_result(answer, i)->first_stage_rank, i + 1);
    }
    wn_answer_free(answer);
    wn_searcher_free(other);
}

static void index_is_not_asked_once_scoring_began(void **state) {
    calls c = {0};
    for (int stage = WN_FIRST_DENSE; stage <= WN_FIRST_HYBRID; stage++) {
        wn_searcher *other = searcher_of(&c);
        wn_search_options options = wn_search_options_default();
        options.first_stage = (wn_first_stage)stage;
        options.blend = 1.5f;
        options.skip_when_sure = true;
        options.skip_threshold = 1.1f;
        c.lose_index = other;
        assert_true(same_answer(other, queries[0], &options) > 0);
        assert_null(other->index);
        wn_searcher_free(other);
    }
}

static void short_work_without_a_deadline_is_a_defect(void **state) {
    calls c = {.fail = WN_ERR_CANCELLED};
    wn_searcher *other = searcher_of(&c);
    wn_answer *answer = NULL;
    wn_error err;
    wn_str query = {queries[0], strlen(queries[0])};
    assert_int_equal(wn_search(other, query, NULL, &answer, &err), WN_ERR_CANCELLED);
    assert_null(answer);
    wn_searcher_free(other);
    wn_scorers half = scorers_of(&c);
    half.score = NULL;
    assert_int_equal(wn_searcher_create_with(f.index, &half, &other, &err), WN_ERR_ARGUMENT);
    half = scorers_of(&c);
    half.embedder = f.cross_model;
    assert_int_equal(wn_searcher_create_with(f.index, &half, &other, &err), WN_ERR_MISMATCH);
}

static void explain_and_compare_are_the_same(void **state) {
    calls c = {0};
    wn_scorers scorers = scorers_of(&c);
    wn_searcher *other = searcher_of(&c);
    wn_explanation *want = NULL, *got = NULL;
    wn_error err;
    wn_str query = {queries[0], strlen(queries[0])};
    fixture_ok(wn_explain(f.searcher, query, NULL, 1, NULL, &want, &err), &err);
    fixture_ok(wn_explain(other, query, NULL, 1, NULL, &got, &err), &err);
    wn_explanation_info a = wn_explanation_describe(want), b = wn_explanation_describe(got);
    assert_int_equal(a.nsentences, b.nsentences);
    assert_true(a.nsentences > 0);
    assert_memory_equal(a.sentences, b.sentences, a.nsentences * sizeof *a.sentences);
    assert_memory_equal(&a.rerank_logit, &b.rerank_logit, sizeof a.rerank_logit);
    wn_explanation_free(want);
    wn_explanation_free(got);
    wn_searcher_free(other);
    enum { n = FIXTURE_DOCS };
    wn_str texts[n];
    wn_compare_row rows[n], others[n];
    for (int i = 0; i < n; i++) texts[i] = (wn_str){FIXTURE_TEXTS[i], strlen(FIXTURE_TEXTS[i])};
    fixture_ok(wn_compare(f.bi, f.cross, query, texts, n, WN_LENGTH_TRUNCATE, rows, &err), &err);
    fixture_ok(wn_compare_with(&scorers, query, texts, n, WN_LENGTH_TRUNCATE, others, &err), &err);
    assert_memory_equal(rows, others, sizeof rows);
    float scores[n];
    fixture_ok(wn_bi_encoder_score_batch(f.bi, query, texts, n, 0, scores, &err), &err);
    for (int i = 0; i < n; i++) assert_memory_equal(&scores[i], &rows[i].bi_encoder_score, sizeof *scores);
}

int main(void) {
    if (study_is_too_slow("searcher_with")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_give_the_same_bits_as_sessions),
        cmocka_unit_test(deadline_is_handed_on_and_its_rest_kept_in_order),
        cmocka_unit_test(index_is_not_asked_once_scoring_began),
        cmocka_unit_test(short_work_without_a_deadline_is_a_defect),
        cmocka_unit_test(explain_and_compare_are_the_same),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
