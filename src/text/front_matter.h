/* front_matter.h -- metadata at the head of a Markdown file.
 *
 * What is kept, of YAML ("---" to "---" or "..."): at the outermost level `key: value` with a plain, 'single' or
 * "double" quoted value, also over several indented lines; block text (| and >); lists,
 * [a, b] or "- a" lines of plain values. Of TOML ("+++" to "+++"): `key = value` before the
 * first [table], values alike, arrays also over several lines. Values are strings, never numbers or dates: they are there
 * to be shown and filtered by. What is not kept: nested maps, lists of maps, anchors, tags, [tables].
 * This is no YAML parser and must not grow into one. */
#ifndef WN_TEXT_FRONT_MATTER_H
#define WN_TEXT_FRONT_MATTER_H

#include "core/memory.h"
#include <jansson.h>

/* Where the front matter that begins at text[at] ends (its closing line included), or `at` if
 * none begins there: the first line must be the mark alone, a closing mark must follow, and the
 * first line inside that is neither blank nor a comment must look like a key. So a document that
 * begins with a thematic break loses nothing. Kept pairs are added to the object. */
wn_status wn_front_matter_parse(wn_str text, size_t at, json_t *object, size_t *end, wn_error *err);

#endif
