/* test_core.c -- UTF-8, buffers, JSON errors, the thread pool, the barrier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/barrier.h"
#include "core/threadpool.h"
#include "core/utf8.h"

/* Expected results are Python's bytes.decode("utf-8", "replace"). */
static void utf8_invalid_maximal_subparts_become_one_replacement(void **state) {
    static const struct { const char *in; size_t len; const char *out; } cases[] = {
        {"a\xFF" "b", 3, "a\xEF\xBF\xBD" "b"},
        {"\xE2\x82", 2, "\xEF\xBF\xBD"},                          /* truncated euro sign */
        {"\xE2\x28\xA1", 3, "\xEF\xBF\xBD(\xEF\xBF\xBD"},
        {"\xED\xA0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* surrogate */
        {"\xF0\x9F\x98", 3, "\xEF\xBF\xBD"},
        {"\xC0\xAF", 2, "\xEF\xBF\xBD\xEF\xBF\xBD"},              /* overlong */
        {"a\0b", 3, "a\0b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wn_buf out = {0};
        assert_int_equal(wn_utf8_sanitize(cases[i].in, cases[i].len, &out, NULL), WN_OK);
        assert_memory_equal(out.data, cases[i].out, out.len);
        wn_buf_release(&out);
    }
}

static void utf8_every_scalar_round_trips(void **state) {
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        if (cp >= 0xD800 && cp < 0xE000) continue;
        char bytes[4];
        size_t len = wn_utf8_put(cp, bytes), pos = 0;
        bool valid = true;
        assert_int_equal(wn_utf8_next(bytes, len, &pos, &valid), cp);
        assert_true(valid && pos == len);
    }
}

static void json_bad_text_names_file_and_byte(void **state) {
    json_t *root = NULL;
    wn_error err = {0};
    assert_int_equal(wn_json_parse("x.json", "{\"a\": tru}", 10, &root, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "x.json: byte"));
    assert_true(err.offset > 0);
    assert_int_equal(err.line, 1);
}

static void json_integer_out_of_range_is_refused_by_key(void **state) {
    json_t *root = NULL;
    wn_error err = {0};
    const char text[] = "{\"hidden_size\": -3}";
    assert_int_equal(wn_json_parse("c.json", text, sizeof text - 1, &root, NULL), WN_OK);
    int64_t n = 7;
    assert_int_equal(wn_json_int(root, "c.json", "hidden_size", 1, 100, &n, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "hidden_size"));
    assert_int_equal(n, 7);
    assert_int_equal(wn_json_int(root, "c.json", "absent", 1, 100, &n, &err), WN_OK);
    json_decref(root);
}

static void count_task(void *ctx, size_t task, int worker) {
    _Atomic uint64_t *sum = ctx;
    atomic_fetch_add(sum, task + 1);
}

static void pool_many_runs_do_every_task_once(void **state) {
    wn_pool *pool = NULL;
    assert_int_equal(wn_pool_create(3, NULL, &pool, NULL), WN_OK);
    for (uint64_t n = 0; n < 500; n++) {
        _Atomic uint64_t sum = 0;
        wn_pool_run(pool, n, count_task, &sum);
        assert_int_equal(sum, n * (n + 1) / 2);
    }
    wn_pool_free(pool);
}

/* Each member writes its own round, meets, and must see everybody's. */
enum { MEMBERS = 3, ROUNDS = 3000 };
typedef struct rounds {
    wn_barrier barrier;
    size_t members;
    int at[MEMBERS];
    _Atomic int late;
} rounds;

static void meet_often(void *ctx, size_t task, int worker) {
    rounds *r = ctx;
    for (int round = 1; round <= ROUNDS; round++) {
        r->at[task] = round;
        if (round % 500 == 0 && task == 0) usleep(2000); /* the others have to sleep */
        wn_barrier_wait(&r->barrier);
        for (size_t i = 0; i < r->members; i++)
            if (r->at[i] != round) r->late++;
        wn_barrier_wait(&r->barrier);
    }
}

static void barrier_members_see_what_all_wrote(void **state) {
    wn_pool *pool = NULL;
    rounds r = {0};
    assert_int_equal(wn_pool_create(MEMBERS, NULL, &pool, NULL), WN_OK);
    wn_barrier_init(&r.barrier);
    for (r.members = 1; r.members <= MEMBERS; r.members++) {
        wn_barrier_set(&r.barrier, r.members);
        wn_pool_run(pool, r.members, meet_often, &r);
        for (size_t i = 0; i < r.members; i++) assert_int_equal(r.at[i], ROUNDS);
        assert_int_equal(r.late, 0);
        memset(r.at, 0, sizeof r.at);
    }
    wn_barrier_destroy(&r.barrier);
    wn_pool_free(pool);
}

static void error_control_bytes_are_not_echoed(void **state) {
    wn_error err = {0};
    wn_fail(&err, WN_ERR_FORMAT, "bad\nname\x1b[31m");
    assert_string_equal(err.message, "bad?name?[31m");
}

static void memory_failing_allocation_is_reported(void **state) {
    wn_buf buf = {0};
    wn_error err = {0};
    wn_memory_fail_at(1, false);
    assert_int_equal(wn_buf_append(&buf, "x", 1, &err), WN_ERR_MEMORY);
    wn_memory_fail_at(0, false);
    assert_int_equal(wn_buf_append(&buf, "x", 1, &err), WN_OK);
    wn_buf_release(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_invalid_maximal_subparts_become_one_replacement),
        cmocka_unit_test(utf8_every_scalar_round_trips),
        cmocka_unit_test(json_bad_text_names_file_and_byte),
        cmocka_unit_test(json_integer_out_of_range_is_refused_by_key),
        cmocka_unit_test(pool_many_runs_do_every_task_once),
        cmocka_unit_test(barrier_members_see_what_all_wrote),
        cmocka_unit_test(error_control_bytes_are_not_echoed),
        cmocka_unit_test(memory_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
