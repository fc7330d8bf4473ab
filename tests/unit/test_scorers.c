/* test_scorers.c -- the cross-encoder on the committed reranker and the bi-encoder on a small
 * random-weight model: batches, order, threads, length policies, allocation failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include <winnow/model.h>

#include "test_tier.h"

#define RERANKER WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"

static wn_model *reranker;
static wn_cross_encoder *cross;

static wn_str str(const char *s) { return (wn_str){s, strlen(s)}; }

static int open_reranker(void **state) {
    wn_error err = {0};
    if (wn_model_open(RERANKER, NULL, &reranker, &err) != WN_OK ||
        wn_cross_encoder_create(reranker, 2, &cross, &err) != WN_OK) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    return 0;
}

static int close_reranker(void **state) {
    wn_cross_encoder_free(cross);
    wn_model_close(reranker);
    return 0;
}

enum { NDOCS = 9 };
static const char *const DOCS[NDOCS] = {
    "",
    "LoRA",
    "LoRA adds a pair of small trainable matrices beside a frozen weight matrix.",
    "Vector databases keep embeddings and find the nearest ones.",
    ("The harbour was quiet, and the boats lay still in the evening light; nobody spoke, and the "
     "lamps along the quay were lit one by one while the tide went out."),
    "Quantisation stores weights in fewer bits. Eight bits halve the memory of sixteen.",
    "Attention compares each token's query with every token's key and mixes the values.",
    "A B-tree keeps keys in order; a page holds many of them.",
    "The low-rank update is scaled by alpha over r, and merged into the weights before serving.",
};

static void views(wn_str out[NDOCS]) {
    for (int i = 0; i < NDOCS; i++) out[i] = str(DOCS[i]);
}

static void batch_any_size_and_order_gives_the_same_bits(void **state) {
    if (wn_test_emulated()) skip(); /* hundreds of pairs: minutes there */
    wn_str docs[NDOCS], backwards[NDOCS];
    wn_pair_score want[NDOCS], got[NDOCS];
    wn_str query = str("how does LoRA save memory?");
    views(docs);
    for (int i = 0; i < NDOCS; i++) backwards[i] = docs[NDOCS - 1 - i];
    assert_int_equal(wn_cross_encoder_score_batch(cross, query, docs, NDOCS, 0, WN_LENGTH_TRUNCATE, want, NULL), WN_OK);
    for (size_t batch = 1; batch <= NDOCS; batch++) {
        assert_int_equal(wn_cross_encoder_score_batch(cross, query, backwards, NDOCS, batch, WN_LENGTH_TRUNCATE, got, NULL), WN_OK);
        for (int i = 0; i < NDOCS; i++)
            assert_memory_equal(&got[NDOCS - 1 - i].logit, &want[i].logit, sizeof(float));
    }
    for (int threads = 1; threads <= 3; threads++) {
        wn_cross_encoder *other = NULL;
        assert_int_equal(wn_cross_encoder_create(reranker, threads, &other, NULL), WN_OK);
        for (int i = 0; i < NDOCS; i++) {
            assert_int_equal(wn_cross_encoder_score_pairs(other, &query, &docs[i], 1, 0, WN_LENGTH_TRUNCATE, got, NULL), WN_OK);
            assert_memory_equal(&got[0].logit, &want[i].logit, sizeof(float));
        }
        wn_cross_encoder_free(other);
    }
}

static void pair_that_fits_reports_whole_passage(void **state) {
    wn_str doc = str(DOCS[2]);
    wn_pair_score got;
    assert_int_equal(wn_cross_encoder_score_batch(cross, str("q"), &doc, 1, 0, WN_LENGTH_ERROR, &got, NULL), WN_OK);
    assert_int_equal(got.fit.tokens_dropped, 0);
    assert_int_equal(got.fit.query_dropped, 0);
    assert_int_equal(got.fit.window_begin, 0);
    assert_int_equal(got.fit.window_end, doc.len);
    assert_true(got.fit.tokens_seen > 10);
}

