/* sentences.h -- where the sentences of a passage begin and end, well enough to leave one out. */
#ifndef WN_PIPELINE_SENTENCES_H
#define WN_PIPELINE_SENTENCES_H
#include <winnow/core.h>

/* The sentence that begins at *pos (white space before it is passed over): [begin, end), and *pos behind
 * it. False at the end of the text. Sentences end behind . ! ? (closing quotes and brackets
 * included) before white space, behind their Chinese and Japanese likes, and at a line that is
 * empty, a heading or a list item. */
bool wn_sentence_next(wn_str text, size_t *pos, size_t *begin, size_t *end);
#endif
