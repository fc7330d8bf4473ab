/* dialect_openai.c -- /v1/embeddings for OpenAI's and Jina's clients, /v1/models.
 *
 * The two vendors share the path; their requests differ in names only (encoding_format and
 * embedding_type, input_type and task), so one handler reads both, and the reply has what either
 * expects. An error carries OpenAI's object and Jina's "detail" (http_error.c). /embeddings, without
 * /v1, is llama.cpp's: dialect_llamacpp.c. */
#include "dialects.h"
#include "embed_request.h"

#include <string.h>
#include <sys/stat.h>

/* encoding_format (a string), Jina's embedding_type (a string, or an array whose first counts), or
 * encoding_type, as LlamaIndex's class for Jina calls it. */
static bool read_form(srv_call *call, srv_vector_form *out) {
    static const char *const FORMS[] = {"float", "base64", "int8", "uint8", "binary", "ubinary", NULL};
    int form = SRV_FORM_FLOAT;
    json_t *value = srv_body_field(call, "encoding_format|embedding_type|encoding_type", NULL);
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (value) {
        const char *name = json_string_value(value);
        for (form = 0; FORMS[form] && !(name && strcmp(name, FORMS[form]) == 0);) form++;
        if (!FORMS[form])
            return srv_call_invalid(call, "encoding_format",
                                    "encoding_format must be one of: float, base64, int8, uint8, binary, ubinary");
    }
    *out = (srv_vector_form)form;
    return true;
}

/* Jina's late_chunking and return_multivector ask for vectors that this library does not compute. */
static bool refuse_unsupported(srv_call *call) {
    static const char *const NAMES[] = {"late_chunking", "return_multivector"};
    for (size_t i = 0; i < 2; i++) {
        bool asked = false;
        if (!srv_body_bool(call, NAMES[i], &asked)) return false;
        if (asked) return srv_call_invalid(call, NAMES[i], "%s is not supported", NAMES[i]);
    }
    return true;
}

static void reply(srv_call *call, srv_embed *embed, srv_vector_form form) {
    srv_text text = {0};
    srv_text_printf(&text, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < embed->inputs.n; i++) {
        srv_text_next(&text);
        srv_text_printf(&text, "{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i);
        srv_text_embedding(&text, embed, form, i);
        srv_text_add(&text, "}", 1);
    }
    srv_text_printf(&text, "],\"model\":");
    srv_text_json(&text, json_string(embed->model));
    srv_text_printf(&text, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}",
                    (unsigned long long)embed->tokens, (unsigned long long)embed->tokens);
    if (json_array_size(embed->warnings)) {
        srv_text_key(&text, "warnings");
        srv_text_json(&text, json_incref(embed->warnings));
    }
    srv_text_add(&text, "}", 1);
    srv_text_send(&text, call);
}

void srv_openai_embeddings_of(srv_call *call) {
    srv_embed embed = {0};
    srv_vector_form form = SRV_FORM_FLOAT;
    bool normalized = true;
    if (srv_embed_read(call, &embed, "input|inputs|texts|documents", false) && read_form(call, &form) &&
        srv_body_role(call, "input_type|task", &embed.role) &&
        srv_body_bool(call, "normalized", &normalized) && refuse_unsupported(call) &&
        srv_embed_run(call, &embed, normalized ? -1 : 0))
        reply(call, &embed, form);
    srv_embed_release(&embed);
}

static void embeddings(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OPENAI)) srv_openai_embeddings_of(&call);
    srv_call_end(&call);
}

/* ---- Models ---------------------------------------------------------------------------- */

static json_t *describe(const srv_encoder *encoder) {
    wn_model_info info = srv_encoder_describe(encoder);
    bool embeds = info.kind == WN_MODEL_BI_ENCODER;
    struct stat status;
    json_int_t created = stat(info.path, &status) == 0 ? (json_int_t)status.st_mtime : 0;
    json_t *model = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "id", info.name, "object", "model", "created",
                              created, "owned_by", "winnow", "kind", embeds ? "embedder" : "reranker",
                              "max_length", (json_int_t)info.max_length);
    if (model && embeds) json_object_set_new(model, "dimensions", json_integer((json_int_t)info.hidden));
    return model;
}

static void models(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_OPENAI)) {
        json_t *data = json_array();
        for (size_t i = 0; i < srv_snapshot_encoder_count(call.snapshot); i++)
            json_array_append_new(data, describe(srv_snapshot_encoder(call.snapshot, i)));
        srv_respond_json(response, 200, json_pack("{s:s, s:o}", "object", "list", "data", data));
    }
    srv_call_end(&call);
}

static void model(srv_service *service, const srv_request *request, srv_response *response) {
    static const char PREFIX[] = "/v1/models/";
    const char *name = request->path + sizeof PREFIX - 1;
    srv_call call;
    if (srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_OPENAI)) {
        json_t *found = NULL;
        for (size_t i = 0; !found && i < srv_snapshot_encoder_count(call.snapshot); i++) {
            const srv_encoder *encoder = srv_snapshot_encoder(call.snapshot, i);
            if (strcmp(srv_encoder_describe(encoder).name, name) == 0) found = describe(encoder);
        }
        if (found) srv_respond_json(response, 200, found);
        else srv_respond_error(response, call.dialect, 404, NULL, "model", "no such model; GET /v1/models lists them");
    }
    srv_call_end(&call);
}

const srv_route srv_openai_routes[] = {
    {"POST", "/v1/embeddings", SRV_DIALECT_OPENAI, embeddings, 0},
    {"GET", "/v1/models", SRV_DIALECT_OPENAI, models, 0},
    {"GET", "/v1/models/*", SRV_DIALECT_OPENAI, model, 0},
    {"GET", "/models", SRV_DIALECT_OPENAI, models, 0},
    {"GET", "/openapi.json", SRV_DIALECT_OWN, srv_openapi_document, SRV_ROUTE_OPEN | SRV_ROUTE_BEFORE_READY},
    {NULL, NULL, SRV_DIALECT_OPENAI, NULL, 0},
};
