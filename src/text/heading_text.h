/* heading_text.h -- what a reader sees of a heading's inline Markdown. */
#ifndef WN_TEXT_HEADING_TEXT_H
#define WN_TEXT_HEADING_TEXT_H

#include "core/memory.h"

/* Appends `raw` (one heading's content, possibly over several lines) to out as plain text: code
 * spans, emphasis, links, images (their alternative text), autolinks, escapes and entities
 * resolved, HTML tags removed, white space collapsed and trimmed. */
wn_status wn_heading_text(wn_str raw, wn_buf *out, wn_error *err);

#endif
