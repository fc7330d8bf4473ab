/* model_cache.h -- directories of the model cache: staging, replacing, provenance. */
#ifndef WN_MODEL_CACHE_H
#define WN_MODEL_CACHE_H
#include "core/memory.h"

/* cache/models/name, freed with wn_free. The cache and models/ exist afterwards. */
wn_status wn_model_cache_place(const char *name, char **out, wn_error *err);

/* The directory `staged` becomes `final`; what `final` was is moved aside first and then removed,
 * so that a crash leaves the old, the new, or (between two renames) neither, never a mixture. */
wn_status wn_model_cache_replace(const char *staged, const char *final, wn_error *err);

/* Removes a directory of regular files and directories; links are removed, not followed. */
wn_status wn_dir_remove(const char *path, wn_error *err);

/* winnow.json of a pulled model: "owner/name" and the commit. Either is "" where the model has
 * none. */
typedef struct wn_model_origin {
    char repository[264];
    char commit[80];
} wn_model_origin;
void wn_model_origin_read(const char *dir, wn_model_origin *out);
wn_status wn_model_origin_write(const char *dir, const wn_model_origin *origin, wn_error *err);
#endif
