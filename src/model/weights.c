/* weights.c -- one table of tensors whatever the file format, and reading from it.
 *
 * Names are normalised once, here: "bert.", "roberta.", "model.", "0.auto_model." and the like are
 * what a wrapper class put in front of the same encoder; "LayerNorm.gamma" is the TensorFlow-era
 * spelling of "LayerNorm.weight" (transformers renames it too). Two tensors that meet under one
 * name are refused: we could not know which one the model was trained with.
 *
 * wn_weights_read converts to f32 on the way out, with the kernel table where the data lies at an even
 * address, as it nearly always does. safetensors promises no alignment, though: a header of odd length
 * puts every tensor at an odd address, and then the plain loops here do it (22.7 million halves: 24 ms
 * of processor time, 5.5 with AVX-512 kernels).
 *
 * The hash is over the files, not the tensors: two files with the same tensors in another order
 * are another model as far as an index is concerned. That refuses a little too often (an index
 * built from safetensors is not accepted by the ONNX export of the same model), which is safe.
 */
#include "model/weights_internal.h"
#include "core/error.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---------------------------------------------------------------- */

static bool strip(const char **name, size_t *len, const char *prefix) {
    size_t n = strlen(prefix);
    if (*len <= n || memcmp(*name, prefix, n) != 0) return false;
    *name += n;
    *len -= n;
    return true;
}

static bool ends_with(const char *name, size_t len, const char *suffix) {
    size_t n = strlen(suffix);
    return len >= n && memcmp(name + len - n, suffix, n) == 0;
}

char *wn_weights_normal_name(const char *name, size_t len) {
    static const char *const prefixes[] = {"module.", "0.", "auto_model.", "model.", "bert.", "roberta."};
    bool again = true;
    while (again) {
        again = false;
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            again |= strip(&name, &len, prefixes[i]);
    }
    const char *old = NULL, *now = NULL;
    if (ends_with(name, len, "LayerNorm.gamma")) old = "gamma", now = "weight";
    if (ends_with(name, len, "LayerNorm.beta")) old = "beta", now = "bias";
    if (!old) return wn_strndup(name, len);
    size_t stem = len - strlen(old), tail = strlen(now);
    char *out = wn_malloc(stem + tail + 1);
    if (!out) return NULL;
    memcpy(out, name, stem);
    memcpy(out + stem, now, tail + 1);
    return out;
}

bool wn_weights_plain_name(const char *name, size_t len) {
    if (!len || memchr(name, '/', len) || memchr(name, 0, len)) return false;
    return !(len == 1 && name[0] == '.') && !(len == 2 && name[0] == '.' && name[1] == '.');
}

bool wn_shape_elements(const int64_t *shape, int rank, size_t *out) {
    size_t n = 1;
    bool zero = false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) return false;
        if (!shape[i]) zero = true;
        else if (wn_mul_overflows(n, (size_t)shape[i], &n)) return false;
    }
    *out = zero ? 0 : n;
    return true;
}

/* ---- filling the table ---------------------------------------------------- */

/* What a clone without git-lfs leaves in place of a large file. */
static bool lfs_pointer(const wn_map *map) {
    return map->size < 1024 && map->size > 8 && memcmp(map->data, "version ", 8) == 0 &&
           memmem(map->data, map->size, "git-lfs", 7) != NULL;
}

wn_status wn_weights_map(wn_weights *weights, const char *path, size_t *index, wn_error *err) {
    WN_TRY(wn_grow(&weights->files, &weights->files_cap, weights->nfiles + 1,
                   sizeof *weights->files, err));
    wn_weights_file file = {0};
    WN_TRY(wn_map_open(path, &file.map, err));
    if (lfs_pointer(&file.map)) {
        wn_map_close(&file.map);
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: a Git LFS pointer, not the weights; run git lfs pull there, or download "
                       "the file itself",
                       path);
    }
    file.path = wn_strdup(path);
    if (!file.path) {
        wn_map_close(&file.map);
        return wn_fail_memory(err, strlen(path));
    }
    *index = weights->nfiles;
    weights->files[weights->nfiles++] = file;
    return WN_OK;
}

