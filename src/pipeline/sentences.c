/* sentences.c -- a simple sentence splitter.
 *
 * It serves "what if this sentence were not there", where a wrong cut ("e.g. this") costs a piece that
 * is too small, and nothing else. So: no list of abbreviations, no model. */
#include "pipeline/sentences.h"

#include <string.h>

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Bytes of a full stop of any script at p; 0 when there is none. */
static size_t stop_at(const char *p, size_t left) {
    static const char *const wide[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F"}; /* 。 ！ ？ */
    if (*p == '.' || *p == '!' || *p == '?') return 1;
    for (int i = 0; i < 3; i++)
        if (left >= 3 && memcmp(p, wide[i], 3) == 0) return 3;
    return 0;
}

/* Does a new block begin on the line that starts at p? */
static bool block_at(const char *p, size_t left) {
    size_t digits = 0;
    if (!left || *p == '\n' || *p == '\r' || *p == '#' || *p == '|') return true;
    if (left > 1 && (*p == '-' || *p == '*' || *p == '+') && p[1] == ' ') return true;
    while (digits < left && p[digits] >= '0' && p[digits] <= '9') digits++;
    return digits && digits + 1 < left && p[digits] == '.' && p[digits + 1] == ' ';
}

bool wn_sentence_next(wn_str text, size_t *pos, size_t *begin, size_t *end) {
    const char *s = text.data;
    size_t i = *pos;
    while (i < text.len && is_space(s[i])) i++;
    if (i >= text.len) return false;
    *begin = i;
    while (i < text.len) {
        size_t stop = stop_at(s + i, text.len - i);
        if (s[i] == '\n' && block_at(s + i + 1, text.len - i - 1)) break;
        if (!stop || strspn(s + *begin, "0123456789") == i - *begin) { /* a list's "2." ends nothing */
            i++;
            continue;
        }
        i += stop;
        while (i < text.len && strchr("\"')]", s[i]) && s[i]) i++;
        if (stop == 3 || i >= text.len || is_space(s[i])) break;
    }
    *end = *pos = i;
    return true;
}
