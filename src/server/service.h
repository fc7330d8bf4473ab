/* service.h -- what handlers share: models by name, indexes by name, the batcher, metrics.
 *
 * Models and indexes live in a snapshot that is counted: a handler holds it from begin to end, a
 * reload swaps the current one, and the last holder frees the old. */
#ifndef WN_SERVER_SERVICE_H
#define WN_SERVER_SERVICE_H

#include "batcher.h"
#include "server.h"

typedef struct srv_snapshot srv_snapshot;
srv_snapshot *srv_service_hold(srv_service *service); /* NULL while loading */
void srv_snapshot_release(srv_snapshot *snapshot);

/* name NULL or "": the default. An unknown name is WN_ERR_NOT_FOUND and lists the known ones.
 * Clients often send a name of another vendor ("rerank-v3.5"): see the dialects for who insists. */
wn_status srv_snapshot_embedder(srv_snapshot *s, const char *name, srv_encoder **out, wn_error *err);
wn_status srv_snapshot_reranker(srv_snapshot *s, const char *name, srv_encoder **out, wn_error *err);
size_t srv_snapshot_encoder_count(const srv_snapshot *s);
srv_encoder *srv_snapshot_encoder(const srv_snapshot *s, size_t i);

const wn_model *srv_encoder_model(const srv_encoder *encoder);
wn_model_info srv_encoder_describe(const srv_encoder *encoder);

srv_batcher *srv_service_batcher(srv_service *service);
const srv_config *srv_service_config(const srv_service *service);

/* An index for one request: a handle of the pool (a wn_index is one thread's at a time). */
typedef struct srv_index srv_index;
wn_status srv_snapshot_index(srv_snapshot *s, const char *name, srv_index **out, wn_error *err);
size_t srv_snapshot_index_count(const srv_snapshot *s);
const char *srv_snapshot_index_name(const srv_snapshot *s, size_t i);
const char *srv_index_path(const srv_index *index);
wn_status srv_index_borrow(srv_index *index, wn_index **out, wn_error *err);
void srv_index_return(srv_index *index, wn_index *handle);
#endif
