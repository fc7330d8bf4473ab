/* markdown.h -- the outline of a Markdown document: front matter, headings, heading paths.
 *
 * A heading is what CommonMark 0.31 calls one (ATX and setext, with its rules for fences,
 * indented code, HTML blocks, quotes and lists) and stands at the top level: headings
 * inside block quotes and list items are content, they head no section. Headings without text
 * are left out.
 *
 * Everything in a wn_markdown is its own copy; the text need not outlive it. Immutable after
 * parse, so any number of threads may read it. Offsets are bytes of the text given. */
#ifndef WN_TEXT_MARKDOWN_H
#define WN_TEXT_MARKDOWN_H

#include "core/memory.h"
#include <jansson.h>

typedef struct wn_markdown wn_markdown;

enum { WN_NO_HEADING = -1 };

typedef struct wn_heading {
    size_t begin;     /* where its (first) line begins */
    int level;        /* 1 to 6 */
    int64_t parent;   /* nearest heading before it of a lower level, or WN_NO_HEADING */
    const char *text; /* plain: marks of emphasis, code, links and escapes removed, white space single */
} wn_heading;

/* Never fails on any bytes but for want of memory (WN_ERR_MEMORY). A BOM at the start is passed over. */
wn_status wn_markdown_parse(wn_str text, wn_markdown **out, wn_error *err);
void wn_markdown_free(wn_markdown *markdown);

/* The first byte after BOM and front matter. */
size_t wn_markdown_body_begin(const wn_markdown *markdown);
/* A JSON object of strings and arrays of strings, empty without front matter (front_matter.h says what
 * is kept). Borrowed; keys in the order of the text. */
const json_t *wn_markdown_front_matter(const wn_markdown *markdown);

/* The first heading when it is of level 1; else the front matter's `title`; else the first heading;
 * else "". (Documents of site generators begin with "## ..." and have their title in front.) */
const char *wn_markdown_title(const wn_markdown *markdown);

size_t wn_markdown_heading_count(const wn_markdown *markdown);
wn_heading wn_markdown_heading(const wn_markdown *markdown, size_t i);
/* The last heading that begins at or before offset, or WN_NO_HEADING. O(log headings). */
int64_t wn_markdown_heading_at(const wn_markdown *markdown, size_t offset);

/* Appends "Memory > Bandwidth": the headings above text[offset], outermost first, "" where
 * there are none. The heading that is the whole document's title (the first one, if no other has
 * its level or a lower one) is left out: it is the title already. *out is NUL-terminated. */
wn_status wn_markdown_heading_path(const wn_markdown *markdown, size_t offset, wn_buf *out,
                                   wn_error *err);

#endif
