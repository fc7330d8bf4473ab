/* tokenizer_json.c -- compiling a tokenizer.json into the flat image.
 *
 * Strict on what changes ids: a component we do not know is refused by its name.
 * Not read, on purpose: `truncation` and `padding` (what the file's last user had
 * switched on; the length is the caller's), `decoder` (ids to text). */
#include "tokenizer_json.h"

#include "core/error.h"
#include "core/utf8.h"
#include "text/tokenizer_impl.h"

#include <math.h>
#include <string.h>

wn_status wn_component_refuse(wn_compiler *c, const char *what, const char *type) {
    return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: %s of type \"%.100s\" is not supported",
                   c->path, what, type);
}

wn_status wn_component_type(wn_compiler *c, const json_t *component, const char *what,
                            const char **type) {
    if (!json_is_object(component))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: %s must be an object", c->path, what);
    *type = NULL;
    WN_TRY(wn_json_string(component, c->path, "type", type, c->err));
    if (!*type) return wn_fail(c->err, WN_ERR_FORMAT, "%s: %s has no \"type\"", c->path, what);
    return WN_OK;
}

wn_status wn_component_string(wn_compiler *c, const json_t *obj, const char *what, const char *key,
                              wn_str *out) {
    const json_t *v = json_object_get(obj, key);
    if (!json_is_string(v))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: \"%s\" of %s must be a string", c->path, key, what);
    *out = (wn_str){json_string_value(v), json_string_length(v)};
    return WN_OK;
}

wn_status wn_compiler_add_string(wn_compiler *c, wn_str s, uint32_t *offset, uint32_t *len) {
    wn_buf *strings = &c->parts.section[WN_SEC_STRINGS];
    if (s.len > (1 << 20)) return wn_fail(c->err, WN_ERR_FORMAT, "%s: string too long", c->path);
    *offset = (uint32_t)strings->len;
    *len = (uint32_t)s.len;
    return wn_buf_append(strings, s.data, s.len, c->err);
}

/* ---- vocabulary ---------------------------------------------------------- */

static wn_status set_token(wn_compiler *c, int64_t id, wn_str text) {
    if (id < 0 || id >= WN_IMAGE_MAX_VOCAB)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: token id %lld is outside 0 to %d", c->path,
                       (long long)id, WN_IMAGE_MAX_VOCAB - 1);
    if (text.len > (1 << 20)) return wn_fail(c->err, WN_ERR_FORMAT, "%s: token %lld is too long",
                                             c->path, (long long)id);
    size_t n = (size_t)id + 1;
    WN_TRY(wn_grow(&c->tokens, &c->tokens_cap, n, sizeof *c->tokens, c->err));
    if (n > c->vocab) {
        memset(c->tokens + c->vocab, 0, (n - c->vocab) * sizeof *c->tokens);
        c->vocab = n;
    }
    if (c->tokens[id].text)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: two tokens have the id %lld", c->path,
                       (long long)id);
    c->tokens[id] = (wn_token_text){text.data, (uint32_t)text.len};
    return WN_OK;
}

static wn_status build_trie(wn_compiler *c) {
    size_t count = 0;
    wn_trie_key *keys = wn_reallocarray(NULL, c->vocab + 1, sizeof *keys);
    if (!keys) return wn_fail_memory(c->err, c->vocab * sizeof *keys);
    for (size_t i = 0; i < c->vocab; i++)
        if (c->tokens[i].text)
            keys[count++] = (wn_trie_key){c->tokens[i].text, c->tokens[i].len, (int32_t)i};
    wn_status st = wn_trie_build(keys, count, &c->parts.section[WN_SEC_TRIE], c->err);
    wn_free(keys);
    if (st == WN_OK) c->trie = (wn_trie_node *)(void *)c->parts.section[WN_SEC_TRIE].data;
    return st;
}

static int32_t token_id(const wn_compiler *c, wn_str text) {
    return wn_trie_find(c->trie, 0, text.data, text.len);
}

