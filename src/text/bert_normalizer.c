/* bert_normalizer.c -- BERT's normaliser and pre-tokenizer in one pass.
 *
 * The reference makes four passes over the text (clean, space out Chinese, strip
 * accents, lower-case), then splits at white space and around punctuation. Here
 * one pass carries each code point through all of it and gathers words; ASCII
 * takes a table look-up a byte. What makes the single pass exact:
 *
 * - Cleaning, spacing and lower-casing look at one code point each.
 * - Stripping accents is NFD, then dropping nonspacing marks. NFD also reorders
 *   runs of combining marks; dropping some of a run does not change the order of
 *   the rest (the sort is stable), so only kept marks are sorted, when their run
 *   ends. A run ends at a character of combining class 0, a DROPPED one too
 *   (U+034F is a mark of class 0), but not at one that cleaning removed, since
 *   cleaning comes before.
 * - A word boundary is decided on the mapped character: U+037E becomes ';'.
 *
 * A word over max_word_chars becomes one unknown token whatever it holds, so its
 * tail is counted and not stored: a megabyte without a space costs no memory. */
#include "core/error.h"
#include "core/utf8.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

#include <string.h>

static wn_status room(wn_gather *g, size_t bytes, bool track, wn_error *err) {
    if (g->len + bytes > g->data_cap)
        WN_TRY(wn_grow(&g->data, &g->data_cap, g->len + bytes, 1, err));
    if (track && 2 * (g->len + bytes) > g->origin_cap)
        WN_TRY(wn_grow(&g->origin, &g->origin_cap, 2 * (g->len + bytes), sizeof *g->origin, err));
    return WN_OK;
}

static void reset(wn_gather *g) {
    g->len = g->chars = 0;
    g->run = SIZE_MAX;
}

/* Stable sort of the open run by combining class: one copying pass a class present. */
static wn_status close_run(wn_encoding *e, wn_gather *g, wn_error *err) {
    size_t begin = g->run, len = g->len - begin;
    bool present[256] = {false}, sorted = true;
    uint8_t last = 0;
    g->run = SIZE_MAX;
    for (size_t pos = begin; pos < g->len;) {
        uint8_t ccc = wn_unicode_ccc(wn_utf8_next_valid(g->data, &pos));
        present[ccc] = true;
        sorted = sorted && ccc >= last;
        last = ccc;
    }
    if (sorted) return WN_OK;
    wn_buf_clear(&e->sort);
    WN_TRY(wn_buf_append(&e->sort, g->data + begin, len, err));
    if (e->track) {
        WN_TRY(wn_grow(&e->sort_origin, &e->sort_origin_cap, 2 * len, sizeof(uint32_t), err));
        memcpy(e->sort_origin, g->origin + 2 * begin, 2 * len * sizeof(uint32_t));
    }
    size_t to = begin;
    for (int ccc = 0; ccc < 256; ccc++) {
        for (size_t pos = 0; present[ccc] && pos < len;) {
            size_t at = pos;
            if (wn_unicode_ccc(wn_utf8_next_valid(e->sort.data, &pos)) != ccc) continue;
            memcpy(g->data + to, e->sort.data + at, pos - at);
            if (e->track)
                memcpy(g->origin + 2 * to, e->sort_origin + 2 * at, 2 * (pos - at) * sizeof(uint32_t));
            to += pos - at;
        }
    }
    return WN_OK;
}

/* Where characters go: words to WordPiece, or all of it into one text. */
typedef struct sink {
    const wn_tokenizer *t;
    wn_encoding *e;
    wn_gather *g;
    bool words;
    size_t limit; /* characters stored */
    wn_error *err;
} sink;

static wn_status append(sink *s, uint32_t cp, uint32_t flags, uint32_t begin, uint32_t end) {
    wn_gather *g = s->g;
    if (flags & WN_UC_CCC) {
        if (g->run == SIZE_MAX) g->run = g->len;
    } else if (g->run != SIZE_MAX) {
        WN_TRY(close_run(s->e, g, s->err));
    }
    if (!g->chars++) g->begin = begin;
    g->end = end;
    if (g->chars > s->limit) return WN_OK;
    WN_TRY(room(g, 4, s->e->track, s->err));
    size_t n = wn_utf8_put(cp, g->data + g->len);
    for (size_t i = 0; s->e->track && i < n; i++) {
        g->origin[2 * (g->len + i)] = begin;
        g->origin[2 * (g->len + i) + 1] = end;
    }
    g->len += n;
    return WN_OK;
}

static wn_status flush(sink *s) {
    wn_gather *g = s->g;
    if (!g->chars) return WN_OK;
    if (g->run != SIZE_MAX) WN_TRY(close_run(s->e, g, s->err));
    WN_TRY(wn_wordpiece_word(s->t, s->e, s->err));
    reset(g);
    return WN_OK;
}

/* A character in its final form. */
static wn_status put(sink *s, uint32_t cp, uint32_t begin, uint32_t end) {
    uint32_t flags = wn_unicode_flags(cp);
    if (!(s->t->image.head->flags & WN_TF_STRIP_ACCENTS)) flags &= ~(uint32_t)WN_UC_CCC;
    if (!s->words || !(flags & (WN_UC_WHITE | WN_UC_PUNCT))) return append(s, cp, flags, begin, end);
    WN_TRY(flush(s));
    if (flags & WN_UC_WHITE) return WN_OK;
    WN_TRY(append(s, cp, flags, begin, end));
    return flush(s);
}

