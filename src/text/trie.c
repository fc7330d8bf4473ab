/* trie.c -- building and checking the double-array trie.
 *
 * Nodes are placed depth first from the sorted keys. A free slot is sought in the
 * last few blocks of 256 only: older blocks are full enough, and an unbounded
 * search made a 250,000-key build quadratic. */
#include "text/trie.h"
#include "core/error.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, OPEN_BLOCKS = 16, EMPTY = 256, MAX_NODES = 1 << 23 };

typedef struct span {
    uint32_t node, lo, hi, depth;
} span;

typedef struct builder {
    const wn_trie_key *keys;
    wn_buf nodes;         /* wn_trie_node[] */
    uint8_t *offset_used; /* one per slot: offset s already has a parent */
    uint32_t *next, *prev; /* free slots of the open blocks, a ring through slot 0 (the root) */
    size_t used_cap, next_cap, prev_cap;
    span *stack;
    size_t stack_len, stack_cap;
} builder;

static wn_trie_node *nodes_of(builder *b) { return (wn_trie_node *)(void *)b->nodes.data; }
static size_t count_of(const builder *b) { return b->nodes.len / sizeof(wn_trie_node); }

static void unlink_slot(builder *b, size_t slot) {
    b->next[b->prev[slot]] = b->next[slot];
    b->prev[b->next[slot]] = b->prev[slot];
}

static bool is_free(builder *b, size_t slot) {
    return slot && (nodes_of(b)[slot].unit & 511) == EMPTY;
}

/* Appends a block of free slots and closes the oldest open one. */
static wn_status add_block(builder *b, wn_error *err) {
    size_t n = count_of(b);
    if (n + BLOCK > MAX_NODES)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "vocabulary too large: over %d trie nodes", MAX_NODES);
    wn_trie_node fresh[BLOCK];
    for (int i = 0; i < BLOCK; i++) fresh[i] = (wn_trie_node){EMPTY, -1};
    WN_TRY(wn_buf_append(&b->nodes, fresh, sizeof fresh, err));
    WN_TRY(wn_grow(&b->offset_used, &b->used_cap, n + BLOCK, 1, err));
    WN_TRY(wn_grow(&b->next, &b->next_cap, n + BLOCK, sizeof *b->next, err));
    WN_TRY(wn_grow(&b->prev, &b->prev_cap, n + BLOCK, sizeof *b->prev, err));
    memset(b->offset_used + n, 0, BLOCK);
    if (n == 0) b->next[0] = b->prev[0] = 0;
    for (size_t slot = n ? n : 1; slot < n + BLOCK; slot++) {
        uint32_t last = b->prev[0];
        b->next[last] = b->prev[0] = (uint32_t)slot;
        b->prev[slot] = last;
        b->next[slot] = 0;
    }
    if (n >= (size_t)OPEN_BLOCKS * BLOCK) {
        size_t closed = n - (size_t)OPEN_BLOCKS * BLOCK;
        for (size_t slot = closed; slot < closed + BLOCK; slot++)
            if (is_free(b, slot)) unlink_slot(b, slot);
    }
    return WN_OK;
}

static bool fits(builder *b, size_t offset, const unsigned char *labels, size_t count) {
    if (!offset || b->offset_used[offset]) return false;
    for (size_t i = 1; i < count; i++)
        if (!is_free(b, offset ^ labels[i])) return false;
    return true;
}

/* An unused offset whose slots for all labels are free. Offsets stay within one
 * block of 256, since labels only change the low byte. */
static wn_status find_offset(builder *b, const unsigned char *labels, size_t count, uint32_t *out,
                             wn_error *err) {
    for (;;) {
        for (uint32_t slot = b->next[0]; slot; slot = b->next[slot]) {
            size_t offset = slot ^ labels[0];
            if (fits(b, offset, labels, count)) {
                *out = (uint32_t)offset;
                return WN_OK;
            }
        }
        WN_TRY(add_block(b, err));
    }
}

