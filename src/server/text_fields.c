/* text_fields.c -- the texts of a request: documents to score, inputs to embed, token ids.
 *
 * Token ids. OpenAI's API takes ids of OpenAI's tokenizers, TEI's takes ids of the model's own. The
 * encoders read texts, so ids are spelled out by the vocabulary and encoded again; only when
 * that gives the very ids sent (with or without the model's special tokens) is the text taken.
 * So ids of this model give exactly their embedding, and ids of another vendor's tokenizer
 * (LangChain's OpenAIEmbeddings sends those unless told check_embedding_ctx_length=False) are refused
 * with the remedy, instead of embedding a text nobody wrote. */
#include "json_fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void srv_texts_release(srv_texts *texts) {
    for (size_t i = 0; texts->owned && i < texts->n; i++) free(texts->owned[i]);
    free(texts->owned);
    free(texts->sources);
    free(texts->items);
    *texts = (srv_texts){0};
}

static bool make_room(srv_call *call, size_t n, srv_texts *out) {
    *out = (srv_texts){.n = n};
    out->items = calloc(n, sizeof *out->items);
    out->sources = calloc(n, sizeof *out->sources);
    out->owned = calloc(n, sizeof *out->owned);
    if (out->items && out->sources && out->owned) return true;
    srv_texts_release(out);
    return srv_call_no_memory(call);
}

/* ---- Documents ------------------------------------------------------------------ */

/* The members that rank_fields names, a line each, in its order. NULL data: none is a string. */
static bool join_fields(srv_call *call, const json_t *object, const json_t *rank_fields, char **owned,
                        wn_str *out) {
    size_t length = 0, used = 0, i;
    const json_t *name;
    json_array_foreach(rank_fields, i, name)
        length += json_string_length(json_object_get(object, json_string_value(name))) + 1;
    char *text = malloc(length + 1);
    if (!text) return srv_call_no_memory(call);
    json_array_foreach(rank_fields, i, name) {
        const json_t *value = json_object_get(object, json_string_value(name));
        size_t part = json_string_length(value);
        if (!part) continue;
        if (used) text[used++] = '\n';
        memcpy(text + used, json_string_value(value), part);
        used += part;
    }
    *owned = text;
    *out = (wn_str){text, used};
    return true;
}

static bool read_document(srv_call *call, const char *name, const json_t *value,
                          const json_t *rank_fields, srv_texts *out, size_t i) {
    if (json_is_object(value) && json_array_size(rank_fields))
        return join_fields(call, value, rank_fields, &out->owned[i], &out->items[i]);
    out->items[i] = srv_json_text(value);
    if (!out->items[i].data)
        return srv_call_invalid(call, name, "%s[%zu] must be a string or an object with \"text\"", name, i);
    return true;
}

static bool check_rank_fields(srv_call *call, const json_t *rank_fields) {
    bool good = !rank_fields || json_is_array(rank_fields);
    size_t i;
    const json_t *name;
    json_array_foreach(rank_fields, i, name) good = good && json_is_string(name);
    return good || srv_call_invalid(call, "rank_fields", "rank_fields must be an array of strings");
}

bool srv_body_documents(srv_call *call, const char *names, const json_t *rank_fields, srv_texts *out) {
    const char *name;
    const json_t *value = srv_body_field(call, names, &name);
    size_t limit = srv_service_config(call->service)->max_documents;
    *out = (srv_texts){0};
    if (!value) return srv_call_invalid(call, "documents", "documents is missing");
    if (!json_is_array(value)) return srv_call_invalid(call, name, "%s must be an array", name);
    size_t n = json_array_size(value);
    if (!n) return srv_call_empty(call, name, "%s must not be empty", name);
    if (n > limit) return srv_call_too_many(call, name, n, limit);
    if (!check_rank_fields(call, rank_fields) || !make_room(call, n, out)) return false;
    for (size_t i = 0; i < n; i++) {
        out->sources[i] = json_array_get(value, i);
        if (!read_document(call, name, out->sources[i], rank_fields, out, i)) {
            srv_texts_release(out);
            return false;
        }
    }
    return true;
}

/* ---- Token ids -------------------------------------------------------------------- */

static const char METASPACE[] = "\xE2\x96\x81";

/* The vocabulary entries of ids [n] as text: WordPiece's ## continues a word, SentencePiece's ▁ is
 * a blank. The caller frees; NULL: an id out of range, or no memory. */
static char *spell(const wn_tokenizer *tokenizer, const int32_t *ids, size_t n, size_t *length) {
    size_t room = 1, used = 0;
    bool metaspace = false;
    for (size_t i = 0; i < n; i++) {
        const char *token = wn_tokenizer_token(tokenizer, ids[i]);
        if (!token) return NULL;
        room += strlen(token) + 1;
        metaspace = metaspace || strstr(token, METASPACE);
    }
    char *text = malloc(room);
    if (!text) return NULL;
    for (size_t i = 0; i < n; i++) {
        const char *token = wn_tokenizer_token(tokenizer, ids[i]);
        if (!metaspace) {
            bool continues = strncmp(token, "##", 2) == 0 && token[2];
            if (used && !continues) text[used++] = ' ';
            if (continues) token += 2;
        }
        while (*token) {
            bool blank = metaspace && strncmp(token, METASPACE, sizeof METASPACE - 1) == 0;
            text[used++] = blank ? ' ' : *token;
            token += blank ? sizeof METASPACE - 1 : 1;
        }
    }
    text[used] = 0;
    *length = used;
    return text;
}

