/* metrics.c -- counters as relaxed atomics, printed as Prometheus text (exposition format 0.0.4).
 * A scrape is not a snapshot: a counter read later may be some events ahead. Prometheus expects no more. */
#include "metrics.h"
#include "router.h"

#include <stdatomic.h>
#include <stdlib.h>

typedef _Atomic uint64_t counter;

static const double SECONDS[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
static const double ITEMS[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
static const double TOKENS[] = {16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384};
enum { MAX_BOUNDS = 16 };

typedef struct histogram {
    const double *bounds;
    size_t n;
    counter buckets[MAX_BOUNDS + 1]; /* not cumulative; the last is +Inf */
    counter millionths;              /* the sum */
} histogram;

static const int STATUSES[] = {200, 204, 400, 401, 404, 405, 408, 409, 413, 415, 422, 424, 429, 499, 500, 501, 503};
enum { NSTATUSES = sizeof STATUSES / sizeof *STATUSES };

struct srv_metrics {
    size_t nroutes;
    counter counts[SRV_NCOUNTS];
    histogram stages[SRV_NSTAGES], items, tokens;
    counter requests[]; /* [nroutes + 1][NSTATUSES + 1]: the last of each are "other" */
};

#define BOUNDS(a) a, sizeof a / sizeof *a

static void histogram_init(histogram *h, const double *bounds, size_t n) {
    h->bounds = bounds;
    h->n = n;
}

srv_metrics *srv_metrics_create(size_t nroutes) {
    srv_metrics *m = calloc(1, sizeof *m + (nroutes + 1) * (NSTATUSES + 1) * sizeof(counter));
    if (!m) return NULL;
    m->nroutes = nroutes;
    for (int s = 0; s < SRV_NSTAGES; s++) histogram_init(&m->stages[s], BOUNDS(SECONDS));
    histogram_init(&m->items, BOUNDS(ITEMS));
    histogram_init(&m->tokens, BOUNDS(TOKENS));
    return m;
}

void srv_metrics_free(srv_metrics *metrics) { free(metrics); }

static void add(counter *c, uint64_t n) { atomic_fetch_add_explicit(c, n, memory_order_relaxed); }
static uint64_t get(const counter *c) { return atomic_load_explicit(c, memory_order_relaxed); }

static void observe(histogram *h, double value) {
    size_t i = 0;
    while (i < h->n && value > h->bounds[i]) i++;
    add(&h->buckets[i], 1);
    if (value > 0) add(&h->millionths, (uint64_t)(value * 1e6));
}

void srv_metrics_add(srv_metrics *metrics, srv_count what, uint64_t n) { add(&metrics->counts[what], n); }

uint64_t srv_metrics_get(const srv_metrics *metrics, srv_count what) { return get(&metrics->counts[what]); }

void srv_metrics_time(srv_metrics *metrics, srv_stage stage, double ms) {
    observe(&metrics->stages[stage], ms / 1e3);
}

void srv_metrics_request(srv_metrics *metrics, size_t route, int status) {
    size_t s = 0;
    while (s < NSTATUSES && STATUSES[s] != status) s++;
    if (route > metrics->nroutes) route = metrics->nroutes;
    add(&metrics->requests[route * (NSTATUSES + 1) + s], 1);
}

void srv_metrics_pass(srv_metrics *metrics, size_t items, uint64_t tokens) {
    observe(&metrics->items, (double)items);
    observe(&metrics->tokens, (double)tokens);
}

/* ---- Text ----------------------------------------------------------------- */

static void print_head(FILE *to, const char *name, const char *help, const char *type) {
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* label: "stage=\"queue\"" or "". */
static void print_histogram(const histogram *h, const char *name, const char *label, FILE *to) {
    const char *comma = *label ? "," : "";
    uint64_t sum = 0;
    for (size_t i = 0; i < h->n; i++) {
        sum += get(&h->buckets[i]);
        fprintf(to, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, comma, h->bounds[i],
                (unsigned long long)sum);
    }
    sum += get(&h->buckets[h->n]);
    fprintf(to, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma, (unsigned long long)sum);
    const char *open = *label ? "{" : "", *close = *label ? "}" : "";
    fprintf(to, "%s_sum%s%s%s %.6f\n%s_count%s%s%s %llu\n", name, open, label, close,
            (double)get(&h->millionths) / 1e6, name, open, label, close, (unsigned long long)sum);
}

static void print_requests(const srv_metrics *m, FILE *to) {
    print_head(to, "winnow_requests_total", "Requests answered, by route and status.", "counter");
    for (size_t r = 0; r <= m->nroutes; r++) {
        const srv_route *route = r < m->nroutes ? srv_router_route(r) : NULL;
        for (size_t s = 0; s <= NSTATUSES; s++) {
            uint64_t n = get(&m->requests[r * (NSTATUSES + 1) + s]);
            if (!n) continue;
            fprintf(to, "winnow_requests_total{method=\"%s\",route=\"%s\",status=\"", route ? route->method : "",
                    route ? route->path : "other");
            if (s < NSTATUSES) fprintf(to, "%d\"} %llu\n", STATUSES[s], (unsigned long long)n);
            else fprintf(to, "other\"} %llu\n", (unsigned long long)n);
        }
    }
}

static const struct {
    srv_count what;
    const char *name, *help;
} COUNTS[] = {
    {SRV_COUNT_GONE, "winnow_requests_aborted_total", "Requests whose client hung up before the answer."},
    {SRV_COUNT_LATE, "winnow_requests_late_total", "Requests that their deadline cut short."},
    {SRV_COUNT_BUSY_QUEUE, "winnow_refused_queue_full_total", "429 answers because the token queue was full."},
    {SRV_COUNT_BUSY_REQUESTS, "winnow_refused_too_many_total", "429 answers because of too many requests at once."},
    {SRV_COUNT_TOO_LARGE, "winnow_refused_too_large_total", "413 answers."},
    {SRV_COUNT_UNAUTHORIZED, "winnow_refused_unauthorized_total", "401 answers."},
    {SRV_COUNT_SLOW, "winnow_connections_cut_total", "Connections cut because they were silent or dripped."},
    {SRV_COUNT_CONNECTIONS, "winnow_connections_total", "Connections accepted."},
    {SRV_COUNT_TOKENS, "winnow_tokens_total", "Tokens that models read."},
    {SRV_COUNT_PAIRS, "winnow_pairs_total", "Pairs scored."},
    {SRV_COUNT_TEXTS, "winnow_texts_total", "Texts embedded."},
    {SRV_COUNT_RELOADS, "winnow_reloads_total", "Times that models and indexes were loaded afresh."},
    {SRV_COUNT_RELOAD_FAILURES, "winnow_reload_failures_total", "Reloads that failed; the old models stayed."},
};

void srv_metrics_print(const srv_metrics *metrics, const srv_gauge *gauges, size_t ngauges, FILE *to) {
    static const char *const STAGES[SRV_NSTAGES] = {"stage=\"queue\"", "stage=\"compute\"",
                                                    "stage=\"total\"", "stage=\"pass\""};
    print_requests(metrics, to);
    print_head(to, "winnow_duration_seconds", "Time by stage: a request's wait in the queue, its passes and all "
               "of it; pass: one forward pass.", "histogram");
    for (int s = 0; s < SRV_NSTAGES; s++)
        print_histogram(&metrics->stages[s], "winnow_duration_seconds", STAGES[s], to);
    print_head(to, "winnow_batch_items", "Pairs or texts of one forward pass.", "histogram");
    print_histogram(&metrics->items, "winnow_batch_items", "", to);
    print_head(to, "winnow_batch_tokens", "Tokens of one forward pass.", "histogram");
    print_histogram(&metrics->tokens, "winnow_batch_tokens", "", to);
    for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++) {
        print_head(to, COUNTS[i].name, COUNTS[i].help, "counter");
        fprintf(to, "%s %llu\n", COUNTS[i].name, (unsigned long long)get(&metrics->counts[COUNTS[i].what]));
    }
    for (size_t i = 0; i < ngauges; i++) {
        print_head(to, gauges[i].name, gauges[i].help, "gauge");
        fprintf(to, "%s %.17g\n", gauges[i].name, gauges[i].value);
    }
}
