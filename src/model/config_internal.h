/* config_internal.h -- between model_config.c (config.json) and model_modules.c (the files of
 * sentence-transformers beside it). */
#ifndef WN_MODEL_CONFIG_INTERNAL_H
#define WN_MODEL_CONFIG_INTERNAL_H
#include "core/json.h"
#include "model/config.h"

#define WN_CONFIG_LIMIT ((size_t)64 << 20)

/* Loads dir/name when it is there; *out stays NULL when it isn't. *path (wn_free) is for messages
 * and is set either way. reals: all numbers become reals (wn_json_load_wide). */
wn_status wn_config_load(const char *dir, const char *name, bool reals, json_t **out, char **path,
                         wn_error *err);

/* Fills kind, pooling, normalize, do_lower_case, prompts and max_length. out holds what config.json
 * says, kind by its architecture. *activation (wn_free) is config_sentence_transformers.json's
 * activation_fn, or NULL. */
wn_status wn_config_read_modules(const char *dir, wn_model_config *out, char **activation,
                                 wn_error *err);
#endif
