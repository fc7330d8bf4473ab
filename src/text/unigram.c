/* unigram.c -- sentencepiece's Unigram: normaliser steps, Metaspace, Viterbi.
 *
 * Differences from sentencepiece itself are the reference's (Hugging Face
 * tokenizers): scores and sums are doubles, added up from the left, and of two
 * segmentations with equal sums the one found first stays. Sums decide ties such
 * as "oooo" = "o" + "ooo" or "ooo" + "o", so the order of additions is part of
 * the contract and must not be rearranged.
 *
 * Chunks of up to 24 bytes are remembered in the encoding (a direct-mapped table of
 * 4096, 256 KB): natural text repeats its words, and the search then is a look-up.
 *
 * A walk down the trie ends at the longest piece, so the search is linear in the
 * text: a megabyte without a space is one chunk and costs what it should. */
#include "core/error.h"
#include "text/charsmap.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

#include <string.h>

/* ---- normaliser ---------------------------------------------------------- */

/* Where a step writes. */
typedef struct target {
    wn_encoding *e;
    int side; /* of e->norm */
    wn_error *err;
} target;

static wn_status put(target *to, const char *text, size_t len, uint32_t begin, uint32_t end) {
    wn_buf *out = &to->e->norm[to->side];
    size_t from = out->len;
    WN_TRY(wn_buf_append(out, text, len, to->err));
    if (out->len > INT32_MAX) return wn_fail(to->err, WN_ERR_ARGUMENT, "text too long once normalised");
    if (!to->e->track) return WN_OK;
    uint32_t **origin = &to->e->norm_origin[to->side];
    WN_TRY(wn_grow(origin, &to->e->norm_origin_cap[to->side], 2 * out->len, sizeof **origin, to->err));
    for (size_t i = from; i < out->len; i++) {
        (*origin)[2 * i] = begin;
        (*origin)[2 * i + 1] = end;
    }
    return WN_OK;
}

/* in[begin, end) as it is. */
static wn_status copy(target *to, const wn_span_text *in, size_t begin, size_t end) {
    if (!to->e->track) return wn_buf_append(&to->e->norm[to->side], in->text + begin, end - begin, to->err);
    for (size_t i = begin; i < end; i++)
        WN_TRY(put(to, in->text + i, 1, wn_origin_begin(in, i), wn_origin_end(in, i)));
    return WN_OK;
}

/* One look-up and its result; false when there is no rule. */
static bool replaced(const wn_tokenizer *t, target *to, const wn_span_text *in, size_t begin,
                     size_t end, wn_status *st) {
    wn_str text;
    if (!wn_charsmap_find(&t->image, in->text + begin, end - begin, &text)) return false;
    *st = put(to, text.data, text.len, wn_origin_begin(in, begin), wn_origin_end(in, end - 1));
    return true;
}

static wn_status map_cluster(const wn_tokenizer *t, target *to, const wn_span_text *in,
                             size_t begin, size_t end) {
    wn_status st = WN_OK;
    if (end - begin < 6 && replaced(t, to, in, begin, end, &st)) return st;
    for (size_t pos = begin; pos < end && st == WN_OK;) {
        size_t next = pos + wn_utf8_width((unsigned char)in->text[pos]);
        if (!replaced(t, to, in, pos, next, &st)) st = copy(to, in, pos, next);
        pos = next;
    }
    return st;
}

static wn_status map_characters(const wn_tokenizer *t, target *to, const wn_span_text *in) {
    for (size_t pos = 0; pos < in->len;) {
        size_t end = wn_grapheme_end(in->text, pos, in->len);
        WN_TRY(map_cluster(t, to, in, pos, end));
        pos = end;
    }
    return WN_OK;
}

