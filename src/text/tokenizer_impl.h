/* tokenizer_impl.h -- the inside of wn_tokenizer and wn_encoding, shared by the
 * files of this room that encode. Nobody outside src/text includes it. */
#ifndef WN_TEXT_TOKENIZER_IMPL_H
#define WN_TEXT_TOKENIZER_IMPL_H
#include <winnow/text.h>

#include "core/file.h"
#include "text/tokenizer_image.h"

/* What to do with an ASCII byte inside BERT's word loop. */
enum { WN_ASCII_LETTER, WN_ASCII_SPACE, WN_ASCII_PUNCT, WN_ASCII_DROP, WN_ASCII_NOT };

struct wn_tokenizer {
    wn_map map;            /* the image is mapped, */
    wn_buf owned;          /* or in memory */
    wn_image image;
    struct {
        uint8_t kind[256];
        char map[128];     /* lower case where the normaliser says so */
    } ascii[2];            /* BERT: [0] while normalising, [1] over normalised text */
    uint8_t raw_first[256], norm_first[256]; /* bytes that can begin an added token */
    bool has_raw, has_norm;
    bool streams;          /* Unigram: wn_unigram_stream may be used */
    uint64_t serial;       /* of this open; an encoding's word cache belongs to one */
    size_t special_single, special_pair;
};

/* Text on its way to the model: valid UTF-8 with the source bytes behind each byte.
 * origin is NULL when nobody asked for offsets. */
typedef struct wn_span_text {
    const char *text;
    size_t len;
    const uint32_t *origin; /* [len][2]: source begin and end of each byte; NULL: not wanted */
    uint32_t base;          /* used when origin is NULL but offsets are wanted: text[i] is source base + i */
} wn_span_text;

/* Characters being gathered, with the source bytes behind each byte. */
typedef struct wn_gather {
    char *data;
    uint32_t *origin; /* [len][2], filled when offsets are wanted */
    size_t len, data_cap, origin_cap;
    size_t chars;     /* appended, stored or not */
    size_t run;       /* where the open run of combining marks begins; SIZE_MAX: none */
    uint32_t begin, end; /* source bytes of all of it */
} wn_gather;

/* A chunk and its pieces, so that common words skip the search. One cache line. */
typedef struct wn_cached_chunk {
    uint64_t key[3];  /* the bytes, zero-padded */
    uint8_t len, count;
    uint8_t ends[6];  /* where each piece ends in the chunk */
    int32_t ids[6];
    uint32_t unused[2];
} wn_cached_chunk;
enum { WN_CACHED_CHUNKS = 4096 };

struct wn_encoding {
    /* the result */
    int32_t *ids;
    uint8_t *types;
    uint32_t *offsets;
    size_t len, ids_cap, types_cap, offsets_cap;
    bool has_offsets;
    size_t dropped_first, dropped_second;

    /* scratch, kept between calls */
    int32_t *raw;          /* ids of text, then of pair, before the template */
    uint32_t *raw_offsets;
    size_t raw_len, raw_cap, raw_offsets_cap;
    bool track;            /* fill raw_offsets in this call */
    wn_buf clean;          /* the source with invalid bytes replaced */
    uint32_t *clean_origin;
    size_t clean_origin_cap;
    wn_buf norm[2];        /* normalised text; two, so that a step reads one and writes the other */
    uint32_t *norm_origin[2];
    size_t norm_origin_cap[2];
    wn_gather word;        /* BERT: the word being gathered */
    wn_gather whole;       /* BERT: the whole text, for added tokens that match normalised text */
    wn_buf sort;           /* a run of combining marks being reordered */
    uint32_t *sort_origin;
    size_t sort_origin_cap;
    double *best_score;    /* Viterbi, one entry a byte */
    uint32_t *best_start;
    int32_t *best_id;
    uint32_t *piece_end;   /* ends of the pieces found last, in the order of the text */
    size_t best_score_cap, best_start_cap, best_id_cap, piece_end_cap;
    wn_cached_chunk *cache; /* [WN_CACHED_CHUNKS], direct-mapped; made at the first Unigram text */
    uint64_t cache_serial;
};

/* Room for n more raw tokens, so that emitting needs no check. */
wn_status wn_encoding_reserve(wn_encoding *e, size_t n, wn_error *err);

static inline void wn_encoding_emit(wn_encoding *e, int32_t id, uint32_t begin, uint32_t end) {
    e->raw[e->raw_len] = id;
    if (e->track) {
        e->raw_offsets[2 * e->raw_len] = begin;
        e->raw_offsets[2 * e->raw_len + 1] = end;
    }
    e->raw_len++;
}

static inline uint32_t wn_origin_begin(const wn_span_text *s, size_t i) {
    return s->origin ? s->origin[2 * i] : s->base + (uint32_t)i;
}
static inline uint32_t wn_origin_end(const wn_span_text *s, size_t i) {
    return s->origin ? s->origin[2 * i + 1] : s->base + (uint32_t)i + 1;
}
/* The part [begin, end) of a text. */
static inline wn_span_text wn_span_slice(const wn_span_text *s, size_t begin, size_t end) {
    return (wn_span_text){s->text + begin, end - begin, s->origin ? s->origin + 2 * begin : NULL,
                          s->base + (uint32_t)begin};
}

/* bert_normalizer.c: splits a text into words and hands each to wordpiece.c.
 * `normalize` false: the text was normalised already. */
wn_status wn_bert_words(const wn_tokenizer *t, const wn_span_text *in, bool normalize,
                        wn_encoding *e, wn_error *err);
/* Normalised form of a whole text (for added tokens that match there); *out is borrowed from e. */
wn_status wn_bert_normalize(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                            wn_span_text *out, wn_error *err);
/* wordpiece.c: the word in e->word to ids. */
wn_status wn_wordpiece_word(const wn_tokenizer *t, wn_encoding *e, wn_error *err);

/* unigram.c: the same two halves for Unigram. */
wn_status wn_unigram_normalize(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                               wn_span_text *out, wn_error *err);
/* at_start: nothing of the source lies before this text (Metaspace's scheme "first"). */
wn_status wn_unigram_pieces(const wn_tokenizer *t, const wn_span_text *in, bool at_start,
                            wn_encoding *e, wn_error *err);

/* The chunk in e->word to ids. */
wn_status wn_unigram_chunk(const wn_tokenizer *t, wn_encoding *e, wn_error *err);
/* unigram_stream.c: normaliser and pieces in one pass, for the common set-up (t->streams). */
wn_status wn_unigram_stream(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                            wn_error *err);

/* added_tokens.c: the next added token at or after *pos in text (valid UTF-8).
 * Returns false when there is none. [begin, end) includes stripped white space;
 * *pos moves past the match itself. */
typedef struct wn_added_match {
    size_t begin, end;
    int32_t id;
} wn_added_match;
bool wn_added_next(const wn_tokenizer *t, bool normalized, const char *text, size_t len,
                   size_t *pos, size_t previous_end, wn_added_match *out);

/* tokenizer.c: points t at an image (borrowed) after validating it. */
wn_status wn_tokenizer_from_image(const char *name, const void *data, size_t size, wn_tokenizer *t,
                                  wn_error *err);
/* tokenizer.c: a whole text through the normaliser; *out is borrowed from e (or is *in itself). */
wn_status wn_tokenizer_normalize(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                                 wn_span_text *out, wn_error *err);
/* tokenizer_json.c: compiles the bytes of a tokenizer.json. */
wn_status wn_tokenizer_compile(const char *path, const char *json, size_t len,
                               const wn_hash *source, wn_buf *image, wn_error *err);
#endif
