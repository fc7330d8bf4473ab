/* test_hub.c -- wn_model_pull against tests/cli/fake_hub.py, which behaves and misbehaves like a hub.
 *
 * The fake hub's log of requests says what was really asked for: where the token went, which ranges,
 * what was not fetched at all. Nothing here leaves 127.0.0.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "model/hub.h"
#include "model/model_cache.h"
#include "test_tier.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
enum { WEIGHTS = 300000, STEP = 100000 };

static struct {
    pid_t pid;
    int in; /* its standard input: closing it ends it */
    int hub, cdn;
    char endpoint[64], cache[64];
} fake;

/* ---- The server and the cache ------------------------------------------------ */

static bool start_fake_hub(void) {
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0) return false;
    fake.pid = fork();
    if (fake.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execlp("python3", "python3", WN_SOURCE_ROOT "/tests/cli/fake_hub.py", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    fake.in = in[1];
    FILE *ports = fdopen(out[0], "r");
    bool ok = ports && fscanf(ports, "%d %d", &fake.hub, &fake.cdn) == 2;
    if (ports) fclose(ports);
    snprintf(fake.endpoint, sizeof fake.endpoint, "http://127.0.0.1:%d", fake.hub);
    return ok;
}

static int set_up(void **state) {
    signal(SIGPIPE, SIG_IGN);
    setenv("no_proxy", "127.0.0.1", 1);
    unsetenv("HF_TOKEN");
    unsetenv("HF_ENDPOINT");
    snprintf(fake.cache, sizeof fake.cache, "/tmp/winnow-test-hub-XXXXXX");
    if (!mkdtemp(fake.cache)) return -1;
    setenv("WINNOW_CACHE", fake.cache, 1);
    if (!start_fake_hub()) print_message("SKIPPED: python3 did not start the fake hub\n");
    return 0;
}

static int tear_down(void **state) {
    close(fake.in);
    waitpid(fake.pid, NULL, 0);
    return wn_dir_remove(fake.cache, NULL) == WN_OK ? 0 : -1;
}

static json_t *take_log(void) {
    wn_http_config config = wn_http_config_default();
    config.endpoint = fake.endpoint;
    wn_http *http = NULL;
    wn_buf body = {0};
    json_t *log = NULL;
    char url[96];
    long code = 0;
    snprintf(url, sizeof url, "%s/_log", fake.endpoint);
    assert_int_equal(wn_http_open(&config, &http, NULL), WN_OK);
    assert_int_equal(wn_http_get(http, url, 1 << 20, &body, &code, NULL), WN_OK);
    assert_int_equal(wn_json_parse("log", body.data, body.len, &log, NULL), WN_OK);
    wn_buf_release(&body);
    wn_http_close(http);
    return log;
}

/* Before every case: an empty cache, an empty log. */
static int fresh(void **state) {
    char *models = wn_path_join(fake.cache, "models");
    wn_dir_remove(models, NULL);
    wn_free(models);
    if (fake.hub) json_decref(take_log());
    return 0;
}

/* ---- Asking and looking ------------------------------------------------------ */

static wn_http_config fast(void) {
    wn_http_config timing = wn_http_config_default();
    timing.backoff_ms = 10;
    timing.stall_s = 1;
    return timing;
}

/* Pulls acme/NAME with quick retries; everything optional is in options. */
static wn_status pull_with(const char *name, wn_pull_options options, wn_http_config timing,
                           char **path, wn_error *err) {
    char full[64];
    if (!fake.hub) skip();
    snprintf(full, sizeof full, "acme/%s", name);
    if (!options.endpoint) options.endpoint = fake.endpoint;
    *err = (wn_error){0};
    return wn_hub_pull(full, &options, &timing, path, err);
}

static wn_status pull(const char *name, wn_error *err) {
    return pull_with(name, wn_pull_options_default(), fast(), NULL, err);
}

static wn_status pull_revision(const char *name, const char *revision, wn_error *err) {
    wn_pull_options options = wn_pull_options_default();
    options.revision = revision;
    return pull_with(name, options, fast(), NULL, err);
}

/* models/PATH in the cache exists. */
static bool has(const char *fmt, ...) {
    char path[256];
    int n = snprintf(path, sizeof path, "%s/models/", fake.cache);
    va_list args;
    va_start(args, fmt);
    vsnprintf(path + n, sizeof path - (size_t)n, fmt, args);
    va_end(args);
    return access(path, F_OK) == 0;
}

static void assert_weights(const char *file) {
    char path[256];
    wn_map map;
    snprintf(path, sizeof path, "%s/models/%s", fake.cache, file);
    assert_int_equal(wn_map_open(path, &map, NULL), WN_OK);
    assert_int_equal(map.size, WEIGHTS);
    for (size_t i = 0; i < map.size; i++)
        if (map.data[i] != (unsigned char)(i * 31 + i / 251)) fail_msg("%s: byte %zu", file, i);
    wn_map_close(&map);
}

static void assert_says(const wn_error *err, const char *text) {
    if (!strstr(err->message, text)) fail_msg("\"%s\" does not say \"%s\"", err->message, text);
}

static const char *text(const json_t *row, const char *key) {
    return json_string_value(json_object_get(row, key));
}

/* How many requests of the log have `part` in their path. */
static int asked_for(const json_t *log, const char *part) {
    int n = 0;
    for (size_t i = 0; i < json_array_size(log); i++)
        n += strstr(text(json_array_get(log, i), "path"), part) != NULL;
    return n;
}

/* ---- What works -------------------------------------------------------------- */

static void pull_plain_fetches_what_winnow_reads_and_nothing_else(void **state) {
    wn_error err;
    char *path = NULL;
    assert_int_equal(pull_with("plain", wn_pull_options_default(), fast(), &path, &err), WN_OK);
    assert_non_null(strstr(path, "/models/plain"));
    wn_string_free(path);
    assert_weights("plain/model.safetensors");
    assert_true(has("plain/config.json") && has("plain/tokenizer.json"));
    assert_true(has("plain/modules.json") && has("plain/1_Pooling/config.json"));
    assert_true(has("plain/winnow.json"));
    assert_false(has("plain/README.md") || has("plain/pytorch_model.bin") || has("plain/vocab.txt"));
    assert_false(has(".pull-acme--plain-" COMMIT));
    json_t *log = take_log();
    assert_int_equal(asked_for(log, "/resolve/" COMMIT "/"), 5);
    assert_int_equal(json_array_size(log), 6);
    json_decref(log);
}

static void pull_again_of_the_same_commit_asks_for_the_list_only(void **state) {
    wn_error err;
    assert_int_equal(pull("plain", &err), WN_OK);
    json_decref(take_log());
    assert_int_equal(pull("plain", &err), WN_OK);
    json_t *log = take_log();
    assert_int_equal(json_array_size(log), 1);
    json_decref(log);
}

static void pulled_model_is_found_by_both_names(void **state) {
    wn_error err;
    char *path = NULL;
    assert_int_equal(pull("plain", &err), WN_OK);
    assert_int_equal(wn_model_path("plain", &path, &err), WN_OK);
    wn_string_free(path);
    assert_int_equal(wn_model_path("acme/plain", &path, &err), WN_OK);
    wn_string_free(path);
    assert_int_equal(wn_model_path("other/plain", &path, &err), WN_ERR_NOT_FOUND);
    assert_says(&err, "other/plain");
}

static void redirect_to_another_host_leaves_the_token_behind(void **state) {
    wn_error err;
    wn_pull_options options = wn_pull_options_default();
    options.token = "hf_secret";
    assert_int_equal(pull_with("redirect", options, fast(), NULL, &err), WN_OK);
    assert_weights("redirect/model.safetensors");
    json_t *log = take_log();
    int at_cdn = 0, at_hub = 0;
    for (size_t i = 0; i < json_array_size(log); i++) {
        const json_t *row = json_array_get(log, i);
        bool cdn = json_integer_value(json_object_get(row, "port")) == fake.cdn;
        assert_string_equal(text(row, "authorization"), cdn ? "" : "Bearer hf_secret");
        cdn ? at_cdn++ : at_hub++;
    }
    assert_int_equal(at_cdn, 1);
    assert_int_equal(at_hub, 1 + 1 + 2 * 4); /* list, weights' redirect, four small files twice */
    json_decref(log);
}

static void token_and_endpoint_come_from_the_environment(void **state) {
    wn_error err;
    if (!fake.hub) skip();
    wn_http_config timing = fast();
    char slashed[72];
    snprintf(slashed, sizeof slashed, "%s/", fake.endpoint);
    setenv("HF_ENDPOINT", slashed, 1);
    setenv("HF_TOKEN", "hf_good", 1);
    wn_status st = wn_hub_pull("acme/gated", NULL, &timing, NULL, &err);
    unsetenv("HF_ENDPOINT");
    unsetenv("HF_TOKEN");
    assert_int_equal(st, WN_OK);
}

static void revision_with_a_slash_is_one_path_segment(void **state) {
    wn_error err;
    assert_int_equal(pull_revision("plain", "refs/pr/1", &err), WN_OK);
    json_t *log = take_log();
    assert_int_equal(asked_for(log, "/revision/refs%2Fpr%2F1?blobs=true"), 1);
    json_decref(log);
}

static void onnx_is_taken_where_no_safetensors_is(void **state) {
    wn_error err;
    assert_int_equal(pull("onnx", &err), WN_OK);
    assert_weights("onnx/onnx/model.onnx");
    assert_false(has("onnx/onnx/model_quantized.onnx"));
}

static void shards_come_with_their_index_and_without_onnx(void **state) {
    wn_error err;
    assert_int_equal(pull("sharded", &err), WN_OK);
    assert_true(has("sharded/model.safetensors.index.json"));
    assert_true(has("sharded/model-00001-of-00002.safetensors"));
    assert_true(has("sharded/model-00002-of-00002.safetensors"));
    assert_false(has("sharded/onnx"));
}

/* ---- Servers that fail, and recover -------------------------------------------- */

static void server_errors_twice_are_tried_again(void **state) {
    wn_error err;
    assert_int_equal(pull("flaky", &err), WN_OK);
    assert_weights("flaky/model.safetensors");
}

static void server_error_that_stays_is_reported_with_its_status(void **state) {
    wn_error err;
    assert_int_equal(pull("down", &err), WN_ERR_NETWORK);
    assert_says(&err, "HTTP 500");
    assert_false(has("down"));
    json_t *log = take_log();
    assert_int_equal(asked_for(log, "model.safetensors"), 5);
    json_decref(log);
}

static void broken_transfer_is_resumed_where_it_broke(void **state) {
    wn_error err;
    assert_int_equal(pull("broken", &err), WN_OK);
    assert_weights("broken/model.safetensors");
    static const char *const ranges[] = {"", "bytes=100000-", "bytes=200000-"};
    json_t *log = take_log();
    size_t seen = 0;
    for (size_t i = 0; i < json_array_size(log); i++) {
        const json_t *row = json_array_get(log, i);
        if (!strstr(text(row, "path"), "model.safetensors")) continue;
        assert_true(seen < 3);
        assert_string_equal(text(row, "range"), ranges[seen]);
        assert_string_equal(text(row, "if_range"), seen ? "\"v1\"" : "");
        seen++;
    }
    assert_int_equal(seen, 3);
    json_decref(log);
}

static void broken_transfer_is_resumed_by_the_next_pull(void **state) {
    wn_error err;
    wn_http_config once = fast();
    once.attempts = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pull_with("broken", wn_pull_options_default(), once, NULL, &err),
                         WN_ERR_NETWORK);
        assert_false(has("broken"));
        assert_true(has(".pull-acme--broken-" COMMIT "/model.safetensors.part"));
    }
    json_decref(take_log());
    assert_int_equal(pull_with("broken", wn_pull_options_default(), once, NULL, &err), WN_OK);
    assert_weights("broken/model.safetensors");
    assert_false(has("broken/model.safetensors.part") || has("broken/model.safetensors.part.etag"));
    json_t *log = take_log();
    assert_int_equal(json_array_size(log), 2); /* small files were whole already */
    assert_string_equal(text(json_array_get(log, 1), "range"), "bytes=200000-");
    json_decref(log);
}

