/* narrow.c -- the plain twins of narrow.h, and the choice between tables. The fast
 * table's results are the twins' own, bit for bit. */
#include "kernels/narrow.h"
#include "core/cpu.h"

#include <math.h>
#include <string.h>

static void wn_f32_to_bf16_c(const float *x, uint16_t *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        if (isnan(x[i])) y[i] = (uint16_t)(bits >> 16 | 0x40);
        else y[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
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

const wn_narrow wn_narrow_c = {
    .isa = "c",
    .f32_to_bf16 = wn_f32_to_bf16_c,
    .gelu_f32 = wn_gelu_f32_c,
};

const wn_narrow *wn_narrow_get(void) {
    const wn_narrow *table = wn_cpu_flags() & WN_CPU_AVX512 ? wn_narrow_avx512() : NULL;
    return table ? table : &wn_narrow_c;
}
