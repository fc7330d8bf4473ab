/* json.h -- jansson with our errors: the file and byte on a parse error, the key on a wrong type.
 * A NUL inside a string (\u0000) is accepted; depth is bounded by jansson (2048). */
#ifndef WN_CORE_JSON_H
#define WN_CORE_JSON_H
#include "core/memory.h"
#include <jansson.h>

/* The caller owns *out (json_decref). `name` is only for messages. */
wn_status wn_json_load(const char *path, size_t limit, json_t **out, wn_error *err);
/* The same, but every number becomes a real, so that an integer too large for 64 bits is no error:
 * Python's json writes int(1e30) out in full (tokenizer_config.json's model_max_length). */
wn_status wn_json_load_wide(const char *path, size_t limit, json_t **out, wn_error *err);
wn_status wn_json_parse(const char *name, const char *text, size_t len, json_t **out, wn_error *err);

/* Members of an object. An absent or null member leaves *out as it is (so set the
 * default first); a member of another type or out of range is WN_ERR_FORMAT. */
wn_status wn_json_int(const json_t *obj, const char *name, const char *key, int64_t lo, int64_t hi,
                      int64_t *out, wn_error *err);
wn_status wn_json_number(const json_t *obj, const char *name, const char *key, double *out,
                         wn_error *err);
wn_status wn_json_bool(const json_t *obj, const char *name, const char *key, bool *out,
                       wn_error *err);
/* Borrowed from obj. */
wn_status wn_json_string(const json_t *obj, const char *name, const char *key, const char **out,
                         wn_error *err);
#endif
