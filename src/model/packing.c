/* packing.c -- gathers token sequences one after the other for the forward pass. */
#include "model/packing.h"
#include "core/error.h"

#include <string.h>

void wn_packing_clear(wn_packing *packing) { packing->n = packing->tokens = 0; }

wn_status wn_packing_add(wn_packing *packing, const wn_encoding *encoding, wn_error *err) {
    size_t len = wn_encoding_length(encoding), need = packing->tokens + len;
    if (need > UINT32_MAX) return wn_fail(err, WN_ERR_ARGUMENT, "batch over 2^32 tokens");
    WN_TRY(wn_grow(&packing->ids, &packing->ids_cap, need, sizeof *packing->ids, err));
    WN_TRY(wn_grow(&packing->type_ids, &packing->types_cap, need, sizeof *packing->type_ids, err));
    WN_TRY(wn_grow(&packing->starts, &packing->starts_cap, packing->n + 2, sizeof *packing->starts,
                   err));
    memcpy(packing->ids + packing->tokens, wn_encoding_ids(encoding), len * sizeof *packing->ids);
    memcpy(packing->type_ids + packing->tokens, wn_encoding_type_ids(encoding), len);
    packing->starts[packing->n] = (uint32_t)packing->tokens;
    packing->tokens = need;
    packing->starts[++packing->n] = (uint32_t)need;
    return WN_OK;
}

wn_packed wn_packing_view(const wn_packing *packing) {
    return (wn_packed){.ids = packing->ids, .type_ids = packing->type_ids,
                       .starts = packing->starts, .n = packing->n};
}

void wn_packing_release(wn_packing *packing) {
    wn_free(packing->ids);
    wn_free(packing->type_ids);
    wn_free(packing->starts);
    *packing = (wn_packing){0};
}
