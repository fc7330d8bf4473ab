/* test_server_router.c -- paths to routes, and errors and headers as messages give them. */
#include "server/http_internal.h"
#include "server/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void known_path_finds_its_route(void **state) {
    char allow[64];
    size_t number = 9999;
    srv_dialect dialect;
    const srv_route *route = srv_router_find("GET", "/health", &number, allow, &dialect);
    assert_non_null(route);
    assert_string_equal(route->path, "/health");
    assert_ptr_equal(srv_router_route(number), route);
    assert_ptr_equal(srv_router_find("HEAD", "/health", &number, allow, &dialect), route);
}

static void other_method_is_told_what_is_allowed(void **state) {
    char allow[64];
    size_t number;
    srv_dialect dialect;
    assert_null(srv_router_find("DELETE", "/metrics", &number, allow, &dialect));
    assert_string_equal(allow, "GET, HEAD");
}

static void unknown_path_has_the_shape_of_its_neighbours(void **state) {
    char allow[64];
    size_t number;
    srv_dialect dialect;
    const struct {
        const char *path;
        srv_dialect dialect;
    } cases[] = {{"/v1/nothing", SRV_DIALECT_OPENAI}, {"/v2/nothing", SRV_DIALECT_COHERE}, {"/nothing", SRV_DIALECT_OWN},
                 {"", SRV_DIALECT_OWN}, {"/health/", SRV_DIALECT_OWN}, {"/HEALTH", SRV_DIALECT_OWN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(srv_router_find("GET", cases[i].path, &number, allow, &dialect));
        assert_string_equal(allow, "");
        assert_int_equal(dialect, cases[i].dialect);
    }
}

/* Of the same method and path only the first of two routes would ever answer. */
static void no_route_stands_twice(void **state) {
    size_t n = srv_router_count();
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            const srv_route *a = srv_router_route(i), *b = srv_router_route(j);
            assert_false(!strcmp(a->method, b->method) && !strcmp(a->path, b->path));
        }
    assert_null(srv_router_route(n));
}

static json_t *error_in(srv_dialect dialect, int status, const char *message) {
    srv_response r = {.request_id = "id-1"};
    srv_respond_error(&r, dialect, status, NULL, NULL, "%s", message);
    assert_int_equal(r.status, status);
    assert_string_equal(srv_fields_find(&r.fields, "content-type", true), "application/json");
    const char *retry = srv_fields_find(&r.fields, "Retry-After", true);
    assert_int_equal(retry != NULL, status == 429 || status == 503);
    json_t *body = json_loadb(r.data, r.length, 0, NULL);
    assert_non_null(body);
    srv_response_release(&r);
    return body;
}

static void errors_have_their_dialects_shapes(void **state) {
    const char *message = NULL, *type = NULL;
    int code = 0;
    json_t *e = error_in(SRV_DIALECT_OPENAI, 401, "who?"), *param = NULL;
    assert_int_equal(json_unpack(e, "{s:{s:s,s:s,s:o}}", "error", "message", &message, "type", &type, "param", &param), 0);
    assert_string_equal(message, "who?");
    assert_true(json_is_null(param));
    json_decref(e);
    e = error_in(SRV_DIALECT_COHERE, 400, "what?");
    assert_int_equal(json_unpack(e, "{s:s,s:s}", "message", &message, "id", &type), 0);
    assert_string_equal(type, "id-1");
    json_decref(e);
    e = error_in(SRV_DIALECT_TEI, 429, "full");
    assert_int_equal(json_unpack(e, "{s:s,s:s}", "error", &message, "error_type", &type), 0);
    assert_string_equal(type, "Overloaded");
    json_decref(e);
    e = error_in(SRV_DIALECT_LLAMACPP, 503, "loading");
    assert_int_equal(json_unpack(e, "{s:{s:i,s:s,s:s}}", "error", "code", &code, "message", &message, "type", &type), 0);
    assert_int_equal(code, 503);
    json_decref(e);
    e = error_in(SRV_DIALECT_JINA, 422, "no");
    assert_int_equal(json_unpack(e, "{s:s}", "detail", &message), 0);
    json_decref(e);
    e = error_in(SRV_DIALECT_OWN, 404, "echo of \xff\xfe bytes"); /* no UTF-8: must still be JSON */
    assert_int_equal(json_unpack(e, "{s:{s:i,s:s,s:s}}", "error", "code", &code, "message", &message, "request_id", &type),
                     0);
    assert_string_equal(message, "echo of ?? bytes");
    json_decref(e);
}

static void failures_of_the_library_have_their_statuses(void **state) {
    const struct {
        wn_status code;
        srv_dialect dialect;
        int status;
    } cases[] = {{WN_ERR_ARGUMENT, SRV_DIALECT_OWN, 400}, {WN_ERR_ARGUMENT, SRV_DIALECT_TEI, 422},
                 {WN_ERR_TOO_LONG, SRV_DIALECT_OPENAI, 400}, {WN_ERR_NOT_FOUND, SRV_DIALECT_OPENAI, 404},
                 {WN_ERR_BUSY, SRV_DIALECT_COHERE, 429}, {WN_ERR_CANCELLED, SRV_DIALECT_OWN, 499},
                 {WN_ERR_FULL, SRV_DIALECT_OWN, 503}, {WN_ERR_MEMORY, SRV_DIALECT_JINA, 503}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        srv_response r = {.request_id = "x"};
        wn_error err;
        srv_fail(&err, cases[i].code, "message");
        srv_respond_failure(&r, cases[i].dialect, &err);
        assert_int_equal(r.status, cases[i].status);
        srv_response_release(&r);
    }
}

static void header_with_line_break_is_left_out(void **state) {
    srv_response r = {.request_id = "x"};
    srv_respond_bytes(&r, 200, "text/plain", "body", 4);
    srv_respond_header(&r, "X-Evil", "a\r\nSet-Cookie: b");
    srv_respond_header(&r, "X-Good", "a");
    srv_respond_header(&r, "x-good", "b"); /* replaces */
    assert_null(srv_fields_find(&r.fields, "X-Evil", true));
    assert_string_equal(srv_fields_find(&r.fields, "X-Good", true), "b");
    srv_response_release(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_path_finds_its_route),
        cmocka_unit_test(other_method_is_told_what_is_allowed),
        cmocka_unit_test(unknown_path_has_the_shape_of_its_neighbours),
        cmocka_unit_test(no_route_stands_twice),
        cmocka_unit_test(errors_have_their_dialects_shapes),
        cmocka_unit_test(failures_of_the_library_have_their_statuses),
        cmocka_unit_test(header_with_line_break_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
