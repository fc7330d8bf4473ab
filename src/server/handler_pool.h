/* handler_pool.h -- threads that run handlers: as many as there are requests at once, up to a limit. */
#ifndef WN_SERVER_HANDLER_POOL_H
#define WN_SERVER_HANDLER_POOL_H

#include <stdbool.h>
#include <stddef.h>

typedef struct srv_handler_pool srv_handler_pool;
srv_handler_pool *srv_handler_pool_create(size_t most, void (*run)(void *job)); /* NULL: no memory */
/* False: `most` jobs run or wait already, or no thread could be started. Never waits. */
bool srv_handler_pool_submit(srv_handler_pool *pool, void *job);
void srv_handler_pool_look(srv_handler_pool *pool, size_t *jobs, size_t *threads);
/* Takes no more jobs and waits for those it has. */
void srv_handler_pool_drain(srv_handler_pool *pool);
void srv_handler_pool_free(srv_handler_pool *pool);
#endif
