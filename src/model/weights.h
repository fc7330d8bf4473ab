/* weights.h -- tensors of a model directory by their Hugging Face names, wherever they lie:
 * model.safetensors, a sharded index, or an ONNX export. Mapped, never copied. */
#ifndef WN_MODEL_WEIGHTS_H
#define WN_MODEL_WEIGHTS_H
#include "core/hash.h"
#include <winnow/core.h>

/* OTHER: well formed, but not a type of weights we compute with (dtype_name says which). */
typedef enum wn_dtype {
    WN_DTYPE_F32 = 0,
    WN_DTYPE_F16,
    WN_DTYPE_BF16,
    WN_DTYPE_I64,
    WN_DTYPE_OTHER
} wn_dtype;

/* A borrowed view; data may be unaligned (safetensors promises no alignment). */
typedef struct wn_tensor {
    const char *name;      /* "encoder.layer.0.attention.self.query.weight": prefix "bert."/"roberta." stripped */
    wn_dtype dtype;
    const char *dtype_name; /* "F16", "I8", ...: static */
    int rank;              /* 0 to 4 */
    int64_t shape[4];      /* as stored */
    bool transposed;       /* ONNX MatMul weights lie [in, out]; Hugging Face linears are [out, in] */
    const unsigned char *data;
    size_t bytes;
} wn_tensor;

typedef struct wn_weights wn_weights;

/* Opens whichever form the directory has (safetensors first). Every offset, length, shape and
 * name is checked here: a tensor that is found is safe to read. */
wn_status wn_weights_open(const char *dir, wn_weights **out, wn_error *err);
void wn_weights_close(wn_weights *weights);
/* Takes the pages of the files read so far out of memory (they stay in the system's cache): called when
 * their contents have been packed elsewhere. Tensors stay valid. */
void wn_weights_forget(const wn_weights *weights);
/* NULL when absent. */
const wn_tensor *wn_weights_find(const wn_weights *weights, const char *name);
size_t wn_weights_count(const wn_weights *weights);
const wn_tensor *wn_weights_at(const wn_weights *weights, size_t i);
/* "safetensors" or "onnx" */
const char *wn_weights_format(const wn_weights *weights);
/* XXH3-128 over the bytes of all weight files in name order; computed on first call. */
wn_hash wn_weights_hash(const wn_weights *weights);

/* The tensor `name` as f32 with logical shape [rows, cols] (a vector: rows = n, cols = 1), in Hugging
 * Face orientation ([out, in] for linears, whatever `transposed` says), written to out
 * [rows * cols]. Missing or of another shape: an error that names the tensor, the file and both shapes. */
wn_status wn_weights_read(const wn_weights *weights, const char *name, int64_t rows, int64_t cols,
                          float *out, wn_error *err);
#endif
