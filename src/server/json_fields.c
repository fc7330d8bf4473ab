/* json_fields.c -- see json_fields.h.
 *
 * Integers are decoded as reals: a top_n of 10^30 is then a number like any other and is clamped,
 * where jansson's integers would make the whole body "malformed". Token ids and counts lie far below
 * 2^53, so nothing is lost. Duplicate keys: the last one counts, as in every client's own parser.
 * \u0000 is text. Invalid UTF-8, NaN and nesting over jansson's 2048 are syntax errors: 400. */
#include "json_fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Errors ---------------------------------------------------------------- */

/* TEI and Jina (FastAPI) call a well-formed body with wrong values 422, the others 400. */
static int status_of_invalid(srv_dialect dialect) {
    return dialect == SRV_DIALECT_TEI || dialect == SRV_DIALECT_JINA ? 422 : 400;
}

/* tei_type: TEI's error_type; the other dialects have theirs by status. */
static void refuse(srv_call *call, int status, const char *tei_type, const char *param, const char *format,
                   va_list args) {
    char message[400];
    vsnprintf(message, sizeof message, format, args);
    srv_respond_error(call->response, call->dialect, status, call->dialect == SRV_DIALECT_TEI ? tei_type : NULL,
                      param, "%s", message);
}

bool srv_call_invalid(srv_call *call, const char *param, const char *format, ...) {
    va_list args;
    va_start(args, format);
    refuse(call, status_of_invalid(call->dialect), "Validation", param, format, args);
    va_end(args);
    return false;
}

bool srv_call_empty(srv_call *call, const char *param, const char *format, ...) {
    va_list args;
    va_start(args, format);
    refuse(call, call->dialect == SRV_DIALECT_JINA ? 422 : 400, "Empty", param, format, args);
    va_end(args);
    return false;
}

bool srv_call_too_many(srv_call *call, const char *param, size_t n, size_t limit) {
    bool tei = call->dialect == SRV_DIALECT_TEI;
    srv_respond_error(call->response, call->dialect, tei ? 413 : status_of_invalid(call->dialect),
                      tei ? "Validation" : NULL, param,
                      "%s has %zu elements; this server takes at most %zu (--max-documents)", param, n,
                      limit);
    return false;
}

bool srv_call_failed(srv_call *call, const wn_error *err) {
    srv_respond_failure(call->response, call->dialect, err);
    return false;
}

bool srv_call_no_memory(srv_call *call) {
    srv_respond_error(call->response, call->dialect, 503, NULL, NULL, "out of memory; try again later");
    return false;
}

/* ---- A call ------------------------------------------------------------------ */

static bool read_body(srv_call *call) {
    json_error_t at;
    const char *type = call->dialect == SRV_DIALECT_TEI ? "Validation" : NULL;
    if (!call->request->body_length) {
        srv_respond_error(call->response, call->dialect, 400, type, NULL, "the body is empty; send a JSON object");
        return false;
    }
    call->body = json_loadb(call->request->body, call->request->body_length,
                            JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &at);
    if (!call->body) { /* at.text may quote the body: only its position is ours to repeat */
        srv_respond_error(call->response, call->dialect, 400, type, NULL,
                          "the body is not valid JSON (line %d, byte %d)", at.line, at.position);
        return false;
    }
    if (!json_is_object(call->body))
        return srv_call_invalid(call, NULL, "the body must be a JSON object");
    return true;
}

/* The earlier of the request's deadline (from its header) and the body's timeout_ms. */
static bool read_timeout(srv_call *call) {
    json_t *value = srv_body_field(call, "timeout_ms", NULL);
    if (!value) return true;
    double ms = json_is_number(value) ? json_number_value(value) : -1;
    if (!(ms > 0)) return srv_call_invalid(call, "timeout_ms", "timeout_ms must be a number above 0");
    double deadline = call->begin_ms + ms;
    if (call->deadline_ms <= 0 || deadline < call->deadline_ms) call->deadline_ms = deadline;
    return true;
}

bool srv_call_begin_bare(srv_call *call, srv_service *service, const srv_request *request,
                         srv_response *response, srv_dialect dialect) {
    *call = (srv_call){.service = service, .request = request, .response = response,
                       .dialect = dialect, .begin_ms = srv_now_ms(),
                       .deadline_ms = request->deadline_ms};
    call->snapshot = srv_service_hold(service);
    if (call->snapshot) return true;
    srv_respond_error(response, dialect, 503, dialect == SRV_DIALECT_TEI ? "Unhealthy" : NULL, NULL,
                      "models are still loading");
    return false;
}

