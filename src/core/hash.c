/* hash.c -- content hashes through libxxhash.
 * Chosen over SHA-256 because a 130 MB model is hashed at every start: XXH3 reads
 * at memory speed (about 15 ms), SHA-256 at 1.5 GB/s would eat the start budget.
 * Files pulled from a hub are checked with SHA-256 once, in model/hub.c. */
#include "core/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static wn_hash canonical(XXH128_hash_t h) {
    wn_hash out;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, h);
    memcpy(out.bytes, c.digest, sizeof out.bytes);
    return out;
}

wn_hash wn_hash_bytes(const void *data, size_t len) { return canonical(XXH3_128bits(data, len)); }

bool wn_hash_equal(const wn_hash *a, const wn_hash *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void wn_hash_hex(const wn_hash *hash, char out[33]) {
    for (int i = 0; i < 16; i++) snprintf(out + 2 * i, 3, "%02x", hash->bytes[i]);
}

wn_hasher *wn_hasher_create(void) {
    XXH3_state_t *state = XXH3_createState();
    if (state) XXH3_128bits_reset(state);
    return (wn_hasher *)state;
}

void wn_hasher_update(wn_hasher *hasher, const void *data, size_t len) {
    XXH3_128bits_update((XXH3_state_t *)hasher, data, len);
}

wn_hash wn_hasher_finish(wn_hasher *hasher) {
    wn_hash out = canonical(XXH3_128bits_digest((XXH3_state_t *)hasher));
    XXH3_freeState((XXH3_state_t *)hasher);
    return out;
}