static void server_without_ranges_starts_the_file_over(void **state) {
    wn_error err;
    assert_int_equal(pull("no-range", &err), WN_OK);
    assert_weights("no-range/model.safetensors");
}

static void file_changed_between_attempts_is_not_sewn_together(void **state) {
    wn_error err;
    assert_int_equal(pull("changed", &err), WN_OK);
    assert_weights("changed/model.safetensors");
}

static void answer_of_another_range_is_refused(void **state) {
    wn_error err;
    assert_int_equal(pull("bad-range", &err), WN_ERR_NETWORK);
    assert_says(&err, "asked for bytes from 100000");
    assert_false(has("bad-range"));
}

static void stalled_transfer_is_given_up(void **state) {
    wn_error err;
    wn_http_config timing = fast();
    timing.attempts = 1;
    time_t start = time(NULL);
    assert_int_equal(pull_with("stall", wn_pull_options_default(), timing, NULL, &err),
                     WN_ERR_NETWORK);
    assert_true(time(NULL) - start < 5);
    assert_says(&err, "model.safetensors");
    assert_says(&err, "nothing came for 1 s");
}

/* ---- Refusals ---------------------------------------------------------------- */

static void gated_model_without_token_says_to_set_one(void **state) {
    wn_error err;
    assert_int_equal(pull("gated", &err), WN_ERR_NETWORK);
    assert_says(&err, "401");
    assert_says(&err, "set HF_TOKEN");
    assert_says(&err, "acme/gated");
}

