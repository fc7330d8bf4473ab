/* models.c -- which model a command uses when the user names none. */
#include "cli.h"

const char *const DEFAULT_EMBEDDERS[] = {"bge-small-en-v1.5", "all-MiniLM-L6-v2", NULL};
const char *const DEFAULT_RERANKERS[] = {"reranker-minilm-l6-v0", NULL};

wn_status cli_model_open(const char *name, const char *const *defaults, size_t max_length,
                         wn_model **out, wn_error *err) {
    wn_model_options options = wn_model_options_default();
    options.max_length = max_length;
    if (name) return wn_model_open(name, &options, out, err);
    wn_status st = WN_ERR_NOT_FOUND;
    for (size_t i = 0; defaults[i] && st == WN_ERR_NOT_FOUND; i++) {
        char *path = NULL;
        st = wn_model_path(defaults[i], &path, err);
        if (st == WN_OK) st = wn_model_open(path, &options, out, err);
        wn_string_free(path);
    }
    return st;
}
