/* test_kernels.c -- every tier of every kernel against a double-precision reference: odd lengths, pointers
 * off every alignment, and the two promises of kernels.h (a row depends on that row alone; a query's
 * attention on its sequence alone), bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/cpu.h"
#include "core/memory.h"
#include "kernels/kernels.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t masks[] = {0, WN_CPU_NEON, WN_CPU_AVX2, WN_CPU_AVX2 | WN_CPU_AVX512};
enum { NMASKS = sizeof masks / sizeof *masks };

static uint64_t state = 88172645463325252ull;
static float uniform(float lo, float hi) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return lo + (hi - lo) * (float)(state >> 40) * 0x1p-24f;
}

/* n floats at a float-aligned but otherwise odd address, with a guard behind them. */
static float *floats(size_t n, size_t shift, float lo, float hi, float **base) {
    *base = wn_malloc_aligned((n + shift + 1) * sizeof(float));
    assert_non_null(*base);
    float *p = *base + shift;
    for (size_t i = 0; i < n; i++) p[i] = uniform(lo, hi);
    p[n] = 12345;
    return p;
}

/* Runs body(kernels) for each tier this processor has; says which. */
static void each_tier(void (*body)(const wn_kernels *)) {
    uint32_t have = wn_cpu_flags();
    for (int i = 0; i < NMASKS; i++) {
        if ((masks[i] & have) != masks[i]) continue;
        const wn_kernels *kernels = wn_kernels_for(masks[i]);
        print_message("  tier %s\n", kernels->isa);
        body(kernels);
    }
}

static void tiers_by_flags_are_chosen(void **unused) {
    assert_string_equal(wn_kernels_for(0)->isa, "c");
#if defined(__x86_64__)
    assert_string_equal(wn_kernels_for(WN_CPU_AVX2)->isa, "avx2");
    assert_string_equal(wn_kernels_for(WN_CPU_AVX2 | WN_CPU_AVX512)->isa, "avx512");
#elif defined(__aarch64__)
    assert_string_equal(wn_kernels_for(WN_CPU_NEON)->isa, "neon");
#endif
    assert_ptr_equal(wn_kernels_get(), wn_kernels_for(wn_cpu_flags()));
}

/* Tolerance: the bound of a sum in 4 x lanes partial sums, against the sum of magnitudes. */
static void dot_body(const wn_kernels *kernels) {
    for (size_t n = 0; n < 140; n += n < 70 ? 1 : 7)
        for (size_t shift = 0; shift < 3; shift++) {
            float *ba, *bb, *a = floats(n, shift, -1, 1, &ba), *b = floats(n, 2 * shift, -1, 1, &bb);
            double want = 0, magnitude = 0;
            for (size_t i = 0; i < n; i++) {
                want += (double)a[i] * (double)b[i];
                magnitude += fabs((double)a[i] * (double)b[i]);
            }
            double error = fabs((double)kernels->dot_f32(a, b, n) - want);
            assert_true(error <= 4 * (double)FLT_EPSILON * ((double)n / 16 + 8) * magnitude);
            wn_free(ba);
            wn_free(bb);
        }
}
static void dot_odd_lengths_match_double(void **unused) { each_tier(dot_body); }

/* Tolerance: 16 eps of the largest |y - beta|, plus the error of (x - mean) where the mean is far
 * from 0 (offset 100: eps x 100 / deviation). */
static void layer_norm_one(const wn_kernels *kernels, size_t n, size_t shift, float offset, bool add,
                           bool in_place) {
    size_t rows = 3;
    float *bx, *br, *bg, *bb, *by;
    float *x = floats(rows * n, shift, offset - 1, offset + 1, &bx), *r = floats(rows * n, 1, -1, 1, &br);
    float *gamma = floats(n, 2, 0.5f, 2, &bg), *beta = floats(n, 3, -1, 1, &bb);
    float *y = floats(rows * n, 3 - shift, 0, 0, &by), eps = 1e-12f;
    double *want = malloc(rows * n * sizeof *want);
    double tolerance = (double)FLT_EPSILON * (16 + 8 * fabs((double)offset));
    for (size_t row = 0; row < rows; row++) {
        double mean = 0, squares = 0;
        for (size_t i = 0; i < n; i++) mean += (want[row * n + i] = (double)x[row * n + i] + (add ? (double)r[row * n + i] : 0));
        mean /= (double)n;
        for (size_t i = 0; i < n; i++) squares += pow(want[row * n + i] - mean, 2);
        for (size_t i = 0; i < n; i++)
            want[row * n + i] = (want[row * n + i] - mean) / sqrt(squares / (double)n + (double)eps) * (double)gamma[i] + (double)beta[i];
    }
    if (in_place) memcpy(y, x, rows * n * sizeof *y);
    const float *from = in_place ? y : x;
    if (add) kernels->add_layer_norm_f32(from, r, gamma, beta, eps, y, rows, n);
    else kernels->layer_norm_f32(from, gamma, beta, eps, y, rows, n);
    for (size_t i = 0; i < rows * n; i++) assert_true(fabs((double)y[i] - want[i]) <= 4 * tolerance);
    assert_true(y[rows * n] == 12345);
    /* a row alone: the same bits */
    float *ba, *alone = floats(n, 1, 0, 0, &ba);
    if (add) kernels->add_layer_norm_f32(x + n, r + n, gamma, beta, eps, alone, 1, n);
    else kernels->layer_norm_f32(x + n, gamma, beta, eps, alone, 1, n);
    assert_memory_equal(alone, y + n, n * sizeof *y);
    free(want);
    wn_free(ba), wn_free(bx), wn_free(br), wn_free(bg), wn_free(bb), wn_free(by);
}
static void layer_norm_body(const wn_kernels *kernels) {
    static const size_t lengths[] = {8, 15, 16, 17, 31, 33, 48, 63, 64, 100, 127, 384, 768, 1023, 1024};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int form = 0; form < 8; form++)
            layer_norm_one(kernels, lengths[i], i % 4, form & 4 ? 100 : 0, form & 1, form & 2);
}
static void layer_norm_odd_lengths_match_double(void **unused) { each_tier(layer_norm_body); }