/* Accents, then case. */
static wn_status put_mapped(sink *s, uint32_t cp, uint32_t flags, uint32_t begin, uint32_t end) {
    uint32_t options = s->t->image.head->flags, parts[4] = {cp}, low[4];
    size_t count = 1;
    bool strip = options & WN_TF_STRIP_ACCENTS;
    if (strip && (flags & WN_UC_NFD)) count = wn_unicode_nfd(cp, parts);
    for (size_t i = 0; i < count; i++) {
        uint32_t f = wn_unicode_flags(parts[i]);
        if (strip && (f & WN_UC_MN)) {
            if (!(f & WN_UC_CCC) && s->g->run != SIZE_MAX) WN_TRY(close_run(s->e, s->g, s->err));
            continue;
        }
        if (!(options & WN_TF_LOWERCASE) || !(f & WN_UC_LOWER)) {
            WN_TRY(put(s, parts[i], begin, end));
            continue;
        }
        size_t n = wn_unicode_lower(parts[i], low);
        for (size_t k = 0; k < n; k++) WN_TRY(put(s, low[k], begin, end));
    }
    return WN_OK;
}

static wn_status put_normalized(sink *s, uint32_t cp, uint32_t begin, uint32_t end) {
    uint32_t options = s->t->image.head->flags, flags = wn_unicode_flags(cp);
    if (options & WN_TF_CLEAN) {
        if (flags & WN_UC_OTHER) return WN_OK;
        if (flags & WN_UC_CLEAN_SPACE) return put(s, ' ', begin, end);
    }
    if (!(flags & WN_UC_CJK) || !(options & WN_TF_CJK))
        return put_mapped(s, cp, flags, begin, end);
    WN_TRY(put(s, ' ', begin, end));
    WN_TRY(put_mapped(s, cp, flags, begin, end));
    return put(s, ' ', begin, end);
}

/* A run of ASCII letters and digits at in->text[pos]; returns its end. */
static wn_status put_letters(sink *s, const wn_span_text *in, size_t *pos, int plain) {
    const uint8_t *kind = s->t->ascii[plain].kind;
    const char *map = s->t->ascii[plain].map;
    size_t begin = *pos, end = begin + 1;
    while (end < in->len && kind[(unsigned char)in->text[end]] == WN_ASCII_LETTER) end++;
    *pos = end;
    wn_gather *g = s->g;
    if (g->run != SIZE_MAX) WN_TRY(close_run(s->e, g, s->err));
    if (!g->chars) g->begin = wn_origin_begin(in, begin);
    g->end = wn_origin_end(in, end - 1);
    size_t stored = g->chars >= s->limit ? 0 : s->limit - g->chars;
    if (stored > end - begin) stored = end - begin;
    g->chars += end - begin;
    WN_TRY(room(g, stored, s->e->track, s->err));
    for (size_t i = 0; i < stored; i++)
        g->data[g->len + i] = map[(unsigned char)in->text[begin + i]];
    for (size_t i = 0; s->e->track && i < stored; i++) {
        g->origin[2 * (g->len + i)] = wn_origin_begin(in, begin + i);
        g->origin[2 * (g->len + i) + 1] = wn_origin_end(in, begin + i);
    }
    g->len += stored;
    return WN_OK;
}

static wn_status run(sink *s, const wn_span_text *in, bool normalize) {
    int plain = !normalize;
    const uint8_t *kind = s->t->ascii[plain].kind;
    for (size_t pos = 0; pos < in->len;) {
        size_t at = pos;
        switch (kind[(unsigned char)in->text[pos]]) {
        case WN_ASCII_LETTER: WN_TRY(put_letters(s, in, &pos, plain)); break;
        case WN_ASCII_DROP: pos++; break;
        case WN_ASCII_SPACE:
            pos++;
            if (s->words) WN_TRY(flush(s));
            else WN_TRY(append(s, normalize && (s->t->image.head->flags & WN_TF_CLEAN)
                                  ? ' ' : (unsigned char)in->text[at], 0,
                               wn_origin_begin(in, at), wn_origin_end(in, at)));
            break;
        case WN_ASCII_PUNCT:
            pos++;
            WN_TRY(put(s, (unsigned char)in->text[at], wn_origin_begin(in, at),
                       wn_origin_end(in, at)));
            break;
        default: {
            uint32_t cp = wn_utf8_next_valid(in->text, &pos);
            uint32_t begin = wn_origin_begin(in, at), end = wn_origin_end(in, pos - 1);
            if (normalize) WN_TRY(put_normalized(s, cp, begin, end));
            else WN_TRY(put(s, cp, begin, end));
        }
        }
    }
    return WN_OK;
}

wn_status wn_bert_words(const wn_tokenizer *t, const wn_span_text *in, bool normalize,
                        wn_encoding *e, wn_error *err) {
    sink s = {.t = t, .e = e, .g = &e->word, .words = true,
              .limit = t->image.head->max_word_chars, .err = err};
    reset(s.g);
    WN_TRY(run(&s, in, normalize));
    return flush(&s);
}

wn_status wn_bert_normalize(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                            wn_span_text *out, wn_error *err) {
    sink s = {.t = t, .e = e, .g = &e->whole, .words = false, .limit = SIZE_MAX, .err = err};
    reset(s.g);
    WN_TRY(run(&s, in, true));
    if (s.g->run != SIZE_MAX) WN_TRY(close_run(e, s.g, err));
    *out = (wn_span_text){s.g->data, s.g->len, e->track ? s.g->origin : NULL, 0};
    return WN_OK;
}
