/* connections.c -- one thread with an epoll of its own, and a sweep twice a second.
 *
 * A peer that shuts down its writing side only (printf ... | nc -N) looks like one that closed: both send FIN.
 * It is taken as gone, as nginx and Go's net/http do; who wants an answer keeps the connection open.
 *
 * Cutting is shutdown(2), not close(2): the socket stays libmicrohttpd's, which sees the end of the stream
 * and cleans up. Descriptors are used under the lock only, and a connection leaves the set under the lock
 * before its descriptor is closed, so a number that was used again is never hit. */
#include "connections.h"
#include "http.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SWEEP_MS = 500, LEAST_BYTES_PER_S = 8 << 10, EVENTS = 64 };

struct srv_connection {
    int fd;
    srv_connection_phase phase;
    double since;
    uint64_t bytes;
    atomic_bool *gone; /* NULL: not watched */
    bool cut;
    srv_connection *before, *next;
};

struct srv_connections {
    pthread_mutex_t lock;
    pthread_t thread;
    srv_metrics *metrics;
    double timeout_ms;
    size_t most, count;
    srv_connection *head;
    srv_connection **by_fd;
    size_t nfds;
    int epoll, stop;
};

static void look_gone(srv_connections *set, int fd) {
    pthread_mutex_lock(&set->lock);
    srv_connection *c = fd >= 0 && (size_t)fd < set->nfds ? set->by_fd[fd] : NULL;
    if (c && c->gone) {
        /* Once more, now that nobody can close it: the event may be of an older socket of this number. */
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};
        if (poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP | POLLERR)) atomic_store(c->gone, true);
    }
    pthread_mutex_unlock(&set->lock);
}

static double patience(const srv_connections *set, const srv_connection *c) {
    double rate = (double)c->bytes * 1e3 / LEAST_BYTES_PER_S;
    switch (c->phase) {
    case SRV_CONNECTION_IDLE: /* the fuller, the less; good clients send a head in one packet */
        if (4 * set->count > 3 * set->most) return set->timeout_ms / 8;
        return set->timeout_ms;
    case SRV_CONNECTION_RECEIVING:
    case SRV_CONNECTION_SENDING: return set->timeout_ms + rate;
    case SRV_CONNECTION_RUNNING: break;
    }
    return -1;
}

static void sweep(srv_connections *set) {
    double now = srv_now_ms();
    pthread_mutex_lock(&set->lock);
    for (srv_connection *c = set->head; c; c = c->next) {
        double most = patience(set, c);
        if (c->cut || most < 0 || now - c->since <= most) continue;
        c->cut = true;
        shutdown(c->fd, SHUT_RDWR);
        srv_metrics_add(set->metrics, SRV_COUNT_SLOW, 1);
    }
    pthread_mutex_unlock(&set->lock);
}

static void *watch_main(void *ctx) {
    srv_connections *set = ctx;
    struct epoll_event events[EVENTS];
    double swept = srv_now_ms();
    for (bool going = true; going;) {
        int n = epoll_wait(set->epoll, events, EVENTS, SWEEP_MS);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == set->stop) going = false;
            else look_gone(set, events[i].data.fd);
        }
        if (srv_now_ms() - swept < SWEEP_MS) continue;
        sweep(set);
        swept = srv_now_ms();
    }
    return NULL;
}

wn_status srv_connections_create(unsigned timeout_s, size_t most, srv_metrics *metrics, srv_connections **out,
                                 wn_error *err) {
    srv_connections *set = calloc(1, sizeof *set);
    if (!set) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    pthread_mutex_init(&set->lock, NULL);
    set->metrics = metrics;
    set->timeout_ms = timeout_s * 1e3;
    set->most = most;
    set->epoll = epoll_create1(EPOLL_CLOEXEC);
    set->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = set->stop};
    int e = set->epoll < 0 || set->stop < 0 || epoll_ctl(set->epoll, EPOLL_CTL_ADD, set->stop, &event) ? errno : 0;
    if (!e) e = pthread_create(&set->thread, NULL, watch_main, set);
    if (e) {
        if (set->epoll >= 0) close(set->epoll);
        if (set->stop >= 0) close(set->stop);
        pthread_mutex_destroy(&set->lock);
        free(set);
        return srv_fail(err, WN_ERR_IO, "watching connections: %s", strerror(e));
    }
    *out = set;
    return WN_OK;
}

