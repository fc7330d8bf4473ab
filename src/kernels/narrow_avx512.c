/* narrow_avx512.c -- 16 lanes. AVX-512 F, BW, DQ and VL alone: rounding to bf16 in integers gives the
 * twin's bits, subnormals too (VCVTNEPS2BF16 flushes them), and costs under 2 % of a reranking. */
#include "kernels/narrow.h"

#if defined(__x86_64__)
#include <float.h>
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include "kernels/narrow_avx512.h"
#define FN WN_LANES_FN

enum { ROWS = WN_NARROW_ROWS };

static void wn_f32_to_bf16_avx512(const float *x, uint16_t *y, size_t n) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(y + i, narrow_two(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16)));
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        _mm256_mask_storeu_epi16(y + i, m, narrow16(_mm512_maskz_loadu_ps(m, x + i)));
    }
}

static void wn_gelu_f32_avx512(float *x, size_t n) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) { /* two chains hide each other's latency */
        __m512 a = gelu(_mm512_loadu_ps(x + i)), b = gelu(_mm512_loadu_ps(x + i + 16));
        _mm512_storeu_ps(x + i, a);
        _mm512_storeu_ps(x + i + 16, b);
    }
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        _mm512_mask_storeu_ps(x + i, m, gelu(_mm512_maskz_loadu_ps(m, x + i)));
    }
}

static void wn_gelu_bf16_avx512(const float *x, uint16_t *y, size_t n) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 a = gelu(_mm512_loadu_ps(x + i)), b = gelu(_mm512_loadu_ps(x + i + 16));
        _mm512_storeu_si512(y + i, narrow_two(a, b));
    }
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        _mm256_mask_storeu_epi16(y + i, m, narrow16(gelu(_mm512_maskz_loadu_ps(m, x + i))));
    }
}

/* Lanes i and i ^ step: their sum where i has no step in it (sign 1), else their difference (sign -1). */
FN __m512 pair_up(__m512 x, __m512 other, __m512 sign) { return _mm512_fmadd_ps(x, sign, other); }
FN __m512 signs(__mmask16 minus) { return _mm512_mask_blend_ps(minus, _mm512_set1_ps(1), _mm512_set1_ps(-1)); }

/* The block's 128 values in 8 vectors: 4 steps within each, 3 between them. */
FN void rotate_block(__m512 v[8]) {
    const __m512 s1 = signs(0xaaaa), s2 = signs(0xcccc), s4 = signs(0xf0f0), s8 = signs(0xff00);
    WN_UNROLL
    for (int i = 0; i < 8; i++) {
        __m512 a = v[i];
        a = pair_up(a, _mm512_permute_ps(a, 0xb1), s1);
        a = pair_up(a, _mm512_permute_ps(a, 0x4e), s2);
        a = pair_up(a, _mm512_shuffle_f32x4(a, a, 0xb1), s4);
        v[i] = pair_up(a, _mm512_shuffle_f32x4(a, a, 0x4e), s8);
    }
    WN_UNROLL
    for (int step = 1; step < 8; step *= 2)
        WN_UNROLL
        for (int i = 0; i < 8; i++) {
            if (i & step) continue;
            __m512 a = v[i], b = v[i + step];
            v[i] = _mm512_add_ps(a, b);
            v[i + step] = _mm512_sub_ps(a, b);
        }
}

FN __m512 widen16(__m256i halves) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16)); }

/* y = x rotated; the range of the result and 0. NaN leaves the range as it is. */
FN void rotate_row(const void *x, const bool halves, float *y, size_t n, __m512 *low, __m512 *high) {
    const float *f = x;
    const uint16_t *h = x;
    size_t from = 0;
    for (; from + WN_ROTATION <= n; from += WN_ROTATION) {
        __m512 v[8];
        WN_UNROLL
        for (size_t i = 0; i < 8; i++) {
            size_t at = from + 16 * i;
            v[i] = halves ? widen16(_mm256_loadu_si256((const __m256i *)(const void *)(h + at))) : _mm512_loadu_ps(f + at);
        }
        rotate_block(v);
        WN_UNROLL
        for (size_t i = 0; i < 8; i++) {
            *low = _mm512_min_ps(v[i], *low), *high = _mm512_max_ps(v[i], *high);
            _mm512_storeu_ps(y + from + 16 * i, v[i]);
        }
    }
    for (; from < n; from += 16) {
        __mmask16 m = lanes(n - from);
        __m512 v = halves ? widen16(_mm256_maskz_loadu_epi16(m, h + from)) : _mm512_maskz_loadu_ps(m, f + from);
        *low = _mm512_min_ps(v, *low), *high = _mm512_max_ps(v, *high);
        _mm512_mask_storeu_ps(y + from, m, v);
    }
}

