/* http_message.c -- requests and responses as handlers see them, without sockets.
 *
 * Every allocation here may fail in the midst of an answer. Then the response becomes a fixed 503 text
 * that needs no memory: a client that asks for too much hears so, and the process goes on. */
#include "http_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

_Thread_local srv_usage *srv_usage_current;
_Thread_local const srv_request *srv_request_current;

double srv_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

wn_status srv_fail(wn_error *err, wn_status status, const char *format, ...) {
    if (!err) return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->code = status;
    err->offset = err->line = -1;
    return status;
}

/* ---- Fields --------------------------------------------------------------- */

bool srv_fields_add(srv_fields *fields, const char *name, const char *value) {
    size_t nn = strlen(name) + 1, nv = strlen(value) + 1;
    if (fields->count == fields->cap) {
        size_t cap = fields->cap ? 2 * fields->cap : 16;
        srv_field *items = realloc(fields->items, cap * sizeof *items);
        if (!items) return false;
        fields->items = items;
        fields->cap = cap;
    }
    char *text = malloc(nn + nv);
    if (!text) return false;
    memcpy(text, name, nn);
    memcpy(text + nn, value, nv);
    fields->items[fields->count++] = (srv_field){text, text + nn};
    return true;
}

const char *srv_fields_find(const srv_fields *fields, const char *name, bool ignore_case) {
    for (size_t i = 0; i < fields->count; i++) {
        const char *n = fields->items[i].name;
        if ((ignore_case ? strcasecmp(n, name) : strcmp(n, name)) == 0) return fields->items[i].value;
    }
    return NULL;
}

void srv_fields_release(srv_fields *fields) {
    for (size_t i = 0; i < fields->count; i++) free(fields->items[i].name);
    free(fields->items);
    *fields = (srv_fields){0};
}

const char *srv_request_header(const srv_request *request, const char *name) {
    const srv_transport *transport = request->transport;
    return srv_fields_find(&transport->headers, name, true);
}

const char *srv_request_query(const srv_request *request, const char *key) {
    const srv_transport *transport = request->transport;
    return srv_fields_find(&transport->query, key, false);
}

/* ---- Responses ------------------------------------------------------------ */

static void drop_body(srv_response *response) {
    free(response->owned);
    response->owned = NULL;
    response->data = NULL;
    response->length = 0;
}

void srv_response_release(srv_response *response) {
    drop_body(response);
    srv_fields_release(&response->fields);
}

/* Needs no memory: the last resort. */
static void out_of_memory(srv_response *response) {
    static const char TEXT[] = "{\"error\":{\"code\":503,\"message\":\"out of memory; try again later\"}}";
    drop_body(response);
    response->status = 503;
    response->data = TEXT;
    response->length = sizeof TEXT - 1;
}

static void set_field(srv_response *response, const char *name, const char *value) {
    for (size_t i = 0; i < response->fields.count; i++)
        if (strcasecmp(response->fields.items[i].name, name) == 0) {
            free(response->fields.items[i].name);
            response->fields.items[i] = response->fields.items[--response->fields.count];
            break;
        }
    if (!srv_fields_add(&response->fields, name, value)) out_of_memory(response);
}

/* A line break in a value would be another header of the answer. */
static bool value_is_sane(const char *value) {
    for (; *value; value++)
        if ((unsigned char)*value < 0x20 || *value == 0x7f) return false;
    return true;
}

void srv_respond_header(srv_response *response, const char *name, const char *value) {
    if (value_is_sane(value)) set_field(response, name, value);
}

static void set_body(srv_response *response, int status, const char *content_type, const void *data,
                     void *owned, size_t length) {
    if (response->streaming) { /* too late for another answer */
        free(owned);
        return;
    }
    drop_body(response);
    response->status = status;
    response->data = data;
    response->owned = owned;
    response->length = length;
    set_field(response, "Content-Type", content_type);
}

void srv_respond_json(srv_response *response, int status, json_t *body) {
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        out_of_memory(response);
        return;
    }
    set_body(response, status, "application/json", text, text, strlen(text));
}

void srv_respond_bytes(srv_response *response, int status, const char *content_type, const void *data,
                       size_t length) {
    void *copy = malloc(length ? length : 1);
    if (!copy) {
        out_of_memory(response);
        return;
    }
    if (length) memcpy(copy, data, length);
    set_body(response, status, content_type, copy, copy, length);
}

void srv_respond_static(srv_response *response, const char *content_type, const void *data, size_t length) {
    set_body(response, 200, content_type, data, NULL, length);
}

bool srv_respond_event(srv_response *response, const char *event, json_t *data) {
    char *text = data ? json_dumps(data, JSON_COMPACT) : NULL, *frame = NULL;
    json_decref(data);
    if (!text || !response->stream) {
        free(text);
        return false;
    }
    if (!response->streaming) {
        drop_body(response);
        response->status = 200;
        set_field(response, "Content-Type", "text/event-stream; charset=utf-8");
        set_field(response, "Cache-Control", "no-cache");
        set_field(response, "X-Accel-Buffering", "no"); /* nginx would collect events otherwise */
        response->streaming = true;
    }
    /* JSON_COMPACT has no raw line breaks: one data line is enough. */
    int n = asprintf(&frame, "event: %s\ndata: %s\n\n", event, text);
    bool ok = n >= 0 && response->stream(response->stream_ctx, frame, (size_t)n);
    if (n >= 0) free(frame);
    free(text);
    return ok;
}
