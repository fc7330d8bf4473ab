/* model_modules.c -- what sentence-transformers wrote beside config.json.
 *
 * Read as sentence-transformers 6.2 reads them, and only when modules.json is there (without it
 * that library looks at none of these files):
 *   modules.json                       the pipeline: Transformer, Pooling, Normalize, in that order
 *   <Transformer>/sentence_bert_config.json   max_seq_length, do_lower_case (or its older names)
 *   <Pooling>/config.json              pooling_mode, or the older pooling_mode_* booleans
 *   config_sentence_transformers.json  prompts, default_prompt_name, activation_fn, model_type
 * and always tokenizer_config.json for model_max_length.
 *
 * Dense, LayerNorm, Router, ... and pooling other than cls or mean change the embedding, so they
 * are refused by name rather than skipped.
 *
 * max_length: max_seq_length if the file gives one, else the tokenizer's model_max_length (absent:
 * unbounded); then never more than the position table holds. The library leaves the last step out
 * for an explicit max_seq_length, and for RoBERTa caps at 514 though 512 fit; both would index past
 * the table, so the cap here is max_position_embeddings - position_offset always.
 *
 * One departure: encode_document of the library looks for a prompt named "document", then
 * "passage", then "corpus", but since 5.x its built-in empty "document" always wins. We do what its
 * documentation says (model_config.c).
 */
#include "model/config_internal.h"
#include "core/error.h"
#include "core/file.h"

#include <limits.h>
#include <string.h>

/* Modules by the place in the pipeline they are accepted at. */
typedef struct pipeline {
    const char *transformer, *pooling; /* paths, borrowed from modules.json; NULL: absent */
    bool normalize;
} pipeline;

static wn_status refuse_module(const char *path, const char *type, wn_error *err) {
    return wn_fail(err, WN_ERR_UNSUPPORTED,
                   "%s: module \"%.100s\" is not supported; winnow computes Transformer, Pooling "
                   "(cls or mean) and Normalize, in this order",
                   path, type);
}

/* A path inside the model directory: relative, and no component is "..". */
static bool inside(const char *path) {
    if (path[0] == '/') return false;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') return false;
        p += n;
        while (*p == '/') p++;
    }
    return true;
}

static wn_status read_module(const char *path, const json_t *module, pipeline *out, wn_error *err) {
    const char *type = NULL, *where = "";
    WN_TRY(wn_json_string(module, path, "type", &type, err));
    WN_TRY(wn_json_string(module, path, "path", &where, err));
    if (!type) return wn_fail(err, WN_ERR_FORMAT, "%s: a module has no \"type\"", path);
    if (!inside(where))
        return wn_fail(err, WN_ERR_FORMAT, "%s: module path \"%.100s\" leaves the model directory",
                       path, where);
    const char *last = strrchr(type, '.');
    last = last ? last + 1 : type;
    if (strncmp(type, "sentence_transformers.", 22) != 0) return refuse_module(path, type, err);
    if (strcmp(last, "Transformer") == 0 && !out->transformer && !out->pooling && !out->normalize)
        out->transformer = where;
    else if (strcmp(last, "Pooling") == 0 && out->transformer && !out->pooling && !out->normalize)
        out->pooling = where;
    else if (strcmp(last, "Normalize") == 0 && out->pooling)
        out->normalize = true;
    else return refuse_module(path, type, err);
    return WN_OK;
}

static wn_status read_pipeline(const char *path, const json_t *root, pipeline *out, wn_error *err) {
    if (!json_is_array(root))
        return wn_fail(err, WN_ERR_FORMAT, "%s: must be a list of modules", path);
    for (size_t i = 0; i < json_array_size(root); i++) {
        if (!json_is_object(json_array_get(root, i)))
            return wn_fail(err, WN_ERR_FORMAT, "%s: module %zu must be an object", path, i);
        WN_TRY(read_module(path, json_array_get(root, i), out, err));
    }
    if (!out->transformer)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s: no Transformer module", path);
    if (out->transformer[0])
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: the transformer lies in \"%.80s\"; move its files into the model "
                       "directory and set the module's path to \"\"",
                       path, out->transformer);
    return WN_OK;
}

/* ---- pooling ------------------------------------------------------------------- */

static wn_status pooling_by_name(const char *path, const char *mode, wn_pooling *out,
                                 wn_error *err) {
    if (strcmp(mode, "cls") == 0) *out = WN_POOL_CLS;
    else if (strcmp(mode, "mean") == 0) *out = WN_POOL_MEAN;
    else
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: pooling mode \"%.60s\" is not supported; cls and mean are", path, mode);
    return WN_OK;
}

static const struct {
    const char *key, *mode;
} legacy_modes[] = {
    {"pooling_mode_cls_token", "cls"},
    {"pooling_mode_max_tokens", "max"},
    {"pooling_mode_mean_tokens", "mean"},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
    {"pooling_mode_weightedmean_tokens", "weightedmean"},
    {"pooling_mode_lasttoken", "lasttoken"},
};