void srv_connections_free(srv_connections *set) {
    if (!set) return;
    uint64_t one = 1;
    if (write(set->stop, &one, sizeof one) < 0) abort(); /* an eventfd at 0 takes a 1 */
    pthread_join(set->thread, NULL);
    close(set->epoll);
    close(set->stop);
    pthread_mutex_destroy(&set->lock);
    free(set->by_fd);
    free(set);
}

size_t srv_connections_count(srv_connections *set) {
    pthread_mutex_lock(&set->lock);
    size_t n = set->count;
    pthread_mutex_unlock(&set->lock);
    return n;
}

static bool reserve_fd(srv_connections *set, int fd) {
    if ((size_t)fd < set->nfds) return true;
    size_t n = set->nfds ? set->nfds : 64;
    while (n <= (size_t)fd) n *= 2;
    srv_connection **by_fd = realloc(set->by_fd, n * sizeof *by_fd);
    if (!by_fd) return false;
    memset(by_fd + set->nfds, 0, (n - set->nfds) * sizeof *by_fd);
    set->by_fd = by_fd;
    set->nfds = n;
    return true;
}

srv_connection *srv_connection_open(srv_connections *set, int fd) {
    srv_connection *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->fd = fd;
    c->since = srv_now_ms();
    pthread_mutex_lock(&set->lock);
    if (reserve_fd(set, fd)) {
        set->by_fd[fd] = c;
        c->next = set->head;
        if (set->head) set->head->before = c;
        set->head = c;
        set->count++;
    } else {
        free(c);
        c = NULL;
    }
    pthread_mutex_unlock(&set->lock);
    if (c) srv_metrics_add(set->metrics, SRV_COUNT_CONNECTIONS, 1);
    return c;
}

void srv_connection_close(srv_connections *set, srv_connection *c) {
    if (!c) return;
    pthread_mutex_lock(&set->lock);
    set->by_fd[c->fd] = NULL;
    if (c->before) c->before->next = c->next;
    else set->head = c->next;
    if (c->next) c->next->before = c->before;
    set->count--;
    pthread_mutex_unlock(&set->lock);
    free(c);
}

void srv_connection_enter(srv_connections *set, srv_connection *c, srv_connection_phase phase, uint64_t bytes) {
    if (!c) return;
    pthread_mutex_lock(&set->lock);
    c->phase = phase;
    c->since = srv_now_ms();
    c->bytes = bytes;
    pthread_mutex_unlock(&set->lock);
}

void srv_connection_received(srv_connections *set, srv_connection *c, uint64_t bytes) {
    if (!c) return;
    pthread_mutex_lock(&set->lock);
    c->bytes = bytes;
    pthread_mutex_unlock(&set->lock);
}

void srv_connection_watch(srv_connections *set, srv_connection *c, atomic_bool *gone) {
    if (!c) return;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.fd = c->fd};
    pthread_mutex_lock(&set->lock);
    c->gone = gone;
    epoll_ctl(set->epoll, EPOLL_CTL_ADD, c->fd, &event); /* failing: the client is found out when we write */
    pthread_mutex_unlock(&set->lock);
}

void srv_connection_unwatch(srv_connections *set, srv_connection *c) {
    if (!c) return;
    pthread_mutex_lock(&set->lock);
    if (c->gone) epoll_ctl(set->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    c->gone = NULL;
    pthread_mutex_unlock(&set->lock);
}

void srv_connections_cancel(srv_connections *set) {
    pthread_mutex_lock(&set->lock);
    for (srv_connection *c = set->head; c; c = c->next)
        if (c->gone) atomic_store(c->gone, true);
    pthread_mutex_unlock(&set->lock);
}