static void wn_rotate_f32_avx512(const float *x, float *y, size_t n) {
    __m512 low = _mm512_setzero_ps(), high = low;
    rotate_row(x, false, y, n, &low, &high);
}

FN __m512 held(__m512 x) { /* in [0, 255]; NaN becomes 0 */
    return _mm512_min_ps(_mm512_max_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(255));
}

/* 64 values at a time: stores under a mask cost several times as much. Saturation does what held() does: a value is
 * within a few steps of [0, 255], or NaN, which converts to the least integer. */
FN __m512i bytes64(const float *x, __m512 inverse, __m512 middle) {
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i v[4];
    WN_UNROLL
    for (int i = 0; i < 4; i++) v[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_loadu_ps(x + 16 * i), inverse, middle));
    __m512i packed = _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
    return _mm512_permutexvar_epi32(in_order, packed);
}

/* A row's scale and the byte that 0 becomes. */
typedef struct row_range {
    float inverse, middle;
} row_range;

FN row_range range_of(__m512 low, __m512 high, float *scale, float *offset) {
    float least = _mm512_reduce_min_ps(low), step = (_mm512_reduce_max_ps(high) - least) / 255;
    float inverse = step > FLT_MIN && step <= FLT_MAX ? 1 / step : 0;
    __m512 middle = held(_mm512_set1_ps(-least * inverse));
    middle = _mm512_roundscale_ps(middle, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    *scale = inverse > 0 ? step : 0;
    *offset = -*scale * _mm512_cvtss_f32(middle);
    return (row_range){inverse, _mm512_cvtss_f32(middle)};
}

FN void bytes_row(const float *rotated, row_range range, uint8_t *y, size_t n) {
    __m512 s = _mm512_set1_ps(range.inverse), middle = _mm512_set1_ps(range.middle);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) _mm512_storeu_si512(y + i, bytes64(rotated + i, s, middle));
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 v = held(_mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, rotated + i), s, middle));
        _mm_mask_storeu_epi8(y + i, m, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
    }
}

/* Some rows are rotated before the first is rounded: a row's range takes a long chain of instructions to find. */
FN void quantize_rows(const char *x, const bool halves, const int rows, float *rotated, uint8_t *y, size_t n, float *scales,
                      float *offsets) {
    __m512 low[ROWS], high[ROWS];
    row_range ranges[ROWS];
    size_t row = n * (halves ? sizeof(uint16_t) : sizeof(float));
    WN_UNROLL
    for (int r = 0; r < rows; r++) {
        low[r] = high[r] = _mm512_setzero_ps();
        rotate_row(x + (size_t)r * row, halves, rotated + (size_t)r * n, n, &low[r], &high[r]);
    }
    WN_UNROLL
    for (int r = 0; r < rows; r++) ranges[r] = range_of(low[r], high[r], &scales[r], &offsets[r]);
    for (int r = 0; r < rows; r++) bytes_row(rotated + (size_t)r * n, ranges[r], y + (size_t)r * n, n);
}

FN void quantize_all(const char *x, const bool halves, size_t rows, float *rotated, uint8_t *y, size_t n, float *scales,
                     float *offsets) {
    size_t r = 0, row = n * (halves ? sizeof(uint16_t) : sizeof(float));
    for (; r + ROWS <= rows; r += ROWS)
        quantize_rows(x + r * row, halves, ROWS, rotated, y + r * n, n, scales + r, offsets + r);
    for (; r < rows; r++) quantize_rows(x + r * row, halves, 1, rotated, y + r * n, n, scales + r, offsets + r);
}

