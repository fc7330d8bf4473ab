/* narrow_avx512_bf16.c -- attention by VDPBF16PS: 32 products of halves and their f32 sums an instruction.
 *
 * kernels_simd.h's attention, in pairs: K is packed as panels of 32 keys, pairs of dimensions together; V as pairs of
 * keys together; the softmax's weights are rounded to halves, and it is the rounded ones that are summed, so
 * that they still make 1. Sums, maxima and exponentials are f32.
 *
 * Why not the GEMM library's batched product: a head of a short pair is 96 x 32, whose packing and softmax cost
 * as much as its products; here a block of 8 queries goes through both products with its scores in the
 * first-level cache. */
#include "kernels/attention_layout.h"
#include "kernels/narrow.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
#endif
#include "kernels/narrow_avx512.h"
#define FN WN_LANES_FN

enum { PANEL = WN_ATTENTION_PAD, ROWS = WN_ATTENTION_ROWS };

FN __m512i pair(const uint16_t *p) {
    uint32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32((int)both);
}
FN __m512 dot(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
FN __m512i narrow32(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

/* sums[r][0..1] += x[r] . panel over all pairs, ascending: the same bits for any number of rows. */
FN void block_sum(const uint16_t *x, size_t ldx, const uint16_t *panel, size_t pairs, const int rows,
                  __m512 sums[ROWS][2]) {
    for (size_t i = 0; i < pairs; i++, panel += 2 * PANEL) {
        __m512i w0 = _mm512_loadu_si512(panel), w1 = _mm512_loadu_si512(panel + PANEL);
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            __m512i a = pair(x + (size_t)r * ldx + 2 * i);
            sums[r][0] = dot(sums[r][0], a, w0);
            sums[r][1] = dot(sums[r][1], a, w1);
        }
    }
}

typedef struct head {
    const uint16_t *k; /* [npad / 32][pairs][32][2], zeros beyond n */
    const uint16_t *v; /* [npad / 2][dpad][2], zeros beyond n and head_dim */
    float *scores;     /* [ROWS][npad]; then the weights, as halves, at the rows' beginnings */
    uint16_t *out;
    size_t n, npad, pairs, dpad, head_dim, ldo;
    float scale; /* of the exponent of 2 */
} head;

/* 16 keys' 16 pairs each (zeros where the masks say) into 16 rows of 16 keys, 128 bytes apart. */
FN void transpose16(const uint16_t *k, size_t ld, size_t keys, __mmask16 dims, uint16_t *to, size_t pairs) {
    __m512i a[16], b[16];
    WN_UNROLL
    for (size_t j = 0; j < 16; j++)
        a[j] = _mm512_maskz_loadu_epi32(j < keys ? dims : (__mmask16)0, k + (j < keys ? j * ld : 0));
    WN_UNROLL
    for (int j = 0; j < 16; j += 2) {
        b[j] = _mm512_unpacklo_epi32(a[j], a[j + 1]);
        b[j + 1] = _mm512_unpackhi_epi32(a[j], a[j + 1]);
    }
    WN_UNROLL
    for (int j = 0; j < 16; j += 4) { /* a[j + c]: pairs 4 l + c of keys j .. j + 3, in lane l */
        a[j] = _mm512_unpacklo_epi64(b[j], b[j + 2]);
        a[j + 1] = _mm512_unpackhi_epi64(b[j], b[j + 2]);
        a[j + 2] = _mm512_unpacklo_epi64(b[j + 1], b[j + 3]);
        a[j + 3] = _mm512_unpackhi_epi64(b[j + 1], b[j + 3]);
    }
    WN_UNROLL
    for (int c = 0; c < 4; c++) {
        __m512i even01 = _mm512_shuffle_i32x4(a[c], a[c + 4], 0x88), odd01 = _mm512_shuffle_i32x4(a[c], a[c + 4], 0xdd);
        __m512i even23 = _mm512_shuffle_i32x4(a[c + 8], a[c + 12], 0x88);
        __m512i odd23 = _mm512_shuffle_i32x4(a[c + 8], a[c + 12], 0xdd);
        b[c] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        b[c + 8] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        b[c + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        b[c + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
    WN_UNROLL
    for (size_t i = 0; i < 16; i++)
        if (i < pairs) _mm512_storeu_si512(to + i * 2 * PANEL, b[i]);
}

static void keys_pack(const head *h, const uint16_t *k, size_t ld, uint16_t *to) {
    for (size_t j = 0; j < h->npad; j += 16)
        for (size_t i = 0; i < h->pairs; i += 16) {
            size_t keys = j >= h->n ? 0 : h->n - j < 16 ? h->n - j : 16, left = h->pairs - i;
            uint16_t *at = to + j / PANEL * PANEL * 2 * h->pairs + j % PANEL * 2 + i * 2 * PANEL;
            transpose16(k + (keys ? j : 0) * ld + 2 * i, ld, keys, lanes(left), at, left);
        }
}

static void values_pack(const head *h, const uint16_t *v, size_t ld, uint16_t *to) {
    static const uint16_t first[32] = {0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39,
                                       8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    __m512i low = _mm512_loadu_si512(first), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (size_t j = 0; j < h->npad; j += 2)
        for (size_t d = 0; d < h->dpad; d += PANEL, to += 2 * PANEL) {
            size_t left = h->head_dim - d;
            __mmask32 m = left < PANEL ? (1u << left) - 1 : UINT32_MAX;
            __m512i a = _mm512_maskz_loadu_epi16(j < h->n ? m : 0, v + (j < h->n ? j * ld : 0) + d);
            __m512i b = _mm512_maskz_loadu_epi16(j + 1 < h->n ? m : 0, v + (j + 1 < h->n ? (j + 1) * ld : 0) + d);
            _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, low, b));
            _mm512_storeu_si512(to + PANEL, _mm512_permutex2var_epi16(a, high, b));
        }
}

/* 2^x for x <= 0: a polynomial of degree 4, relative error 3e-6, a 600th of a half's. */
FN __m512 exp2_lanes(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-126));
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(9.5828532e-3f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5906426e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4024099e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9312419e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

/* Eight vectors' own sums (or maxima) at once, in one order of additions however many of them are wanted. */
typedef __m512 (*combine)(__m512, __m512);
FN __m512 added(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
FN __m512 larger(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
FN void reduce_rows(const __m512 v[ROWS], const combine both, float out[ROWS]) {
    __m512 pairs[4], fours[2];
    WN_UNROLL
    for (int i = 0; i < 4; i++)
        pairs[i] = both(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    WN_UNROLL
    for (int i = 0; i < 2; i++) {
        __m512d a = _mm512_castps_pd(pairs[2 * i]), b = _mm512_castps_pd(pairs[2 * i + 1]);
        fours[i] = both(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    __m512 halves = both(_mm512_shuffle_f32x4(fours[0], fours[1], 0x88), _mm512_shuffle_f32x4(fours[0], fours[1], 0xdd));
    halves = both(halves, _mm512_shuffle_f32x4(halves, halves, 0xb1));
    _mm_storeu_ps(out, _mm512_castps512_ps128(halves));
    _mm_storeu_ps(out + 4, _mm512_extractf32x4_ps(halves, 2));
}

FN void score_rows(const head *h, const uint16_t *q, size_t ldq, const int rows, float *max) {
    __m512 top[ROWS];
    WN_UNROLL
    for (int r = 0; r < rows; r++) top[r] = _mm512_set1_ps(-INFINITY);
    for (size_t j = 0; j < h->npad; j += PANEL) {
        __m512 sums[ROWS][2];
        size_t left = h->n - j; /* keys beyond n must win no maximum and have no weight */
        __mmask16 m0 = lanes(left), m1 = left > 16 ? lanes(left - 16) : 0;
        WN_UNROLL
        for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
        block_sum(q, ldq, h->k + j * 2 * h->pairs, h->pairs, rows, sums);
        const __m512 none = _mm512_set1_ps(-INFINITY);
        if (left < PANEL)
            WN_UNROLL
            for (int r = 0; r < rows; r++) {
                sums[r][0] = _mm512_mask_blend_ps(m0, none, sums[r][0]);
                sums[r][1] = _mm512_mask_blend_ps(m1, none, sums[r][1]);
            }
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            _mm512_storeu_ps(h->scores + (size_t)r * h->npad + j, sums[r][0]);
            _mm512_storeu_ps(h->scores + (size_t)r * h->npad + j + 16, sums[r][1]);
            top[r] = _mm512_max_ps(top[r], _mm512_max_ps(sums[r][0], sums[r][1]));
        }
    }
    WN_UNROLL
    for (int r = rows; r < ROWS; r++) top[r] = top[0];
    reduce_rows(top, larger, max);
}

/* A row's scores become its weights, halves in place; returns sums of the rounded weights. The maximum is taken off before
 * the scale, as in the twin: the largest weight is 1 exactly. Keys beyond n get the least
 * weight there is, 2^-126, which changes no sum, and meet values of 0. */
FN __m512 weights_row(float *scores, float max, float scale, size_t npad) {
    __m512 s = _mm512_set1_ps(scale), m = _mm512_set1_ps(max), sum = _mm512_setzero_ps();
    const __m512i ones = _mm512_set1_epi32(0x3f803f80);
    uint16_t *to = (uint16_t *)(void *)scores; /* 64 bytes written where 128 were read */
    for (size_t j = 0; j < npad; j += PANEL) {
        __m512 x0 = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(scores + j), m), s);
        __m512 x1 = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(scores + j + 16), m), s);
        __m512i halves = narrow32(exp2_lanes(x0), exp2_lanes(x1));
        _mm512_storeu_si512(to + j, halves);
        sum = dot(sum, halves, ones);
    }
    return sum;
}

FN void weigh_rows(const head *h, const int rows, const float *sum, size_t row) {
    for (size_t c = 0; c < h->dpad; c += PANEL) {
        __m512 sums[ROWS][2];
        const uint16_t *v = h->v + 2 * c, *w = (const uint16_t *)(const void *)h->scores;
        size_t left = h->head_dim - c, used = (h->n + 1) / 2;
        WN_UNROLL
        for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
        for (size_t i = 0; i < used; i++, v += 2 * h->dpad) {
            __m512i v0 = _mm512_loadu_si512(v), v1 = _mm512_loadu_si512(v + PANEL);
            WN_UNROLL
            for (int r = 0; r < rows; r++) {
                __m512i a = pair(w + (size_t)r * 2 * h->npad + 2 * i);
                sums[r][0] = dot(sums[r][0], a, v0);
                sums[r][1] = dot(sums[r][1], a, v1);
            }
        }
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            __m512 inverse = _mm512_set1_ps(1.0f / sum[r]);
            __m512 low = _mm512_mul_ps(sums[r][0], inverse), high = _mm512_mul_ps(sums[r][1], inverse);
            size_t at = (row + (size_t)r) * h->ldo + c;
            __mmask32 m = left < PANEL ? (1u << left) - 1 : UINT32_MAX;
            _mm512_mask_storeu_epi16(h->out + at, m, narrow32(low, high));
        }
    }
}

FN void attend_rows(const head *h, const uint16_t *q, size_t ldq, size_t row, const int rows) {
    float max[ROWS], sum[ROWS];
    __m512 sums[ROWS];
    score_rows(h, q + row * ldq, ldq, rows, max);
    WN_UNROLL
    for (int r = 0; r < rows; r++) sums[r] = weights_row(h->scores + (size_t)r * h->npad, max[r], h->scale, h->npad);
    WN_UNROLL
    for (int r = rows; r < ROWS; r++) sums[r] = sums[0];
    reduce_rows(sums, added, sum);
    weigh_rows(h, rows, sum, row);
}

static void wn_attention_bf16_avx512(const uint16_t *q, size_t ldq, const uint16_t *k, const uint16_t *v,
                                     size_t ldkv, uint16_t *out, size_t ldo, size_t nq, size_t n,
                                     size_t head_dim, float scale, float *scratch) {
    size_t npad = (n + PANEL - 1) / PANEL * PANEL, dpad = (head_dim + PANEL - 1) / PANEL * PANEL;
    uint16_t *kp = (uint16_t *)(void *)scratch, *vp = kp + npad * dpad;
    head h = {.k = kp, .v = vp, .scores = scratch + npad * dpad, .out = out, .n = n, .npad = npad,
              .pairs = head_dim / 2, .dpad = dpad, .head_dim = head_dim, .ldo = ldo,
              .scale = scale * 1.44269504088896341f};
    keys_pack(&h, k, ldkv, kp);
    values_pack(&h, v, ldkv, vp);
    size_t r = 0;
    for (; r + ROWS <= nq; r += ROWS) attend_rows(&h, q, ldq, r, ROWS);
    for (; r + 4 <= nq; r += 4) attend_rows(&h, q, ldq, r, 4);
    for (; r < nq; r++) attend_rows(&h, q, ldq, r, 1);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static const wn_narrow table = {
    .isa = "avx512bf16",
    .attention_bf16 = wn_attention_bf16_avx512,
};
const wn_narrow *wn_narrow_avx512_bf16(void) { return &table; }
#else
const wn_narrow *wn_narrow_avx512_bf16(void) { return NULL; }
#endif