static void gated_model_with_a_wrong_token_says_so(void **state) {
    wn_error err;
    wn_pull_options options = wn_pull_options_default();
    options.token = "hf_wrong";
    assert_int_equal(pull_with("gated", options, fast(), NULL, &err), WN_ERR_NETWORK);
    assert_says(&err, "403");
    assert_says(&err, "gives no access");
    assert_null(strstr(err.message, "hf_wrong"));
}

static void missing_model_is_named_with_its_revision(void **state) {
    wn_error err;
    assert_int_equal(pull("nowhere", &err), WN_ERR_NOT_FOUND);
    assert_says(&err, "acme/nowhere");
    assert_says(&err, "main");
    assert_int_equal(pull_revision("plain", "no-such", &err), WN_ERR_NOT_FOUND);
    assert_says(&err, "no-such");
}

static void offline_is_said_at_once(void **state) {
    wn_error err;
    wn_pull_options options = wn_pull_options_default();
    options.endpoint = "http://127.0.0.1:9"; /* discard: nobody listens */
    wn_http_config timing = fast();
    timing.backoff_ms = 60000; /* a retry would be noticed */
    assert_int_equal(pull_with("plain", options, timing, NULL, &err), WN_ERR_NETWORK);
    assert_says(&err, "cannot reach http://127.0.0.1:9");
    assert_says(&err, "offline");
}

