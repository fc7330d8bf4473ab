/* tokenizer_components.c -- the normaliser, pre-tokenizer and post-processor of a tokenizer.json.
 *
 * Two families are known: BERT's (BertNormalizer, BertPreTokenizer, WordPiece) and
 * sentencepiece's (Precompiled, Replace of spaces, Strip; Metaspace, after
 * WhitespaceSplit or alone; Unigram). A mixture of the two is refused. */
#include "tokenizer_json.h"

#include "core/error.h"
#include "core/utf8.h"
#include "text/charsmap.h"

#include <string.h>

static wn_status flag(wn_compiler *c, const json_t *obj, const char *key, bool on, uint32_t bit) {
    WN_TRY(wn_json_bool(obj, c->path, key, &on, c->err));
    if (on) c->parts.head.flags |= bit;
    return WN_OK;
}

/* ---- normaliser ---------------------------------------------------------- */

static wn_status bert_normalizer(wn_compiler *c, const json_t *obj) {
    bool lowercase = true;
    WN_TRY(wn_json_bool(obj, c->path, "lowercase", &lowercase, c->err));
    WN_TRY(flag(c, obj, "clean_text", true, WN_TF_CLEAN));
    WN_TRY(flag(c, obj, "handle_chinese_chars", true, WN_TF_CJK));
    WN_TRY(flag(c, obj, "strip_accents", lowercase, WN_TF_STRIP_ACCENTS)); /* null follows lowercase */
    if (lowercase) c->parts.head.flags |= WN_TF_LOWERCASE;
    return WN_OK;
}

static wn_status add_step(wn_compiler *c, wn_step_kind kind, wn_str string) {
    wn_norm_step step = {.kind = kind};
    if (string.len) WN_TRY(wn_compiler_add_string(c, string, &step.string, &step.string_len));
    return wn_buf_append(&c->parts.section[WN_SEC_STEPS], &step, sizeof step, c->err);
}

static int base64_digit(char ch) {
    if (ch >= 'A' && ch <= 'Z') return ch - 'A';
    if (ch >= 'a' && ch <= 'z') return ch - 'a' + 26;
    if (ch >= '0' && ch <= '9') return ch - '0' + 52;
    return ch == '+' ? 62 : ch == '/' ? 63 : -1;
}

static wn_status base64_decode(wn_compiler *c, wn_str in, wn_buf *out) {
    size_t len = in.len;
    bool wrong = len % 4 != 0;
    if (!wrong && len && in.data[len - 1] == '=') len -= in.data[len - 2] == '=' ? 2 : 1;
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < len && !wrong; i++) {
        int digit = base64_digit(in.data[i]);
        if (digit < 0) wrong = true;
        bits = bits << 6 | (uint32_t)(digit & 63);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        char byte = (char)(bits >> held & 0xFF);
        WN_TRY(wn_buf_append(out, &byte, 1, c->err));
    }
    if (wrong)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: precompiled_charsmap is not valid base64", c->path);
    return WN_OK;
}

/* sentencepiece's layout: uint32 size of the double array in bytes, the array (little-endian
 * uint32 units), then the replacement texts, each ended by a NUL. */
static wn_status split_charsmap(wn_compiler *c, const wn_buf *blob) {
    const unsigned char *bytes = (const unsigned char *)blob->data;
    if (blob->len < 4)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: precompiled_charsmap is too short", c->path);
    uint32_t size = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                    (uint32_t)bytes[3] << 24;
    if (size % 4 || size == 0 || size > blob->len - 4)
        return wn_fail(c->err, WN_ERR_FORMAT,
                       "%s: precompiled_charsmap of %zu bytes says its index has %u", c->path,
                       blob->len, size);
    for (size_t i = 4; i < 4 + (size_t)size; i += 4) {
        uint32_t unit = (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8 |
                        (uint32_t)bytes[i + 2] << 16 | (uint32_t)bytes[i + 3] << 24;
        WN_TRY(wn_buf_append(&c->parts.section[WN_SEC_CHARSMAP], &unit, sizeof unit, c->err));
    }
    wn_buf *text = &c->parts.section[WN_SEC_CHARSMAP_TEXT];
    WN_TRY(wn_buf_append(text, blob->data + 4 + size, blob->len - 4 - size, c->err));
    size_t bad = 0;
    if (!wn_utf8_valid(text->data, text->len, &bad))
        return wn_fail(c->err, WN_ERR_FORMAT,
                       "%s: precompiled_charsmap: its replacement texts are not UTF-8 at byte %zu", c->path,
                       4 + (size_t)size + bad);
    if (!text->len || text->data[text->len - 1]) WN_TRY(wn_buf_append(text, "", 1, c->err));
    return WN_OK;
}

static wn_status precompiled(wn_compiler *c, const json_t *obj) {
    wn_str text;
    wn_buf blob = {0};
    if (c->parts.section[WN_SEC_CHARSMAP].len)
        return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: two Precompiled normalizers are not supported",
                       c->path);
    WN_TRY(wn_component_string(c, obj, "Precompiled", "precompiled_charsmap", &text));
    if (!text.len) return WN_OK; /* an identity charsmap */
    wn_status st = base64_decode(c, text, &blob);
    if (st == WN_OK) st = split_charsmap(c, &blob);
    wn_buf_release(&blob);
    if (st != WN_OK) return st;
    return add_step(c, WN_STEP_CHARSMAP, (wn_str){0});
}

