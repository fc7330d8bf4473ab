/* fuzz_tokenizer_encode.c -- any bytes as text, through BERT's and XLM-R's way.
 *
 * First byte: which tokenizer, truncation and length; the rest is the text, cut in
 * two at its first 0x1F when there is one. Checked: ids lie in the vocabulary, offsets
 * in the text and in order, the limit is kept, and the two-step form agrees. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <winnow/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static wn_tokenizer *tokenizers[2];
static wn_encoding *raw[2], *whole, *joined;

static void start(void) {
    static const char *const paths[2] = {
        WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0/tokenizer.json",
        WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr/tokenizer.json",
    };
    wn_error err = {0};
    for (int i = 0; i < 2; i++) {
        if (wn_tokenizer_open(paths[i], &tokenizers[i], &err) != WN_OK) {
            fprintf(stderr, "%s\n", err.message);
            abort();
        }
        if (wn_encoding_create(&raw[i], NULL) != WN_OK) abort();
    }
    if (wn_encoding_create(&whole, NULL) != WN_OK || wn_encoding_create(&joined, NULL) != WN_OK) abort();
}

static void check_raw(const wn_tokenizer *t, wn_str text, const wn_encoding *e) {
    const uint32_t *o = wn_encoding_offsets(e);
    uint32_t last = 0;
    for (size_t i = 0; i < wn_encoding_length(e); i++) {
        if (wn_encoding_ids(e)[i] < 0 || (size_t)wn_encoding_ids(e)[i] >= wn_tokenizer_vocab_size(t)) abort();
        if (o[2 * i] > o[2 * i + 1] || o[2 * i + 1] > text.len) abort();
        last = o[2 * i] > last ? o[2 * i] : last;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t lengths[] = {0, 4, 8, 64};
    if (!whole) start();
    if (!size) return 0;
    const wn_tokenizer *t = tokenizers[data[0] & 1];
    wn_truncation how = (wn_truncation)(data[0] >> 1 & 3);
    size_t max = lengths[data[0] >> 3 & 3];
    const char *text = (const char *)data + 1, *cut = memchr(text, 0x1F, size - 1);
    wn_str a = {text, cut ? (size_t)(cut - text) : size - 1}, b = {NULL, 0};
    if (cut) b = (wn_str){cut + 1, size - 1 - a.len - 1};

    if (wn_tokenizer_encode_raw(t, a, raw[0], NULL) != WN_OK) abort();
    check_raw(t, a, raw[0]);
    if (cut) {
        if (wn_tokenizer_encode_raw(t, b, raw[1], NULL) != WN_OK) abort();
        check_raw(t, b, raw[1]);
    }
    wn_status st = wn_tokenizer_encode(t, a, cut ? &b : NULL, max, how, whole, NULL);
    wn_status sj = wn_tokenizer_join(t, wn_encoding_ids(raw[0]), wn_encoding_length(raw[0]),
                                     cut ? wn_encoding_ids(raw[1]) : NULL,
                                     cut ? wn_encoding_length(raw[1]) : 0, cut != NULL, max, how, joined, NULL);
    if (st != sj) abort();
    if (st != WN_OK) return 0;
    size_t n = wn_encoding_length(whole);
    if (max && how != WN_TRUNCATE_NONE && n > max) abort();
    if (n != wn_encoding_length(joined) || memcmp(wn_encoding_ids(whole), wn_encoding_ids(joined), n * 4) ||
        memcmp(wn_encoding_type_ids(whole), wn_encoding_type_ids(joined), n))
        abort();
    return 0;
}
