/* model_blend.h -- the blend weights that a reranker's directory recommends. */
#ifndef WN_MODEL_MODEL_BLEND_H
#define WN_MODEL_MODEL_BLEND_H
#include "core/memory.h"
#include <winnow/core.h>

typedef struct wn_blend {
    char *embedder; /* the bi-encoder's name */
    float weight;   /* of its cosine, beside the logit */
} wn_blend;
typedef struct wn_blends {
    wn_blend *items; /* [count] */
    size_t count;
} wn_blends;

/* No file: no weights. Zero-initialise *out; release whatever happened. */
wn_status wn_blends_read(const char *dir, wn_blends *out, wn_error *err);
void wn_blends_release(wn_blends *blends);
#endif