static wn_status replace_spaces(const wn_tokenizer *t, const wn_norm_step *step, target *to,
                                const wn_span_text *in) {
    for (size_t pos = 0; pos < in->len;) {
        size_t end = pos;
        while (end < in->len && in->text[end] == ' ') end++;
        if (end - pos >= 2) {
            WN_TRY(put(to, t->image.strings + step->string, step->string_len,
                       wn_origin_begin(in, pos), wn_origin_end(in, end - 1)));
            pos = end;
            continue;
        }
        const char *space = memchr(in->text + end, ' ', in->len - end);
        end = space ? (size_t)(space - in->text) : in->len;
        WN_TRY(copy(to, in, pos, end));
        pos = end;
    }
    return WN_OK;
}

static bool white_at(const char *text, size_t pos) {
    return wn_unicode_flags(wn_utf8_next_valid(text, &pos)) & WN_UC_WHITE;
}

static wn_span_text strip(const wn_span_text *in, bool left) {
    size_t begin = 0, end = in->len;
    while (left && begin < end && white_at(in->text, begin))
        begin += wn_utf8_width((unsigned char)in->text[begin]);
    while (!left && end > begin) {
        size_t last = wn_utf8_back(in->text, end);
        if (!white_at(in->text, last)) break;
        end = last;
    }
    return wn_span_slice(in, begin, end);
}

wn_status wn_unigram_normalize(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                               wn_span_text *out, wn_error *err) {
    wn_span_text now = *in;
    int side = 0;
    for (size_t i = 0; i < t->image.step_count; i++) {
        const wn_norm_step *step = &t->image.steps[i];
        if (step->kind == WN_STEP_STRIP_LEFT || step->kind == WN_STEP_STRIP_RIGHT) {
            now = strip(&now, step->kind == WN_STEP_STRIP_LEFT);
            continue;
        }
        target to = {e, side, err};
        wn_buf_clear(&e->norm[side]);
        WN_TRY(wn_buf_reserve(&e->norm[side], now.len, err));
        if (step->kind == WN_STEP_CHARSMAP) WN_TRY(map_characters(t, &to, &now));
        else WN_TRY(replace_spaces(t, step, &to, &now));
        now = (wn_span_text){e->norm[side].data, e->norm[side].len,
                             e->track ? e->norm_origin[side] : NULL, 0};
        side = !side;
    }
    *out = now;
    return WN_OK;
}

/* ---- Viterbi ------------------------------------------------------------- */

static wn_status viterbi_room(wn_encoding *e, size_t len, wn_error *err) {
    WN_TRY(wn_grow(&e->best_score, &e->best_score_cap, len + 1, sizeof *e->best_score, err));
    WN_TRY(wn_grow(&e->best_start, &e->best_start_cap, len + 1, sizeof *e->best_start, err));
    WN_TRY(wn_grow(&e->piece_end, &e->piece_end_cap, len + 1, sizeof *e->piece_end, err));
    return wn_grow(&e->best_id, &e->best_id_cap, len + 1, sizeof *e->best_id, err);
}

static inline void offer(wn_encoding *e, size_t end, size_t begin, double score, int32_t id) {
    if (e->best_start[end] == UINT32_MAX || score > e->best_score[end]) {
        e->best_score[end] = score;
        e->best_start[end] = (uint32_t)begin;
        e->best_id[end] = id;
    }
}

static void search(const wn_image *im, wn_encoding *e) {
    const char *text = e->word.data;
    size_t len = e->word.len;
    memset(e->best_start, 0xFF, (len + 1) * sizeof *e->best_start);
    e->best_score[0] = 0;
    for (size_t begin = 0; begin < len;) {
        double here = e->best_score[begin];
        size_t width = wn_utf8_width((unsigned char)text[begin]);
        uint32_t node = 0;
        bool single = false;
        for (size_t i = begin; i < len; i++) {
            node = wn_trie_step(im->trie, node, (unsigned char)text[i]);
            if (node == WN_TRIE_NONE) break;
            int32_t id = im->trie[node].value;
            if (id < 0) continue;
            offer(e, i + 1, begin, im->scores[id] + here, id);
            single = single || i + 1 == begin + width;
        }
        if (!single) offer(e, begin + width, begin, im->head->unk_score + here, (int32_t)im->head->unk_id);
        begin += width;
    }
}

