/* encoding.c -- the reusable result, truncation and the template.
 *
 * Truncation follows the reference's formula (tokenizers 0.23, truncate_encodings),
 * not the token-by-token loop its name suggests: of two sides that are both too
 * long, each keeps half, and the longer one (the second, when equal) the odd token. */
#include "core/error.h"
#include "text/tokenizer_impl.h"

#include <string.h>

wn_status wn_encoding_create(wn_encoding **out, wn_error *err) {
    wn_encoding *e = wn_calloc(1, sizeof *e);
    if (!e) return wn_fail_memory(err, sizeof *e);
    *out = e;
    return WN_OK;
}

void wn_encoding_free(wn_encoding *e) {
    if (!e) return;
    wn_free(e->ids);
    wn_free(e->types);
    wn_free(e->offsets);
    wn_free(e->raw);
    wn_free(e->raw_offsets);
    wn_buf_release(&e->clean);
    wn_free(e->clean_origin);
    for (int i = 0; i < 2; i++) {
        wn_buf_release(&e->norm[i]);
        wn_free(e->norm_origin[i]);
    }
    wn_gather *gathers[] = {&e->word, &e->whole};
    for (int i = 0; i < 2; i++) {
        wn_free(gathers[i]->data);
        wn_free(gathers[i]->origin);
    }
    wn_buf_release(&e->sort);
    wn_free(e->sort_origin);
    wn_free(e->best_score);
    wn_free(e->best_start);
    wn_free(e->best_id);
    wn_free(e->piece_end);
    wn_free(e->cache);
    wn_free(e);
}

const int32_t *wn_encoding_ids(const wn_encoding *e) { return e->ids; }
const uint8_t *wn_encoding_type_ids(const wn_encoding *e) { return e->types; }
size_t wn_encoding_length(const wn_encoding *e) { return e->len; }
const uint32_t *wn_encoding_offsets(const wn_encoding *e) {
    return e->has_offsets ? e->offsets : NULL;
}
size_t wn_encoding_dropped_first(const wn_encoding *e) { return e->dropped_first; }
size_t wn_encoding_dropped_second(const wn_encoding *e) { return e->dropped_second; }

wn_status wn_encoding_reserve(wn_encoding *e, size_t n, wn_error *err) {
    WN_TRY(wn_grow(&e->raw, &e->raw_cap, e->raw_len + n, sizeof *e->raw, err));
    /* Both grow together, so that emit needs one check only. */
    if (e->track)
        WN_TRY(wn_grow(&e->raw_offsets, &e->raw_offsets_cap, 2 * e->raw_cap,
                       sizeof *e->raw_offsets, err));
    return WN_OK;
}

/* How much of each side to keep so that both fit into `room` tokens. */
static wn_status cut(size_t *na, size_t *nb, bool pair, size_t room, wn_truncation how,
                     wn_error *err) {
    size_t total = *na + *nb;
    if (total <= room || how == WN_TRUNCATE_NONE) return WN_OK;
    if (room == 0) { /* the reference empties both sides, whatever the strategy */
        *na = *nb = 0;
        return WN_OK;
    }
    size_t excess = total - room;
    if (how == WN_TRUNCATE_ONLY_FIRST || how == WN_TRUNCATE_ONLY_SECOND) {
        size_t *side = how == WN_TRUNCATE_ONLY_FIRST ? na : nb;
        if (side == nb && !pair)
            return wn_fail(err, WN_ERR_ARGUMENT, "cannot truncate only the second text: there is none");
        if (*side <= excess)
            return wn_fail(err, WN_ERR_ARGUMENT,
                           "cannot cut %zu tokens from the %s text alone: it has %zu", excess,
                           side == na ? "first" : "second", *side);
        *side -= excess;
        return WN_OK;
    }
    if (!pair) {
        *na = room;
        return WN_OK;
    }
    bool swap = *na > *nb;
    size_t n1 = swap ? *nb : *na, n2; /* n1: the shorter */
    if (n1 > room) n2 = n1;
    else n2 = room - n1 > n1 ? room - n1 : n1;
    if (n1 + n2 > room) {
        n1 = room / 2;
        n2 = n1 + room % 2;
    }
    *na = swap ? n2 : n1;
    *nb = swap ? n1 : n2;
    return WN_OK;
}

static void fill(wn_encoding *e, int32_t id, const int32_t *ids, size_t n, uint32_t type) {
    if (ids) {
        if (n) memcpy(e->ids + e->len, ids, n * sizeof *ids);
    } else {
        e->ids[e->len] = id;
        n = 1;
    }
    memset(e->types + e->len, (int)type, n);
    e->len += n;
}

wn_status wn_tokenizer_join(const wn_tokenizer *t, const int32_t *a, size_t na, const int32_t *b,
                            size_t nb, bool pair, size_t max_length, wn_truncation truncation,
                            wn_encoding *e, wn_error *err) {
    static const int32_t none[1];
    if (!a) a = none, na = 0;
    if (!b || !pair) b = none, nb = 0;
    if (e->ids && ((a >= e->ids && a < e->ids + e->ids_cap) ||
                   (b >= e->ids && b < e->ids + e->ids_cap)))
        return wn_fail(err, WN_ERR_ARGUMENT, "the ids to join lie in the encoding they go to");
    size_t special = wn_tokenizer_special_count(t, pair), keep_a = na, keep_b = nb;
    if (max_length && truncation != WN_TRUNCATE_NONE) {
        if (max_length < special)
            return wn_fail(err, WN_ERR_ARGUMENT,
                           "max_length %zu has no room for the %zu special tokens", max_length,
                           special);
        WN_TRY(cut(&keep_a, &keep_b, pair, max_length - special, truncation, err));
    }
    const wn_template_op *ops = pair ? t->image.pair : t->image.single;
    size_t count = pair ? t->image.pair_count : t->image.single_count, total = 0;
    for (size_t i = 0; i < count; i++)
        total += ops[i].id == WN_OP_A ? keep_a : ops[i].id == WN_OP_B ? keep_b : 1;
    WN_TRY(wn_grow(&e->ids, &e->ids_cap, total + 1, sizeof *e->ids, err));
    WN_TRY(wn_grow(&e->types, &e->types_cap, total + 1, 1, err));
    e->len = 0;
    e->has_offsets = false;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].id == WN_OP_A) fill(e, 0, a, keep_a, ops[i].type_id);
        else if (ops[i].id == WN_OP_B) fill(e, 0, b, keep_b, ops[i].type_id);
        else fill(e, ops[i].id, NULL, 1, ops[i].type_id);
    }
    e->dropped_first = na - keep_a;
    e->dropped_second = nb - keep_b;
    return WN_OK;
}
