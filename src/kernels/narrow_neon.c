/* narrow_neon.c -- int8 on aarch64: 4 lanes, with UDOT (FEAT_DotProd) or USMMLA (FEAT_I8MM). All with the twins' bits.
 *
 * The product. UDOT adds 4 products of bytes to each of 4 sums, USMMLA 8 to each of 2 x 2: exact in 32 bits, so the sums are
 * those of every other processor. UDOT wants both sides unsigned: weights lie in their panels with 128 more each, and 128
 * times the sum of a row's bytes is taken off its results. USMMLA takes them as they are, rows by twos. Rows are copied once
 * a call, filled up to whole steps with zeros. Rejected: SMLAL over widened bytes, which every aarch64 has but which does no
 * more products an instruction than f32.
 *
 * The two instructions are written as assembly: clang before 16 has their intrinsics only where a whole file is compiled for
 * such processors, which nothing here is. Written and tested under qemu; not yet timed on a real processor.
 *
 * What only a bf16 product needs is the twins'. */
#include "kernels/narrow.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#define WN_UNROLL _Pragma("clang loop unroll(full)")
#define WN_DOTPROD __attribute__((target("dotprod")))
#define WN_I8MM __attribute__((target("i8mm")))
#else
#define WN_UNROLL _Pragma("GCC unroll 16")
#define WN_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#define WN_I8MM __attribute__((target("arch=armv8.2-a+i8mm")))
#endif
#define FN static inline __attribute__((always_inline))

enum { VW = 4, ROWS = WN_NARROW_ROWS, PRODUCT_ROWS = 6 };
/* Weights of a column that lie together, by instruction; sums of a block by 4. */
enum { DOT = 4, MATRIX = 8, QUADS = WN_BYTE_PANEL / 4 };

/* ---- Rows to bytes -------------------------------------------------------- */

/* 64 values in 16 vectors: 2 steps within each (a product with 1 or -1 is exact), 4 between them. */
FN void rotate_half(const float *x, float *y) {
    const float32x4_t s1 = {1, -1, 1, -1}, s2 = {1, 1, -1, -1};
    float32x4_t v[16];
    WN_UNROLL
    for (int i = 0; i < 16; i++) {
        float32x4_t a = vld1q_f32(x + VW * i);
        a = vfmaq_f32(vrev64q_f32(a), a, s1);
        v[i] = vfmaq_f32(vextq_f32(a, a, 2), a, s2);
    }
    WN_UNROLL
    for (int step = 1; step < 16; step *= 2)
        WN_UNROLL
        for (int i = 0; i < 16; i++) {
            if (i & step) continue;
            float32x4_t a = v[i], b = v[i + step];
            v[i] = vaddq_f32(a, b);
            v[i + step] = vsubq_f32(a, b);
        }
    WN_UNROLL
    for (int i = 0; i < 16; i++) vst1q_f32(y + VW * i, v[i]);
}

/* NaN leaves the range as it is. */
typedef struct range {
    float32x4_t low, high;
} range;

FN void range_add(range *r, float32x4_t v) {
    r->low = vbslq_f32(vcltq_f32(v, r->low), v, r->low);
    r->high = vbslq_f32(vcgtq_f32(v, r->high), v, r->high);
}

