/* test_gemm.c -- prepacked linear layers: values against double, GELU in the epilogue, and the promise the
 * encoder builds on, in every precision: a row's bits do not depend on the number of rows or on its place among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/cpu.h"
#include "core/memory.h"
#include "kernels/gemm.h"
#include "kernels/narrow.h"
#include "test_tier.h"
#include <float.h>
#include <math.h>
#include <string.h>

static uint64_t state = 2463534242ull;
static void fill(float *p, size_t n, float range) {
    for (size_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        p[i] = range * ((float)(state >> 40) * 0x1p-23f - 1);
    }
}

typedef struct layer {
    size_t in, out;
    float *weight, *bias;
    wn_linear *linear;
    wn_gemm *gemm;
} layer;

static layer layer_make(size_t in, size_t out, wn_linear_kind kind) {
    layer l = {.in = in, .out = out};
    wn_error err;
    wn_gemm_thread_start();
    l.weight = wn_malloc_aligned(in * out * sizeof(float));
    l.bias = wn_malloc_aligned(out * sizeof(float));
    fill(l.weight, in * out, 0.1f);
    fill(l.bias, out, 1);
    if (wn_linear_create(l.weight, l.bias, in, out, kind, &l.linear, &err) != WN_OK)
        fail_msg("%s", err.message);
    const wn_linear *one[] = {NULL, l.linear};
    assert_int_equal(wn_gemm_create(one, 2, &l.gemm, &err), WN_OK);
    return l;
}
static void layer_release(layer *l) {
    wn_gemm_free(l->gemm);
    wn_linear_free(l->linear);
    wn_free(l->weight);
    wn_free(l->bias);
}
static float *rows_make(size_t rows, size_t width) {
    float *x = wn_malloc_aligned(wn_gemm_padded_rows(rows) * width * sizeof(float));
    assert_non_null(x);
    fill(x, wn_gemm_padded_rows(rows) * width, 1);
    return x;
}

static void padded_rows_rounds_up(void **unused) {
    assert_int_equal(wn_gemm_padded_rows(1), 8);
    assert_int_equal(wn_gemm_padded_rows(64), 64);
    assert_int_equal(wn_gemm_padded_rows(65), 72);
    assert_int_equal(wn_gemm_waste(256), 0);
    assert_int_equal(wn_gemm_waste(63), 1);
    assert_int_equal(wn_gemm_waste(50), 6 + 3 * 3);
}

/* Tolerance: the bound of an f32 sum of K products, loosely: eps x sqrt(K) x sum of magnitudes. GELU
 * adds oneDNN's approximation of erf, absolute 1e-6. */
static void linear_check(size_t in, size_t out, size_t rows, wn_epilogue epilogue) {
    layer l = layer_make(in, out, (wn_linear_kind){WN_F32, epilogue, WN_ROWS_F32});
    float *x = rows_make(rows, in), *y = rows_make(rows, out);
    assert_true(wn_linear_run(l.linear, l.gemm, x, WN_ROWS_F32, y, rows));
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < out; o++) {
            double want = (double)l.bias[o], magnitude = fabs(want);
            for (size_t i = 0; i < in; i++) {
                double product = (double)x[r * in + i] * (double)l.weight[o * in + i];
                want += product;
                magnitude += fabs(product);
            }
            if (epilogue == WN_EPILOGUE_BIAS_GELU) want = want / 2 * (1 + erf(want / sqrt(2)));
            double tolerance = (double)FLT_EPSILON * sqrt((double)in) * magnitude + 1e-6;
            assert_true(fabs((double)y[r * out + o] - want) <= tolerance);
        }
    wn_free(x), wn_free(y);
    layer_release(&l);
}
/* oneDNN where this processor has AVX-512, then our own kernel in each tier. */
static void each_backend(void (*body)(void)) {
    static const uint32_t masks[] = {UINT32_MAX, WN_CPU_AVX2, 0};
    uint32_t before = 0xdeadbeef;
    for (int i = 0; i < 3; i++) {
        wn_cpu_set_mask(masks[i]);
        if (wn_cpu_flags() == before) continue;
        before = wn_cpu_flags();
        print_message("  processor flags %#x\n", before);
        body();
    }
    wn_cpu_set_mask(UINT32_MAX);
}

