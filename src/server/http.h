/* http.h -- one request and its response, free of sockets: what a handler sees.
 *
 * A handler runs on a thread of its own and may block (on the batcher). It never sees a malformed
 * HTTP request, a body over the limit or a wrong key: the daemon answered those, in the shape of the
 * path's dialect (srv_respond_error). */
#ifndef WN_SERVER_HTTP_H
#define WN_SERVER_HTTP_H

#include <stdatomic.h>
#include <jansson.h>
#include <winnow.h>

typedef struct srv_service srv_service; /* service.h */

/* The dialect decides the shape of an error: {"error":{...}}, {"message"}, {"error","error_type"}. */
typedef enum srv_dialect {
    SRV_DIALECT_OWN = 0, /* {"error":{"code","message","request_id"}} */
    SRV_DIALECT_OPENAI, SRV_DIALECT_COHERE, SRV_DIALECT_JINA, SRV_DIALECT_TEI, SRV_DIALECT_LLAMACPP
} srv_dialect;

typedef struct srv_request {
    const char *method, *path;   /* path without the query string, decoded, NUL-terminated */
    const char *body;            /* may hold NULs and invalid UTF-8 */
    size_t body_length;
    const char *id;              /* request id: the client's X-Request-Id, or ours */
    const char *client;          /* whom fairness counts by: the key's name, else the address */
    double deadline_ms;          /* on srv_now_ms()'s clock; 0: none. From the X-Timeout-Ms header;
                                  * a handler may tighten it by the body's timeout_ms */
    const atomic_bool *gone;     /* the client hung up: the batcher drops the work */
    void *transport;             /* of http_daemon.c, for the two functions below */
} srv_request;
const char *srv_request_header(const srv_request *request, const char *name); /* NULL when absent */
const char *srv_request_query(const srv_request *request, const char *key);   /* ?key=value */
double srv_now_ms(void); /* CLOCK_MONOTONIC */
/* Fills err (may be NULL) and returns status: what a handler's helpers fail with. */
wn_status srv_fail(wn_error *err, wn_status status, const char *format, ...) WN_PRINTF(3, 4);

typedef struct srv_response srv_response;
/* The response owns what it is given. A second call replaces the first. */
void srv_respond_json(srv_response *response, int status, json_t *body); /* steals body */
void srv_respond_bytes(srv_response *response, int status, const char *content_type, const void *data,
                       size_t length); /* copies */
void srv_respond_static(srv_response *response, const char *content_type, const void *data, size_t length);
void srv_respond_header(srv_response *response, const char *name, const char *value);
/* An error in the dialect's shape, with its status (400, 401, 404, 405, 413, 422, 429, 499, 503);
 * 429 and 503 get Retry-After. type: OpenAI's "type" / TEI's "error_type"; NULL picks by status. */
void srv_respond_error(srv_response *response, srv_dialect dialect, int status, const char *type,
                       const char *param, const char *format, ...) WN_PRINTF(6, 7);
/* A library error as the same: ARGUMENT, TOO_LONG, FORMAT, UNSUPPORTED 400 or 422 by dialect;
 * NOT_FOUND 404; BUSY 429; CANCELLED 499; FULL, IO, READONLY, NETWORK 503; never 500 for input. */
void srv_respond_failure(srv_response *response, srv_dialect dialect, const wn_error *err);
/* Server-sent events for long work: the first call sends the headers. False: the client is gone. */
bool srv_respond_event(srv_response *response, const char *event, json_t *data); /* steals data */

typedef void (*srv_handler)(srv_service *service, const srv_request *request, srv_response *response);
typedef struct srv_route {
    const char *method, *path;    /* exact, or ending in a star: a prefix; "GET" also answers HEAD */
    srv_dialect dialect;
    srv_handler handler;
    unsigned flags;
} srv_route;
enum {
    SRV_ROUTE_OPEN = 1,       /* needs no key: /health, /ready, /, its assets, /openapi.json */
    SRV_ROUTE_BEFORE_READY = 2, /* answers while models load */
    SRV_ROUTE_LARGE_BODY = 4, /* documents: up to 64 MiB */
    SRV_ROUTE_INLINE = 8      /* short and never blocks: answered on the network thread, so also when all
                               * handler threads are busy (/health, /metrics, static files) */
};
/* Every dialect_*.c and api_*.c file offers its routes; router.c lists the tables.
 * A known path with another method is 405 with Allow; else 404. */
extern const srv_route srv_openai_routes[], srv_rerank_routes[], srv_cohere_routes[], srv_tei_routes[],
    srv_llamacpp_routes[], srv_api_routes[], srv_page_routes[], srv_operation_routes[]; /* end: method NULL */
#endif