static void wrong_hash_is_refused_and_removed(void **state) {
    wn_error err;
    assert_int_equal(pull("wrong-hash", &err), WN_ERR_FORMAT);
    assert_says(&err, "SHA-256");
    assert_false(has("wrong-hash"));
    assert_false(has(".pull-acme--wrong-hash-" COMMIT "/model.safetensors.part"));
    assert_false(has(".pull-acme--wrong-hash-" COMMIT "/model.safetensors"));
}

static void hash_in_a_header_of_the_hub_counts_too(void **state) {
    wn_error err;
    assert_int_equal(pull("linked-hash", &err), WN_ERR_FORMAT);
    assert_says(&err, "SHA-256");
}

static void file_shorter_than_listed_is_refused(void **state) {
    wn_error err;
    assert_int_equal(pull("short", &err), WN_ERR_FORMAT);
    assert_says(&err, "299993 bytes came, the hub lists 300000");
    assert_false(has("short"));
}

static void file_longer_than_listed_is_cut_off(void **state) {
    wn_error err;
    assert_int_equal(pull("long", &err), WN_ERR_NETWORK);
    assert_says(&err, "more than 300000 bytes");
    assert_false(has("long"));
}

static void redirect_loop_ends(void **state) {
    wn_error err;
    assert_int_equal(pull("loop", &err), WN_ERR_NETWORK);
    assert_says(&err, "redirects");
}

