/* test_tokenizer.c -- tokenizers without the reference collections: ids of known
 * texts, templates, truncation, what is refused, and what damage does. Ids come
 * from Hugging Face tokenizers 0.23.3; test_tokenizer_golden.c holds the bulk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_impl.h"

#define BERT WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"

#define XLMR WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr"

static wn_tokenizer *bert, *xlmr;

static wn_str str(const char *s) { return (wn_str){s, strlen(s)}; }

static int open_both(void **state) {
    wn_error err = {0};
    setenv("WINNOW_CACHE", WN_BUILD_ROOT "/test-cache", 0); /* not the user's own */
    if (wn_tokenizer_open(BERT, &bert, &err) == WN_OK && wn_tokenizer_open(XLMR, &xlmr, &err) == WN_OK)
        return 0;
    fprintf(stderr, "%s\n", err.message);
    return -1;
}
static int close_both(void **state) {
    wn_tokenizer_close(bert);
    wn_tokenizer_close(xlmr);
    return 0;
}

static void assert_ids(const wn_tokenizer *t, wn_str text, const wn_str *pair, size_t max_length,
                       wn_truncation how, const int32_t *ids, size_t n) {
    wn_encoding *e = NULL;
    wn_error err = {0};
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    if (wn_tokenizer_encode(t, text, pair, max_length, how, e, &err) != WN_OK) fail_msg("%s", err.message);
    assert_int_equal(wn_encoding_length(e), n);
    assert_memory_equal(wn_encoding_ids(e), ids, n * sizeof *ids);
    wn_encoding_free(e);
}
#define IDS(t, text, pair, max, how, ...)                                     \
    assert_ids(t, text, pair, max, how, (const int32_t[]){__VA_ARGS__},        \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void bert_known_texts_give_reference_ids(void **state) {
    IDS(bert, str("Hello, World!"), NULL, 0, 0, 101, 7592, 1010, 2088, 999, 102);
    IDS(bert, str("Café naïve İstanbul"), NULL, 0, 0, 101, 7668, 15743, 9960, 102);
    IDS(bert, str("[SEP] in text [MASK]"), NULL, 0, 0, 101, 102, 1999, 3793, 103, 102);
    IDS(bert, str("漢字kanji"), NULL, 0, 0, 101, 1904, 100, 22827, 4478, 102);
    IDS(bert, str(""), NULL, 0, 0, 101, 102);
}

static void xlmr_known_texts_give_reference_ids(void **state) {
    IDS(xlmr, str("Hello, World!"), NULL, 0, 0, 0, 1029, 624, 42, 7, 121, 609, 3650, 3, 2);
    IDS(xlmr, str("Der Zug  fährt <mask> ab"), NULL, 0, 0, 0, 107, 81, 1108, 1322, 316, 834, 39, 3705,
        1324, 2);
    IDS(xlmr, str("Ｆｕｌｌ"), NULL, 0, 0, 0, 230, 3049, 2);
    IDS(xlmr, str(""), NULL, 0, 0, 0, 2);
    IDS(xlmr, str(" "), NULL, 0, 0, 0, 5, 2);
    IDS(xlmr, str("搜索系统"), NULL, 0, 0, 0, 5, 1656, 768, 1667, 1668, 2);
    IDS(xlmr, str("oooo"), NULL, 0, 0, 0, 417, 42, 42, 42, 2);      /* a tie of equal sums */
    IDS(xlmr, str("\xF0\x9F\xA4\xA6\xF0\x9F\x8F\xBC"), NULL, 0, 0, 0, 5, 3, 2); /* one unknown, not two */
    wn_str b = str("d e");
    IDS(xlmr, str("a b c"), &b, 0, 0, 0, 10, 293, 188, 2, 2, 154, 380, 2);
}

static void invalid_bytes_become_one_replacement_each(void **state) {
    wn_str bad = {"a\xE2\x82" "b\xFF", 5};
    /* U+FFFD is dropped by clean_text, so the letters meet. */
    IDS(bert, bad, NULL, 0, 0, 101, 11113, 102);
}

static void pair_has_template_and_type_ids(void **state) {
    wn_encoding *e = NULL;
    wn_str b = str("d e");
    static const uint8_t types[] = {0, 0, 0, 0, 0, 1, 1, 1};
    IDS(bert, str("a b c"), &b, 0, 0, 101, 1037, 1038, 1039, 102, 1040, 1041, 102);
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    assert_int_equal(wn_tokenizer_encode(bert, str("a b c"), &b, 0, 0, e, NULL), WN_OK);
    assert_memory_equal(wn_encoding_type_ids(e), types, sizeof types);
    wn_encoding_free(e);
}

/* ---- truncation ---------------------------------------------------------- */

/* Kept lengths for two sides of na and nb tokens at max_length 8 (5 left after
 * BERT's three): the reference's answers. */
static void truncation_longest_first_follows_the_reference(void **state) {
    static const struct { size_t na, nb, keep_a, keep_b; } cases[] = {
        {20, 20, 2, 3}, {21, 20, 3, 2}, {20, 21, 2, 3}, {2, 20, 2, 3}, {20, 2, 3, 2},
        {1, 20, 1, 4}, {20, 1, 4, 1}, {0, 20, 0, 5}, {3, 3, 2, 3}, {4, 3, 3, 2}, {2, 3, 2, 3},
        {5, 1, 4, 1}, {6, 0, 5, 0},
    };
    int32_t ids[32] = {0};
    wn_encoding *e = NULL;
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(wn_tokenizer_join(bert, ids, cases[i].na, ids, cases[i].nb, true, 8,
                                           WN_TRUNCATE_LONGEST_FIRST, e, NULL), WN_OK);
        assert_int_equal(cases[i].na - wn_encoding_dropped_first(e), cases[i].keep_a);
        assert_int_equal(cases[i].nb - wn_encoding_dropped_second(e), cases[i].keep_b);
        assert_int_equal(wn_encoding_length(e), cases[i].keep_a + cases[i].keep_b + 3);
    }
    wn_encoding_free(e);
}

