/* safetensors.c -- the safetensors container, and the index over its shards.
 *
 *   byte 0   u64 LE: length N of the header, 1 to 100,000,000 as in the reference
 *   byte 8   N bytes of JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...},
 *            trailing spaces allowed; "__metadata__" is free text and is ignored
 *   byte 8+N the tensors; offsets count from here
 *
 * We refuse what the reference implementation refuses: a header that is not an object, an
 * unknown dtype, sizes that are not product(shape) * dtype, and data with holes, overlaps or a
 * tail (sorted by offset, each tensor begins where the last one ended, and the last one ends at
 * the end of the file). Contiguity also settles duplicate keys: jansson keeps the last of two
 * equal keys, so unless both say the same, the first one's bytes are a hole and the file is refused.
 *
 * Nothing is copied: tensors are views into the mapping, at whatever alignment the header's
 * length gave them. Types we cannot compute with are listed as WN_DTYPE_OTHER and refused when
 * the encoder asks for them, so an int64 position_ids or a boolean mask harms nobody. Of a
 * tensor with more than four dimensions the rest is folded into the fourth: no weight of ours has them.
 */
#include "model/weights_internal.h"
#include "core/error.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000u
#define INDEX_LIMIT (64u << 20)
#define SHARD_LIMIT 1024u

static const struct {
    const char *name;
    unsigned bits;
    wn_dtype dtype;
} dtypes[] = {
    {"F32", 32, WN_DTYPE_F32},       {"F16", 16, WN_DTYPE_F16},
    {"BF16", 16, WN_DTYPE_BF16},     {"I64", 64, WN_DTYPE_I64},
    {"BOOL", 8, WN_DTYPE_OTHER},     {"U8", 8, WN_DTYPE_OTHER},
    {"I8", 8, WN_DTYPE_OTHER},       {"F8_E5M2", 8, WN_DTYPE_OTHER},
    {"F8_E4M3", 8, WN_DTYPE_OTHER},  {"F8_E8M0", 8, WN_DTYPE_OTHER},
    {"F8_E5M2FNUZ", 8, WN_DTYPE_OTHER}, {"F8_E4M3FNUZ", 8, WN_DTYPE_OTHER},
    {"F4", 4, WN_DTYPE_OTHER},       {"F6_E2M3", 6, WN_DTYPE_OTHER},
    {"F6_E3M2", 6, WN_DTYPE_OTHER},  {"I16", 16, WN_DTYPE_OTHER},
    {"U16", 16, WN_DTYPE_OTHER},     {"I32", 32, WN_DTYPE_OTHER},
    {"U32", 32, WN_DTYPE_OTHER},     {"F64", 64, WN_DTYPE_OTHER},
    {"U64", 64, WN_DTYPE_OTHER},     {"C64", 64, WN_DTYPE_OTHER},
};

/* What is known of the tensor being parsed, for messages. */
typedef struct place {
    const char *path, *tensor;
} place;

static wn_status bad(const place *at, wn_error *err, const char *what) {
    return wn_fail(err, WN_ERR_FORMAT, "%s: tensor \"%.200s\": %s", at->path, at->tensor, what);
}

static wn_status parse_dtype(const place *at, const json_t *info, wn_tensor *out, unsigned *bits,
                             wn_error *err) {
    const char *name = json_string_value(json_object_get(info, "dtype"));
    if (!name) return bad(at, err, "\"dtype\" must be a string");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        out->dtype = dtypes[i].dtype;
        out->dtype_name = dtypes[i].name;
        *bits = dtypes[i].bits;
        return WN_OK;
    }
    return wn_fail(err, WN_ERR_FORMAT, "%s: tensor \"%.200s\": unknown dtype \"%.40s\"", at->path,
                   at->tensor, name);
}

static wn_status parse_shape(const place *at, const json_t *info, wn_tensor *out,
                             size_t *elements, wn_error *err) {
    const json_t *shape = json_object_get(info, "shape");
    if (!json_is_array(shape)) return bad(at, err, "\"shape\" must be an array");
    size_t n = 1, rank = json_array_size(shape);
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return bad(at, err, "\"shape\" must hold integers of at least 0");
        int64_t d = json_integer_value(dim);
        /* As the reference: a plain checked product, so [0, 2^40, 2^40] is 0 and fine,
         * [2^40, 2^40, 0] overflows on the way and is refused. */
        if (wn_mul_overflows(n, (size_t)d, &n)) return bad(at, err, "\"shape\" overflows");
        int64_t *last = &out->shape[i < 4 ? i : 3];
        if (i < 4) *last = d;
        else if (__builtin_mul_overflow(*last, d, last)) return bad(at, err, "\"shape\" overflows");
    }
    out->rank = rank <= 4 ? (int)rank : 4;
    *elements = n;
    return WN_OK;
}

