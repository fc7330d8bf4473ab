/* text_cut.c -- see text_cut.h.
 *
 * The model cuts over-long text at its right end by itself, by ids. Two vendors' options ask for another
 * cut: max_tokens_per_doc (Cohere) and truncation from the left (TEI, Cohere's START). They are rare, so
 * the text is cut here, by the tokens' byte offsets, and encoded again; the encoders keep one rule. */
#include "text_cut.h"

wn_status srv_text_cut(const wn_tokenizer *tokenizer, wn_encoding *encoding, size_t limit, bool from_left,
                       wn_str *text, size_t *dropped, wn_error *err) {
    wn_status st = wn_tokenizer_encode_raw(tokenizer, *text, encoding, err);
    *dropped = 0;
    if (st != WN_OK) return st;
    size_t n = wn_encoding_length(encoding);
    const uint32_t *offsets = wn_encoding_offsets(encoding);
    if (n <= limit || !offsets) return WN_OK;
    *dropped = n - limit;
    if (!limit) {
        text->len = 0;
    } else if (from_left) {
        size_t begin = offsets[2 * (n - limit)];
        text->data += begin;
        text->len -= begin;
    } else {
        text->len = offsets[2 * (limit - 1) + 1];
    }
    return WN_OK;
}
