/* handler_pool.c -- a thread for each request that is being handled.
 *
 * A handler spends its time asleep in the batcher; threads cost a stack and no processor. The alternative, handlers as
 * state machines, would make every dialect's file harder to read to save some megabytes. Threads start on
 * demand and end after IDLE_S seconds without work. */
#include "handler_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { IDLE_S = 20, STACK = 1 << 20 };

struct srv_handler_pool {
    pthread_mutex_t lock;
    pthread_cond_t arrived, left;
    pthread_attr_t attributes;
    void (*run)(void *job);
    void **jobs; /* a ring of `most` */
    size_t most, head, waiting, running, threads, idle;
    bool stopping;
};

srv_handler_pool *srv_handler_pool_create(size_t most, void (*run)(void *job)) {
    srv_handler_pool *pool = calloc(1, sizeof *pool);
    if (!pool || !(pool->jobs = calloc(most ? most : 1, sizeof *pool->jobs))) {
        free(pool);
        return NULL;
    }
    pool->most = most ? most : 1;
    pool->run = run;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->arrived, &clock);
    pthread_cond_init(&pool->left, NULL);
    pthread_condattr_destroy(&clock);
    pthread_attr_init(&pool->attributes);
    pthread_attr_setstacksize(&pool->attributes, STACK);
    pthread_attr_setdetachstate(&pool->attributes, PTHREAD_CREATE_DETACHED);
    return pool;
}

/* Under the lock: false when nothing came for IDLE_S seconds, or the pool ends. */
static bool wait_for_job(srv_handler_pool *pool) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    pool->idle++;
    int e = 0;
    while (!pool->waiting && !pool->stopping && e != ETIMEDOUT)
        e = pthread_cond_timedwait(&pool->arrived, &pool->lock, &until);
    pool->idle--;
    return pool->waiting > 0;
}

static void *handler_main(void *ctx) {
    srv_handler_pool *pool = ctx;
    pthread_mutex_lock(&pool->lock);
    while (wait_for_job(pool)) {
        void *job = pool->jobs[pool->head];
        pool->head = (pool->head + 1) % pool->most;
        pool->waiting--;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        pool->run(job);
        pthread_mutex_lock(&pool->lock);
        pool->running--;
    }
    pool->threads--;
    pthread_cond_signal(&pool->left);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

bool srv_handler_pool_submit(srv_handler_pool *pool, void *job) {
    pthread_mutex_lock(&pool->lock);
    bool ok = !pool->stopping && pool->waiting + pool->running < pool->most;
    if (ok && pool->idle <= pool->waiting) { /* every idle thread has a job coming */
        pthread_t thread;
        if (pthread_create(&thread, &pool->attributes, handler_main, pool) == 0) pool->threads++;
        else ok = pool->threads > 0; /* an older thread will come to it */
    }
    if (ok) {
        pool->jobs[(pool->head + pool->waiting++) % pool->most] = job;
        pthread_cond_signal(&pool->arrived);
    }
    pthread_mutex_unlock(&pool->lock);
    return ok;
}

void srv_handler_pool_look(srv_handler_pool *pool, size_t *jobs, size_t *threads) {
    pthread_mutex_lock(&pool->lock);
    *jobs = pool->waiting + pool->running;
    *threads = pool->threads;
    pthread_mutex_unlock(&pool->lock);
}

void srv_handler_pool_drain(srv_handler_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->arrived);
    while (pool->threads) pthread_cond_wait(&pool->left, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void srv_handler_pool_free(srv_handler_pool *pool) {
    if (!pool) return;
    srv_handler_pool_drain(pool);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->arrived);
    pthread_cond_destroy(&pool->left);
    pthread_attr_destroy(&pool->attributes);
    free(pool->jobs);
    free(pool);
}
