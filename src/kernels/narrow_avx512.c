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
#include "kernels/narrow_avx512.h"

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
};
const wn_narrow *wn_narrow_avx512(void) { return &table; }
#else
const wn_narrow *wn_narrow_avx512(void) { return NULL; }
#endif