static wn_status replace_spaces(wn_compiler *c, const json_t *obj) {
    const char *regex = NULL;
    wn_str content;
    const json_t *pattern = json_object_get(obj, "pattern");
    if (!json_is_object(pattern))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: Replace has no \"pattern\"", c->path);
    WN_TRY(wn_json_string(pattern, c->path, "Regex", &regex, c->err));
    if (!regex || strcmp(regex, " {2,}") != 0)
        return wn_fail(c->err, WN_ERR_UNSUPPORTED,
                       "%s: Replace of anything but the Regex \" {2,}\" is not supported", c->path);
    WN_TRY(wn_component_string(c, obj, "Replace", "content", &content));
    return add_step(c, WN_STEP_REPLACE_SPACES, content);
}

static wn_status strip(wn_compiler *c, const json_t *obj) {
    bool left = true, right = true;
    WN_TRY(wn_json_bool(obj, c->path, "strip_left", &left, c->err));
    WN_TRY(wn_json_bool(obj, c->path, "strip_right", &right, c->err));
    if (left) WN_TRY(add_step(c, WN_STEP_STRIP_LEFT, (wn_str){0}));
    if (right) WN_TRY(add_step(c, WN_STEP_STRIP_RIGHT, (wn_str){0}));
    return WN_OK;
}

static wn_status normalizer(wn_compiler *c, const json_t *obj, int depth) {
    const char *type;
    WN_TRY(wn_component_type(c, obj, "normalizer", &type));
    bool bert = c->parts.head.model == WN_MODEL_WORDPIECE;
    if (!strcmp(type, "Sequence")) {
        const json_t *list = json_object_get(obj, "normalizers");
        if (!json_is_array(list) || depth > 8)
            return wn_fail(c->err, WN_ERR_FORMAT, "%s: bad Sequence of normalizers", c->path);
        if (bert && json_array_size(list) > 1) return wn_component_refuse(c, "normalizer", type);
        if (json_array_size(list) > 32)
            return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: too many normalizers", c->path);
        for (size_t i = 0; i < json_array_size(list); i++)
            WN_TRY(normalizer(c, json_array_get(list, i), depth + 1));
        if (c->parts.section[WN_SEC_STEPS].len > 64 * sizeof(wn_norm_step))
            return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: too many normalizers", c->path);
        return WN_OK;
    }
    if (bert && !strcmp(type, "BertNormalizer")) return bert_normalizer(c, obj);
    if (!bert && !strcmp(type, "Precompiled")) return precompiled(c, obj);
    if (!bert && !strcmp(type, "Replace")) return replace_spaces(c, obj);
    if (!bert && !strcmp(type, "Strip")) return strip(c, obj);
    return wn_component_refuse(c, bert ? "normalizer before WordPiece" : "normalizer before Unigram",
                               type);
}

static wn_status plain_characters(wn_compiler *c) {
    const wn_buf *map = &c->parts.section[WN_SEC_CHARSMAP];
    const wn_buf *text = &c->parts.section[WN_SEC_CHARSMAP_TEXT];
    wn_image view = {.charsmap = (const uint32_t *)(const void *)map->data,
                     .charsmap_count = map->len / sizeof(uint32_t),
                     .charsmap_text = text->data, .charsmap_text_len = text->len};
    uint8_t plain[WN_PLAIN_BYTES];
    wn_charsmap_plain(&view, plain);
    return wn_buf_append(&c->parts.section[WN_SEC_PLAIN], plain, sizeof plain, c->err);
}

wn_status wn_compile_normalizer(wn_compiler *c) {
    const json_t *obj = json_object_get(c->root, "normalizer");
    if (obj && !json_is_null(obj)) WN_TRY(normalizer(c, obj, 0));
    return c->parts.head.model == WN_MODEL_UNIGRAM ? plain_characters(c) : WN_OK;
}

