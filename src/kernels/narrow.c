/* narrow.c -- the plain twins of narrow.h, and the choice between tables. Conversions and GELU have the twins' own
 * bits in every table; attention's sums differ in their last digits. */
#include "kernels/narrow.h"
#include "core/cpu.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

static uint16_t narrowed(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float widened(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void wn_f32_to_bf16_c(const float *x, uint16_t *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = narrowed(x[i]);
}

static float gelu(float x) {
    static const float p[WN_GELU_TERMS] = WN_GELU_POLYNOMIAL;
    float z = fminf(fmaxf(x, -WN_GELU_LIMIT), WN_GELU_LIMIT), sum = p[WN_GELU_TERMS - 1];
    for (int i = WN_GELU_TERMS - 2; i >= 0; i--) sum = fmaf(sum, z * z, p[i]);
    return x * fmaf(sum, z, 0.5f);
}

static void wn_gelu_f32_c(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = gelu(x[i]);
}

static void wn_gelu_bf16_c(const float *x, uint16_t *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = narrowed(gelu(x[i]));
}

/* scratch holds one row of n scores. */
static void wn_attention_bf16_c(const uint16_t *q, size_t ldq, const uint16_t *k, const uint16_t *v, size_t ldkv,
                                uint16_t *out, size_t ldo, size_t nq, size_t n, size_t head_dim, float scale,
                                float *scratch) {
    for (size_t r = 0; r < nq; r++, q += ldq, out += ldo) {
        float max = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            float score = 0;
            for (size_t d = 0; d < head_dim; d++) score += widened(q[d]) * widened(k[j * ldkv + d]);
            scratch[j] = score;
            max = fmaxf(max, score);
        }
        for (size_t j = 0; j < n; j++) {
            scratch[j] = widened(narrowed(expf((scratch[j] - max) * scale)));
            sum += scratch[j];
        }
        for (size_t d = 0; d < head_dim; d++) {
            float y = 0;
            for (size_t j = 0; j < n; j++) y += scratch[j] * widened(v[j * ldkv + d]);
            out[d] = narrowed(y / sum);
        }
    }
}

const wn_narrow wn_narrow_c = {
    .isa = "c",
    .f32_to_bf16 = wn_f32_to_bf16_c,
    .gelu_f32 = wn_gelu_f32_c,
    .gelu_bf16 = wn_gelu_bf16_c,
    .attention_bf16 = wn_attention_bf16_c,
};

/* The tables by what a processor has, filled once: tests walk all of them in one process. */
static wn_narrow with_avx512, with_bf16;

static void tables_fill(void) {
    const wn_narrow *avx512 = wn_narrow_avx512(), *bf16 = wn_narrow_avx512_bf16();
    with_avx512 = wn_narrow_c;
    if (avx512) {
        with_avx512 = *avx512;
        with_avx512.attention_bf16 = wn_attention_bf16_c;
    }
    with_bf16 = with_avx512;
    if (bf16) {
        with_bf16.isa = bf16->isa;
        with_bf16.attention_bf16 = bf16->attention_bf16;
    }
}

const wn_narrow *wn_narrow_get(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t flags = wn_cpu_flags();
    if (!(flags & WN_CPU_AVX512)) return &wn_narrow_c;
    pthread_once(&once, tables_fill);
    return flags & WN_CPU_AVX512_BF16 ? &with_bf16 : &with_avx512;
}