/* Walks the best path back; neighbouring unknowns become one token. Tokens are written
 * downwards from the end of the reserved room, then moved into place. Returns how many;
 * their ends are then the last ones of e->piece_end[0, word.len). */
static size_t backtrack(const wn_tokenizer *t, wn_encoding *e) {
    const wn_image *im = &t->image;
    int32_t unk = (int32_t)im->head->unk_id;
    size_t first = e->raw_len, top = first + e->word.len, at = top;
    for (size_t end = e->word.len; end > 0;) {
        size_t begin = e->best_start[end];
        int32_t id = e->best_id[end];
        if (id == unk) {
            while (begin > 0 && e->best_id[begin] == unk) begin = e->best_start[begin];
            /* The joined text may be an entry after all, when scores are unusual. */
            int32_t whole = wn_trie_find(im->trie, 0, e->word.data + begin, end - begin);
            if (whole >= 0) id = whole;
        }
        at--;
        e->raw[at] = id;
        e->piece_end[at - first] = (uint32_t)end;
        if (e->track) {
            e->raw_offsets[2 * at] = e->word.origin[2 * begin];
            e->raw_offsets[2 * at + 1] = e->word.origin[2 * end - 1];
        }
        end = begin;
    }
    memmove(e->raw + first, e->raw + at, (top - at) * sizeof *e->raw);
    if (e->track)
        memmove(e->raw_offsets + 2 * first, e->raw_offsets + 2 * at,
                2 * (top - at) * sizeof *e->raw_offsets);
    e->raw_len = first + (top - at);
    return top - at;
}

/* ---- one chunk ----------------------------------------------------------- */

/* The slot that may hold the chunk, with its key; NULL when it is too long to be kept. */
static wn_cached_chunk *slot_of(wn_encoding *e, uint64_t key[3]) {
    size_t len = e->word.len;
    if (len > sizeof e->cache->key) return NULL;
    memset(key, 0, sizeof e->cache->key);
    memcpy(key, e->word.data, len);
    uint64_t h = (key[0] ^ len) * 0x9E3779B97F4A7C15u;
    h = (h ^ key[1] ^ h >> 29) * 0xBF58476D1CE4E5B9u;
    h = (h ^ key[2] ^ h >> 32) * 0x94D049BB133111EBu;
    return &e->cache[(h >> 40) % WN_CACHED_CHUNKS];
}

static void emit_cached(wn_encoding *e, const wn_cached_chunk *slot) {
    size_t begin = 0;
    for (size_t i = 0; i < slot->count; i++) {
        size_t end = slot->ends[i];
        wn_encoding_emit(e, slot->ids[i], e->track ? e->word.origin[2 * begin] : 0,
                         e->track ? e->word.origin[2 * end - 1] : 0);
        begin = end;
    }
}

static void remember(wn_encoding *e, wn_cached_chunk *slot, const uint64_t key[3], size_t count) {
    if (count > sizeof slot->ends) return;
    memcpy(slot->key, key, sizeof slot->key);
    slot->len = (uint8_t)e->word.len;
    slot->count = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        slot->ends[i] = (uint8_t)e->piece_end[e->word.len - count + i];
        slot->ids[i] = e->raw[e->raw_len - count + i];
    }
}

wn_status wn_unigram_chunk(const wn_tokenizer *t, wn_encoding *e, wn_error *err) {
    uint64_t key[3];
    if (!e->word.len) return WN_OK;
    if (!e->cache) {
        e->cache = wn_calloc(WN_CACHED_CHUNKS, sizeof *e->cache);
        if (!e->cache) return wn_fail_memory(err, WN_CACHED_CHUNKS * sizeof *e->cache);
    }
    if (e->cache_serial != t->serial) {
        memset(e->cache, 0, WN_CACHED_CHUNKS * sizeof *e->cache);
        e->cache_serial = t->serial;
    }
    WN_TRY(wn_encoding_reserve(e, e->word.len + 1, err));
    wn_cached_chunk *slot = slot_of(e, key);
    if (slot && slot->len == e->word.len && !memcmp(slot->key, key, sizeof key)) {
        emit_cached(e, slot);
        return WN_OK;
    }
    WN_TRY(viterbi_room(e, e->word.len, err));
    search(&t->image, e);
    size_t count = backtrack(t, e);
    if (slot) remember(e, slot, key, count);
    return WN_OK;
}

