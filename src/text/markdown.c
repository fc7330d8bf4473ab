/* markdown.c -- the block structure of CommonMark 0.31, as far as headings need it.
 *
 * What is a heading depends on everything around it: a # in a fence, an indented block, an HTML comment
 * is none; "a\n---" is one and "- a\n---" is not. So this is the whole block phase of
 * CommonMark (containers, lazy continuation, tabs as columns), reduced to what it must remember:
 * the stack of open quotes and list items, and which leaf is open at its tip. Paragraph text is kept
 * as the offset where it begins; no tree is built.
 *
 * The reference is markdown-it-py ("commonmark"); the algorithm is that of the specification's
 * appendix, as in cmark: for each line, (1) match the open containers, (2) open new blocks,
 * (3) what is left is text. Departures:
 *   - only headings outside containers are recorded (markdown.h says why);
 *   - containers nest 100 deep, deeper marks are text: a line of a million '>' costs nothing;
 *   - link reference definitions before a setext underline are recognised when they stand on one line
 *     each (CommonMark allows three): they are no part of the heading.
 *
 * Rejected: libcmark, which builds the whole tree, aborts when memory runs out, and would be one
 * more library for a list of headings; a regular expression per line, which is wrong for
 * every second README with a shell script in it. */
#include "text/markdown.h"

#include "core/error.h"
#include "core/utf8.h"
#include "text/front_matter.h"
#include "text/heading_text.h"

#include <string.h>
#include <strings.h>

typedef struct entry {
    size_t begin;
    size_t text; /* offset in `pool` */
    int64_t parent;
    int level;
} entry;

struct wn_markdown {
    size_t body_begin;
    json_t *front_matter;
    entry *headings;
    size_t count, cap;
    wn_buf pool;       /* headings' texts, each NUL-terminated */
    bool first_is_title; /* no other heading is of the first one's level or a lower one */
    char *title;
};

enum { MAX_DEPTH = 100 };

typedef enum leaf_kind { LEAF_NONE, LEAF_PARAGRAPH, LEAF_FENCE, LEAF_HTML } leaf_kind;

typedef struct container {
    bool item;     /* list item; else block quote */
    bool empty;    /* an item that has no content yet */
    size_t indent; /* an item's content begins this many columns in */
} container;

typedef struct parser {
    const char *s;
    size_t at, stop;     /* cursor in the line; stop: its end, without line end */
    size_t column;
    size_t tab_left;     /* columns left of a tab that was consumed in part */
    size_t line_begin;
    size_t text_at;      /* peek(): first byte that is no white space */
    size_t indent;       /* and how many columns it is away */
    container open[MAX_DEPTH];
    int depth;
    leaf_kind leaf;
    size_t paragraph;    /* where the open paragraph's first line begins */
    char fence_char;
    size_t fence_length;
    int html_kind;       /* 1 to 7, as the specification numbers them */
    int64_t above[7];    /* [level]: the latest heading of that level that is still open */
    wn_markdown *out;
    wn_error *err;
} parser;

/* ---- The cursor: white space in columns ------------------------------------ */

static void peek(parser *p) {
    size_t column = p->column + p->tab_left;
    p->text_at = p->at;
    for (; p->text_at < p->stop; p->text_at++) {
        char c = p->s[p->text_at];
        if (c == ' ') column++;
        else if (c == '\t') column += 4 - column % 4;
        else break;
    }
    p->indent = column - p->column;
}

static bool blank(const parser *p) {
    return p->text_at >= p->stop;
}

/* Consumes up to n columns of white space; a tab may be left in part. */
static void advance_columns(parser *p, size_t n) {
    while (n) {
        if (p->tab_left == 0) {
            if (p->at >= p->stop || (p->s[p->at] != ' ' && p->s[p->at] != '\t')) return;
            p->tab_left = p->s[p->at] == '\t' ? 4 - p->column % 4 : 1;
            p->at++;
        }
        size_t step = n < p->tab_left ? n : p->tab_left;
        p->tab_left -= step;
        p->column += step;
        n -= step;
    }
}

/* Moves to the text and over n bytes of it that are no white space. */
static void advance_marker(parser *p, size_t n) {
    p->column += p->indent + n;
    p->at = p->text_at + n;
    p->tab_left = 0;
}

