/* test_eval_stats.c -- intervals, tests and rank agreement: known values, and what they promise,
 * by simulation with a fixed seed. WN_TEST_QUICK=1 simulates less and says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "eval/random.h"
#include "eval/statistics.h"
#include "eval_fixture.h"

#define NEAR(actual, expected) assert_true(fabs((actual) - (expected)) < 1e-12)

static bool quick(void) {
    const char *value = getenv("WN_TEST_QUICK");
    return value && *value && *value != '0';
}

/* The first outputs of xoshiro256++ for the state {1, 2, 3, 4}: its authors' reference program. */
static void random_sequence_is_the_published_one(void **state) {
    static const uint64_t EXPECTED[] = {41943041u, 58720359u, 3588806011781223u,
                                        3591011842654386u};
    wn_random random = {{1, 2, 3, 4}};
    for (size_t i = 0; i < 4; i++) assert_true(wn_random_next(&random) == EXPECTED[i]);
    wn_random_seed(&random, 42);
    size_t counts[7] = {0};
    for (int i = 0; i < 70000; i++) counts[wn_random_below(&random, 7)]++;
    for (int i = 0; i < 7; i++) assert_in_range(counts[i], 9600, 10400);
}

/* ---- Simulation ---------------------------------------------------------------- */

typedef double (*draw_fn)(wn_random *random);

static double draw_normal(wn_random *random) {
    double u = 1 - wn_random_unit(random), v = wn_random_unit(random);
    return 0.3 + sqrt(-2 * log(u)) * cos(2 * acos(-1) * v);
}

/* What a reranker does to nDCG: most queries unchanged, some gain a lot, few lose a little.
 * Mean: 0.5 * 0.2 - 0.15 * 0.1. */
static double draw_gains(wn_random *random) {
    double u = wn_random_unit(random), size = -log(1 - wn_random_unit(random));
    return u < 0.35 ? 0 : u < 0.85 ? 0.2 * size : -0.1 * size;
}

/* Nearly nothing changes: 80 % zeros, 15 % gains, 5 % losses. Mean: 0.15 * 0.3 - 0.05 * 0.3. */
static double draw_sparse(wn_random *random) {
    double u = wn_random_unit(random), size = -0.3 * log(1 - wn_random_unit(random));
    return u < 0.8 ? 0 : u < 0.95 ? size : -size;
}

typedef struct {
    double ours, percentile;
} coverage;

static coverage simulate(draw_fn draw, double mean, size_t n, size_t trials) {
    wn_random random;
    wn_random_seed(&random, 20250101);
    wn_stats_options options = wn_stats_options_default();
    options.rounds = 1000;
    size_t ours = 0, percentile = 0;
    double a[64] = {0}, b[64], means[1000];
    for (size_t t = 0; t < trials; t++) {
        wn_interval interval;
        for (size_t i = 0; i < n; i++) b[i] = draw(&random);
        options.seed = t;
        assert_int_equal(wn_bootstrap_difference(a, b, n, &options, &interval, NULL), WN_OK);
        ours += interval.low <= mean && mean <= interval.high;
        for (size_t r = 0; r < 1000; r++) {
            means[r] = 0;
            for (size_t i = 0; i < n; i++)
                means[r] += b[wn_random_below(&random, n)] / (double)n;
        }
        qsort(means, 1000, sizeof *means, wn_compare_doubles);
        percentile += wn_quantile_sorted(means, 1000, 0.025) <= mean &&
                      mean <= wn_quantile_sorted(means, 1000, 0.975);
    }
    return (coverage){(double)ours / (double)trials, (double)percentile / (double)trials};
}

/* 95 % is asked; the standard error of a coverage in 2,000 trials is 0.5 %. Values that are mostly 0
 * are where every bootstrap falls short (bootstrap.c has the figures): their bound is lower, and the
 * interval must at least beat the plain percentiles. */
static void interval_covers_the_mean_as_often_as_it_says(void **state) {
    size_t trials = quick() ? 300 : 2000;
    static const struct { const char *name; draw_fn draw; double mean; size_t n; double least; }
    CASES[] = {
        {"normal", draw_normal, 0.3, 50, 0.94}, {"normal", draw_normal, 0.3, 20, 0.94},
        {"gains", draw_gains, 0.085, 50, 0.93}, {"gains", draw_gains, 0.085, 30, 0.915},
        {"sparse", draw_sparse, 0.03, 50, 0.87},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        coverage c = simulate(CASES[i].draw, CASES[i].mean, CASES[i].n, trials);
        print_message("coverage compared over %zu trials, %s, n = %zu: %.3f (plain %.3f)\n",
                      trials, CASES[i].name, CASES[i].n, c.ours, c.percentile);
        double slack = quick() ? 0.025 : 0;
        assert_true(c.ours >= CASES[i].least - slack && c.ours <= 0.965 + slack);
        assert_true(c.ours >= c.percentile - 0.005 - slack);
    }
}

