/* test_tokenizer.c -- tokenizers without the reference collections: ids of known
 * texts, templates, truncation, what is refused, and what damage does. Ids come
 * from Hugging Face tokenizers 0.23.3; test_tokenizer_golden.c holds the bulk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <winnow/text.h>

#define BERT WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"

#define XLMR WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr"

static wn_tokenizer *bert, *xlmr;

static wn_str str(const char *s) { return (wn_str){s, strlen(s)}; }

static int open_both(void **state) {
    wn_error err = {0};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bert_known_texts_give_reference_ids),
        cmocka_unit_test(xlmr_known_texts_give_reference_ids),
        cmocka_unit_test(invalid_bytes_become_one_replacement_each),
        cmocka_unit_test(pair_has_template_and_type_ids),
    };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