/* ---- pre-tokenizer ------------------------------------------------------- */

static wn_status metaspace(wn_compiler *c, const json_t *obj) {
    wn_image_header *head = &c->parts.head;
    const char *scheme = "always";
    bool prefix = true, split = true;
    wn_str mark;
    WN_TRY(wn_component_string(c, obj, "Metaspace", "replacement", &mark));
    WN_TRY(wn_json_string(obj, c->path, "prepend_scheme", &scheme, c->err));
    WN_TRY(wn_json_bool(obj, c->path, "add_prefix_space", &prefix, c->err));
    WN_TRY(wn_json_bool(obj, c->path, "split", &split, c->err));
    if (!prefix) {
        if (json_object_get(obj, "prepend_scheme") && strcmp(scheme, "never") != 0)
            return wn_fail(c->err, WN_ERR_FORMAT,
                           "%s: Metaspace's add_prefix_space contradicts its prepend_scheme", c->path);
        scheme = "never";
    }
    if (!strcmp(scheme, "always")) head->flags |= WN_TF_META_ALWAYS;
    else if (!strcmp(scheme, "first")) head->flags |= WN_TF_META_FIRST;
    else if (strcmp(scheme, "never") != 0)
        return wn_component_refuse(c, "prepend_scheme", scheme);
    if (split) head->flags |= WN_TF_META_SPLIT;
    if (mark.len == 0 || mark.len > 4)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: Metaspace's replacement must be one character", c->path);
    return wn_compiler_add_string(c, mark, &head->meta_string, &head->meta_len);
}

/* With the scheme "first" the reference would ask each word for its source offset, and
 * answers oddly where one character became several words. No model is known to use it. */
static wn_status metaspace_after_split(wn_compiler *c, const json_t *obj) {
    WN_TRY(metaspace(c, obj));
    if (!(c->parts.head.flags & WN_TF_META_FIRST) || !(c->parts.head.flags & WN_TF_WHITESPACE_SPLIT))
        return WN_OK;
    return wn_fail(c->err, WN_ERR_UNSUPPORTED,
                   "%s: Metaspace of scheme \"first\" after WhitespaceSplit is not supported", c->path);
}

/* Metaspace, or a Sequence that ends in it. */
static wn_status unigram_pre_tokenizer(wn_compiler *c, const json_t *obj, const char *type) {
    if (!strcmp(type, "Metaspace")) return metaspace(c, obj);
    if (strcmp(type, "Sequence") != 0) return wn_component_refuse(c, "pre_tokenizer before Unigram", type);
    const json_t *list = json_object_get(obj, "pretokenizers");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        WN_TRY(wn_component_type(c, item, "pre_tokenizer", &type));
        bool last = i + 1 == n;
        if (!last && !strcmp(type, "WhitespaceSplit")) c->parts.head.flags |= WN_TF_WHITESPACE_SPLIT;
        else if (last && !strcmp(type, "Metaspace")) return metaspace_after_split(c, item);
        else return wn_component_refuse(c, "pre_tokenizer before Unigram", type);
    }
    return wn_fail(c->err, WN_ERR_FORMAT, "%s: empty Sequence of pre_tokenizers", c->path);
}

wn_status wn_compile_pre_tokenizer(wn_compiler *c) {
    const json_t *obj = json_object_get(c->root, "pre_tokenizer");
    const char *type;
    if (!obj || json_is_null(obj))
        return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: a tokenizer without a pre_tokenizer is not supported",
                       c->path);
    WN_TRY(wn_component_type(c, obj, "pre_tokenizer", &type));
    if (c->parts.head.model == WN_MODEL_UNIGRAM) return unigram_pre_tokenizer(c, obj, type);
    if (strcmp(type, "BertPreTokenizer") != 0)
        return wn_component_refuse(c, "pre_tokenizer before WordPiece", type);
    return WN_OK;
}

/* ---- post-processor ------------------------------------------------------ */

static wn_status add_op(wn_compiler *c, wn_image_section section, int64_t id, int64_t type_id) {
    if (id >= (int64_t)c->vocab)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: the template's token %lld is not in the vocabulary",
                       c->path, (long long)id);
    if (c->parts.section[section].len >= 64 * sizeof(wn_template_op))
        return wn_fail(c->err, WN_ERR_UNSUPPORTED, "%s: template too long", c->path);
    wn_template_op op = {(int32_t)id, (uint32_t)type_id};
    return wn_buf_append(&c->parts.section[section], &op, sizeof op, c->err);
}

