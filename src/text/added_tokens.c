/* added_tokens.c -- special tokens written in the text itself.
 *
 * The reference looks for them before anything else: leftmost, then longest. A
 * token that takes its surrounding white space with it (lstrip, rstrip) widens the
 * match, never past the end of the one before; a token that must be a whole word
 * is skipped where it is not, and the search goes on AFTER it. Few bytes can begin
 * a token, so one table look-up a byte finds most texts free of them. */
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

static bool is_word_char(uint32_t cp) { return wn_unicode_flags(cp) & WN_UC_WORD; }
static bool is_white(uint32_t cp) { return wn_unicode_flags(cp) & WN_UC_WHITE; }

static bool ends_in_word(const char *text, size_t end) {
    if (!end) return false;
    size_t at = wn_utf8_back(text, end);
    return is_word_char(wn_utf8_next_valid(text, &at));
}

static bool starts_with_word(const char *text, size_t begin, size_t len) {
    return begin < len && is_word_char(wn_utf8_next_valid(text, &begin));
}

static size_t skip_white_back(const char *text, size_t end, size_t floor) {
    while (end > floor) {
        size_t begin = wn_utf8_back(text, end), at = begin;
        if (!is_white(wn_utf8_next_valid(text, &at))) break;
        end = begin;
    }
    return end;
}

static size_t skip_white(const char *text, size_t begin, size_t len) {
    while (begin < len) {
        size_t at = begin;
        if (!is_white(wn_utf8_next_valid(text, &at))) break;
        begin = at;
    }
    return begin;
}

bool wn_added_next(const wn_tokenizer *t, bool normalized, const char *text, size_t len,
                   size_t *pos, size_t previous_end, wn_added_match *out) {
    const wn_trie_node *trie = normalized ? t->image.added_norm : t->image.added_raw;
    const uint8_t *first = normalized ? t->norm_first : t->raw_first;
    for (size_t begin = *pos; begin < len; begin++) {
        if (!first[(unsigned char)text[begin]]) continue;
        uint32_t node = 0;
        int32_t found = -1;
        size_t end = begin;
        for (size_t i = begin; i < len; i++) {
            node = wn_trie_step(trie, node, (unsigned char)text[i]);
            if (node == WN_TRIE_NONE) break;
            if (trie[node].value >= 0) {
                found = trie[node].value;
                end = i + 1;
            }
        }
        if (found < 0) continue;
        const wn_added_token *token = &t->image.added[found];
        if ((token->flags & WN_AT_SINGLE_WORD) &&
            (ends_in_word(text, begin) || starts_with_word(text, end, len))) {
            begin = end - 1;
            continue;
        }
        *pos = end;
        out->id = (int32_t)token->id;
        out->begin = begin;
        out->end = end;
        if (token->flags & WN_AT_LSTRIP) out->begin = skip_white_back(text, begin, previous_end);
        if (token->flags & WN_AT_RSTRIP) out->end = skip_white(text, end, len);
        return true;
    }
    return false;
}
