/* narrow_avx512.c -- 16 lanes. AVX-512 F, BW, DQ and VL alone: rounding to bf16 in integers gives the
 * twin's bits, subnormals too (VCVTNEPS2BF16 flushes them), and costs under 2 % of a reranking. A rotation's block of 128
 * values is 8 vectors: 4 steps within each, 3 between them. */
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

static void wn_f32_to_bf16_avx512(const float *x, uint16_t *y, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
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
        _mm256_storeu_si256((__m256i *)(void *)(y + i), narrow16(a));
        _mm256_storeu_si256((__m256i *)(void *)(y + i + 16), narrow16(b));
    }
    for (; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        _mm256_mask_storeu_epi16(y + i, m, narrow16(gelu(_mm512_maskz_loadu_ps(m, x + i))));
    }
}

/* Lanes i and i ^ step: their sum where i has no step in it, else their difference. */
FN __m512 pair_up(__m512 x, __m512 other, __mmask16 upper) {
    return _mm512_mask_sub_ps(_mm512_add_ps(x, other), upper, other, x);
}

static void wn_rotate_f32_avx512(const float *x, float *y, size_t n) {
    size_t from = 0;
    for (; from + WN_ROTATION <= n; from += WN_ROTATION, x += WN_ROTATION, y += WN_ROTATION) {
        __m512 v[8];
        WN_UNROLL
        for (int i = 0; i < 8; i++) {
            __m512 a = _mm512_loadu_ps(x + 16 * i);
            a = pair_up(a, _mm512_permute_ps(a, 0xb1), 0xaaaa);
            a = pair_up(a, _mm512_permute_ps(a, 0x4e), 0xcccc);
            a = pair_up(a, _mm512_shuffle_f32x4(a, a, 0xb1), 0xf0f0);
            v[i] = pair_up(a, _mm512_shuffle_f32x4(a, a, 0x4e), 0xff00);
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
        WN_UNROLL
        for (int i = 0; i < 8; i++) _mm512_storeu_ps(y + 16 * i, v[i]);
    }
    if (y != x)
        for (size_t i = 0; i < n - from; i++) y[i] = x[i];
}

FN __m512 held(__m512 x) { /* in [0, 255]; NaN becomes 0 */
    return _mm512_min_ps(_mm512_max_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(255));
}

static void wn_quantize_u8_avx512(const float *x, uint8_t *y, size_t n, float *scale, int32_t *zero) {
    __m512 low = _mm512_setzero_ps(), high = low;
    for (size_t i = 0; i < n; i += 16) { /* NaN leaves both as they are */
        __m512 v = _mm512_maskz_loadu_ps(lanes(n - i), x + i);
        low = _mm512_min_ps(v, low), high = _mm512_max_ps(v, high);
    }
    float least = _mm512_reduce_min_ps(low), step = (_mm512_reduce_max_ps(high) - least) / 255;
    float inverse = step > FLT_MIN && step <= FLT_MAX ? 1 / step : 0;
    __m512 s = _mm512_set1_ps(inverse), middle = held(_mm512_set1_ps(-least * inverse));
    middle = _mm512_roundscale_ps(middle, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 v = held(_mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, x + i), s, middle));
        _mm_mask_storeu_epi8(y + i, m, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
    }
    *scale = inverse > 0 ? step : 0;
    *zero = (int32_t)_mm512_cvtss_f32(middle);
}

FN __m512 finished(const int32_t *sums, __m512 scale, __m512i zero, const wn_int8_columns *c, size_t i, __mmask16 m) {
    __m512i totals = _mm512_mullo_epi32(zero, _mm512_maskz_loadu_epi32(m, c->totals + i));
    __m512 product = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_maskz_loadu_epi32(m, sums + i), totals));
    __m512 scales = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(m, c->scales + i));
    __m512 value = _mm512_fmadd_ps(product, scales, _mm512_maskz_loadu_ps(m, c->bias + i));
    return c->gelu ? gelu(value) : value;
}

static void wn_finish_int8_avx512(const int32_t *sums, float scale, int32_t zero, const wn_int8_columns *columns,
                                  void *y, size_t n) {
    __m512 s = _mm512_set1_ps(scale);
    __m512i z = _mm512_set1_epi32(zero);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 value = finished(sums, s, z, columns, i, m);
        if (columns->halves) _mm256_mask_storeu_epi16((uint16_t *)y + i, m, narrow16(value));
        else _mm512_mask_storeu_ps((float *)y + i, m, value);
    }
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
