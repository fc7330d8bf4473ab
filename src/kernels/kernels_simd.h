/* kernels_simd.h -- the vector kernels, written once and compiled per instruction set.
 *
 * A tier's file (kernels_avx2.c, ...) defines a vector type `vf` of VW floats, a dozen vf_* operations
 * and WN_TIER, then includes this file. Rejected: one hand-written copy a tier. Four copies of the
 * attention would drift apart, and the inner loops need nothing that the dozen does not have.
 *
 * Attention, one head of one sequence. K is packed as panels of 2 VW keys, transposed ([head_dim][2 VW]),
 * V as rows without gaps, then blocks of ROWS queries run: scores against all panels into one row
 * of the scratch each, softmax of the whole row (so it is exact, not online), then scores times V.
 * Accumulators stay in registers in both products. Why copy K and V at all: in the QKV buffer
 * their rows lie 3 x hidden floats apart, which for hidden 1024 is a multiple of 4096 bytes, so that
 * all rows compete for 4 sets of the first-level cache. The copies cost 2 n head_dim moves
 * against 4 n^2 head_dim flops. For n = 96, head_dim 32 all of it is 28 KB: the first level.
 *
 * A query's sums run over d, then over j, in ascending order in one vector lane each, whatever its place
 * in the block: the same bits for a full block, a tail, or a single query (the last layer's CLS). */
#include "kernels/attention_layout.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#if defined(__clang__)
#define WN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WN_UNROLL _Pragma("GCC unroll 16")
#endif
#define WN_INLINE static inline __attribute__((always_inline))
#define WN_GLUE_(a, b, c) a##b##c
#define WN_GLUE(a, b, c) WN_GLUE_(a, b, c)
#define WN_NAME(op) WN_GLUE(wn_, op, WN_TIER)

enum { PANEL = 2 * VW };

/* e^x for x <= 0 (and a little above): range reduction by log2(e) in two parts of ln 2, then a
 * polynomial of degree 7 (Cephes' expf). Relative error under 3e-7; below -87.3 it gives 1.2e-38, not 0. */
WN_INLINE vf exp_vf(vf x) {
    x = vf_max(x, vf_set1(-87.3f));
    vf n = vf_round(vf_mul(x, vf_set1(1.44269504088896341f)));
    x = vf_fma(n, vf_set1(-0.693359375f), x);
    x = vf_fma(n, vf_set1(2.12194440e-4f), x);
    vf p = vf_set1(1.9875691500e-4f);
    p = vf_fma(p, x, vf_set1(1.3981999507e-3f));
    p = vf_fma(p, x, vf_set1(8.3334519073e-3f));
    p = vf_fma(p, x, vf_set1(4.1665795894e-2f));
    p = vf_fma(p, x, vf_set1(1.6666665459e-1f));
    p = vf_fma(p, x, vf_set1(5.0000001201e-1f));
    p = vf_fma(p, vf_mul(x, x), vf_add(x, vf_set1(1)));
    return vf_scale2(p, n); /* p * 2^n */
}

static float WN_NAME(dot_f32_)(const float *a, const float *b, size_t n) {
    vf s0 = vf_set1(0), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 4 * VW <= n; i += 4 * VW) {
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
        s1 = vf_fma(vf_load(a + i + VW), vf_load(b + i + VW), s1);
        s2 = vf_fma(vf_load(a + i + 2 * VW), vf_load(b + i + 2 * VW), s2);
        s3 = vf_fma(vf_load(a + i + 3 * VW), vf_load(b + i + 3 * VW), s3);
    }
    for (; i + VW <= n; i += VW) s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
    if (i < n) s1 = vf_fma(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i), s1);
    return vf_sum(vf_add(vf_add(s0, s1), vf_add(s2, s3)));
}

/* Mean, then squared deviations, then the result: three passes over a row in the first-level
 * cache. The one-pass form (sum and sum of squares) cancels when |mean| >> deviation. */
