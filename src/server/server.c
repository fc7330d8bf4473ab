/* server.c -- life of the server: bind, load, reload, stop.
 *
 * The socket is bound and answered before models load, so that whoever watches /health sees "loading" and not a
 * refused connection, and a port that is taken fails at once, not after seconds of loading. */
#include "server.h"
#include "http_daemon.h"
#include "listener.h"
#include "service_internal.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SPARE_FILES = 128 /* for models, indexes and their journals */, MOST_ARENAS = 4 };

struct srv_server {
    srv_config config; /* with max_connections as the file limit allows */
    srv_service *service;
    srv_daemon *daemon;
    char address[160];
    pthread_t loader;
    pthread_mutex_t lock; /* of the rest; loading holds reload_lock */
    pthread_cond_t changed;
    pthread_mutex_t reload_lock;
    bool loaded;
    wn_status load_status;
    wn_error load_error;
};

static void *load_main(void *ctx) {
    srv_server *server = ctx;
    wn_error err;
    pthread_mutex_lock(&server->reload_lock);
    wn_status st = srv_service_load(server->service, &err);
    pthread_mutex_unlock(&server->reload_lock);
    pthread_mutex_lock(&server->lock);
    server->loaded = true;
    server->load_status = st;
    if (st != WN_OK) server->load_error = err;
    srv_service_set_phase(server->service, st == WN_OK ? SRV_READY : SRV_FAILED);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void limit_connections(srv_config *config) {
    size_t files = srv_raise_file_limit();
    size_t most = files > 2 * SPARE_FILES ? files - SPARE_FILES : files / 2;
    if (config->max_connections > most) config->max_connections = most ? most : 1;
}

static void server_free(srv_server *server) {
    srv_service_free(server->service);
    pthread_mutex_destroy(&server->lock);
    pthread_mutex_destroy(&server->reload_lock);
    pthread_cond_destroy(&server->changed);
    free(server);
}

/* Handler threads come and go; with glibc's default of eight arenas a processor each would keep its own share of
 * freed memory, and resident memory would creep with the number of clients. */
static void limit_arenas(void) {
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, MOST_ARENAS);
#endif
}

wn_status srv_server_start(const srv_config *config, srv_server **out, wn_error *err) {
    int fd = -1;
    srv_server *server = calloc(1, sizeof *server);
    if (!server) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    server->config = *config;
    limit_connections(&server->config);
    limit_arenas();
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->reload_lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &clock);
    pthread_condattr_destroy(&clock);
    wn_status st = srv_service_create(&server->config, &server->service, err);
    if (st == WN_OK) st = srv_listen(config->listen, &fd, err);
    if (st == WN_OK) srv_listen_describe(fd, server->address, sizeof server->address);
    if (st == WN_OK) st = srv_daemon_start(&server->config, server->service, fd, &server->daemon, err);
    if (st != WN_OK) {
        if (fd >= 0) close(fd);
        server_free(server);
        return st;
    }
    int e = pthread_create(&server->loader, NULL, load_main, server);
    if (e) {
        srv_daemon_stop(server->daemon, 0);
        server_free(server);
        return srv_fail(err, WN_ERR_IO, "starting a thread: %s", strerror(e));
    }
    *out = server;
    return WN_OK;
}

wn_status srv_server_wait_loaded(srv_server *server, double timeout_ms, bool *loaded, wn_error *err) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1e3);
    until.tv_nsec += (long)((timeout_ms - (double)(time_t)(timeout_ms / 1e3) * 1e3) * 1e6);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&server->lock);
    while (!server->loaded && pthread_cond_timedwait(&server->changed, &server->lock, &until) != ETIMEDOUT) {}
    *loaded = server->loaded;
    wn_status st = server->loaded ? server->load_status : WN_OK;
    if (st != WN_OK && err) *err = server->load_error;
    pthread_mutex_unlock(&server->lock);
    return st;
}

const char *srv_server_address(const srv_server *server) { return server->address; }

wn_status srv_server_reload(srv_server *server, wn_error *err) {
    srv_metrics *metrics = srv_service_metrics(server->service);
    pthread_mutex_lock(&server->reload_lock);
    wn_status st = srv_daemon_reload(server->daemon, err);
    if (st == WN_OK) st = srv_service_load(server->service, err);
    pthread_mutex_unlock(&server->reload_lock);
    srv_metrics_add(metrics, st == WN_OK ? SRV_COUNT_RELOADS : SRV_COUNT_RELOAD_FAILURES, 1);
    return st;
}

void srv_server_stop(srv_server *server, unsigned grace_s) {
    if (!server) return;
    srv_service_set_phase(server->service, SRV_STOPPING);
    pthread_join(server->loader, NULL);
    srv_service_set_phase(server->service, SRV_STOPPING); /* the loader may have set another */
    srv_daemon_stop(server->daemon, grace_s);
    server_free(server);
}