static void shapes_body(void) {
    linear_check(384, 1152, 9, WN_EPILOGUE_BIAS);
    linear_check(384, 1536, 17, WN_EPILOGUE_BIAS_GELU);
    linear_check(1536, 384, 64, WN_EPILOGUE_BIAS);
    linear_check(32, 96, 100, WN_EPILOGUE_BIAS);
    linear_check(37, 51, 3, WN_EPILOGUE_BIAS_GELU);
    linear_check(64, 1, 5, WN_EPILOGUE_BIAS);
}
static void linear_shapes_match_double(void **unused) { each_backend(shapes_body); }

static void same_bits(size_t in, size_t out, wn_linear_kind kind) {
    enum { ROWS = 300 };
    layer l = layer_make(in, out, kind);
    float *x = rows_make(ROWS, in), *xs = rows_make(ROWS, in);
    size_t row = out * (kind.result == WN_ROWS_BF16 ? sizeof(uint16_t) : sizeof(float));
    char *y = (char *)rows_make(ROWS, out), *ys = (char *)rows_make(ROWS, out);
    assert_true(wn_linear_run(l.linear, l.gemm, x, WN_ROWS_F32, y, ROWS));
    static const size_t counts[] = {1, 5, 8, 9, 16, 23, 31, 40, 64, 65, 100, 127, 128, 255, 256};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t from = c; from + counts[c] <= ROWS; from += 101) {
            fill(xs, wn_gemm_padded_rows(ROWS) * in, 100); /* other neighbours */
            memcpy(xs, x + from * in, counts[c] * in * sizeof *x);
            assert_true(wn_linear_run(l.linear, l.gemm, xs, WN_ROWS_F32, ys, counts[c]));
            assert_memory_equal(ys, y + from * row, counts[c] * row);
        }
    wn_free(x), wn_free(y), wn_free(xs), wn_free(ys);
    layer_release(&l);
}
static void same_bits_of(wn_precision precision, wn_rows result) {
    const wn_linear_kind plain = {precision, WN_EPILOGUE_BIAS, result};
    const wn_linear_kind gelu = {precision, WN_EPILOGUE_BIAS_GELU, result};
    same_bits(96, 40, gelu);
    if (wn_test_quick() || wn_test_emulated()) {
        print_message("  %s, a sample: the small layer only\n", wn_precision_name(precision));
        return;
    }
    same_bits(384, 1152, plain);
    same_bits(384, 1536, gelu);
    same_bits(1536, 384, plain);
    same_bits(1024, 1024, plain);
    same_bits(4096, 256, plain);
}
static void same_bits_in(wn_precision precision) {
    same_bits_of(precision, WN_ROWS_F32);
    if (precision != WN_F32) same_bits_of(precision, WN_ROWS_BF16);
}
static void same_bits_body(void) { same_bits_in(WN_F32); }
static void linear_row_has_same_bits_in_any_place(void **unused) { each_backend(same_bits_body); }

/* The flags of the next processor below this one that has int8 by another product; 0: there is none. */
static uint32_t lower_int8(void) {
    uint32_t flags = wn_cpu_flags();
    if (flags & WN_CPU_AVX512) return WN_CPU_AVX2;
    return flags & WN_CPU_I8MM ? WN_CPU_NEON | WN_CPU_DOTPROD : 0;
}

/* The precisions below f32 that this processor has, int8 by a lower one's product too; says so where one is missing. */
static void each_narrow(void (*body)(wn_precision)) {
    for (wn_precision p = WN_BF16; p < WN_AUTO; p++) {
        if (wn_precision_check(p, NULL) == WN_OK) body(p);
        else print_message("  SKIPPED: this processor has no %s products\n", wn_precision_name(p));
    }
    if (!lower_int8()) return;
    wn_cpu_set_mask(lower_int8());
    print_message("  %s:\n", wn_narrow_get()->isa);
    body(WN_INT8);
    wn_cpu_set_mask(UINT32_MAX);
}
static void narrow_row_has_same_bits_in_any_place(void **unused) { each_narrow(same_bits_in); }

/* What rounding the factors may cost one result. bf16 keeps 8 bits: a factor is off by at most 2^-9 of itself, a product
 * of two by 2^-8. int8: an input is off by at most half of the 255th of its row's range (and the zero point's
 * rounding: again as much), a weight by half of the 127th of its column's largest. (Rows and weights are rotated before
 * they are rounded: for the even numbers here that changes their ranges by some 2, and the errors' signs add up less.) */
