/* test_explain.c -- explanations against searches and scorers; the sentence splitter. */
#include "study_fixture.h"

#include "pipeline/sentences.h"

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

static float logit_of(wn_str text) {
    wn_error err;
    wn_pair_score pair;
    fixture_ok(wn_cross_encoder_score_batch(f.cross, query, &text, 1, 1, WN_LENGTH_TRUNCATE, &pair, &err), &err);
    return pair.logit;
}

static void ranks_and_scores_are_those_of_searches(void **state) {
    wn_error err;
    wn_search_options options = wn_search_options_default();
    options.first_stage = WN_FIRST_HYBRID;
    options.k = options.first_stage_k = 12;
    wn_answer *answer = NULL;
    fixture_ok(wn_search(f.searcher, query, &options, &answer, &err), &err);
    for (size_t rank = 1; rank <= wn_answer_count(answer); rank++) {
        const wn_result *r = wn_answer_result(answer, rank - 1);
        wn_explanation *e = NULL;
        fixture_ok(wn_explain(f.searcher, query, &options, rank, NULL, &e, &err), &err);
        wn_explanation_info info = wn_explanation_describe(e);
        assert_true(info.candidate);
        assert_int_equal(info.passage->id, r->passage->id);
        assert_int_equal(info.final_rank, rank);
        assert_int_equal(info.first_stage_rank, r->first_stage_rank);
        assert_memory_equal(&info.first_stage_score, &r->first_stage_score, sizeof(float));
        assert_memory_equal(&info.rerank_logit, &r->rerank_logit, sizeof(float));
        assert_float_equal(info.cosine, r->bi_encoder_score, 1e-6);
        assert_int_equal(info.window_begin, 0);
        assert_int_equal(info.window_end, info.passage->input_length);
        assert_memory_equal(&info.window_logit, &info.rerank_logit, sizeof(float));
        wn_explanation_free(e);
    }
    wn_answer_free(answer);
}

static void ranks_among_all_passages_are_those_of_the_whole_list(void **state) {
    wn_error err;
    wn_search_options options = wn_search_options_default();
    wn_index_info index;
    fixture_ok(wn_index_describe(f.index, &index, &err), &err);
    options.k = options.first_stage_k = (size_t)index.passages;
    options.rerank = false;
    wn_answer *answer = NULL;
    fixture_ok(wn_search(f.searcher, query, &options, &answer, &err), &err);
    const wn_result *last = wn_answer_result(answer, wn_answer_count(answer) - 1);
    char name[128];
    snprintf(name, sizeof name, "%s#%u", strrchr(last->passage->source, '/') + 1, last->passage->ordinal);
    options = wn_search_options_default();
    options.k = 1;
    options.first_stage_k = 2; /* far from recalling it */
    wn_explanation *e = NULL;
    fixture_ok(wn_explain(f.searcher, query, &options, 0, name, &e, &err), &err);
    wn_explanation_info info = wn_explanation_describe(e);
    assert_false(info.candidate);
    assert_int_equal(info.first_stage_rank, 0);
    assert_int_equal(info.passage->id, last->passage->id);
    assert_int_equal(info.dense_rank, index.passages);
    assert_true(isfinite(info.rerank_logit));
    wn_explanation_free(e);
    wn_answer_free(answer);
}

static void terms_add_up_to_the_bm25_score(void **state) {
    wn_error err;
    wn_search_options options = wn_search_options_default();
    options.first_stage = WN_FIRST_BM25;
    options.k = options.first_stage_k = 10;
    double largest = 0;
    size_t terms = 0;
    for (size_t rank = 1; rank <= 10; rank++) {
        wn_explanation *e = NULL;
        double sum = 0;
        fixture_ok(wn_explain(f.searcher, query, &options, rank, NULL, &e, &err), &err);
        wn_explanation_info info = wn_explanation_describe(e);
        for (size_t i = 0; i < info.nterms; i++) {
            sum += (double)info.terms[i].bm25;
            assert_true(info.terms[i].passages >= 1);
            if (i) assert_true(info.terms[i - 1].bm25 >= info.terms[i].bm25);
        }
        terms += info.nterms;
        assert_int_equal(info.query_terms, 8);
        assert_true(info.bm25_rank >= 1);
        if (fabs(sum - (double)info.bm25_score) > largest) largest = fabs(sum - (double)info.bm25_score);
        wn_explanation_free(e);
    }
    printf("%zu terms of 10 passages; largest difference of sum and score %.2g\n", terms, largest);
    assert_true(terms > 10 && largest < 1e-5);
}

