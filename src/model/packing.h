/* packing.h -- gathers token sequences one after the other for the forward pass.
 * The memory grows to the largest batch seen and is kept: no allocation after warm-up. */
#ifndef WN_MODEL_PACKING_H
#define WN_MODEL_PACKING_H
#include "core/memory.h"
#include "model/encoder.h"
#include <winnow/text.h>

typedef struct wn_packing {
    int32_t *ids;      /* [tokens] */
    uint8_t *type_ids; /* [tokens] */
    uint32_t *starts;  /* [n + 1] */
    size_t n, tokens;
    size_t ids_cap, types_cap, starts_cap;
} wn_packing;

void wn_packing_clear(wn_packing *packing);
/* Appends the encoding as one sequence. */
wn_status wn_packing_add(wn_packing *packing, const wn_encoding *encoding, wn_error *err);
wn_packed wn_packing_view(const wn_packing *packing);
void wn_packing_release(wn_packing *packing);
#endif