static double narrow_bound(wn_precision precision, const float *x, const float *w, size_t in) {
    double bound = 0, low = 0, high = 0, most = 0;
    for (size_t i = 0; i < in; i++) {
        bound += fabs((double)x[i] * (double)w[i]) * 0x1p-8;
        low = fmin(low, (double)x[i]), high = fmax(high, (double)x[i]);
        most = fmax(most, fabs((double)w[i]));
    }
    if (precision == WN_BF16) return bound;
    double dx = (high - low) / 255, dw = most / 254;
    bound = 0;
    for (size_t i = 0; i < in; i++) bound += dx * (fabs((double)w[i]) + dw) + dw * fabs((double)x[i]);
    return bound;
}

/* Beside the factors' rounding the sum's f32 error. GELU's slope is at most 1.13; its approximation is within 7e-5. */
static void narrow_check(wn_precision precision, size_t in, size_t out, size_t rows, wn_epilogue epilogue) {
    layer l = layer_make(in, out, (wn_linear_kind){precision, epilogue, WN_ROWS_F32});
    float *x = rows_make(rows, in), *y = rows_make(rows, out);
    double worst = 0;
    if (rows > 1) memset(x, 0, in * sizeof *x); /* a row of zeros */
    assert_true(wn_linear_run(l.linear, l.gemm, x, WN_ROWS_F32, y, rows));
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < out; o++) {
            double want = (double)l.bias[o], products = 0;
            for (size_t i = 0; i < in; i++) {
                double a = (double)x[r * in + i], w = (double)l.weight[o * in + i];
                want += a * w;
                products += fabs(a * w);
            }
            double tolerance = narrow_bound(precision, x + r * in, l.weight + o * in, in) +
                               1e-5 * (products + fabs((double)l.bias[o]));
            if (epilogue == WN_EPILOGUE_BIAS_GELU) {
                want = want / 2 * (1 + erf(want / sqrt(2)));
                tolerance = 1.13 * tolerance + 7e-5;
            }
            double error = fabs((double)y[r * out + o] - want);
            assert_true(error <= tolerance);
            if (error / tolerance > worst) worst = error / tolerance;
        }
    print_message("  %s %zu x %zu, %zu rows: at most %.2f of the bound\n", wn_precision_name(precision), in, out, rows, worst);
    wn_free(x), wn_free(y);
    layer_release(&l);
}
static void narrow_shapes(wn_precision precision) {
    narrow_check(precision, 384, 1152, 9, WN_EPILOGUE_BIAS);
    narrow_check(precision, 384, 1536, 17, WN_EPILOGUE_BIAS_GELU);
    narrow_check(precision, 1536, 384, 64, WN_EPILOGUE_BIAS);
    narrow_check(precision, 32, 96, 100, WN_EPILOGUE_BIAS);
    narrow_check(precision, 37, 51, 3, WN_EPILOGUE_BIAS_GELU);
    narrow_check(precision, 64, 1, 5, WN_EPILOGUE_BIAS);
}
static void narrow_shapes_match_double(void **unused) { each_narrow(narrow_shapes); }

/* Rows taken and given as halves: the bits of f32 rows, narrowed before and after. */
static void halves_check(size_t in, size_t out, size_t rows, wn_epilogue epilogue) {
    layer wide = layer_make(in, out, (wn_linear_kind){WN_BF16, epilogue, WN_ROWS_F32}), half = wide;
    size_t padded = wn_gemm_padded_rows(rows);
    float *x = rows_make(rows, in), *y = rows_make(rows, out);
    uint16_t *xh = wn_calloc(padded * in, 2), *yh = wn_calloc(padded * out, 2), *want = wn_calloc(out, 2);
    const wn_narrow *narrow = wn_narrow_get();
    wn_error err;
    narrow->f32_to_bf16(x, xh, rows * in);
    assert_int_equal(wn_linear_create(wide.weight, wide.bias, in, out, (wn_linear_kind){WN_BF16, epilogue, WN_ROWS_BF16},
                                      &half.linear, &err), WN_OK);
    const wn_linear *one = half.linear;
    assert_int_equal(wn_gemm_create(&one, 1, &half.gemm, &err), WN_OK);
    assert_true(wn_linear_run(wide.linear, wide.gemm, x, WN_ROWS_F32, y, rows));
    assert_true(wn_linear_run(half.linear, half.gemm, xh, WN_ROWS_BF16, yh, rows));
    for (size_t r = 0; r < rows; r++) {
        narrow->f32_to_bf16(y + r * out, want, out);
        assert_memory_equal(yh + r * out, want, out * 2);
    }
    wn_gemm_free(half.gemm);
    wn_linear_free(half.linear);
    wn_free(x), wn_free(y), wn_free(xh), wn_free(yh), wn_free(want);
    layer_release(&wide);
}
static void halves_are_f32_rows_narrowed(void **unused) {
    if (wn_precision_check(WN_BF16, NULL) != WN_OK) {
        print_message("  SKIPPED: this processor has no bf16 products\n");
        skip();
    }
    halves_check(384, 1152, 9, WN_EPILOGUE_BIAS);
    halves_check(96, 1536, 77, WN_EPILOGUE_BIAS_GELU);
    halves_check(37, 51, 13, WN_EPILOGUE_BIAS_GELU);
    halves_check(4096, 64, 70, WN_EPILOGUE_BIAS);
    halves_check(64, 1, 5, WN_EPILOGUE_BIAS);
}

