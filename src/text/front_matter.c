/* front_matter.c -- flat pairs and simple lists of YAML and TOML front matter.
 *
 * A line is a key, an item, a continuation, or nothing we keep. One entry is read at a time: its
 * key, then the lines that belong to it (indented ones, or "- item"), gathered before its value
 * is known, because YAML tells a list from text only on the next line.
 *
 * What site generators and note programs ask for (title, date, tags, aliases, description) are flat pairs
 * and simple lists. Rejected: libyaml, a dependency and an event parser for three shapes. */
#include "text/front_matter.h"

#include "core/error.h"
#include "core/utf8.h"

#include <string.h>

typedef struct reader {
    const char *s;
    size_t at, end; /* lines inside the marks */
    json_t *object;
    wn_buf value;   /* of the scalar being read */
    wn_error *err;
} reader;

/* The line at `at` without its end; *next is where the next one begins. */
static wn_str line_at(const char *s, size_t at, size_t end, size_t *next) {
    size_t stop = at;
    while (stop < end && s[stop] != '\n' && s[stop] != '\r') stop++;
    *next = stop;
    if (*next < end) *next += (s[stop] == '\r' && stop + 1 < end && s[stop + 1] == '\n') ? 2 : 1;
    return (wn_str){s + at, stop - at};
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static wn_str trim(wn_str s) {
    while (s.len && is_blank(s.data[0])) s.data++, s.len--;
    while (s.len && is_blank(s.data[s.len - 1])) s.len--;
    return s;
}

static bool line_is_mark(wn_str line, const char *mark) {
    while (line.len && is_blank(line.data[line.len - 1])) line.len--;
    return line.len == 3 && memcmp(line.data, mark, 3) == 0;
}

/* ---- Values ---------------------------------------------------------------- */

static json_t *string_value(reader *r, wn_str s) {
    wn_buf clean = {0};
    json_t *value = NULL;
    if (wn_utf8_sanitize(s.data, s.len, &clean, r->err) == WN_OK)
        value = json_stringn(clean.data ? clean.data : "", clean.len);
    wn_buf_release(&clean);
    return value;
}

/* One escape of a "double" quoted scalar; *i is at the backslash. Unknown ones stay as written. */
static wn_status escape_append(wn_str s, size_t *i, wn_buf *out, wn_error *err) {
    static const char from[] = "ntr\"\\/", to[] = "\n\t\r\"\\/";
    char c = s.data[*i + 1];
    const char *known = memchr(from, c, sizeof from - 1);
    if (known) {
        *i += 2;
        return wn_buf_append(out, &to[known - from], 1, err);
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t cp = 0;
    bool hex = digits && *i + 2 + digits <= s.len;
    for (size_t k = 0; hex && k < digits; k++) {
        char d = s.data[*i + 2 + k];
        int v = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : -1;
        if (v < 0) hex = false;
        else cp = cp << 4 | (uint32_t)v;
    }
    if (!hex || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) {
        *i += 1;
        return wn_buf_append(out, "\\", 1, err);
    }
    char bytes[4];
    *i += 2 + digits;
    return wn_buf_append(out, bytes, wn_utf8_put(cp, bytes), err);
}

/* Reads a quoted scalar that opens at s[*i]; *i ends after its closing quote (or at the end, if
 * there is none: what is there is the value). */
static wn_status quoted_read(wn_str s, size_t *i, wn_buf *out, wn_error *err) {
    char quote = s.data[(*i)++];
    while (*i < s.len) {
        char c = s.data[*i];
        if (c == quote) {
            bool doubled = quote == '\'' && *i + 1 < s.len && s.data[*i + 1] == '\'';
            *i += doubled ? 2 : 1;
            if (!doubled) return WN_OK;
            WN_TRY(wn_buf_append(out, "'", 1, err));
        } else if (c == '\\' && quote == '"' && *i + 1 < s.len) {
            WN_TRY(escape_append(s, i, out, err));
        } else {
            WN_TRY(wn_buf_append(out, &c, 1, err));
            *i += 1;
        }
    }
    return WN_OK;
}

/* A scalar from s[*i] to the first of `stops` (outside quotes), a " #" comment, or the end. */
static wn_status scalar_read(reader *r, wn_str s, size_t *i, const char *stops, json_t **out) {
    while (*i < s.len && is_blank(s.data[*i])) *i += 1;
    wn_str plain = {s.data + *i, 0};
    wn_buf_clear(&r->value);
    if (*i < s.len && (s.data[*i] == '"' || s.data[*i] == '\'')) {
        WN_TRY(quoted_read(s, i, &r->value, r->err));
        plain = (wn_str){r->value.data ? r->value.data : "", r->value.len};
        while (*i < s.len && !strchr(stops, s.data[*i])) *i += 1; /* a comment, at most */
    } else {
        while (*i < s.len && (s.data[*i] == 0 || !strchr(stops, s.data[*i])) &&
               !(s.data[*i] == '#' && (*i == 0 || strchr(" \t\r\n", s.data[*i - 1]))))
            *i += 1, plain.len++;
        plain = trim(plain);
    }
    *out = string_value(r, plain);
    return *out ? WN_OK : wn_fail_memory(r->err, plain.len);
}

/* [a, "b", c]; s begins after the bracket. Nested lists are read as plain text. */
static wn_status flow_list_read(reader *r, wn_str s, json_t **out) {
    json_t *list = json_array();
    if (!list) return wn_fail_memory(r->err, 64);
    for (size_t i = 0; i < s.len && s.data[i] != ']';) {
        json_t *item = NULL;
        wn_status st = scalar_read(r, s, &i, ",]\r\n", &item);
        if (st == WN_OK && json_string_length(item) == 0) json_decref(item);
        else if (st == WN_OK && json_array_append_new(list, item) != 0)
            st = wn_fail_memory(r->err, 64);
        if (st != WN_OK) {
            json_decref(list);
            return st;
        }
        /* A comment stops the scalar too: pass over the rest of its line. */
        if (i < s.len && s.data[i] == '#')
            while (i < s.len && s.data[i] != '\n') i++;
        if (i < s.len && s.data[i] != ']') i++;
    }
    *out = list;
    return WN_OK;
}

/* A value on one line (or joined from several): a list or a scalar. */
static wn_status value_read(reader *r, wn_str s, json_t **out) {
    s = trim(s);
    if (s.len && s.data[0] == '[') return flow_list_read(r, (wn_str){s.data + 1, s.len - 1}, out);
    size_t i = 0;
    return scalar_read(r, s, &i, "", out);
}

static wn_status pair_keep(reader *r, wn_str key, json_t *value) {
    wn_buf clean = {0};
    wn_status st = wn_utf8_sanitize(key.data, key.len, &clean, r->err);
    if (st != WN_OK || memchr(clean.data, 0, clean.len)) json_decref(value); /* no NUL in a key */
    else if (json_object_set_new(r->object, clean.data, value) != 0)
        st = wn_fail_memory(r->err, clean.len);
    wn_buf_release(&clean);
    return st;
}

/* ---- Lines ------------------------------------------------------------------ */

/* `key<sep>` at the line's first column; the key may be quoted. False: no pair. */
static bool key_split(wn_str line, char sep, wn_str *key, wn_str *rest) {
    if (line.len == 0 || strchr(" \t#-[{]}?&*!|>%@`", line.data[0])) return false;
    const char *at = memchr(line.data, sep, line.len);
    if (line.data[0] == '"' || line.data[0] == '\'') {
        const char *close = memchr(line.data + 1, line.data[0], line.len - 1);
        if (!close) return false;
        at = memchr(close, sep, line.len - (size_t)(close - line.data));
    }
    if (!at) return false;
    size_t n = (size_t)(at - line.data);
    *rest = (wn_str){at + 1, line.len - n - 1};
    if (sep == ':' && rest->len && !is_blank(rest->data[0])) return false; /* "http://..." */
    *key = trim((wn_str){line.data, n});
    if (key->len >= 2 && (key->data[0] == '"' || key->data[0] == '\'') &&
        key->data[key->len - 1] == key->data[0])
        *key = (wn_str){key->data + 1, key->len - 2};
    return key->len > 0;
}

/* The lines that belong to the entry before them: blank, indented, or "- item" at column 0. */
static wn_str entry_lines(reader *r) {
    size_t begin = r->at;
    while (r->at < r->end) {
        size_t next;
        wn_str line = line_at(r->s, r->at, r->end, &next);
        bool item = line.len && line.data[0] == '-' && (line.len == 1 || is_blank(line.data[1]));
        if (trim(line).len && !is_blank(line.data[0]) && !item) break;
        r->at = next;
    }
    return (wn_str){r->s + begin, r->at - begin};
}

/* "- a" lines. *out stays NULL when one of them is a map or a list: those are not kept. */
static wn_status block_list_read(reader *r, wn_str lines, json_t **out) {
    json_t *list = json_array();
    if (!list) return wn_fail_memory(r->err, 64);
    wn_status st = WN_OK;
    bool simple = true;
    for (size_t at = 0; at < lines.len && simple && st == WN_OK;) {
        wn_str line = trim(line_at(lines.data, at, lines.len, &at)), key, rest;
        if (line.len == 0 || line.data[0] == '#') continue;
        wn_str item = trim((wn_str){line.data + 1, line.len - 1});
        if (line.data[0] != '-' || (item.len && strchr("-[{", item.data[0])) ||
            key_split(item, ':', &key, &rest)) {
            simple = false;
            break;
        }
        json_t *value = NULL;
        st = value_read(r, item, &value);
        if (st == WN_OK && json_array_append_new(list, value) != 0) st = wn_fail_memory(r->err, 64);
    }
    if (st == WN_OK && simple) *out = list;
    else json_decref(list);
    return st;
}

/* `|` keeps line ends, everything else folds lines into one with spaces between. */
static wn_status block_text_read(reader *r, wn_str first, wn_str lines, bool literal, json_t **out) {
    wn_buf text = {0};
    wn_status st = wn_buf_append(&text, first.data, first.len, r->err);
    for (size_t at = 0; at < lines.len && st == WN_OK;) {
        wn_str line = trim(line_at(lines.data, at, lines.len, &at));
        if (text.len && (literal || line.len)) st = wn_buf_append(&text, literal ? "\n" : " ", 1, r->err);
        if (st == WN_OK) st = wn_buf_append(&text, line.data, line.len, r->err);
    }
    while (text.len && text.data[text.len - 1] == '\n') text.len--;
    wn_str whole = {text.data ? text.data : "", text.len};
    if (st == WN_OK && first.len) st = value_read(r, whole, out);
    else if (st == WN_OK && !(*out = string_value(r, whole))) st = wn_fail_memory(r->err, text.len);
    wn_buf_release(&text);
    return st;
}

static wn_status yaml_entry_read(reader *r, wn_str rest, json_t **out) {
    wn_str lines = entry_lines(r), first = trim(rest), key, ignored;
    if (first.len && first.data[0] == '#') first.len = 0;
    wn_str body = lines;
    while (body.len && strchr(" \t\r\n", body.data[0])) body.data++, body.len--;
    if (first.len && (first.data[0] == '|' || first.data[0] == '>'))
        return block_text_read(r, (wn_str){first.data, 0}, lines, first.data[0] == '|', out);
    if (first.len && strchr("{&*!", first.data[0])) return WN_OK; /* flow map, anchor, alias, tag */
    if (body.len == 0) return value_read(r, first, out);
    if (first.len) return block_text_read(r, first, lines, false, out);
    if (body.data[0] == '-') return block_list_read(r, lines, out);
    size_t next;
    if (key_split(line_at(body.data, 0, body.len, &next), ':', &key, &ignored)) return WN_OK;
    return block_text_read(r, first, lines, false, out);
}

/* An array may go on over lines until its bracket closes. */
static wn_status toml_entry_read(reader *r, wn_str rest, json_t **out) {
    rest = trim(rest);
    if (rest.len && rest.data[0] == '{') return WN_OK;
    if (rest.len && rest.data[0] == '[') {
        const char *stop = memchr(rest.data, ']', (size_t)(r->s + r->end - rest.data));
        size_t past = stop ? (size_t)(stop - r->s) : r->end, next;
        rest.len = (size_t)(r->s + past - rest.data) + (stop ? 1 : 0);
        if (past > r->at) {
            line_at(r->s, past, r->end, &next);
            r->at = next;
        }
    }
    return value_read(r, rest, out);
}

static wn_status entries_read(reader *r, char sep) {
    while (r->at < r->end) {
        wn_str line = line_at(r->s, r->at, r->end, &r->at), key, rest;
        if (sep == '=' && line.len && line.data[0] == '[') return WN_OK; /* tables are not kept */
        if (!key_split(line, sep, &key, &rest)) continue;
        json_t *value = NULL;
        WN_TRY(sep == ':' ? yaml_entry_read(r, rest, &value) : toml_entry_read(r, rest, &value));
        if (value) WN_TRY(pair_keep(r, key, value));
    }
    return WN_OK;
}

wn_status wn_front_matter_parse(wn_str text, size_t at, json_t *object, size_t *end, wn_error *err) {
    *end = at;
    size_t body, next;
    wn_str line = line_at(text.data, at, text.len, &body), key, rest;
    bool yaml = line_is_mark(line, "---");
    if (!yaml && !line_is_mark(line, "+++")) return WN_OK;
    bool keyed = false, seen = false, closed = false;
    size_t stop = body;
    for (; stop < text.len; stop = next) {
        line = line_at(text.data, stop, text.len, &next);
        closed = yaml ? line_is_mark(line, "---") || line_is_mark(line, "...")
                      : line_is_mark(line, "+++");
        if (closed) break;
        wn_str inner = trim(line);
        if (seen || inner.len == 0 || inner.data[0] == '#') continue;
        seen = true;
        keyed = key_split(line, yaml ? ':' : '=', &key, &rest) || (!yaml && line.data[0] == '[');
        if (!keyed) return WN_OK;
    }
    if (!closed) return WN_OK;
    reader r = {.s = text.data, .at = body, .end = stop, .object = object, .err = err};
    wn_status st = entries_read(&r, yaml ? ':' : '=');
    wn_buf_release(&r.value);
    if (st == WN_OK) *end = next;
    return st;
}
