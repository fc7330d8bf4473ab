/* model_blend.c -- winnow_blend.json: what a reranker's makers say about using it with a bi-encoder.
 *
 *     {"blend": {"bge-small-en-v1.5": 12.5, "all-MiniLM-L6-v2": 8}}
 *
 * A small cross-encoder and a bi-encoder are wrong in different ways, so that
 * logit + weight * cosine can rank better than either. The weight depends on both models and is fitted
 * on training data (training/evaluate.py --blend); names are those of model directories, as two exports of
 * one model (ONNX, safetensors) have different hashes and the same cosines. Not in winnow.json: that one
 * is written by `winnow model pull` and would take its place. */
#include "model/model_blend.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <string.h>

enum { MAX_FILE = 64 << 10, MAX_BLENDS = 64 };

static wn_status read_entry(const char *path, const char *name, const json_t *value, wn_blend *out,
                            wn_error *err) {
    double weight = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(weight >= 0 && weight <= 1e4))
        return wn_fail(err, WN_ERR_FORMAT, "%s: the blend weight of \"%s\" is not a number from 0 to 10000",
                       path, name);
    out->embedder = wn_strdup(name);
    out->weight = (float)weight;
    return out->embedder ? WN_OK : wn_fail_memory(err, strlen(name));
}

wn_status wn_blends_read(const char *dir, wn_blends *out, wn_error *err) {
    json_t *root = NULL;
    char *path = wn_path_join(dir, "winnow_blend.json");
    if (!path) return wn_fail_memory(err, strlen(dir));
    wn_status st = WN_OK;
    if (!wn_file_exists(path)) goto fail;
    WN_TRY_GOTO(wn_json_load(path, MAX_FILE, &root, err));
    const json_t *blend = json_object_get(root, "blend");
    if (!json_is_object(root) || (blend && !json_is_object(blend)) || json_object_size(blend) > MAX_BLENDS) {
        st = wn_fail(err, WN_ERR_FORMAT, "%s: \"blend\" must be an object of at most %d weights", path, MAX_BLENDS);
        goto fail;
    }
    if (!json_object_size(blend)) goto fail;
    out->items = wn_calloc(json_object_size(blend), sizeof *out->items);
    if (!out->items) {
        st = wn_fail_memory(err, json_object_size(blend) * sizeof *out->items);
        goto fail;
    }
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)blend, name, value) {
        WN_TRY_GOTO(read_entry(path, name, value, &out->items[out->count], err));
        out->count++;
    }
fail:
    json_decref(root);
    wn_free(path);
    return st;
}

void wn_blends_release(wn_blends *blends) {
    for (size_t i = 0; i < blends->count; i++) wn_free(blends->items[i].embedder);
    wn_free(blends->items);
    *blends = (wn_blends){0};
}
