/* cpu.h -- what this processor can do, asked once. A mask lets a test run every tier. */
#ifndef WN_CORE_CPU_H
#define WN_CORE_CPU_H
#include <stdint.h>

enum {
    WN_CPU_AVX2 = 1 << 0,        /* AVX2 + FMA + F16C */
    WN_CPU_AVX512 = 1 << 1,      /* F, BW, DQ, VL */
    WN_CPU_AVX512_VNNI = 1 << 2,
    WN_CPU_AVX512_BF16 = 1 << 3,
    WN_CPU_NEON = 1 << 4,
    WN_CPU_DOTPROD = 1 << 5,     /* FEAT_DotProd: products of bytes, most Arm processors since 2018 */
    WN_CPU_I8MM = 1 << 6,        /* FEAT_I8MM too: small matrices of bytes (Neoverse V1 and N2, Cortex-X2 and later) */
};

/* Flags of this machine, less those masked out. The environment's WN_CPU_MASK
 * (a number, read once) is and-ed in, so a user can force a lower tier. */
uint32_t wn_cpu_flags(void);
/* Tests: flags are and-ed with mask from now on. */
void wn_cpu_set_mask(uint32_t mask);
/* Processors this process may run on (affinity and cgroup quota respected), at least 1. */
int wn_cpu_count(void);
#endif
