/* http_error.c -- one error in six dialects.
 *
 *   own, llama.cpp   {"error":{"code":429,"message":"...","type":"...", own: "request_id"}}
 *   OpenAI           {"error":{"message","type","param":null|"...","code":null|"..."},"detail":"..."}
 *   Cohere           {"id":"...","message":"...","detail":"..."}
 *   Jina             {"detail":"..."}
 *   TEI              {"error":"...","error_type":"Validation"}
 *
 * Jina's clients use OpenAI's /v1/embeddings and Cohere's /v1/rerank: so those carry `detail` too.
 *
 * The words of `type` are those that the dialect's clients compare with. */
#include "http_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *tei_type(int status) {
    switch (status) {
    case 400: return "Empty";
    case 424: return "Backend";
    case 429: return "Overloaded";
    case 503: case 499: return "Unhealthy";
    default: return "Validation";
    }
}

static const char *openai_type(int status) {
    switch (status) {
    case 401: case 403: return "authentication_error";
    case 429: return "rate_limit_error";
    case 499: case 503: return "server_error";
    default: return "invalid_request_error";
    }
}

static const char *llamacpp_type(int status) {
    switch (status) {
    case 401: case 403: return "authentication_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 501: return "not_supported_error";
    case 499: case 503: return "unavailable_error";
    default: return "invalid_request_error";
    }
}

static const char *own_type(int status) {
    switch (status) {
    case 401: case 403: return "unauthorized";
    case 404: return "not_found";
    case 405: return "method_not_allowed";
    case 409: return "conflict";
    case 413: return "too_large";
    case 429: return "busy";
    case 499: return "cancelled";
    case 503: return "unavailable";
    default: return "invalid_request";
    }
}

/* json_string, but bytes that are no UTF-8 (an echoed input) become '?'. */
static json_t *safe_string(const char *text) {
    json_t *value = json_string(text);
    if (value) return value;
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p >= 0x80) *p = '?';
    return json_string(copy);
}

static json_t *error_body(const srv_response *response, srv_dialect dialect, int status, const char *type,
                          const char *param, const char *message) {
    json_t *text = safe_string(message);
    if (!text) return NULL;
    switch (dialect) {
    case SRV_DIALECT_OPENAI:
        return json_pack("{s:{s:O,s:s,s:s?,s:s?},s:o}", "error", "message", text, "type",
                         type ? type : openai_type(status), "param", param, "code",
                         status == 401 ? "invalid_api_key" : NULL, "detail", text);
    case SRV_DIALECT_COHERE:
        return json_pack("{s:s,s:O,s:o}", "id", response->request_id ? response->request_id : "", "message", text,
                         "detail", text);
    case SRV_DIALECT_JINA: return json_pack("{s:o}", "detail", text);
    case SRV_DIALECT_TEI:
        return json_pack("{s:o,s:s}", "error", text, "error_type", type ? type : tei_type(status));
    case SRV_DIALECT_LLAMACPP:
        return json_pack("{s:{s:i,s:o,s:s}}", "error", "code", status, "message", text, "type",
                         type ? type : llamacpp_type(status));
    case SRV_DIALECT_OWN: break;
    }
    json_t *body = json_pack("{s:{s:i,s:s,s:o,s:s*,s:s*}}", "error", "code", status, "type",
                             type ? type : own_type(status), "message", text, "param", param, "request_id",
                             response->request_id);
    return body;
}

void srv_respond_error(srv_response *response, srv_dialect dialect, int status, const char *type,
                       const char *param, const char *format, ...) {
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    srv_respond_json(response, status, error_body(response, dialect, status, type, param, message));
    if (status == 429 || status == 503) srv_respond_header(response, "Retry-After", "1");
    if (status == 401) srv_respond_header(response, "WWW-Authenticate", "Bearer");
}

/* TEI calls what fails validation 422; the others say 400. */
static int status_of_failure(srv_dialect dialect, wn_status code) {
    switch (code) {
    case WN_ERR_ARGUMENT: case WN_ERR_TOO_LONG: case WN_ERR_FORMAT: case WN_ERR_UNSUPPORTED:
    case WN_ERR_MISMATCH: return dialect == SRV_DIALECT_TEI ? 422 : 400;
    case WN_ERR_NOT_FOUND: return 404;
    case WN_ERR_BUSY: return 429;
    case WN_ERR_CANCELLED: return 499;
    case WN_ERR_INTERNAL: return 500; /* a defect: never of an input */
    default: return 503;
    }
}

void srv_respond_failure(srv_response *response, srv_dialect dialect, const wn_error *err) {
    int status = status_of_failure(dialect, err->code);
    const char *type = dialect == SRV_DIALECT_TEI && status == 422 && err->code == WN_ERR_FORMAT ? "Tokenizer"
                                                                                                  : NULL;
    srv_respond_error(response, dialect, status, type, NULL, "%s", err->message);
}
