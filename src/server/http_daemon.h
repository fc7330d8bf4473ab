/* http_daemon.h -- sockets to handlers. */
#ifndef WN_SERVER_HTTP_DAEMON_H
#define WN_SERVER_HTTP_DAEMON_H

#include "service_internal.h"

typedef struct srv_daemon srv_daemon;
/* Takes the listening socket (closed by stop). Begins to answer at once. */
wn_status srv_daemon_start(const srv_config *config, srv_service *service, int listen_fd, srv_daemon **out,
                           wn_error *err);
/* Reads the keys afresh and opens the log afresh. On failure the old keys stay. */
wn_status srv_daemon_reload(srv_daemon *daemon, wn_error *err);
/* No new connections; finishes what was begun (at most grace_s), cancels what is left, frees. */
void srv_daemon_stop(srv_daemon *daemon, unsigned grace_s);
#endif
