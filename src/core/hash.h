/* hash.h -- XXH3-128: identity of content and weights, not a defence against forgery. */
#ifndef WN_CORE_HASH_H
#define WN_CORE_HASH_H
#include <winnow/core.h>

typedef struct wn_hash {
    uint8_t bytes[16]; /* canonical (big-endian) form */
} wn_hash;
typedef struct wn_hasher wn_hasher;

wn_hash wn_hash_bytes(const void *data, size_t len);
bool wn_hash_equal(const wn_hash *a, const wn_hash *b);
void wn_hash_hex(const wn_hash *hash, char out[33]);

/* Streaming form; NULL when out of memory. finish frees the hasher. */
wn_hasher *wn_hasher_create(void);
void wn_hasher_update(wn_hasher *hasher, const void *data, size_t len);
wn_hash wn_hasher_finish(wn_hasher *hasher);
#endif
