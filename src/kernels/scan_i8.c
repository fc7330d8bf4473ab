/* scan_i8.c -- choosing the table of the dense scan's first pass, and its plain twin. */
#include "kernels/scan_i8.h"
#include "core/cpu.h"

static void wn_dot_i8_c(const uint8_t *codes, size_t groups, size_t quads, const int8_t *queries, size_t nq,
                        int32_t *out, size_t ldo) {
    for (size_t g = 0; g < groups; g++, codes += quads * 64)
        for (size_t q = 0; q < nq; q++) {
            int32_t sum[WN_SCAN_GROUP] = {0};
            const int8_t *query = queries + q * quads * 4;
            for (size_t i = 0; i < quads; i++)
                for (size_t v = 0; v < WN_SCAN_GROUP; v++)
                    for (size_t d = 0; d < 4; d++)
                        sum[v] += ((int32_t)codes[i * 64 + v * 4 + d] - 128) * query[i * 4 + d];
            for (size_t v = 0; v < WN_SCAN_GROUP; v++) out[q * ldo + g * WN_SCAN_GROUP + v] = sum[v];
        }
}

static const wn_scan_kernels table_c = {.isa = "c", .dot = wn_dot_i8_c};

const wn_scan_kernels *wn_scan_kernels_for(uint32_t cpu_flags) {
    const wn_scan_kernels *table = NULL;
    if (cpu_flags & WN_CPU_AVX512_VNNI) table = wn_scan_kernels_avx512vnni();
    if (!table && (cpu_flags & WN_CPU_AVX2)) table = wn_scan_kernels_avx2();
    if (!table && (cpu_flags & WN_CPU_NEON)) table = wn_scan_kernels_neon();
    return table ? table : &table_c;
}

const wn_scan_kernels *wn_scan_kernels_get(void) { return wn_scan_kernels_for(wn_cpu_flags()); }
