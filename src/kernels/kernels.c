/* kernels.c -- choosing the table. One decision a process, not one a call. */
#include "kernels/kernels.h"
#include "core/cpu.h"
#include "kernels/attention_layout.h"

const wn_kernels *wn_kernels_for(uint32_t cpu_flags) {
    const wn_kernels *table = NULL;
    if (cpu_flags & WN_CPU_AVX512) table = wn_kernels_avx512();
    if (!table && (cpu_flags & WN_CPU_AVX2)) table = wn_kernels_avx2();
    if (!table && (cpu_flags & WN_CPU_NEON)) table = wn_kernels_neon();
    return table ? table : &wn_kernels_c;
}

const wn_kernels *wn_kernels_get(void) { return wn_kernels_for(wn_cpu_flags()); }

size_t wn_attention_scratch(size_t n, size_t head_dim) {
    size_t keys, dims, kv, scores;
    if (__builtin_add_overflow(n, WN_ATTENTION_PAD - 1, &keys) ||
        __builtin_add_overflow(head_dim, WN_ATTENTION_PAD - 1, &dims))
        return SIZE_MAX;
    keys -= keys % WN_ATTENTION_PAD;
    dims -= dims % WN_ATTENTION_PAD;
    if (__builtin_mul_overflow(keys, dims, &kv) || __builtin_mul_overflow(kv, (size_t)2, &kv) ||
        __builtin_mul_overflow(keys + dims, (size_t)WN_ATTENTION_ROWS, &scores) ||
        __builtin_add_overflow(kv, scores, &kv) ||
        __builtin_add_overflow(kv, (size_t)WN_ATTENTION_PAD, &kv))
        return SIZE_MAX;
    return kv;
}

size_t wn_panels_size(const wn_kernels *kernels, size_t in, size_t out) {
    size_t columns, size;
    if (__builtin_add_overflow(out, kernels->panel - 1, &columns)) return SIZE_MAX;
    columns -= columns % kernels->panel;
    return __builtin_mul_overflow(columns, in, &size) ? SIZE_MAX : size;
}

void wn_panels_pack(const wn_kernels *kernels, const float *weight, size_t in, size_t out, float *panels) {
    size_t width = kernels->panel;
    for (size_t first = 0; first < out; first += width, panels += in * width)
        for (size_t c = 0; c < width; c++)
            for (size_t i = 0; i < in; i++)
                panels[i * width + c] = first + c < out ? weight[(first + c) * in + i] : 0;
}
