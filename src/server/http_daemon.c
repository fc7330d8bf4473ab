/* http_daemon.c -- libmicrohttpd's callbacks: limits, keys, routes; hands complete requests to handler threads.
 *
 * One network thread (poll) receives and sends; it never waits. When a request is complete its connection is
 * suspended, a thread of the pool runs the handler, and the connection is resumed with the answer.
 *
 * Refusals (a wrong key, an unknown path, a body over the limit) are decided when the head has come. A client
 * that asked first (Expect: 100-continue) hears at once; of the others the body is read and dropped, up
 * to DRAIN_MOST, because closing a socket with unread data would reset it, and the client would see a broken
 * connection in place of the answer.
 *
 * Rejected: libmicrohttpd's thread per connection (1,000 idle clients are 1,000 threads); an event loop of our
 * own (HTTP's edge cases are the library's daily work); and libmicrohttpd's epoll (0.9.75): when a wait returns exactly
 * 128 events, as many as its array holds, it waits once more before it looks at any, and all of them stand still until
 * something else happens or the client timeout cuts them. poll costs a look at every connection a wake: less than
 * one answer's work with 1,000 of them. */
#include "http_daemon.h"
#include "access_log.h"
#include "handler_pool.h"
#include "http_daemon_internal.h"
#include "keys.h"
#include "router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Parsed JSON takes up to twenty times its text: RUNNING_BODIES_MOST bounds what handlers can hold at once. */
static const size_t DRAIN_MOST = (size_t)256 << 20, LARGE_BODY = (size_t)64 << 20,
                    ALL_BODIES_MOST = (size_t)256 << 20, RUNNING_BODIES_MOST = (size_t)64 << 20;
enum { LAST_ANSWERS_MS = 1000 };

/* Requests that one client has in handlers. */
typedef struct client_load {
    struct client_load *next;
    size_t running;
    char name[];
} client_load;

struct srv_daemon {
    const srv_config *config;
    srv_service *service;
    struct MHD_Daemon *mhd;
    srv_connections *connections;
    srv_handler_pool *pool;
    srv_access_log *log;
    pthread_rwlock_t keys_lock;
    srv_keys *keys;
    atomic_size_t active;     /* requests begun and not over */
    atomic_size_t body_bytes; /* held by all of them */
    atomic_bool stopping;
    int listen_fd;
    /* The network thread's alone. */
    client_load *clients;
    size_t running_bytes; /* bodies of requests in handlers */
};

srv_connections *srv_daemon_connections(srv_daemon *d) { return d->connections; }
const srv_config *srv_daemon_config(const srv_daemon *d) { return d->config; }
void srv_daemon_uncount_body(srv_daemon *d, size_t bytes) { atomic_fetch_sub(&d->body_bytes, bytes); }

static srv_metrics *metrics(const srv_daemon *d) { return srv_service_metrics(d->service); }

/* ---- The head --------------------------------------------------------------- */

static const char *header(const srv_exchange *x, const char *name) {
    return srv_fields_find(&x->transport.headers, name, true);
}

static enum MHD_Result add_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value) {
    srv_exchange *x = ctx;
    srv_fields *to = kind == MHD_GET_ARGUMENT_KIND ? &x->transport.query : &x->transport.headers;
    return srv_fields_add(to, name, value ? value : "") ? MHD_YES : MHD_NO;
}

static bool copy_fields(srv_exchange *x) {
    const enum MHD_ValueKind kinds[] = {MHD_HEADER_KIND, MHD_GET_ARGUMENT_KIND};
    const srv_fields *to[] = {&x->transport.headers, &x->transport.query};
    for (int i = 0; i < 2; i++) {
        int n = MHD_get_connection_values(x->connection, kinds[i], NULL, NULL);
        MHD_get_connection_values(x->connection, kinds[i], add_header, x);
        if (n < 0 || to[i]->count != (size_t)n) return false;
    }
    return true;
}

