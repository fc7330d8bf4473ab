/* scan_i8_neon.c -- SMULL and SADALP, which every aarch64 has: a product of two codes is at most 127 * 127,
 * so the pairs that SADALP adds from 16 to 32 bits are exact. Two vectors' quads a register; a vector's
 * sum is two neighbouring lanes, joined at the end. Written and tested under qemu; not timed on a real
 * processor. Left out: SDOT (an extension), for want of a machine to measure it on. */
#include "kernels/scan_i8.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

static void group(const uint8_t *codes, size_t quads, const int8_t *query, int32_t *out) {
    const uint8x16_t sign = vdupq_n_u8(128);
    int32x4_t sum[8];
    for (int r = 0; r < 8; r++) sum[r] = vdupq_n_s32(0);
    for (size_t i = 0; i < quads; i++) {
        int32_t four;
        memcpy(&four, query + i * 4, sizeof four);
        int8x16_t b = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (int r = 0; r < 4; r++) {
            int8x16_t c = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + i * 64 + (size_t)r * 16), sign));
            sum[2 * r] = vpadalq_s16(sum[2 * r], vmull_s8(vget_low_s8(c), vget_low_s8(b)));
            sum[2 * r + 1] = vpadalq_s16(sum[2 * r + 1], vmull_high_s8(c, b));
        }
    }
    for (int r = 0; r < 4; r++) vst1q_s32(out + 4 * r, vpaddq_s32(sum[2 * r], sum[2 * r + 1]));
}

static void wn_dot_i8_neon(const uint8_t *codes, size_t groups, size_t quads, const int8_t *queries, size_t nq,
                           int32_t *out, size_t ldo) {
    for (size_t g = 0; g < groups; g++, codes += quads * 64)
        for (size_t q = 0; q < nq; q++)
            group(codes, quads, queries + q * quads * 4, out + q * ldo + g * WN_SCAN_GROUP);
}

static const wn_scan_kernels table = {.isa = "neon", .dot = wn_dot_i8_neon};
const wn_scan_kernels *wn_scan_kernels_neon(void) { return &table; }
#else
const wn_scan_kernels *wn_scan_kernels_neon(void) { return NULL; }
#endif
