/* operation.c -- GET /health, /ready, /metrics.
 *
 * /health is 503 while loading, because the clients of llama.cpp and TEI wait for a model by it; once loaded it stays
 * 200 until the process ends. /ready is 503 also during shutdown, so that a balancer sends no more. */
#include "service_internal.h"

#include <stdlib.h>
#include <unistd.h>

static void respond_phase(srv_response *response, srv_phase phase, bool stopping_is_well) {
    if (phase == SRV_READY || (phase == SRV_STOPPING && stopping_is_well)) {
        srv_respond_json(response, 200, json_pack("{s:s}", "status", "ok"));
        return;
    }
    const char *status = phase == SRV_LOADING ? "loading" : phase == SRV_FAILED ? "failed" : "stopping";
    const char *text = phase == SRV_LOADING ? "Loading model" : phase == SRV_FAILED ? "Loading failed" : "Stopping";
    /* llama.cpp's clients read error, others status. */
    srv_respond_json(response, 503,
                     json_pack("{s:s,s:{s:i,s:s,s:s}}", "status", status, "error", "code", 503, "message", text,
                               "type", "unavailable_error"));
    srv_respond_header(response, "Retry-After", "1");
}

static void get_health(srv_service *service, const srv_request *request, srv_response *response) {
    respond_phase(response, srv_service_phase(service), true);
}

static void get_ready(srv_service *service, const srv_request *request, srv_response *response) {
    respond_phase(response, srv_service_phase(service), false);
}

/* Bytes; 0 when /proc does not tell. */
static double resident_memory(void) {
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    int n = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void print_cache(wn_score_cache *cache, FILE *to) {
    if (!cache) return;
    wn_score_cache_info info = wn_score_cache_describe(cache);
    fprintf(to, "# HELP winnow_score_cache_pairs_total Pairs asked of the score cache.\n"
                "# TYPE winnow_score_cache_pairs_total counter\n"
                "winnow_score_cache_pairs_total{result=\"hit\"} %llu\nwinnow_score_cache_pairs_total{result=\"miss\"} %llu\n"
                "# HELP winnow_score_cache_damaged_total Entries that failed their checksum.\n"
                "# TYPE winnow_score_cache_damaged_total counter\nwinnow_score_cache_damaged_total %llu\n",
            (unsigned long long)info.hits, (unsigned long long)info.misses, (unsigned long long)info.damaged);
}

static void get_metrics(srv_service *service, const srv_request *request, srv_response *response) {
    srv_batcher_state waiting = srv_batcher_look(srv_service_batcher(service));
    srv_load load = srv_service_load_now(service);
    const srv_gauge gauges[] = {
        {"winnow_ready", "1 when models are loaded.", srv_service_phase(service) == SRV_READY},
        {"winnow_queue_requests", "Requests with items that wait for a pass.", (double)waiting.requests},
        {"winnow_queue_items", "Pairs and texts that wait for a pass.", (double)waiting.items},
        {"winnow_queue_tokens", "Tokens that wait for a pass, estimated.", (double)waiting.tokens},
        {"winnow_connections", "Open connections.", (double)load.connections},
        {"winnow_requests_running", "Requests accepted and not yet answered.", (double)load.requests},
        {"winnow_handler_threads", "Threads that run handlers.", (double)load.handlers},
        {"winnow_request_body_bytes", "Bytes of request bodies held.", (double)load.body_bytes},
        {"process_resident_memory_bytes", "Resident memory.", resident_memory()},
    };
    char *text = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    if (!to) {
        srv_respond_error(response, SRV_DIALECT_OWN, 503, NULL, NULL, "out of memory");
        return;
    }
    fprintf(to, "# HELP winnow_info What runs.\n# TYPE winnow_info gauge\nwinnow_info{version=\"%s\"} 1\n", wn_version());
    srv_metrics_print(srv_service_metrics(service), gauges, sizeof gauges / sizeof *gauges, to);
    print_cache(srv_service_cache(service), to);
    bool ok = fclose(to) == 0;
    if (ok) srv_respond_bytes(response, 200, "text/plain; version=0.0.4; charset=utf-8", text, length);
    else srv_respond_error(response, SRV_DIALECT_OWN, 503, NULL, NULL, "out of memory");
    free(text);
}

enum { ALWAYS = SRV_ROUTE_OPEN | SRV_ROUTE_BEFORE_READY | SRV_ROUTE_INLINE };

/* /metrics asks for a key where keys are asked for: it tells what a server is used for. */
const srv_route srv_operation_routes[] = {
    {"GET", "/health", SRV_DIALECT_OWN, get_health, ALWAYS},
    {"GET", "/ready", SRV_DIALECT_OWN, get_ready, ALWAYS},
    {"GET", "/metrics", SRV_DIALECT_OWN, get_metrics, SRV_ROUTE_BEFORE_READY | SRV_ROUTE_INLINE},
    {NULL},
};
