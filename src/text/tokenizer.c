/* tokenizer.c -- opening a tokenizer, and the way of a text through it.
 *
 * source bytes -> valid UTF-8 -> added tokens cut out -> normalised -> words or
 * marked chunks -> subwords -> (encoding.c) truncation and template. */
#include "core/error.h"
#include "core/utf8.h"
#include "text/tokenizer_cache.h"
#include "text/tokenizer_impl.h"
#include "text/tokenizer_source.h"
#include "text/unicode.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t opened;

/* A hostile size would otherwise be mapped and hashed first; XLM-R's is 17 MB. */
enum { MAX_TOKENIZER_BYTES = 1 << 28 };

static void first_bytes(const wn_trie_node *trie, uint8_t first[256], bool *any) {
    for (int c = 0; c < 256; c++) {
        first[c] = wn_trie_step(trie, 0, (unsigned char)c) != WN_TRIE_NONE;
        *any = *any || first[c];
    }
}

static void prepare_ascii(wn_tokenizer *t) {
    uint32_t options = t->image.head->flags;
    for (int plain = 0; plain < 2; plain++) {
        memset(t->ascii[plain].kind, WN_ASCII_NOT, sizeof t->ascii[plain].kind);
        for (int c = 0; c < 128; c++) {
            uint32_t f = wn_unicode_flags((uint32_t)c);
            bool clean = !plain && (options & WN_TF_CLEAN);
            uint8_t kind = WN_ASCII_LETTER;
            if (clean && (f & WN_UC_OTHER)) kind = WN_ASCII_DROP;
            else if ((clean && (f & WN_UC_CLEAN_SPACE)) || (f & WN_UC_WHITE)) kind = WN_ASCII_SPACE;
            else if (f & WN_UC_PUNCT) kind = WN_ASCII_PUNCT;
            t->ascii[plain].kind[c] = kind;
            bool lower = !plain && (options & WN_TF_LOWERCASE) && c >= 'A' && c <= 'Z';
            t->ascii[plain].map[c] = (char)(lower ? c + 32 : c);
        }
    }
}

/* Whether one pass gives what the steps give one after another: nothing but the charsmap and
 * runs of spaces made one, then Metaspace with its mark always in front. */
static bool can_stream(const wn_tokenizer *t) {
    const wn_image *im = &t->image;
    uint32_t need = WN_TF_META_SPLIT | WN_TF_META_ALWAYS;
    if (im->head->model != WN_MODEL_UNIGRAM || t->has_norm || im->step_count > 2) return false;
    if ((im->head->flags & (need | WN_TF_WHITESPACE_SPLIT)) != need) return false;
    if ((unsigned char)im->strings[im->head->meta_string] < 0x80) return false;
    if (im->step_count > 0 && im->steps[0].kind != WN_STEP_CHARSMAP) return false;
    return im->step_count < 2 ||
           (im->steps[1].kind == WN_STEP_REPLACE_SPACES && im->steps[1].string_len == 1 &&
            im->strings[im->steps[1].string] == ' ');
}

wn_status wn_tokenizer_from_image(const char *name, const void *data, size_t size, wn_tokenizer *t,
                                  wn_error *err) {
    WN_TRY(wn_image_open(name, data, size, &t->image, err));
    t->has_raw = t->has_norm = false;
    first_bytes(t->image.added_raw, t->raw_first, &t->has_raw);
    first_bytes(t->image.added_norm, t->norm_first, &t->has_norm);
    prepare_ascii(t);
    t->streams = can_stream(t);
    t->serial = 1 + atomic_fetch_add_explicit(&opened, 1, memory_order_relaxed);
    t->special_single = t->special_pair = 0;
    for (size_t i = 0; i < t->image.single_count; i++) t->special_single += t->image.single[i].id >= 0;
    for (size_t i = 0; i < t->image.pair_count; i++) t->special_pair += t->image.pair[i].id >= 0;
    return WN_OK;
}

/* The compiled form: from the cache, or made now (and left there for the next start). */
static wn_status load(wn_tokenizer *t, const char *path, wn_error *err) {
    wn_map source = {0};
    WN_TRY(wn_map_open(path, &source, err));
    wn_status st = WN_OK;
    if (source.size > MAX_TOKENIZER_BYTES)
        WN_TRY_GOTO(wn_fail(err, WN_ERR_FORMAT, "%s: larger than %d bytes", path,
                            MAX_TOKENIZER_BYTES));
    wn_hash hash = wn_hash_bytes(source.data, source.size);
    if (wn_tokenizer_cache_open(&hash, t)) goto fail;
    WN_TRY_GOTO(wn_tokenizer_compile(path, (const char *)source.data, source.size, &hash,
                                     &t->owned, err));
    WN_TRY_GOTO(wn_tokenizer_from_image(path, t->owned.data, t->owned.len, t, err));
    wn_tokenizer_cache_store(&hash, t->owned.data, t->owned.len);
fail:
    wn_map_close(&source);
    return st;
}

