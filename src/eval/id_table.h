/* id_table.h -- strings kept once, numbered in the order they came.
 *
 * Open addressing over a power of two, at most half full, grown with the data: qrels of three
 * queries take a few hundred bytes, a run of ten million documents is no special case. */
#ifndef WN_EVAL_ID_TABLE_H
#define WN_EVAL_ID_TABLE_H
#include "core/memory.h"

/* Text that lives as long as the pool: blocks are never moved, so pointers stay good. */
typedef struct wn_pool_text {
    char **blocks;
    size_t nblocks, cap, used, size; /* used and size: of the last block */
} wn_pool_text;
/* A NUL-terminated copy; NULL when out of memory. */
char *wn_pool_text_add(wn_pool_text *pool, const char *text, size_t len);
void wn_pool_text_release(wn_pool_text *pool);

typedef struct wn_id_table {
    const char **names; /* [count]; in the pool */
    size_t count, cap;
    uint32_t *slots;    /* number + 1; 0 is free */
    size_t nslots;
    wn_pool_text text;
} wn_id_table;

/* The number of `name`, added when new (*added, may be NULL). At most UINT32_MAX - 1 names. */
wn_status wn_id_table_add(wn_id_table *table, const char *name, size_t len, uint32_t *number,
                          bool *added, wn_error *err);
bool wn_id_table_find(const wn_id_table *table, const char *name, size_t len, uint32_t *number);
void wn_id_table_release(wn_id_table *table);
/* [count] numbers 0.. sorted by the names of `table`; freed with wn_free. */
wn_status wn_order_by_name(const wn_id_table *table, uint32_t **out, wn_error *err);
#endif
