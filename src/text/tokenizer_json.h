/* tokenizer_json.h -- what the two files that read tokenizer.json share. */
#ifndef WN_TEXT_TOKENIZER_JSON_H
#define WN_TEXT_TOKENIZER_JSON_H
#include "core/json.h"
#include "text/tokenizer_image.h"

typedef struct wn_token_text {
    const char *text; /* borrowed from the JSON tree; NULL: no such id */
    uint32_t len;
} wn_token_text;

/* Everything known so far while a tokenizer.json is being compiled. */
typedef struct wn_compiler {
    const char *path;      /* for messages */
    const json_t *root;
    wn_image_parts parts;
    wn_token_text *tokens; /* by id */
    size_t tokens_cap, vocab; /* ids below vocab are addressable */
    size_t model_size;     /* entries of the model's own vocabulary */
    wn_trie_node *trie;    /* borrowed from parts: the model's vocabulary */
    wn_error *err;
} wn_compiler;

/* An object's "type", or the message that names what is unsupported. */
wn_status wn_component_type(wn_compiler *c, const json_t *component, const char *what,
                            const char **type);
/* "PATH: WHAT of type \"T\" is not supported" */
wn_status wn_component_refuse(wn_compiler *c, const char *what, const char *type);
/* A string with its length (it may hold NULs); absent is FORMAT. */
wn_status wn_component_string(wn_compiler *c, const json_t *obj, const char *what, const char *key,
                              wn_str *out);
wn_status wn_compiler_add_string(wn_compiler *c, wn_str s, uint32_t *offset, uint32_t *len);

/* tokenizer_components.c */
wn_status wn_compile_normalizer(wn_compiler *c);
wn_status wn_compile_pre_tokenizer(wn_compiler *c);
wn_status wn_compile_post_processor(wn_compiler *c);
#endif