static bool same_ids(const wn_encoding *encoding, const int32_t *ids, size_t n) {
    return wn_encoding_length(encoding) == n &&
           memcmp(wn_encoding_ids(encoding), ids, n * sizeof *ids) == 0;
}

/* A text that the tokenizer encodes to exactly ids [n]; *out NULL: there is none. */
static wn_status text_of_ids(const wn_tokenizer *tokenizer, const int32_t *ids, size_t n, char **out,
                             size_t *length, wn_error *err) {
    wn_encoding *encoding = NULL;
    char *text = NULL;
    bool same = false;
    int32_t first = -1, last = -1;
    wn_status st = wn_encoding_create(&encoding, err);
    if (st == WN_OK) /* the template of an empty text: its special tokens alone */
        st = wn_tokenizer_encode(tokenizer, (wn_str){"", 0}, NULL, 0, WN_TRUNCATE_NONE, encoding, err);
    size_t special = st == WN_OK ? wn_encoding_length(encoding) : 0;
    if (special == 2) first = wn_encoding_ids(encoding)[0], last = wn_encoding_ids(encoding)[1];
    bool framed = special == 2 && n >= 2 && ids[0] == first && ids[n - 1] == last;
    if (st == WN_OK) text = spell(tokenizer, ids + framed, n - 2 * framed, length);
    if (text) {
        wn_str str = {text, *length};
        st = framed ? wn_tokenizer_encode(tokenizer, str, NULL, 0, WN_TRUNCATE_NONE, encoding, err)
                    : wn_tokenizer_encode_raw(tokenizer, str, encoding, err);
        same = st == WN_OK && same_ids(encoding, ids, n);
    }
    wn_encoding_free(encoding);
    if (!same) free(text), text = NULL;
    *out = text;
    return st;
}

static bool read_ids(srv_call *call, const char *name, const json_t *array,
                     const wn_tokenizer *tokenizer, srv_texts *out, size_t at) {
    size_t n = json_array_size(array);
    int32_t *ids = calloc(n ? n : 1, sizeof *ids);
    if (!ids) return srv_call_no_memory(call);
    bool good = n > 0;
    for (size_t i = 0; good && i < n; i++) {
        const json_t *value = json_array_get(array, i);
        double id = json_is_number(value) ? json_number_value(value) : -1;
        good = id >= 0 && id < INT32_MAX && id == floor(id);
        if (good) ids[i] = (int32_t)id;
    }
    wn_error err;
    wn_status st = WN_OK;
    if (good) st = text_of_ids(tokenizer, ids, n, &out->owned[at], &out->items[at].len, &err);
    free(ids);
    if (st != WN_OK) return srv_call_failed(call, &err);
    if (!good) return srv_call_invalid(call, name, "%s: token ids must be whole numbers from 0", name);
    out->items[at].data = out->owned[at];
    if (out->owned[at]) return true;
    return srv_call_invalid(call, name,
                            "%s: these are not token ids of this model's tokenizer; send text instead "
                            "(LangChain: check_embedding_ctx_length=False)", name);
}

/* ---- Inputs ----------------------------------------------------------------------- */

static bool read_input(srv_call *call, const char *name, const json_t *value,
                       const wn_tokenizer *tokenizer, bool empty_allowed, srv_texts *out, size_t i) {
    out->sources[i] = value;
    if (json_is_array(value)) return read_ids(call, name, value, tokenizer, out, i);
    const json_t *text = json_is_object(value) ? json_object_get(value, "text") : value;
    if (!json_is_string(text))
        return srv_call_invalid(call, name, "%s must be a string, an array of strings, or token ids", name);
    out->items[i] = (wn_str){json_string_value(text), json_string_length(text)};
    if (!out->items[i].len && !empty_allowed)
        return srv_call_empty(call, name, "%s must not hold an empty string", name);
    return true;
}

bool srv_body_inputs(srv_call *call, const char *names, const wn_tokenizer *tokenizer,
                      bool empty_allowed, srv_texts *out) {
    const char *name;
    const json_t *value = srv_body_field(call, names, &name);
    size_t limit = srv_service_config(call->service)->max_documents;
    *out = (srv_texts){0};
    if (!value) {
        char first[32];
        size_t length = strcspn(names, "|");
        length = length < sizeof first - 1 ? length : sizeof first - 1;
        memcpy(first, names, length);
        first[length] = 0;
        return srv_call_invalid(call, first, "%s is missing", first);
    }
    /* [1, 2, 3]: the ids of one text */
    bool single = !json_is_array(value) || json_is_number(json_array_get(value, 0));
    size_t n = single ? 1 : json_array_size(value);
    if (!n) return srv_call_empty(call, name, "%s must not be empty", name);
    if (n > limit) return srv_call_too_many(call, name, n, limit);
    if (!make_room(call, n, out)) return false;
    out->single = single;
    for (size_t i = 0; i < n; i++)
        if (!read_input(call, name, single ? value : json_array_get(value, i), tokenizer, empty_allowed,
                        out, i)) {
            srv_texts_release(out);
            return false;
        }
    return true;
}
