/* test_ranking.c -- deterministic order and reciprocal rank fusion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "pipeline/ranking.h"

static void rank_ties_keep_first_stage_order(void **state) {
    const float scores[] = {1.0f, 3.0f, 1.0f, 3.0f, 2.0f};
    const uint32_t want[] = {1, 3, 4, 0, 2};
    wn_keyed scratch[5];
    uint32_t order[5];
    wn_rank_by_score(scores, 5, scratch, order);
    for (int i = 0; i < 5; i++) assert_int_equal(order[i], want[i]);
}

static void rank_nan_comes_last_in_order(void **state) {
    const float scores[] = {NAN, -INFINITY, NAN, 0.0f};
    const uint32_t want[] = {3, 1, 0, 2};
    wn_keyed scratch[4];
    uint32_t order[4];
    wn_rank_by_score(scores, 4, scratch, order);
    for (int i = 0; i < 4; i++) assert_int_equal(order[i], want[i]);
}

/* 7 is first and second, 9 second and first: equal sums, so the smaller id wins; 3 is in one list. */
static void fuse_two_lists_sums_reciprocal_ranks(void **state) {
    const wn_hit dense[] = {{7, 0.9f}, {9, 0.8f}};
    const wn_hit bm25[] = {{9, 12.0f}, {7, 11.0f}, {3, 1.0f}};
    wn_hit out[5];
    assert_int_equal(wn_fuse_rrf(dense, 2, bm25, 3, out), 3);
    assert_int_equal(out[0].passage, 7);
    assert_int_equal(out[1].passage, 9);
    assert_int_equal(out[2].passage, 3);
    assert_true(fabsf(out[0].score - (1 / 61.0f + 1 / 62.0f)) < 1e-7f);
    assert_true(fabsf(out[2].score - 1 / 63.0f) < 1e-7f);
}

static void fuse_one_empty_list_keeps_the_other(void **state) {
    const wn_hit bm25[] = {{5, 3.0f}, {2, 1.0f}};
    wn_hit out[2];
    assert_int_equal(wn_fuse_rrf(NULL, 0, bm25, 2, out), 2);
    assert_int_equal(out[0].passage, 5);
    assert_int_equal(out[1].passage, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rank_ties_keep_first_stage_order),
        cmocka_unit_test(rank_nan_comes_last_in_order),
        cmocka_unit_test(fuse_two_lists_sums_reciprocal_ranks),
        cmocka_unit_test(fuse_one_empty_list_keeps_the_other),
    };
    return cmocka_run_group_tests_name("ranking", tests, NULL, NULL);
}
