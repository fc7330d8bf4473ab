/* threadpool.h -- a fixed set of workers that run numbered tasks.
 *
 * The caller sleeps while its workers compute: every task runs on a worker, so
 * per-thread state of libraries below us (OpenMP's team size) is set in our own
 * threads only, never in the caller's. A pool of 1 therefore has one worker. */
#ifndef WN_CORE_THREADPOOL_H
#define WN_CORE_THREADPOOL_H
#include <winnow/core.h>

typedef struct wn_pool wn_pool;
/* task in [0, ntasks), worker in [0, wn_pool_size). */
typedef void (*wn_task_fn)(void *ctx, size_t task, int worker);

/* threads <= 0: one a processor. At most 256. `start` (may be NULL) runs once in each worker. */
wn_status wn_pool_create(int threads, void (*start)(void), wn_pool **out, wn_error *err);
void wn_pool_free(wn_pool *pool);
int wn_pool_size(const wn_pool *pool);
/* Runs fn for every task and returns when all are done. Tasks are claimed in
 * ascending order. One caller at a time; allocates nothing. */
void wn_pool_run(wn_pool *pool, size_t ntasks, wn_task_fn fn, void *ctx);
#endif