wn_status wn_weights_add(wn_weights *weights, size_t file, const char *name, size_t len,
                         const wn_tensor *view, wn_error *err) {
    WN_TRY(wn_grow(&weights->entries, &weights->cap, weights->n + 1, sizeof *weights->entries, err));
    char *normal = wn_weights_normal_name(name, len);
    if (!normal) return wn_fail_memory(err, len);
    wn_weights_entry *entry = &weights->entries[weights->n++];
    *entry = (wn_weights_entry){.tensor = *view, .name = normal, .file = file};
    entry->tensor.name = normal;
    return WN_OK;
}

static int by_name(const void *a, const void *b) {
    const wn_weights_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

wn_status wn_weights_seal(wn_weights *weights, wn_error *err) {
    if (weights->n) qsort(weights->entries, weights->n, sizeof *weights->entries, by_name);
    for (size_t i = 1; i < weights->n; i++) {
        const wn_weights_entry *a = &weights->entries[i - 1], *b = &weights->entries[i];
        if (strcmp(a->name, b->name) == 0)
            return wn_fail(err, WN_ERR_FORMAT, "%s: tensor \"%.200s\" is there twice",
                           weights->files[b->file].path, b->name);
    }
    if (!weights->hasher) weights->hasher = wn_hasher_create();
    return weights->hasher ? WN_OK : wn_fail_memory(err, 0);
}

/* ---- open and close ------------------------------------------------------- */

typedef enum { FORM_SAFETENSORS, FORM_INDEX, FORM_ONNX } form;

static const struct {
    const char *name;
    form form;
} forms[] = {
    {"model.safetensors", FORM_SAFETENSORS},
    {"model.safetensors.index.json", FORM_INDEX},
    {"model.onnx", FORM_ONNX},
    {"onnx/model.onnx", FORM_ONNX},
};

static wn_status no_weights(const char *dir, wn_error *err) {
    if (!wn_dir_exists(dir))
        return wn_fail(err, WN_ERR_NOT_FOUND, "%s: no such model directory", dir);
    char *pickle = wn_path_join(dir, "pytorch_model.bin");
    if (!pickle) return wn_fail_memory(err, strlen(dir));
    bool there = wn_file_exists(pickle);
    wn_free(pickle);
    if (there)
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: pytorch_model.bin is a Python pickle, which winnow does not run; save "
                       "the model as model.safetensors",
                       dir);
    return wn_fail(err, WN_ERR_NOT_FOUND,
                   "%s: no weights (looked for model.safetensors, model.safetensors.index.json, "
                   "model.onnx, onnx/model.onnx)",
                   dir);
}

static wn_status load(wn_weights *weights, form which, const char *dir, const char *path,
                      wn_error *err) {
    weights->format = which == FORM_ONNX ? "onnx" : "safetensors";
    switch (which) {
    case FORM_SAFETENSORS: return wn_safetensors_load(weights, path, err);
    case FORM_INDEX: return wn_safetensors_load_index(weights, dir, path, err);
    case FORM_ONNX: return wn_onnx_load(weights, path, err);
    }
    return wn_fail(err, WN_ERR_INTERNAL, "%s: unknown weight format", path);
}

wn_status wn_weights_open(const char *dir, wn_weights **out, wn_error *err) {
    char *path = NULL;
    size_t i = 0, nforms = sizeof forms / sizeof *forms;
    for (; i < nforms; i++) {
        path = wn_path_join(dir, forms[i].name);
        if (!path) return wn_fail_memory(err, strlen(dir));
        if (wn_file_exists(path)) break;
        wn_free(path);
        path = NULL;
    }
    if (i == nforms) return no_weights(dir, err);

    wn_status st = WN_OK;
    wn_weights *weights = wn_calloc(1, sizeof *weights);
    if (!weights) {
        st = wn_fail_memory(err, sizeof *weights);
        goto fail;
    }
    pthread_mutex_init(&weights->lock, NULL);
    WN_TRY_GOTO(load(weights, forms[i].form, dir, path, err));
    WN_TRY_GOTO(wn_weights_seal(weights, err));
    *out = weights;
    wn_free(path);
    return WN_OK;
fail:
    wn_weights_close(weights);
    wn_free(path);
    return st;
}

