/* test_server_keys.c -- the key file, and who is let in. */
#include "server/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/winnow-keys-XXXXXX";

static wn_status read_keys(const char *text, srv_keys **out, wn_error *err) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return srv_keys_read(path, out, err);
}

static void known_keys_give_their_names(void **state) {
    srv_keys *keys = NULL;
    wn_error err;
    assert_int_equal(read_keys("# ours\n\nalice sk-alice-0001\n  sk-anonymous  \r\nbob\tsk-bob-000002 # left in May\n"
                               "sk-last-without-newline", &keys, &err), WN_OK);
    assert_string_equal(srv_keys_check(keys, "sk-alice-0001"), "alice");
    assert_string_equal(srv_keys_check(keys, "sk-anonymous"), "key4");
    assert_string_equal(srv_keys_check(keys, "sk-bob-000002"), "bob");
    assert_string_equal(srv_keys_check(keys, "sk-last-without-newline"), "key6");
    srv_keys_free(keys);
}

static void unknown_keys_are_nobody(void **state) {
    srv_keys *keys = NULL;
    wn_error err;
    assert_int_equal(read_keys("alice sk-alice-0001\n", &keys, &err), WN_OK);
    const char *const wrong[] = {"", "sk-alice-000", "sk-alice-00011", "sk-alice-0002", "alice", "SK-ALICE-0001", " ",
                                 "sk-alice-0001 "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_null(srv_keys_check(keys, wrong[i]));
    assert_null(srv_keys_check(keys, NULL));
    srv_keys_free(keys);
}

static void bad_files_are_refused_with_their_line(void **state) {
    srv_keys *keys = NULL;
    wn_error err;
    assert_int_equal(read_keys("", &keys, &err), WN_ERR_FORMAT);
    assert_int_equal(read_keys("# nothing\n\n", &keys, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no key"));
    assert_int_equal(read_keys("alice sk-alice-0001\nbob short\n", &keys, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "line 2"));
    assert_int_equal(read_keys("a b c\n", &keys, &err), WN_ERR_FORMAT);
    assert_int_equal(srv_keys_read("/nowhere/keys", &keys, &err), WN_ERR_NOT_FOUND);
    assert_null(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_keys_give_their_names),
        cmocka_unit_test(unknown_keys_are_nobody),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
    };
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
