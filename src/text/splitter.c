/* splitter.c -- RecursiveCharacterTextSplitter, as spans of the source.
 *
 * The reference is langchain-text-splitters 1.1 with its defaults: separators "\n\n", "\n",
 * " ", "" in that order, keep_separator = True (a separator opens the piece after it), ends
 * stripped of what Python calls white space, length in code points (or in tokens).
 *
 * How it works. split_range(range, level) takes the first separator from `level` on that occurs
 * in the range and cuts the range before each occurrence. A piece shorter than chunk_size goes
 * into the window; a longer one first flushes the window and is then split by the next
 * separators. The window is LangChain's _merge_splits: when a piece would overfill it, the
 * window is a chunk, and pieces leave at its front until at most chunk_overlap units are left
 * and the new piece fits. Pieces of the last separator, "", are single characters; one
 * that is as long as chunk_size (size 1, or a character of many tokens) can't be split and
 * becomes a chunk as it is, NOT stripped: the reference behaves so, and goldens hold us to it.
 *
 * Why a chunk is a span. LangChain builds strings; we prove that each is text[begin, end):
 *   1. With keep_separator the pieces tile their range: piece 0 is what precedes the first
 *      separator, each other piece begins with its separator and reaches to the next one, empty
 *      ones hold no bytes. By induction over levels, all pieces tile the text.
 *   2. The window holds consecutive pieces: it gains only the piece that follows its last one
 *      (a piece that takes the other road flushes and empties it), and loses only at the front.
 *   3. Pieces are joined with "" (the separators are inside them), so the join of consecutive
 *      pieces is the bytes from the first one's begin to the last one's end.
 *   4. Stripping moves begin up and end down.
 * So `pieces` need not exist: a piece is where it begins and how long it is in units, and the
 * next one's begin is its end. LangChain collects a range's pieces in a list first and merges
 * then; merging looks only backward, so we merge while we cut.
 *
 * Cost. Linear in the text for any size and overlap, apart from writing the chunks out: each
 * level reads a range a bounded number of times and there are four levels (that is the recursion
 * depth too); a piece is measured once and enters and leaves the window once; white space is
 * looked at once a window, not once a chunk (`lead` and `trail` only move up), which matters
 * for a text of spaces with overlap = size - 1. Tokens: each piece is tokenized once a level, never
 * a window (LangChain adds up the pieces' lengths too, so a chunk's own token count may differ
 * from the sum). Memory: the window has at most chunk_size pieces that are not empty in units,
 * and runs of pieces of zero tokens (white space, for WordPiece) are one entry: they always enter
 * and leave together, because the loop that drops them looks at the total alone. Measured at
 * 500/100, 100 MB on one core: prose 0.2 s, Chinese without separators 0.6 s, one word 0.7 s,
 * spaces 1.3 s.
 *
 * Invalid UTF-8: each maximal invalid subpart is one character, never white space, and is
 * never cut (core/utf8.h). The document reader refuses such files before they get here.
 *
 * Rejected: decoding to UTF-32 first (4x memory, and offsets would need a way back);
 * a list of pieces per level (100 MB without separators would be 1.6 GB of list). */
#include <winnow/text.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "text/white_space.h"

#include <string.h>

struct wn_chunks {
    wn_chunk_span *spans;
    size_t count, cap;
};

/* A piece in the window; its end is the next one's begin, or the window's end. */
typedef struct piece {
    size_t begin, units;
} piece;

typedef struct window {
    piece *pieces; /* [head, tail) are inside */
    size_t head, tail, cap;
    size_t total;  /* sum of their units */
    size_t end;    /* where the last piece ends */
    size_t lead;   /* no byte of [pieces[head].begin, lead) is outside white space */
    size_t trail;  /* end of the last character that is not white space */
} window;

typedef struct splitter {
    const char *text;
    size_t chunk_size, chunk_overlap;
    const wn_tokenizer *tokenizer; /* NULL: units are code points */
    wn_encoding *encoding;
    uint32_t ascii_tokens[128];    /* tokens of one ASCII character alone, plus 1; 0: not asked yet */
    window win;
    wn_chunks *chunks;
    wn_error *err;
} splitter;

static const wn_str separators[] = {{"\n\n", 2}, {"\n", 1}, {" ", 1}, {"", 0}};
enum { LAST_LEVEL = 3 };