/* scipy.stats.t.ppf(0.975, df) and t.ppf(0.75, df) */
static void student_quantiles_are_those_of_tables(void **state) {
    static const struct { double outside, df, t; } CASES[] = {
        {0.05, 1, 12.706204736174694}, {0.05, 2, 4.302652729749464}, {0.05, 9, 2.2621571628540993},
        {0.05, 42, 2.0180817028184457}, {0.05, 6979, 1.960303958133713}, {0.5, 5, 0.7266868438004232},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        double t = wn_student_quantile(CASES[i].outside, CASES[i].df);
        if (fabs(t - CASES[i].t) > 1e-7) fail_msg("df %.0f: %.12f", CASES[i].df, t);
    }
}

static void permutation_rejects_a_true_null_as_often_as_it_says(void **state) {
    size_t trials = quick() ? 300 : 2000, rejected_exact = 0, rejected_random = 0;
    wn_random random;
    wn_random_seed(&random, 7);
    wn_stats_options options = wn_stats_options_default();
    options.shuffles = 1000;
    double a[40] = {0}, b[40];
    for (size_t t = 0; t < trials; t++) {
        wn_permutation p;
        for (size_t i = 0; i < 40; i++) b[i] = draw_normal(&random) - 0.3;
        assert_int_equal(wn_permutation_test(a, b, 10, &options, &p, NULL), WN_OK);
        assert_true(p.exact);
        rejected_exact += p.p <= 0.05;
        options.seed = t;
        assert_int_equal(wn_permutation_test(a, b, 40, &options, &p, NULL), WN_OK);
        assert_false(p.exact);
        rejected_random += p.p <= 0.05;
    }
    double exact = (double)rejected_exact / (double)trials;
    double sampled = (double)rejected_random / (double)trials;
    print_message("false rejections at 0.05 compared over %zu trials: exact %.3f, sampled %.3f\n",
                  trials, exact, sampled);
    double slack = quick() ? 0.03 : 0.015;
    assert_true(fabs(exact - 0.05) < slack && fabs(sampled - 0.05) < slack);
}

/* ---- Known values ----------------------------------------------------------------- */

static void interval_is_repeatable_and_degenerate_data_give_a_point(void **state) {
    double x[] = {0.1, 0.5, 0.2, 0.9, 0.4, 0.4, 0.7, 0.3}, same[] = {0.25, 0.25, 0.25};
    wn_interval a, b;
    wn_error err = {0};
    assert_int_equal(wn_bootstrap_mean(x, 8, NULL, &a, NULL), WN_OK);
    assert_int_equal(wn_bootstrap_mean(x, 8, NULL, &b, NULL), WN_OK);
    assert_memory_equal(&a, &b, sizeof a);
    NEAR(a.mean, 3.5 / 8);
    assert_true(a.low < a.mean && a.mean < a.high && a.low > 0.1 && a.high < 0.9);
    wn_stats_options options = wn_stats_options_default();
    options.confidence = 0.5;
    assert_int_equal(wn_bootstrap_mean(x, 8, &options, &b, NULL), WN_OK);
    assert_true(b.low > a.low && b.high < a.high);
    assert_int_equal(wn_bootstrap_mean(same, 3, NULL, &a, NULL), WN_OK);
    assert_true(a.low == 0.25 && a.mean == 0.25 && a.high == 0.25);
    assert_int_equal(wn_bootstrap_mean(x, 1, NULL, &a, NULL), WN_OK);
    assert_true(a.low == 0.1 && a.high == 0.1);
    assert_int_equal(wn_bootstrap_mean(x, 0, NULL, &a, &err), WN_ERR_ARGUMENT);
    options.confidence = 1;
    assert_int_equal(wn_bootstrap_mean(x, 8, &options, &a, &err), WN_ERR_ARGUMENT);
}