/* ---- Metaspace ----------------------------------------------------------- */

static wn_status gather(wn_encoding *e, const char *text, size_t len, uint32_t begin, uint32_t end,
                        wn_error *err) {
    wn_gather *g = &e->word;
    WN_TRY(wn_grow(&g->data, &g->data_cap, g->len + len, 1, err));
    memcpy(g->data + g->len, text, len);
    if (e->track) {
        WN_TRY(wn_grow(&g->origin, &g->origin_cap, 2 * (g->len + len), sizeof *g->origin, err));
        for (size_t i = g->len; i < g->len + len; i++) {
            g->origin[2 * i] = begin;
            g->origin[2 * i + 1] = end;
        }
    }
    g->len += len;
    return WN_OK;
}

static wn_status gather_span(wn_encoding *e, const wn_span_text *in, size_t begin, size_t end,
                             wn_error *err) {
    if (!e->track) return gather(e, in->text + begin, end - begin, 0, 0, err);
    for (size_t i = begin; i < end; i++)
        WN_TRY(gather(e, in->text + i, 1, wn_origin_begin(in, i), wn_origin_end(in, i), err));
    return WN_OK;
}

/* Bytes of a mark (a space, or the mark itself) at pos, or 0. */
static size_t mark_at(const wn_span_text *in, size_t pos, wn_str mark) {
    if (in->text[pos] == ' ') return 1;
    return in->len - pos >= mark.len && !memcmp(in->text + pos, mark.data, mark.len) ? mark.len : 0;
}

/* Spaces become marks, one is put in front, and each mark begins a chunk. */
static wn_status metaspace(const wn_tokenizer *t, const wn_span_text *in, bool prepend,
                           wn_encoding *e, wn_error *err) {
    const wn_image_header *h = t->image.head;
    wn_str mark = {t->image.strings + h->meta_string, h->meta_len};
    bool split = h->flags & WN_TF_META_SPLIT;
    if (!in->len) return WN_OK;
    e->word.len = 0;
    if (prepend && !mark_at(in, 0, mark)) {
        uint32_t begin = wn_origin_begin(in, 0);
        WN_TRY(gather(e, mark.data, mark.len, begin, begin, err));
    }
    for (size_t pos = 0; pos < in->len;) {
        size_t n = mark_at(in, pos, mark);
        if (n) {
            if (split && pos > 0) {
                WN_TRY(wn_unigram_chunk(t, e, err));
                e->word.len = 0;
            }
            WN_TRY(gather(e, mark.data, mark.len, wn_origin_begin(in, pos),
                          wn_origin_end(in, pos + n - 1), err));
            pos += n;
            continue;
        }
        size_t end = pos + 1;
        while (end < in->len && in->text[end] != ' ' && in->text[end] != mark.data[0]) end++;
        WN_TRY(gather_span(e, in, pos, end, err));
        pos = end;
    }
    return wn_unigram_chunk(t, e, err);
}

wn_status wn_unigram_pieces(const wn_tokenizer *t, const wn_span_text *in, bool at_start,
                            wn_encoding *e, wn_error *err) {
    uint32_t flags = t->image.head->flags;
    bool always = flags & WN_TF_META_ALWAYS, first = flags & WN_TF_META_FIRST;
    if (!(flags & WN_TF_WHITESPACE_SPLIT))
        return metaspace(t, in, always || (first && at_start), e, err);
    for (size_t pos = 0; pos < in->len;) {
        size_t end = pos;
        while (end < in->len && !white_at(in->text, end))
            end += wn_utf8_width((unsigned char)in->text[end]);
        if (end > pos) {
            wn_span_text word = wn_span_slice(in, pos, end);
            WN_TRY(metaspace(t, &word, always, e, err));
        }
        pos = end < in->len ? end + wn_utf8_width((unsigned char)in->text[end]) : end;
    }
    return WN_OK;
}
