/* trie.h -- a byte trie in a double array: prefixes of a text in one pass.
 *
 * A node is 8 bytes: {offset << 9 | label, value}. The child of node p by byte c
 * is node (offset(p) ^ c), if that node's label is c. Each offset is given to one
 * parent only, so the label alone proves parentage (the trick of darts-clone).
 * Offset 0 is given to nobody and stands for "no children"; label 256 is an empty
 * slot. Keys may hold any byte, NUL too. The array is position-independent: it is
 * mapped from a file as it is, after wn_trie_check. */
#ifndef WN_TEXT_TRIE_H
#define WN_TEXT_TRIE_H
#include "core/memory.h"

typedef struct wn_trie_node {
    uint32_t unit;
    int32_t value; /* -1: no key ends here */
} wn_trie_node;

typedef struct wn_trie_key {
    const char *bytes;
    uint32_t len;
    int32_t value; /* >= 0 */
} wn_trie_key;

#define WN_TRIE_NONE UINT32_MAX

/* Appends the nodes to out (a multiple of 256 of them). Sorts keys; of equal keys
 * the one with the highest value stays. UNSUPPORTED when over 8 million nodes. */
wn_status wn_trie_build(wn_trie_key *keys, size_t count, wn_buf *out, wn_error *err);

/* True when no walk over these nodes can leave the array and every value is below `values`. */
bool wn_trie_check(const wn_trie_node *nodes, size_t count, size_t values);

/* The child, or WN_TRIE_NONE. Start at node 0. */
static inline uint32_t wn_trie_step(const wn_trie_node *nodes, uint32_t node, unsigned char byte) {
    uint32_t next = nodes[node].unit >> 9 ^ byte;
    return (nodes[next].unit & 511) == byte ? next : WN_TRIE_NONE;
}
/* Value of a whole key, or -1. */
int32_t wn_trie_find(const wn_trie_node *nodes, uint32_t start, const char *key, size_t len);
#endif
