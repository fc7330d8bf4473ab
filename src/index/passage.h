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

/* The context column of full_text: what a passage is about without saying so. */
wn_str wn_passage_context(int64_t kind, wn_str title, wn_str heading);

#endif
