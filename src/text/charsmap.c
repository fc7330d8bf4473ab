/* charsmap.c -- sentencepiece's precompiled normalisation rules, as the reference applies them.
 *
 * The rules are a double array (darts-clone's 32-bit units, stored in tokenizer.json)
 * from byte strings to replacement texts. Odd, and kept because models were trained so
 * (the reference says "this seems broken" and keeps it too):
 *
 * - A grapheme cluster under six bytes is looked up as a whole, else and after a miss
 *   code point by code point.
 * - The look-up takes the SHORTEST rule that is a prefix of the cluster and replaces
 *   the whole cluster by it: a full-width letter with an accent loses the accent.
 * - A NUL ends the look-up.
 *
 * The units come from a file nobody validated: every step is bounded here, and a
 * replacement that would start inside a character counts as no rule, so that the
 * output stays valid UTF-8. */
#include "text/charsmap.h"
#include "core/utf8.h"
#include "text/unicode.h"

#include <string.h>

bool wn_charsmap_find(const wn_image *im, const char *key, size_t len, wn_str *out) {
    const uint32_t *units = im->charsmap;
    size_t count = im->charsmap_count;
    if (!count) return false;
    size_t node = units[0] >> 10 << ((units[0] & 1u << 9) >> 6);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)key[i];
        if (!c) return false;
        node ^= c;
        if (node >= count) return false;
        uint32_t unit = units[node];
        if ((unit & (1u << 31 | 0xFF)) != c) return false;
        node ^= unit >> 10 << ((unit & 1u << 9) >> 6);
        if (!(unit >> 8 & 1)) continue;
        if (node >= count) return false;
        size_t begin = units[node] & 0x7FFFFFFF;
        if (begin >= im->charsmap_text_len) return false;
        const char *text = im->charsmap_text + begin;
        if (((unsigned char)*text & 0xC0) == 0x80) return false;
        *out = (wn_str){text, strlen(text)}; /* the section ends with a NUL */
        return true;
    }
    return false;
}

/* Between two of these classes there always is a boundary (UAX 29, GB999): what
 * joins them is an extender, joiner or jamo in between. Prepend and regional
 * indicators do join, so they are not plain; nor is CR, before LF. */
static bool stands_alone(uint32_t cp) {
    switch (WN_UC_GRAPHEME(wn_unicode_flags(cp))) {
    case WN_G_OTHER: case WN_G_SYLLABLE: case WN_G_PICTO: return true;
    default: return false;
    }
}

void wn_charsmap_plain(const wn_image *image, uint8_t plain[WN_PLAIN_BYTES]) {
    memset(plain, 0, WN_PLAIN_BYTES);
    for (uint32_t cp = 0; cp < 65536; cp++) {
        char bytes[4];
        wn_str unused;
        if ((cp >= 0xD800 && cp < 0xE000) || !stands_alone(cp)) continue;
        size_t n = wn_utf8_put(cp, bytes);
        if (!wn_charsmap_find(image, bytes, n, &unused)) plain[cp >> 3] |= (uint8_t)(1 << (cp & 7));
    }
}