wn_status wn_tokenizer_open(const char *path, wn_tokenizer **out, wn_error *err) {
    char *file = NULL;
    wn_tokenizer *t = wn_calloc(1, sizeof *t);
    wn_status st = WN_OK;
    if (!t) return wn_fail_memory(err, sizeof *t);
    file = wn_dir_exists(path) ? wn_path_join(path, "tokenizer.json") : wn_strdup(path);
    if (!file) WN_TRY_GOTO(wn_fail_memory(err, strlen(path)));
    WN_TRY_GOTO(load(t, file, err));
    wn_free(file);
    *out = t;
    return WN_OK;
fail:
    wn_free(file);
    wn_tokenizer_close(t);
    return st;
}

void wn_tokenizer_close(wn_tokenizer *t) {
    if (!t) return;
    wn_map_close(&t->map);
    wn_buf_release(&t->owned);
    wn_free(t);
}

size_t wn_tokenizer_vocab_size(const wn_tokenizer *t) { return t->image.head->vocab; }

size_t wn_tokenizer_special_count(const wn_tokenizer *t, bool pair) {
    return pair ? t->special_pair : t->special_single;
}

const char *wn_tokenizer_token(const wn_tokenizer *t, int32_t id) {
    const wn_image *im = &t->image;
    if (id < 0 || (uint32_t)id >= im->head->vocab) return NULL;
    uint32_t begin = im->text_start[id];
    return begin == im->text_start[id + 1] ? NULL : im->text + begin;
}

/* ---- encoding ------------------------------------------------------------ */

wn_status wn_tokenizer_normalize(const wn_tokenizer *t, const wn_span_text *in, wn_encoding *e,
                                 wn_span_text *out, wn_error *err) {
    if (t->image.head->model == WN_MODEL_WORDPIECE) return wn_bert_normalize(t, in, e, out, err);
    return wn_unigram_normalize(t, in, e, out, err);
}

/* Normalised text between added tokens. */
static wn_status subwords(const wn_tokenizer *t, const wn_span_text *in, bool at_start,
                          wn_encoding *e, wn_error *err) {
    if (t->image.head->model == WN_MODEL_WORDPIECE) return wn_bert_words(t, in, false, e, err);
    return wn_unigram_pieces(t, in, at_start, e, err);
}

static wn_status emit_added(wn_encoding *e, const wn_added_match *m, const wn_span_text *in,
                            wn_error *err) {
    WN_TRY(wn_encoding_reserve(e, 1, err));
    wn_encoding_emit(e, m->id, wn_origin_begin(in, m->begin), wn_origin_end(in, m->end - 1));
    return WN_OK;
}

/* Source text between added tokens. */
static wn_status segment(const wn_tokenizer *t, const wn_span_text *in, bool at_start,
                         wn_encoding *e, wn_error *err) {
    if (!in->len) return WN_OK;
    if (t->image.head->model == WN_MODEL_WORDPIECE && !t->has_norm)
        return wn_bert_words(t, in, true, e, err); /* both steps in one pass */
    if (t->streams) return wn_unigram_stream(t, in, e, err);
    wn_span_text norm;
    WN_TRY(wn_tokenizer_normalize(t, in, e, &norm, err));
    if (!t->has_norm) return subwords(t, &norm, at_start, e, err);
    size_t pos = 0, done = 0;
    wn_added_match m;
    while (wn_added_next(t, true, norm.text, norm.len, &pos, done, &m)) {
        if (done < m.begin) {
            wn_span_text part = wn_span_slice(&norm, done, m.begin);
            WN_TRY(subwords(t, &part, at_start && done == 0, e, err));
        }
        WN_TRY(emit_added(e, &m, &norm, err));
        done = m.end;
    }
    if (done >= norm.len) return WN_OK;
    wn_span_text rest = wn_span_slice(&norm, done, norm.len);
    return subwords(t, &rest, at_start && done == 0, e, err);
}

