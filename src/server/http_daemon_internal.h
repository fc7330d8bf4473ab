/* http_daemon_internal.h -- what exchanges ask of their daemon. */
#ifndef WN_SERVER_HTTP_DAEMON_INTERNAL_H
#define WN_SERVER_HTTP_DAEMON_INTERNAL_H

#include "exchange.h"

srv_connections *srv_daemon_connections(srv_daemon *daemon);
const srv_config *srv_daemon_config(const srv_daemon *daemon);
void srv_daemon_uncount_body(srv_daemon *daemon, size_t bytes);
#endif
