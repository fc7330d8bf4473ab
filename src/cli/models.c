/* models.c -- which model a command uses when the user names none. */
#include "cli.h"

const char *const DEFAULT_EMBEDDERS[] = {"bge-small-en-v1.5", "all-MiniLM-L6-v2", NULL};
const char *const DEFAULT_RERANKERS[] = {"reranker-minilm-l6-v1", NULL};

static wn_status open_model(const char *name, const wn_model_options *options, wn_model **out,
                            wn_error *err) {
    wn_status st = wn_model_open(name, options, out, err);
    if (st == WN_OK && options->precision == WN_AUTO) {
        wn_model_info info = wn_model_describe(*out);
        fprintf(stderr, "winnow: %s computes in %s\n", info.name, wn_precision_name(info.precision));
    }
    return st;
}

wn_status cli_model_open(const char *name, const char *const *defaults, size_t max_length, int precision,
                         wn_model **out, wn_error *err) {
    wn_model_options options = wn_model_options_default();
    options.max_length = max_length;
    options.precision = (wn_precision)precision;
    if (name) return open_model(name, &options, out, err);
    wn_status st = WN_ERR_NOT_FOUND;
    for (size_t i = 0; defaults[i] && st == WN_ERR_NOT_FOUND; i++) {
        char *path = NULL;
        st = wn_model_path(defaults[i], &path, err);
        if (st == WN_OK) st = open_model(path, &options, out, err);
        wn_string_free(path);
    }
    return st;
}