static void hostile_file_names_refuse_the_repository(void **state) {
    static const char *const kinds[] = {"dotdot", "absolute", "newline", "inside", "backslash",
                                        "empty", "twice"};
    wn_error err;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_int_equal(pull_revision("hostile", kinds[i], &err), WN_ERR_FORMAT);
        assert_says(&err, "the hub lists");
        assert_false(has("hostile") || has("evil") || has("../evil"));
        assert_null(strchr(err.message, '\n'));
    }
}

static void lists_that_are_not_one_are_refused(void **state) {
    static const char *const kinds[] = {"notjson", "nolist", "number", "nonames", "negative",
                                        "badsha", "badcommit"};
    wn_error err;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_int_equal(pull_revision("bad-list", kinds[i], &err), WN_ERR_FORMAT);
    assert_int_equal(pull_revision("bad-list", "nothing", &err), WN_ERR_UNSUPPORTED);
    assert_says(&err, "config.json");
}

static void repository_without_weights_we_read_is_refused(void **state) {
    wn_error err;
    assert_int_equal(pull("torch-only", &err), WN_ERR_UNSUPPORTED);
    assert_says(&err, "model.safetensors or model.onnx");
}

static void names_and_tokens_that_are_none_are_refused(void **state) {
    static const char *const names[] = {"", "/", "a/b/c", "../x", "a/..", "a b", "acme/", "/x",
                                        ".hidden", "a/b?x", "a/b#x", "a/b%2f"};
    wn_error err = {0};
    wn_pull_options options = wn_pull_options_default();
    options.endpoint = fake.endpoint;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(wn_model_pull(names[i], &options, NULL, &err), WN_ERR_ARGUMENT);
    options.revision = "../main";
    assert_int_equal(wn_model_pull("acme/plain", &options, NULL, &err), WN_ERR_ARGUMENT);
    options.revision = NULL;
    options.token = "a\r\nHost: b";
    assert_int_equal(wn_model_pull("acme/plain", &options, NULL, &err), WN_ERR_ARGUMENT);
    options.token = NULL;
    options.endpoint = "file:///etc";
    assert_int_equal(wn_model_pull("acme/plain", &options, NULL, &err), WN_ERR_ARGUMENT);
}

/* ---- The cache around it -------------------------------------------------------- */

static void model_of_another_origin_is_not_replaced(void **state) {
    wn_error err;
    if (!fake.hub) skip();
    char *place = NULL, *config = NULL;
    assert_int_equal(wn_model_cache_place("plain", &place, NULL), WN_OK);
    assert_int_equal(wn_dir_create(place, NULL), WN_OK);
    config = wn_path_join(place, "config.json");
    assert_int_equal(wn_file_write_atomic(config, "{}", 2, NULL), WN_OK);
    assert_int_equal(pull("plain", &err), WN_ERR_MISMATCH);
    assert_says(&err, place);
    assert_false(has("plain/model.safetensors"));
    wn_free(config);
    wn_free(place);
}

