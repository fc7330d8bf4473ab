/* unicode.c -- mappings, combining classes and grapheme boundaries over the generated tables. */
#include "text/unicode.h"

static size_t find(const uint32_t *keys, size_t count, uint32_t cp) {
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (keys[mid] < cp) lo = mid + 1;
        else hi = mid;
    }
    return lo < count && keys[lo] == cp ? lo : SIZE_MAX;
}

static size_t map(const uint32_t *keys, const uint16_t *start, const uint32_t *pool, size_t count,
                  uint32_t cp, uint32_t out[4]) {
    size_t i = find(keys, count, cp), n = 0;
    if (i == SIZE_MAX) {
        out[0] = cp;
        return 1;
    }
    for (size_t p = start[i]; p < start[i + 1] && n < 4; p++) out[n++] = pool[p];
    return n;
}

size_t wn_unicode_lower(uint32_t cp, uint32_t out[4]) {
    return map(wn_unicode_lower_keys, wn_unicode_lower_start, wn_unicode_lower_pool,
               wn_unicode_lower_count, cp, out);
}

size_t wn_unicode_nfd(uint32_t cp, uint32_t out[4]) {
    if (cp >= 0xAC00 && cp <= 0xD7A3) { /* Unicode 15, section 3.12: Hangul by arithmetic */
        uint32_t s = cp - 0xAC00, t = s % 28;
        out[0] = 0x1100 + s / 588;
        out[1] = 0x1161 + s % 588 / 28;
        if (!t) return 2;
        out[2] = 0x11A7 + t;
        return 3;
    }
    return map(wn_unicode_nfd_keys, wn_unicode_nfd_start, wn_unicode_nfd_pool,
               wn_unicode_nfd_count, cp, out);
}

uint8_t wn_unicode_ccc(uint32_t cp) {
    size_t i = find(wn_unicode_ccc_keys, wn_unicode_ccc_count, cp);
    return i == SIZE_MAX ? 0 : wn_unicode_ccc_values[i];
}

/* What the rules of UAX 29 must remember of the cluster so far. */
typedef struct cluster {
    wn_grapheme last;
    bool is_lvt;       /* last, when a syllable, ends in a trailing consonant */
    bool odd_ri;       /* an odd number of regional indicators so far */
    bool picto;        /* a pictograph followed by Extend* */
    bool picto_joined; /* the same, then ZWJ */
    bool consonant;    /* GB9c: a consonant, then extenders and linkers */
    bool linked;       /* at least one of them a linker */
} cluster;

static bool breaks_before(const cluster *c, wn_grapheme next, uint32_t incb, bool lvt) {
    wn_grapheme last = c->last;
    if (last == WN_G_CR && next == WN_G_LF) return false;                      /* GB3 */
    if (last == WN_G_CR || last == WN_G_LF || last == WN_G_CONTROL) return true; /* GB4 */
    if (next == WN_G_CR || next == WN_G_LF || next == WN_G_CONTROL) return true; /* GB5 */
    bool lv = last == WN_G_SYLLABLE && !c->is_lvt;
    if (last == WN_G_L && (next == WN_G_L || next == WN_G_V || next == WN_G_SYLLABLE))
        return false;                                                          /* GB6 */
    if ((lv || last == WN_G_V) && (next == WN_G_V || next == WN_G_T)) return false; /* GB7 */
    if ((last == WN_G_SYLLABLE || last == WN_G_T) && next == WN_G_T) return false;  /* GB8 */
    if (next == WN_G_EXTEND || next == WN_G_ZWJ || next == WN_G_SPACING) return false; /* GB9, 9a */
    if (last == WN_G_PREPEND) return false;                                    /* GB9b */
    if (c->consonant && c->linked && incb == WN_INCB_CONSONANT) return false;  /* GB9c */
    if (c->picto_joined && next == WN_G_PICTO) return false;                   /* GB11 */
    if (c->odd_ri && last == WN_G_RI && next == WN_G_RI) return false;         /* GB12, 13 */
    return true;
}

static void cluster_add(cluster *c, wn_grapheme g, uint32_t incb, bool lvt) {
    c->picto_joined = c->picto && g == WN_G_ZWJ;
    if (g == WN_G_PICTO) c->picto = true;
    else if (g != WN_G_EXTEND) c->picto = false;
    if (incb == WN_INCB_CONSONANT) c->consonant = true, c->linked = false;
    else if (incb == WN_INCB_LINKER) c->linked = true;
    else if (incb == WN_INCB_NONE) c->consonant = false;
    c->odd_ri = g == WN_G_RI && !c->odd_ri;
    c->last = g;
    c->is_lvt = lvt;
}

size_t wn_grapheme_end(const char *text, size_t begin, size_t len) {
    cluster c = {.last = WN_G_OTHER};
    size_t pos = begin;
    while (pos < len) {
        size_t at = pos;
        uint32_t cp = wn_utf8_next_valid(text, &pos), flags = wn_unicode_flags(cp);
        wn_grapheme g = (wn_grapheme)WN_UC_GRAPHEME(flags);
        bool lvt = g == WN_G_SYLLABLE && (cp - 0xAC00) % 28 != 0;
        if (at > begin && breaks_before(&c, g, WN_UC_INCB(flags), lvt)) return at;
        cluster_add(&c, g, WN_UC_INCB(flags), lvt);
    }
    return len;
}