static void permutation_of_few_pairs_is_exact(void **state) {
    double zero[4] = {0}, up[4] = {1, 2, 3, 4}, mixed[4] = {3, -1, 0, 0};
    wn_permutation p;
    assert_int_equal(wn_permutation_test(zero, up, 4, NULL, &p, NULL), WN_OK);
    assert_true(p.exact);
    NEAR(p.p, 2.0 / 16); /* all signs alike */
    assert_int_equal(wn_permutation_test(zero, mixed, 4, NULL, &p, NULL), WN_OK);
    NEAR(p.p, 1); /* |3 - 1| is the least there is */
    assert_int_equal(wn_permutation_test(up, up, 4, NULL, &p, NULL), WN_OK);
    NEAR(p.p, 1);
    assert_int_equal(wn_permutation_test(zero, up, 0, NULL, &p, NULL), WN_ERR_ARGUMENT);
    double a[21] = {0}, b[21];
    for (int i = 0; i < 21; i++) b[i] = 1;
    assert_int_equal(wn_permutation_test(a, b, 21, NULL, &p, NULL), WN_OK);
    assert_false(p.exact);
    assert_true(p.p < 1e-4 && p.p > 0);
}

static double rbo(const char *a, const char *b, double p) {
    const char *la[64], *lb[64];
    static char copies[2][256];
    size_t na = 0, nb = 0;
    snprintf(copies[0], sizeof copies[0], "%s", a);
    snprintf(copies[1], sizeof copies[1], "%s", b);
    for (char *w = strtok(copies[0], " "); w; w = strtok(NULL, " ")) la[na++] = w;
    for (char *w = strtok(copies[1], " "); w; w = strtok(NULL, " ")) lb[nb++] = w;
    double value = -1;
    wn_error err = {0};
    if (wn_rank_biased_overlap(la, na, lb, nb, p, &value, &err) != WN_OK)
        fail_msg("%s", err.message);
    return value;
}

static void rank_biased_overlap_of_small_lists_is_that_by_hand(void **state) {
    NEAR(rbo("a b c", "a b c", 0.9), 1);
    NEAR(rbo("a b c", "x y z", 0.9), 0);
    NEAR(rbo("", "", 0.9), 1);
    NEAR(rbo("", "a", 0.9), 0);
    /* X = 0, 2: (1-p)/p (p^2) + p^2 */
    NEAR(rbo("a b", "b a", 0.9), 0.1 / 0.9 * 0.81 + 0.81);
    /* lengths 2 and 3: X = 0, 2, 2; see equation 32 */
    NEAR(rbo("a b", "b a c", 0.9), 0.1 / 0.9 * (0.81 + 2.0 / 3 * 0.729 + 1.0 / 3 * 0.729) + 0.729);
    NEAR(rbo("b a c", "a b", 0.9), rbo("a b", "b a c", 0.9));
    /* lengths 1 and 3, the short one's document at rank 3: X = 0, 0, 1 */
    NEAR(rbo("a", "x y a", 0.5), 0.5 / 0.5 * (1.0 / 3 * 0.125) + 1.0 / 3 * 0.125);
    const char *twice[] = {"a", "b", "a"}, *once[] = {"a"};
    double value;
    wn_error err = {0};
    assert_int_equal(wn_rank_biased_overlap(twice, 3, once, 1, 0.9, &value, &err),
                     WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "twice"));
    assert_int_equal(wn_rank_biased_overlap(once, 1, once, 1, 1, &value, &err), WN_ERR_ARGUMENT);
}

/* Every pair, as the definition says. */
static double tau_by_pairs(const double *x, const double *y, size_t n) {
    double sum = 0, nx = 0, ny = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            int a = (x[i] > x[j]) - (x[i] < x[j]), b = (y[i] > y[j]) - (y[i] < y[j]);
            sum += a * b;
            nx += a != 0;
            ny += b != 0;
        }
    return sum / sqrt(nx * ny);
}