static void second_pull_of_one_model_is_refused_while_the_first_runs(void **state) {
    wn_error err;
    if (!fake.hub) skip();
    char *staging = NULL;
    assert_int_equal(wn_model_cache_place(".pull-acme--plain-" COMMIT, &staging, NULL), WN_OK);
    assert_int_equal(wn_dir_create(staging, NULL), WN_OK);
    int fd = open(staging, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(pull("plain", &err), WN_ERR_BUSY);
    close(fd);
    assert_int_equal(pull("plain", &err), WN_OK);
    wn_free(staging);
}

static void stale_staging_of_another_commit_is_removed(void **state) {
    wn_error err;
    if (!fake.hub) skip();
    char *staging = NULL;
    assert_int_equal(wn_model_cache_place(".pull-acme--plain-ffffffffff", &staging, NULL), WN_OK);
    assert_int_equal(wn_dir_create(staging, NULL), WN_OK);
    assert_int_equal(pull("plain", &err), WN_OK);
    assert_false(has(".pull-acme--plain-ffffffffff"));
    wn_free(staging);
}

typedef struct seen {
    uint64_t last, total;
    bool backwards, stop;
} seen;

static bool watch(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    seen *s = ctx;
    if (done < s->last) s->backwards = true;
    s->last = done;
    if (total) s->total = total;
    return !(s->stop && done > STEP);
}

static void progress_rises_to_the_sum_of_sizes(void **state) {
    wn_error err;
    seen s = {0};
    wn_pull_options options = wn_pull_options_default();
    options.progress = watch;
    options.progress_ctx = &s;
    assert_int_equal(pull_with("plain", options, fast(), NULL, &err), WN_OK);
    assert_false(s.backwards);
    assert_int_equal(s.last, s.total);
    assert_true(s.total > WEIGHTS && s.total < WEIGHTS + 1000);
}

static void progress_that_says_no_cancels_and_keeps_the_part(void **state) {
    wn_error err;
    seen s = {.stop = true};
    wn_pull_options options = wn_pull_options_default();
    options.progress = watch;
    options.progress_ctx = &s;
    assert_int_equal(pull_with("broken", options, fast(), NULL, &err), WN_ERR_CANCELLED);
    assert_false(has("broken"));
    assert_true(has(".pull-acme--broken-" COMMIT "/model.safetensors.part"));
}

/* The n-th allocation fails, for every n until the pull gets through: an error each time, never a
 * crash, and never a model in the cache that is not whole. */
static void every_failing_allocation_is_an_error_and_no_model(void **state) {
    wn_error err;
    wn_http_config timing = fast();
    timing.attempts = 1;
    uint64_t step = wn_test_quick() ? 7 : 1;
    for (uint64_t n = 1; n < 2000; n += step) {
        fresh(NULL);
        wn_memory_fail_at(n, false);
        wn_status st = pull_with("redirect", wn_pull_options_default(), timing, NULL, &err);
        wn_memory_fail_at(0, false);
        if (st == WN_OK) {
            assert_weights("redirect/model.safetensors");
            assert_true(n > 50);
            return;
        }
        assert_int_equal(st, WN_ERR_MEMORY);
        assert_false(has("redirect"));
    }
    fail_msg("2000 allocations were not enough");
}

#define CASE(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(pull_plain_fetches_what_winnow_reads_and_nothing_else),
        CASE(pull_again_of_the_same_commit_asks_for_the_list_only),
        CASE(pulled_model_is_found_by_both_names),
        CASE(redirect_to_another_host_leaves_the_token_behind),
        CASE(token_and_endpoint_come_from_the_environment),
        CASE(revision_with_a_slash_is_one_path_segment),
        CASE(onnx_is_taken_where_no_safetensors_is),
        CASE(shards_come_with_their_index_and_without_onnx),
        CASE(server_errors_twice_are_tried_again),
        CASE(server_error_that_stays_is_reported_with_its_status),
        CASE(broken_transfer_is_resumed_where_it_broke),
        CASE(broken_transfer_is_resumed_by_the_next_pull),
        CASE(server_without_ranges_starts_the_file_over),
        CASE(file_changed_between_attempts_is_not_sewn_together),
        CASE(answer_of_another_range_is_refused),
        CASE(stalled_transfer_is_given_up),
        CASE(gated_model_without_token_says_to_set_one),
        CASE(gated_model_with_a_wrong_token_says_so),
        CASE(missing_model_is_named_with_its_revision),
        CASE(offline_is_said_at_once),
        CASE(wrong_hash_is_refused_and_removed),
        CASE(hash_in_a_header_of_the_hub_counts_too),
        CASE(file_shorter_than_listed_is_refused),
        CASE(file_longer_than_listed_is_cut_off),
        CASE(redirect_loop_ends),
        CASE(hostile_file_names_refuse_the_repository),
        CASE(lists_that_are_not_one_are_refused),
        CASE(repository_without_weights_we_read_is_refused),
        CASE(names_and_tokens_that_are_none_are_refused),
        CASE(model_of_another_origin_is_not_replaced),
        CASE(second_pull_of_one_model_is_refused_while_the_first_runs),
        CASE(stale_staging_of_another_commit_is_removed),
        CASE(progress_rises_to_the_sum_of_sizes),
        CASE(progress_that_says_no_cancels_and_keeps_the_part),
        CASE(every_failing_allocation_is_an_error_and_no_model),
    };
    return cmocka_run_group_tests_name("hub", tests, set_up, tear_down);
}
