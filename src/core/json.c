/* json.c -- jansson with our errors. */
#include "core/json.h"
#include "core/error.h"
#include "core/file.h"

#include <string.h>

static wn_status parse(const char *name, const char *text, size_t len, size_t flags, json_t **out,
                       wn_error *err) {
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY | flags, &why);
    if (!root) {
        if (json_error_code(&why) == json_error_out_of_memory) return wn_fail_memory(err, len);
        wn_status st = wn_fail_at(err, WN_ERR_FORMAT, name, why.position,
                                  "not valid JSON (line %d: %s)", why.line, why.text);
        if (err) err->line = why.line;
        return st;
    }
    *out = root;
    return WN_OK;
}

static wn_status load(const char *path, size_t limit, size_t flags, json_t **out, wn_error *err) {
    wn_buf text = {0};
    wn_status st = wn_file_read(path, limit, &text, err);
    if (st == WN_OK) st = parse(path, text.data, text.len, flags, out, err);
    wn_buf_release(&text);
    return st;
}

wn_status wn_json_parse(const char *name, const char *text, size_t len, json_t **out,
                        wn_error *err) {
    return parse(name, text, len, 0, out, err);
}

wn_status wn_json_load(const char *path, size_t limit, json_t **out, wn_error *err) {
    return load(path, limit, 0, out, err);
}

wn_status wn_json_load_wide(const char *path, size_t limit, json_t **out, wn_error *err) {
    return load(path, limit, JSON_DECODE_INT_AS_REAL, out, err);
}

static wn_status wrong(wn_error *err, const char *name, const char *key, const char *want) {
    return wn_fail(err, WN_ERR_FORMAT, "%s: \"%s\" must be %s", name, key, want);
}

static const json_t *member(const json_t *obj, const char *key) {
    const json_t *v = json_object_get(obj, key);
    return v && !json_is_null(v) ? v : NULL;
}

wn_status wn_json_int(const json_t *obj, const char *name, const char *key, int64_t lo, int64_t hi,
                      int64_t *out, wn_error *err) {
    const json_t *v = member(obj, key);
    if (!v) return WN_OK;
    if (!json_is_integer(v)) return wrong(err, name, key, "an integer");
    int64_t n = json_integer_value(v);
    if (n < lo || n > hi)
        return wn_fail(err, WN_ERR_FORMAT, "%s: \"%s\" is %lld, outside %lld to %lld", name, key,
                       (long long)n, (long long)lo, (long long)hi);
    *out = n;
    return WN_OK;
}

wn_status wn_json_number(const json_t *obj, const char *name, const char *key, double *out,
                         wn_error *err) {
    const json_t *v = member(obj, key);
    if (!v) return WN_OK;
    if (!json_is_number(v)) return wrong(err, name, key, "a number");
    *out = json_number_value(v);
    return WN_OK;
}

wn_status wn_json_bool(const json_t *obj, const char *name, const char *key, bool *out,
                       wn_error *err) {
    const json_t *v = member(obj, key);
    if (!v) return WN_OK;
    if (!json_is_boolean(v)) return wrong(err, name, key, "true or false");
    *out = json_is_true(v);
    return WN_OK;
}

wn_status wn_json_string(const json_t *obj, const char *name, const char *key, const char **out,
                         wn_error *err) {
    const json_t *v = member(obj, key);
    if (!v) return WN_OK;
    if (!json_is_string(v)) return wrong(err, name, key, "a string");
    *out = json_string_value(v);
    return WN_OK;
}