static void kendall_tau_is_that_of_all_pairs(void **state) {
    double x[] = {12, 2, 1, 12, 2}, y[] = {1, 4, 7, 1, 0}, tau;
    assert_int_equal(wn_kendall_tau_b(x, y, 5, &tau, NULL), WN_OK);
    NEAR(tau, -0.47140452079103173); /* scipy.stats.kendalltau's documentation */
    wn_random random;
    wn_random_seed(&random, 3);
    for (size_t n = 2; n < 60; n++) {
        double a[60], b[60];
        for (size_t i = 0; i < n; i++) {
            a[i] = (double)wn_random_below(&random, 10);
            b[i] = (double)wn_random_below(&random, 10);
        }
        a[0] = 20;
        b[1] = 20; /* neither is constant */
        assert_int_equal(wn_kendall_tau_b(a, b, n, &tau, NULL), WN_OK);
        assert_true(fabs(tau - tau_by_pairs(a, b, n)) < 1e-12);
    }
    assert_int_equal(wn_kendall_tau_b(x, x, 1, &tau, NULL), WN_OK);
    assert_true(isnan(tau));
}

static void percentiles_are_numpys(void **state) {
    double x[] = {4, 1, 3, 2}, percents[] = {0, 50, 95, 100}, out[4];
    assert_int_equal(wn_percentiles(x, 4, percents, 4, out, NULL), WN_OK);
    NEAR(out[0], 1);
    NEAR(out[1], 2.5);
    NEAR(out[2], 3.85);
    NEAR(out[3], 4);
    percents[0] = 101;
    assert_int_equal(wn_percentiles(x, 4, percents, 4, out, NULL), WN_ERR_ARGUMENT);
    assert_int_equal(wn_percentiles(x, 0, percents, 4, out, NULL), WN_ERR_ARGUMENT);
}

static void comparison_pairs_queries_by_id(void **state) {
    wn_qrels *qrels = qrels_of("1 0 a 1\n2 0 a 1\n3 0 a 1\n4 0 a 1\n", WN_QRELS_AUTO);
    wn_run *run_a = run_of("1 Q0 a 1 2 A\n2 Q0 x 1 2 A\n2 Q0 a 2 1 A\n3 Q0 x 1 1 A\n");
    wn_run *run_b = run_of("4 Q0 a 1 2 B\n3 Q0 a 1 2 B\n2 Q0 a 1 1 B\n1 Q0 x 1 2 B\n1 Q0 a 2 1 B\n");
    wn_evaluation *a = evaluate(qrels, run_a, wn_evaluate_options_default(), "recip_rank num_ret");
    wn_evaluation *b = evaluate(qrels, run_b, wn_evaluate_options_default(), "recip_rank gm_map");
    wn_comparison c;
    wn_error err = {0};
    assert_int_equal(wn_evaluation_compare(a, b, "recip_rank", NULL, &c, &err), WN_OK);
    assert_int_equal(c.queries, 3);
    assert_int_equal(c.left_out, 1);
    assert_true(c.better == 2 && c.worse == 1 && c.equal == 0);
    NEAR(c.mean_a, 0.5);
    NEAR(c.mean_b, 2.5 / 3);
    NEAR(c.difference.mean, 1.0 / 3);
    NEAR(c.improvement, 200.0 / 3);
    NEAR(c.test.p, 6.0 / 8); /* sums of +-1/2 +-1/2 +-1 that are at least 1 from 0 */
    wn_gain gains[3];
    size_t n;
    assert_int_equal(wn_evaluation_gains(a, b, "recip_rank", gains, &n, &err), WN_OK);
    assert_int_equal(n, 3);
    assert_string_equal(gains[0].query, "3");
    assert_string_equal(gains[1].query, "2");
    assert_string_equal(gains[2].query, "1");
    NEAR(gains[2].gain, -0.5);
    assert_int_equal(wn_evaluation_compare(a, b, "num_ret", NULL, &c, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_evaluation_compare(b, b, "gm_map", NULL, &c, &err), WN_ERR_ARGUMENT);
    wn_evaluation_free(a);
    wn_evaluation_free(b);
    wn_run_free(run_a);
    wn_run_free(run_b);
    wn_qrels_free(qrels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sequence_is_the_published_one),
        cmocka_unit_test(interval_covers_the_mean_as_often_as_it_says),
        cmocka_unit_test(student_quantiles_are_those_of_tables),
        cmocka_unit_test(permutation_rejects_a_true_null_as_often_as_it_says),
        cmocka_unit_test(interval_is_repeatable_and_degenerate_data_give_a_point),
        cmocka_unit_test(permutation_of_few_pairs_is_exact),
        cmocka_unit_test(rank_biased_overlap_of_small_lists_is_that_by_hand),
        cmocka_unit_test(kendall_tau_is_that_of_all_pairs),
        cmocka_unit_test(percentiles_are_numpys),
        cmocka_unit_test(comparison_pairs_queries_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