WN_INLINE void norm_row(const float *x, const float *residual, const float *gamma,
                        const float *beta, float eps, float *y, size_t n) {
    vf s0 = vf_set1(0), s1 = s0;
    size_t full = n - n % VW, tail = n % VW, i;
    for (i = 0; i < full; i += VW) {
        vf t = vf_load(x + i);
        if (residual) {
            t = vf_add(t, vf_load(residual + i));
            vf_store(y + i, t);
        }
        if (i / VW % 2) s1 = vf_add(s1, t);
        else s0 = vf_add(s0, t);
    }
    if (tail) {
        vf t = vf_load_n(x + i, tail);
        if (residual) {
            t = vf_add(t, vf_load_n(residual + i, tail));
            vf_store_n(y + i, t, tail);
        }
        s0 = vf_add(s0, t);
    }
    const float *z = residual ? y : x;
    float mean = vf_sum(vf_add(s0, s1)) / (float)n;
    vf vmean = vf_set1(mean);
    s0 = s1 = vf_set1(0);
    for (i = 0; i < full; i += VW) {
        vf t = vf_sub(vf_load(z + i), vmean);
        if (i / VW % 2) s1 = vf_fma(t, t, s1);
        else s0 = vf_fma(t, t, s0);
    }
    float squares = vf_sum(vf_add(s0, s1));
    for (; i < n; i++) squares += (z[i] - mean) * (z[i] - mean);
    vf inverse = vf_set1(1.0f / sqrtf(squares / (float)n + eps));
    for (i = 0; i < full; i += VW) {
        vf t = vf_mul(vf_sub(vf_load(z + i), vmean), inverse);
        vf_store(y + i, vf_fma(t, vf_load(gamma + i), vf_load(beta + i)));
    }
    if (tail) {
        vf t = vf_mul(vf_sub(vf_load_n(z + i, tail), vmean), inverse);
        t = vf_fma(t, vf_load_n(gamma + i, tail), vf_load_n(beta + i, tail));
        vf_store_n(y + i, t, tail);
    }
}

static void WN_NAME(layer_norm_f32_)(const float *x, const float *gamma, const float *beta,
                                     float eps, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) norm_row(x + r * n, NULL, gamma, beta, eps, y + r * n, n);
}

static void WN_NAME(add_layer_norm_f32_)(const float *x, const float *residual, const float *gamma,
                                         const float *beta, float eps, float *y, size_t rows,
                                         size_t n) {
    for (size_t r = 0; r < rows; r++)
        norm_row(x + r * n, residual + r * n, gamma, beta, eps, y + r * n, n);
}

/* One sequence's head, packed; see the top of this file. */
typedef struct head {
    const float *kt;        /* [npad / PANEL][head_dim][PANEL], zeros beyond n */
    const float *v;         /* [n][dpad], zeros beyond head_dim */
    float *q, *scores;      /* [rows][head_dim] scaled, [rows][npad] */
    size_t n, npad, head_dim, dpad;
    float scale;
} head;

WN_INLINE void score_rows(const head *h, const int rows, float *max) {
    vf top[WN_ATTENTION_ROWS];
    WN_UNROLL
    for (int r = 0; r < rows; r++) top[r] = vf_set1(-INFINITY);
    for (size_t j = 0; j < h->npad; j += PANEL) {
        const float *kt = h->kt + j * h->head_dim;
        vf acc[WN_ATTENTION_ROWS][2];
        WN_UNROLL
        for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vf_set1(0);
        for (size_t d = 0; d < h->head_dim; d++, kt += PANEL) {
            vf k0 = vf_load(kt), k1 = vf_load(kt + VW);
            WN_UNROLL
            for (int r = 0; r < rows; r++) {
                vf q = vf_set1(h->q[(size_t)r * h->head_dim + d]);
                acc[r][0] = vf_fma(q, k0, acc[r][0]);
                acc[r][1] = vf_fma(q, k1, acc[r][1]);
            }
        }
        /* Keys beyond n must win no maximum and add nothing to the sum. */
        size_t left = h->n - j;
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            if (left < PANEL) {
                acc[r][0] = vf_keep_n(acc[r][0], left, -INFINITY);
                acc[r][1] = vf_keep_n(acc[r][1], left > VW ? left - VW : 0, -INFINITY);
            }
            vf_store(h->scores + (size_t)r * h->npad + j, acc[r][0]);
            vf_store(h->scores + (size_t)r * h->npad + j + VW, acc[r][1]);
            top[r] = vf_max(top[r], vf_max(acc[r][0], acc[r][1]));
        }
    }
    WN_UNROLL
    for (int r = 0; r < rows; r++) max[r] = vf_max_lane(top[r]);
}

