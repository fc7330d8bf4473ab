/* narrow_avx512.c -- 16 lanes. AVX-512 F, BW, DQ and VL alone: rounding to bf16 in integers gives the
 * twin's bits, subnormals too (VCVTNEPS2BF16 flushes them), and costs under 2 % of a reranking. */
#include "kernels/narrow.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define FN static inline __attribute__((always_inline))

FN __mmask16 lanes(size_t left) { return left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff; }

static void wn_f32_to_bf16_avx512(const float *x, uint16_t *y, size_t n) {
    const __m512i one = _mm512_set1_epi32(1), half = _mm512_set1_epi32(0x7fff), quiet = _mm512_set1_epi32(0x40);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 v = _mm512_maskz_loadu_ps(m, x + i);
        __m512i bits = _mm512_castps_si512(v), top = _mm512_srli_epi32(bits, 16);
        __m512i round = _mm512_add_epi32(half, _mm512_and_si512(top, one));
        __m512i out = _mm512_srli_epi32(_mm512_add_epi32(bits, round), 16);
        __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        out = _mm512_mask_or_epi32(out, nan, top, quiet);
        _mm256_mask_storeu_epi16(y + i, m, _mm512_cvtepi32_epi16(out));
    }
}

FN __m512 gelu(__m512 x) {
    static const float p[WN_GELU_TERMS] = WN_GELU_POLYNOMIAL;
    __m512 limit = _mm512_set1_ps(WN_GELU_LIMIT), low = _mm512_set1_ps(-WN_GELU_LIMIT);
    __m512 z = _mm512_min_ps(_mm512_max_ps(x, low), limit), square = _mm512_mul_ps(z, z);
    __m512 sum = _mm512_set1_ps(p[WN_GELU_TERMS - 1]);
#if defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 16
#endif
    for (int i = WN_GELU_TERMS - 2; i >= 0; i--) sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(p[i]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.5f)));
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

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static const wn_narrow table = {
    .isa = "avx512",
    .f32_to_bf16 = wn_f32_to_bf16_avx512,
    .gelu_f32 = wn_gelu_f32_avx512,
};
const wn_narrow *wn_narrow_avx512(void) { return &table; }
#else
const wn_narrow *wn_narrow_avx512(void) { return NULL; }
#endif