static wn_status read_wordpiece(wn_compiler *c, const json_t *model) {
    wn_image_header *head = &c->parts.head;
    json_t *vocab = json_object_get(model, "vocab");
    const char *text;
    json_t *id;
    if (!json_is_object(vocab))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: WordPiece's \"vocab\" must be an object", c->path);
    json_object_foreach(vocab, text, id) {
        if (!json_is_integer(id))
            return wn_fail(c->err, WN_ERR_FORMAT, "%s: the id of token \"%.60s\" is not an integer",
                           c->path, text);
        WN_TRY(set_token(c, json_integer_value(id), (wn_str){text, strlen(text)}));
    }
    c->model_size = json_object_size(vocab);
    WN_TRY(build_trie(c));
    int64_t max_chars = 100;
    const char *unk = "[UNK]", *prefix = "##";
    WN_TRY(wn_json_int(model, c->path, "max_input_chars_per_word", 0, 1 << 20, &max_chars, c->err));
    WN_TRY(wn_json_string(model, c->path, "unk_token", &unk, c->err));
    WN_TRY(wn_json_string(model, c->path, "continuing_subword_prefix", &prefix, c->err));
    int32_t unk_id = token_id(c, (wn_str){unk, strlen(unk)});
    if (unk_id < 0)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: the unknown token \"%.60s\" is not in the vocabulary",
                       c->path, unk);
    uint32_t node = 0;
    for (const char *p = prefix; *p && node != WN_TRIE_NONE; p++)
        node = wn_trie_step(c->trie, node, (unsigned char)*p);
    head->model = WN_MODEL_WORDPIECE;
    head->unk_id = (uint32_t)unk_id;
    head->max_word_chars = (uint32_t)max_chars;
    head->continuation = node;
    return wn_compiler_add_string(c, (wn_str){prefix, strlen(prefix)}, &head->continuation_string,
                                  &head->continuation_len);
}

static wn_status read_unigram(wn_compiler *c, const json_t *model) {
    wn_image_header *head = &c->parts.head;
    const json_t *vocab = json_object_get(model, "vocab");
    bool byte_fallback = false;
    int64_t unk = -1;
    if (!json_is_array(vocab))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: Unigram's \"vocab\" must be an array", c->path);
    WN_TRY(wn_json_bool(model, c->path, "byte_fallback", &byte_fallback, c->err));
    if (byte_fallback)
        return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: Unigram with byte_fallback is not supported",
                       c->path);
    size_t n = json_array_size(vocab);
    double lowest = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(vocab, i), *text = json_array_get(entry, 0);
        const json_t *score = json_array_get(entry, 1);
        double value = json_number_value(score);
        if (json_array_size(entry) != 2 || !json_is_string(text) || !json_is_number(score) ||
            !isfinite(value))
            return wn_fail(c->err, WN_ERR_FORMAT, "%s: vocabulary entry %zu is not [text, score]",
                           c->path, i);
        WN_TRY(set_token(c, (int64_t)i, (wn_str){json_string_value(text), json_string_length(text)}));
        WN_TRY(wn_buf_append(&c->parts.section[WN_SEC_SCORES], &value, sizeof value, c->err));
        if (value < lowest) lowest = value;
    }
    c->model_size = n;
    WN_TRY(wn_json_int(model, c->path, "unk_id", 0, WN_IMAGE_MAX_VOCAB, &unk, c->err));
    if (unk < 0)
        return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: Unigram without an unk_id is not supported",
                       c->path);
    if ((size_t)unk >= n)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: unk_id %lld is not in the vocabulary", c->path,
                       (long long)unk);
    head->model = WN_MODEL_UNIGRAM;
    head->unk_id = (uint32_t)unk;
    head->unk_score = lowest - 10.0; /* sentencepiece's kUnkPenalty */
    head->continuation = WN_TRIE_NONE;
    return build_trie(c);
}

static wn_status read_model(wn_compiler *c) {
    const json_t *model = json_object_get(c->root, "model");
    const char *type = NULL;
    if (!json_is_object(model))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: no \"model\" object", c->path);
    WN_TRY(wn_json_string(model, c->path, "type", &type, c->err));
    if (!type) { /* files of before 2020 leave it out; the shape tells */
        if (json_object_get(model, "merges")) type = "BPE";
        else type = json_is_array(json_object_get(model, "vocab")) ? "Unigram" : "WordPiece";
    }
    if (!strcmp(type, "WordPiece")) return read_wordpiece(c, model);
    if (!strcmp(type, "Unigram")) return read_unigram(c, model);
    return wn_component_refuse(c, "model", type);
}

