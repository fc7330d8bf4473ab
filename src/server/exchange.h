/* exchange.h -- one request on its way: received on libmicrohttpd's thread, handled on another, answered on the first.
 *
 * Two holders: the connection (until libmicrohttpd says that the request is over) and the handler's thread. */
#ifndef WN_SERVER_EXCHANGE_H
#define WN_SERVER_EXCHANGE_H

#include "connections.h"
#include "http_internal.h"
#include "server.h"

#include <microhttpd.h>
#include <pthread.h>

typedef struct srv_daemon srv_daemon;

/* Events between the handler that writes and the connection that sends. */
typedef struct srv_stream {
    pthread_mutex_t lock;
    pthread_cond_t drained;
    char *data; /* [begin, end) waits to be sent */
    size_t begin, end, cap;
    bool started, suspended, finished, broken;
    bool held; /* a holder is kept for the response that will read from the stream */
} srv_stream;

typedef struct srv_exchange {
    atomic_int holders;
    srv_daemon *daemon;
    struct MHD_Connection *connection;
    srv_connection *socket;
    srv_request request;
    srv_response response;
    srv_transport transport;
    const srv_route *route; /* NULL: refused before a route was found */
    size_t route_number;
    srv_dialect dialect;
    char *method, *path, *client, *key_name;
    char id[65], remote[64];
    char *body;
    size_t body_length, body_cap, body_limit;
    uint64_t received;
    double begin;
    atomic_bool gone;
    bool refused;    /* the response is ready before a handler ran; what still comes is read and dropped */
    bool dispatched; /* a handler has it or had it */
    bool handled;    /* it is done: the response is ready. Written before resume, read after */
    bool admitted;   /* counted among the running ones */
    bool queued;
    size_t sent;
    srv_usage usage;
    srv_stream stream;
} srv_exchange;

srv_exchange *srv_exchange_create(srv_daemon *daemon, struct MHD_Connection *connection, srv_connection *socket,
                                  const char *method, const char *path); /* NULL: out of memory */
void srv_exchange_release(srv_exchange *exchange);

/* The handler's end of the stream: srv_response.stream. */
bool srv_stream_put(void *exchange, const char *data, size_t length);
void srv_stream_finish(srv_exchange *exchange);
/* The connection's end. */
struct MHD_Response *srv_stream_response(srv_exchange *exchange);
void srv_stream_break(srv_exchange *exchange);
#endif