static void sentence_left_out_is_scored_without_it(void **state) {
    wn_error err;
    wn_search_options options = wn_search_options_default();
    wn_explanation *e = NULL;
    fixture_ok(wn_explain(f.searcher, query, &options, 0, "d03.md#0", &e, &err), &err);
    wn_explanation_info info = wn_explanation_describe(e);
    assert_int_equal(info.nsentences, 2); /* "Quantisation stores ... bits." "Eight bits halve ..." */
    const wn_left_out *second = &info.sentences[1];
    assert_memory_equal(info.passage->input + second->begin, "Eight bits", 10);
    wn_str first = {info.passage->input, second->begin};
    assert_float_equal(second->logit_without, logit_of(first), 1e-6);
    assert_float_equal(second->change, second->logit_without - info.rerank_logit, 1e-6);
    wn_explanation_free(e);
}

static void wrong_requests_are_told(void **state) {
    wn_error err;
    wn_explanation *e = NULL;
    wn_search_options options = wn_search_options_default();
    assert_int_equal(wn_explain(f.searcher, query, &options, 51, NULL, &e, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_explain(f.searcher, query, &options, 0, "nosuch.md", &e, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_explain(f.searcher, query, &options, 0, "d03.md#99", &e, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_explain(f.searcher, query, &options, 0, "", &e, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_explain(f.searcher, (wn_str){"", 0}, &options, 1, NULL, &e, &err), WN_ERR_ARGUMENT);
    assert_null(e);
}

static void allocation_failure_at_any_point_is_reported(void **state) {
    wn_error err;
    wn_search_options options = wn_search_options_default();
    options.k = options.first_stage_k = 3;
    size_t failures = 0;
    for (uint64_t n = 1;; n += n < 40 ? 1 : 5) {
        wn_explanation *e = NULL;
        wn_memory_fail_at(n, false);
        wn_status st = wn_explain(f.searcher, query, &options, 1, NULL, &e, &err);
        wn_memory_fail_at(0, false);
        if (st == WN_OK) {
            wn_explanation_free(e);
            break;
        }
        assert_int_equal(st, WN_ERR_MEMORY);
        assert_null(e);
        failures++;
    }
    printf("%zu allocation failures reported\n", failures);
    assert_true(failures > 10);
}

static void check_sentences(const char *text, const char *const *want, size_t n) {
    wn_str s = {text, strlen(text)};
    size_t pos = 0, begin, end, count = 0;
    while (wn_sentence_next(s, &pos, &begin, &end)) {
        assert_true(count < n);
        assert_int_equal(end - begin, strlen(want[count]));
        assert_memory_equal(text + begin, want[count], end - begin);
        count++;
    }
    assert_int_equal(count, n);
}

static void sentences_end_where_readers_see_it(void **state) {
    static const char *const plain[] = {"One 3.5 GHz core.", "Two (really!)", "yes?", "\"Three.\"", "no stop"};
    check_sentences("One 3.5 GHz core.  Two (really!) yes? \"Three.\" no stop", plain, 5);
    static const char *const blocks[] = {"# Title", "wrapped\nline here", "- item one", "2. item two"};
    check_sentences("# Title\n\nwrapped\nline here\n- item one\n2. item two\n", blocks, 4);
    static const char *const wide[] = {"\xE4\xBD\xA0\xE3\x80\x82", "\xE5\xA5\xBD"};
    check_sentences("\xE4\xBD\xA0\xE3\x80\x82\xE5\xA5\xBD", wide, 2);
    check_sentences(" \n ", NULL, 0);
    check_sentences("", NULL, 0);
}

int main(void) {
    if (study_is_too_slow("explain")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_and_scores_are_those_of_searches),
        cmocka_unit_test(ranks_among_all_passages_are_those_of_the_whole_list),
        cmocka_unit_test(terms_add_up_to_the_bm25_score),
        cmocka_unit_test(sentence_left_out_is_scored_without_it),
        cmocka_unit_test(wrong_requests_are_told),
        cmocka_unit_test(allocation_failure_at_any_point_is_reported),
        cmocka_unit_test(sentences_end_where_readers_see_it),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