/* scores = e^(scores - max) in place; returns their sum. The padding adds at most 32 x 1.2e-38. */
WN_INLINE float exp_row(float *scores, float max, size_t npad) {
    vf m = vf_set1(max), s0 = vf_set1(0), s1 = s0;
    for (size_t j = 0; j < npad; j += PANEL) {
        vf e0 = exp_vf(vf_sub(vf_load(scores + j), m));
        vf e1 = exp_vf(vf_sub(vf_load(scores + j + VW), m));
        vf_store(scores + j, e0);
        vf_store(scores + j + VW, e1);
        s0 = vf_add(s0, e0);
        s1 = vf_add(s1, e1);
    }
    return vf_sum(vf_add(s0, s1));
}

WN_INLINE void weigh_rows(const head *h, const int rows, const float *sum, float *out, size_t ldo) {
    for (size_t c = 0; c < h->dpad; c += PANEL) {
        vf acc[WN_ATTENTION_ROWS][2];
        const float *v = h->v + c;
        WN_UNROLL
        for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vf_set1(0);
        for (size_t j = 0; j < h->n; j++, v += h->dpad) {
            vf v0 = vf_load(v), v1 = vf_load(v + VW);
            WN_UNROLL
            for (int r = 0; r < rows; r++) {
                vf p = vf_set1(h->scores[(size_t)r * h->npad + j]);
                acc[r][0] = vf_fma(p, v0, acc[r][0]);
                acc[r][1] = vf_fma(p, v1, acc[r][1]);
            }
        }
        size_t left = h->head_dim - c;
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            vf inverse = vf_set1(1.0f / sum[r]);
            float *y = out + (size_t)r * ldo + c;
            acc[r][0] = vf_mul(acc[r][0], inverse);
            acc[r][1] = vf_mul(acc[r][1], inverse);
            if (left >= PANEL) {
                vf_store(y, acc[r][0]);
                vf_store(y + VW, acc[r][1]);
            } else {
                vf_store_n(y, acc[r][0], left < VW ? left : VW);
                if (left > VW) vf_store_n(y + VW, acc[r][1], left - VW);
            }
        }
    }
}

WN_INLINE void scale_row(const float *x, float scale, float *y, size_t n) {
    vf s = vf_set1(scale);
    size_t i = 0;
    for (; i + VW <= n; i += VW) vf_store(y + i, vf_mul(vf_load(x + i), s));
    if (i < n) vf_store_n(y + i, vf_mul(vf_load_n(x + i, n - i), s), n - i);
}

WN_INLINE void attend_rows(const head *h, const int rows, const float *q, size_t ldq, float *out,
                           size_t ldo) {
    float max[WN_ATTENTION_ROWS], sum[WN_ATTENTION_ROWS];
    for (int r = 0; r < rows; r++) scale_row(q + (size_t)r * ldq, h->scale, h->q + (size_t)r * h->head_dim, h->head_dim);
    score_rows(h, rows, max);
    for (int r = 0; r < rows; r++) sum[r] = exp_row(h->scores + (size_t)r * h->npad, max[r], h->npad);
    weigh_rows(h, rows, sum, out, ldo);
}