static wn_status push(builder *b, span s, wn_error *err) {
    WN_TRY(wn_grow(&b->stack, &b->stack_cap, b->stack_len + 1, sizeof *b->stack, err));
    b->stack[b->stack_len++] = s;
    return WN_OK;
}

/* Keys [lo, hi) share their first `depth` bytes; gives node its value and children. */
static wn_status place(builder *b, span s, wn_error *err) {
    while (s.lo < s.hi && b->keys[s.lo].len == s.depth) {
        nodes_of(b)[s.node].value = b->keys[s.lo].value;
        s.lo++; /* equal keys are sorted by value: the highest is written last */
    }
    if (s.lo == s.hi) return WN_OK;
    unsigned char labels[BLOCK];
    uint32_t starts[BLOCK + 1];
    size_t count = 0;
    for (uint32_t i = s.lo; i < s.hi; i++) {
        unsigned char c = (unsigned char)b->keys[i].bytes[s.depth];
        if (count && labels[count - 1] == c) continue;
        starts[count] = i;
        labels[count++] = c;
    }
    starts[count] = s.hi;
    uint32_t offset;
    WN_TRY(find_offset(b, labels, count, &offset, err));
    wn_trie_node *nodes = nodes_of(b);
    b->offset_used[offset] = 1;
    nodes[s.node].unit = offset << 9 | (nodes[s.node].unit & 511);
    for (size_t i = 0; i < count; i++) {
        nodes[offset ^ labels[i]].unit = labels[i];
        unlink_slot(b, offset ^ labels[i]);
    }
    for (size_t i = count; i-- > 0;)
        WN_TRY(push(b, (span){offset ^ labels[i], starts[i], starts[i + 1], s.depth + 1}, err));
    return WN_OK;
}

static int by_bytes(const void *pa, const void *pb) {
    const wn_trie_key *a = pa, *b = pb;
    uint32_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter ? memcmp(a->bytes, b->bytes, shorter) : 0;
    if (order) return order;
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

wn_status wn_trie_build(wn_trie_key *keys, size_t count, wn_buf *out, wn_error *err) {
    builder b = {.keys = keys};
    wn_status st;
    if (count > INT32_MAX) return wn_fail(err, WN_ERR_UNSUPPORTED, "vocabulary too large");
    if (count) qsort(keys, count, sizeof *keys, by_bytes);
    WN_TRY_GOTO(add_block(&b, err));
    /* The root sits in slot 0, which no parent may claim: its label stays "empty". */
    WN_TRY_GOTO(push(&b, (span){0, 0, (uint32_t)count, 0}, err));
    while (b.stack_len) WN_TRY_GOTO(place(&b, b.stack[--b.stack_len], err));
    WN_TRY_GOTO(wn_buf_append(out, b.nodes.data, b.nodes.len, err));
fail:
    wn_buf_release(&b.nodes);
    wn_free(b.offset_used);
    wn_free(b.next);
    wn_free(b.prev);
    wn_free(b.stack);
    return st;
}

bool wn_trie_check(const wn_trie_node *nodes, size_t count, size_t values) {
    if (!count || count % BLOCK || count > MAX_NODES) return false;
    /* XOR with a byte stays inside the offset's block of 256, so offset < count is enough.
     * No early exit: the loop vectorises, and checking 8 MB costs under 2 ms. */
    uint32_t highest = 0, bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t offset = nodes[i].unit >> 9;
        highest = offset > highest ? offset : highest;
        bad |= (uint32_t)(nodes[i].value < -1) | (uint32_t)(nodes[i].value >= (int64_t)values);
    }
    return highest < count && !bad;
}

int32_t wn_trie_find(const wn_trie_node *nodes, uint32_t start, const char *key, size_t len) {
    uint32_t node = start;
    for (size_t i = 0; i < len; i++) {
        node = wn_trie_step(nodes, node, (unsigned char)key[i]);
        if (node == WN_TRIE_NONE) return -1;
    }
    return nodes[node].value;
}