static wn_status parse_offsets(const place *at, const json_t *info, size_t data_size,
                               size_t *begin, size_t *end, wn_error *err) {
    const json_t *pair = json_object_get(info, "data_offsets");
    const json_t *b = json_array_get(pair, 0), *e = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(b) || !json_is_integer(e) ||
        json_integer_value(b) < 0 || json_integer_value(e) < json_integer_value(b))
        return bad(at, err, "\"data_offsets\" must be two integers, 0 <= begin <= end");
    uint64_t last = (uint64_t)json_integer_value(e);
    if (last > data_size)
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: tensor \"%.200s\" ends at data byte %llu, but the file holds %zu data "
                       "bytes: it is truncated or corrupt",
                       at->path, at->tensor, (unsigned long long)last, data_size);
    *begin = (size_t)json_integer_value(b);
    *end = (size_t)last;
    return WN_OK;
}

typedef struct span {
    size_t begin, end;
    const char *name; /* borrowed from the JSON */
} span;

static int by_offset(const void *a, const void *b) {
    const span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static wn_status check_contiguous(const char *path, span *spans, size_t n, size_t data_size,
                                  wn_error *err) {
    if (n) qsort(spans, n, sizeof *spans, by_offset);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].begin != at)
            return wn_fail(err, WN_ERR_FORMAT,
                           "%s: tensor \"%.200s\" begins at data byte %zu, where %zu was expected "
                           "(%s)",
                           path, spans[i].name, spans[i].begin, at,
                           spans[i].begin < at ? "tensors overlap" : "a hole before it");
        at = spans[i].end;
    }
    if (at != data_size)
        return wn_fail(err, WN_ERR_FORMAT, "%s: tensors end at data byte %zu of %zu", path, at,
                       data_size);
    return WN_OK;
}

static wn_status add_tensor(wn_weights *weights, size_t file, const char *name, const json_t *info,
                            const wn_map *data, span *where, wn_error *err) {
    place at = {weights->files[file].path, name};
    wn_tensor view = {0};
    unsigned bits = 0;
    size_t elements = 0, total_bits;
    if (!json_is_object(info)) return bad(&at, err, "must be an object");
    WN_TRY(parse_dtype(&at, info, &view, &bits, err));
    WN_TRY(parse_shape(&at, info, &view, &elements, err));
    WN_TRY(parse_offsets(&at, info, data->size, &where->begin, &where->end, err));
    where->name = name;
    if (wn_mul_overflows(elements, bits, &total_bits)) return bad(&at, err, "\"shape\" overflows");
    if (total_bits % 8 || total_bits / 8 != where->end - where->begin)
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: tensor \"%.200s\": %zu elements of %s do not fill its %zu bytes",
                       at.path, name, elements, view.dtype_name, where->end - where->begin);
    view.data = data->data + where->begin;
    view.bytes = where->end - where->begin;
    return wn_weights_add(weights, file, name, strlen(name), &view, err);
}

static wn_status add_all(wn_weights *weights, size_t file, const json_t *header, const wn_map *data,
                         wn_error *err) {
    size_t n = 0, keys = json_object_size(header);
    span *spans = wn_calloc(keys, sizeof *spans);
    if (!spans) return wn_fail_memory(err, keys * sizeof *spans);
    wn_status st = WN_OK;
    const char *name;
    json_t *info;
    json_object_foreach((json_t *)(uintptr_t)header, name, info) {
        if (strcmp(name, "__metadata__") == 0) continue;
        WN_TRY_GOTO(add_tensor(weights, file, name, info, data, &spans[n], err));
        n++;
    }
    st = check_contiguous(weights->files[file].path, spans, n, data->size, err);
fail:
    wn_free(spans);
    return st;
}