static wn_status read_pooling_mode(const char *path, const json_t *root, wn_pooling *out,
                                   wn_error *err) {
    const json_t *mode = json_object_get(root, "pooling_mode");
    const char *name = NULL;
    if (mode && !json_is_null(mode)) {
        if (json_array_size(mode) == 1) mode = json_array_get(mode, 0);
        if (json_array_size(mode) > 1)
            return wn_fail(err, WN_ERR_UNSUPPORTED,
                           "%s: a combination of %zu pooling modes is not supported; cls or mean "
                           "alone is",
                           path, json_array_size(mode));
        name = json_string_value(mode);
        if (!name)
            return wn_fail(err, WN_ERR_FORMAT, "%s: \"pooling_mode\" must be a string", path);
        return pooling_by_name(path, name, out, err);
    }
    for (size_t i = 0; i < sizeof legacy_modes / sizeof *legacy_modes; i++) {
        bool on = false;
        WN_TRY(wn_json_bool(root, path, legacy_modes[i].key, &on, err));
        if (!on) continue;
        if (name)
            return wn_fail(err, WN_ERR_UNSUPPORTED,
                           "%s: the combination of pooling modes \"%s\" and \"%s\" is not "
                           "supported; cls or mean alone is",
                           path, name, legacy_modes[i].mode);
        name = legacy_modes[i].mode;
    }
    return pooling_by_name(path, name ? name : "mean", out, err);
}

static wn_status read_pooling(const char *dir, const char *where, wn_model_config *out,
                              wn_error *err) {
    json_t *root = NULL;
    char *path = NULL, *sub = wn_path_join(dir, where);
    if (!sub) return wn_fail_memory(err, strlen(dir));
    int64_t dim = (int64_t)out->hidden;
    bool prompt = true;
    wn_status st = wn_config_load(sub, "config.json", false, &root, &path, err);
    if (st != WN_OK) goto fail;
    if (!root) {
        st = wn_fail(err, WN_ERR_NOT_FOUND, "%s: not there; modules.json names it", path);
        goto fail;
    }
    WN_TRY_GOTO(read_pooling_mode(path, root, &out->pooling, err));
    WN_TRY_GOTO(wn_json_int(root, path, "word_embedding_dimension", 1, INT_MAX, &dim, err));
    WN_TRY_GOTO(wn_json_int(root, path, "embedding_dimension", 1, INT_MAX, &dim, err));
    if ((size_t)dim != out->hidden)
        st = wn_fail(err, WN_ERR_FORMAT,
                     "%s: pools %lld dimensions, but config.json's \"hidden_size\" is %zu", path,
                     (long long)dim, out->hidden);
    if (st != WN_OK) goto fail;
    WN_TRY_GOTO(wn_json_bool(root, path, "include_prompt", &prompt, err));
    if (!prompt)
        st = wn_fail(err, WN_ERR_UNSUPPORTED,
                     "%s: \"include_prompt\": false (pooling without the prompt's tokens) is not "
                     "supported",
                     path);
fail:
    json_decref(root);
    wn_free(path);
    wn_free(sub);
    return st;
}

/* ---- lengths ------------------------------------------------------------------- */

/* A length that may be an integer or a real (1e30: no limit); anything below 1 is refused. */
static wn_status read_length(const json_t *root, const char *path, const char *key, double *out,
                             wn_error *err) {
    double n = *out;
    WN_TRY(wn_json_number(root, path, key, &n, err));
    if (!(n >= 1)) return wn_fail(err, WN_ERR_FORMAT, "%s: \"%s\" must be at least 1", path, key);
    *out = n;
    return WN_OK;
}

static wn_status read_tokenizer_length(const char *dir, double *length, wn_error *err) {
    json_t *root = NULL;
    char *path = NULL;
    wn_status st = wn_config_load(dir, "tokenizer_config.json", true, &root, &path, err);
    if (st == WN_OK) st = read_length(root, path, "model_max_length", length, err);
    json_decref(root);
    wn_free(path);
    return st;
}

static wn_status read_transformer(const char *dir, wn_model_config *out, double *length,
                                  wn_error *err) {
    static const char *const names[] = {"sentence_bert_config.json", "sentence_roberta_config.json",
                                        "sentence_xlm-roberta_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *root = NULL;
        char *path = NULL;
        wn_status st = wn_config_load(dir, names[i], false, &root, &path, err);
        bool found = json_object_size(root) > 0;
        if (st == WN_OK) st = read_length(root, path, "max_seq_length", length, err);
        if (st == WN_OK)
            st = wn_json_bool(root, path, "do_lower_case", &out->do_lower_case, err);
        json_decref(root);
        wn_free(path);
        if (st != WN_OK || found) return st;
    }
    return WN_OK;
}

/* ---- prompts ------------------------------------------------------------------- */

