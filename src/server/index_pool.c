/* index_pool.c -- handles of one index, lent to one request at a time.
 *
 * A handle holds the index's embeddings in memory, so there are as many as fit into HANDLES_BYTES together, and at
 * least LEAST_HANDLES. A request that finds none waits, as long as its client and its deadline do. A handle sees what
 * other processes commit, so returned ones are simply kept. */
#include "http_internal.h"
#include "index_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEAST_HANDLES = 2, MOST_HANDLES = 64, LOOK_MS = 100 };
static const uint64_t HANDLES_BYTES = (uint64_t)512 << 20;

struct srv_index {
    char *name, *path;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    wn_index *idle[MOST_HANDLES];
    size_t nidle, nopen, most;
};

static bool name_and_path(srv_index *index, const char *given) {
    const char *equals = strchr(given, '='), *slash = strchr(given, '/');
    if (equals && equals > given && (!slash || equals < slash)) {
        index->name = strndup(given, (size_t)(equals - given));
        index->path = strdup(equals + 1);
    } else {
        const char *base = strrchr(given, '/');
        base = base ? base + 1 : given;
        size_t n = strlen(base), end = strlen(".wnindex");
        if (n > end && !strcmp(base + n - end, ".wnindex")) n -= end;
        index->name = strndup(base, n);
        index->path = strdup(given);
    }
    return index->name && index->path;
}

wn_status srv_index_open(const char *given, srv_index **out, wn_error *err) {
    wn_index_info info;
    srv_index *index = calloc(1, sizeof *index);
    if (!index) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    pthread_mutex_init(&index->lock, NULL);
    pthread_cond_init(&index->returned, NULL);
    wn_status st = name_and_path(index, given) ? WN_OK : srv_fail(err, WN_ERR_MEMORY, "out of memory");
    if (st == WN_OK) st = wn_index_open(index->path, &index->idle[0], err);
    if (st != WN_OK) {
        srv_index_close(index);
        return st;
    }
    index->nidle = index->nopen = 1;
    st = wn_index_describe(index->idle[0], &info, err);
    if (st != WN_OK) {
        srv_index_close(index);
        return st;
    }
    uint64_t bytes = info.embedded * (info.dim + 2) * 5 + 1; /* f32 rows and 8-bit codes */
    uint64_t most = HANDLES_BYTES / bytes;
    index->most = most < LEAST_HANDLES ? LEAST_HANDLES : most > MOST_HANDLES ? MOST_HANDLES : (size_t)most;
    *out = index;
    return WN_OK;
}

void srv_index_close(srv_index *index) {
    if (!index) return;
    for (size_t i = 0; i < index->nidle; i++) wn_index_close(index->idle[i]);
    pthread_mutex_destroy(&index->lock);
    pthread_cond_destroy(&index->returned);
    free(index->name);
    free(index->path);
    free(index);
}

const char *srv_index_name(const srv_index *index) { return index->name; }
const char *srv_index_path(const srv_index *index) { return index->path; }

/* Under the lock. */
static wn_status wait_for_handle(srv_index *index, wn_error *err) {
    const srv_request *request = srv_request_current; /* NULL: the service itself, while loading */
    while (!index->nidle && index->nopen >= index->most) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000L;
        }
        pthread_cond_timedwait(&index->returned, &index->lock, &until);
        if (request && request->gone && atomic_load(request->gone))
            return srv_fail(err, WN_ERR_CANCELLED, "the client is gone");
        if (request && request->deadline_ms > 0 && srv_now_ms() > request->deadline_ms)
            return srv_fail(err, WN_ERR_BUSY, "the deadline came before the index %s was free", index->name);
    }
    return WN_OK;
}

wn_status srv_index_borrow(srv_index *index, wn_index **out, wn_error *err) {
    wn_index *handle = NULL;
    pthread_mutex_lock(&index->lock);
    wn_status st = wait_for_handle(index, err);
    if (st == WN_OK) {
        if (index->nidle) handle = index->idle[--index->nidle];
        else index->nopen++;
    }
    pthread_mutex_unlock(&index->lock);
    if (st != WN_OK) return st;
    if (handle) {
        *out = handle;
        return WN_OK;
    }
    st = wn_index_open(index->path, out, err);
    if (st != WN_OK) {
        pthread_mutex_lock(&index->lock);
        index->nopen--;
        pthread_cond_signal(&index->returned);
        pthread_mutex_unlock(&index->lock);
    }
    return st;
}

void srv_index_return(srv_index *index, wn_index *handle) {
    if (!handle) return;
    pthread_mutex_lock(&index->lock);
    index->idle[index->nidle++] = handle;
    pthread_cond_signal(&index->returned);
    pthread_mutex_unlock(&index->lock);
}