static void WN_NAME(attend_block_)(const head *h, const float *q, size_t ldq, float *out, size_t ldo) {
    attend_rows(h, WN_TIER_ROWS, q, ldq, out, ldo);
}
static void WN_NAME(attend2_)(const head *h, const float *q, size_t ldq, float *out, size_t ldo) {
    attend_rows(h, 2, q, ldq, out, ldo);
}
static void WN_NAME(attend1_)(const head *h, const float *q, size_t ldq, float *out, size_t ldo) {
    attend_rows(h, 1, q, ldq, out, ldo);
}

static void pack_head(const float *k, const float *v, size_t ld, size_t n, size_t npad,
                      size_t head_dim, size_t dpad, float *kt, float *vp) {
    for (size_t j = 0; j < npad; j++) {
        float *column = kt + j / PANEL * PANEL * head_dim + j % PANEL;
        if (j < n)
            for (size_t d = 0; d < head_dim; d++) column[d * PANEL] = k[j * ld + d];
        else
            for (size_t d = 0; d < head_dim; d++) column[d * PANEL] = 0;
    }
    for (size_t j = 0; j < n; j++, vp += dpad) {
        memcpy(vp, v + j * ld, head_dim * sizeof *vp);
        for (size_t d = head_dim; d < dpad; d++) vp[d] = 0;
    }
}

static void WN_NAME(attention_f32_)(const float *q, size_t ldq, const float *k, const float *v,
                                    size_t ldkv, float *out, size_t ldo, size_t nq, size_t n,
                                    size_t head_dim, float scale, float *scratch) {
    size_t npad = (n + PANEL - 1) / PANEL * PANEL, dpad = (head_dim + PANEL - 1) / PANEL * PANEL;
    float *kt = scratch, *vp = kt + npad * head_dim;
    float *scores = vp + n * dpad, *qs = scores + WN_TIER_ROWS * npad;
    pack_head(k, v, ldkv, n, npad, head_dim, dpad, kt, vp);
    const head h = {.kt = kt, .v = vp, .q = qs, .scores = scores, .n = n, .npad = npad,
                    .head_dim = head_dim, .dpad = dpad, .scale = scale};
    size_t r = 0;
    for (; r + WN_TIER_ROWS <= nq; r += WN_TIER_ROWS)
        WN_NAME(attend_block_)(&h, q + r * ldq, ldq, out + r * ldo, ldo);
    for (; r + 2 <= nq; r += 2) WN_NAME(attend2_)(&h, q + r * ldq, ldq, out + r * ldo, ldo);
    if (r < nq) WN_NAME(attend1_)(&h, q + r * ldq, ldq, out + r * ldo, ldo);
}

/* x / 2 (1 + erf(x / sqrt 2)) as max(x, 0) - |x| / 2 erfc(|x| / sqrt 2), which loses nothing on either
 * side. erfc by Abramowitz and Stegun 7.1.26: absolute error 1.5e-7. */
WN_INLINE vf gelu_vf(vf x) {
    vf a = vf_abs(x), z = vf_mul(a, vf_set1(0.70710678f));
    vf t = vf_div(vf_set1(1), vf_fma(z, vf_set1(0.3275911f), vf_set1(1)));
    vf p = vf_set1(1.061405429f);
    p = vf_fma(p, t, vf_set1(-1.453152027f));
    p = vf_fma(p, t, vf_set1(1.421413741f));
    p = vf_fma(p, t, vf_set1(-0.284496736f));
    p = vf_fma(p, t, vf_set1(0.254829592f));
    vf e = exp_vf(vf_sub(vf_set1(0), vf_mul(z, z)));
    vf half = vf_mul(vf_mul(vf_mul(p, t), e), vf_set1(0.5f));
    return vf_sub(vf_max(x, vf_set1(0)), vf_mul(a, half));
}

/* One panel's columns for a block of rows: bias first, then the products in ascending order of i,
 * the same for a full block, a pair and a single row. */
