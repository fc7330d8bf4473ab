/* score_store.h -- the file of a score cache: keys to scores, with checksums and an order of use. */
#ifndef WN_PIPELINE_SCORE_STORE_H
#define WN_PIPELINE_SCORE_STORE_H
#include <winnow/search.h>

enum { WN_SCORE_KEY = 32 };
typedef struct wn_score_key {
    uint8_t bytes[WN_SCORE_KEY];
} wn_score_key;

typedef enum wn_score_state {
    WN_SCORE_MISSING = 0,
    WN_SCORE_FOUND,
    WN_SCORE_DAMAGED /* its checksum is wrong: as good as missing, and replaced by the next put */
} wn_score_state;

typedef struct wn_score_store wn_score_store;
/* One thread at a time. */
wn_status wn_score_store_open(const char *path, uint64_t max_bytes, wn_score_store **out, wn_error *err);
void wn_score_store_close(wn_score_store *store);

/* States and scores [n] of keys [n], all of one moment. */
wn_status wn_score_store_get(wn_score_store *store, const wn_score_key *keys, size_t n, wn_score_state *states,
                             wn_pair_score *scores, wn_error *err);
/* In one transaction: entries in state FOUND become the last used, others are stored. *saved false: it could not
 * be written now (another writer, no space), which is no error. */
wn_status wn_score_store_put(wn_score_store *store, const wn_score_key *keys, size_t n, const wn_score_state *states,
                             const wn_pair_score *scores, bool *saved, uint64_t *evicted, wn_error *err);
#endif
