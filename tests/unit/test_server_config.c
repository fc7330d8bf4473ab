/* test_server_config.c -- settings by name, and which layer wins. */
#include "server/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/winnow-config-XXXXXX";

static wn_status read_file(srv_settings *settings, const char *text, wn_error *err) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return srv_settings_read_file(settings, path, err);
}

static void flags_win_over_environment_over_file(void **state) {
    wn_error err;
    const srv_config *c = NULL;
    srv_settings *s = srv_settings_create();
    assert_int_equal(read_file(s, "# file\nlisten = 127.0.0.1:1\nmax-body = 512K\nthreads=3\nmax-concurrent = 7\n"
                                  "index = a.wnindex\nindex = b.wnindex\nreranker = one\n", &err), WN_OK);
    setenv("WINNOW_SERVE_LISTEN", "127.0.0.1:2", 1);
    setenv("WINNOW_SERVE_MAX_BODY", "1M", 1);
    setenv("WINNOW_SERVE_RERANKER", "two, three", 1);
    setenv("WINNOW_SERVE_CONFIG", path, 1);
    assert_int_equal(srv_settings_read_environment(s, &err), WN_OK);
    srv_settings_begin_flags(s);
    assert_int_equal(srv_settings_set(s, "listen", "127.0.0.1:3", &err), WN_OK);
    assert_int_equal(srv_settings_set(s, "index", "c.wnindex", &err), WN_OK);
    assert_int_equal(srv_settings_config(s, &c, &err), WN_OK);
    assert_string_equal(c->listen, "127.0.0.1:3");
    assert_int_equal(c->max_body_bytes, 1 << 20);
    assert_int_equal(c->threads, 3);
    assert_int_equal(c->max_concurrent, 7);
    assert_int_equal(c->nindexes, 1);
    assert_string_equal(c->indexes[0], "c.wnindex");
    assert_int_equal(c->nrerankers, 2);
    assert_string_equal(c->rerankers[0], "two");
    assert_string_equal(c->rerankers[1], "three");
    assert_int_equal(c->max_queue_tokens, srv_config_default().max_queue_tokens);
    unsetenv("WINNOW_SERVE_LISTEN");
    unsetenv("WINNOW_SERVE_MAX_BODY");
    unsetenv("WINNOW_SERVE_RERANKER");
    unsetenv("WINNOW_SERVE_CONFIG");
    srv_settings_free(s);
}

static void wrong_values_are_refused(void **state) {
    static const char *const wrong[][2] = {
        {"max-body", "lots"}, {"max-body", "12X"}, {"max-body", "-1"}, {"max-body", ""}, {"max-body", "5"},
        {"max-body", "99999999999999999999"}, {"threads", "2.5"}, {"threads", "2K"}, {"client-timeout", "0"},
        {"precision", "f64"}, {"max-length-policy", "cut"}, {"listen", ""}, {"nothing", "1"}, {"", ""},
        {"max-concurrent", "0"},
    };
    srv_settings *s = srv_settings_create();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wn_error err = {.code = WN_OK};
        assert_int_equal(srv_settings_set(s, wrong[i][0], wrong[i][1], &err), WN_ERR_ARGUMENT);
        assert_true(*err.message);
    }
    srv_settings_free(s);
}

static void wrong_lines_and_variables_are_named(void **state) {
    wn_error err;
    srv_settings *s = srv_settings_create();
    assert_int_equal(read_file(s, "threads = 1\n\nmax-body\n", &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "line 3"));
    assert_int_equal(read_file(s, "threads = many\n", &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "line 1"));
    assert_int_equal(srv_settings_read_file(s, "/nowhere/config", &err), WN_ERR_NOT_FOUND);
    setenv("WINNOW_SERVE_MAX_BODDY", "1M", 1);
    assert_int_equal(srv_settings_read_environment(s, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "WINNOW_SERVE_MAX_BODDY"));
    unsetenv("WINNOW_SERVE_MAX_BODDY");
    srv_settings_free(s);
}

static void the_whole_is_checked(void **state) {
    wn_error err;
    const srv_config *c = NULL;
    srv_settings *s = srv_settings_create();
    assert_int_equal(srv_settings_config(s, &c, &err), WN_ERR_ARGUMENT); /* nothing to serve */
    srv_settings_set(s, "reranker", "none", &err);
    assert_int_equal(srv_settings_config(s, &c, &err), WN_ERR_ARGUMENT);
    srv_settings_set(s, "embedder", "m", &err);
    assert_int_equal(srv_settings_config(s, &c, &err), WN_OK);
    assert_int_equal(c->nrerankers, 0);
    srv_settings_set(s, "tls-cert", "cert.pem", &err);
    assert_int_equal(srv_settings_config(s, &c, &err), WN_ERR_ARGUMENT);
    srv_settings_set(s, "tls-key", "key.pem", &err);
    assert_int_equal(srv_settings_config(s, &c, &err), WN_OK);
    srv_settings_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_win_over_environment_over_file),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(wrong_lines_and_variables_are_named),
        cmocka_unit_test(the_whole_is_checked),
    };
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