/* The bits of the two products one after the other, what lies between as the chain has it: f32 in int8. */
static void chain_check(wn_precision precision, size_t in, size_t inner, size_t out, size_t rows) {
    wn_rows kind = precision == WN_BF16 ? WN_ROWS_BF16 : WN_ROWS_F32;
    layer first = layer_make(in, inner, (wn_linear_kind){precision, WN_EPILOGUE_BIAS_GELU, kind});
    layer second = layer_make(inner, out, (wn_linear_kind){precision, WN_EPILOGUE_BIAS, WN_ROWS_F32});
    const wn_linear *both[] = {first.linear, second.linear};
    wn_gemm *gemm;
    float *x = rows_make(rows, in), *between = rows_make(rows, inner), *want = rows_make(rows, out), *got = rows_make(rows, out);
    assert_int_equal(wn_gemm_create(both, 2, &gemm, NULL), WN_OK);
    assert_true(wn_linear_run(first.linear, gemm, x, WN_ROWS_F32, between, rows));
    assert_true(wn_linear_run(second.linear, gemm, between, kind, want, rows));
    assert_true(wn_linear_chain(first.linear, second.linear, gemm, x, WN_ROWS_F32, between, got, rows));
    assert_memory_equal(got, want, rows * out * sizeof *got);
    wn_gemm_free(gemm);
    wn_free(x), wn_free(between), wn_free(want), wn_free(got);
    layer_release(&first), layer_release(&second);
}
static void chain_shapes(wn_precision precision) {
    chain_check(precision, 384, 1536, 384, 70);
    chain_check(precision, 37, 51, 13, 9);
    chain_check(precision, 128, 256, 128, 3);
    if (!wn_test_quick() && !wn_test_emulated()) chain_check(precision, 1024, 4096, 1024, 300);
}
static void chain_has_the_bits_of_two_products(void **unused) {
    chain_shapes(WN_F32);
    each_narrow(chain_shapes);
}

/* VNNI's product and ours, I8MM's and the dot product's: the same sums, and all else has its twin's bits. */
static void int8_has_same_bits_on_lower_tiers(void **unused) {
    const wn_linear_kind kind = {WN_INT8, WN_EPILOGUE_BIAS_GELU, WN_ROWS_F32};
    enum { ROWS = 77, IN = 384, OUT = 150 };
    if (!lower_int8()) {
        print_message("  SKIPPED: this processor has one product of bytes\n");
        skip();
    }
    uint64_t before = state;
    float *x = rows_make(ROWS, IN), *y = rows_make(ROWS, OUT), *z = rows_make(ROWS, OUT);
    layer with = layer_make(IN, OUT, kind);
    assert_true(wn_linear_run(with.linear, with.gemm, x, WN_ROWS_F32, y, ROWS));
    state = before;
    wn_free(rows_make(ROWS, IN)), wn_free(rows_make(ROWS, OUT)), wn_free(rows_make(ROWS, OUT));
    wn_cpu_set_mask(lower_int8());
    layer without = layer_make(IN, OUT, kind);
    assert_true(wn_linear_run(without.linear, without.gemm, x, WN_ROWS_F32, z, ROWS));
    wn_cpu_set_mask(UINT32_MAX);
    assert_memory_equal(without.weight, with.weight, IN * OUT * sizeof(float));
    assert_memory_equal(y, z, ROWS * OUT * sizeof *y);
    wn_free(x), wn_free(y), wn_free(z);
    layer_release(&with), layer_release(&without);
}