/* The client's id when it is short and of harmless characters, else 16 random hex digits. */
static void choose_id(srv_exchange *x) {
    const char *given = header(x, "X-Request-Id");
    size_t n = given ? strlen(given) : 0;
    if (n && n < sizeof x->id &&
        strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") == n) {
        memcpy(x->id, given, n + 1);
        return;
    }
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = (uint64_t)(srv_now_ms() * 1e6) ^ (uint64_t)(uintptr_t)x;
    snprintf(x->id, sizeof x->id, "%016llx", (unsigned long long)number);
}

static void describe_peer(srv_exchange *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    snprintf(x->remote, sizeof x->remote, "local");
    if (!address) return;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, x->remote,
                  sizeof x->remote);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, x->remote,
                  sizeof x->remote);
}

static bool copy_client(srv_exchange *x, const char *name) {
    free(x->client);
    x->client = strdup(name);
    x->request.client = x->client;
    return x->client != NULL;
}

static void refuse(srv_exchange *x, int status, const char *format, ...) WN_PRINTF(3, 4);
static void refuse(srv_exchange *x, int status, const char *format, ...) {
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    x->refused = true;
    srv_respond_error(&x->response, x->dialect, status, NULL, NULL, "%s", message);
}

/* The key of the request, from any of the headers that clients use. */
static const char *key_of(const srv_exchange *x) {
    const char *value = header(x, "Authorization");
    if (value && !strncasecmp(value, "Bearer ", 7)) {
        value += 7;
        return value + strspn(value, " ");
    }
    if ((value = header(x, "x-api-key"))) return value;
    return header(x, "api-key");
}

/* False: refused. */
static bool check_key(srv_exchange *x) {
    srv_daemon *d = x->daemon;
    pthread_rwlock_rdlock(&d->keys_lock);
    bool asked = d->keys && !(x->route && x->route->flags & SRV_ROUTE_OPEN);
    const char *name = d->keys ? srv_keys_check(d->keys, key_of(x)) : NULL;
    bool memory = copy_client(x, name ? name : x->remote);
    pthread_rwlock_unlock(&d->keys_lock);
    if (!memory) {
        refuse(x, 503, "out of memory");
        return false;
    }
    if (!asked || name) return true;
    srv_metrics_add(metrics(d), SRV_COUNT_UNAUTHORIZED, 1);
    refuse(x, 401, key_of(x) ? "this API key is not known" : "an API key is needed: Authorization: Bearer KEY");
    return false;
}

static bool read_timeout(srv_exchange *x) {
    const char *value = header(x, "X-Timeout-Ms");
    if (!value) return true;
    char *end;
    double ms = strtod(value, &end);
    if (end == value || *end || !(ms > 0) || !isfinite(ms)) {
        refuse(x, 400, "X-Timeout-Ms must be a number of milliseconds above 0");
        return false;
    }
    x->request.deadline_ms = x->begin + ms;
    return true;
}

static bool check_length(srv_exchange *x) {
    const srv_config *config = x->daemon->config;
    x->body_limit = config->max_body_bytes; /* and below, what Content-Length says if that is less */
    if (x->route->flags & SRV_ROUTE_LARGE_BODY && x->body_limit < LARGE_BODY) x->body_limit = LARGE_BODY;
    const char *length = header(x, "Content-Length");
    unsigned long long bytes = length ? strtoull(length, NULL, 10) : 0;
    if (bytes <= x->body_limit) {
        if (length) x->body_limit = (size_t)bytes; /* libmicrohttpd lets no more through */
        return true;
    }
    srv_metrics_add(metrics(x->daemon), SRV_COUNT_TOO_LARGE, 1);
    refuse(x, 413, "the body has %.20s bytes, %zu are accepted", length, x->body_limit);
    return false;
}

