/* utf8.h -- decoding with a defined result for invalid bytes.
 * Each maximal invalid subpart becomes one U+FFFD (Unicode 15, section 3.9, and
 * Python's errors="replace", which the golden tests use). */
#ifndef WN_CORE_UTF8_H
#define WN_CORE_UTF8_H
#include "core/memory.h"

/* Reads one code point at s[*pos] (*pos < len), advances *pos past it. Invalid
 * bytes give 0xFFFD and set *valid = false when valid is not NULL. */
uint32_t wn_utf8_next(const char *s, size_t len, size_t *pos, bool *valid);
/* Writes 1 to 4 bytes, returns how many. cp must be a scalar value. */
size_t wn_utf8_put(uint32_t cp, char out[4]);
bool wn_utf8_valid(const char *s, size_t len, size_t *bad_offset);
/* Appends s to out with invalid bytes replaced by U+FFFD. */
wn_status wn_utf8_sanitize(const char *s, size_t len, wn_buf *out, wn_error *err);
/* Number of code points (invalid subparts count as one). */
size_t wn_utf8_length(const char *s, size_t len);
#endif