static wn_status join(wn_encoding *e, size_t na, size_t nb, bool pair, size_t max, wn_truncation how,
                      wn_error *err) {
    static const int32_t ids[64];
    return wn_tokenizer_join(bert, ids, na, ids, nb, pair, max, how, e, err);
}

static void truncation_of_one_side_cuts_or_refuses(void **state) {
    wn_encoding *e = NULL;
    wn_error err = {0};
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    assert_int_equal(join(e, 10, 3, true, 8, WN_TRUNCATE_ONLY_FIRST, &err), WN_OK);
    assert_int_equal(wn_encoding_dropped_first(e), 8);
    assert_int_equal(wn_encoding_dropped_second(e), 0);
    assert_int_equal(join(e, 3, 10, true, 8, WN_TRUNCATE_ONLY_SECOND, &err), WN_OK);
    assert_int_equal(wn_encoding_dropped_second(e), 8);
    /* 5 tokens fit; the other side alone has 5 or more: the reference raises. */
    assert_int_equal(join(e, 10, 5, true, 8, WN_TRUNCATE_ONLY_FIRST, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "first"));
    assert_int_equal(join(e, 6, 10, true, 8, WN_TRUNCATE_ONLY_SECOND, &err), WN_ERR_ARGUMENT);
    assert_int_equal(join(e, 10, 0, false, 8, WN_TRUNCATE_ONLY_SECOND, &err), WN_ERR_ARGUMENT);
    assert_int_equal(join(e, 10, 0, false, 8, WN_TRUNCATE_ONLY_FIRST, &err), WN_OK);
    wn_encoding_free(e);
}

static void truncation_without_room_for_specials_is_refused(void **state) {
    wn_encoding *e = NULL;
    wn_error err = {0};
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    assert_int_equal(join(e, 10, 10, true, 2, 0, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "3 special tokens"));
    assert_int_equal(join(e, 10, 10, true, 3, 0, &err), WN_OK); /* room for nothing else */
    assert_int_equal(wn_encoding_length(e), 3);
    assert_int_equal(join(e, 10, 10, true, 2, WN_TRUNCATE_NONE, &err), WN_OK);
    assert_int_equal(wn_encoding_length(e), 23);
    assert_int_equal(join(e, 10, 10, true, 0, 0, &err), WN_OK); /* 0: no limit */
    assert_int_equal(wn_encoding_length(e), 23);
    assert_int_equal(wn_tokenizer_special_count(bert, false), 2);
    assert_int_equal(wn_tokenizer_special_count(bert, true), 3);
    assert_int_equal(wn_tokenizer_special_count(xlmr, true), 4);
    wn_encoding_free(e);
}

static void join_refuses_ids_of_its_own_output(void **state) {
    wn_encoding *e = NULL;
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    assert_int_equal(wn_tokenizer_encode_raw(bert, str("a b c"), e, NULL), WN_OK);
    assert_int_equal(wn_tokenizer_join(bert, wn_encoding_ids(e), 3, NULL, 0, false, 0, 0, e, NULL),
                     WN_ERR_ARGUMENT);
    wn_encoding_free(e);
}

/* ---- the two-step form --------------------------------------------------- */

