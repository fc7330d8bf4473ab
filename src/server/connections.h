/* connections.h -- all open sockets: cuts the slow ones, and hears when the client of a running request hangs up.
 *
 * libmicrohttpd's own timeout counts from the last byte, so a client that drips one byte now and then holds
 * its connection for ever; and it does not look at a connection that is suspended. */
#ifndef WN_SERVER_CONNECTIONS_H
#define WN_SERVER_CONNECTIONS_H

#include "metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <winnow.h>

typedef struct srv_connections srv_connections;
typedef struct srv_connection srv_connection;

/* most: connections at once, for the patience to shrink when they fill up. */
wn_status srv_connections_create(unsigned timeout_s, size_t most, srv_metrics *metrics, srv_connections **out,
                                 wn_error *err);
void srv_connections_free(srv_connections *set); /* no connection is left */
size_t srv_connections_count(srv_connections *set);

srv_connection *srv_connection_open(srv_connections *set, int fd); /* NULL: out of memory */
void srv_connection_close(srv_connections *set, srv_connection *connection); /* before its socket is closed */

typedef enum srv_connection_phase {
    SRV_CONNECTION_IDLE = 0,  /* between requests, or reading a request's head */
    SRV_CONNECTION_RECEIVING, /* a body; bytes: received so far */
    SRV_CONNECTION_RUNNING,   /* a handler works, or streams: never cut */
    SRV_CONNECTION_SENDING    /* bytes: of the answer */
} srv_connection_phase;
void srv_connection_enter(srv_connections *set, srv_connection *connection, srv_connection_phase phase,
                          uint64_t bytes);
void srv_connection_received(srv_connections *set, srv_connection *connection, uint64_t bytes);

/* While libmicrohttpd has it suspended: *gone becomes true when the peer hangs up. */
void srv_connection_watch(srv_connections *set, srv_connection *connection, atomic_bool *gone);
void srv_connection_unwatch(srv_connections *set, srv_connection *connection);
/* Every watched request hears that its client is gone. */
void srv_connections_cancel(srv_connections *set);
#endif
