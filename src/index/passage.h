/* passage.h -- what models and BM25 read of a passage: one definition for building and searching. */
#ifndef WN_INDEX_PASSAGE_H
#define WN_INDEX_PASSAGE_H

#include "core/hash.h"
#include "core/memory.h"
#include "index/index_handle.h"

/* What the models read, into *out (cleared first): a corpus line's passage has its title in front
 * and a space between, as BEIR's own evaluation joins them, since its text does not hold
 * it; any other passage is its content. */
wn_status wn_passage_input(int64_t kind, wn_str title, wn_str content, wn_buf *out, wn_error *err);

/* The context column of full_text, into *out (cleared first): the title and the headings that a
 * passage stands under, which say what it is about where its own words don't. */
wn_status wn_passage_context(wn_str title, wn_str heading, wn_buf *out, wn_error *err);

#endif
