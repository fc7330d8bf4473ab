/* model_files.c -- which files of a model directory winnow reads.
 *
 * By exact name and by two patterns, never by ending alone: a repository of the hub also holds the
 * same weights for three other frameworks, and quantised ONNX files that would be computed wrongly. */
#include "model/model_files.h"

#include <ctype.h>
#include <string.h>

static bool digits(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)s[i])) return false;
    return true;
}

/* model-00001-of-00002.safetensors */
static bool is_shard(const char *name) {
    static const char shape[] = "model-00000-of-00000.safetensors";
    return strlen(name) == sizeof shape - 1 && strncmp(name, shape, 6) == 0 &&
           digits(name + 6, 5) && strncmp(name + 11, "-of-", 4) == 0 && digits(name + 15, 5) &&
           strcmp(name + 20, ".safetensors") == 0;
}

/* 1_Pooling/config.json, 2_Normalize/config.json: a sentence-transformers module's. */
static bool is_module_config(const char *name) {
    size_t n = strspn(name, "0123456789");
    if (n == 0 || name[n] != '_') return false;
    size_t letters = 0;
    while (isalpha((unsigned char)name[n + 1 + letters])) letters++;
    return letters > 0 && strcmp(name + n + 1 + letters, "/config.json") == 0;
}

wn_model_file wn_model_file_kind(const char *name) {
    static const char *const descriptions[] = {
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json",
        "winnow_blend.json"};
    for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++)
        if (strcmp(name, descriptions[i]) == 0) return WN_FILE_DESCRIPTION;
    if (is_module_config(name)) return WN_FILE_DESCRIPTION;
    if (strcmp(name, "model.safetensors") == 0 || is_shard(name) ||
        strcmp(name, "model.safetensors.index.json") == 0)
        return WN_FILE_SAFETENSORS;
    if (strcmp(name, "model.onnx") == 0 || strcmp(name, "onnx/model.onnx") == 0) return WN_FILE_ONNX;
    return WN_FILE_OTHER;
}

bool wn_path_is_safe(const char *name) {
    size_t len = strlen(name), start = 0;
    if (len == 0 || len > 512) return false;
    for (size_t i = 0; i <= len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c == '\\' || (c < 0x20 && c != 0) || c == 0x7f) return false;
        if (c != '/' && c != 0) continue;
        size_t n = i - start;
        if (n == 0 || (n == 1 && name[start] == '.') ||
            (n == 2 && name[start] == '.' && name[start + 1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

bool wn_model_name_is_valid(const char *name) {
    size_t len = strlen(name);
    if (len == 0 || len > 128 || name[0] == '.') return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i])) return false;
    return true;
}