/* The rest of the line from its text on, without white space at the end. */
static wn_str rest(const parser *p) {
    size_t stop = p->stop;
    while (stop > p->text_at && (p->s[stop - 1] == ' ' || p->s[stop - 1] == '\t')) stop--;
    return (wn_str){p->s + p->text_at, stop - p->text_at};
}

static bool space_or_end(wn_str s, size_t i) {
    return i >= s.len || s.data[i] == ' ' || s.data[i] == '\t';
}

/* ---- Headings ----------------------------------------------------------------- */

static wn_status heading_push(parser *p, size_t begin, int level, wn_str raw) {
    wn_markdown *md = p->out;
    size_t text = md->pool.len;
    WN_TRY(wn_heading_text(raw, &md->pool, p->err));
    if (md->pool.len == text) return WN_OK;
    WN_TRY(wn_buf_append(&md->pool, "", 1, p->err));
    WN_TRY(wn_grow(&md->headings, &md->cap, md->count + 1, sizeof *md->headings, p->err));
    int64_t parent = WN_NO_HEADING;
    for (int above = 1; above < level; above++)
        if (p->above[above] > parent) parent = p->above[above];
    if (md->count && level <= md->headings[0].level) md->first_is_title = false;
    md->headings[md->count] = (entry){begin, text, parent, level};
    p->above[level] = (int64_t)md->count++;
    for (int below = level + 1; below <= 6; below++) p->above[below] = WN_NO_HEADING;
    return WN_OK;
}

/* # to ######, then a space or the end; *raw is what stands between the marks. */
static int atx_scan(wn_str s, wn_str *raw) {
    size_t level = 0;
    while (level < s.len && s.data[level] == '#') level++;
    if (level < 1 || level > 6 || !space_or_end(s, level)) return 0;
    wn_str in = {s.data + level, s.len - level};
    size_t keep = in.len;
    while (keep && in.data[keep - 1] == '#') keep--;
    if (keep == 0 || in.data[keep - 1] == ' ' || in.data[keep - 1] == '\t') in.len = keep;
    *raw = in;
    return (int)level;
}

static int setext_scan(wn_str s) {
    char c = s.len ? s.data[0] : 0;
    if (c != '=' && c != '-') return 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != c) return 0;
    return c == '=' ? 1 : 2;
}

/* Bytes of a one-line link reference definition at the start of s (with its line end), or 0. */
static size_t definition_scan(wn_str s) {
    size_t i = 0;
    while (i < s.len && i < 3 && s.data[i] == ' ') i++;
    if (i >= s.len || s.data[i] != '[') return 0;
    size_t label = ++i;
    for (; i < s.len && s.data[i] != ']'; i++) {
        if (s.data[i] == '[' || s.data[i] == '\n' || s.data[i] == '\r') return 0;
        if (s.data[i] == '\\') i++;
    }
    if (i == label || i + 1 >= s.len || s.data[i + 1] != ':') return 0;
    i += 2;
    while (i < s.len && (s.data[i] == ' ' || s.data[i] == '\t')) i++;
    size_t target = i;
    while (i < s.len && !strchr(" \t\r\n", s.data[i])) i++;
    if (i == target) return 0;
    while (i < s.len && (s.data[i] == ' ' || s.data[i] == '\t')) i++;
    if (i < s.len && (s.data[i] == '"' || s.data[i] == '\'' || s.data[i] == '(')) {
        char close = s.data[i] == '(' ? ')' : s.data[i];
        if (!space_or_end((wn_str){s.data, i}, i - 1)) return 0;
        for (i++; i < s.len && s.data[i] != close; i++)
            if (s.data[i] == '\n' || s.data[i] == '\r') return 0;
        i++;
    }
    while (i < s.len && (s.data[i] == ' ' || s.data[i] == '\t')) i++;
    if (i > s.len || (i < s.len && s.data[i] != '\n' && s.data[i] != '\r')) return 0;
    if (i < s.len) i += s.data[i] == '\r' && i + 1 < s.len && s.data[i + 1] == '\n' ? 2 : 1;
    return i;
}

/* ---- Leaves -------------------------------------------------------------------- */

