/* access_log.c -- the log is for machines: one object a line, one write(2) a line, so that lines of several
 * processes in one file stay whole. Query strings and bodies are not logged: they are the users' texts. */
#include "access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct srv_access_log {
    char *path; /* NULL: standard error */
    int fd;
    pthread_mutex_t lock;
};

static int open_file(const char *path) { return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640); }

wn_status srv_access_log_open(const char *path, srv_access_log **out, wn_error *err) {
    srv_access_log *log = calloc(1, sizeof *log);
    if (!log) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    log->fd = STDERR_FILENO;
    if (strcmp(path, "-") != 0) {
        log->path = strdup(path);
        log->fd = log->path ? open_file(path) : -1;
        if (log->fd < 0) {
            wn_status st = srv_fail(err, WN_ERR_IO, "%s: %s", path, strerror(errno));
            free(log->path);
            free(log);
            return st;
        }
    }
    pthread_mutex_init(&log->lock, NULL);
    *out = log;
    return WN_OK;
}

void srv_access_log_reopen(srv_access_log *log) {
    if (!log || !log->path) return;
    int fd = open_file(log->path);
    if (fd < 0) return; /* the old file is better than none */
    pthread_mutex_lock(&log->lock);
    int old = log->fd;
    log->fd = fd;
    pthread_mutex_unlock(&log->lock);
    close(old);
}

void srv_access_log_close(srv_access_log *log) {
    if (!log) return;
    if (log->path) close(log->fd);
    pthread_mutex_destroy(&log->lock);
    free(log->path);
    free(log);
}

/* Bytes that are no UTF-8 become '?'. NULL stays NULL: the member is left out. */
static json_t *text_of(const char *text) {
    if (!text) return NULL;
    json_t *value = json_string(text);
    if (value) return value;
    char *copy = strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80) *p = '?';
    value = copy ? json_string(copy) : NULL;
    free(copy);
    return value;
}

static double rounded(double ms) { return (double)(long long)(ms * 1e3 + 0.5) / 1e3; }

void srv_access_log_write(srv_access_log *log, const srv_access *a) {
    if (!log) return;
    char when[40];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
    json_t *line = json_pack(
        "{s:s,s:o*,s:o*,s:o*,s:o*,s:o*,s:i,s:I,s:I,s:f}", "time", when, "id", text_of(a->id), "remote",
        text_of(a->remote), "client", text_of(a->client), "method", text_of(a->method), "path", text_of(a->path),
        "status", a->status, "received", (json_int_t)a->received, "sent", (json_int_t)a->sent, "ms", rounded(a->ms));
    if (!line) return;
    if (a->usage->items) {
        json_object_set_new(line, "queue_ms", json_real(rounded(a->usage->queue_ms)));
        json_object_set_new(line, "compute_ms", json_real(rounded(a->usage->compute_ms)));
        json_object_set_new(line, "tokens", json_integer((json_int_t)a->usage->tokens));
        json_object_set_new(line, "items", json_integer((json_int_t)a->usage->items));
    }
    if (a->gone) json_object_set_new(line, "gone", json_true());
    if (a->agent) json_object_set_new(line, "agent", text_of(a->agent));
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(line);
    if (!text) return;
    size_t length = strlen(text);
    text[length++] = '\n'; /* in the place of the NUL: the length is known */
    pthread_mutex_lock(&log->lock);
    ssize_t written = write(log->fd, text, length); /* a full disk must not stop the server */
    (void)written;
    pthread_mutex_unlock(&log->lock);
    free(text);
}
