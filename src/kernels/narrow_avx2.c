/* narrow_avx2.c -- int8 where there is no VNNI: 8 lanes, AVX2 and FMA alone. All with the twins' bits.
 *
 * The product. AVX2's own product of bytes (VPMADDUBSW) adds pairs of u8 x s8 into 16 bits and saturates: exact only if
 * either side gives up a bit. So bytes are widened, and pairs of 16 bits are multiplied and added (VPMADDWD), exact
 * in 32: the sums are VNNI's, and so is a model's quality. Measured on Zen 3, Gop/s a core: f32 101, this 161, VPMADDUBSW
 * with rows of 7 bits 198. Rows are widened once a call; weights stay bytes in memory, a panel being widened as it is read.
 *
 * What only a bf16 product needs is the twins'. */
#include "kernels/narrow.h"

#if defined(__x86_64__)
#include <float.h>
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#define WN_UNROLL _Pragma("clang loop unroll(full)")
#define WN_TWICE _Pragma("clang loop unroll_count(2)")
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#define WN_UNROLL _Pragma("GCC unroll 16")
#define WN_TWICE _Pragma("GCC unroll 2")
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define FN static inline __attribute__((always_inline))

enum { VW = 8, ROWS = WN_NARROW_ROWS, PRODUCT_ROWS = 6 };

FN __m256i lanes(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < VW ? (int)n : VW), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* ---- Rows to bytes -------------------------------------------------------- */

/* Lanes i and i ^ step: their sum where i has no step in it (sign 1), else their difference (sign -1). */
FN __m256 pair_up(__m256 x, __m256 other, __m256 sign) { return _mm256_fmadd_ps(x, sign, other); }

/* 64 values in 8 vectors: 3 steps within each, 3 between them. */
FN void rotate_half(const float *x, float *y) {
    const __m256 s1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1), s2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    const __m256 s4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
    __m256 v[8];
    WN_UNROLL
    for (int i = 0; i < 8; i++) {
        __m256 a = _mm256_loadu_ps(x + VW * i);
        a = pair_up(a, _mm256_permute_ps(a, 0xb1), s1);
        a = pair_up(a, _mm256_permute_ps(a, 0x4e), s2);
        v[i] = pair_up(a, _mm256_permute2f128_ps(a, a, 1), s4);
    }
    WN_UNROLL
    for (int step = 1; step < 8; step *= 2)
        WN_UNROLL
        for (int i = 0; i < 8; i++) {
            if (i & step) continue;
            __m256 a = v[i], b = v[i + step];
            v[i] = _mm256_add_ps(a, b);
            v[i + step] = _mm256_sub_ps(a, b);
        }
    WN_UNROLL
    for (int i = 0; i < 8; i++) _mm256_storeu_ps(y + VW * i, v[i]);
}

/* y = x rotated; the range of the result and 0. NaN leaves the range as it is. */
FN void rotate_row(const float *x, float *y, size_t n, __m256 *low, __m256 *high) {
    size_t from = 0, half = WN_ROTATION / 2;
    for (; from + WN_ROTATION <= n; from += WN_ROTATION) {
        rotate_half(x + from, y + from);
        rotate_half(x + from + half, y + from + half);
        for (size_t i = from; i < from + half; i += VW) {
            __m256 a = _mm256_loadu_ps(y + i), b = _mm256_loadu_ps(y + i + half);
            __m256 sum = _mm256_add_ps(a, b), difference = _mm256_sub_ps(a, b);
            *low = _mm256_min_ps(difference, _mm256_min_ps(sum, *low));
            *high = _mm256_max_ps(difference, _mm256_max_ps(sum, *high));
            _mm256_storeu_ps(y + i, sum);
            _mm256_storeu_ps(y + i + half, difference);
        }
    }
    for (; from < n; from += VW) {
        __m256i m = lanes(n - from);
        __m256 v = _mm256_maskload_ps(x + from, m);
        *low = _mm256_min_ps(v, *low), *high = _mm256_max_ps(v, *high);
        _mm256_maskstore_ps(y + from, m, v);
    }
}

static void wn_rotate_f32_avx2(const float *x, float *y, size_t n) {
    __m256 low = _mm256_setzero_ps(), high = low;
    rotate_row(x, y, n, &low, &high);
}

