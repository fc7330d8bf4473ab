/* weights_internal.h -- the table behind wn_weights, filled by safetensors.c or onnx.c.
 *
 * A loader maps its files (wn_weights_map), adds each tensor whose bytes it has checked
 * (wn_weights_add), and returns; weights.c then sorts the names and refuses duplicates. */
#ifndef WN_MODEL_WEIGHTS_INTERNAL_H
#define WN_MODEL_WEIGHTS_INTERNAL_H
#include "core/file.h"
#include "model/weights.h"

#include <pthread.h>

typedef struct wn_weights_file {
    char *path;
    wn_map map;
} wn_weights_file;

typedef struct wn_weights_entry {
    wn_tensor tensor; /* tensor.name == name */
    char *name;       /* owned, normalised */
    size_t file;
} wn_weights_entry;

struct wn_weights {
    const char *format;
    wn_weights_file *files;
    size_t nfiles, files_cap;
    wn_weights_entry *entries; /* sorted by name once open */
    size_t n, cap;
    wn_hasher *hasher; /* made at open so that hashing cannot fail; NULL once used */
    char hint[160];    /* put behind "is missing": what the loader could not make out */
    pthread_mutex_t lock;
    bool hashed;
    wn_hash hash;
};

/* Maps path and keeps a copy of its name. *index is its place in files. */
wn_status wn_weights_map(wn_weights *weights, const char *path, size_t *index, wn_error *err);
/* Adds a tensor under the normal form of name[0, len); view->name is ignored. */
wn_status wn_weights_add(wn_weights *weights, size_t file, const char *name, size_t len,
                         const wn_tensor *view, wn_error *err);
/* Sorts the names (wn_weights_find works from here on) and refuses duplicates. A second call is
 * harmless. */
wn_status wn_weights_seal(wn_weights *weights, wn_error *err);
/* "bert.encoder.x.LayerNorm.gamma" -> "encoder.x.LayerNorm.weight". Freed with wn_free; NULL when
 * out of memory. */
char *wn_weights_normal_name(const char *name, size_t len);
/* Elements of a shape; false when a dimension is negative or the product overflows. */
bool wn_shape_elements(const int64_t *shape, int rank, size_t *out);
/* One path component without tricks: not empty, no '/', no NUL, not "." or "..". */
bool wn_weights_plain_name(const char *name, size_t len);

wn_status wn_safetensors_load(wn_weights *weights, const char *path, wn_error *err);
wn_status wn_safetensors_load_index(wn_weights *weights, const char *dir, const char *path,
                                    wn_error *err);
wn_status wn_onnx_load(wn_weights *weights, const char *path, wn_error *err);
#endif