static const char *const hostile[] = {
    "", " ", "a", "Hello, World!", "tab\tnew\nline\r\nend", "caf\u00e9 cafe\u0301 \u0130 \u1e9e \u03a3\u03c2",
    "\u200b\u200d\ufeff zero\u200bwidth", "[CLS] [SEP][MASK] <s></s> <mask>  <unk>x",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\uff26\uff35\uff2c\uff2c \uff8a\uff9e \u3000",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u6f22\u5b57\u3068\u304b\u306a mixed\u6f22text",
    "bad \xff\xc0\xaf \xe2\x82 bytes \xed\xa0\x80", "--------oooooooo........",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "\uff41\u0301\u0323 a\u0323\u0301 \u1d165\u0345\u034f\u0301",
};
enum { HOSTILE = sizeof hostile / sizeof *hostile };

static void encode_equals_raw_and_join(void **state) {
    wn_encoding *raw[2] = {NULL, NULL}, *joined = NULL, *whole = NULL;
    for (int i = 0; i < 2; i++) assert_int_equal(wn_encoding_create(&raw[i], NULL), WN_OK);
    assert_int_equal(wn_encoding_create(&joined, NULL), WN_OK);
    assert_int_equal(wn_encoding_create(&whole, NULL), WN_OK);
    for (size_t i = 0; i < HOSTILE * HOSTILE * 2; i++) {
        const wn_tokenizer *t = i % 2 ? xlmr : bert;
        wn_str a = str(hostile[i / 2 % HOSTILE]), b = str(hostile[i / 2 / HOSTILE]);
        assert_int_equal(wn_tokenizer_encode_raw(t, a, raw[0], NULL), WN_OK);
        assert_int_equal(wn_tokenizer_encode_raw(t, b, raw[1], NULL), WN_OK);
        for (size_t max = 0; max < 24; max += 6) {
            for (int how = 0; how <= WN_TRUNCATE_NONE; how++) {
                wn_status sj = wn_tokenizer_join(t, wn_encoding_ids(raw[0]), wn_encoding_length(raw[0]),
                                                 wn_encoding_ids(raw[1]), wn_encoding_length(raw[1]), true,
                                                 max, (wn_truncation)how, joined, NULL);
                wn_status se = wn_tokenizer_encode(t, a, &b, max, (wn_truncation)how, whole, NULL);
                assert_int_equal(sj, se);
                if (se != WN_OK) continue;
                size_t n = wn_encoding_length(whole);
                assert_int_equal(wn_encoding_length(joined), n);
                assert_memory_equal(wn_encoding_ids(joined), wn_encoding_ids(whole), n * sizeof(int32_t));
                assert_memory_equal(wn_encoding_type_ids(joined), wn_encoding_type_ids(whole), n);
            }
        }
    }
    for (int i = 0; i < 2; i++) wn_encoding_free(raw[i]);
    wn_encoding_free(joined);
    wn_encoding_free(whole);
}

/* The one-pass way of XLM-R against the step-by-step way of unigram.c. */
static void unigram_stream_equals_its_plain_twin(void **state) {
    wn_encoding *a = NULL, *b = NULL;
    wn_tokenizer steps = *xlmr;
    steps.streams = false;
    assert_true(xlmr->streams);
    assert_int_equal(wn_encoding_create(&a, NULL), WN_OK);
    assert_int_equal(wn_encoding_create(&b, NULL), WN_OK);
    for (size_t i = 0; i < HOSTILE * HOSTILE; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", hostile[i / HOSTILE], hostile[i % HOSTILE]);
        assert_int_equal(wn_tokenizer_encode_raw(xlmr, str(text), a, NULL), WN_OK);
        assert_int_equal(wn_tokenizer_encode_raw(&steps, str(text), b, NULL), WN_OK);
        size_t n = wn_encoding_length(a);
        assert_int_equal(n, wn_encoding_length(b));
        assert_memory_equal(wn_encoding_ids(a), wn_encoding_ids(b), n * sizeof(int32_t));
        for (size_t k = 0; k < 2 * n; k++)
            assert_int_equal(wn_encoding_offsets(a)[k], wn_encoding_offsets(b)[k]);
    }
    wn_encoding_free(a);
    wn_encoding_free(b);
}

static void offsets_cover_the_source_in_order(void **state) {
    wn_encoding *e = NULL;
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    for (size_t i = 0; i < HOSTILE * 2; i++) {
        const char *text = hostile[i / 2];
        assert_int_equal(wn_tokenizer_encode_raw(i % 2 ? xlmr : bert, str(text), e, NULL), WN_OK);
        const uint32_t *o = wn_encoding_offsets(e);
        uint32_t last = 0;
        assert_non_null(o);
        for (size_t k = 0; k < wn_encoding_length(e); k++) {
            assert_true(o[2 * k] <= o[2 * k + 1] && o[2 * k + 1] <= strlen(text));
            assert_true(o[2 * k] >= last); /* tokens begin in the order of the text */
            last = o[2 * k];
        }
    }
    wn_encoding_free(e);
}

