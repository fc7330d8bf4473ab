/* scan_i8_avx512.c -- VPDPBUSD: four products a lane, 16 vectors a register.
 *
 * A block is 4 groups by up to 6 queries: 24 sums, 4 registers of codes, and the query's four codes
 * broadcast from memory in the multiplication itself. */
#include "kernels/scan_i8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vnni"))), apply_to = function)
#define WN_UNROLL _Pragma("clang loop unroll(full)")
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni")
#define WN_UNROLL _Pragma("GCC unroll 8")
#endif

/* NG groups by NQ queries, both constants where this is inlined. */
static inline __attribute__((always_inline)) void block(const uint8_t *codes, size_t NG, size_t quads,
                                                        const int8_t *queries, size_t NQ, const int32_t *offset,
                                                        int32_t *out, size_t ldo) {
    __m512i sum[4][6];
    WN_UNROLL for (size_t g = 0; g < NG; g++)
        WN_UNROLL for (size_t q = 0; q < NQ; q++) sum[g][q] = _mm512_set1_epi32(offset[q]);
    for (size_t i = 0; i < quads; i++) {
        __m512i c[4];
        WN_UNROLL for (size_t g = 0; g < NG; g++)
            c[g] = _mm512_loadu_si512(codes + (g * quads + i) * 64);
        WN_UNROLL for (size_t q = 0; q < NQ; q++) {
            int32_t four;
            memcpy(&four, queries + (q * quads + i) * 4, sizeof four);
            __m512i b = _mm512_set1_epi32(four);
            WN_UNROLL for (size_t g = 0; g < NG; g++) sum[g][q] = _mm512_dpbusd_epi32(sum[g][q], c[g], b);
        }
    }
    WN_UNROLL for (size_t q = 0; q < NQ; q++)
        WN_UNROLL for (size_t g = 0; g < NG; g++)
            _mm512_storeu_si512(out + q * ldo + g * WN_SCAN_GROUP, sum[g][q]);
}

/* One query: nothing but the memory is in the way, so codes are read as one stream, in their order, well ahead. Four
 * sums for the latency. */
static void stream(const uint8_t *codes, size_t groups, size_t quads, const int8_t *query, int32_t offset,
                   int32_t *out) {
    enum { AHEAD = 4096 };
    for (size_t g = 0; g < groups; g++, codes += quads * 64, out += WN_SCAN_GROUP) {
        __m512i sum[4] = {_mm512_set1_epi32(offset), _mm512_setzero_si512(), _mm512_setzero_si512(),
                          _mm512_setzero_si512()};
        size_t i = 0;
        for (; i + 4 <= quads; i += 4)
            WN_UNROLL for (size_t j = 0; j < 4; j++) {
                int32_t four;
                memcpy(&four, query + (i + j) * 4, sizeof four);
                _mm_prefetch((const char *)codes + (i + j) * 64 + AHEAD, _MM_HINT_T0);
                sum[j] = _mm512_dpbusd_epi32(sum[j], _mm512_loadu_si512(codes + (i + j) * 64), _mm512_set1_epi32(four));
            }
        for (; i < quads; i++) {
            int32_t four;
            memcpy(&four, query + i * 4, sizeof four);
            sum[0] = _mm512_dpbusd_epi32(sum[0], _mm512_loadu_si512(codes + i * 64), _mm512_set1_epi32(four));
        }
        _mm512_storeu_si512(out, _mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(sum[2], sum[3])));
    }
}

static void block_n(const uint8_t *codes, size_t ng, size_t quads, const int8_t *queries, size_t nq,
                    const int32_t *offset, int32_t *out, size_t ldo) {
#define BLOCK(q)                                                                 \
    case q:                                                                      \
        if (ng == 4) block(codes, 4, quads, queries, q, offset, out, ldo);       \
        else                                                                     \
            for (size_t g = 0; g < ng; g++)                                      \
                block(codes + g * quads * 64, 1, quads, queries, q, offset, out + g * WN_SCAN_GROUP, ldo); \
        break;
    switch (nq) {
        BLOCK(2) BLOCK(3) BLOCK(4) BLOCK(5) BLOCK(6)
    }
#undef BLOCK
}

static void wn_dot_i8_avx512vnni(const uint8_t *codes, size_t groups, size_t quads, const int8_t *queries,
                                 size_t nq, int32_t *out, size_t ldo) {
    for (size_t q = 0; q < nq; q += 6) {
        size_t n = nq - q < 6 ? nq - q : 6;
        const int8_t *some = queries + q * quads * 4;
        /* sum of (c + 128) d is 128 sum of d too much */
        int32_t offset[6] = {0};
        for (size_t j = 0; j < n; j++)
            for (size_t i = 0; i < quads * 4; i++) offset[j] -= 128 * some[j * quads * 4 + i];
        if (n == 1) {
            stream(codes, groups, quads, some, offset[0], out + q * ldo);
            continue;
        }
        for (size_t g = 0; g < groups; g += 4)
            block_n(codes + g * quads * 64, groups - g < 4 ? groups - g : 4, quads, some, n, offset,
                    out + q * ldo + g * WN_SCAN_GROUP, ldo);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static const wn_scan_kernels table = {.isa = "avx512vnni", .dot = wn_dot_i8_avx512vnni};
const wn_scan_kernels *wn_scan_kernels_avx512vnni(void) { return &table; }
#else
const wn_scan_kernels *wn_scan_kernels_avx512vnni(void) { return NULL; }
#endif
