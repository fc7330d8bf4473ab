/* cmd_tokenize.c -- {"text", "pair"?} a line in, {"ids", "type_ids"} a line out. */
#include "cli.h"

static const char *const TRUNCATIONS[] = {"longest_first", "only_first", "only_second", "none", NULL};

static json_t *to_json(const wn_encoding *encoding) {
    json_t *ids = json_array(), *types = json_array();
    for (size_t i = 0; i < wn_encoding_length(encoding); i++) {
        json_array_append_new(ids, json_integer(wn_encoding_ids(encoding)[i]));
        json_array_append_new(types, json_integer(wn_encoding_type_ids(encoding)[i]));
    }
    json_t *out = json_pack("{s:o, s:o}", "ids", ids, "type_ids", types);
    size_t dropped = wn_encoding_dropped_first(encoding) + wn_encoding_dropped_second(encoding);
    if (dropped) json_object_set_new(out, "tokens_dropped", json_integer((json_int_t)dropped));
    return out;
}

static int run(cli_lines *lines, const wn_tokenizer *tokenizer, size_t max_length,
               wn_truncation truncation, wn_encoding *encoding) {
    wn_error err;
    for (json_t *object; (object = cli_lines_next_object(lines)); json_decref(object)) {
        wn_str text, pair = {0};
        text.data = cli_lines_string(lines, object, "text", &text.len);
        bool paired = json_object_get(object, "pair") != NULL;
        if (text.data && paired) pair.data = cli_lines_string(lines, object, "pair", &pair.len);
        if (cli_lines_failed(lines)) {
            json_decref(object);
            break;
        }
        if (wn_tokenizer_encode(tokenizer, text, paired ? &pair : NULL, max_length, truncation,
                                encoding, &err) != WN_OK) {
            json_decref(object);
            return cli_fail(&err);
        }
        cli_print_json(stdout, to_json(encoding));
    }
    return cli_lines_failed(lines) ? EXIT_FAILED : cli_finish_output();
}

int cmd_tokenize(int argc, char **argv) {
    const char *model = NULL;
    size_t max_length = 0;
    int truncation = 0;
    const cli_option options[] = {
        {"model", 'm', OPT_STRING, &model, "DIR", "model directory, cache name or tokenizer.json"},
        {"max-length", 0, OPT_SIZE, &max_length, "N", "cut to N tokens, special ones included", 1},
        {"truncation", 0, OPT_CHOICE, &truncation, NULL, "which side is cut", .choices = TRUNCATIONS},
    };
    const cli_command command = {
        "tokenize --model DIR [FILE...]",
        "Reads {\"text\"} or {\"text\", \"pair\"}, one JSON object a line; writes {\"ids\", \"type_ids\"}.",
        options, sizeof options / sizeof *options};
    cli_list files = {0};
    int code = cli_parse(&command, argc, argv, &files);
    if (code < 0 && !model) code = cli_usage_error(&command, "--model is needed");
    wn_error err;
    char *path = NULL;
    wn_tokenizer *tokenizer = NULL;
    wn_encoding *encoding = NULL;
    cli_lines *lines = NULL;
    if (code < 0) {
        if (wn_model_path(model, &path, NULL) != WN_OK) path = NULL; /* a tokenizer.json itself */
        if (wn_tokenizer_open(path ? path : model, &tokenizer, &err) != WN_OK ||
            wn_encoding_create(&encoding, &err) != WN_OK)
            code = cli_fail(&err);
        else if (!(lines = cli_lines_open(&files)))
            code = EXIT_FAILED;
        else
            code = run(lines, tokenizer, max_length, (wn_truncation)truncation, encoding);
    }
    cli_lines_close(lines);
    wn_encoding_free(encoding);
    wn_tokenizer_close(tokenizer);
    wn_string_free(path);
    cli_list_release(&files);
    return code;
}