static void offsets_point_at_the_source_of_changed_characters(void **state) {
    /* bytes:              0123 4  5-6  7    8 9-10  11 */
    const char *text = "CAF\xC3\x89 na\xC3\xAFve \xFF[SEP]x";
    static const uint32_t bert_offsets[] = {0, 5, 6, 12, 14, 19, 19, 20};
    wn_encoding *e = NULL;
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    assert_int_equal(wn_tokenizer_encode_raw(bert, str(text), e, NULL), WN_OK);
    assert_int_equal(wn_encoding_length(e), 4); /* cafe naive [SEP] x */
    assert_memory_equal(wn_encoding_offsets(e), bert_offsets, sizeof bert_offsets);
    assert_string_equal(wn_tokenizer_token(bert, wn_encoding_ids(e)[1]), "naive");
    assert_int_equal(wn_tokenizer_encode(bert, str(text), NULL, 0, 0, e, NULL), WN_OK);
    assert_null(wn_encoding_offsets(e));
    wn_encoding_free(e);
}

static void a_megabyte_without_a_space_is_linear(void **state) {
    enum { N = 1 << 20 };
    char *text = malloc(N);
    wn_encoding *e = NULL;
    assert_non_null(text);
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    memset(text, 'a', N);
    assert_int_equal(wn_tokenizer_encode(bert, (wn_str){text, N}, NULL, 0, 0, e, NULL), WN_OK);
    assert_int_equal(wn_encoding_length(e), 3); /* one unknown token */
    assert_int_equal(wn_tokenizer_encode(xlmr, (wn_str){text, N}, NULL, 0, 0, e, NULL), WN_OK);
    assert_true(wn_encoding_length(e) > N / 16);
    for (size_t i = 0; i < N; i++) text[i] = i % 2 ? '\xAE' : '\xCC'; /* combining marks only */
    assert_int_equal(wn_tokenizer_encode(bert, (wn_str){text, N}, NULL, 0, 0, e, NULL), WN_OK);
    assert_int_equal(wn_tokenizer_encode(xlmr, (wn_str){text, N}, NULL, 0, 0, e, NULL), WN_OK);
    free(text);
    wn_encoding_free(e);
}

static void nul_bytes_are_characters(void **state) {
    IDS(bert, ((wn_str){"a\0b", 3}), NULL, 0, 0, 101, 11113, 102); /* dropped by clean_text */
}

static void token_text_is_known_in_range_only(void **state) {
    assert_string_equal(wn_tokenizer_token(bert, 101), "[CLS]");
    assert_null(wn_tokenizer_token(bert, -1));
    assert_null(wn_tokenizer_token(bert, (int32_t)wn_tokenizer_vocab_size(bert)));
    assert_int_equal(wn_tokenizer_vocab_size(bert), 30522);
}

/* ---- threads ------------------------------------------------------------- */

static void *encode_all(void *arg) {
    uintptr_t *sum = arg;
    wn_encoding *e = NULL;
    if (wn_encoding_create(&e, NULL) != WN_OK) return NULL;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < HOSTILE; i++) {
            const wn_tokenizer *t = (round + (int)i) % 2 ? bert : xlmr;
            if (wn_tokenizer_encode(t, str(hostile[i]), NULL, 0, 0, e, NULL) != WN_OK) continue;
            for (size_t k = 0; k < wn_encoding_length(e); k++)
                *sum = *sum * 31 + (uintptr_t)wn_encoding_ids(e)[k];
        }
    }
    wn_encoding_free(e);
    return NULL;
}

static void threads_share_a_tokenizer(void **state) {
    pthread_t threads[4];
    uintptr_t sums[5] = {0};
    encode_all(&sums[4]);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, encode_all, &sums[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) assert_int_equal(sums[i], sums[4]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bert_known_texts_give_reference_ids),
        cmocka_unit_test(xlmr_known_texts_give_reference_ids),
        cmocka_unit_test(invalid_bytes_become_one_replacement_each),
        cmocka_unit_test(pair_has_template_and_type_ids),
        cmocka_unit_test(truncation_longest_first_follows_the_reference),
        cmocka_unit_test(truncation_of_one_side_cuts_or_refuses),
        cmocka_unit_test(truncation_without_room_for_specials_is_refused),
        cmocka_unit_test(join_refuses_ids_of_its_own_output),
        cmocka_unit_test(encode_equals_raw_and_join),
        cmocka_unit_test(unigram_stream_equals_its_plain_twin),
        cmocka_unit_test(offsets_cover_the_source_in_order),
        cmocka_unit_test(offsets_point_at_the_source_of_changed_characters),
        cmocka_unit_test(a_megabyte_without_a_space_is_linear),
        cmocka_unit_test(nul_bytes_are_characters),
        cmocka_unit_test(token_text_is_known_in_range_only),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