/* 100 filler sentences, the answer at the end: only the windows policy can see it. */
static char *long_passage(size_t *answer_at) {
    static const char filler[] = "The harbour was quiet and the boats lay still. ";
    static const char answer[] = "LoRA trains two small low-rank matrices and freezes the rest.";
    size_t n = sizeof filler - 1;
    char *text = malloc(100 * n + sizeof answer);
    for (int i = 0; i < 100; i++) memcpy(text + (size_t)i * n, filler, n);
    memcpy(text + 100 * n, answer, sizeof answer);
    *answer_at = 100 * n;
    return text;
}

static void long_passage_policies_cut_refuse_or_read_windows(void **state) {
    if (wn_test_emulated()) skip(); /* windows of 512 tokens: minutes each there */
    size_t answer_at;
    char *text = long_passage(&answer_at);
    wn_str doc = str(text), query = str("what does LoRA train?");
    wn_pair_score cut, best;
    wn_error err = {0};
    assert_int_equal(wn_cross_encoder_score_batch(cross, query, &doc, 1, 0, WN_LENGTH_TRUNCATE, &cut, &err), WN_OK);
    assert_true(cut.fit.tokens_dropped > 400);
    assert_int_equal(cut.fit.window_begin, 0);
    assert_true(cut.fit.window_end > 0 && cut.fit.window_end < answer_at);
    assert_int_equal(wn_cross_encoder_score_batch(cross, query, &doc, 1, 0, WN_LENGTH_WINDOWS, &best, &err), WN_OK);
    assert_true(best.logit > cut.logit + 1);
    assert_int_equal(best.fit.window_end, doc.len);
    assert_true(best.fit.window_begin > 0 && best.fit.window_begin < answer_at);
    assert_int_equal(best.fit.tokens_seen + best.fit.tokens_dropped, cut.fit.tokens_seen + cut.fit.tokens_dropped);
    assert_int_equal(wn_cross_encoder_score_batch(cross, query, &doc, 1, 0, WN_LENGTH_ERROR, &cut, &err), WN_ERR_TOO_LONG);
    assert_non_null(strstr(err.message, "tokens"));
    free(text);
}

/* The best window's own text, scored as a passage, is at least as good a match: same tokens. */
static void window_bytes_are_the_text_that_was_scored(void **state) {
    if (wn_test_emulated()) skip(); /* windows of 512 tokens: minutes each there */
    size_t answer_at;
    char *text = long_passage(&answer_at);
    wn_str doc = str(text), query = str("what does LoRA train?");
    wn_pair_score best, again;
    assert_int_equal(wn_cross_encoder_score_batch(cross, query, &doc, 1, 0, WN_LENGTH_WINDOWS, &best, NULL), WN_OK);
    wn_str window = {text + best.fit.window_begin, best.fit.window_end - best.fit.window_begin};
    assert_int_equal(wn_cross_encoder_score_batch(cross, query, &window, 1, 0, WN_LENGTH_ERROR, &again, NULL), WN_OK);
    assert_memory_equal(&again.logit, &best.logit, sizeof(float));
    free(text);
}

static void long_query_in_windows_keeps_half_the_room(void **state) {
    if (wn_test_emulated()) skip(); /* windows of 512 tokens: minutes each there */
    size_t answer_at;
    char *text = long_passage(&answer_at);
    wn_str both = str(text);
    wn_pair_score got;
    assert_int_equal(wn_cross_encoder_score_batch(cross, both, &both, 1, 0, WN_LENGTH_WINDOWS, &got, NULL), WN_OK);
    assert_true(got.fit.query_dropped > 0);
    assert_true(got.fit.tokens_seen >= 254 && got.fit.tokens_seen <= 256);
    free(text);
}

static void max_length_out_of_range_is_refused(void **state) {
    wn_model_options options = wn_model_options_default();
    wn_model *model = NULL;
    wn_error err = {0};
    options.max_length = 513;
    assert_int_equal(wn_model_open(RERANKER, &options, &model, &err), WN_ERR_ARGUMENT);
    options.max_length = 3;
    assert_int_equal(wn_model_open(RERANKER, &options, &model, &err), WN_ERR_ARGUMENT);
    assert_null(model);
}

