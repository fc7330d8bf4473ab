/* metrics.h -- counters and histograms of the server, and their Prometheus text.
 * Any thread may count at any time; nothing here waits. */
#ifndef WN_SERVER_METRICS_H
#define WN_SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct srv_metrics srv_metrics;
srv_metrics *srv_metrics_create(size_t nroutes); /* NULL: out of memory. Route nroutes is "other" */
void srv_metrics_free(srv_metrics *metrics);

typedef enum srv_stage {
    SRV_STAGE_QUEUE = 0, /* in the batcher, waiting for passes */
    SRV_STAGE_COMPUTE,   /* in passes */
    SRV_STAGE_TOTAL,     /* whole request received to response ready */
    SRV_STAGE_PASS,      /* one forward pass, whoever shares it */
    SRV_NSTAGES
} srv_stage;

typedef enum srv_count {
    SRV_COUNT_GONE = 0,        /* requests whose client hung up */
    SRV_COUNT_LATE,            /* requests cut by their deadline */
    SRV_COUNT_BUSY_QUEUE,      /* 429: the token queue was full */
    SRV_COUNT_BUSY_REQUESTS,   /* 429: too many requests at once */
    SRV_COUNT_TOO_LARGE,       /* 413 */
    SRV_COUNT_UNAUTHORIZED,    /* 401 */
    SRV_COUNT_SLOW,            /* connections cut because they dripped or were silent */
    SRV_COUNT_CONNECTIONS,     /* accepted ever */
    SRV_COUNT_TOKENS,          /* read by models */
    SRV_COUNT_PAIRS, SRV_COUNT_TEXTS,
    SRV_COUNT_RELOADS, SRV_COUNT_RELOAD_FAILURES,
    SRV_NCOUNTS
} srv_count;

void srv_metrics_add(srv_metrics *metrics, srv_count what, uint64_t n);
uint64_t srv_metrics_get(const srv_metrics *metrics, srv_count what);
void srv_metrics_time(srv_metrics *metrics, srv_stage stage, double ms);
void srv_metrics_request(srv_metrics *metrics, size_t route, int status);
void srv_metrics_pass(srv_metrics *metrics, size_t items, uint64_t tokens);

/* A value of now that somebody else keeps. */
typedef struct srv_gauge {
    const char *name, *help;
    double value;
} srv_gauge;
void srv_metrics_print(const srv_metrics *metrics, const srv_gauge *gauges, size_t ngauges, FILE *to);
#endif
