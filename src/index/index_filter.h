/* index_filter.h -- which passages a search may return. */
#ifndef WN_INDEX_FILTER_H
#define WN_INDEX_FILTER_H

#include "index/database.h"
#include <winnow/index.h>

/* Passage ids, ascending. */
typedef struct wn_allowed {
    int64_t *ids;
    size_t count, capacity;
} wn_allowed;

/* The passages of all documents that meet every filter. An unknown key matches nothing. */
wn_status wn_filter_evaluate(const wn_database *database, const wn_filter *filters, size_t nfilters,
                             wn_allowed *out, wn_error *err);
bool wn_allowed_has(const wn_allowed *allowed, int64_t id);
void wn_allowed_release(wn_allowed *allowed);

#endif