/* Tolerance: scores are near +-8, so their f32 error of 1e-6 becomes a relative 1e-6 of a weight; outputs
 * are averages of |v| <= 1. Measured maximum 4e-7; held to 2e-6. */
static double attention_one(const wn_kernels *kernels, size_t n, size_t dim, size_t nq, float spread) {
    size_t ld = 3 * dim + 5, ldo = dim + 3, heads = wn_attention_scratch(n, dim);
    float *bqkv, *bo, *bs, *qkv = floats(n * ld, 1, -1, 1, &bqkv);
    float *out = floats(nq * ldo, 2, 7, 7, &bo), *scratch = floats(heads, 0, 0, 0, &bs);
    float scale = 1 / sqrtf((float)dim);
    double *p = malloc(n * sizeof *p), worst = 0;
    for (size_t j = 0; j < n; j++)
        for (size_t d = 0; d < dim; d++) qkv[j * ld + d] *= spread;
    kernels->attention_f32(qkv, ld, qkv + dim, qkv + 2 * dim, ld, out, ldo, nq, n, dim, scale, scratch);
    assert_true(scratch[heads] == 12345);
    for (size_t r = 0; r < nq; r++) {
        double max = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            p[j] = 0;
            for (size_t d = 0; d < dim; d++) p[j] += (double)qkv[r * ld + d] * (double)qkv[j * ld + dim + d];
            p[j] *= (double)scale;
            if (p[j] > max) max = p[j];
        }
        for (size_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - max);
        for (size_t d = 0; d < dim; d++) {
            double want = 0;
            for (size_t j = 0; j < n; j++) want += p[j] / sum * (double)qkv[j * ld + 2 * dim + d];
            double error = fabs((double)out[r * ldo + d] - want);
            if (!(error <= worst)) worst = error;
        }
        for (size_t d = dim; d < ldo && r * ldo + d < nq * ldo; d++) assert_true(out[r * ldo + d] == 7);
    }
    /* each query alone: the same bits as in its block */
    for (size_t r = 0; r < nq; r += 3) {
        float alone[512];
        kernels->attention_f32(qkv + r * ld, ld, qkv + dim, qkv + 2 * dim, ld, alone, dim, 1, n, dim, scale, scratch);
        assert_memory_equal(alone, out + r * ldo, dim * sizeof *alone);
    }
    free(p);
    wn_free(bqkv), wn_free(bo), wn_free(bs);
    return worst;
}
static void attention_body(const wn_kernels *kernels) {
    static const size_t lengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 96, 129, 512, 600};
    static const size_t dims[] = {32, 64, 24, 7, 80, 128};
    double worst = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t j = 0; j < sizeof dims / sizeof *dims; j++) {
            size_t n = lengths[i], nq = n > 40 ? 19 : n;
            if (n > 100 && j > 1) continue;
            double error = attention_one(kernels, n, dims[j], nq, j % 2 ? 1 : 4);
            if (!(error <= worst)) worst = error;
        }
    print_message("  attention: largest difference %.2g\n", worst);
    assert_true(worst <= 2e-6);
}
static void attention_odd_shapes_match_double(void **unused) { each_tier(attention_body); }

/* Scores so far apart that every exponential but one underflows: the result is that one value row. */
static void attention_extreme_body(const wn_kernels *kernels) {
    enum { N = 40, DIM = 32 };
    float qkv[N * 3 * DIM], out[N * DIM], *scratch = malloc(wn_attention_scratch(N, DIM) * sizeof *scratch);
    for (size_t i = 0; i < N * 3 * DIM; i++) qkv[i] = uniform(-1, 1);
    for (size_t j = 0; j < N; j++)
        for (size_t d = 0; d < DIM; d++) {
            qkv[j * 3 * DIM + d] = 1000;
            qkv[j * 3 * DIM + DIM + d] = j == 17 ? 1000 : -1000;
        }
    kernels->attention_f32(qkv, 3 * DIM, qkv + DIM, qkv + 2 * DIM, 3 * DIM, out, DIM, N, N, DIM, 0.176f, scratch);
    for (size_t r = 0; r < N; r++) assert_memory_equal(out + r * DIM, qkv + 17 * 3 * DIM + 2 * DIM, DIM * sizeof *out);
    free(scratch);
}
static void attention_extreme_scores_pick_one(void **unused) { each_tier(attention_extreme_body); }