static wn_status add_prompt(wn_model_config *out, size_t *cap, const char *name, const char *text,
                            wn_error *err) {
    WN_TRY(wn_grow(&out->prompts, cap, out->nprompts + 1, sizeof *out->prompts, err));
    wn_prompt p = {.name = wn_strdup(name), .text = wn_strdup(text)};
    out->prompts[out->nprompts++] = p;
    return p.name && p.text ? WN_OK : wn_fail_memory(err, strlen(name) + strlen(text));
}

static wn_status read_prompts(const char *path, const json_t *root, wn_model_config *out,
                              wn_error *err) {
    const json_t *prompts = json_object_get(root, "prompts");
    const char *name, *chosen = NULL;
    json_t *text;
    size_t cap = 0;
    if (prompts && !json_is_null(prompts) && !json_is_object(prompts))
        return wn_fail(err, WN_ERR_FORMAT, "%s: \"prompts\" must be an object", path);
    json_object_foreach((json_t *)(uintptr_t)prompts, name, text) {
        const char *value = json_is_null(text) ? "" : json_string_value(text);
        if (!value || strlen(value) != (json_is_null(text) ? 0 : json_string_length(text)))
            return wn_fail(err, WN_ERR_FORMAT,
                           "%s: prompt \"%.80s\" must be a string without NUL characters", path,
                           name);
        WN_TRY(add_prompt(out, &cap, name, value, err));
    }
    WN_TRY(wn_json_string(root, path, "default_prompt_name", &chosen, err));
    if (!chosen) return WN_OK;
    bool known = strcmp(chosen, "query") == 0 || strcmp(chosen, "document") == 0;
    for (size_t i = 0; i < out->nprompts; i++) known |= strcmp(out->prompts[i].name, chosen) == 0;
    if (!known)
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: \"default_prompt_name\" \"%.80s\" is not among its prompts", path,
                       chosen);
    out->default_prompt = wn_strdup(chosen);
    return out->default_prompt ? WN_OK : wn_fail_memory(err, strlen(chosen));
}

static wn_status read_model_type(const char *path, const json_t *root, wn_error *err) {
    const char *type = "SentenceTransformer";
    WN_TRY(wn_json_string(root, path, "model_type", &type, err));
    if (strcmp(type, "SentenceTransformer") == 0 || strcmp(type, "CrossEncoder") == 0) return WN_OK;
    return wn_fail(err, WN_ERR_UNSUPPORTED,
                   "%s: model_type \"%.60s\" is not supported; SentenceTransformer and CrossEncoder "
                   "are",
                   path, type);
}

static wn_status read_st_config(const char *dir, wn_model_config *out, char **activation,
                                wn_error *err) {
    json_t *root = NULL;
    char *path = NULL;
    const char *name = NULL;
    wn_status st = wn_config_load(dir, "config_sentence_transformers.json", false, &root, &path, err);
    if (st != WN_OK || !root) goto fail;
    WN_TRY_GOTO(read_model_type(path, root, err));
    WN_TRY_GOTO(read_prompts(path, root, out, err));
    WN_TRY_GOTO(wn_json_string(root, path, "activation_fn", &name, err));
    if (name && !(*activation = wn_strdup(name))) st = wn_fail_memory(err, strlen(name));
fail:
    json_decref(root);
    wn_free(path);
    return st;
}

/* ---- all of it ------------------------------------------------------------------- */

static wn_status apply_pipeline(const char *dir, const char *path, const pipeline *p,
                                wn_model_config *out, char **activation, double *length,
                                wn_error *err) {
    WN_TRY(read_transformer(dir, out, length, err));
    WN_TRY(read_st_config(dir, out, activation, err));
    if (p->pooling) {
        out->kind = WN_MODEL_BI_ENCODER;
        out->normalize = p->normalize;
        return read_pooling(dir, p->pooling, out, err);
    }
    if (out->kind == WN_MODEL_BI_ENCODER)
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: a bi-encoder without a Pooling module is not supported", path);
    const char *prompt = out->default_prompt;
    if (prompt && wn_model_config_prompt(out, prompt)[0])
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: a cross-encoder with a default prompt (\"%.60s\") is not supported", dir,
                       prompt);
    return WN_OK;
}

wn_status wn_config_read_modules(const char *dir, wn_model_config *out, char **activation,
                                 wn_error *err) {
    json_t *root = NULL;
    char *path = NULL, *saved = NULL;
    double length = 1e30;
    pipeline p = {0};
    out->pooling = WN_POOL_MEAN;
    WN_TRY(read_tokenizer_length(dir, &length, err));
    wn_status st = wn_config_load(dir, "modules.json", false, &root, &path, err);
    if (st == WN_OK && root) {
        WN_TRY_GOTO(read_pipeline(path, root, &p, err));
        WN_TRY_GOTO(apply_pipeline(dir, path, &p, out, &saved, &length, err));
    }
    if (st != WN_OK) goto fail;
    size_t table = out->max_positions - out->position_offset;
    out->max_length = length < (double)table ? (size_t)length : table;
    *activation = saved;
    json_decref(root);
    wn_free(path);
    return WN_OK;
fail:
    wn_free(saved);
    json_decref(root);
    wn_free(path);
    return st;
}