static wn_status special_piece(wn_compiler *c, const json_t *post, const json_t *piece,
                               wn_image_section section, int64_t type_id) {
    const char *name = NULL;
    WN_TRY(wn_json_string(piece, c->path, "id", &name, c->err));
    const json_t *token = name ? json_object_get(json_object_get(post, "special_tokens"), name) : NULL;
    const json_t *ids = json_object_get(token, "ids");
    if (!json_is_array(ids))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: the template's special token \"%.60s\" has no ids",
                       c->path, name ? name : "");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0)
            return wn_fail(c->err, WN_ERR_FORMAT, "%s: a special token's id is not a number", c->path);
        WN_TRY(add_op(c, section, json_integer_value(id), type_id));
    }
    return WN_OK;
}

static wn_status template_pieces(wn_compiler *c, const json_t *post, const char *key,
                                 wn_image_section section) {
    const json_t *list = json_object_get(post, key);
    if (!json_is_array(list))
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: TemplateProcessing has no \"%s\"", c->path, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *piece = json_array_get(list, i);
        const json_t *sequence = json_object_get(piece, "Sequence");
        const json_t *special = json_object_get(piece, "SpecialToken");
        int64_t type_id = 0;
        WN_TRY(wn_json_int(sequence ? sequence : special, c->path, "type_id", 0, 255, &type_id, c->err));
        if (special) {
            WN_TRY(special_piece(c, post, special, section, type_id));
            continue;
        }
        const char *id = NULL;
        WN_TRY(wn_json_string(sequence, c->path, "id", &id, c->err));
        bool a = id && !strcmp(id, "A"), b = id && !strcmp(id, "B") && section == WN_SEC_PAIR;
        if (!a && !b)
            return wn_fail(c->err, WN_ERR_FORMAT, "%s: piece %zu of the template \"%s\" is neither A, B nor a special token",
                           c->path, i, key);
        WN_TRY(add_op(c, section, a ? WN_OP_A : WN_OP_B, type_id));
    }
    return WN_OK;
}

/* ["[SEP]", 102] */
static wn_status pair_id(wn_compiler *c, const json_t *post, const char *key, int64_t *id) {
    const json_t *v = json_array_get(json_object_get(post, key), 1);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return wn_fail(c->err, WN_ERR_FORMAT, "%s: the post_processor's \"%s\" is not [text, id]",
                       c->path, key);
    *id = json_integer_value(v);
    return WN_OK;
}

/* cls A sep, and cls A sep B sep (BERT) or cls A sep sep B sep (RoBERTa, all of type 0). */
static wn_status fixed_template(wn_compiler *c, const json_t *post, bool roberta) {
    int64_t cls = 0, sep = 0, second = roberta ? 0 : 1;
    WN_TRY(pair_id(c, post, "cls", &cls));
    WN_TRY(pair_id(c, post, "sep", &sep));
    for (int pair = 0; pair < 2; pair++) {
        wn_image_section s = pair ? WN_SEC_PAIR : WN_SEC_SINGLE;
        WN_TRY(add_op(c, s, cls, 0));
        WN_TRY(add_op(c, s, WN_OP_A, 0));
        WN_TRY(add_op(c, s, sep, 0));
        if (!pair) continue;
        if (roberta) WN_TRY(add_op(c, s, sep, 0));
        WN_TRY(add_op(c, s, WN_OP_B, second));
        WN_TRY(add_op(c, s, sep, second));
    }
    return WN_OK;
}

wn_status wn_compile_post_processor(wn_compiler *c) {
    const json_t *post = json_object_get(c->root, "post_processor");
    const char *type;
    if (!post || json_is_null(post)) {
        WN_TRY(add_op(c, WN_SEC_SINGLE, WN_OP_A, 0));
        WN_TRY(add_op(c, WN_SEC_PAIR, WN_OP_A, 0));
        return add_op(c, WN_SEC_PAIR, WN_OP_B, 1);
    }
    WN_TRY(wn_component_type(c, post, "post_processor", &type));
    if (!strcmp(type, "BertProcessing")) return fixed_template(c, post, false);
    if (!strcmp(type, "RobertaProcessing")) return fixed_template(c, post, true);
    if (strcmp(type, "TemplateProcessing") != 0) return wn_component_refuse(c, "post_processor", type);
    WN_TRY(template_pieces(c, post, "single", WN_SEC_SINGLE));
    return template_pieces(c, post, "pair", WN_SEC_PAIR);
}
