/* fuzz_server_json.c -- any bytes as the body of any route that takes one, through the real handler and batcher.
 *
 * The first line is "METHOD PATH FLAGS": a line that names no route takes one by its length. FLAGS, a digit: 1, the
 * client has gone; 2, a deadline that has passed; 4, a query string. The rest is the body. HTTP's framing is
 * libmicrohttpd's and is not here; test_faults.py throws bytes at sockets.
 * Models are a golden embedder and the committed reranker: their tokenizers are real, their passes are not (a score
 * is made of the lengths), because a forward pass would be all that this target did. The index is a real file of two
 * documents, which bodies of /documents change.
 * Checked: the handler answers; never 500; a JSON answer is JSON; an error has a message; what was held is given back
 * (LeakSanitizer) and nothing waits in the batcher afterwards. */
#include "server/encoders.h"
#include "server/http_internal.h"
#include "server/router.h"
#include "server/service_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static srv_service *service;
static srv_config config;
static const srv_route *routes[128];
static size_t nroutes;
static char folder[] = "/tmp/winnow-fuzz.XXXXXX", index_path[64];

static void die(const char *what) {
    fprintf(stderr, "%s\n", what);
    abort();
}

static wn_status measured_pass(srv_encoder *encoder, const srv_pass *pass, wn_error *err) {
    for (size_t i = 0; i < pass->n; i++) {
        if (pass->policy == WN_LENGTH_ERROR && pass->texts[i].len > 2000)
            return srv_fail(err, WN_ERR_TOO_LONG, "text %zu is too long", i);
        if (pass->queries)
            pass->scores[i] = (wn_pair_score){.logit = (float)pass->texts[i].len - (float)pass->queries[i].len};
        for (size_t d = 0; !pass->queries && d < encoder->dim; d++)
            pass->embeddings[i * encoder->dim + d] = (float)(pass->texts[i].len + d);
        if (!pass->queries && pass->fits) pass->fits[i] = (wn_fit){.tokens_seen = 3};
    }
    return WN_OK;
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) abort();
}

static void finish(void) {
    srv_service_free(service);
    remove_folder();
}

static void make_index(const char *embedder) {
    wn_error err = {0};
    wn_model *model = NULL;
    wn_bi_encoder *bi = NULL;
    char page[64];
    snprintf(index_path, sizeof index_path, "%s/docs.wnindex", folder);
    snprintf(page, sizeof page, "%s/docs", folder);
    if (mkdir(page, 0700)) die("mkdir");
    for (int i = 0; i < 2; i++) {
        snprintf(page, sizeof page, "%s/docs/%d.md", folder, i);
        FILE *file = fopen(page, "w");
        if (!file || fprintf(file, "# Page %d\n\nWords of page %d.\n\n# More\n\nOther words.\n", i, i) < 0 || fclose(file)) die(page);
    }
    snprintf(page, sizeof page, "%s/docs", folder);
    const char *inputs[] = {page};
    wn_build_options options = wn_build_options_default();
    if (wn_model_open(embedder, NULL, &model, &err) != WN_OK || wn_bi_encoder_create(model, 1, &bi, &err) != WN_OK ||
        wn_index_build(index_path, inputs, 1, bi, &options, NULL, &err) != WN_OK)
        die(err.message);
    wn_bi_encoder_free(bi);
    wn_model_close(model);
}

static void start(void) {
    static const char *indexes[] = {index_path};
    static const char *rerankers[] = {WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"};
    static char embedder[128], command[1024];
    wn_error err = {0};
    if (!mkdtemp(folder)) die("mkdtemp");
    snprintf(embedder, sizeof embedder, "%s/small-xlmr", folder);
    snprintf(command, sizeof command, "cp -r '%s' '%s' && cp '%s' '%s'", WN_SOURCE_ROOT "/tests/golden/models/small-xlmr",
             folder, WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr/tokenizer.json", embedder);
    if (system(command) != 0) die("copying the embedder");
    make_index(embedder);
    config = srv_config_default();
    config.indexes = indexes;
    config.nindexes = 1;
    config.max_documents = 64;
    config.embedder = embedder;
    config.rerankers = rerankers;
    config.nrerankers = 1;
    config.threads = 1;
    if (srv_service_create(&config, &service, &err) != WN_OK || srv_service_load(service, &err) != WN_OK) die(err.message);
    srv_service_set_phase(service, SRV_READY);
    srv_snapshot *snapshot = srv_service_hold(service);
    for (size_t i = 0; i < srv_snapshot_encoder_count(snapshot); i++) srv_snapshot_encoder(snapshot, i)->pass = measured_pass;
    srv_snapshot_release(snapshot);
    for (size_t i = 0; i < srv_router_count() && nroutes < 128; i++) {
        const srv_route *route = srv_router_route(i);
        if (strcmp(route->method, "GET") != 0) routes[nroutes++] = route;
    }
    if (!nroutes) die("no routes");
    atexit(finish);
}

static bool swallow(void *ctx, const char *data, size_t length) {
    return true;
}

/* An error says why: in whatever member its dialect's clients read. */
static void check_body(const srv_route *route, const srv_response *response) {
    const char *type = srv_fields_find(&response->fields, "Content-Type", true);
    if (!response->length || !type || strcmp(type, "application/json") != 0) {
        if (response->status >= 400) die("an error without JSON");
        return;
    }
    json_t *body = json_loadb(response->data, response->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!body) die("an answer that is no JSON");
    if (response->status >= 400 && !json_object_get(body, "error") && !json_object_get(body, "message") &&
        !json_object_get(body, "detail"))
        die("an error without a message");
    json_decref(body);
}

static const srv_route *route_of(const uint8_t *line, size_t length) {
    for (size_t i = 0; i < nroutes; i++) {
        size_t m = strlen(routes[i]->method), p = strlen(routes[i]->path);
        if (length >= m + 1 + p && !memcmp(line, routes[i]->method, m) && line[m] == ' ' &&
            !memcmp(line + m + 1, routes[i]->path, p) && (length == m + 1 + p || line[m + 1 + p] == ' '))
            return routes[i];
    }
    return routes[length % nroutes];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!service) start();
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    if (!end || end == data) return 0;
    const srv_route *route = route_of(data, (size_t)(end - data));
    unsigned flags = end[-1] >= '0' && end[-1] <= '7' ? end[-1] - '0' : 0;
    size_t length = size - (size_t)(end + 1 - data);
    srv_transport transport = {0};
    srv_usage usage = {0};
    atomic_bool gone = (flags & 1) != 0;
    srv_response response = {.request_id = "fuzz", .stream = swallow};
    char *body = malloc(length + 1);
    if (!body) return 0;
    memcpy(body, end + 1, length);
    body[length] = 0; /* as the daemon does */
    if (flags & 4 && (!srv_fields_add(&transport.query, "model", "small-xlmr") || !srv_fields_add(&transport.query, "source", body)))
        abort();
    srv_request request = {.method = route->method, .path = route->path, .body = body, .body_length = length, .id = "fuzz",
                           .client = "fuzz", .deadline_ms = flags & 2 ? srv_now_ms() - 1 : 0, .gone = &gone,
                           .transport = &transport};
    srv_usage_current = &usage;
    route->handler(service, &request, &response);
    srv_usage_current = NULL;
    if (!response.status) die("no answer");
    if (response.status == 500) die("500");
    if (!response.streaming) check_body(route, &response);
    if (srv_batcher_look(srv_service_batcher(service)).requests) die("work is left in the batcher");
    srv_response_release(&response);
    srv_fields_release(&transport.query);
    free(body);
    return 0;
}
