/* kernels_avx512.c -- 16 lanes: AVX-512 F, BW, DQ, VL. The kernels themselves: kernels_simd.h.
 *
 * The target is set for this file's functions alone, in the source: the build needs no per-file
 * flags, and nothing here runs before wn_cpu_flags() said it may. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#define WN_TIER avx512
#define WN_TIER_ROWS 8
#define VW 16
typedef __m512 vf;
#define VF_FN static inline __attribute__((always_inline))

VF_FN __mmask16 first(size_t n) { return (__mmask16)((1u << n) - 1); } /* n <= 16 */
VF_FN vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
VF_FN vf vf_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
VF_FN void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
VF_FN void vf_store_n(float *p, vf x, size_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
VF_FN vf vf_set1(float x) { return _mm512_set1_ps(x); }
VF_FN vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VF_FN vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VF_FN vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VF_FN vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
VF_FN vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VF_FN vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VF_FN vf vf_abs(vf x) { return _mm512_abs_ps(x); }
VF_FN vf vf_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VF_FN vf vf_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
VF_FN float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
VF_FN float vf_max_lane(vf x) { return _mm512_reduce_max_ps(x); }
/* lanes from n on become `other` */
VF_FN vf vf_keep_n(vf x, size_t n, float other) {
    return _mm512_mask_blend_ps(n < 16 ? first(n) : (__mmask16)0xffff, _mm512_set1_ps(other), x);
}
VF_FN vf vf_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
VF_FN vf vf_load_bf16(const void *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

#include "kernels/kernels_simd.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const wn_kernels *wn_kernels_avx512(void) { return &table; }
#else
const wn_kernels *wn_kernels_avx512(void) { return NULL; }
#endif