static void attention_scratch_overflow_is_reported(void **unused) {
    assert_true(wn_attention_scratch(SIZE_MAX / 2, 64) == SIZE_MAX);
    assert_true(wn_attention_scratch(SIZE_MAX, SIZE_MAX) == SIZE_MAX);
    assert_true(wn_attention_scratch(512, 64) < 200000);
}

/* Tolerance: f32 sums of `in` products in one chain; GELU adds its erf's 1.5e-7 times |x|. */
static void linear_one(const wn_kernels *kernels, size_t in, size_t out, size_t rows, bool gelu) {
    float *bw, *bb, *bx, *by, *w = floats(in * out, 0, -0.2f, 0.2f, &bw), *b = floats(out, 1, -1, 1, &bb);
    float *x = floats(rows * in, 2, -1, 1, &bx), *y = floats(rows * out, 3, 0, 0, &by), alone[200];
    float *panels = malloc(wn_panels_size(kernels, in, out) * sizeof *panels);
    wn_panels_pack(kernels, w, in, out, panels);
    kernels->linear_f32(x, panels, b, gelu, y, rows, in, out);
    assert_true(y[rows * out] == 12345);
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < out; o++) {
            double want = (double)b[o], magnitude = fabs(want);
            for (size_t i = 0; i < in; i++) {
                want += (double)x[r * in + i] * (double)w[o * in + i];
                magnitude += fabs((double)x[r * in + i] * (double)w[o * in + i]);
            }
            double tolerance = (double)FLT_EPSILON * sqrt((double)in) * magnitude + (gelu ? 3e-7 * fabs(want) : 0);
            if (gelu) want = want / 2 * (1 + erf(want / sqrt(2)));
            assert_true(fabs((double)y[r * out + o] - want) <= tolerance + 1e-12);
        }
        kernels->linear_f32(x + r * in, panels, b, gelu, alone, 1, in, out);
        assert_memory_equal(alone, y + r * out, out * sizeof *y);
    }
    free(panels);
    wn_free(bw), wn_free(bb), wn_free(bx), wn_free(by);
}
static void linear_body(const wn_kernels *kernels) {
    static const size_t outs[] = {1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100};
    for (size_t i = 0; i < sizeof outs / sizeof *outs; i++)
        for (size_t rows = 1; rows < 20; rows += 3) linear_one(kernels, 3 + 13 * i, outs[i], rows, rows % 2);
    assert_true(wn_panels_size(kernels, SIZE_MAX / 8, 64) == SIZE_MAX);
    assert_true(wn_panels_size(kernels, 1, SIZE_MAX) == SIZE_MAX);
}
static void linear_odd_shapes_match_double(void **unused) { each_tier(linear_body); }

/* All 65,536 halves, at odd byte addresses: exact (NaN stays NaN). */
static void halves_body(const wn_kernels *kernels) {
    enum { N = 65536 };
    unsigned char *bytes = malloc(2 * N + 1);
    float *y = malloc(N * sizeof *y), *want = malloc(N * sizeof *want);
    for (uint32_t i = 0; i < N; i++) {
        bytes[1 + 2 * i] = (unsigned char)i;
        bytes[2 + 2 * i] = (unsigned char)(i >> 8);
        double m = i & 0x3ff, e = (double)(i >> 10 & 31);
        want[i] = (float)(e == 31 ? (m != 0 ? (double)NAN : (double)INFINITY) : e > 0 ? ldexp(1024 + m, (int)e - 25) : ldexp(m, -24));
        if (i & 0x8000) want[i] = -want[i];
    }
    for (size_t from = 0; from < 3; from++) {
        kernels->f16_to_f32(bytes + 1 + 2 * from, y, N - from - 2);
        for (size_t i = 0; i < N - from - 2; i++)
            assert_true(isnan(want[i + from]) ? isnan(y[i]) : memcmp(&y[i], &want[i + from], 4) == 0);
        kernels->bf16_to_f32(bytes + 1 + 2 * from, y, N - from - 2);
        for (size_t i = 0; i < N - from - 2; i++) {
            uint32_t bits = (uint32_t)(i + from) << 16;
            assert_memory_equal(&y[i], &bits, 4);
        }
    }
    free(bytes), free(y), free(want);
}
static void halves_all_values_convert_exactly(void **unused) { each_tier(halves_body); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_by_flags_are_chosen),
        cmocka_unit_test(dot_odd_lengths_match_double),
        cmocka_unit_test(layer_norm_odd_lengths_match_double),
        cmocka_unit_test(attention_odd_shapes_match_double),
        cmocka_unit_test(attention_extreme_scores_pick_one),
        cmocka_unit_test(attention_scratch_overflow_is_reported),
        cmocka_unit_test(linear_odd_shapes_match_double),
        cmocka_unit_test(halves_all_values_convert_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