void wn_weights_close(wn_weights *weights) {
    if (!weights) return;
    if (weights->hasher) wn_hasher_finish(weights->hasher);
    for (size_t i = 0; i < weights->n; i++) wn_free(weights->entries[i].name);
    wn_free(weights->entries);
    for (size_t i = 0; i < weights->nfiles; i++) {
        wn_map_close(&weights->files[i].map);
        wn_free(weights->files[i].path);
    }
    wn_free(weights->files);
    pthread_mutex_destroy(&weights->lock);
    wn_free(weights);
}

void wn_weights_forget(const wn_weights *weights) {
    for (size_t i = 0; i < weights->nfiles; i++) wn_map_forget(&weights->files[i].map);
}

/* ---- asking --------------------------------------------------------------- */

static const wn_weights_entry *find(const wn_weights *weights, const char *name) {
    size_t lo = 0, hi = weights->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(weights->entries[mid].name, name);
        if (order == 0) return &weights->entries[mid];
        if (order < 0) lo = mid + 1;
        else hi = mid;
    }
    return NULL;
}

const wn_tensor *wn_weights_find(const wn_weights *weights, const char *name) {
    const wn_weights_entry *entry = find(weights, name);
    return entry ? &entry->tensor : NULL;
}

size_t wn_weights_count(const wn_weights *weights) { return weights->n; }

const wn_tensor *wn_weights_at(const wn_weights *weights, size_t i) {
    return i < weights->n ? &weights->entries[i].tensor : NULL;
}

const char *wn_weights_format(const wn_weights *weights) { return weights->format; }

/* Files in name order. There are few, and this runs once: the least name above the last one. */
static const wn_weights_file *next_file(const wn_weights *weights, const wn_weights_file *last) {
    const wn_weights_file *best = NULL;
    for (size_t i = 0; i < weights->nfiles; i++) {
        const wn_weights_file *f = &weights->files[i];
        if (last && strcmp(f->path, last->path) <= 0) continue;
        if (!best || strcmp(f->path, best->path) < 0) best = f;
    }
    return best;
}

wn_hash wn_weights_hash(const wn_weights *weights) {
    wn_weights *w = (wn_weights *)(uintptr_t)weights;
    pthread_mutex_lock(&w->lock);
    if (!w->hashed) {
        for (const wn_weights_file *f = next_file(w, NULL); f; f = next_file(w, f))
            wn_hasher_update(w->hasher, f->map.data, f->map.size);
        w->hash = wn_hasher_finish(w->hasher);
        w->hasher = NULL;
        w->hashed = true;
    }
    wn_hash hash = w->hash;
    pthread_mutex_unlock(&w->lock);
    return hash;
}

/* ---- reading as f32 -------------------------------------------------------- */

static float bits_to_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Subnormal halves go through an integer-to-float conversion: the usual multiply-by-2^112 trick meets subnormal floats,
 * which a thread with DAZ set (a BLAS may set it) would read as zero. */
static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h & 0x7c00, mantissa = h & 0x3ff;
    uint32_t normal = ((uint32_t)(h & 0x7fff) << 13) + 0x38000000u;
    float subnormal = (float)(int32_t)mantissa * 0x1p-24f;
    uint32_t sub_bits;
    memcpy(&sub_bits, &subnormal, sizeof sub_bits);
    uint32_t bits = exponent == 0 ? sub_bits : normal;
    bits = exponent == 0x7c00 ? normal + 0x38000000u : bits;
    return bits_to_float(bits | sign);
}

static void convert(wn_dtype dtype, const unsigned char *data, float *out, size_t n) {
    uint16_t h;
    bool even = ((uintptr_t)data & 1) == 0;
    switch (dtype) {
    case WN_DTYPE_F32:
        if (n) memcpy(out, data, n * sizeof *out);
        break;
    case WN_DTYPE_F16:
        if (even) {
            wn_kernels_get()->f16_to_f32((const uint16_t *)(const void *)data, out, n);
            break;
        }
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, data + 2 * i, sizeof h);
            out[i] = half_to_float(h);
        }
        break;
    case WN_DTYPE_BF16:
        if (even) {
            wn_kernels_get()->bf16_to_f32((const uint16_t *)(const void *)data, out, n);
            break;
        }
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, data + 2 * i, sizeof h);
            out[i] = bits_to_float((uint32_t)h << 16);
        }
        break;
    case WN_DTYPE_I64:
    case WN_DTYPE_OTHER: break; /* refused by wn_weights_read */
    }
}