static void answer_preflight(srv_exchange *x) {
    x->refused = true;
    srv_respond_bytes(&x->response, 204, "text/plain", "", 0);
    srv_respond_header(&x->response, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
    srv_respond_header(&x->response, "Access-Control-Allow-Headers",
                       "Authorization, Content-Type, X-Request-Id, X-Timeout-Ms, x-api-key, api-key");
    srv_respond_header(&x->response, "Access-Control-Max-Age", "86400");
}

/* All that can be decided from the head. */
static void judge_head(srv_exchange *x) {
    char allow[64];
    srv_daemon *d = x->daemon;
    x->route_number = srv_router_count();
    if (!copy_fields(x)) {
        refuse(x, 503, "out of memory");
        return;
    }
    choose_id(x);
    describe_peer(x);
    x->route = srv_router_find(x->method, x->path, &x->route_number, allow, &x->dialect);
    if (d->config->cors_origin && !strcmp(x->method, "OPTIONS")) {
        answer_preflight(x);
        return;
    }
    if (!check_key(x)) return;
    if (!x->route && *allow) {
        refuse(x, 405, "%.20s does not go with %.200s: %s", x->method, x->path, allow);
        srv_respond_header(&x->response, "Allow", allow);
    } else if (!x->route) {
        refuse(x, 404, "there is nothing at %.200s", x->path);
    } else if (!(x->route->flags & SRV_ROUTE_BEFORE_READY) && srv_service_phase(d->service) <= SRV_LOADING) {
        refuse(x, 503, "models are being loaded; try again soon");
    } else if (read_timeout(x)) {
        check_length(x);
    }
}

/* ---- The body --------------------------------------------------------------- */

static bool grow_body(srv_exchange *x, size_t length) {
    if (x->body_length + length + 1 <= x->body_cap) return true;
    size_t cap = x->body_length + length + 1;
    if (cap < 2 * x->body_cap) cap = 2 * x->body_cap < x->body_limit + 1 ? 2 * x->body_cap : x->body_limit + 1;
    size_t more = cap - x->body_cap;
    if (atomic_fetch_add(&x->daemon->body_bytes, more) + more > ALL_BODIES_MOST) {
        atomic_fetch_sub(&x->daemon->body_bytes, more);
        return false;
    }
    char *body = realloc(x->body, cap);
    if (!body) {
        atomic_fetch_sub(&x->daemon->body_bytes, more);
        return false;
    }
    x->body = body;
    x->body_cap = cap;
    return true;
}

/* MHD_NO cuts the connection: only for who sends without end. */
static enum MHD_Result receive(srv_exchange *x, const char *data, size_t length) {
    x->received += length;
    srv_connection_received(x->daemon->connections, x->socket, x->received);
    if (x->refused) return x->received <= DRAIN_MOST ? MHD_YES : MHD_NO;
    if (x->body_length + length > x->body_limit) {
        srv_metrics_add(metrics(x->daemon), SRV_COUNT_TOO_LARGE, 1);
        refuse(x, 413, "the body has over %zu bytes", x->body_limit);
    } else if (!grow_body(x, length)) {
        refuse(x, 503, "too many large requests at once; try again later");
    }
    if (x->refused) return MHD_YES;
    memcpy(x->body + x->body_length, data, length);
    x->body_length += length;
    x->body[x->body_length] = 0;
    x->request.body = x->body;
    x->request.body_length = x->body_length;
    return MHD_YES;
}

/* ---- Handlers --------------------------------------------------------------- */

static void run_handler(srv_exchange *x) {
    srv_usage_current = &x->usage;
    srv_request_current = &x->request;
    x->route->handler(x->daemon->service, &x->request, &x->response);
    srv_usage_current = NULL;
    srv_request_current = NULL;
    if (!x->response.status)
        srv_respond_error(&x->response, x->dialect, 500, NULL, NULL, "no answer was made: a defect of winnow");
}

/* On a thread of the pool. */
static void handle(void *job) {
    srv_exchange *x = job;
    run_handler(x);
    if (x->stream.started) {
        srv_stream_finish(x);
    } else {
        x->response.streaming = false; /* its first event already found the client gone */
        x->handled = true;
        srv_connection_unwatch(x->daemon->connections, x->socket);
        MHD_resume_connection(x->connection);
    }
    srv_exchange_release(x);
}

static client_load **find_client(srv_daemon *d, const char *name) {
    client_load **at = &d->clients;
    while (*at && strcmp((*at)->name, name) != 0) at = &(*at)->next;
    return at;
}

/* Counts a request against its client and the bodies in handlers; false: refused. One client gets three
 * quarters of max_concurrent, so that others find a place. */
static bool admit(srv_exchange *x) {
    srv_daemon *d = x->daemon;
    size_t most = d->config->max_concurrent, length = strlen(x->client) + 1;
    client_load **at = find_client(d, x->client);
    if (d->running_bytes && d->running_bytes + x->body_length > RUNNING_BODIES_MOST) {
        refuse(x, 429, "too many large requests run already; try again later");
    } else if (*at && (*at)->running >= most - most / 4) {
        refuse(x, 429, "%zu of your requests run already; try again later", (*at)->running);
    } else if (!*at && !(*at = calloc(1, sizeof **at + length))) {
        refuse(x, 503, "out of memory");
    }
    if (x->refused) {
        srv_metrics_add(metrics(d), SRV_COUNT_BUSY_REQUESTS, 1);
        return false;
    }
    memcpy((*at)->name, x->client, length);
    (*at)->running++;
    d->running_bytes += x->body_length;
    x->admitted = true;
    return true;
}

static void dismiss(srv_exchange *x) {
    if (!x->admitted) return;
    client_load **at = find_client(x->daemon, x->client), *c = *at;
    x->admitted = false;
    x->daemon->running_bytes -= x->body_length;
    if (--c->running) return;
    *at = c->next;
    free(c);
}

/* The answer is queued when libmicrohttpd comes back after the resume, never on a suspended connection. */
static void dispatch(srv_exchange *x) {
    srv_daemon *d = x->daemon;
    x->dispatched = true;
    if (x->route->flags & SRV_ROUTE_INLINE) {
        run_handler(x);
        x->handled = true;
        return;
    }
    if (!admit(x)) return;
    srv_connection_enter(d->connections, x->socket, SRV_CONNECTION_RUNNING, 0);
    atomic_fetch_add(&x->holders, 1);
    MHD_suspend_connection(x->connection);
    srv_connection_watch(d->connections, x->socket, &x->gone);
    if (srv_handler_pool_submit(d->pool, x)) return;
    srv_connection_unwatch(d->connections, x->socket);
    srv_exchange_release(x);
    srv_metrics_add(metrics(d), SRV_COUNT_BUSY_REQUESTS, 1);
    refuse(x, 429, "%zu requests run already; try again later", d->config->max_concurrent);
    MHD_resume_connection(x->connection);
}

/* ---- The answer ------------------------------------------------------------- */

static struct MHD_Response *response_of(srv_exchange *x) {
    srv_response *r = &x->response;
    if (r->streaming) return srv_stream_response(x);
    enum MHD_ResponseMemoryMode mode = r->owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT;
    x->sent = r->length;
    struct MHD_Response *response = MHD_create_response_from_buffer(r->length, (void *)(uintptr_t)r->data, mode);
    if (response) r->owned = NULL; /* libmicrohttpd frees it */
    return response;
}

static enum MHD_Result queue_answer(srv_exchange *x) {
    srv_daemon *d = x->daemon;
    srv_response *r = &x->response;
    struct MHD_Response *response = response_of(x);
    if (!response) return MHD_NO;
    for (size_t i = 0; i < r->fields.count; i++)
        MHD_add_response_header(response, r->fields.items[i].name, r->fields.items[i].value);
    MHD_add_response_header(response, "X-Request-Id", x->id);
    if (d->config->cors_origin) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", d->config->cors_origin);
        MHD_add_response_header(response, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
        if (strcmp(d->config->cors_origin, "*") != 0) MHD_add_response_header(response, "Vary", "Origin");
    }
    if (atomic_load(&d->stopping)) MHD_add_response_header(response, "Connection", "close");
    x->queued = true;
    srv_connection_enter(d->connections, x->socket, r->streaming ? SRV_CONNECTION_RUNNING : SRV_CONNECTION_SENDING,
                         x->sent);
    enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- Callbacks -------------------------------------------------------------- */

static srv_connection *socket_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static enum MHD_Result access_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *data, size_t *length,
                                      void **state) {
    srv_daemon *d = ctx;
    srv_exchange *x = *state;
    if (!x) {
        x = *state = srv_exchange_create(d, connection, socket_of(connection), method, url);
        if (!x) return MHD_NO;
        atomic_fetch_add(&d->active, 1);
        judge_head(x);
        srv_connection_enter(d->connections, x->socket, SRV_CONNECTION_RECEIVING, 0);
        const char *expect = header(x, "Expect");
        return x->refused && expect && !strcasecmp(expect, "100-continue") ? queue_answer(x) : MHD_YES;
    }
    if (*length) {
        enum MHD_Result result = receive(x, data, *length);
        *length = 0;
        return result;
    }
    if (x->queued) return MHD_YES;
    if (!x->refused && !x->dispatched) {
        dispatch(x);
        if (x->admitted) return MHD_YES; /* suspended: we are called again with the answer */
    }
    return queue_answer(x);
}

static void log_request(srv_exchange *x) {
    srv_daemon *d = x->daemon;
    double ms = srv_now_ms() - x->begin;
    int status = x->queued ? x->response.status : 499;
    srv_metrics_request(metrics(d), x->route_number, status);
    srv_metrics_time(metrics(d), SRV_STAGE_TOTAL, ms);
    srv_access a = {.id = x->id, .remote = x->remote, .client = x->client, .method = x->method, .path = x->path,
                    .agent = header(x, "User-Agent"), .status = status, .gone = atomic_load(&x->gone),
                    .received = x->received, .sent = x->sent, .ms = ms, .usage = &x->usage};
    srv_access_log_write(d->log, &a);
}

static void request_over(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    srv_daemon *d = ctx;
    srv_exchange *x = *state;
    if (!x) return;
    *state = NULL;
    bool completed = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (!completed) atomic_store(&x->gone, true);
    if (atomic_load(&x->gone)) srv_metrics_add(metrics(d), SRV_COUNT_GONE, 1);
    srv_stream_break(x);
    dismiss(x);
    srv_connection_enter(d->connections, x->socket, SRV_CONNECTION_IDLE, 0);
    log_request(x);
    if (x->stream.held) srv_exchange_release(x); /* the stream's response was never made */
    srv_exchange_release(x);
    atomic_fetch_sub(&d->active, 1);
}

static void connection_changed(void *ctx, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode code) {
    srv_daemon *d = ctx;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        srv_connection_close(d->connections, *socket_context);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = info ? srv_connection_open(d->connections, info->connect_fd) : NULL;
}

/* ---- Start and stop --------------------------------------------------------- */

static srv_load look(void *ctx) {
    srv_daemon *d = ctx;
    srv_load load = {.connections = srv_connections_count(d->connections), .requests = atomic_load(&d->active),
                     .body_bytes = atomic_load(&d->body_bytes)};
    size_t jobs;
    srv_handler_pool_look(d->pool, &jobs, &load.handlers);
    return load;
}

/* A small file as a string; the caller frees it. */
static wn_status read_text(const char *path, char **out, wn_error *err) {
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "re");
    if (!file) return srv_fail(err, errno == ENOENT ? WN_ERR_NOT_FOUND : WN_ERR_IO, "%s: %s", path, strerror(errno));
    char *text = calloc(1, MOST + 1);
    size_t n = text ? fread(text, 1, MOST, file) : 0;
    bool failed = ferror(file) != 0;
    fclose(file);
    if (!text) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    if (failed || !n || n == MOST) {
        free(text);
        return srv_fail(err, WN_ERR_IO, "%s can't be read, is empty or over 1 MiB", path);
    }
    *out = text;
    return WN_OK;
}