static bool rule_scan(wn_str s) {
    char c = s.len ? s.data[0] : 0;
    size_t marks = 0;
    if (c != '*' && c != '-' && c != '_') return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == c) marks++;
        else if (s.data[i] != ' ' && s.data[i] != '\t') return false;
    }
    return marks >= 3;
}

static size_t fence_scan(wn_str s) {
    char c = s.len ? s.data[0] : 0;
    size_t n = 0;
    if (c != '`' && c != '~') return 0;
    while (n < s.len && s.data[n] == c) n++;
    if (n < 3 || (c == '`' && memchr(s.data + n, '`', s.len - n))) return 0;
    return n;
}

static bool fence_closes(const parser *p, wn_str s) {
    size_t n = 0;
    while (n < s.len && s.data[n] == p->fence_char) n++;
    return p->indent < 4 && n >= p->fence_length && n == s.len;
}

static bool starts_with(wn_str s, const char *prefix) {
    size_t n = strlen(prefix);
    return s.len >= n && strncasecmp(s.data, prefix, n) == 0;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
}

/* The needle begins with a character that has no case. */
static bool contains(wn_str s, const char *needle) {
    size_t n = strlen(needle);
    while (s.len >= n) {
        const char *hit = memchr(s.data, needle[0], s.len - n + 1);
        if (!hit) return false;
        if (strncasecmp(hit, needle, n) == 0) return true;
        s = (wn_str){hit + 1, s.len - (size_t)(hit + 1 - s.data)};
    }
    return false;
}

/* The attributes of an open tag: *i stands after its name, and after the '>' on success. */
static bool attributes_scan(wn_str s, size_t *i) {
    size_t j = *i;
    for (;;) {
        size_t before = j;
        while (j < s.len && (s.data[j] == ' ' || s.data[j] == '\t')) j++;
        if (j < s.len && s.data[j] == '/') {
            j++;
            break;
        }
        if (j < s.len && s.data[j] == '>') break;
        if (j == before || j >= s.len || !(is_letter(s.data[j]) || s.data[j] == '_' || s.data[j] == ':'))
            return false;
        while (j < s.len && (is_name_char(s.data[j]) || strchr("_.:", s.data[j])) && s.data[j]) j++;
        size_t named = j;
        while (j < s.len && (s.data[j] == ' ' || s.data[j] == '\t')) j++;
        if (j >= s.len || s.data[j] != '=') {
            j = named;
            continue;
        }
        j++;
        while (j < s.len && (s.data[j] == ' ' || s.data[j] == '\t')) j++;
        if (j >= s.len) return false;
        if (s.data[j] == '"' || s.data[j] == '\'') {
            const char *close = memchr(s.data + j + 1, s.data[j], s.len - j - 1);
            if (!close) return false;
            j = (size_t)(close - s.data) + 1;
        } else {
            size_t value = j;
            while (j < s.len && !strchr(" \t\"'=<>`", s.data[j])) j++;
            if (j == value) return false;
        }
    }
    if (j >= s.len || s.data[j] != '>') return false;
    *i = j + 1;
    return true;
}

/* One complete open or closing tag and nothing else on the line (kind 7). */
static bool lone_tag_scan(wn_str s) {
    size_t i = 1;
    bool closing = i < s.len && s.data[i] == '/';
    if (closing) i++;
    if (i >= s.len || !is_letter(s.data[i])) return false;
    while (i < s.len && is_name_char(s.data[i])) i++;
    if (closing) {
        while (i < s.len && (s.data[i] == ' ' || s.data[i] == '\t')) i++;
        return i + 1 == s.len && s.data[i] == '>';
    }
    return attributes_scan(s, &i) && i == s.len;
}

