/* exchange.c -- life of an exchange, and the stream of events between its two threads.
 *
 * The stream holds at most STREAM_MOST bytes that the client has not taken; then the handler waits, at most
 * the client's timeout. When there is nothing to send the connection is suspended: libmicrohttpd would ask
 * again and again otherwise. */
#include "exchange.h"
#include "http_daemon_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_MOST = 256 << 10 };

srv_exchange *srv_exchange_create(srv_daemon *daemon, struct MHD_Connection *connection, srv_connection *socket,
                                  const char *method, const char *path) {
    srv_exchange *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    atomic_store(&x->holders, 1);
    x->daemon = daemon;
    x->connection = connection;
    x->socket = socket;
    x->begin = srv_now_ms();
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&x->stream.lock, NULL);
    pthread_cond_init(&x->stream.drained, &clock);
    pthread_condattr_destroy(&clock);
    x->method = strdup(method);
    x->path = strdup(path);
    if (!x->method || !x->path) {
        srv_exchange_release(x);
        return NULL;
    }
    x->response.request_id = x->id;
    x->response.stream = srv_stream_put;
    x->response.stream_ctx = x;
    x->request = (srv_request){.method = x->method, .path = x->path, .body = "", .id = x->id,
                               .gone = &x->gone, .transport = &x->transport};
    return x;
}

void srv_exchange_release(srv_exchange *x) {
    if (atomic_fetch_sub(&x->holders, 1) != 1) return;
    srv_daemon_uncount_body(x->daemon, x->body_cap);
    srv_response_release(&x->response);
    srv_fields_release(&x->transport.headers);
    srv_fields_release(&x->transport.query);
    pthread_mutex_destroy(&x->stream.lock);
    pthread_cond_destroy(&x->stream.drained);
    free(x->stream.data);
    free(x->body);
    free(x->client);
    free(x->path);
    free(x->method);
    free(x);
}

/* ---- The handler's end ------------------------------------------------------- */

/* Under the lock: the connection goes on; it has something to send or to end. */
static void wake_connection(srv_exchange *x) {
    if (!x->stream.suspended) return;
    x->stream.suspended = false;
    srv_connection_unwatch(srv_daemon_connections(x->daemon), x->socket);
    MHD_resume_connection(x->connection);
}

static bool wait_for_room(srv_exchange *x, size_t length) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += srv_daemon_config(x->daemon)->client_timeout_s;
    srv_stream *s = &x->stream;
    while (!s->broken && s->end - s->begin && s->end - s->begin + length > STREAM_MOST)
        if (pthread_cond_timedwait(&s->drained, &s->lock, &until) == ETIMEDOUT) return false;
    return !s->broken;
}

static bool append(srv_stream *s, const char *data, size_t length) {
    if (s->begin) {
        memmove(s->data, s->data + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = 0;
    }
    if (s->end + length > s->cap) {
        size_t cap = s->end + length + 4096;
        char *grown = realloc(s->data, cap);
        if (!grown) return false;
        s->data = grown;
        s->cap = cap;
    }
    memcpy(s->data + s->end, data, length);
    s->end += length;
    return true;
}

bool srv_stream_put(void *exchange, const char *data, size_t length) {
    srv_exchange *x = exchange;
    srv_stream *s = &x->stream;
    pthread_mutex_lock(&s->lock);
    bool ok = !atomic_load(&x->gone) && wait_for_room(x, length) && append(s, data, length);
    if (!ok) atomic_store(&x->gone, true);
    if (ok && !s->started) { /* until now suspended as every running request is */
        s->started = s->suspended = s->held = true;
        atomic_fetch_add(&x->holders, 1); /* the response's callback reads from x */
    }
    if (ok) wake_connection(x);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void srv_stream_finish(srv_exchange *x) {
    pthread_mutex_lock(&x->stream.lock);
    x->stream.finished = true;
    wake_connection(x);
    pthread_mutex_unlock(&x->stream.lock);
}

/* ---- The connection's end ---------------------------------------------------- */

static ssize_t read_stream(void *exchange, uint64_t position, char *out, size_t most) {
    srv_exchange *x = exchange;
    srv_stream *s = &x->stream;
    ssize_t n = 0;
    pthread_mutex_lock(&s->lock);
    size_t left = s->end - s->begin;
    if (left) {
        n = (ssize_t)(left < most ? left : most);
        memcpy(out, s->data + s->begin, (size_t)n);
        s->begin += (size_t)n;
        x->sent += (size_t)n;
        pthread_cond_signal(&s->drained);
    } else if (s->finished) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        MHD_suspend_connection(x->connection);
        srv_connection_watch(srv_daemon_connections(x->daemon), x->socket, &x->gone);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void response_freed(void *exchange) { srv_exchange_release(exchange); }

struct MHD_Response *srv_stream_response(srv_exchange *x) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, read_stream, x, response_freed);
    if (response) x->stream.held = false;
    return response;
}

void srv_stream_break(srv_exchange *x) {
    pthread_mutex_lock(&x->stream.lock);
    x->stream.broken = true;
    pthread_cond_signal(&x->stream.drained);
    pthread_mutex_unlock(&x->stream.lock);
}