static void wn_quantize_u8_avx512(const void *x, bool halves, size_t rows, float *rotated, uint8_t *y, size_t n,
                                  float *scales, float *offsets) {
    if (halves) quantize_all(x, true, rows, rotated, y, n, scales, offsets);
    else quantize_all(x, false, rows, rotated, y, n, scales, offsets);
}

/* 16 columns from i on. */
typedef struct columns16 {
    __m512 scales, totals, bias;
} columns16;

FN columns16 columns_load(const wn_int8_columns *c, size_t i, __mmask16 m) {
    return (columns16){_mm512_maskz_loadu_ps(m, c->scales + i), _mm512_maskz_loadu_ps(m, c->totals + i),
                       _mm512_maskz_loadu_ps(m, c->bias + i)};
}

FN __m512 finished(__m512i sums, float scale, float offset, const columns16 *c, const bool with_gelu) {
    __m512 rest = _mm512_fmadd_ps(c->totals, _mm512_set1_ps(offset), c->bias);
    __m512 value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(_mm512_set1_ps(scale), c->scales), rest);
    return with_gelu ? gelu(value) : value;
}

/* ROWS rows together share what is read of the columns; two chains a row hide each other's latency. */
FN void finish_rows(const int32_t *sums, const float *scales, const float *offsets, const wn_int8_columns *c, void *y,
                    size_t n, const int rows, const bool with_gelu, const bool halves) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        columns16 c0 = columns_load(c, i, 0xffff), c1 = columns_load(c, i + 16, 0xffff);
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * n + i;
            __m512 v0 = finished(_mm512_loadu_si512(sums + at), scales[r], offsets[r], &c0, with_gelu);
            __m512 v1 = finished(_mm512_loadu_si512(sums + at + 16), scales[r], offsets[r], &c1, with_gelu);
            if (halves) {
                _mm512_storeu_si512((uint16_t *)y + at, narrow_two(v0, v1));
            } else {
                _mm512_storeu_ps((float *)y + at, v0);
                _mm512_storeu_ps((float *)y + at + 16, v1);
            }
        }
    }
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        columns16 c0 = columns_load(c, i, m);
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * n + i;
            __m512 v = finished(_mm512_maskz_loadu_epi32(m, sums + at), scales[r], offsets[r], &c0, with_gelu);
            if (halves) _mm256_mask_storeu_epi16((uint16_t *)y + at, m, narrow16(v));
            else _mm512_mask_storeu_ps((float *)y + at, m, v);
        }
    }
}

FN void finish_all(const int32_t *sums, const float *scales, const float *offsets, size_t rows, const wn_int8_columns *c,
                   void *y, size_t n, const bool with_gelu, const bool halves) {
    size_t r = 0, cell = halves ? sizeof(uint16_t) : sizeof(float);
    for (; r + ROWS <= rows; r += ROWS)
        finish_rows(sums + r * n, scales + r, offsets + r, c, (char *)y + r * n * cell, n, ROWS, with_gelu, halves);
    for (; r < rows; r++)
        finish_rows(sums + r * n, scales + r, offsets + r, c, (char *)y + r * n * cell, n, 1, with_gelu, halves);
}

static void wn_finish_int8_avx512(const int32_t *sums, const float *scales, const float *offsets, size_t rows,
                                  const wn_int8_columns *c, void *y, size_t n) {
    if (c->gelu && c->halves) finish_all(sums, scales, offsets, rows, c, y, n, true, true);
    else if (c->gelu) finish_all(sums, scales, offsets, rows, c, y, n, true, false);
    else if (c->halves) finish_all(sums, scales, offsets, rows, c, y, n, false, true);
    else finish_all(sums, scales, offsets, rows, c, y, n, false, false);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static const wn_narrow table = {
    .isa = "avx512",
    .f32_to_bf16 = wn_f32_to_bf16_avx512,
    .gelu_f32 = wn_gelu_f32_avx512,
    .gelu_bf16 = wn_gelu_bf16_avx512,
    .rotate_f32 = wn_rotate_f32_avx512,
    .quantize_u8 = wn_quantize_u8_avx512,
    .finish_int8 = wn_finish_int8_avx512,
};
const wn_narrow *wn_narrow_avx512(void) { return &table; }
#else
const wn_narrow *wn_narrow_avx512(void) { return NULL; }
#endif