/* Which of the seven kinds of HTML block begins here; 0: none. */
static int html_scan(wn_str s) {
    static const char raw[] = " pre script style textarea ";
    static const char block[] =
        " address article aside base basefont blockquote body caption center col colgroup dd details "
        "dialog dir div dl dt fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 "
        "head header hr html iframe legend li link main menu menuitem nav noframes ol optgroup option "
        "p param search section summary table tbody td tfoot th thead title tr track ul ";
    if (s.len < 2 || s.data[0] != '<') return 0;
    if (starts_with(s, "<!--")) return 2;
    if (s.data[1] == '?') return 3;
    if (starts_with(s, "<![CDATA[")) return memcmp(s.data, "<![CDATA[", 9) == 0 ? 5 : 0;
    if (s.data[1] == '!') return s.len > 2 && is_letter(s.data[2]) ? 4 : 0;
    size_t first = s.data[1] == '/' ? 2 : 1, i = first;
    char name[16] = " ";
    while (i < s.len && is_name_char(s.data[i]) && i - first < 12) {
        name[1 + i - first] = (char)(s.data[i] | (is_letter(s.data[i]) ? 32 : 0));
        i++;
    }
    name[1 + i - first] = ' ';
    if (i > first) {
        bool ends = space_or_end(s, i) || s.data[i] == '>';
        if (ends && first == 1 && strstr(raw, name)) return 1;
        bool self = i + 1 < s.len && s.data[i] == '/' && s.data[i + 1] == '>';
        if ((ends || self) && strstr(block, name)) return 6;
    }
    return lone_tag_scan(s) ? 7 : 0;
}

/* Whether the block's end stands on this line (kinds 1 to 5; 6 and 7 end at a blank line). */
static bool html_ends(int kind, wn_str s) {
    switch (kind) {
    case 1:
        return contains(s, "</script>") || contains(s, "</pre>") || contains(s, "</style>") ||
               contains(s, "</textarea>");
    case 2: return contains(s, "-->");
    case 3: return contains(s, "?>");
    case 4: return contains(s, ">");
    case 5: return contains(s, "]]>");
    default: return false;
    }
}

/* ---- Containers ----------------------------------------------------------------- */

/* How many of the open containers go on in this line; the cursor passes their marks. */
static int containers_match(parser *p) {
    int matched = 0;
    for (; matched < p->depth; matched++) {
        const container *c = &p->open[matched];
        peek(p);
        if (!c->item) {
            if (p->indent > 3 || blank(p) || p->s[p->text_at] != '>') break;
            advance_marker(p, 1);
            advance_columns(p, 1);
        } else if (blank(p)) {
            if (c->empty) break;
        } else {
            if (p->indent < c->indent) break;
            advance_columns(p, c->indent);
        }
    }
    peek(p);
    return matched;
}

static void container_push(parser *p, container c) {
    if (p->depth) p->open[p->depth - 1].empty = false;
    p->open[p->depth++] = c;
    p->leaf = LEAF_NONE;
}

/* Bytes of a list marker at s, or 0. `interrupts`: a paragraph is open that it would end;
 * then an empty item or a number other than 1 is text. */
static size_t marker_scan(wn_str s, bool interrupts) {
    size_t n = 0;
    if (s.len && strchr("-+*", s.data[0]) && s.data[0]) n = 1;
    else {
        while (n < s.len && n < 9 && s.data[n] >= '0' && s.data[n] <= '9') n++;
        if (n == 0 || n >= s.len || (s.data[n] != '.' && s.data[n] != ')')) return 0;
        long number = 0;
        for (size_t i = 0; i < n; i++) number = number * 10 + (s.data[i] - '0');
        if (interrupts && number != 1) return 0;
        n++;
    }
    if (!space_or_end(s, n)) return 0;
    return interrupts && s.len == n ? 0 : n;
}

static void item_open(parser *p, size_t marker) {
    size_t outer = p->indent;
    advance_marker(p, marker);
    peek(p);
    bool empty = blank(p);
    size_t gap = empty || p->indent > 4 ? 1 : p->indent;
    advance_columns(p, gap);
    container_push(p, (container){.item = true, .empty = true, .indent = outer + marker + gap});
    peek(p);
}

/* ---- One line ---------------------------------------------------------------------- */

/* A leaf other than a paragraph begins: everything not matched is closed. */
static void leaf_open(parser *p, int matched, leaf_kind kind) {
    p->depth = matched;
    if (p->depth) p->open[p->depth - 1].empty = false;
    p->leaf = kind;
}

