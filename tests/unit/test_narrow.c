/* test_narrow.c -- the kernels around bf16 and int8 products: the fast table against its twin, bit for bit,
 * and both against double. Odd lengths, odd addresses, values that are no numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/cpu.h"
#include "kernels/kernels.h"
#include "kernels/narrow.h"
#include "test_tier.h"
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

static float uniform(float range) { return range * ((float)(next() >> 40) * 0x1p-23f - 1); }
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

/* As halves: gelu_f32's values, rounded; the fast table with the twin's bits. */
static void gelu_bf16_rounds_gelu_f32(void **unused) {
    const wn_narrow *k = fast();
    float x[131];
    uint16_t y[132], want[131];
    for (size_t n = 0; n <= 131; n += 13) {
        for (size_t i = 0; i < n; i++) x[i] = uniform(7);
        memset(y, 0xab, sizeof y);
        k->gelu_bf16(x, y, n);
        wn_narrow_c.gelu_bf16(x, want, n);
        assert_memory_equal(y, want, n * sizeof *y);
        assert_int_equal(y[n], 0xabab);
        wn_narrow_c.gelu_f32(x, n);
        wn_narrow_c.f32_to_bf16(x, want, n);
        assert_memory_equal(y, want, n * sizeof *y);
    }
}

/* ---- Attention against double, in every table that this processor has ------ */

static void each_table(void (*body)(const wn_narrow *)) {
    static const uint32_t masks[] = {0, WN_CPU_AVX2 | WN_CPU_DOTPROD, WN_CPU_AVX2 | WN_CPU_AVX512 | WN_CPU_DOTPROD, UINT32_MAX};
    const wn_narrow *before = NULL;
    for (int i = 0; i < 4; i++) {
        wn_cpu_set_mask(masks[i]);
        const wn_narrow *table = wn_narrow_get();
        wn_cpu_set_mask(UINT32_MAX);
        if (table != before) body(table);
        before = table;
    }
}

static uint16_t *halves_make(size_t n, float range) {
    uint16_t *x = malloc(n * sizeof *x + 2);
    for (size_t i = 0; i < n; i++) {
        float f = uniform(range);
        wn_narrow_c.f32_to_bf16(&f, x + i, 1);
    }
    return x;
}
static double half(uint16_t x) { return (double)from_bits((uint32_t)x << 16); }

/* The weights are rounded to halves: each is off by 2^-9 of itself, so the mean of values within [-1, 1] by at most
 * 2 x 2^-9, the exponentials' own error beside it; the result, as a half, by 2^-9 more. A query alone: the same bits. */
static void attention_case(const wn_narrow *k, size_t n, size_t dim, float range) {
    size_t ld = 3 * dim + 2, ldo = dim + 2;
    uint16_t *qkv = halves_make(n * ld, range), *out = malloc(n * ldo * 2), *one = malloc(ldo * 2);
    float *scratch = malloc(wn_attention_scratch(n, dim) * sizeof *scratch), scale = 1 / sqrtf((float)dim);
    double *p = malloc(n * sizeof *p), worst = 0;
    const uint16_t *key = qkv + dim, *value = qkv + 2 * dim;
    memset(out, 0x7f, n * ldo * 2);
    k->attention_bf16(qkv, ld, key, value, ld, out, ldo, n, n, dim, scale, scratch);
    for (size_t r = 0; r < n; r++) {
        double max = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            p[j] = 0;
            for (size_t d = 0; d < dim; d++) p[j] += half(qkv[r * ld + d]) * half(key[j * ld + d]);
            max = fmax(max, p[j]);
        }
        for (size_t j = 0; j < n; j++) sum += p[j] = exp((p[j] - max) * (double)scale);
        for (size_t d = 0; d < dim; d++) {
            double want = 0;
            for (size_t j = 0; j < n; j++) want += p[j] / sum * half(value[j * ld + d]);
            worst = fmax(worst, fabs(half(out[r * ldo + d]) - want) / (double)range);
        }
        for (size_t d = dim; d < ldo; d++) assert_int_equal(out[r * ldo + d], 0x7f7f);
        k->attention_bf16(qkv + r * ld, ld, key, value, ld, one, ldo, 1, n, dim, scale, scratch);
        assert_memory_equal(one, out + r * ldo, dim * sizeof *one);
    }
    assert_true(worst <= 3 * 0x1p-9 + 2e-5);
    free(qkv), free(out), free(one), free(scratch), free(p);
}
static void attention_body(const wn_narrow *k) {
    static const size_t lengths[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 50, 96, 131}, dims[] = {2, 16, 24, 32, 34, 64, 96};
    size_t most = wn_test_emulated() || wn_test_quick() ? 9 : sizeof lengths / sizeof *lengths;
    print_message("  %s, %zu lengths\n", k->isa, most);
    for (size_t i = 0; i < most; i++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) attention_case(k, lengths[i], dims[d], i % 2 ? 1 : 4);
}
static void attention_bf16_matches_double(void **unused) { each_table(attention_body); }

