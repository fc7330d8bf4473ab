/* model_files.h -- which files of a model directory winnow reads, and names that come from outside.
 * Pull and import both choose by this, so that neither drags along what nobody opens. */
#ifndef WN_MODEL_FILES_H
#define WN_MODEL_FILES_H
#include <winnow/core.h>

typedef enum wn_model_file {
    WN_FILE_OTHER = 0,   /* not read by winnow */
    WN_FILE_DESCRIPTION, /* config.json, tokenizer.json, sentence-transformers' small files */
    WN_FILE_SAFETENSORS, /* model.safetensors, its index, its shards */
    WN_FILE_ONNX         /* model.onnx, onnx/model.onnx: read where no safetensors is there */
} wn_model_file;

/* name: a path relative to the model directory, '/' between components. */
wn_model_file wn_model_file_kind(const char *name);

/* May become a path below a directory of ours: relative, no empty, "." or ".." component, no
 * backslash, no control byte, at most 512 bytes. */
bool wn_path_is_safe(const char *name);

/* One component of [A-Za-z0-9._-] that does not start with a dot: a directory of the cache. */
bool wn_model_name_is_valid(const char *name);
#endif