/* "text\n===": the open paragraph is a heading, unless definitions are all it holds. */
static wn_status setext_close(parser *p, int level, bool *made) {
    size_t begin = p->paragraph, used;
    wn_str text = {p->s + begin, p->line_begin - begin};
    while (p->depth == 0 && (used = definition_scan(text)) != 0)
        text = (wn_str){text.data + used, text.len - used};
    *made = text.len > 0;
    while (text.len && strchr("\r\n", text.data[text.len - 1])) text.len--;
    if (text.len == 0 || p->depth) return WN_OK;
    return heading_push(p, (size_t)(text.data - p->s), level, text);
}

/* Blocks that are a leaf at once. *done when the line is one of them. `tip`: the open paragraph
 * is matched, so a setext underline meets it; `may_continue`: it is open, perhaps lazily. */
static wn_status leaf_scan(parser *p, int matched, bool tip, bool may_continue, bool *done) {
    wn_str s = rest(p), raw;
    int level;
    size_t n;
    *done = true;
    if ((level = atx_scan(s, &raw)) != 0) {
        leaf_open(p, matched, LEAF_NONE);
        return matched == 0 ? heading_push(p, p->line_begin, level, raw) : WN_OK;
    }
    if ((n = fence_scan(s)) != 0) {
        leaf_open(p, matched, LEAF_FENCE);
        p->fence_char = s.data[0];
        p->fence_length = n;
        return WN_OK;
    }
    if ((level = html_scan(s)) != 0 && !(level == 7 && may_continue)) {
        leaf_open(p, matched, html_ends(level, s) ? LEAF_NONE : LEAF_HTML);
        p->html_kind = level;
        return WN_OK;
    }
    if (tip && (level = setext_scan(s)) != 0) {
        bool made = false;
        WN_TRY(setext_close(p, level, &made));
        if (made) p->leaf = LEAF_NONE;
        if (made) return WN_OK;
        p->paragraph = p->line_begin;
    }
    if (rule_scan(s)) {
        leaf_open(p, matched, LEAF_NONE);
        return WN_OK;
    }
    *done = false;
    return WN_OK;
}

/* The line goes on in an open fence or HTML block. */
static bool leaf_continues(parser *p) {
    wn_str s = rest(p);
    if (p->leaf == LEAF_FENCE) {
        if (fence_closes(p, s)) p->leaf = LEAF_NONE;
        return true;
    }
    if (p->leaf != LEAF_HTML) return false;
    if (p->html_kind >= 6 && blank(p)) return false;
    if (html_ends(p->html_kind, s)) p->leaf = LEAF_NONE;
    return true;
}

static void text_line(parser *p, int matched, bool fresh, bool was_paragraph) {
    if (blank(p)) {
        p->depth = matched;
        p->leaf = LEAF_NONE;
        return;
    }
    if (was_paragraph && !fresh) return; /* goes on, perhaps lazily: containers stay open */
    leaf_open(p, matched, LEAF_PARAGRAPH);
    p->paragraph = p->line_begin;
}

static wn_status line_parse(parser *p) {
    int matched = containers_match(p);
    bool all = matched == p->depth, fresh = false; /* fresh: this line opened a container */
    bool was_paragraph = p->leaf == LEAF_PARAGRAPH;
    if (all && leaf_continues(p)) return WN_OK;
    if (!all && !was_paragraph) p->leaf = LEAF_NONE;
    while (!blank(p)) {
        bool done = false, tip = all && !fresh && was_paragraph;
        if (p->indent >= 4) {
            if (was_paragraph && !fresh) break; /* an indented line continues it */
            leaf_open(p, matched, LEAF_NONE);
            return WN_OK;
        }
        bool room = matched < MAX_DEPTH;
        if (p->s[p->text_at] == '>' && room) {
            p->depth = matched;
            advance_marker(p, 1);
            advance_columns(p, 1);
            container_push(p, (container){.item = false});
            peek(p);
        } else {
            WN_TRY(leaf_scan(p, matched, tip, was_paragraph && !fresh, &done));
            if (done) return WN_OK;
            size_t marker = room ? marker_scan(rest(p), tip) : 0;
            if (!marker) break;
            p->depth = matched;
            item_open(p, marker);
        }
        matched = p->depth;
        fresh = true;
    }
    text_line(p, matched, fresh, was_paragraph);
    return WN_OK;
}

