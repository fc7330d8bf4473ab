/* tokenizer_image.c -- laying out and validating a compiled tokenizer.
 *
 * The payload hash catches an honest accident (a flipped bit would otherwise give
 * wrong ids without a word); the structural checks after it catch a forged file
 * whose hash is right. Hashing costs about 1 ms for XLM-R's 10 MB. */
#include "text/tokenizer_image.h"
#include "core/error.h"
#include "core/utf8.h"

#include <math.h>
#include <string.h>

enum { ALIGN = 64 };
#define BYTE_ORDER_MARK 0x01020304u

static const size_t element_size[WN_SEC_COUNT] = {
    [WN_SEC_TEXT] = 1, [WN_SEC_TEXT_START] = sizeof(uint32_t),
    [WN_SEC_TRIE] = sizeof(wn_trie_node), [WN_SEC_SCORES] = sizeof(double),
    [WN_SEC_ADDED] = sizeof(wn_added_token), [WN_SEC_ADDED_RAW] = sizeof(wn_trie_node),
    [WN_SEC_ADDED_NORM] = sizeof(wn_trie_node), [WN_SEC_STEPS] = sizeof(wn_norm_step),
    [WN_SEC_STRINGS] = 1, [WN_SEC_SINGLE] = sizeof(wn_template_op),
    [WN_SEC_PAIR] = sizeof(wn_template_op), [WN_SEC_CHARSMAP] = sizeof(uint32_t),
    [WN_SEC_CHARSMAP_TEXT] = 1, [WN_SEC_PLAIN] = 1,
};

void wn_image_parts_release(wn_image_parts *parts) {
    for (int i = 0; i < WN_SEC_COUNT; i++) wn_buf_release(&parts->section[i]);
}

