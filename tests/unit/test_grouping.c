/* test_grouping.c -- every sequence is in one group, groups hold what they may, and workers that take them in turn end
 * nearly together with few rows wasted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/memory.h"
#include "kernels/gemm.h"
#include "model/grouping.h"
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;
static uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

static size_t group_tokens(const wn_grouping *g, const uint32_t *starts, size_t group) {
    size_t sum = 0;
    for (size_t i = group ? g->ends[group - 1] : 0; i < g->ends[group]; i++) sum += starts[g->order[i] + 1] - starts[g->order[i]];
    return sum;
}

/* starts[n + 1] of lengths in [least, most]. */
static uint32_t *starts_make(size_t n, uint32_t least, uint32_t most) {
    uint32_t *starts = calloc(n + 1, sizeof *starts);
    for (size_t i = 0; i < n; i++) starts[i + 1] = starts[i] + least + below(most - least + 1);
    return starts;
}

static void plan_check(wn_grouping *g, const uint32_t *starts, size_t n, size_t workers, size_t most) {
    uint8_t *seen = calloc(n + 1, 1);
    size_t longest = 0;
    assert_int_equal(wn_grouping_plan(g, starts, n, workers, most, NULL), WN_OK);
    for (size_t i = 0; i < n; i++) {
        size_t length = starts[i + 1] - starts[i];
        longest = length > longest ? length : longest;
        assert_true(g->order[i] < n);
        assert_int_equal(seen[g->order[i]]++, 0);
    }
    assert_true(g->groups > 0 && g->ends[g->groups - 1] == n);
    for (size_t i = 0; i < g->groups; i++) {
        assert_true(g->ends[i] > (i ? g->ends[i - 1] : 0));
        assert_true(group_tokens(g, starts, i) <= wn_grouping_most_tokens(most, longest));
    }
    assert_true(g->alone <= g->groups && g->team >= 1);
    assert_true(g->alone == g->groups || (g->team > 1 && (g->groups - g->alone) * g->team <= workers));
    free(seen);
}

static void every_sequence_is_in_one_group_that_is_not_too_long(void **unused) {
    static const size_t counts[] = {1, 2, 3, 17, 50, 400}, shares[] = {1, 8, 64, 256, 1000};
    static const uint32_t longest[] = {1, 12, 200, 512};
    wn_grouping g = {0};
    for (size_t c = 0; c < 6; c++)
        for (size_t l = 0; l < 4; l++)
            for (size_t s = 0; s < 5; s++) {
                uint32_t *starts = starts_make(counts[c], 1, longest[l]);
                for (size_t workers = 1; workers < 20; workers += 6) plan_check(&g, starts, counts[c], workers, shares[s]);
                free(starts);
            }
    wn_grouping_release(&g);
}

static void few_tokens_are_divided_among_all_workers(void **unused) {
    const uint32_t starts[] = {0, 10, 20, 30, 40};
    wn_grouping g = {0};
    plan_check(&g, starts, 4, 2, 256);
    assert_true(g.groups >= 2 && group_tokens(&g, starts, 0) == 20);
    plan_check(&g, starts, 4, 8, 256);
    assert_int_equal(g.groups, 4);
    wn_grouping_release(&g);
}

/* plan: of sequences of these lengths, 0 at the end. */
static void team_check(wn_grouping *g, const uint32_t *lengths, size_t workers, size_t alone, size_t team) {
    uint32_t starts[64] = {0};
    size_t n = 0;
    for (; lengths[n]; n++) starts[n + 1] = starts[n] + lengths[n];
    plan_check(g, starts, n, workers, 256);
    assert_int_equal(g->alone, alone);
    assert_int_equal(g->team, team);
}

static void idle_workers_help_where_that_ends_sooner(void **unused) {
    wn_grouping g = {0};
    const uint32_t one[] = {512, 0}, three[] = {512, 500, 480, 0}, uneven[] = {512, 256, 250, 0}, five[] = {400, 400, 400, 400, 400, 0};
    const uint32_t word[] = {3, 0}, query[] = {20, 0};
    team_check(&g, one, 1, 1, 1);
    team_check(&g, one, 2, 0, 2);
    team_check(&g, one, 16, 0, 16);
    team_check(&g, three, 2, 2, 2);  /* two alone, then both at the third */
    team_check(&g, uneven, 2, 3, 1); /* one takes the long one, the other the rest */
    team_check(&g, five, 16, 0, 3);
    team_check(&g, five, 4, 4, 4);
    team_check(&g, five, 8, 5, 1); /* three help nobody: they would need to be five */
    team_check(&g, word, 8, 1, 1);
    team_check(&g, query, 8, 0, 3);
    wn_grouping_release(&g);
}

/* 50 pairs of 30 to 200 tokens: each worker takes the next group when it has finished one, in a time of its rows. */
static void workers_end_nearly_together_and_rows_are_not_wasted(void **unused) {
    wn_grouping g = {0};
    size_t waste = 0, rows = 0, late = 0, time = 0;
    for (int round = 0; round < 200; round++) {
        uint32_t *starts = starts_make(50, 30, 200);
        size_t ends[2] = {0, 0};
        plan_check(&g, starts, 50, 2, 256);
        for (size_t i = 0; i < g.groups; i++) {
            size_t n = group_tokens(&g, starts, i);
            ends[ends[1] < ends[0]] += wn_gemm_padded_rows(n);
            waste += wn_gemm_padded_rows(n) - n;
            rows += n;
        }
        late += ends[0] > ends[1] ? ends[0] - ends[1] : ends[1] - ends[0];
        time += (ends[0] + ends[1]) / 2;
        free(starts);
    }
    print_message("  %.2f %% of rows wasted, workers end %.2f %% apart\n", 100.0 * (double)waste / (double)rows,
                  100.0 * (double)late / (double)time);
    assert_true(waste * 100 < rows);     /* cut as they come: 1.5 % */
    assert_true(late * 1000 < 15 * time); /* equal groups as they come: 4 % */
    wn_grouping_release(&g);
}

static void failing_allocations_are_reported(void **unused) {
    uint32_t *starts = starts_make(300, 1, 9);
    for (uint64_t n = 1; n < 3; n++) {
        wn_grouping g = {0};
        wn_error err;
        wn_memory_fail_at(n, true);
        wn_status st = wn_grouping_plan(&g, starts, 300, 2, 64, &err);
        wn_memory_fail_at(0, false);
        assert_int_equal(st, WN_ERR_MEMORY);
        wn_grouping_release(&g);
    }
    assert_int_equal(wn_grouping_most_tokens(SIZE_MAX, 1), SIZE_MAX);
    free(starts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_is_in_one_group_that_is_not_too_long),
        cmocka_unit_test(few_tokens_are_divided_among_all_workers),
        cmocka_unit_test(idle_workers_help_where_that_ends_sooner),
        cmocka_unit_test(workers_end_nearly_together_and_rows_are_not_wasted),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
