/* service_internal.h -- the service as server.c, the daemon and operation.c see it. */
#ifndef WN_SERVER_SERVICE_INTERNAL_H
#define WN_SERVER_SERVICE_INTERNAL_H

#include "metrics.h"
#include "service.h"

wn_status srv_service_create(const srv_config *config, srv_service **out, wn_error *err);
void srv_service_free(srv_service *service);
/* Loads everything that the configuration names and makes it the current snapshot. On failure the
 * old one, if any, stays. One thread at a time. */
wn_status srv_service_load(srv_service *service, wn_error *err);

typedef enum srv_phase { SRV_LOADING = 0, SRV_READY, SRV_FAILED, SRV_STOPPING } srv_phase;
srv_phase srv_service_phase(srv_service *service);
void srv_service_set_phase(srv_service *service, srv_phase phase);
srv_metrics *srv_service_metrics(srv_service *service);
wn_score_cache *srv_service_cache(srv_service *service); /* NULL: none */

/* What the daemon knows and /metrics tells: set by the daemon, read by operation.c. */
typedef struct srv_load {
    size_t connections, requests, handlers;
    size_t body_bytes;
} srv_load;
typedef srv_load (*srv_load_fn)(void *ctx);
void srv_service_set_load(srv_service *service, srv_load_fn look, void *ctx);
srv_load srv_service_load_now(srv_service *service);
#endif
