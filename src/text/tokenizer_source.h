/* tokenizer_source.h -- which tokenizer.json a tokenizer came from. */
#ifndef WN_TEXT_TOKENIZER_SOURCE_H
#define WN_TEXT_TOKENIZER_SOURCE_H
#include "core/hash.h"
#include <winnow/text.h>

/* Of the file's bytes. */
wn_hash wn_tokenizer_source(const wn_tokenizer *tokenizer);
#endif