static wn_status start_mhd(srv_daemon *d, wn_error *err) {
    const srv_config *config = d->config;
    char *cert = NULL, *key = NULL;
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    wn_status st = WN_OK;
    if (config->tls_cert) {
        if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
            return srv_fail(err, WN_ERR_UNSUPPORTED, "this libmicrohttpd was built without TLS");
        st = read_text(config->tls_cert, &cert, err);
        if (st == WN_OK) st = read_text(config->tls_key, &key, err);
        flags |= MHD_USE_TLS;
    }
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, d->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)config->max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)config->client_timeout_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)config->max_header_bytes + (16 << 10), NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_over, d},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)connection_changed, d},
        {cert ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, cert},
        {key ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, key},
        {MHD_OPTION_END, 0, NULL},
    };
    if (st == WN_OK) {
        d->mhd = MHD_start_daemon(flags, 0, NULL, NULL, access_request, d, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
        if (!d->mhd)
            st = srv_fail(err, config->tls_cert ? WN_ERR_ARGUMENT : WN_ERR_IO, "libmicrohttpd did not start%s",
                          config->tls_cert ? ": are the TLS certificate and key PEM files that belong together?" : "");
    }
    free(cert);
    free(key);
    return st;
}

static void daemon_free(srv_daemon *d) {
    srv_service_set_load(d->service, NULL, NULL);
    srv_handler_pool_free(d->pool);
    srv_connections_free(d->connections);
    srv_access_log_close(d->log);
    srv_keys_free(d->keys);
    pthread_rwlock_destroy(&d->keys_lock);
    free(d);
}