/* ---- int8: every table has the twin's bits --------------------------------- */

static void bytes_case(const wn_narrow *k, size_t n, size_t rows, float range) {
    size_t cells = rows * n;
    float *x = malloc((cells + 1) * sizeof *x), *rotated = malloc(WN_NARROW_ROWS * n * sizeof *x), *twin_rotated = malloc(n * sizeof *x);
    float scales[7], offsets[7], twin_scale, twin_offset;
    uint8_t *bytes = malloc(cells + 1), *twin = malloc(n);
    uint16_t *half = malloc(cells * sizeof *half);
    for (size_t i = 0; i < cells; i++) x[i + 1] = uniform(i % 97 ? range : 30 * range); /* outliers */
    wn_narrow_c.f32_to_bf16(x + 1, half, cells);
    for (int halves = 0; halves < 2; halves++) {
        bytes[cells] = 0xab;
        k->quantize_u8(halves ? (const void *)half : x + 1, halves, rows, rotated, bytes, n, scales, offsets);
        assert_int_equal(bytes[cells], 0xab);
        for (size_t r = 0; r < rows; r++) {
            const void *row = halves ? (const void *)(half + r * n) : x + 1 + r * n;
            wn_narrow_c.quantize_u8(row, halves, 1, twin_rotated, twin, n, &twin_scale, &twin_offset);
            assert_memory_equal(bytes + r * n, twin, n);
            assert_memory_equal(&scales[r], &twin_scale, sizeof twin_scale);
            assert_memory_equal(&offsets[r], &twin_offset, sizeof twin_offset);
            for (size_t i = 0; i < n; i++) {
                double back = (double)scales[r] * bytes[r * n + i] + (double)offsets[r];
                assert_true(fabs(back - (double)twin_rotated[i]) <= (double)scales[r] * 1.001);
            }
        }
    }
    free(x), free(rotated), free(twin_rotated), free(bytes), free(twin), free(half);
}
/* The twin's bits, in place too; rotated twice a block is WN_ROTATION times itself. */
static void rotation_case(const wn_narrow *k, size_t n) {
    float *x = malloc((n + 1) * sizeof *x), *y = malloc((n + 1) * sizeof *y), *twin = malloc((n + 1) * sizeof *twin);
    size_t full = n / WN_ROTATION * WN_ROTATION;
    for (size_t i = 0; i < n; i++) x[i + 1] = uniform(1);
    y[n] = 42;
    k->rotate_f32(x + 1, y, n);
    wn_narrow_c.rotate_f32(x + 1, twin, n);
    assert_memory_equal(y, twin, n * sizeof *y);
    assert_true(y[n] == 42);
    k->rotate_f32(y, y, n);
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(y[i] - x[i + 1] * (i < full ? WN_ROTATION : 1)) <= (i < full ? 1e-4f : 0));
    free(x), free(y), free(twin);
}
/* A row that holds no numbers becomes some bytes, the same in every table, in full blocks and behind them. */
static void bytes_of_no_numbers(const wn_narrow *k) {
    static const float values[] = {NAN, INFINITY, -INFINITY, 1, -1, 0, 3e38f, -3e38f};
    static const size_t lengths[] = {2, 66, 130};
    enum { N = sizeof values / sizeof *values, MOST = 130 };
    for (size_t i = 0; i < 3 * N * N; i++) {
        size_t n = lengths[i % 3];
        float x[MOST], rotated[WN_NARROW_ROWS * MOST], scale, offset, twin_scale, twin_offset;
        uint8_t bytes[MOST], twin[MOST];
        for (size_t j = 0; j < n; j++) x[j] = uniform(2);
        x[n / 3] = values[i / 3 / N], x[n - 1] = values[i / 3 % N];
        k->quantize_u8(x, false, 1, rotated, bytes, n, &scale, &offset);
        wn_narrow_c.quantize_u8(x, false, 1, rotated, twin, n, &twin_scale, &twin_offset);
        assert_memory_equal(bytes, twin, n);
        assert_true(scale == twin_scale && offset == twin_offset);
    }
}
/* Rows have the bits that they have alone. */
static void finish_case(const wn_narrow *k, size_t n, size_t rows, bool gelu, bool halves) {
    size_t cells = rows * n;
    int32_t *sums = malloc((cells + 1) * sizeof *sums);
    float *totals = malloc((n + 1) * sizeof *totals), *scales = malloc((n + 1) * sizeof *scales), *bias = malloc((n + 1) * sizeof *bias);
    float *y = malloc((cells + 1) * sizeof *y), *twin = malloc((cells + 1) * sizeof *twin), row_scales[7], offsets[7];
    for (size_t i = 0; i < cells; i++) sums[i] = (int32_t)(next() >> 36) - (1 << 27);
    for (size_t i = 0; i < n; i++) totals[i] = uniform(1), scales[i] = uniform(1e-4f), bias[i] = uniform(1);
    for (size_t r = 0; r < rows; r++) row_scales[r] = 0.01f * (float)(r + 1), offsets[r] = uniform(2);
    const wn_int8_columns c = {scales, totals, bias, gelu, halves};
    memset(y, 0xab, (cells + 1) * sizeof *y), memset(twin, 0xab, (cells + 1) * sizeof *twin);
    k->finish_int8(sums, row_scales, offsets, rows, &c, y, n);
    wn_narrow_c.finish_int8(sums, row_scales, offsets, rows, &c, twin, n);
    assert_memory_equal(y, twin, (cells + 1) * sizeof *y);
    for (size_t i = 0; i < cells && !gelu && !halves; i++) {
        double product = sums[i] * (double)row_scales[i / n] * (double)scales[i % n];
        double rest = (double)totals[i % n] * (double)offsets[i / n], want = product + rest + (double)bias[i % n];
        assert_true(fabs((double)y[i] - want) <= 3e-7 * (fabs(product) + fabs(rest) + fabs((double)bias[i % n])));
    }
    free(sums), free(totals), free(scales), free(bias), free(y), free(twin);
}
static void int8_body(const wn_narrow *k) {
    static const size_t lengths[] = {1, 2, 15, 16, 17, 31, 33, 64, 384, 517};
    print_message("  %s\n", k->isa);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bytes_case(k, lengths[i], 1 + i % 7, 1), bytes_case(k, lengths[i], 4, 0), bytes_case(k, lengths[i], 5, 1e-30f);
        for (int f = 0; f < 16; f++) finish_case(k, lengths[i], (size_t[]){1, 4, 6, 7}[f / 4], f & 1, f & 2);
    }
    bytes_of_no_numbers(k);
    for (size_t n = 1; n < 600; n += n < 120 ? 17 : 29) rotation_case(k, n);
    rotation_case(k, 128), rotation_case(k, 384);
}
static void int8_has_its_twins_bits(void **unused) { each_table(int8_body); }

