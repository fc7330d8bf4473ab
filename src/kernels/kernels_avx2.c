/* kernels_avx2.c -- 8 lanes: AVX2, FMA, F16C. The kernels themselves: kernels_simd.h.
 * 6 rows a block: 12 accumulators, 2 vectors and a broadcast of the 16 registers. 4 rows, whose 8 accumulators hide an
 * FMA's latency only just, reach 0.9 of the speed on Zen 3. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define WN_TIER avx2
#define WN_TIER_ROWS 6
#define VW 8
typedef __m256 vf;
#define VF_FN static inline __attribute__((always_inline))

VF_FN __m256i first(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VF_FN vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
VF_FN vf vf_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, first(n)); }
VF_FN void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
VF_FN void vf_store_n(float *p, vf x, size_t n) { _mm256_maskstore_ps(p, first(n), x); }
VF_FN vf vf_set1(float x) { return _mm256_set1_ps(x); }
VF_FN vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
VF_FN vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
VF_FN vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VF_FN vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
VF_FN vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
VF_FN vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
VF_FN vf vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
VF_FN vf vf_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* n is a whole number in [-126, 127]: its bits go straight into the exponent */
VF_FN vf vf_scale2(vf x, vf n) {
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
VF_FN float vf_sum(vf x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
VF_FN float vf_max_lane(vf x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
/* lanes from n on become `other` */
VF_FN vf vf_keep_n(vf x, size_t n, float other) {
    return _mm256_blendv_ps(_mm256_set1_ps(other), x, _mm256_castsi256_ps(first(n)));
}
VF_FN vf vf_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
VF_FN vf vf_load_bf16(const void *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

#include "kernels/kernels_simd.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const wn_kernels *wn_kernels_avx2(void) { return &table; }
#else
const wn_kernels *wn_kernels_avx2(void) { return NULL; }
#endif
