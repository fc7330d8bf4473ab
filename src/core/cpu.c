/* cpu.c -- what this processor can do, asked once. */
#include "core/cpu.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

static _Atomic uint32_t mask = UINT32_MAX;

static uint32_t detect(void) {
    uint32_t flags = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) flags |= WN_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        flags |= WN_CPU_AVX512;
    if ((flags & WN_CPU_AVX512) && __builtin_cpu_supports("avx512vnni")) flags |= WN_CPU_AVX512_VNNI;
    if ((flags & WN_CPU_AVX512) && __builtin_cpu_supports("avx512bf16")) flags |= WN_CPU_AVX512_BF16;
#elif defined(__aarch64__)
    flags |= WN_CPU_NEON;
    /* bits of <asm/hwcap.h>, which older headers lack */
    if (getauxval(AT_HWCAP) & 1ul << 20) flags |= WN_CPU_DOTPROD;
    if ((flags & WN_CPU_DOTPROD) && (getauxval(AT_HWCAP2) & 1ul << 13)) flags |= WN_CPU_I8MM;
#endif
    const char *env = getenv("WN_CPU_MASK");
    if (env && *env) flags &= (uint32_t)strtoul(env, NULL, 0);
    return flags;
}

uint32_t wn_cpu_flags(void) {
    static _Atomic uint32_t found;
    static _Atomic int known;
    if (!atomic_load(&known)) {
        atomic_store(&found, detect());
        atomic_store(&known, 1);
    }
    return atomic_load(&found) & atomic_load(&mask);
}

void wn_cpu_set_mask(uint32_t m) { atomic_store(&mask, m); }

/* A container's CPU quota, rounded up; 0 where there is none. */
static int cgroup_quota(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return 0;
    long quota, period;
    int n = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    return n == 2 && quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int wn_cpu_count(void) {
    cpu_set_t set;
    int n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
    int quota = cgroup_quota();
    if (quota && quota < n) n = quota;
    return n > 0 ? n : 1;
}
