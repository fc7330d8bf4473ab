/* access_log.h -- one JSON object a line for each request answered. */
#ifndef WN_SERVER_ACCESS_LOG_H
#define WN_SERVER_ACCESS_LOG_H

#include "http_internal.h"

typedef struct srv_access_log srv_access_log;
/* path "-": standard error. */
wn_status srv_access_log_open(const char *path, srv_access_log **out, wn_error *err);
/* After the file was moved away (SIGHUP). */
void srv_access_log_reopen(srv_access_log *log);
void srv_access_log_close(srv_access_log *log);

typedef struct srv_access {
    const char *id, *remote, *client, *method, *path, *agent;
    int status;
    bool gone;
    size_t received, sent; /* bytes of the bodies */
    double ms;
    const srv_usage *usage;
} srv_access;
void srv_access_log_write(srv_access_log *log, const srv_access *access);
#endif
