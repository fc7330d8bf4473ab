/* scan_i8_avx2.c -- codes widened to 16 bits, VPMADDWD: exact, where VPMADDUBSW would saturate.
 * A register holds four vectors' quads; a vector's sum is two neighbouring lanes, joined at the end. */
#include "kernels/scan_i8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define WN_UNROLL _Pragma("clang loop unroll(full)")
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#define WN_UNROLL _Pragma("GCC unroll 4")
#endif

/* Two registers of pairs to eight sums in the order of their vectors. */
static inline __attribute__((always_inline)) __m256i join(__m256i a, __m256i b) {
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8);
}

/* One group by NQ queries (1 or 2): 4 sums each. */
static inline __attribute__((always_inline)) void block(const uint8_t *codes, size_t quads, const int8_t *queries,
                                                        size_t NQ, int32_t *out, size_t ldo) {
    const __m256i offset = _mm256_set1_epi16(128);
    __m256i sum[2][4];
    WN_UNROLL for (size_t q = 0; q < NQ; q++)
        WN_UNROLL for (size_t r = 0; r < 4; r++) sum[q][r] = _mm256_setzero_si256();
    for (size_t i = 0; i < quads; i++) {
        __m256i b[2];
        WN_UNROLL for (size_t q = 0; q < NQ; q++) {
            int32_t four;
            memcpy(&four, queries + (q * quads + i) * 4, sizeof four);
            b[q] = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
        }
        WN_UNROLL for (size_t r = 0; r < 4; r++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(codes + i * 64 + r * 16));
            __m256i c = _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), offset);
            WN_UNROLL for (size_t q = 0; q < NQ; q++)
                sum[q][r] = _mm256_add_epi32(sum[q][r], _mm256_madd_epi16(c, b[q]));
        }
    }
    WN_UNROLL for (size_t q = 0; q < NQ; q++)
        WN_UNROLL for (size_t r = 0; r < 4; r += 2)
            _mm256_storeu_si256((__m256i *)(out + q * ldo + r * 4), join(sum[q][r], sum[q][r + 1]));
}

static void wn_dot_i8_avx2(const uint8_t *codes, size_t groups, size_t quads, const int8_t *queries, size_t nq,
                           int32_t *out, size_t ldo) {
    for (size_t g = 0; g < groups; g++, codes += quads * 64, out += WN_SCAN_GROUP) {
        size_t q = 0;
        for (; q + 2 <= nq; q += 2) block(codes, quads, queries + q * quads * 4, 2, out + q * ldo, ldo);
        if (q < nq) block(codes, quads, queries + q * quads * 4, 1, out + q * ldo, ldo);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static const wn_scan_kernels table = {.isa = "avx2", .dot = wn_dot_i8_avx2};
const wn_scan_kernels *wn_scan_kernels_avx2(void) { return &table; }
#else
const wn_scan_kernels *wn_scan_kernels_avx2(void) { return NULL; }
#endif