/* y = x rotated; the range of the result and 0. */
FN void rotate_row(const float *x, float *y, size_t n, float *low, float *high) {
    range r = {vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t from = 0, half = WN_ROTATION / 2;
    for (; from + WN_ROTATION <= n; from += WN_ROTATION) {
        rotate_half(x + from, y + from);
        rotate_half(x + from + half, y + from + half);
        for (size_t i = from; i < from + half; i += VW) {
            float32x4_t a = vld1q_f32(y + i), b = vld1q_f32(y + i + half);
            float32x4_t sum = vaddq_f32(a, b), difference = vsubq_f32(a, b);
            range_add(&r, sum), range_add(&r, difference);
            vst1q_f32(y + i, sum);
            vst1q_f32(y + i + half, difference);
        }
    }
    *low = vminvq_f32(r.low), *high = vmaxvq_f32(r.high);
    for (; from < n; from++) {
        float v = y[from] = x[from];
        *low = v < *low ? v : *low, *high = v > *high ? v : *high;
    }
}

static void wn_rotate_f32_neon(const float *x, float *y, size_t n) {
    float low, high;
    rotate_row(x, y, n, &low, &high);
}

/* NaN becomes 0. */
FN float held(float x) {
    x = x > 0 ? x : 0;
    return x < 255 ? x : 255;
}

/* 16 values; the conversions saturate as held() does, and NaN converts to 0. */
FN uint8x16_t bytes16(const float *x, float32x4_t inverse, float32x4_t middle) {
    uint16x4_t v[4];
    WN_UNROLL
    for (int i = 0; i < 4; i++) v[i] = vqmovun_s32(vcvtnq_s32_f32(vfmaq_f32(middle, vld1q_f32(x + VW * i), inverse)));
    return vcombine_u8(vqmovn_u16(vcombine_u16(v[0], v[1])), vqmovn_u16(vcombine_u16(v[2], v[3])));
}

FN void quantize_row(const float *x, float *rotated, uint8_t *y, size_t n, float *scale, float *offset) {
    float low, high;
    rotate_row(x, rotated, n, &low, &high);
    float step = (high - low) / 255, inverse = step > FLT_MIN && step <= FLT_MAX ? 1 / step : 0;
    float middle = rintf(held(-low * inverse));
    *scale = inverse > 0 ? step : 0;
    *offset = -*scale * middle;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vst1q_u8(y + i, bytes16(rotated + i, vdupq_n_f32(inverse), vdupq_n_f32(middle)));
    for (; i < n; i++) y[i] = (uint8_t)held(rintf(fmaf(rotated[i], inverse, middle)));
}

static void wn_quantize_u8_neon(const void *x, bool halves, size_t rows, float *rotated, uint8_t *y, size_t n, float *scales,
                                float *offsets) {
    if (halves) {
        wn_narrow_c.quantize_u8(x, halves, rows, rotated, y, n, scales, offsets);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        quantize_row((const float *)x + r * n, rotated, y + r * n, n, &scales[r], &offsets[r]);
}

/* ---- The products --------------------------------------------------------- */

/* Each of 16 sums gains 4 products, of one row's bytes with 16 columns' weights. The load stands within, or compilers load six
 * rows at once and run out of registers; that it reads memory is not said, or they store all sums before it: rows_are_there.
 * For functions of WN_DOTPROD alone, as the next for those of WN_I8MM. */
FN void dot_row(uint32x4_t *sums, const uint8_t *row, const uint8x16_t *w) {
    uint32x4_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    uint8x16_t four;
    __asm__("ld1r {%4.4s}, [%5]\n\t"
            "udot %0.4s, %4.16b, %6.16b\n\t"
            "udot %1.4s, %4.16b, %7.16b\n\t"
            "udot %2.4s, %4.16b, %8.16b\n\t"
            "udot %3.4s, %4.16b, %9.16b"
            : "+w"(a), "+w"(b), "+w"(c), "+w"(d), "=&w"(four)
            : "r"(row), "w"(w[0]), "w"(w[1]), "w"(w[2]), "w"(w[3]));
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

/* What was written before is in memory from here on. */
FN void rows_are_there(const uint8_t *rows) { __asm__ volatile("" : : "r"(rows) : "memory"); }

/* [2][2] sums gain those of rows [2][8] with columns [2][8]. */
FN int32x4_t matrix(int32x4_t sums, uint8x16_t rows, int8x16_t columns) {
    __asm__("usmmla %0.4s, %1.16b, %2.16b" : "+w"(sums) : "w"(rows), "w"(columns));
    return sums;
}

/* A panel's results of one row, as many columns as there are. */
FN void results_store(const int32x4_t *sums, int32_t *y, size_t columns) {
    if (columns >= WN_BYTE_PANEL) {
        WN_UNROLL
        for (int q = 0; q < QUADS; q++) vst1q_s32(y + 4 * q, sums[q]);
        return;
    }
    int32_t all[WN_BYTE_PANEL];
    for (int q = 0; q < QUADS; q++) vst1q_s32(all + 4 * q, sums[q]);
    memcpy(y, all, columns * sizeof *y);
}

/* x: rows of `steps` x DOT bytes, `stride` apart, each with what its results have too much behind the bytes. */
FN void dot_block(const uint8_t *x, size_t stride, size_t steps, const uint8_t *panel, int32_t *y, size_t out, size_t columns,
                  const int rows) {
    uint32x4_t sums[PRODUCT_ROWS][QUADS];
    WN_UNROLL
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < QUADS; q++) sums[r][q] = vdupq_n_u32(0);
    for (size_t i = 0; i < steps; i++, panel += WN_BYTE_PANEL * DOT) {
        uint8x16_t w[QUADS];
        WN_UNROLL
        for (int q = 0; q < QUADS; q++) w[q] = vld1q_u8(panel + 16 * q);
        WN_UNROLL
        for (int r = 0; r < rows; r++) dot_row(sums[r], x + (size_t)r * stride + i * DOT, w);
    }
    WN_UNROLL
    for (int r = 0; r < rows; r++) {
        uint32_t more;
        int32x4_t results[QUADS];
        memcpy(&more, x + (size_t)r * stride + steps * DOT, sizeof more);
        for (int q = 0; q < QUADS; q++) results[q] = vreinterpretq_s32_u32(vsubq_u32(sums[r][q], vdupq_n_u32(more)));
        results_store(results, y + (size_t)r * out, columns);
    }
}

/* A row, zeros up to whole steps, and behind them 128 times its sum. */
FN void row_copy(const uint8_t *x, size_t in, uint8_t *to) {
    uint32_t sum = 0;
    size_t i = 0, whole = (in + DOT - 1) / DOT * DOT;
    for (; i + 16 <= in; i += 16) {
        uint8x16_t v = vld1q_u8(x + i);
        vst1q_u8(to + i, v);
        sum += vaddlvq_u8(v);
    }
    for (; i < in; i++) sum += to[i] = x[i];
    for (; i < whole; i++) to[i] = 0;
    sum *= 128;
    memcpy(to + whole, &sum, sizeof sum);
}

WN_DOTPROD static void wn_product_u8s8_dotprod(const uint8_t *x, const int8_t *panels, int32_t *y, size_t rows, size_t in,
                                               size_t out, int32_t *scratch) {
    size_t steps = (in + DOT - 1) / DOT, stride = WN_PRODUCT_SCRATCH(in) * sizeof *scratch;
    uint8_t *copy = (uint8_t *)scratch;
    for (size_t r = 0; r < rows; r++) row_copy(x + r * in, in, copy + r * stride);
    rows_are_there(copy);
    const uint8_t *panel = (const uint8_t *)panels;
    for (size_t c = 0; c < out; c += WN_BYTE_PANEL, panel += steps * WN_BYTE_PANEL * DOT) {
        size_t r = 0;
        for (; r + PRODUCT_ROWS <= rows && rows - r != 8; r += PRODUCT_ROWS) /* 8 are 4 + 4 */
            dot_block(copy + r * stride, stride, steps, panel, y + r * out + c, out, out - c, PRODUCT_ROWS);
        for (; r + 4 <= rows; r += 4) dot_block(copy + r * stride, stride, steps, panel, y + r * out + c, out, out - c, 4);
        for (; r < rows; r++) dot_block(copy + r * stride, stride, steps, panel, y + r * out + c, out, out - c, 1);
    }
}

/* x: `twos` pairs of rows, each [steps][2][MATRIX] bytes; the last row may be none. */
FN void matrix_block(const uint8_t *x, size_t steps, const int8_t *panel, int32_t *y, size_t rows, size_t out, size_t columns,
                     const int twos) {
    int32x4_t sums[PRODUCT_ROWS / 2][2 * QUADS]; /* of columns by twos */
    WN_UNROLL
    for (int t = 0; t < twos; t++)
        for (int q = 0; q < 2 * QUADS; q++) sums[t][q] = vdupq_n_s32(0);
    for (size_t i = 0; i < steps; i++, panel += WN_BYTE_PANEL * MATRIX) {
        uint8x16_t two[PRODUCT_ROWS / 2];
        WN_UNROLL
        for (int t = 0; t < twos; t++) two[t] = vld1q_u8(x + ((size_t)t * steps + i) * 2 * MATRIX);
        WN_UNROLL
        for (int q = 0; q < 2 * QUADS; q++) {
            int8x16_t w = vld1q_s8(panel + 2 * MATRIX * q);
            WN_UNROLL
            for (int t = 0; t < twos; t++) sums[t][q] = matrix(sums[t][q], two[t], w);
        }
    }
    WN_UNROLL
    for (int t = 0; t < twos; t++) {
        int32x4_t first[QUADS], second[QUADS];
        WN_UNROLL
        for (int q = 0; q < QUADS; q++) {
            int32x4_t a = sums[t][2 * q], b = sums[t][2 * q + 1];
            first[q] = vcombine_s32(vget_low_s32(a), vget_low_s32(b));
            second[q] = vcombine_s32(vget_high_s32(a), vget_high_s32(b));
        }
        results_store(first, y + (size_t)(2 * t) * out, columns);
        if ((size_t)(2 * t + 1) < rows) results_store(second, y + (size_t)(2 * t + 1) * out, columns);
    }
}

/* Two rows by turns of MATRIX bytes, zeros up to whole steps. */
FN void rows_join(const uint8_t *first, const uint8_t *second, size_t in, uint8_t *to) {
    size_t i = 0;
    for (; i + MATRIX <= in; i += MATRIX, to += 2 * MATRIX) vst1q_u8(to, vcombine_u8(vld1_u8(first + i), vld1_u8(second + i)));
    if (i == in) return;
    memset(to, 0, 2 * MATRIX);
    for (size_t k = 0; i < in; i++, k++) to[k] = first[i], to[MATRIX + k] = second[i];
}

WN_I8MM static void wn_product_u8s8_i8mm(const uint8_t *x, const int8_t *panels, int32_t *y, size_t rows, size_t in,
                                         size_t out, int32_t *scratch) {
    size_t steps = (in + MATRIX - 1) / MATRIX, row = steps * MATRIX;
    uint8_t *copy = (uint8_t *)scratch;
    for (size_t r = 0; r < rows; r += 2) /* a last one by itself: twice */
        rows_join(x + r * in, x + (r + 1 < rows ? r + 1 : r) * in, in, copy + r * row);
    for (size_t c = 0; c < out; c += WN_BYTE_PANEL, panels += steps * WN_BYTE_PANEL * MATRIX) {
        size_t r = 0;
        for (; r + PRODUCT_ROWS <= rows && rows - r != 8; r += PRODUCT_ROWS) /* 8 are 4 + 4 */
            matrix_block(copy + r * row, steps, panels, y + r * out + c, PRODUCT_ROWS, out, out - c, PRODUCT_ROWS / 2);
        for (; r + 4 <= rows; r += 4) matrix_block(copy + r * row, steps, panels, y + r * out + c, 4, out, out - c, 2);
        for (; r < rows; r += 2) matrix_block(copy + r * row, steps, panels, y + r * out + c, rows - r, out, out - c, 1);
    }
}

/* ---- Sums to rows --------------------------------------------------------- */

FN float32x4_t gelu(float32x4_t x) {
    static const float p[WN_GELU_TERMS] = WN_GELU_POLYNOMIAL;
    float32x4_t z = vminnmq_f32(vmaxnmq_f32(x, vdupq_n_f32(-WN_GELU_LIMIT)), vdupq_n_f32(WN_GELU_LIMIT));
    float32x4_t square = vmulq_f32(z, z), sum = vdupq_n_f32(p[WN_GELU_TERMS - 1]);
    WN_UNROLL
    for (int i = WN_GELU_TERMS - 2; i >= 0; i--) sum = vfmaq_f32(vdupq_n_f32(p[i]), sum, square);
    return vmulq_f32(x, vfmaq_f32(vdupq_n_f32(0.5f), sum, z));
}

/* 4 columns of some rows. */
typedef struct columns4 {
    float32x4_t scales, totals, bias;
} columns4;

FN float32x4_t finished(int32x4_t sums, float scale, float offset, const columns4 *c, const bool with_gelu) {
    float32x4_t rest = vfmaq_n_f32(c->bias, c->totals, offset);
    float32x4_t value = vfmaq_f32(rest, vcvtq_f32_s32(sums), vmulq_n_f32(c->scales, scale));
    return with_gelu ? gelu(value) : value;
}

/* The first n of 4 values, zeros behind them. */
FN float32x4_t some(const float *x, size_t n) {
    float all[VW] = {0};
    memcpy(all, x, n * sizeof *x);
    return vld1q_f32(all);
}

FN void finish_rows(const int32_t *sums, const float *scales, const float *offsets, const wn_int8_columns *c, float *y, size_t n,
                    const int rows, const bool with_gelu) {
    size_t i = 0;
    for (; i + VW <= n; i += VW) {
        columns4 c4 = {vld1q_f32(c->scales + i), vld1q_f32(c->totals + i), vld1q_f32(c->bias + i)};
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * n + i;
            vst1q_f32(y + at, finished(vld1q_s32(sums + at), scales[r], offsets[r], &c4, with_gelu));
        }
    }
    if (i == n) return;
    columns4 c4 = {some(c->scales + i, n - i), some(c->totals + i, n - i), some(c->bias + i, n - i)};
    for (int r = 0; r < rows; r++) {
        int32_t left[VW] = {0};
        float results[VW];
        memcpy(left, sums + (size_t)r * n + i, (n - i) * sizeof *left);
        vst1q_f32(results, finished(vld1q_s32(left), scales[r], offsets[r], &c4, with_gelu));
        memcpy(y + (size_t)r * n + i, results, (n - i) * sizeof *y);
    }
}

FN void finish_all(const int32_t *sums, const float *scales, const float *offsets, size_t rows, const wn_int8_columns *c,
                   float *y, size_t n, const bool with_gelu) {
    size_t r = 0;
    for (; r + ROWS <= rows; r += ROWS) finish_rows(sums + r * n, scales + r, offsets + r, c, y + r * n, n, ROWS, with_gelu);
    for (; r < rows; r++) finish_rows(sums + r * n, scales + r, offsets + r, c, y + r * n, n, 1, with_gelu);
}

static void wn_finish_int8_neon(const int32_t *sums, const float *scales, const float *offsets, size_t rows,
                                const wn_int8_columns *c, void *y, size_t n) {
    if (c->halves) wn_narrow_c.finish_int8(sums, scales, offsets, rows, c, y, n);
    else if (c->gelu) finish_all(sums, scales, offsets, rows, c, y, n, true);
    else finish_all(sums, scales, offsets, rows, c, y, n, false);
}

static const wn_narrow dotprod = {
    .isa = "dotprod",
    .rotate_f32 = wn_rotate_f32_neon,
    .quantize_u8 = wn_quantize_u8_neon,
    .product_u8s8 = wn_product_u8s8_dotprod,
    .panels = {.inputs = DOT, .flip = 0x80},
    .finish_int8 = wn_finish_int8_neon,
};
static const wn_narrow i8mm = {
    .isa = "i8mm",
    .rotate_f32 = wn_rotate_f32_neon,
    .quantize_u8 = wn_quantize_u8_neon,
    .product_u8s8 = wn_product_u8s8_i8mm,
    .panels = {.inputs = MATRIX},
    .finish_int8 = wn_finish_int8_neon,
};
const wn_narrow *wn_narrow_dotprod(void) { return &dotprod; }
const wn_narrow *wn_narrow_i8mm(void) { return &i8mm; }
#else
const wn_narrow *wn_narrow_dotprod(void) { return NULL; }
const wn_narrow *wn_narrow_i8mm(void) { return NULL; }
#endif
