/* heading_text.c -- what a reader sees of a heading's inline Markdown.
 *
 * One pass from left to right. CommonMark's inline rules need a second pass (delimiter stacks)
 * to know whether a lone * or [ is a mark or a character; we do with what is at hand: a * is a mark
 * unless white space stands on both sides, a _ is one at the edge of a word only, [text] is a
 * link only when (…) or […] follows it. A heading is a label here, shown and indexed; where the
 * short rules and CommonMark differ, the label has a character more or less.
 *
 * Departures kept on purpose: shortcut links, [text] alone, keep their brackets, because whether
 * they are links depends on definitions anywhere in the document; entities other than
 * the seven below stay as written. */
#include "text/heading_text.h"

#include "core/error.h"
#include "core/utf8.h"

#include <string.h>

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_punct(char c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_letter(char c) {
    return ((unsigned char)c | 32) >= 'a' && ((unsigned char)c | 32) <= 'z' && (unsigned char)c < 128;
}

/* White space is single, and none at the start; NUL is U+FFFD, as CommonMark has it. */
static wn_status put(wn_buf *out, size_t start, char c, wn_error *err) {
    if (c == 0) return wn_buf_append(out, "\xEF\xBF\xBD", 3, err);
    if (!is_space(c)) return wn_buf_append(out, &c, 1, err);
    if (out->len == start || out->data[out->len - 1] == ' ') return WN_OK;
    return wn_buf_append(out, " ", 1, err);
}

/* Length of the run of c at s[i]. */
static size_t run_length(wn_str s, size_t i, char c) {
    size_t n = 0;
    while (i + n < s.len && s.data[i + n] == c) n++;
    return n;
}

/* Where the code span that opens at i closes (the same number of backticks), or 0. */
static size_t code_close(wn_str s, size_t i, size_t ticks) {
    for (size_t j = i + ticks; j < s.len;) {
        size_t n = run_length(s, j, '`');
        if (n == ticks) return j;
        j += n ? n : 1;
    }
    return 0;
}

/* The bracket that matches the one at i ('[' or '('), or 0; a backslash hides one. */
static size_t bracket_close(wn_str s, size_t i) {
    char open = s.data[i], close = open == '[' ? ']' : ')';
    size_t depth = 0;
    for (size_t j = i; j < s.len; j++) {
        if (s.data[j] == '\\') j++;
        else if (s.data[j] == open) depth++;
        else if (s.data[j] == close && --depth == 0) return j;
    }
    return 0;
}

/* Bytes of an entity at i, its character in *cp; 0 when it is none we know. */
static size_t entity_read(wn_str s, size_t i, uint32_t *cp) {
    static const struct { const char *name; uint32_t cp; } named[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&nbsp;", ' '},
        {"&mdash;", 0x2014}, {"&ndash;", 0x2013}};
    for (size_t k = 0; k < sizeof named / sizeof *named; k++) {
        size_t n = strlen(named[k].name);
        if (s.len - i < n || memcmp(s.data + i, named[k].name, n) != 0) continue;
        *cp = named[k].cp;
        return n;
    }
    if (s.len - i < 4 || s.data[i + 1] != '#') return 0;
    bool hex = (s.data[i + 2] | 32) == 'x';
    size_t j = i + 2 + hex, first = j;
    uint32_t value = 0;
    for (; j < s.len && j < first + 7; j++) {
        char c = s.data[j];
        int d = c >= '0' && c <= '9' ? c - '0' : hex && (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0) break;
        value = value * (hex ? 16 : 10) + (uint32_t)d;
    }
    if (j == first || j >= s.len || s.data[j] != ';') return 0;
    bool scalar = value != 0 && value <= 0x10FFFF && !(value >= 0xD800 && value < 0xE000);
    *cp = scalar ? value : 0xFFFD;
    return j + 1 - i;
}

/* <tag …>, </tag>, <!-- … -->: its length; an <https://…> or <a@b> autolink gives its text too. */
static size_t angle_read(wn_str s, size_t i, wn_str *link) {
    const char *close = memchr(s.data + i, '>', s.len - i);
    if (!close || i + 1 >= s.len) return 0;
    size_t n = (size_t)(close - s.data) - i + 1;
    wn_str inner = {s.data + i + 1, n - 2};
    *link = (wn_str){NULL, 0};
    bool address = memchr(inner.data, ':', inner.len) || memchr(inner.data, '@', inner.len);
    for (size_t k = 0; k < inner.len; k++)
        if (is_space(inner.data[k]) || inner.data[k] == '"') address = false;
    if (address) *link = inner;
    char c = inner.len ? inner.data[0] : ' ';
    return address || is_letter(c) || c == '/' || c == '!' || c == '?' ? n : 0;
}

/* Whether the run [i, i + n) of * or _ is a mark that readers don't see. */
static bool is_emphasis(wn_str s, size_t i, size_t n) {
    char c = s.data[i];
    char before = i ? s.data[i - 1] : ' ', after = i + n < s.len ? s.data[i + n] : ' ';
    if (is_space(before) && is_space(after)) return false;
    bool word_before = !is_space(before) && !is_punct(before);
    bool word_after = !is_space(after) && !is_punct(after);
    return c == '*' || !(word_before && word_after);
}

static wn_status plain_append(wn_str s, size_t start, int depth, wn_buf *out, wn_error *err);

static wn_status raw_append(wn_str s, size_t start, wn_buf *out, wn_error *err) {
    for (size_t i = 0; i < s.len; i++) WN_TRY(put(out, start, s.data[i], err));
    return WN_OK;
}

/* A construct that opens at *i and takes more than a character; *i stays when there is none. */
static wn_status construct_append(wn_str s, size_t *i, size_t start, int depth, wn_buf *out,
                                  wn_error *err) {
    char c = s.data[*i];
    size_t at = *i, n, close;
    wn_str link;
    uint32_t cp;
    if (c == '`') {
        n = run_length(s, at, '`');
        close = code_close(s, at, n);
        if (!close) *i += n;
        else *i = close + n;
        if (!close) return raw_append((wn_str){s.data + at, n}, start, out, err);
        return raw_append((wn_str){s.data + at + n, close - at - n}, start, out, err);
    }
    if (c == '*' || c == '_') {
        n = run_length(s, at, c);
        *i += n;
        if (is_emphasis(s, at, n)) return WN_OK;
        return raw_append((wn_str){s.data + at, n}, start, out, err);
    }
    if (c == '<' && (n = angle_read(s, at, &link)) != 0) {
        *i += n;
        return raw_append(link, start, out, err);
    }
    if (c == '&' && (n = entity_read(s, at, &cp)) != 0) {
        char bytes[4];
        *i += n;
        if (cp < 0x80) return put(out, start, (char)cp, err);
        return wn_buf_append(out, bytes, wn_utf8_put(cp, bytes), err);
    }
    if (c == '!' && at + 1 < s.len && s.data[at + 1] == '[') at++;
    if (s.data[at] != '[' || depth >= 8) return WN_OK;
    close = bracket_close(s, at);
    if (!close || close + 1 >= s.len || (s.data[close + 1] != '(' && s.data[close + 1] != '['))
        return WN_OK;
    size_t end = bracket_close(s, close + 1);
    if (!end) return WN_OK;
    *i = end + 1;
    return plain_append((wn_str){s.data + at + 1, close - at - 1}, start, depth + 1, out, err);
}

static wn_status plain_append(wn_str s, size_t start, int depth, wn_buf *out, wn_error *err) {
    for (size_t i = 0; i < s.len;) {
        char next = s.data[i] == '\\' && i + 1 < s.len ? s.data[i + 1] : 0;
        if (is_punct(next)) {
            WN_TRY(put(out, start, next, err));
            i += 2;
        } else if (next == '\n' || next == '\r') {
            i++; /* a hard line break: the line end becomes a space */
        } else {
            size_t at = i;
            WN_TRY(construct_append(s, &i, start, depth, out, err));
            if (i == at) WN_TRY(put(out, start, s.data[i++], err));
        }
    }
    return WN_OK;
}

/* Brackets, backticks and angles are searched for from every opening one: a limit keeps a hostile
 * heading of a megabyte of them from being quadratic. Nobody reads a longer heading. */
enum { LONGEST_HEADING = 512 };

wn_status wn_heading_text(wn_str raw, wn_buf *out, wn_error *err) {
    size_t start = out->len;
    if (raw.len > LONGEST_HEADING) {
        raw.len = LONGEST_HEADING;
        while (raw.len && ((unsigned char)raw.data[raw.len] & 0xC0) == 0x80) raw.len--;
    }
    WN_TRY(plain_append(raw, start, 0, out, err));
    while (out->len > start && out->data[out->len - 1] == ' ') out->len--;
    if (out->data) out->data[out->len] = 0;
    return WN_OK;
}
