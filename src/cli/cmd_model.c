/* cmd_model.c -- winnow model list | path NAME | info NAME | import DIR | pull NAME. */
#include "cli.h"

#include <string.h>

static bool print_name(void *ctx, const char *name, const char *path) {
    size_t *count = ctx;
    printf("%-32s %s\n", name, path);
    (*count)++;
    return true;
}

static int list(void) {
    wn_error err;
    size_t count = 0;
    if (wn_model_list(print_name, &count, &err) != WN_OK) return cli_fail(&err);
    if (!count) {
        char *dir = NULL;
        if (wn_model_cache_dir(&dir, NULL) == WN_OK)
            fprintf(stderr, "no models in %s; try: winnow model pull BAAI/bge-small-en-v1.5\n", dir);
        wn_string_free(dir);
    }
    return cli_finish_output();
}

static int path(const char *name) {
    wn_error err;
    char *found = NULL;
    if (wn_model_path(name, &found, &err) != WN_OK) return cli_fail(&err);
    puts(found);
    wn_string_free(found);
    return cli_finish_output();
}

static int info(const char *name, bool as_json) {
    wn_error err;
    wn_model *model = NULL;
    if (wn_model_open(name, NULL, &model, &err) != WN_OK) return cli_fail(&err);
    wn_model_info m = wn_model_describe(model);
    bool cross = m.kind == WN_MODEL_CROSS_ENCODER;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", m.name, "path",
        m.path, "kind", cross ? "cross-encoder" : "bi-encoder", "architecture", m.architecture,
        "weights", m.weights_format, "weights_hash", m.weights_hash, "parameters",
        (json_int_t)m.parameters, "layers", (json_int_t)m.layers, "hidden", (json_int_t)m.hidden,
        "heads", (json_int_t)m.heads, "intermediate", (json_int_t)m.intermediate, "vocabulary",
        (json_int_t)m.vocab, "max_length", (json_int_t)m.max_length);
    if (cross) {
        json_object_set_new(o, "labels", json_integer((json_int_t)m.labels));
        json_object_set_new(o, "activation",
                            json_string(m.activation == WN_ACT_SIGMOID ? "sigmoid" : "identity"));
    } else {
        json_object_set_new(o, "pooling", json_string(m.pooling == WN_POOL_CLS ? "cls" : "mean"));
        json_object_set_new(o, "normalize", json_boolean(m.normalize));
        json_object_set_new(o, "query_prompt", json_string(m.query_prompt));
        json_object_set_new(o, "document_prompt", json_string(m.document_prompt));
    }
    if (as_json) {
        cli_print_json(stdout, o);
    } else {
        const char *key;
        json_t *value;
        json_object_foreach(o, key, value) {
            printf("%-16s ", key);
            if (json_is_string(value)) puts(json_string_value(value));
            else if (json_is_boolean(value)) puts(json_is_true(value) ? "yes" : "no");
            else printf("%lld\n", (long long)json_integer_value(value));
        }
        json_decref(o);
    }
    wn_model_close(model);
    return cli_finish_output();
}

static int import(const char *dir, const char *name) {
    wn_error err;
    char *where = NULL;
    if (wn_model_import(dir, name, &where, &err) != WN_OK) return cli_fail(&err);
    puts(where);
    wn_string_free(where);
    return cli_finish_output();
}

static int pull(const char *name, const char *revision, bool quiet) {
    wn_error err;
    char *where = NULL;
    cli_progress progress;
    wn_pull_options options = wn_pull_options_default();
    if (revision) options.revision = revision;
    cli_progress_start(&progress, quiet);
    options.progress = cli_progress_update;
    options.progress_ctx = &progress;
    wn_status st = wn_model_pull(name, &options, &where, &err);
    cli_progress_end(&progress);
    if (st == WN_ERR_CANCELLED) {
        fprintf(stderr, "winnow: stopped; the same command goes on from there\n");
        return EXIT_INTERRUPTED;
    }
    if (st != WN_OK) return cli_fail(&err);
    puts(where);
    wn_string_free(where);
    return cli_finish_output();
}

int cmd_model(int argc, char **argv) {
    const char *name = NULL, *revision = NULL;
    bool quiet = false, as_json = false;
    const cli_option options[] = {
        {"name", 0, OPT_STRING, &name, "NAME", "import: name in the cache (default: the directory's)"},
        {"revision", 0, OPT_STRING, &revision, "REV", "pull: branch, tag or commit (main)"},
        {"json", 0, OPT_FLAG, &as_json, NULL, "info: as JSON"},
        {"quiet", 'q', OPT_FLAG, &quiet, NULL, "no progress bar"},
    };
    const cli_command command = {
        "model list | path NAME | info NAME | import DIR | pull OWNER/NAME",
        "The cache is $WINNOW_CACHE, else $XDG_CACHE_HOME/winnow, else ~/.cache/winnow. pull takes\n"
        "models from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN) and goes on where it stopped.",
        options, sizeof options / sizeof *options};
    cli_list operands = {0};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0) {
        const char *verb = operands.count ? operands.items[0] : "";
        const char *what = operands.count > 1 ? operands.items[1] : NULL;
        if (!strcmp(verb, "list") && operands.count == 1) code = list();
        else if (operands.count != 2)
            code = cli_usage_error(&command, "list, path NAME, info NAME, import DIR or pull NAME");
        else if (!strcmp(verb, "path")) code = path(what);
        else if (!strcmp(verb, "info")) code = info(what, as_json);
        else if (!strcmp(verb, "import")) code = import(what, name);
        else if (!strcmp(verb, "pull")) code = pull(what, revision, quiet);
        else code = cli_usage_error(&command, "\"%s\" is not a thing to do with models", verb);
    }
    cli_list_release(&operands);
    return code;
}
