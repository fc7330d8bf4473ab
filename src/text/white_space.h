/* white_space.h -- what Python's str.isspace() and str.strip() call white space.
 *
 * Bidirectional types WS, B, S and category Zs: 29 characters, told here by their bytes. LangChain strips
 * chunks by this set, so the splitter must; "an empty document" uses it too, so that the two
 * never disagree. */
#ifndef WN_TEXT_WHITE_SPACE_H
#define WN_TEXT_WHITE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length in bytes of the white space character at s[0..len), 0 if there is none. */
static inline size_t wn_space_at(const char *s, size_t len) {
    const unsigned char *u = (const unsigned char *)s;
    if (len == 0) return 0;
    if (u[0] < 0x80) return (u[0] >= 0x09 && u[0] <= 0x0D) || (u[0] >= 0x1C && u[0] <= 0x20);
    if (len >= 2 && u[0] == 0xC2) return (u[1] == 0x85 || u[1] == 0xA0) ? 2 : 0; /* NEL, NBSP */
    if (len < 3 || (u[0] & 0xF0) != 0xE0 || (u[1] & 0xC0) != 0x80 || (u[2] & 0xC0) != 0x80) return 0;
    uint32_t cp = (uint32_t)(u[0] & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 | (u[2] & 0x3F);
    return cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
                   cp == 0x202F || cp == 0x205F || cp == 0x3000
               ? 3 : 0;
}

/* The same for the character that ends at s[len]. A lead byte with its continuation bytes is a
 * character whatever stands before it, so looking back needs no state. */
static inline size_t wn_space_before(const char *s, size_t len) {
    for (size_t n = 1; n <= 3 && n <= len; n++)
        if (wn_space_at(s + len - n, n) == n) return n;
    return 0;
}

/* Nothing but white space, or nothing. */
static inline bool wn_is_blank(const char *s, size_t len) {
    size_t at = 0, n;
    while (at < len && (n = wn_space_at(s + at, len - at)) != 0) at += n;
    return at == len;
}

#endif