FN float most_of(__m256 v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
FN __m256 negated(__m256 v) { return _mm256_sub_ps(_mm256_setzero_ps(), v); }

/* In [0, 255]; NaN becomes 0. */
FN __m256 held(__m256 x) { return _mm256_min_ps(_mm256_max_ps(x, _mm256_setzero_ps()), _mm256_set1_ps(255)); }

/* 32 values: packing saturates as held() does, since a value is within a few steps of [0, 255], or NaN, which converts to
 * the least integer. */
FN __m256i bytes32(const float *x, __m256 inverse, __m256 middle) {
    __m256i v[4];
    WN_UNROLL
    for (int i = 0; i < 4; i++) v[i] = _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_loadu_ps(x + VW * i), inverse, middle));
    __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

FN void quantize_row(const float *x, float *rotated, uint8_t *y, size_t n, float *scale, float *offset) {
    __m256 low = _mm256_setzero_ps(), high = low;
    rotate_row(x, rotated, n, &low, &high);
    float least = -most_of(negated(low)), step = (most_of(high) - least) / 255;
    float inverse = step > FLT_MIN && step <= FLT_MAX ? 1 / step : 0;
    __m256 s = _mm256_set1_ps(inverse), middle = held(_mm256_set1_ps(-least * inverse));
    middle = _mm256_round_ps(middle, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    *scale = inverse > 0 ? step : 0;
    *offset = -*scale * _mm256_cvtss_f32(middle);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) _mm256_storeu_si256((__m256i *)(void *)(y + i), bytes32(rotated + i, s, middle));
    for (; i < n; i++) {
        __m128 value = _mm_fmadd_ss(_mm_set_ss(rotated[i]), _mm256_castps256_ps128(s), _mm256_castps256_ps128(middle));
        y[i] = (uint8_t)_mm_cvtss_si32(_mm_min_ss(_mm_max_ss(value, _mm_setzero_ps()), _mm_set_ss(255)));
    }
}

static void wn_quantize_u8_avx2(const void *x, bool halves, size_t rows, float *rotated, uint8_t *y, size_t n, float *scales,
                                float *offsets) {
    if (halves) {
        wn_narrow_c.quantize_u8(x, halves, rows, rotated, y, n, scales, offsets);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        quantize_row((const float *)x + r * n, rotated, y + r * n, n, &scales[r], &offsets[r]);
}

/* ---- The product ---------------------------------------------------------- */

/* x: rows of pairs, `pairs` apart. */
FN void product_block(const int32_t *x, size_t pairs, const int8_t *panel, int32_t *y, size_t out, size_t columns,
                      const int rows) {
    __m256i sums[PRODUCT_ROWS][2];
    WN_UNROLL
    for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    WN_TWICE
    for (size_t i = 0; i < pairs; i++, panel += 2 * WN_BYTE_PANEL) {
        __m256i w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)panel));
        __m256i w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(panel + WN_BYTE_PANEL)));
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            __m256i pair = _mm256_set1_epi32(x[(size_t)r * pairs + i]);
            sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(pair, w0));
            sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(pair, w1));
        }
    }
    WN_UNROLL
    for (int r = 0; r < rows; r++, y += out) {
        if (columns >= WN_BYTE_PANEL) {
            _mm256_storeu_si256((__m256i *)(void *)y, sums[r][0]);
            _mm256_storeu_si256((__m256i *)(void *)(y + VW), sums[r][1]);
        } else {
            _mm256_maskstore_epi32(y, lanes(columns), sums[r][0]);
            if (columns > VW) _mm256_maskstore_epi32(y + VW, lanes(columns - VW), sums[r][1]);
        }
    }
}

/* A row as 16-bit values, a 0 behind an odd number. */
FN void widen_row(const uint8_t *x, size_t n, uint16_t *y) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(void *)(y + i),
                            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
    for (; i < n; i++) y[i] = x[i];
    if (n % 2) y[n] = 0;
}

static void wn_product_u8s8_avx2(const uint8_t *x, const int8_t *panels, int32_t *y, size_t rows, size_t in, size_t out,
                                 int32_t *scratch) {
    size_t pairs = (in + 1) / 2;
    for (size_t r = 0; r < rows; r++) widen_row(x + r * in, in, (uint16_t *)(void *)(scratch + r * pairs));
    for (size_t c = 0; c < out; c += WN_BYTE_PANEL, panels += 2 * pairs * WN_BYTE_PANEL) {
        size_t r = 0;
        for (; r + PRODUCT_ROWS <= rows && rows - r != 8; r += PRODUCT_ROWS) /* 8 are 4 + 4 */
            product_block(scratch + r * pairs, pairs, panels, y + r * out + c, out, out - c, PRODUCT_ROWS);
        for (; r + 4 <= rows; r += 4) product_block(scratch + r * pairs, pairs, panels, y + r * out + c, out, out - c, 4);
        for (; r + 2 <= rows; r += 2) product_block(scratch + r * pairs, pairs, panels, y + r * out + c, out, out - c, 2);
        if (r < rows) product_block(scratch + r * pairs, pairs, panels, y + r * out + c, out, out - c, 1);
    }
}