bool srv_call_begin(srv_call *call, srv_service *service, const srv_request *request,
                    srv_response *response, srv_dialect dialect) {
    return srv_call_begin_bare(call, service, request, response, dialect) && read_body(call) &&
           read_timeout(call);
}

void srv_call_end(srv_call *call) {
    json_decref(call->body);
    if (call->snapshot) srv_snapshot_release(call->snapshot);
    call->body = NULL;
    call->snapshot = NULL;
}

/* ---- Single fields ------------------------------------------------------------- */

json_t *srv_body_field(const srv_call *call, const char *names, const char **found) {
    static const char *const KNOWN[] = {
        /* the names that are asked for in alternatives: *found must outlive the call */
        "documents", "texts", "input", "inputs", "content", "passages", "top_n", "top_k", NULL};
    for (const char *name = names; *name;) {
        size_t length = strcspn(name, "|");
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)length, name);
        json_t *value = json_object_get(call->body, key);
        if (value && !json_is_null(value)) {
            if (found) {
                *found = names;
                for (size_t i = 0; KNOWN[i]; i++)
                    if (strcmp(KNOWN[i], key) == 0) *found = KNOWN[i];
            }
            return value;
        }
        name += length + (name[length] == '|');
    }
    return NULL;
}

bool srv_body_bool(srv_call *call, const char *names, bool *out) {
    const char *name;
    json_t *value = srv_body_field(call, names, &name);
    if (!value) return true;
    if (!json_is_boolean(value)) return srv_call_invalid(call, name, "%s must be true or false", name);
    *out = json_is_true(value);
    return true;
}

bool srv_body_count(srv_call *call, const char *names, size_t lo, size_t *out) {
    const char *name;
    json_t *value = srv_body_field(call, names, &name);
    if (!value) return true;
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(number >= (double)lo) || number != floor(number))
        return srv_call_invalid(call, name, "%s must be a whole number of at least %zu", name, lo);
    *out = number < (double)(SIZE_MAX / 2) ? (size_t)number : SIZE_MAX / 2;
    return true;
}

bool srv_body_string(srv_call *call, const char *names, const char **out) {
    const char *name;
    json_t *value = srv_body_field(call, names, &name);
    if (!value) return true;
    const char *string = json_string_value(value);
    if (!string || strlen(string) != json_string_length(value))
        return srv_call_invalid(call, name, "%s must be a string", name);
    *out = string;
    return true;
}

bool srv_body_choice(srv_call *call, const char *names, const char *const *choices, int *out) {
    const char *string = NULL;
    if (!srv_body_string(call, names, &string)) return false;
    if (!string) return true;
    char known[200] = "";
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], string) == 0) {
            *out = i;
            return true;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", choices[i]);
    }
    return srv_call_invalid(call, names, "%s must be one of: %s", names, known);
}

wn_str srv_json_text(const json_t *value) {
    if (json_is_object(value)) value = json_object_get(value, "text");
    if (!json_is_string(value)) return (wn_str){NULL, 0};
    return (wn_str){json_string_value(value), json_string_length(value)};
}

bool srv_body_text(srv_call *call, const char *names, wn_str *out) {
    const char *name = names;
    json_t *value = srv_body_field(call, names, &name);
    if (!value) return srv_call_invalid(call, names, "%s is missing", names);
    wn_str text = srv_json_text(value);
    if (!text.data) return srv_call_invalid(call, name, "%s must be a string", name);
    if (!text.len) return srv_call_empty(call, name, "%s must not be empty", name);
    *out = text;
    return true;
}

bool srv_body_cut_left(srv_call *call, bool *out) {
    static const char *const DIRECTIONS[] = {"right", "left", "Right", "Left", NULL};
    int direction = 0;
    if (!srv_body_choice(call, "truncation_direction", DIRECTIONS, &direction)) return false;
    *out = direction % 2 == 1;
    return true;
}

bool srv_body_length_policy(srv_call *call, wn_length_policy *out) {
    static const char *const POLICIES[] = {"truncate", "error", "windows", NULL};
    int policy = (int)srv_service_config(call->service)->length_policy;
    json_t *truncate = srv_body_field(call, "truncate", NULL);
    if (json_is_boolean(truncate)) policy = json_is_true(truncate) ? WN_LENGTH_TRUNCATE : WN_LENGTH_ERROR;
    else if (truncate && !json_is_string(truncate)) /* Cohere's NONE, START, END: its handler reads them */
        return srv_call_invalid(call, "truncate", "truncate must be true or false");
    if (!srv_body_choice(call, "length_policy", POLICIES, &policy)) return false;
    *out = (wn_length_policy)policy;
    return true;
}