static wn_status parse_header(const char *path, const wn_map *map, json_t **header, wn_map *data,
                              wn_error *err) {
    if (map->size < 8)
        return wn_fail_at(err, WN_ERR_FORMAT, path, 0,
                          "a safetensors file has at least 8 bytes, this one %zu", map->size);
    uint64_t len = 0;
    for (int i = 7; i >= 0; i--) len = len << 8 | map->data[i];
    if (len > HEADER_LIMIT)
        return wn_fail_at(err, WN_ERR_FORMAT, path, 0,
                          "header length %llu is over the format's limit of %u: not a safetensors "
                          "file, or corrupt",
                          (unsigned long long)len, HEADER_LIMIT);
    if (len > map->size - 8)
        return wn_fail_at(err, WN_ERR_FORMAT, path, 0,
                          "header of %llu bytes does not fit the file's %zu: it is truncated",
                          (unsigned long long)len, map->size);
    if (!len || map->data[8] != '{')
        return wn_fail_at(err, WN_ERR_FORMAT, path, 8, "the header must begin with '{'");

    wn_buf label = {0};
    json_t *root = NULL;
    wn_status st = wn_buf_printf(&label, err, "%s (header, from byte 8)", path);
    if (st == WN_OK)
        st = wn_json_parse(label.data, (const char *)map->data + 8, (size_t)len, &root, err);
    wn_buf_release(&label);
    if (st != WN_OK) return st;
    *header = root;
    *data = (wn_map){.data = map->data + 8 + len, .size = map->size - 8 - (size_t)len};
    return WN_OK;
}

wn_status wn_safetensors_load(wn_weights *weights, const char *path, wn_error *err) {
    size_t file = 0;
    WN_TRY(wn_weights_map(weights, path, &file, err));
    json_t *header = NULL;
    wn_map data = {0};
    WN_TRY(parse_header(path, &weights->files[file].map, &header, &data, err));
    wn_status st = json_is_object(header)
                       ? add_all(weights, file, header, &data, err)
                       : wn_fail_at(err, WN_ERR_FORMAT, path, 8, "the header must be an object");
    json_decref(header);
    return st;
}

/* ---- the index over shards ------------------------------------------------- */

/* model.safetensors.index.json: {"weight_map": {tensor: shard file}}. Every shard is opened and
 * checked whole; a tensor that its shard lacks is refused, since the download is incomplete. */
static wn_status collect_shards(const char *path, const json_t *map, const char ***shards,
                                size_t *n, wn_error *err) {
    size_t cap = 0;
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *file = json_string_value(value);
        if (!file || !wn_weights_plain_name(file, json_string_length(value)))
            return wn_fail(err, WN_ERR_FORMAT,
                           "%s: the shard of \"%.200s\" must be the name of a file in the same "
                           "directory",
                           path, tensor);
        size_t i = 0;
        while (i < *n && strcmp((*shards)[i], file) != 0) i++;
        if (i < *n) continue;
        if (*n >= SHARD_LIMIT)
            return wn_fail(err, WN_ERR_FORMAT, "%s: more than %u shards", path, SHARD_LIMIT);
        WN_TRY(wn_grow(shards, &cap, *n + 1, sizeof **shards, err));
        (*shards)[(*n)++] = file;
    }
    return *n ? WN_OK : wn_fail(err, WN_ERR_FORMAT, "%s: \"weight_map\" is empty", path);
}

static wn_status check_mapped(const wn_weights *weights, const char *path, const json_t *map,
                              wn_error *err) {
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        char *normal = wn_weights_normal_name(tensor, strlen(tensor));
        if (!normal) return wn_fail_memory(err, strlen(tensor));
        bool there = wn_weights_find(weights, normal) != NULL;
        wn_free(normal);
        if (!there)
            return wn_fail(err, WN_ERR_FORMAT, "%s: \"%.200s\" is not in %.100s, nor in another shard",
                           path, tensor, json_string_value(value));
    }
    return WN_OK;
}

wn_status wn_safetensors_load_index(wn_weights *weights, const char *dir, const char *path,
                                    wn_error *err) {
    json_t *root = NULL;
    const char **shards = NULL;
    size_t n = 0;
    WN_TRY(wn_json_load(path, INDEX_LIMIT, &root, err));
    wn_status st = WN_OK;
    const json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map)) {
        st = wn_fail(err, WN_ERR_FORMAT, "%s: \"weight_map\" must be an object", path);
        goto fail;
    }
    WN_TRY_GOTO(collect_shards(path, map, &shards, &n, err));
    for (size_t i = 0; i < n; i++) {
        char *shard = wn_path_join(dir, shards[i]);
        st = shard ? wn_safetensors_load(weights, shard, err) : wn_fail_memory(err, strlen(dir));
        wn_free(shard);
        if (st != WN_OK) goto fail;
    }
    WN_TRY_GOTO(wn_weights_seal(weights, err));
    st = check_mapped(weights, path, map, err);
fail:
    wn_free(shards);
    json_decref(root);
    return st;
}