static wn_status store_tokens(wn_compiler *c) {
    wn_buf *text = &c->parts.section[WN_SEC_TEXT], *start = &c->parts.section[WN_SEC_TEXT_START];
    wn_buf_clear(text);
    wn_buf_clear(start);
    for (size_t i = 0; i <= c->vocab; i++) {
        uint32_t at = (uint32_t)text->len;
        if (text->len > INT32_MAX)
            return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: vocabulary too large", c->path);
        WN_TRY(wn_buf_append(start, &at, sizeof at, c->err));
        if (i == c->vocab || !c->tokens[i].text) continue;
        WN_TRY(wn_buf_append(text, c->tokens[i].text, c->tokens[i].len, c->err));
        WN_TRY(wn_buf_append(text, "", 1, c->err));
    }
    c->parts.head.vocab = (uint32_t)c->vocab;
    return WN_OK;
}

/* Added tokens may carry ids beyond the model's; they have no score and are never looked for. */
static wn_status pad_scores(wn_compiler *c) {
    wn_buf *scores = &c->parts.section[WN_SEC_SCORES];
    if (c->parts.head.model != WN_MODEL_UNIGRAM) return WN_OK;
    double zero = 0;
    while (scores->len / sizeof zero < c->vocab)
        WN_TRY(wn_buf_append(scores, &zero, sizeof zero, c->err));
    return WN_OK;
}

/* ---- added tokens -------------------------------------------------------- */

static wn_status added_flag(wn_compiler *c, const json_t *token, const char *key, uint32_t bit,
                            uint32_t *flags) {
    bool on = false;
    WN_TRY(wn_json_bool(token, c->path, key, &on, c->err));
    if (on) *flags |= bit;
    return WN_OK;
}

/* The id the reference gives: the model's when it knows the text, else the next free one. */
static wn_status read_added(wn_compiler *c, const json_t *token, size_t *next_id,
                            wn_added_token *out, wn_str *text, bool *normalized) {
    int64_t id = -1;
    *out = (wn_added_token){0};
    if (!json_is_object(token))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: an added token must be an object", c->path);
    WN_TRY(wn_component_string(c, token, "an added token", "content", text));
    WN_TRY(wn_json_int(token, c->path, "id", 0, WN_IMAGE_MAX_VOCAB - 1, &id, c->err));
    bool special = false;
    WN_TRY(wn_json_bool(token, c->path, "special", &special, c->err));
    *normalized = !special;
    WN_TRY(wn_json_bool(token, c->path, "normalized", normalized, c->err));
    WN_TRY(added_flag(c, token, "lstrip", WN_AT_LSTRIP, &out->flags));
    WN_TRY(added_flag(c, token, "rstrip", WN_AT_RSTRIP, &out->flags));
    WN_TRY(added_flag(c, token, "single_word", WN_AT_SINGLE_WORD, &out->flags));
    if (!text->len) return WN_OK; /* ignored by the reference */
    int64_t expected = token_id(c, *text);
    if (expected < 0) expected = (int64_t)*next_id;
    if (id != expected)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: added token \"%.60s\" has id %lld, but the vocabulary gives it %lld",
                       c->path, text->data, (long long)id, (long long)expected);
    if ((size_t)id >= c->vocab || !c->tokens[id].text) WN_TRY(set_token(c, id, *text));
    if ((size_t)id == *next_id) ++*next_id;
    out->id = (uint32_t)id;
    return WN_OK;
}

/* The content as the normaliser would leave it: found in normalised text. */
static wn_status normalize_added(wn_compiler *c, wn_str text, wn_buf *pool, wn_trie_key *key) {
    wn_buf image = {0};
    wn_tokenizer t = {0};
    wn_encoding *e = NULL;
    wn_span_text in = {text.data, text.len, NULL, 0}, out = {0};
    wn_hash none = {{0}};
    wn_status st;
    WN_TRY_GOTO(wn_image_seal(&c->parts, &none, &image, c->err));
    WN_TRY_GOTO(wn_tokenizer_from_image(c->path, image.data, image.len, &t, c->err));
    WN_TRY_GOTO(wn_encoding_create(&e, c->err));
    WN_TRY_GOTO(wn_tokenizer_normalize(&t, &in, e, &out, c->err));
    key->len = (uint32_t)out.len;
    WN_TRY_GOTO(wn_buf_append(pool, out.text, out.len, c->err));
fail:
    wn_encoding_free(e);
    wn_buf_release(&image);
    return st;
}

