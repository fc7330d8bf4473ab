/* unicode.h -- what the tokenizers know about a code point.
 *
 * Tables are generated (tools/make_unicode_tables.py) from the reference
 * implementation's own answers. utf8proc was rejected here: the reference mixes
 * tables of several Unicode versions, and utf8proc's version is the
 * distribution's, so the ids of a text would change with an apt upgrade. */
#ifndef WN_TEXT_UNICODE_H
#define WN_TEXT_UNICODE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WN_UC_OTHER = 1 << 0,       /* control, format, private use, NUL, U+FFFD: clean_text drops it */
    WN_UC_CLEAN_SPACE = 1 << 1, /* clean_text turns it into a space */
    WN_UC_WHITE = 1 << 2,       /* White_Space */
    WN_UC_PUNCT = 1 << 3,       /* BERT's punctuation: P* and all ASCII symbols */
    WN_UC_MN = 1 << 4,          /* nonspacing mark: strip_accents drops it */
    WN_UC_LOWER = 1 << 5,       /* has a lower-case mapping */
    WN_UC_NFD = 1 << 6,         /* has a canonical decomposition */
    WN_UC_CCC = 1 << 7,         /* combining class is not 0 */
    WN_UC_WORD = 1 << 8,        /* \w of the regex crate */
    WN_UC_CJK = 1 << 9,         /* BERT's Chinese characters */
};
#define WN_UC_GRAPHEME(flags) ((flags) >> 10 & 15)
#define WN_UC_INCB(flags) ((flags) >> 14)

typedef enum wn_grapheme {
    WN_G_OTHER, WN_G_CR, WN_G_LF, WN_G_CONTROL, WN_G_EXTEND, WN_G_ZWJ, WN_G_RI, WN_G_PREPEND,
    WN_G_SPACING, WN_G_L, WN_G_V, WN_G_T, WN_G_SYLLABLE /* LV or LVT */, WN_G_PICTO
} wn_grapheme;
enum { WN_INCB_NONE, WN_INCB_CONSONANT, WN_INCB_LINKER, WN_INCB_EXTEND };

extern const uint16_t wn_unicode_index[8704];
extern const uint16_t wn_unicode_blocks[];
extern const uint32_t wn_unicode_lower_keys[], wn_unicode_lower_pool[];
extern const uint16_t wn_unicode_lower_start[];
extern const uint32_t wn_unicode_nfd_keys[], wn_unicode_nfd_pool[];
extern const uint16_t wn_unicode_nfd_start[];
extern const uint32_t wn_unicode_ccc_keys[];
extern const uint8_t wn_unicode_ccc_values[];
extern const size_t wn_unicode_lower_count, wn_unicode_nfd_count, wn_unicode_ccc_count;

/* cp must be below 0x110000. */
static inline uint32_t wn_unicode_flags(uint32_t cp) {
    return wn_unicode_blocks[(size_t)wn_unicode_index[cp >> 7] * 128 + (cp & 127)];
}

/* Next code point of VALID UTF-8; *pos < len. */
static inline uint32_t wn_utf8_next_valid(const char *text, size_t *pos) {
    const unsigned char *s = (const unsigned char *)text + *pos;
    if (s[0] < 0x80) {
        *pos += 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *pos += 2;
        return (uint32_t)(s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    }
    if (s[0] < 0xF0) {
        *pos += 3;
        return (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    }
    *pos += 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 |
           (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}
/* Bytes of the character whose first byte is given. */
static inline size_t wn_utf8_width(unsigned char first) {
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}
/* Start of the character that ends before end (end > 0). */
static inline size_t wn_utf8_back(const char *text, size_t end) {
    do end--;
    while (end && ((unsigned char)text[end] & 0xC0) == 0x80);
    return end;
}

/* Lower case of one code point, as Rust's char::to_lowercase: 1 or 2 code points; the count. */
size_t wn_unicode_lower(uint32_t cp, uint32_t out[4]);
/* Full canonical decomposition of one code point: 1 to 4 code points; the count. */
size_t wn_unicode_nfd(uint32_t cp, uint32_t out[4]);
/* Canonical combining class. */
uint8_t wn_unicode_ccc(uint32_t cp);
/* End of the extended grapheme cluster that starts at begin (valid UTF-8). */
size_t wn_grapheme_end(const char *text, size_t begin, size_t len);
#endif