wn_status srv_daemon_start(const srv_config *config, srv_service *service, int listen_fd, srv_daemon **out,
                           wn_error *err) {
    srv_daemon *d = calloc(1, sizeof *d);
    if (!d) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    d->config = config;
    d->service = service;
    d->listen_fd = listen_fd;
    pthread_rwlock_init(&d->keys_lock, NULL);
    wn_status st = WN_OK;
    if (config->keys_file) st = srv_keys_read(config->keys_file, &d->keys, err);
    if (st == WN_OK && config->access_log) st = srv_access_log_open(config->access_log, &d->log, err);
    if (st == WN_OK)
        st = srv_connections_create(config->client_timeout_s, config->max_connections, metrics(d), &d->connections,
                                    err);
    if (st == WN_OK && !(d->pool = srv_handler_pool_create(config->max_concurrent, handle)))
        st = srv_fail(err, WN_ERR_MEMORY, "out of memory");
    if (st == WN_OK) srv_service_set_load(service, look, d);
    if (st == WN_OK) st = start_mhd(d, err);
    if (st != WN_OK) {
        daemon_free(d);
        return st;
    }
    *out = d;
    return WN_OK;
}

wn_status srv_daemon_reload(srv_daemon *d, wn_error *err) {
    srv_keys *fresh = NULL;
    srv_access_log_reopen(d->log);
    if (!d->config->keys_file) return WN_OK;
    wn_status st = srv_keys_read(d->config->keys_file, &fresh, err);
    if (st != WN_OK) return st;
    pthread_rwlock_wrlock(&d->keys_lock);
    srv_keys *old = d->keys;
    d->keys = fresh;
    pthread_rwlock_unlock(&d->keys_lock);
    srv_keys_free(old);
    return WN_OK;
}

void srv_daemon_stop(srv_daemon *d, unsigned grace_s) {
    double until = srv_now_ms() + grace_s * 1e3;
    const struct timespec pause = {0, 10 * 1000 * 1000};
    atomic_store(&d->stopping, true);
    MHD_quiesce_daemon(d->mhd);
    close(d->listen_fd);
    while (atomic_load(&d->active) && srv_now_ms() < until) nanosleep(&pause, NULL);
    srv_connections_cancel(d->connections); /* what runs yet hears that its client is gone */
    /* libmicrohttpd must not be stopped while a connection is suspended. */
    srv_handler_pool_drain(d->pool);
    for (until = srv_now_ms() + LAST_ANSWERS_MS; atomic_load(&d->active) && srv_now_ms() < until;)
        nanosleep(&pause, NULL);
    MHD_stop_daemon(d->mhd);
    daemon_free(d);
}
