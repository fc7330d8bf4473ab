/* document_index.c -- finds a document of a list by its id.
 * Sorting both lists and merging them, as trec_eval does, was rejected: a run comes sorted by score
 * already, and hashing its ids is a third of the work of sorting them twice. */
#include "eval/document_index.h"
#include "core/error.h"

#include <string.h>

static uint64_t hash_text(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static const char *id_of(const wn_document_index *index, size_t record) {
    const char *id;
    memcpy(&id, index->records + record * index->stride, sizeof id);
    return id;
}

static size_t find_slot(const wn_document_index *index, const char *document) {
    size_t mask = index->nslots - 1, slot = hash_text(document) & mask;
    while (index->slots[slot] && strcmp(id_of(index, index->slots[slot] - 1), document) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

wn_status wn_document_index_build(wn_document_index *index, const void *records, size_t count,
                                  size_t stride, size_t *twice, size_t *before, wn_error *err) {
    if (count >= UINT32_MAX)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "more than four thousand million documents a query");
    size_t nslots = 16;
    while (nslots < 2 * count) nslots *= 2;
    WN_TRY(wn_grow(&index->slots, &index->cap, nslots, sizeof *index->slots, err));
    memset(index->slots, 0, nslots * sizeof *index->slots);
    index->nslots = nslots;
    index->records = records;
    index->stride = stride;
    if (twice) *twice = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t slot = find_slot(index, id_of(index, i));
        if (!index->slots[slot]) {
            index->slots[slot] = (uint32_t)i + 1;
        } else if (twice) {
            *twice = i;
            *before = index->slots[slot] - 1;
            break;
        }
    }
    return WN_OK;
}

size_t wn_document_index_find(const wn_document_index *index, const char *document) {
    uint32_t found = index->slots[find_slot(index, document)];
    return found ? found - 1 : SIZE_MAX;
}

void wn_document_index_release(wn_document_index *index) {
    wn_free(index->slots);
    *index = (wn_document_index){0};
}
