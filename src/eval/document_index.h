/* document_index.h -- finds a document of a list by its id: a hash table over records whose first
 * member is that id. Used again for each query, so that its memory is that of the largest. */
#ifndef WN_EVAL_DOCUMENT_INDEX_H
#define WN_EVAL_DOCUMENT_INDEX_H
#include "core/memory.h"

typedef struct wn_document_index {
    const char *records; /* borrowed from the last build */
    size_t stride;
    uint32_t *slots;     /* record + 1; 0 is free */
    size_t nslots, cap;  /* slots in use now, slots allocated */
} wn_document_index;

/* *twice becomes the first record whose id an earlier one (*before) has, else SIZE_MAX.
 * NULL for `twice`: later records of an id are passed over. */
wn_status wn_document_index_build(wn_document_index *index, const void *records, size_t count,
                                  size_t stride, size_t *twice, size_t *before, wn_error *err);
/* The number of the record, or SIZE_MAX. */
size_t wn_document_index_find(const wn_document_index *index, const char *document);
void wn_document_index_release(wn_document_index *index);
#endif