/* Invalid bytes become U+FFFD; origins are kept when somebody wants offsets. */
static wn_status sanitize(wn_str text, wn_encoding *e, wn_span_text *out, wn_error *err) {
    if (text.len > INT32_MAX)
        return wn_fail(err, WN_ERR_ARGUMENT, "text of %zu bytes: the limit is %d", text.len, INT32_MAX);
    if (wn_utf8_valid(text.data, text.len, NULL)) {
        *out = (wn_span_text){text.data, text.len, NULL, 0};
        return WN_OK;
    }
    wn_buf_clear(&e->clean);
    for (size_t pos = 0; pos < text.len;) {
        size_t begin = pos, from = e->clean.len;
        bool valid = true;
        wn_utf8_next(text.data, text.len, &pos, &valid);
        if (valid) WN_TRY(wn_buf_append(&e->clean, text.data + begin, pos - begin, err));
        else WN_TRY(wn_buf_append(&e->clean, "\xEF\xBF\xBD", 3, err));
        if (!e->track) continue;
        WN_TRY(wn_grow(&e->clean_origin, &e->clean_origin_cap, 2 * e->clean.len,
                       sizeof *e->clean_origin, err));
        for (size_t i = from; i < e->clean.len; i++) {
            e->clean_origin[2 * i] = (uint32_t)begin;
            e->clean_origin[2 * i + 1] = (uint32_t)pos;
        }
    }
    if (e->clean.len > INT32_MAX)
        return wn_fail(err, WN_ERR_ARGUMENT, "text too long: over %d bytes", INT32_MAX);
    *out = (wn_span_text){e->clean.data, e->clean.len, e->track ? e->clean_origin : NULL, 0};
    return WN_OK;
}

/* Appends the ids of one text to e->raw. */
static wn_status encode_one(const wn_tokenizer *t, wn_str text, wn_encoding *e, wn_error *err) {
    wn_span_text in;
    WN_TRY(sanitize(text, e, &in, err));
    if (!t->has_raw) return segment(t, &in, true, e, err);
    size_t pos = 0, done = 0;
    wn_added_match m;
    while (wn_added_next(t, false, in.text, in.len, &pos, done, &m)) {
        if (done < m.begin) {
            wn_span_text part = wn_span_slice(&in, done, m.begin);
            WN_TRY(segment(t, &part, done == 0, e, err));
        }
        WN_TRY(emit_added(e, &m, &in, err));
        done = m.end;
    }
    if (done >= in.len) return WN_OK;
    wn_span_text rest = wn_span_slice(&in, done, in.len);
    return segment(t, &rest, done == 0, e, err);
}

wn_status wn_tokenizer_encode(const wn_tokenizer *t, wn_str text, const wn_str *pair,
                              size_t max_length, wn_truncation truncation, wn_encoding *e,
                              wn_error *err) {
    e->raw_len = 0;
    e->track = false;
    WN_TRY(encode_one(t, text, e, err));
    size_t na = e->raw_len;
    if (pair) WN_TRY(encode_one(t, *pair, e, err));
    const int32_t *a = e->raw;
    return wn_tokenizer_join(t, a, na, a ? a + na : NULL, e->raw_len - na, pair != NULL, max_length,
                             truncation, e, err);
}

wn_status wn_tokenizer_encode_raw(const wn_tokenizer *t, wn_str text, wn_encoding *e,
                                  wn_error *err) {
    e->raw_len = 0;
    e->track = true;
    WN_TRY(wn_encoding_reserve(e, 1, err)); /* the offsets' room may lag behind the ids' */
    WN_TRY(encode_one(t, text, e, err));
    size_t n = e->raw_len;
    WN_TRY(wn_grow(&e->ids, &e->ids_cap, n + 1, sizeof *e->ids, err));
    WN_TRY(wn_grow(&e->types, &e->types_cap, n + 1, 1, err));
    WN_TRY(wn_grow(&e->offsets, &e->offsets_cap, 2 * n + 1, sizeof *e->offsets, err));
    if (n) {
        memcpy(e->ids, e->raw, n * sizeof *e->ids);
        memcpy(e->offsets, e->raw_offsets, 2 * n * sizeof *e->offsets);
    }
    memset(e->types, 0, n);
    e->len = n;
    e->has_offsets = true;
    e->dropped_first = e->dropped_second = 0;
    return WN_OK;
}

wn_hash wn_tokenizer_source(const wn_tokenizer *tokenizer) { return tokenizer->image.head->source; }