/* Contents pass through `pool`; keys get their pointers when it has stopped moving. */
static wn_status added_tries(wn_compiler *c, wn_trie_key *raw, size_t raw_count, wn_trie_key *norm,
                             size_t norm_count, wn_buf *pool) {
    WN_TRY(wn_trie_build(raw, raw_count, &c->parts.section[WN_SEC_ADDED_RAW], c->err));
    /* Sealed with an empty trie first: the normaliser is needed to fill the real one. */
    WN_TRY(wn_trie_build(NULL, 0, &c->parts.section[WN_SEC_ADDED_NORM], c->err));
    if (!norm_count) return WN_OK;
    for (size_t i = 0; i < norm_count; i++)
        WN_TRY(normalize_added(c, (wn_str){norm[i].bytes, norm[i].len}, pool, &norm[i]));
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < norm_count; i++) {
        norm[i].bytes = pool->data + at;
        at += norm[i].len;
        if (norm[i].len) norm[kept++] = norm[i]; /* a token that normalises to nothing never matches */
    }
    wn_buf_clear(&c->parts.section[WN_SEC_ADDED_NORM]);
    return wn_trie_build(norm, kept, &c->parts.section[WN_SEC_ADDED_NORM], c->err);
}

static wn_status read_added_tokens(wn_compiler *c) {
    const json_t *list = json_object_get(c->root, "added_tokens");
    if (list && !json_is_null(list) && !json_is_array(list))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: \"added_tokens\" must be an array", c->path);
    size_t n = json_array_size(list), raw_count = 0, norm_count = 0, next_id = c->model_size;
    wn_trie_key *keys = wn_calloc(2 * n + 1, sizeof *keys), *norm = keys ? keys + n : NULL;
    wn_buf pool = {0};
    wn_status st = keys ? WN_OK : wn_fail_memory(c->err, n * sizeof *keys);
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        wn_added_token token;
        wn_str text;
        bool normalized;
        WN_TRY_GOTO(read_added(c, json_array_get(list, i), &next_id, &token, &text, &normalized));
        WN_TRY_GOTO(wn_buf_append(&c->parts.section[WN_SEC_ADDED], &token, sizeof token, c->err));
        if (!text.len) continue;
        wn_trie_key key = {text.data, (uint32_t)text.len, (int32_t)i};
        if (normalized) norm[norm_count++] = key;
        else keys[raw_count++] = key;
    }
    if (st == WN_OK) st = store_tokens(c);
    if (st == WN_OK) st = pad_scores(c);
    if (st == WN_OK) st = added_tries(c, keys, raw_count, norm, norm_count, &pool);
fail:
    wn_buf_release(&pool);
    wn_free(keys);
    return st;
}

wn_status wn_tokenizer_compile(const char *path, const char *json, size_t len,
                               const wn_hash *source, wn_buf *image, wn_error *err) {
    json_t *root = NULL;
    wn_compiler c = {.path = path, .err = err};
    wn_status st;
    WN_TRY(wn_json_parse(path, json, len, &root, err));
    c.root = root;
    if (!json_is_object(root))
        WN_TRY_GOTO(wn_fail(err, WN_ERR_FORMAT, "%s: not a JSON object", path));
    const char *version = "1.0";
    WN_TRY_GOTO(wn_json_string(root, path, "version", &version, err));
    if (strcmp(version, "1.0") != 0)
        WN_TRY_GOTO(wn_fail(err, WN_ERR_UNSUPPORTED, "%s: tokenizer version \"%.60s\" is not supported",
                            path, version));
    WN_TRY_GOTO(read_model(&c));
    WN_TRY_GOTO(store_tokens(&c));
    WN_TRY_GOTO(wn_compile_normalizer(&c));
    WN_TRY_GOTO(wn_compile_pre_tokenizer(&c));
    WN_TRY_GOTO(read_added_tokens(&c));
    WN_TRY_GOTO(wn_compile_post_processor(&c));
    WN_TRY_GOTO(wn_image_seal(&c.parts, source, image, err));
fail:
    wn_image_parts_release(&c.parts);
    wn_free(c.tokens);
    json_decref(root);
    return st;
}