WN_INLINE void linear_block(const float *x, const float *panel, const float *bias, bool gelu, float *y,
                            const int rows, size_t in, size_t out, size_t columns) {
    vf acc[WN_ATTENTION_ROWS][2];
    vf b0 = vf_load_n(bias, columns < VW ? columns : VW), b1 = vf_set1(0);
    if (columns > VW) b1 = vf_load_n(bias + VW, columns - VW);
    WN_UNROLL
    for (int r = 0; r < rows; r++) acc[r][0] = b0, acc[r][1] = b1;
    for (size_t i = 0; i < in; i++, panel += PANEL) {
        vf w0 = vf_load(panel), w1 = vf_load(panel + VW);
        WN_UNROLL
        for (int r = 0; r < rows; r++) {
            vf v = vf_set1(x[(size_t)r * in + i]);
            acc[r][0] = vf_fma(v, w0, acc[r][0]);
            acc[r][1] = vf_fma(v, w1, acc[r][1]);
        }
    }
    WN_UNROLL
    for (int r = 0; r < rows; r++, y += out) {
        if (gelu) acc[r][0] = gelu_vf(acc[r][0]), acc[r][1] = gelu_vf(acc[r][1]);
        if (columns >= PANEL) {
            vf_store(y, acc[r][0]);
            vf_store(y + VW, acc[r][1]);
        } else {
            vf_store_n(y, acc[r][0], columns < VW ? columns : VW);
            if (columns > VW) vf_store_n(y + VW, acc[r][1], columns - VW);
        }
    }
}

static void WN_NAME(linear_f32_)(const float *x, const float *panels, const float *bias, bool gelu,
                                 float *y, size_t rows, size_t in, size_t out) {
    for (size_t c = 0; c < out; c += PANEL, panels += in * PANEL) {
        size_t columns = out - c < PANEL ? out - c : PANEL, r = 0;
        for (; r + WN_TIER_ROWS <= rows && !(WN_TIER_ROWS == 6 && rows - r == 8); r += WN_TIER_ROWS) /* 8 are 4 + 4 */
            linear_block(x + r * in, panels, bias + c, gelu, y + r * out + c, WN_TIER_ROWS, in, out, columns);
        for (; r + 4 <= rows; r += 4) linear_block(x + r * in, panels, bias + c, gelu, y + r * out + c, 4, in, out, columns);
        for (; r + 2 <= rows; r += 2)
            linear_block(x + r * in, panels, bias + c, gelu, y + r * out + c, 2, in, out, columns);
        if (r < rows) linear_block(x + r * in, panels, bias + c, gelu, y + r * out + c, 1, in, out, columns);
    }
}

static void WN_NAME(f16_to_f32_)(const void *x, float *y, size_t n) {
    const unsigned char *bytes = x;
    size_t i = 0;
    for (; i + VW <= n; i += VW) vf_store(y + i, vf_load_f16(bytes + 2 * i));
    if (i < n) wn_kernels_c.f16_to_f32(bytes + 2 * i, y + i, n - i);
}

static void WN_NAME(bf16_to_f32_)(const void *x, float *y, size_t n) {
    const unsigned char *bytes = x;
    size_t i = 0;
    for (; i + VW <= n; i += VW) vf_store(y + i, vf_load_bf16(bytes + 2 * i));
    if (i < n) wn_kernels_c.bf16_to_f32(bytes + 2 * i, y + i, n - i);
}

#define WN_STRING_(x) #x
#define WN_STRING(x) WN_STRING_(x)
static const wn_kernels table = {
    .isa = WN_STRING(WN_TIER),
    .dot_f32 = WN_NAME(dot_f32_),
    .layer_norm_f32 = WN_NAME(layer_norm_f32_),
    .add_layer_norm_f32 = WN_NAME(add_layer_norm_f32_),
    .attention_f32 = WN_NAME(attention_f32_),
    .panel = PANEL,
    .linear_f32 = WN_NAME(linear_f32_),
    .f16_to_f32 = WN_NAME(f16_to_f32_),
    .bf16_to_f32 = WN_NAME(bf16_to_f32_),
};
