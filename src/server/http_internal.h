/* http_internal.h -- what the daemon and the message code share about one exchange; handlers see http.h.
 *
 * An exchange is one request and its response. It has two holders, the connection (libmicrohttpd's thread)
 * and the handler's thread; the last one frees it. Strings of the request are copies, so that the handler
 * never reads what libmicrohttpd owns. */
#ifndef WN_SERVER_HTTP_INTERNAL_H
#define WN_SERVER_HTTP_INTERNAL_H

#include "http.h"

typedef struct srv_field {
    char *name, *value; /* one allocation, begins at name */
} srv_field;

typedef struct srv_fields {
    srv_field *items;
    size_t count, cap;
} srv_fields;
bool srv_fields_add(srv_fields *fields, const char *name, const char *value);
const char *srv_fields_find(const srv_fields *fields, const char *name, bool ignore_case);
void srv_fields_release(srv_fields *fields);

/* Where events of a handler go: the daemon's stream. False: the client is gone. */
typedef bool (*srv_stream_write)(void *ctx, const char *data, size_t length);

struct srv_response {
    int status; /* 0: the handler said nothing */
    const void *data;
    void *owned; /* == data when the response owns it */
    size_t length;
    srv_fields fields; /* Content-Type among them */
    const char *request_id;
    bool streaming;
    srv_stream_write stream;
    void *stream_ctx;
};
void srv_response_release(srv_response *response);

/* What the batcher did for the request that this thread handles: for log and metrics. */
typedef struct srv_usage {
    double queue_ms, compute_ms;
    uint64_t tokens, items;
} srv_usage;
extern _Thread_local srv_usage *srv_usage_current;           /* NULL outside handlers */
extern _Thread_local const srv_request *srv_request_current; /* the same */

/* What srv_request.transport points to. */
typedef struct srv_transport {
    srv_fields headers, query;
} srv_transport;
#endif
