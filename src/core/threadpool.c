/* threadpool.c -- a fixed set of workers that run numbered tasks.
 *
 * One mutex and two condition variables; tasks are claimed with an atomic
 * counter. A run costs two wake-ups (about 10 us here); the encoder makes one run a
 * batch, not one a layer, so a lock-free design would gain nothing. */
#include "core/threadpool.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct {
    wn_pool *pool;
    int index;
} worker_arg;

struct wn_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    uint64_t generation; /* counts runs; a worker waits for a new one */
    int busy;            /* workers that have not finished this run */
    bool stop;
    wn_task_fn fn;
    void *ctx;
    size_t ntasks;
    _Atomic size_t next;
    void (*start)(void);
    int nthreads;
    pthread_t *threads;
    worker_arg *args;
};

static void *worker_main(void *p) {
    worker_arg *arg = p;
    wn_pool *pool = arg->pool;
    uint64_t seen = 0;
    if (pool->start) pool->start();
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->generation == seen) pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop) break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        for (;;) {
            size_t task = atomic_fetch_add(&pool->next, 1);
            if (task >= pool->ntasks) break;
            pool->fn(pool->ctx, task, arg->index);
        }
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

wn_status wn_pool_create(int threads, void (*start)(void), wn_pool **out, wn_error *err) {
    if (threads <= 0) threads = wn_cpu_count();
    if (threads > 256) threads = 256;
    wn_pool *pool = wn_calloc(1, sizeof *pool);
    if (!pool) return wn_fail_memory(err, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->start = start;
    pool->threads = wn_calloc((size_t)threads, sizeof *pool->threads);
    pool->args = wn_calloc((size_t)threads, sizeof *pool->args);
    if (!pool->threads || !pool->args) {
        wn_pool_free(pool);
        return wn_fail_memory(err, (size_t)threads * sizeof *pool->threads);
    }
    for (int i = 0; i < threads; i++) {
        pool->args[i] = (worker_arg){.pool = pool, .index = i};
        if (pthread_create(&pool->threads[i], NULL, worker_main, &pool->args[i]) != 0) {
            wn_pool_free(pool);
            return wn_fail(err, WN_ERR_IO, "cannot start worker thread %d of %d", i + 1, threads);
        }
        pool->nthreads = i + 1;
    }
    *out = pool;
    return WN_OK;
}

void wn_pool_free(wn_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->nthreads; i++) pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    wn_free(pool->threads);
    wn_free(pool->args);
    wn_free(pool);
}

int wn_pool_size(const wn_pool *pool) { return pool->nthreads; }

void wn_pool_run(wn_pool *pool, size_t ntasks, wn_task_fn fn, void *ctx) {
    if (!ntasks) return;
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->ctx = ctx;
    pool->ntasks = ntasks;
    atomic_store(&pool->next, 0);
    pool->busy = pool->nthreads;
    pool->generation++;
    pthread_cond_broadcast(&pool->wake);
    while (pool->busy) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