wn_split_options wn_split_options_default(void) {
    return (wn_split_options){.size = sizeof(wn_split_options), .chunk_size = 500,
                              .chunk_overlap = 100, .unit = WN_UNIT_CHARACTERS};
}

/* ---- Chunks ---------------------------------------------------------------- */

static wn_status chunk_push(splitter *sp, size_t begin, size_t end) {
    wn_chunks *chunks = sp->chunks;
    if (chunks->count == chunks->cap)
        WN_TRY(wn_grow(&chunks->spans, &chunks->cap, chunks->count + 1, sizeof *chunks->spans,
                       sp->err));
    chunks->spans[chunks->count++] = (wn_chunk_span){begin, end};
    return WN_OK;
}

/* ---- The window: _merge_splits --------------------------------------------- */

static void window_reset(window *win, size_t at) {
    win->head = win->tail = win->total = 0;
    win->end = win->lead = win->trail = at;
}

/* The window's bytes, stripped, are a chunk unless nothing is left of them. */
static wn_status window_emit(splitter *sp) {
    window *win = &sp->win;
    if (win->head == win->tail) return WN_OK;
    if (win->lead < win->pieces[win->head].begin) win->lead = win->pieces[win->head].begin;
    size_t n;
    while (win->lead < win->end &&
           (n = wn_space_at(sp->text + win->lead, win->end - win->lead)) != 0)
        win->lead += n;
    if (win->lead >= win->end) return WN_OK;
    return chunk_push(sp, win->lead, win->trail);
}

static wn_status window_append(splitter *sp, size_t begin, size_t end, size_t units) {
    window *win = &sp->win;
    bool joins_empty = units == 0 && win->head < win->tail && win->pieces[win->tail - 1].units == 0;
    if (!joins_empty) {
        if (win->tail == win->cap && win->head > win->cap / 2) {
            memmove(win->pieces, win->pieces + win->head,
                    (win->tail - win->head) * sizeof *win->pieces);
            win->tail -= win->head;
            win->head = 0;
        }
        if (win->tail == win->cap)
            WN_TRY(wn_grow(&win->pieces, &win->cap, win->tail + 1, sizeof *win->pieces, sp->err));
        win->pieces[win->tail++] = (piece){begin, units};
    }
    win->total += units;
    win->end = end;
    size_t last = end, n;
    while (last > begin && (n = wn_space_before(sp->text + begin, last - begin)) != 0) last -= n;
    if (last > begin) win->trail = last;
    return WN_OK;
}

static wn_status window_add(splitter *sp, size_t begin, size_t end, size_t units) {
    window *win = &sp->win;
    if (win->total + units > sp->chunk_size && win->head < win->tail) {
        WN_TRY(window_emit(sp));
        while (win->total > sp->chunk_overlap ||
               (win->total + units > sp->chunk_size && win->total > 0))
            win->total -= win->pieces[win->head++].units;
    }
    return window_append(sp, begin, end, units);
}

/* ---- Cutting: _split_text --------------------------------------------------- */

static inline size_t character_end(const splitter *sp, size_t at, size_t end) {
    if ((unsigned char)sp->text[at] < 0x80) return at + 1;
    wn_utf8_next(sp->text, end, &at, NULL);
    return at;
}

/* Units of text[begin, end), exact when they are fewer than chunk_size: beyond that only "too
 * long" matters, and counting stops. */
static wn_status measure(splitter *sp, size_t begin, size_t end, size_t *units) {
    if (!sp->tokenizer) {
        size_t count = 0;
        for (size_t at = begin; at < end && count < sp->chunk_size; count++)
            at = character_end(sp, at, end);
        *units = count;
        return WN_OK;
    }
    unsigned char first = (unsigned char)sp->text[begin];
    bool ascii = end - begin == 1 && first < 0x80;
    if (ascii && sp->ascii_tokens[first]) {
        *units = sp->ascii_tokens[first] - 1;
        return WN_OK;
    }
    wn_str range = {sp->text + begin, end - begin};
    WN_TRY(wn_tokenizer_encode_raw(sp->tokenizer, range, sp->encoding, sp->err));
    *units = wn_encoding_length(sp->encoding);
    if (ascii) sp->ascii_tokens[first] = (uint32_t)*units + 1;
    return WN_OK;
}

