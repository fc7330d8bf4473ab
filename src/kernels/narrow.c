/* narrow.c -- the plain twins of narrow.h, and the choice between tables. All but attention have the twins' own bits in
 * every table; attention's sums differ in their last digits. */
#include "kernels/narrow.h"
#include "core/cpu.h"
#include "core/memory.h"

#include <float.h>
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

static void wn_rotate_f32_c(const float *x, float *y, size_t n) {
    if (y != x) memcpy(y, x, n * sizeof *y);
    for (size_t from = 0; from + WN_ROTATION <= n; from += WN_ROTATION, y += WN_ROTATION)
        for (size_t step = 1; step < WN_ROTATION; step *= 2)
            for (size_t i = 0; i < WN_ROTATION; i++) {
                if (i & step) continue;
                float a = y[i], b = y[i + step];
                y[i] = a + b;
                y[i + step] = a - b;
            }
}

static float held(float x, float low, float high) {
    x = x > low ? x : low; /* NaN becomes low */
    return x < high ? x : high;
}

static void row_quantize(const void *x, bool halves, float *rotated, uint8_t *y, size_t n, float *scale, float *offset) {
    float low = 0, high = 0;
    if (halves)
        for (size_t i = 0; i < n; i++) rotated[i] = widened(((const uint16_t *)x)[i]);
    wn_rotate_f32_c(halves ? rotated : x, rotated, n);
    for (size_t i = 0; i < n; i++) {
        low = rotated[i] < low ? rotated[i] : low;
        high = rotated[i] > high ? rotated[i] : high;
    }
    float step = (high - low) / 255, inverse = step > FLT_MIN && step <= FLT_MAX ? 1 / step : 0;
    float middle = rintf(held(-low * inverse, 0, 255));
    for (size_t i = 0; i < n; i++) y[i] = (uint8_t)held(rintf(fmaf(rotated[i], inverse, middle)), 0, 255);
    *scale = inverse > 0 ? step : 0;
    *offset = -*scale * middle;
}

static void wn_quantize_u8_c(const void *x, bool halves, size_t rows, float *rotated, uint8_t *y, size_t n, float *scales,
                             float *offsets) {
    size_t row = n * (halves ? sizeof(uint16_t) : sizeof(float));
    for (size_t r = 0; r < rows; r++)
        row_quantize((const char *)x + r * row, halves, rotated, y + r * n, n, &scales[r], &offsets[r]);
}

static void wn_product_u8s8_c(const uint8_t *x, const int8_t *panels, int32_t *y, size_t rows, size_t in, size_t out,
                              int32_t *scratch) {
    (void)scratch;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < out; c++) {
            const int8_t *w = panels + c / WN_BYTE_PANEL * in * WN_BYTE_PANEL + c % WN_BYTE_PANEL;
            int32_t sum = 0;
            for (size_t i = 0; i < in; i++) sum += x[r * in + i] * w[i * WN_BYTE_PANEL];
            y[r * out + c] = sum;
        }
}

static void wn_finish_int8_c(const int32_t *sums, const float *scales, const float *offsets, size_t rows,
                             const wn_int8_columns *columns, void *y, size_t n) {
    for (size_t i = 0; i < rows * n; i++) {
        size_t r = i / n, c = i % n;
        float rest = fmaf(columns->totals[c], offsets[r], columns->bias[c]);
        float value = fmaf((float)sums[i], scales[r] * columns->scales[c], rest);
        if (columns->gelu) value = gelu(value);
        if (columns->halves) ((uint16_t *)y)[i] = narrowed(value);
        else ((float *)y)[i] = value;
    }
}

const wn_narrow wn_narrow_c = {
    .isa = "c",
    .f32_to_bf16 = wn_f32_to_bf16_c,
    .gelu_f32 = wn_gelu_f32_c,
    .gelu_bf16 = wn_gelu_bf16_c,
    .attention_bf16 = wn_attention_bf16_c,
    .rotate_f32 = wn_rotate_f32_c,
    .quantize_u8 = wn_quantize_u8_c,
    .product_u8s8 = wn_product_u8s8_c,
    .panels = {.inputs = 1},
    .finish_int8 = wn_finish_int8_c,
};

size_t wn_byte_panels_size(const wn_byte_panels *how, size_t in, size_t out) {
    size_t panels = out / WN_BYTE_PANEL + (out % WN_BYTE_PANEL != 0), steps = in / how->inputs + (in % how->inputs != 0), bytes;
    bool overflow = wn_mul_overflows(steps, how->inputs, &bytes) || wn_mul_overflows(bytes, panels, &bytes) ||
                    wn_mul_overflows(bytes, WN_BYTE_PANEL, &bytes);
    return overflow ? SIZE_MAX : bytes;
}

void wn_byte_panels_pack(const wn_byte_panels *how, const int8_t *weight, size_t in, size_t out, int8_t *panels) {
    for (size_t first = 0; first < out; first += WN_BYTE_PANEL)
        for (size_t i = 0; i < in; i += how->inputs)
            for (size_t c = first; c < first + WN_BYTE_PANEL; c++)
                for (size_t k = i; k < i + how->inputs; k++) {
                    int8_t byte = c < out && k < in ? weight[c * in + k] : 0;
                    *panels++ = (int8_t)(byte ^ (int8_t)how->flip);
                }
}

/* The tables by what a processor has, filled once: tests walk all of them in one process. */
static wn_narrow with_avx2, with_avx512, with_bf16, with_dotprod, with_i8mm;

/* Of a table for int8 alone: the rest is the twins'. */
static wn_narrow int8_filled(const wn_narrow *table) {
    if (!table) return wn_narrow_c;
    wn_narrow filled = *table;
    filled.f32_to_bf16 = wn_f32_to_bf16_c;
    filled.gelu_f32 = wn_gelu_f32_c;
    filled.gelu_bf16 = wn_gelu_bf16_c;
    filled.attention_bf16 = wn_attention_bf16_c;
    return filled;
}

static void tables_fill(void) {
    const wn_narrow *avx512 = wn_narrow_avx512(), *bf16 = wn_narrow_avx512_bf16();
    with_dotprod = int8_filled(wn_narrow_dotprod());
    with_i8mm = int8_filled(wn_narrow_i8mm());
    with_avx2 = int8_filled(wn_narrow_avx2());
    with_avx512 = with_avx2;
    if (avx512) {
        with_avx512 = *avx512;
        with_avx512.attention_bf16 = wn_attention_bf16_c;
        with_avx512.product_u8s8 = with_avx2.product_u8s8;
        with_avx512.panels = with_avx2.panels;
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
    pthread_once(&once, tables_fill);
    if (flags & WN_CPU_DOTPROD) return flags & WN_CPU_I8MM ? &with_i8mm : &with_dotprod;
    if (!(flags & WN_CPU_AVX2)) return &wn_narrow_c;
    if (!(flags & WN_CPU_AVX512)) return &with_avx2;
    return flags & WN_CPU_AVX512_BF16 ? &with_bf16 : &with_avx512;
}
