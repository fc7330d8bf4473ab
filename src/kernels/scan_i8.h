/* scan_i8.h -- the first pass of a dense scan: exact integer dot products of 8-bit codes.
 *
 * A table of its own, chosen as kernels.h chooses: the plain twin, then what the processor has. The sums
 * are integers and never overflow (WN_SCAN_MAX_QUADS), so every tier gives the same numbers and which one
 * ran can't change a result.
 *
 * Layout of codes: groups of 16 vectors, interleaved by four dimensions,
 *
 *     codes[group][quad][vector 0..15][dimension 4 quad + 0..3]
 *
 * each code c in [-127, 127] stored as c + 128 (VPDPBUSD multiplies unsigned by signed). A vector's place
 * in a register is then its own lane: no sum runs across lanes, one load serves every query, and a query's
 * four codes are a broadcast. Rejected: rows one after the other, which needs a sum across 16 lanes a vector
 * and query. Missing dimensions and vectors are zeros (128). */
#ifndef WN_KERNELS_SCAN_I8_H
#define WN_KERNELS_SCAN_I8_H
#include <stddef.h>
#include <stdint.h>

enum {
    WN_SCAN_GROUP = 16,          /* vectors of a group */
    WN_SCAN_MAX_QUADS = 16384    /* 65536 dimensions: 65536 * 255 * 127 < 2^31 */
};

typedef struct wn_scan_kernels {
    const char *isa; /* "c", "avx2", "avx512vnni", "neon" */
    /* out[q * ldo + 16 g + v] = sum over d of code(g, v)[d] * queries[q][d], for g < groups, q < nq.
     * codes: groups * quads * 64 bytes; queries: [nq][4 quads], each in [-127, 127]; any alignment. */
    void (*dot)(const uint8_t *codes, size_t groups, size_t quads, const int8_t *queries, size_t nq,
                int32_t *out, size_t ldo);
} wn_scan_kernels;

/* The best table for wn_cpu_flags(), and for given flags (tests). Static memory. */
const wn_scan_kernels *wn_scan_kernels_get(void);
const wn_scan_kernels *wn_scan_kernels_for(uint32_t cpu_flags);

/* The tiers; NULL where not compiled in. */
const wn_scan_kernels *wn_scan_kernels_avx2(void);
const wn_scan_kernels *wn_scan_kernels_avx512vnni(void);
const wn_scan_kernels *wn_scan_kernels_neon(void);
#endif