/* Without a bias: that of zeros. */
static void linear_without_bias_adds_none(void **unused) {
    layer l = layer_make(64, 40, (wn_linear_kind){.precision = WN_F32}), zero = l;
    float *x = rows_make(9, 64), *y = rows_make(9, 40), *z = rows_make(9, 40), none[40] = {0};
    wn_error err;
    assert_int_equal(wn_linear_create(l.weight, none, 64, 40, (wn_linear_kind){.precision = WN_F32}, &zero.linear, &err), WN_OK);
    wn_linear_free(l.linear);
    assert_int_equal(wn_linear_create(l.weight, NULL, 64, 40, (wn_linear_kind){.precision = WN_F32}, &l.linear, &err), WN_OK);
    assert_true(wn_linear_run(l.linear, l.gemm, x, WN_ROWS_F32, y, 9));
    assert_true(wn_linear_run(zero.linear, l.gemm, x, WN_ROWS_F32, z, 9));
    assert_memory_equal(y, z, 9 * 40 * sizeof *y);
    wn_linear_free(zero.linear);
    wn_free(x), wn_free(y), wn_free(z);
    layer_release(&l);
}

/* A processor without the instructions refuses by name. */
static void narrow_without_instructions_is_unsupported(void **unused) {
    wn_linear *linear;
    wn_error err;
    float w[4] = {0}, b[2] = {0};
    wn_cpu_set_mask(WN_CPU_AVX2 | WN_CPU_AVX512 | WN_CPU_NEON);
    assert_int_equal(wn_linear_create(w, b, 2, 2, (wn_linear_kind){.precision = WN_BF16}, &linear, &err), WN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "AVX512_BF16"));
    wn_cpu_set_mask(WN_CPU_NEON);
    assert_int_equal(wn_linear_create(w, b, 2, 2, (wn_linear_kind){.precision = WN_INT8}, &linear, &err), WN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "AVX512_VNNI"));
    wn_cpu_set_mask(UINT32_MAX);
    assert_int_equal(wn_linear_create(w, b, 2, 2, (wn_linear_kind){.precision = WN_AUTO}, &linear, &err), WN_ERR_ARGUMENT);
}

static void linear_bad_arguments_are_refused(void **unused) {
    wn_linear *linear;
    wn_gemm *gemm;
    wn_error err;
    float w[4] = {0}, b[2] = {0};
    wn_linear_kind kind = {.precision = WN_F32};
    assert_int_equal(wn_linear_create(w, b, 0, 2, kind, &linear, &err), WN_ERR_ARGUMENT);
    kind.result = WN_ROWS_BF16;
    assert_int_equal(wn_linear_create(w, b, 2, 2, kind, &linear, &err), WN_ERR_ARGUMENT);
    kind.precision = (wn_precision)77;
    assert_int_equal(wn_linear_create(w, b, 2, 2, kind, &linear, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_gemm_create(NULL, 0, &gemm, &err), WN_ERR_ARGUMENT);
}

static void failing_allocations(wn_precision precision) {
    float *w = wn_calloc(64 * 64, sizeof *w), *b = wn_calloc(64, sizeof *b);
    wn_linear *linear;
    wn_error err;
    const wn_linear_kind kind = {precision, WN_EPILOGUE_BIAS_GELU, precision == WN_F32 ? WN_ROWS_F32 : WN_ROWS_BF16};
    wn_gemm_thread_start();
    wn_status st = WN_ERR_MEMORY;
    for (uint64_t n = 1; st != WN_OK; n++) {
        wn_gemm *gemm = NULL;
        wn_memory_fail_at(n, true);
        st = wn_linear_create(w, b, 64, 64, kind, &linear, &err);
        if (st == WN_OK) {
            const wn_linear *one = linear;
            st = wn_gemm_create(&one, 1, &gemm, &err);
            wn_memory_fail_at(0, false);
            wn_gemm_free(gemm);
            wn_linear_free(linear);
        }
        wn_memory_fail_at(0, false);
        if (st != WN_OK) assert_int_equal(st, WN_ERR_MEMORY);
        assert_true(n < 20);
    }
    wn_free(w), wn_free(b);
}
static void linear_failing_allocation_is_reported(void **unused) {
    failing_allocations(WN_F32);
    each_narrow(failing_allocations);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padded_rows_rounds_up),
        cmocka_unit_test(linear_shapes_match_double),
        cmocka_unit_test(linear_row_has_same_bits_in_any_place),
        cmocka_unit_test(narrow_row_has_same_bits_in_any_place),
        cmocka_unit_test(narrow_shapes_match_double),
        cmocka_unit_test(halves_are_f32_rows_narrowed),
        cmocka_unit_test(chain_has_the_bits_of_two_products),
        cmocka_unit_test(int8_has_same_bits_on_lower_tiers),
        cmocka_unit_test(linear_without_bias_adds_none),
        cmocka_unit_test(narrow_without_instructions_is_unsupported),
        cmocka_unit_test(linear_bad_arguments_are_refused),
        cmocka_unit_test(linear_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
