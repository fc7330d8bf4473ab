/* unigram_stream.c -- XLM-R's normaliser and Metaspace in one pass over the source.
 *
 * unigram.c takes the steps of a tokenizer.json one after another, each over the whole
 * text. For the set-up nearly every model has (charsmap, runs of spaces made one, a mark
 * before each word) this file does them together and hands chunks to the search as they
 * end; a test holds both ways to the same ids. What is gained is that text without rules
 * is copied once, straight into the chunk: "plain" code points have no rule and are
 * clusters of their own while a plain one follows.
 *
 * A run of spaces is one mark when the tokenizer collapses runs, else each is one. */
#include "text/charsmap.h"
#include "core/error.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

#include <string.h>

typedef struct stream {
    const wn_tokenizer *t;
    wn_encoding *e;
    wn_error *err;
    wn_str mark;
    bool collapse;
    bool in_spaces; /* the last thing seen was a space */
    bool started;
} stream;

static wn_status gather(stream *s, const char *text, size_t len, const wn_span_text *from, size_t at,
                        uint32_t begin, uint32_t end) {
    wn_gather *g = &s->e->word;
    if (g->len + len > g->data_cap) WN_TRY(wn_grow(&g->data, &g->data_cap, g->len + len, 1, s->err));
    memcpy(g->data + g->len, text, len);
    if (s->e->track) {
        WN_TRY(wn_grow(&g->origin, &g->origin_cap, 2 * (g->len + len), sizeof *g->origin, s->err));
        for (size_t i = 0; i < len; i++) {
            g->origin[2 * (g->len + i)] = from ? wn_origin_begin(from, at + i) : begin;
            g->origin[2 * (g->len + i) + 1] = from ? wn_origin_end(from, at + i) : end;
        }
    }
    g->len += len;
    return WN_OK;
}

/* A mark: the chunk so far is done, the next begins with it. */
static wn_status put_mark(stream *s, uint32_t begin, uint32_t end) {
    WN_TRY(wn_unigram_chunk(s->t, s->e, s->err));
    s->e->word.len = 0;
    s->started = true;
    s->in_spaces = false;
    return gather(s, s->mark.data, s->mark.len, NULL, 0, begin, end);
}

static wn_status put_space(stream *s, uint32_t begin, uint32_t end) {
    wn_gather *g = &s->e->word;
    if (s->in_spaces && s->collapse) { /* the chunk is this run's mark: it now ends later */
        for (size_t i = 0; s->e->track && i < g->len; i++) g->origin[2 * i + 1] = end;
        return WN_OK;
    }
    WN_TRY(put_mark(s, begin, end));
    s->in_spaces = true;
    return WN_OK;
}

/* Normalised text without spaces or marks. */
static wn_status put_letters(stream *s, const char *text, size_t len, const wn_span_text *from,
                             size_t at, uint32_t begin, uint32_t end) {
    if (!s->started) WN_TRY(put_mark(s, begin, begin));
    s->in_spaces = false;
    return gather(s, text, len, from, at, begin, end);
}

static bool is_mark(const stream *s, const char *text, size_t len) {
    return len >= s->mark.len && text[0] == s->mark.data[0] && !memcmp(text, s->mark.data, s->mark.len);
}

/* Text of one origin: a replacement, or a character without a rule. */
static wn_status put_text(stream *s, wn_str text, uint32_t begin, uint32_t end) {
    for (size_t pos = 0; pos < text.len;) {
        size_t width = wn_utf8_width((unsigned char)text.data[pos]);
        if (text.data[pos] == ' ') WN_TRY(put_space(s, begin, end));
        else if (is_mark(s, text.data + pos, text.len - pos)) WN_TRY(put_mark(s, begin, end));
        else WN_TRY(put_letters(s, text.data + pos, width, NULL, 0, begin, end));
        pos += width;
    }
    return WN_OK;
}

static wn_status put_cluster(stream *s, const wn_span_text *in, size_t pos, size_t end) {
    const wn_image *im = &s->t->image;
    wn_str text;
    uint32_t first = wn_origin_begin(in, pos), last = wn_origin_end(in, end - 1);
    if (end - pos < 6 && wn_charsmap_find(im, in->text + pos, end - pos, &text))
        return put_text(s, text, first, last);
    while (pos < end) {
        size_t width = wn_utf8_width((unsigned char)in->text[pos]);
        if (!wn_charsmap_find(im, in->text + pos, width, &text)) text = (wn_str){in->text + pos, width};
        WN_TRY(put_text(s, text, wn_origin_begin(in, pos), wn_origin_end(in, pos + width - 1)));
        pos += width;
    }
    return WN_OK;
}

/* End of the run of plain characters at pos that are clusters of their own: the last one
 * before a character that is not plain might be joined by it, and is left out. */
static size_t plain_end(const uint8_t *plain, const wn_span_text *in, size_t pos) {
    size_t last = pos;
    for (size_t next = pos; next < in->len;) {
        size_t at = next;
        uint32_t cp = wn_utf8_next_valid(in->text, &next);
        if (cp > 0xFFFF || !(plain[cp >> 3] >> (cp & 7) & 1)) return last;
        last = at;
    }
    return in->len;
}

static wn_status put_plain(stream *s, const wn_span_text *in, size_t pos, size_t end) {
    while (pos < end) {
        if (in->text[pos] == ' ') {
            WN_TRY(put_space(s, wn_origin_begin(in, pos), wn_origin_end(in, pos)));
            pos++;
            continue;
        }
        if (is_mark(s, in->text + pos, end - pos)) {
            WN_TRY(put_mark(s, wn_origin_begin(in, pos), wn_origin_end(in, pos + s->mark.len - 1)));
            pos += s->mark.len;
            continue;
        }
        size_t word = pos + 1;
        while (word < end && in->text[word] != ' ' && in->text[word] != s->mark.data[0]) word++;
        WN_TRY(put_letters(s, in->text + pos, word - pos, in, pos, wn_origin_begin(in, pos), 0));
        pos = word;
    }
    return WN_OK;
}

wn_status wn_unigram_stream(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                            wn_error *err) {
    const wn_image *im = &t->image;
    stream s = {.t = t, .e = e, .err = err, .collapse = im->step_count == 2,
                .mark = {im->strings + im->head->meta_string, im->head->meta_len}};
    e->word.len = 0;
    for (size_t pos = 0; pos < in->len;) {
        size_t end = plain_end(im->plain, in, pos);
        WN_TRY(put_plain(&s, in, pos, end));
        if (end < in->len) {
            pos = end;
            end = wn_grapheme_end(in->text, pos, in->len);
            WN_TRY(put_cluster(&s, in, pos, end));
        }
        pos = end;
    }
    return wn_unigram_chunk(t, e, err);
}