static size_t round_up(size_t n) { return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

wn_status wn_image_seal(const wn_image_parts *parts, const wn_hash *source, wn_buf *out,
                        wn_error *err) {
    wn_image_header head = parts->head;
    size_t at = round_up(sizeof head);
    for (int i = 0; i < WN_SEC_COUNT; i++) {
        head.section[i].offset = at;
        head.section[i].bytes = parts->section[i].len;
        at = round_up(at + parts->section[i].len);
    }
    memcpy(head.magic, WN_IMAGE_MAGIC, sizeof head.magic);
    head.version = WN_IMAGE_VERSION;
    head.byte_order = BYTE_ORDER_MARK;
    head.size = at;
    head.source = *source;
    wn_buf_clear(out);
    WN_TRY(wn_buf_reserve(out, at, err));
    memset(out->data, 0, at);
    for (int i = 0; i < WN_SEC_COUNT; i++)
        if (parts->section[i].len)
            memcpy(out->data + head.section[i].offset, parts->section[i].data,
                   parts->section[i].len);
    head.payload = wn_hash_bytes(out->data + sizeof head, at - sizeof head);
    memcpy(out->data, &head, sizeof head);
    out->len = at;
    return WN_OK;
}

typedef struct view {
    const unsigned char *data;
    const wn_image_header *head;
} view;

static const void *at(const view *v, wn_image_section s) {
    return v->data + v->head->section[s].offset;
}
static size_t count(const view *v, wn_image_section s) {
    return (size_t)v->head->section[s].bytes / element_size[s];
}

static bool in_strings(const view *v, uint32_t offset, uint32_t len) {
    size_t total = count(v, WN_SEC_STRINGS);
    return offset <= total && len <= total - offset &&
           wn_utf8_valid((const char *)at(v, WN_SEC_STRINGS) + offset, len, NULL);
}

static const char *check_sections(const view *v, size_t size) {
    for (int i = 0; i < WN_SEC_COUNT; i++) {
        uint64_t offset = v->head->section[i].offset, bytes = v->head->section[i].bytes;
        if (offset % ALIGN || offset < sizeof(wn_image_header) || offset > size ||
            bytes > size - offset || bytes % element_size[i])
            return "a section lies outside the file";
    }
    return NULL;
}

static const char *check_tokens(const view *v) {
    const wn_image_header *h = v->head;
    if (h->vocab == 0 || h->vocab > WN_IMAGE_MAX_VOCAB) return "bad vocabulary size";
    const uint32_t *start = at(v, WN_SEC_TEXT_START);
    const char *text = at(v, WN_SEC_TEXT);
    if (count(v, WN_SEC_TEXT_START) != (size_t)h->vocab + 1) return "bad vocabulary index";
    if (start[0] != 0 || start[h->vocab] != count(v, WN_SEC_TEXT)) return "bad vocabulary index";
    for (size_t i = 0; i < h->vocab; i++) {
        if (start[i] > start[i + 1] || start[i + 1] > start[h->vocab]) return "bad vocabulary index";
        if (start[i] < start[i + 1] && text[start[i + 1] - 1]) return "unterminated token";
    }
    if (!wn_trie_check(at(v, WN_SEC_TRIE), count(v, WN_SEC_TRIE), h->vocab))
        return "bad vocabulary trie";
    if (h->unk_id >= h->vocab) return "bad unknown token";
    if (h->model == WN_MODEL_WORDPIECE) {
        if (h->continuation != WN_TRIE_NONE && h->continuation >= count(v, WN_SEC_TRIE))
            return "bad continuation prefix";
    } else if (h->model == WN_MODEL_UNIGRAM) {
        const double *scores = at(v, WN_SEC_SCORES);
        if (count(v, WN_SEC_SCORES) != h->vocab) return "bad scores";
        for (size_t i = 0; i < h->vocab; i++)
            if (!isfinite(scores[i])) return "a score is not finite";
        if (!isfinite(h->unk_score)) return "a score is not finite";
    } else {
        return "unknown model kind";
    }
    return NULL;
}

static const char *check_added(const view *v) {
    const wn_added_token *added = at(v, WN_SEC_ADDED);
    size_t n = count(v, WN_SEC_ADDED);
    for (size_t i = 0; i < n; i++)
        if (added[i].id >= v->head->vocab) return "bad added token";
    if (!wn_trie_check(at(v, WN_SEC_ADDED_RAW), count(v, WN_SEC_ADDED_RAW), n) ||
        !wn_trie_check(at(v, WN_SEC_ADDED_NORM), count(v, WN_SEC_ADDED_NORM), n))
        return "bad added-token trie";
    return NULL;
}

static const char *check_template(const view *v, wn_image_section s, bool pair) {
    const wn_template_op *ops = at(v, s);
    size_t n = count(v, s);
    if (n > 64) return "template too long";
    for (size_t i = 0; i < n; i++) {
        if (ops[i].type_id > UINT8_MAX) return "bad type id";
        if (ops[i].id == WN_OP_A || (pair && ops[i].id == WN_OP_B)) continue;
        if (ops[i].id < 0 || (uint32_t)ops[i].id >= v->head->vocab) return "bad template";
    }
    return NULL;
}

/* Units of the charsmap use another layout (darts-clone's, as sentencepiece writes
 * it); charsmap.c bounds every step of its walk, so the units need no check here. */
static const char *check_steps(const view *v) {
    const wn_norm_step *steps = at(v, WN_SEC_STEPS);
    size_t n = count(v, WN_SEC_STEPS);
    if (n > 64) return "too many normaliser steps";
    for (size_t i = 0; i < n; i++) {
        if (steps[i].kind < WN_STEP_CHARSMAP || steps[i].kind > WN_STEP_STRIP_RIGHT)
            return "unknown normaliser step";
        if (!in_strings(v, steps[i].string, steps[i].string_len)) return "bad normaliser step";
    }
    if (!in_strings(v, v->head->meta_string, v->head->meta_len) ||
        !in_strings(v, v->head->continuation_string, v->head->continuation_len))
        return "bad string";
    if (v->head->model == WN_MODEL_UNIGRAM &&
        (v->head->meta_len == 0 || count(v, WN_SEC_PLAIN) != WN_PLAIN_BYTES))
        return "bad string";
    const char *text = at(v, WN_SEC_CHARSMAP_TEXT);
    size_t len = count(v, WN_SEC_CHARSMAP_TEXT);
    if (len && (text[len - 1] || !wn_utf8_valid(text, len, NULL))) return "bad charsmap text";
    if (count(v, WN_SEC_CHARSMAP) && !len) return "bad charsmap text";
    return NULL;
}

static const char *check(const view *v, size_t size) {
    const char *wrong = check_sections(v, size);
    if (!wrong) wrong = check_tokens(v);
    if (!wrong) wrong = check_added(v);
    if (!wrong) wrong = check_template(v, WN_SEC_SINGLE, false);
    if (!wrong) wrong = check_template(v, WN_SEC_PAIR, true);
    if (!wrong) wrong = check_steps(v);
    return wrong;
}

wn_status wn_image_open(const char *name, const void *data, size_t size, wn_image *out,
                        wn_error *err) {
    view v = {.data = data, .head = data};
    const wn_image_header *h = v.head;
    if (size < sizeof *h || memcmp(h->magic, WN_IMAGE_MAGIC, sizeof h->magic) != 0 ||
        h->version != WN_IMAGE_VERSION || h->byte_order != BYTE_ORDER_MARK || h->size != size)
        return wn_fail(err, WN_ERR_FORMAT, "%s: not a compiled tokenizer of this version", name);
    wn_hash payload = wn_hash_bytes(v.data + sizeof *h, size - sizeof *h);
    if (!wn_hash_equal(&payload, &h->payload))
        return wn_fail(err, WN_ERR_FORMAT, "%s: damaged: its checksum differs", name);
    const char *wrong = check(&v, size);
    if (wrong) return wn_fail(err, WN_ERR_FORMAT, "%s: damaged: %s", name, wrong);
    *out = (wn_image){
        .head = h,
        .text = at(&v, WN_SEC_TEXT), .text_start = at(&v, WN_SEC_TEXT_START),
        .trie = at(&v, WN_SEC_TRIE), .scores = at(&v, WN_SEC_SCORES),
        .added = at(&v, WN_SEC_ADDED), .added_count = count(&v, WN_SEC_ADDED),
        .added_raw = at(&v, WN_SEC_ADDED_RAW), .added_norm = at(&v, WN_SEC_ADDED_NORM),
        .steps = at(&v, WN_SEC_STEPS), .step_count = count(&v, WN_SEC_STEPS),
        .strings = at(&v, WN_SEC_STRINGS),
        .single = at(&v, WN_SEC_SINGLE), .single_count = count(&v, WN_SEC_SINGLE),
        .pair = at(&v, WN_SEC_PAIR), .pair_count = count(&v, WN_SEC_PAIR),
        .charsmap = at(&v, WN_SEC_CHARSMAP), .charsmap_count = count(&v, WN_SEC_CHARSMAP),
        .plain = at(&v, WN_SEC_PLAIN),
        .charsmap_text = at(&v, WN_SEC_CHARSMAP_TEXT),
        .charsmap_text_len = count(&v, WN_SEC_CHARSMAP_TEXT),
    };
    return WN_OK;
}
