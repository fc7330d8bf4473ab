/* narrow_avx512.h -- what the files with 16 lanes share: lanes left, rounding to halves, GELU. Included inside their target region. */
#ifndef WN_KERNELS_NARROW_AVX512_H
#define WN_KERNELS_NARROW_AVX512_H
#include "kernels/narrow.h"
#include <immintrin.h>

#if defined(__clang__)
#define WN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WN_UNROLL _Pragma("GCC unroll 16")
#endif
#define WN_LANES_FN static inline __attribute__((always_inline))

WN_LANES_FN __mmask16 lanes(size_t left) { return left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff; }

/* To the nearest half, in the upper 16 bits; in integers: the twin's bits, subnormals and NaN too. */
WN_LANES_FN __m512i rounded(__m512 x) {
    __m512i bits = _mm512_castps_si512(x);
    __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000)), nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512i up = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    up = _mm512_mask_sub_epi32(up, odd, up, _mm512_set1_epi32(-1));
    return _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
}
WN_LANES_FN __m256i narrow16(__m512 x) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(x), 16)); }
/* Both in one: a's halves, then b's. */
WN_LANES_FN __m512i narrow_two(__m512 a, __m512 b) {
    static const uint16_t upper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                       33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    return _mm512_permutex2var_epi16(rounded(a), _mm512_loadu_si512(upper), rounded(b));
}

WN_LANES_FN __m512 gelu(__m512 x) {
    static const float p[WN_GELU_TERMS] = WN_GELU_POLYNOMIAL;
    __m512 limit = _mm512_set1_ps(WN_GELU_LIMIT), low = _mm512_set1_ps(-WN_GELU_LIMIT);
    __m512 z = _mm512_min_ps(_mm512_max_ps(x, low), limit), square = _mm512_mul_ps(z, z);
    __m512 sum = _mm512_set1_ps(p[WN_GELU_TERMS - 1]);
    WN_UNROLL
    for (int i = WN_GELU_TERMS - 2; i >= 0; i--) sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(p[i]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.5f)));
}
#endif
