/* test_narrow.c -- the kernels around bf16 products: the fast table against its twin, bit for bit,
 * and both against double. Odd lengths, odd addresses, values that are no numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/cpu.h"
#include "kernels/narrow.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;
static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* The fast table where there is one, else the twin beside itself. */
static const wn_narrow *fast(void) {
    if (wn_narrow_get() == &wn_narrow_c) print_message("  SKIPPED: no table but the twin on this processor\n");
    return wn_narrow_get();
}

static float from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Nearest of the two neighbours in double, the even one at a tie. */
static void bf16_check(const wn_narrow *k) {
    static const uint32_t special[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                       0xffffffff, 1,          0x8000,     0x8001,     0x18000,    0x3f808000,
                                       0x3f818000, 0x3f807fff, 0x3f808001, 0x7f7fffff, 0x7f7f8000, 0x007fffff};
    enum { SPECIAL = sizeof special / sizeof *special, N = 4000 };
    float *x = malloc((N + 1) * sizeof *x);
    uint16_t *y = malloc((N + 1) * sizeof *y), *twin = malloc((N + 1) * sizeof *twin);
    for (int i = 0; i < N; i++) x[i + 1] = from_bits(i < SPECIAL ? special[i] : (uint32_t)next());
    for (size_t n = 0; n < 70; n++) {
        memset(y, 0xab, (N + 1) * sizeof *y);
        k->f32_to_bf16(x + 1, y, n);
        wn_narrow_c.f32_to_bf16(x + 1, twin, n);
        assert_memory_equal(y, twin, n * sizeof *y);
        assert_int_equal(y[n], 0xabab);
    }
    k->f32_to_bf16(x + 1, y, N);
    for (int i = 0; i < N; i++) {
        float f = x[i + 1], got = from_bits((uint32_t)y[i] << 16);
        if (isnan(f) || isinf(f)) {
            assert_true(isnan(f) ? isnan(got) : memcmp(&f, &got, sizeof f) == 0);
            continue;
        }
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        double below = (double)from_bits(bits & 0xffff0000), step = ldexp(1, (int)(bits >> 23 & 255) - 127 - 7);
        if ((bits >> 23 & 255) == 0) step = 0x1p-133;
        double above = signbit(f) ? below - step : below + step, d = fabs((double)f - below), u = fabs(above - (double)f);
        bool up = d > u || (d == u && (bits >> 16 & 1));
        if (up && fabs(above) > 3.4e38) assert_true(isinf(got));
        else assert_true((double)got == (up ? above : below));
    }
    free(x), free(y), free(twin);
}
static void bf16_rounds_to_nearest_even(void **unused) {
    bf16_check(&wn_narrow_c);
    bf16_check(fast());
}

/* 7e-5 of the exact value, everywhere; both tails; the same bits wherever a value stands. */
static void gelu_check(const wn_narrow *k) {
    enum { N = 40001 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    double worst = 0;
    for (int i = 0; i < N; i++) y[i] = x[i] = (float)(i - N / 2) * 5e-4f;
    k->gelu_f32(y, N);
    float *twin = malloc(N * sizeof *twin);
    memcpy(twin, x, N * sizeof *x);
    wn_narrow_c.gelu_f32(twin, N);
    assert_memory_equal(y, twin, N * sizeof *y);
    free(twin);
    for (int i = 0; i < N; i++) {
        double want = (double)x[i] / 2 * (1 + erf((double)x[i] / sqrt(2))), error = fabs((double)y[i] - want);
        if (!(error <= worst)) worst = error;
    }
    print_message("  %s: gelu within %.2g\n", k->isa, worst);
    assert_true(worst <= 7e-5);
    for (size_t n = 1; n < 50; n++) {
        float one[51];
        memcpy(one, x + N / 2 - 20, n * sizeof *one);
        one[n] = 777;
        k->gelu_f32(one, n);
        assert_memory_equal(one, y + N / 2 - 20, n * sizeof *one);
        assert_true(one[n] == 777);
    }
    float far[3] = {1e30f, -1e3f, NAN};
    k->gelu_f32(far, 3);
    assert_true(fabsf(far[0] / 1e30f - 1) < 1e-5f && fabsf(far[1]) < 1e-2f && isnan(far[2]));
    free(x), free(y);
}
static void gelu_matches_double(void **unused) {
    gelu_check(&wn_narrow_c);
    gelu_check(fast());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(gelu_matches_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
