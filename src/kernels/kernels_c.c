/* kernels_c.c -- the plain twins: what each kernel means, in portable C.
 *
 * These run where no tier fits, and are what the tests compare the tiers with. They are written to be
 * read; the compiler vectorises what it can. Sums over a row are taken in double: a twin that is
 * more exact than its faster sibling makes a good referee. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

static float wn_dot_f32_c(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

static void norm_row(float *y, const float *gamma, const float *beta, float eps, size_t n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)y[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += ((double)y[i] - mean) * ((double)y[i] - mean);
    float inverse = (float)(1.0 / sqrt(squares / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) y[i] = (y[i] - (float)mean) * inverse * gamma[i] + beta[i];
}

static void wn_layer_norm_f32_c(const float *x, const float *gamma, const float *beta, float eps,
                                float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        if (y != x) memcpy(y, x, n * sizeof *y);
        norm_row(y, gamma, beta, eps, n);
    }
}

static void wn_add_layer_norm_f32_c(const float *x, const float *residual, const float *gamma,
                                    const float *beta, float eps, float *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, x += n, residual += n, y += n) {
        for (size_t i = 0; i < n; i++) y[i] = x[i] + residual[i];
        norm_row(y, gamma, beta, eps, n);
    }
}

/* scratch holds one row of n scores. */
static void wn_attention_f32_c(const float *q, size_t ldq, const float *k, const float *v,
                               size_t ldkv, float *out, size_t ldo, size_t nq, size_t n,
                               size_t head_dim, float scale, float *scratch) {
    for (size_t r = 0; r < nq; r++, q += ldq, out += ldo) {
        float max = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            float s = 0;
            for (size_t d = 0; d < head_dim; d++) s += q[d] * k[j * ldkv + d];
            scratch[j] = s * scale;
            if (scratch[j] > max) max = scratch[j];
        }
        for (size_t j = 0; j < n; j++) {
            scratch[j] = expf(scratch[j] - max);
            sum += scratch[j];
        }
        for (size_t d = 0; d < head_dim; d++) out[d] = 0;
        for (size_t j = 0; j < n; j++)
            for (size_t d = 0; d < head_dim; d++) out[d] += scratch[j] * v[j * ldkv + d];
        for (size_t d = 0; d < head_dim; d++) out[d] /= sum;
    }
}

enum { PANEL = 16 };

/* One sum a column, in ascending order of i, as the tiers do it: the panel's columns are the
 * loop a compiler can vectorise. */
static void wn_linear_f32_c(const float *x, const float *panels, const float *bias, bool gelu, float *y,
                            size_t rows, size_t in, size_t out) {
    for (size_t r = 0; r < rows; r++, x += in, y += out)
        for (size_t first = 0; first < out; first += PANEL) {
            const float *panel = panels + first * in;
            size_t columns = out - first < PANEL ? out - first : PANEL;
            float sum[PANEL] = {0};
            for (size_t c = 0; c < columns; c++) sum[c] = bias[first + c];
            for (size_t i = 0; i < in; i++)
                for (size_t c = 0; c < PANEL; c++) sum[c] += x[i] * panel[i * PANEL + c];
            for (size_t c = 0; c < columns; c++)
                y[first + c] = gelu ? sum[c] / 2 * (1 + erff(sum[c] * 0.70710678f)) : sum[c];
        }
}

static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    uint32_t bits;
    if (exponent == 31) {
        /* infinity, or a NaN: made quiet, as the hardware conversion does */
        bits = sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0);
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        float f = (float)fraction * 0x1p-24f; /* subnormal: exact in f32 */
        memcpy(&bits, &f, sizeof bits);
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static void wn_f16_to_f32_c(const void *x, float *y, size_t n) {
    const unsigned char *bytes = x;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * i, sizeof h);
        y[i] = half_to_float(h);
    }
}

static void wn_bf16_to_f32_c(const void *x, float *y, size_t n) {
    const unsigned char *bytes = x;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * i, sizeof h);
        uint32_t bits = (uint32_t)h << 16;
        memcpy(&y[i], &bits, sizeof bits);
    }
}

const wn_kernels wn_kernels_c = {
    .isa = "c",
    .dot_f32 = wn_dot_f32_c,
    .layer_norm_f32 = wn_layer_norm_f32_c,
    .add_layer_norm_f32 = wn_add_layer_norm_f32_c,
    .attention_f32 = wn_attention_f32_c,
    .panel = PANEL,
    .linear_f32 = wn_linear_f32_c,
    .f16_to_f32 = wn_f16_to_f32_c,
    .bf16_to_f32 = wn_bf16_to_f32_c,
};