/* ---- Sums to rows --------------------------------------------------------- */

FN __m256 gelu(__m256 x) {
    static const float p[WN_GELU_TERMS] = WN_GELU_POLYNOMIAL;
    __m256 limit = _mm256_set1_ps(WN_GELU_LIMIT), low = _mm256_set1_ps(-WN_GELU_LIMIT);
    __m256 z = _mm256_min_ps(_mm256_max_ps(x, low), limit), square = _mm256_mul_ps(z, z);
    __m256 sum = _mm256_set1_ps(p[WN_GELU_TERMS - 1]);
    WN_UNROLL
    for (int i = WN_GELU_TERMS - 2; i >= 0; i--) sum = _mm256_fmadd_ps(sum, square, _mm256_set1_ps(p[i]));
    return _mm256_mul_ps(x, _mm256_fmadd_ps(sum, z, _mm256_set1_ps(0.5f)));
}

/* 8 columns of some rows. */
typedef struct columns8 {
    __m256 scales, totals, bias;
} columns8;

FN __m256 finished(__m256i sums, float scale, float offset, const columns8 *c, const bool with_gelu) {
    __m256 rest = _mm256_fmadd_ps(c->totals, _mm256_set1_ps(offset), c->bias);
    __m256 value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_mul_ps(_mm256_set1_ps(scale), c->scales), rest);
    return with_gelu ? gelu(value) : value;
}

/* Stores under a mask cost some ten times as much here: they are for what is left at a row's end. */
FN void finish_rows(const int32_t *sums, const float *scales, const float *offsets, const wn_int8_columns *c, float *y, size_t n,
                    const int rows, const bool with_gelu) {
    size_t i = 0;
    for (; i + VW <= n; i += VW) {
        columns8 c8 = {_mm256_loadu_ps(c->scales + i), _mm256_loadu_ps(c->totals + i), _mm256_loadu_ps(c->bias + i)};
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * n + i;
            __m256i s = _mm256_loadu_si256((const __m256i *)(const void *)(sums + at));
            _mm256_storeu_ps(y + at, finished(s, scales[r], offsets[r], &c8, with_gelu));
        }
    }
    if (i == n) return;
    __m256i m = lanes(n - i);
    columns8 c8 = {_mm256_maskload_ps(c->scales + i, m), _mm256_maskload_ps(c->totals + i, m),
                   _mm256_maskload_ps(c->bias + i, m)};
    for (int r = 0; r < rows; r++) {
        size_t at = (size_t)r * n + i;
        _mm256_maskstore_ps(y + at, m, finished(_mm256_maskload_epi32(sums + at, m), scales[r], offsets[r], &c8, with_gelu));
    }
}

FN void finish_all(const int32_t *sums, const float *scales, const float *offsets, size_t rows, const wn_int8_columns *c,
                   float *y, size_t n, const bool with_gelu) {
    size_t r = 0;
    for (; r + ROWS <= rows; r += ROWS) finish_rows(sums + r * n, scales + r, offsets + r, c, y + r * n, n, ROWS, with_gelu);
    for (; r < rows; r++) finish_rows(sums + r * n, scales + r, offsets + r, c, y + r * n, n, 1, with_gelu);
}

static void wn_finish_int8_avx2(const int32_t *sums, const float *scales, const float *offsets, size_t rows,
                                const wn_int8_columns *c, void *y, size_t n) {
    if (c->halves) wn_narrow_c.finish_int8(sums, scales, offsets, rows, c, y, n);
    else if (c->gelu) finish_all(sums, scales, offsets, rows, c, y, n, true);
    else finish_all(sums, scales, offsets, rows, c, y, n, false);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static const wn_narrow table = {
    .isa = "avx2",
    .rotate_f32 = wn_rotate_f32_avx2,
    .quantize_u8 = wn_quantize_u8_avx2,
    .product_u8s8 = wn_product_u8s8_avx2,
    .panels = {.inputs = 2},
    .finish_int8 = wn_finish_int8_avx2,
};
const wn_narrow *wn_narrow_avx2(void) { return &table; }
#else
const wn_narrow *wn_narrow_avx2(void) { return NULL; }
#endif
