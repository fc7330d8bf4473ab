/* charsmap.h -- sentencepiece's precompiled normalisation rules. */
#ifndef WN_TEXT_CHARSMAP_H
#define WN_TEXT_CHARSMAP_H
#include <winnow/core.h>

#include "text/tokenizer_image.h"

/* The replacement of the shortest rule that is a prefix of key (valid UTF-8), if
 * there is one; borrowed from the image, valid UTF-8, may be empty. */
bool wn_charsmap_find(const wn_image *image, const char *key, size_t len, wn_str *out);
/* Fills WN_SEC_PLAIN. Only the charsmap fields of image are used. */
void wn_charsmap_plain(const wn_image *image, uint8_t plain[WN_PLAIN_BYTES]);
#endif
