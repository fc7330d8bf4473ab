/* utf8.c -- decoding with a defined result for invalid bytes. */
#include "core/utf8.h"
#include "core/error.h"

uint32_t wn_utf8_next(const char *str, size_t len, size_t *pos, bool *valid) {
    const unsigned char *s = (const unsigned char *)str;
    size_t i = *pos;
    unsigned char b0 = s[i++];
    if (b0 < 0x80) {
        *pos = i;
        return b0;
    }
    /* Table 3-7 of the Unicode standard: the second byte's range depends on the first. */
    int more;
    unsigned char lo = 0x80, hi = 0xBF;
    uint32_t cp;
    if (b0 >= 0xC2 && b0 <= 0xDF) more = 1, cp = b0 & 0x1F;
    else if (b0 >= 0xE0 && b0 <= 0xEF) {
        more = 2, cp = b0 & 0x0F;
        if (b0 == 0xE0) lo = 0xA0;
        if (b0 == 0xED) hi = 0x9F;
    } else if (b0 >= 0xF0 && b0 <= 0xF4) {
        more = 3, cp = b0 & 0x07;
        if (b0 == 0xF0) lo = 0x90;
        if (b0 == 0xF4) hi = 0x8F;
    } else goto invalid;
    for (; more; more--) {
        if (i >= len || s[i] < lo || s[i] > hi) goto invalid;
        cp = cp << 6 | (s[i++] & 0x3F);
        lo = 0x80, hi = 0xBF;
    }
    *pos = i;
    return cp;
invalid:
    *pos = i;
    if (valid) *valid = false;
    return 0xFFFD;
}

size_t wn_utf8_put(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

bool wn_utf8_valid(const char *s, size_t len, size_t *bad_offset) {
    bool valid = true;
    for (size_t pos = 0; pos < len;) {
        size_t at = pos;
        wn_utf8_next(s, len, &pos, &valid);
        if (!valid) {
            if (bad_offset) *bad_offset = at;
            return false;
        }
    }
    return true;
}

wn_status wn_utf8_sanitize(const char *s, size_t len, wn_buf *out, wn_error *err) {
    for (size_t pos = 0; pos < len;) {
        size_t at = pos;
        bool valid = true;
        wn_utf8_next(s, len, &pos, &valid);
        if (valid) WN_TRY(wn_buf_append(out, s + at, pos - at, err));
        else WN_TRY(wn_buf_append(out, "\xEF\xBF\xBD", 3, err));
    }
    return WN_OK;
}

size_t wn_utf8_length(const char *s, size_t len) {
    size_t n = 0;
    for (size_t pos = 0; pos < len; n++) wn_utf8_next(s, len, &pos, NULL);
    return n;
}
