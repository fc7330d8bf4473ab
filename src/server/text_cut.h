/* text_cut.h -- a text cut to a number of tokens before the model sees it. */
#ifndef WN_SERVER_TEXT_CUT_H
#define WN_SERVER_TEXT_CUT_H

#include <winnow.h>

/* Cuts *text to at most `limit` tokens of its own (special tokens not counted): its first ones, or its
 * last ones when from_left. *dropped: how many tokens went. The result is a part of the same
 * bytes. The cut falls between tokens, which may be within a word. */
wn_status srv_text_cut(const wn_tokenizer *tokenizer, wn_encoding *encoding, size_t limit, bool from_left,
                       wn_str *text, size_t *dropped, wn_error *err);
#endif
