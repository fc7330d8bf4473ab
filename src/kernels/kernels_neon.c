/* kernels_neon.c -- 4 lanes: NEON, which every aarch64 has. The kernels themselves: kernels_simd.h.
 * Written and tested under qemu; not yet timed on a real processor. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define WN_TIER neon
#define WN_TIER_ROWS 8
#define VW 4
typedef float32x4_t vf;
#define VF_FN static inline __attribute__((always_inline))

VF_FN vf vf_load(const float *p) { return vld1q_f32(p); }
VF_FN vf vf_load_n(const float *p, size_t n) {
    float lanes[4] = {0};
    for (size_t i = 0; i < n; i++) lanes[i] = p[i];
    return vld1q_f32(lanes);
}
VF_FN void vf_store(float *p, vf x) { vst1q_f32(p, x); }
VF_FN void vf_store_n(float *p, vf x, size_t n) {
    float lanes[4];
    vst1q_f32(lanes, x);
    for (size_t i = 0; i < n; i++) p[i] = lanes[i];
}
VF_FN vf vf_set1(float x) { return vdupq_n_f32(x); }
VF_FN vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
VF_FN vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
VF_FN vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
VF_FN vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
VF_FN vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
VF_FN vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
VF_FN vf vf_abs(vf x) { return vabsq_f32(x); }
VF_FN vf vf_round(vf x) { return vrndnq_f32(x); }
/* n is a whole number in [-126, 127]: its bits go straight into the exponent */
VF_FN vf vf_scale2(vf x, vf n) {
    int32x4_t e = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(e, 23)));
}
VF_FN float vf_sum(vf x) { return vaddvq_f32(x); }
VF_FN float vf_max_lane(vf x) { return vmaxvq_f32(x); }
/* lanes from n on become `other` */
VF_FN vf vf_keep_n(vf x, size_t n, float other) {
    const uint32_t lanes[4] = {0, 1, 2, 3};
    uint32x4_t keep = vcltq_u32(vld1q_u32(lanes), vdupq_n_u32(n < 4 ? (uint32_t)n : 4));
    return vbslq_f32(keep, x, vdupq_n_f32(other));
}
VF_FN vf vf_load_f16(const void *p) {
    uint16x4_t bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}
VF_FN vf vf_load_bf16(const void *p) {
    uint16x4_t bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}

#include "kernels/kernels_simd.h"

const wn_kernels *wn_kernels_neon(void) { return &table; }
#else
const wn_kernels *wn_kernels_neon(void) { return NULL; }
#endif