/* Exact sums, the largest there are among them; nothing written behind a row's end. */
static void product_case(const wn_narrow *k, size_t rows, size_t in, size_t out, bool largest) {
    uint8_t *x = malloc(rows * in);
    int8_t *w = malloc(in * out), *panels = malloc(wn_byte_panels_size(&k->panels, in, out));
    size_t words = (rows + 1) / 2 * 2 * WN_PRODUCT_SCRATCH(in);
    int32_t *y = malloc((rows * out + 1) * sizeof *y), *scratch = malloc((words + 1) * sizeof *scratch);
    for (size_t i = 0; i < rows * in; i++) x[i] = largest ? 255 : (uint8_t)next();
    for (size_t i = 0; i < in * out; i++) w[i] = largest ? (i / in % 2 ? 127 : -127) : (int8_t)next();
    wn_byte_panels_pack(&k->panels, w, in, out, panels);
    y[rows * out] = scratch[words] = 42;
    k->product_u8s8(x, panels, y, rows, in, out, scratch);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < out; c++) {
            int64_t want = 0;
            for (size_t i = 0; i < in; i++) want += x[r * in + i] * w[c * in + i];
            assert_true(y[r * out + c] == want);
        }
    assert_int_equal(y[rows * out], 42);
    assert_int_equal(scratch[words], 42);
    free(x), free(w), free(panels), free(y), free(scratch);
}
static void product_body(const wn_narrow *k) {
    static const size_t ins[] = {1, 2, 15, 16, 17, 33, 96, 384}, outs[] = {1, 7, 8, 9, 15, 16, 17, 40};
    print_message("  %s\n", k->isa);
    for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) product_case(k, 1 + (i + 3 * o) % 14, ins[i], outs[o], i % 3 == 2);
    product_case(k, 7, 32768, 17, true);
    assert_int_equal(wn_byte_panels_size(&k->panels, SIZE_MAX, 1), SIZE_MAX);
    assert_int_equal(wn_byte_panels_size(&k->panels, SIZE_MAX / 8, 1), SIZE_MAX);
}
static void int8_product_is_exact(void **unused) { each_table(product_body); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(gelu_matches_double),
        cmocka_unit_test(gelu_bf16_rounds_gelu_f32),
        cmocka_unit_test(attention_bf16_matches_double),
        cmocka_unit_test(int8_has_its_twins_bits),
        cmocka_unit_test(int8_product_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
