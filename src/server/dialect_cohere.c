/* dialect_cohere.c -- /v2/embed and /v1/embed. Rerank is in dialect_rerank.c.
 *
 * v2 answers by type always (default float); v1 gives bare arrays unless embedding_types is there. Cohere
 * calibrates int8 on its own corpora; here a vector's largest component becomes 127 (reply_text.h). */
#include "embed_request.h"

#include <string.h>

static const char *const FORMS[] = {"float", "base64", "int8", "uint8", "binary", "ubinary", NULL};
enum { NFORMS = 6 };

/* embedding_types: names to a set of forms; *given: whether there were any. */
static bool read_forms(srv_call *call, bool forms[NFORMS], bool *given) {
    json_t *types = srv_body_field(call, "embedding_types", NULL);
    *given = json_array_size(types) > 0;
    if (types && !json_is_array(types))
        return srv_call_invalid(call, "embedding_types", "embedding_types must be an array of strings");
    size_t i;
    json_t *type;
    json_array_foreach(types, i, type) {
        const char *name = json_string_value(type);
        size_t form = 0;
        while (form < NFORMS && !(name && strcmp(name, FORMS[form]) == 0)) form++;
        if (form == NFORMS)
            return srv_call_invalid(call, "embedding_types",
                                    "embedding_types must be of: float, base64, int8, uint8, binary, ubinary");
        forms[form] = true;
    }
    if (!*given) forms[SRV_FORM_FLOAT] = true;
    return true;
}

/* v2's `inputs`, [{"content": [{"type": "text", "text": ...}]}], becomes `texts`: one text an input. */
static bool read_inputs(srv_call *call) {
    json_t *inputs = srv_body_field(call, "inputs", NULL), *input;
    if (!inputs || srv_body_field(call, "texts", NULL)) return true;
    if (!json_is_array(inputs)) return srv_call_invalid(call, "inputs", "inputs must be an array");
    json_t *texts = json_array();
    size_t i;
    json_array_foreach(inputs, i, input) {
        json_t *content = json_object_get(input, "content");
        json_t *part = json_is_array(content) ? json_array_get(content, 0) : NULL;
        json_t *text = json_object_get(part, "text");
        if (json_array_size(content) != 1 || !json_is_string(text)) {
            json_decref(texts);
            return srv_call_invalid(call, "inputs", "inputs[%zu]: content must be one part of type text", i);
        }
        json_array_append(texts, text);
    }
    if (json_object_set_new(call->body, "texts", texts) != 0) return srv_call_no_memory(call);
    return true;
}

static bool read_options(srv_call *call, srv_embed *embed) {
    static const char *const TYPES[] = {"search_query", "search_document", "classification", "clustering",
                                        NULL};
    static const char *const CUTS[] = {"END", "START", "NONE", NULL};
    int type = 2, cut = -1;
    if (!srv_body_choice(call, "input_type", TYPES, &type)) return false;
    embed->role = type == 0 ? WN_ROLE_QUERY : type == 1 ? WN_ROLE_DOCUMENT : WN_ROLE_NONE;
    if (json_is_string(srv_body_field(call, "truncate", NULL)) &&
        !srv_body_choice(call, "truncate", CUTS, &cut))
        return false;
    if (cut >= 0) embed->policy = cut == 2 ? WN_LENGTH_ERROR : WN_LENGTH_TRUNCATE;
    if (cut >= 0) embed->cut_left = cut == 1;
    return true;
}

static void add_vectors(srv_text *text, const srv_embed *embed, srv_vector_form form) {
    srv_text_add(text, "[", 1);
    for (size_t i = 0; i < embed->inputs.n; i++) {
        srv_text_next(text);
        srv_text_embedding(text, embed, form, i);
    }
    srv_text_add(text, "]", 1);
}

static json_t *texts_of(const srv_embed *embed) {
    json_t *texts = json_array();
    for (size_t i = 0; i < embed->inputs.n; i++)
        json_array_append_new(texts, json_stringn(embed->inputs.items[i].data, embed->inputs.items[i].len));
    return texts;
}

static json_t *meta_of(const srv_embed *embed, const char *version) {
    json_int_t tokens = (json_int_t)embed->tokens;
    json_t *meta = json_pack("{s:{s:s}, s:{s:I}, s:{s:I, s:i}}", "api_version", "version", version,
                             "billed_units", "input_tokens", tokens, "tokens", "input_tokens", tokens,
                             "output_tokens", 0);
    if (meta && json_array_size(embed->warnings)) json_object_set(meta, "warnings", embed->warnings);
    return meta;
}

static void reply(srv_call *call, const srv_embed *embed, const bool forms[NFORMS], bool by_type,
                  const char *version) {
    srv_text text = {0};
    srv_text_printf(&text, "{\"id\":");
    srv_text_json(&text, json_string(call->request->id));
    srv_text_key(&text, "embeddings");
    if (by_type) srv_text_add(&text, "{", 1);
    for (size_t form = 0; form < NFORMS; form++)
        if (forms[form]) {
            if (by_type) srv_text_key(&text, FORMS[form]);
            add_vectors(&text, embed, (srv_vector_form)form);
        }
    if (by_type) srv_text_add(&text, "}", 1);
    srv_text_key(&text, "texts");
    srv_text_json(&text, texts_of(embed));
    srv_text_key(&text, "model");
    srv_text_json(&text, json_string(embed->model));
    srv_text_key(&text, "meta");
    srv_text_json(&text, meta_of(embed, version));
    srv_text_printf(&text, ",\"response_type\":\"%s\"}", by_type ? "embeddings_by_type" : "embeddings_floats");
    srv_text_send(&text, call);
}

static void embed_as(srv_service *service, const srv_request *request, srv_response *response,
                     const char *version) {
    srv_call call;
    srv_embed embed = {0};
    bool forms[NFORMS] = {false}, given = false;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_COHERE) && read_inputs(&call) &&
        read_forms(&call, forms, &given) && srv_embed_read(&call, &embed, "texts|input|inputs", false) &&
        read_options(&call, &embed) && srv_embed_run(&call, &embed, -1))
        reply(&call, &embed, forms, given || version[0] == '2', version);
    srv_embed_release(&embed);
    srv_call_end(&call);
}

static void embed_v1(srv_service *service, const srv_request *request, srv_response *response) {
    embed_as(service, request, response, "1");
}

static void embed_v2(srv_service *service, const srv_request *request, srv_response *response) {
    embed_as(service, request, response, "2");
}

const srv_route srv_cohere_routes[] = {
    {"POST", "/v2/embed", SRV_DIALECT_COHERE, embed_v2, 0},
    {"POST", "/v1/embed", SRV_DIALECT_COHERE, embed_v1, 0},
    {NULL, NULL, SRV_DIALECT_COHERE, NULL, 0},
};