static void max_length_given_is_the_length_read(void **state) {
    wn_model_options options = wn_model_options_default();
    wn_model *model = NULL;
    wn_cross_encoder *encoder = NULL;
    wn_pair_score got;
    size_t answer_at;
    char *text = long_passage(&answer_at);
    wn_str doc = str(text);
    options.max_length = 40;
    assert_int_equal(wn_model_open(RERANKER, &options, &model, NULL), WN_OK);
    assert_int_equal(wn_model_describe(model).max_length, 40);
    assert_int_equal(wn_cross_encoder_create(model, 1, &encoder, NULL), WN_OK);
    assert_int_equal(wn_cross_encoder_score_batch(encoder, str("boats"), &doc, 1, 0, WN_LENGTH_TRUNCATE, &got, NULL), WN_OK);
    assert_int_equal(got.fit.tokens_seen, 40 - 3 - 1);
    wn_cross_encoder_free(encoder);
    wn_model_close(model);
    free(text);
}

static void wrong_kind_is_refused_by_both_names(void **state) {
    wn_bi_encoder *bi = NULL;
    wn_error err = {0};
    assert_int_equal(wn_bi_encoder_create(reranker, 1, &bi, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "cross-encoder"));
    assert_null(bi);
}

/* Each allocation of a scoring session fails once: always an error, never a crash or a leak
 * (the ASan build looks). */
static void scoring_any_allocation_fails_cleanly(void **state) {
    if (wn_test_emulated()) skip(); /* hundreds of pairs: minutes there */
    wn_str docs[NDOCS];
    wn_pair_score got[NDOCS];
    views(docs);
    for (uint64_t n = 1; n < 200; n++) {
        wn_cross_encoder *encoder = NULL;
        wn_error err = {0};
        wn_memory_fail_at(n, false);
        wn_status st = wn_cross_encoder_create(reranker, 1, &encoder, &err);
        if (st == WN_OK)
            st = wn_cross_encoder_score_batch(encoder, str("a query"), docs, NDOCS, 4, WN_LENGTH_WINDOWS, got, &err);
        uint64_t made = wn_memory_fail_at(0, false);
        wn_cross_encoder_free(encoder);
        if (st == WN_OK && made < n) return; /* every allocation had its turn */
        assert_int_equal(st, WN_ERR_MEMORY);
    }
    fail_msg("more than 200 allocations in a scoring session");
}

static void second_batch_allocates_nothing(void **state) {
    wn_str docs[NDOCS];
    wn_pair_score got[NDOCS];
    views(docs);
    for (int i = 0; i < 2; i++)
        assert_int_equal(wn_cross_encoder_score_batch(cross, str("a query"), docs, NDOCS, 0, WN_LENGTH_TRUNCATE, got, NULL), WN_OK);
    wn_memory_fail_at(0, false);
    assert_int_equal(wn_cross_encoder_score_batch(cross, str("a query"), docs, NDOCS, 0, WN_LENGTH_TRUNCATE, got, NULL), WN_OK);
    assert_int_equal(wn_memory_fail_at(0, false), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_any_size_and_order_gives_the_same_bits),
        cmocka_unit_test(pair_that_fits_reports_whole_passage),
        cmocka_unit_test(long_passage_policies_cut_refuse_or_read_windows),
        cmocka_unit_test(window_bytes_are_the_text_that_was_scored),
        cmocka_unit_test(long_query_in_windows_keeps_half_the_room),
        cmocka_unit_test(max_length_out_of_range_is_refused),
        cmocka_unit_test(max_length_given_is_the_length_read),
        cmocka_unit_test(wrong_kind_is_refused_by_both_names),
        cmocka_unit_test(scoring_any_allocation_fails_cleanly),
        cmocka_unit_test(second_batch_allocates_nothing),
    };
    return cmocka_run_group_tests_name("scorers", tests, open_reranker, close_reranker);
}
