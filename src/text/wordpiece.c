/* wordpiece.c -- greedy longest-match subword splitting.
 * Input is already normalised UTF-8; this file never lowercases.
 * A word with no match becomes ONE unknown token, not a partial split: the
 * reference behaves so, and a golden test holds us to it.
 *
 * The reference tries ever shorter substrings in a hash table, quadratic in the
 * word's length. One walk down the trie from the current place finds the longest
 * entry; "##" entries are found from the node that "##" leads to. */
#include "text/tokenizer_impl.h"

wn_status wn_wordpiece_word(const wn_tokenizer *t, wn_encoding *e, wn_error *err) {
    const wn_image *im = &t->image;
    const wn_gather *w = &e->word;
    if (e->raw_len + w->len + 1 > e->raw_cap) {
        wn_status st = wn_encoding_reserve(e, w->len + 1, err);
        if (st != WN_OK) return st;
    }
    size_t first = e->raw_len;
    uint32_t root = 0;
    if (w->chars > im->head->max_word_chars) goto unknown;
    for (size_t begin = 0; begin < w->len;) {
        uint32_t node = root;
        int32_t id = -1;
        size_t end = begin;
        for (size_t i = begin; i < w->len; i++) {
            node = wn_trie_step(im->trie, node, (unsigned char)w->data[i]);
            if (node == WN_TRIE_NONE) break;
            if (im->trie[node].value >= 0) {
                id = im->trie[node].value;
                end = i + 1;
            }
        }
        if (id < 0) goto unknown;
        wn_encoding_emit(e, id, e->track ? w->origin[2 * begin] : 0,
                         e->track ? w->origin[2 * end - 1] : 0);
        begin = end;
        root = im->head->continuation;
        if (root == WN_TRIE_NONE && begin < w->len) goto unknown;
    }
    return WN_OK;
unknown:
    e->raw_len = first;
    wn_encoding_emit(e, (int32_t)im->head->unk_id, w->begin, w->end);
    return WN_OK;
}