/* Stored [cols, rows] -> out [rows, cols] by tiles: 16 stored rows of 64 are converted into a buffer,
 * then written out as 64 runs of 16 floats, a cache line each. The length of a run is a constant
 * but at the edge, so that it is unrolled: 1.0 ns an element, 3.2 with 64 x 64 tiles and a loop. */
enum { TILE_RUN = 16, TILE_ROWS = 64 };

static void convert_transposed(wn_dtype dtype, const unsigned char *data, float *out, size_t rows,
                               size_t cols) {
    float tile[TILE_RUN][TILE_ROWS];
    size_t item = dtype == WN_DTYPE_F32 ? 4 : 2;
    for (size_t c0 = 0; c0 < cols; c0 += TILE_RUN) {
        size_t nc = cols - c0 < TILE_RUN ? cols - c0 : TILE_RUN;
        for (size_t r0 = 0; r0 < rows; r0 += TILE_ROWS) {
            size_t nr = rows - r0 < TILE_ROWS ? rows - r0 : TILE_ROWS;
            for (size_t c = 0; c < nc; c++)
                convert(dtype, data + ((c0 + c) * rows + r0) * item, tile[c], nr);
            for (size_t r = 0; r < nr; r++) {
                float *run = out + (r0 + r) * cols + c0;
                if (nc == TILE_RUN)
                    for (size_t c = 0; c < TILE_RUN; c++) run[c] = tile[c][r];
                else
                    for (size_t c = 0; c < nc; c++) run[c] = tile[c][r];
            }
        }
    }
}

static void shape_text(const int64_t *shape, int rank, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "",
                                 (long long)shape[i]);
    if (used < size) snprintf(out + used, size - used, "]");
}

static bool shape_fits(const wn_tensor *t, int64_t rows, int64_t cols) {
    if (t->rank == 0) return rows == 1 && cols == 1;
    if (t->rank == 1) return t->shape[0] == rows && cols == 1;
    if (t->rank != 2) return false;
    if (t->transposed) return t->shape[0] == cols && t->shape[1] == rows;
    return t->shape[0] == rows && t->shape[1] == cols;
}

static wn_status wrong_shape(const wn_tensor *t, const char *path, int64_t rows, int64_t cols,
                             wn_error *err) {
    char stored[96], wanted[96];
    int64_t want[2] = {rows, cols};
    if (t->transposed && t->rank == 2) want[0] = cols, want[1] = rows;
    shape_text(t->shape, t->rank, stored, sizeof stored);
    shape_text(want, cols == 1 && t->rank < 2 ? 1 : 2, wanted, sizeof wanted);
    return wn_fail(err, WN_ERR_FORMAT,
                   "%s: tensor \"%.100s\" has shape %s, but the model's config.json asks for %s",
                   path, t->name, stored, wanted);
}

wn_status wn_weights_read(const wn_weights *weights, const char *name, int64_t rows, int64_t cols,
                          float *out, wn_error *err) {
    const wn_weights_entry *entry = find(weights, name);
    const char *path = weights->nfiles ? weights->files[entry ? entry->file : 0].path : "weights";
    if (!entry)
        return wn_fail(err, WN_ERR_NOT_FOUND, "%s: tensor \"%.200s\" is missing%s", path, name,
                       weights->hint);
    const wn_tensor *t = &entry->tensor;
    if (!shape_fits(t, rows, cols)) return wrong_shape(t, path, rows, cols, err);
    if (t->dtype != WN_DTYPE_F32 && t->dtype != WN_DTYPE_F16 && t->dtype != WN_DTYPE_BF16)
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: tensor \"%.100s\" is %s; winnow reads F32, F16 and BF16 weights", path,
                       t->name, t->dtype_name);
    if (t->transposed && t->rank == 2)
        convert_transposed(t->dtype, t->data, out, (size_t)rows, (size_t)cols);
    else
        convert(t->dtype, t->data, out, (size_t)rows * (size_t)cols);
    return WN_OK;
}