static wn_status blocks_parse(parser *p, wn_str text) {
    p->s = text.data;
    for (size_t at = p->out->body_begin, next; at < text.len; at = next) {
        const char *s = text.data;
        size_t stop = at;
        while (stop < text.len && s[stop] != '\n' && s[stop] != '\r') stop++;
        next = stop;
        if (next < text.len) next += s[stop] == '\r' && stop + 1 < text.len && s[stop + 1] == '\n' ? 2 : 1;
        p->at = p->line_begin = at;
        p->stop = stop;
        p->column = p->tab_left = 0;
        WN_TRY(line_parse(p));
    }
    return WN_OK;
}

/* ---- The calls ------------------------------------------------------------------------ */

static const char *heading_text(const wn_markdown *md, size_t i) {
    return md->pool.data + md->headings[i].text;
}

static wn_status title_choose(wn_markdown *md, wn_error *err) {
    const char *front = json_string_value(json_object_get(md->front_matter, "title"));
    bool heading = md->count && (md->headings[0].level == 1 || !front || !*front);
    if (!heading) md->first_is_title = false;
    const char *title = heading ? heading_text(md, 0) : front ? front : "";
    md->title = wn_strdup(title);
    return md->title ? WN_OK : wn_fail_memory(err, strlen(title) + 1);
}

wn_status wn_markdown_parse(wn_str text, wn_markdown **out, wn_error *err) {
    wn_status st = WN_ERR_MEMORY;
    parser *p = wn_calloc(1, sizeof *p);
    wn_markdown *md = wn_calloc(1, sizeof *md);
    if (md) md->front_matter = json_object();
    if (!p || !md || !md->front_matter) {
        wn_fail_memory(err, sizeof *p);
        goto fail;
    }
    md->first_is_title = true;
    p->out = md;
    p->err = err;
    for (int level = 0; level <= 6; level++) p->above[level] = WN_NO_HEADING;
    size_t begin = text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    WN_TRY_GOTO(wn_front_matter_parse(text, begin, md->front_matter, &md->body_begin, err));
    WN_TRY_GOTO(blocks_parse(p, text));
    WN_TRY_GOTO(title_choose(md, err));
    *out = md;
    wn_free(p);
    return WN_OK;
fail:
    wn_free(p);
    wn_markdown_free(md);
    return st;
}

void wn_markdown_free(wn_markdown *markdown) {
    if (!markdown) return;
    json_decref(markdown->front_matter);
    wn_free(markdown->headings);
    wn_buf_release(&markdown->pool);
    wn_free(markdown->title);
    wn_free(markdown);
}

size_t wn_markdown_body_begin(const wn_markdown *markdown) {
    return markdown->body_begin;
}

const json_t *wn_markdown_front_matter(const wn_markdown *markdown) {
    return markdown->front_matter;
}

const char *wn_markdown_title(const wn_markdown *markdown) {
    return markdown->title;
}

size_t wn_markdown_heading_count(const wn_markdown *markdown) {
    return markdown->count;
}

wn_heading wn_markdown_heading(const wn_markdown *markdown, size_t i) {
    const entry *e = &markdown->headings[i];
    return (wn_heading){e->begin, e->level, e->parent, heading_text(markdown, i)};
}

int64_t wn_markdown_heading_at(const wn_markdown *markdown, size_t offset) {
    size_t lo = 0, hi = markdown->count; /* headings before lo begin at or before offset */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (markdown->headings[mid].begin <= offset) lo = mid + 1;
        else hi = mid;
    }
    return (int64_t)lo - 1;
}

wn_status wn_markdown_heading_path(const wn_markdown *markdown, size_t offset, wn_buf *out,
                                   wn_error *err) {
    size_t path[6], n = 0;
    for (int64_t at = wn_markdown_heading_at(markdown, offset); at != WN_NO_HEADING;
         at = markdown->headings[at].parent)
        if (at > 0 || !markdown->first_is_title) path[n++] = (size_t)at;
    WN_TRY(wn_buf_append(out, "", 0, err));
    while (n--) {
        const char *text = heading_text(markdown, path[n]);
        WN_TRY(wn_buf_append(out, text, strlen(text), err));
        if (n) WN_TRY(wn_buf_append(out, " > ", 3, err));
    }
    return WN_OK;
}