/* Where the next occurrence of the separator begins in [at, end), or end. */
static size_t separator_find(const splitter *sp, size_t at, size_t end, int level) {
    const char *hit = NULL;
    wn_str sep = separators[level];
    if (at < end)
        hit = sep.len == 1 ? memchr(sp->text + at, sep.data[0], end - at)
                           : memmem(sp->text + at, end - at, sep.data, sep.len);
    return hit ? (size_t)(hit - sp->text) : end;
}

/* A piece begins at its separator (except a range's first one) and ends before the next. */
static size_t piece_end(const splitter *sp, size_t at, size_t end, int level) {
    if (level == LAST_LEVEL) return character_end(sp, at, end);
    wn_str sep = separators[level];
    bool opens = end - at >= sep.len && memcmp(sp->text + at, sep.data, sep.len) == 0;
    return separator_find(sp, opens ? at + sep.len : at, end, level);
}

static wn_status split_range(splitter *sp, size_t begin, size_t end, int level) {
    while (level < LAST_LEVEL && separator_find(sp, begin, end, level) == end) level++;
    window_reset(&sp->win, begin);
    for (size_t at = begin, next; at < end; at = next) {
        size_t units = 0;
        next = piece_end(sp, at, end, level);
        WN_TRY(measure(sp, at, next, &units));
        if (units < sp->chunk_size) {
            WN_TRY(window_add(sp, at, next, units));
            continue;
        }
        WN_TRY(window_emit(sp));
        if (level == LAST_LEVEL) WN_TRY(chunk_push(sp, at, next));
        else WN_TRY(split_range(sp, at, next, level + 1));
        window_reset(&sp->win, next);
    }
    WN_TRY(window_emit(sp));
    window_reset(&sp->win, end);
    return WN_OK;
}

/* ---- The call ---------------------------------------------------------------- */

static wn_status options_check(const wn_split_options *given, wn_split_options *out, wn_error *err) {
    wn_split_options opt = wn_split_options_default();
    if (given) memcpy(&opt, given, given->size < sizeof opt ? given->size : sizeof opt);
    if (opt.chunk_size == 0)
        return wn_fail(err, WN_ERR_ARGUMENT, "chunk size is 0: it must be at least 1");
    if (opt.chunk_overlap > opt.chunk_size)
        return wn_fail(err, WN_ERR_ARGUMENT, "chunk overlap %zu is larger than chunk size %zu",
                       opt.chunk_overlap, opt.chunk_size);
    if (opt.unit != WN_UNIT_CHARACTERS && opt.unit != WN_UNIT_TOKENS)
        return wn_fail(err, WN_ERR_ARGUMENT, "unknown split unit %d", (int)opt.unit);
    if (opt.unit == WN_UNIT_TOKENS && !opt.tokenizer)
        return wn_fail(err, WN_ERR_ARGUMENT, "splitting by tokens needs a tokenizer");
    if (opt.unit == WN_UNIT_CHARACTERS) opt.tokenizer = NULL;
    *out = opt;
    return WN_OK;
}

wn_status wn_split_text(wn_str text, const wn_split_options *options, wn_chunks **out,
                        wn_error *err) {
    wn_split_options opt = wn_split_options_default();
    WN_TRY(options_check(options, &opt, err));
    wn_status st;
    splitter sp = {.text = text.data, .chunk_size = opt.chunk_size,
                   .chunk_overlap = opt.chunk_overlap, .tokenizer = opt.tokenizer, .err = err};
    sp.chunks = wn_calloc(1, sizeof *sp.chunks);
    if (!sp.chunks) return wn_fail_memory(err, sizeof *sp.chunks);
    if (opt.tokenizer) WN_TRY_GOTO(wn_encoding_create(&sp.encoding, err));
    WN_TRY_GOTO(split_range(&sp, 0, text.len, 0));
    *out = sp.chunks;
    sp.chunks = NULL;
    st = WN_OK;
fail:
    wn_free(sp.win.pieces);
    wn_encoding_free(sp.encoding);
    wn_chunks_free(sp.chunks);
    return st;
}

size_t wn_chunks_count(const wn_chunks *chunks) {
    return chunks->count;
}

wn_chunk_span wn_chunks_span(const wn_chunks *chunks, size_t i) {
    return chunks->spans[i];
}

void wn_chunks_free(wn_chunks *chunks) {
    if (!chunks) return;
    wn_free(chunks->spans);
    wn_free(chunks);
}
