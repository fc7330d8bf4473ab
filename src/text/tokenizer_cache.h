/* tokenizer_cache.h -- compiled tokenizers kept between starts. */
#ifndef WN_TEXT_TOKENIZER_CACHE_H
#define WN_TEXT_TOKENIZER_CACHE_H
#include "text/tokenizer_impl.h"

/* Opens the compiled form of the tokenizer.json with this hash into t. False when
 * there is none that can be trusted: absent, damaged, of another version. */
bool wn_tokenizer_cache_open(const wn_hash *source, wn_tokenizer *t);
/* Leaves a compiled form for the next start. Failure is no error: the cache is a convenience. */
void wn_tokenizer_cache_store(const wn_hash *source, const void *image, size_t size);
#endif
