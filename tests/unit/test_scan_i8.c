/* test_scan_i8.c -- every tier of the dense scan's integer products against a plain sum over the
 * vectors as they were before interleaving: any number of groups, quads and queries, any alignment,
 * and the largest codes there are. Equal to the last unit: they are integers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/cpu.h"
#include "core/memory.h"
#include "kernels/scan_i8.h"
#include "test_tier.h"
#include <string.h>

static const uint32_t masks[] = {0, WN_CPU_NEON, WN_CPU_AVX2,
                                 WN_CPU_AVX2 | WN_CPU_AVX512 | WN_CPU_AVX512_VNNI};
enum { NMASKS = sizeof masks / sizeof *masks, GUARD = 0x7ab1e };

static uint64_t state = 88172645463325252ull;
static int8_t code(bool extreme) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return extreme ? (state >> 40 & 1 ? 127 : -127) : (int8_t)((int)(state >> 40) % 255 - 127);
}

static void compare_one(const wn_scan_kernels *kernels, size_t groups, size_t quads, size_t nq, size_t shift,
                        bool extreme) {
    size_t dim = quads * 4, n = groups * WN_SCAN_GROUP, ldo = n + 3;
    int8_t *rows = wn_malloc(n * dim), *queries = wn_malloc(nq * dim + shift);
    uint8_t *codes = wn_malloc(n * dim + shift);
    int32_t *out = wn_malloc(nq * ldo * sizeof *out);
    assert_true(rows && queries && codes && out);
    for (size_t i = 0; i < n * dim; i++) rows[i] = code(extreme);
    for (size_t i = 0; i < nq * dim; i++) queries[shift + i] = code(extreme);
    for (size_t r = 0; r < n; r++)
        for (size_t d = 0; d < dim; d++)
            codes[shift + (r / 16 * quads + d / 4) * 64 + r % 16 * 4 + d % 4] = (uint8_t)(rows[r * dim + d] + 128);
    for (size_t i = 0; i < nq * ldo; i++) out[i] = GUARD;
    kernels->dot(codes + shift, groups, quads, queries + shift, nq, out, ldo);
    for (size_t q = 0; q < nq; q++) {
        for (size_t r = 0; r < n; r++) {
            int32_t want = 0;
            for (size_t d = 0; d < dim; d++) want += rows[r * dim + d] * queries[shift + q * dim + d];
            assert_int_equal(out[q * ldo + r], want);
        }
        for (size_t r = n; r < ldo; r++) assert_int_equal(out[q * ldo + r], GUARD);
    }
    wn_free(rows), wn_free(queries), wn_free(codes), wn_free(out);
}

static void dot_of_any_shape_equals_plain_sum(void **unused) {
    uint32_t have = wn_cpu_flags();
    size_t shapes = 0;
    for (int i = 0; i < NMASKS; i++) {
        if ((masks[i] & have) != masks[i]) continue;
        const wn_scan_kernels *kernels = wn_scan_kernels_for(masks[i]);
        print_message("  tier %s\n", kernels->isa);
        for (size_t groups = 1; groups <= 9; groups += groups == 5 ? 4 : 1)
            for (size_t nq = 1; nq <= 14; nq += nq >= 8 ? 5 : 1, shapes++)
                compare_one(kernels, groups, 1 + (groups * 7 + nq * 5) % 23, nq, (groups + nq) % 4, nq % 3 == 0);
        compare_one(kernels, 4, 96, 6, 1, true);
        if (!wn_test_emulated()) compare_one(kernels, 1, WN_SCAN_MAX_QUADS, 1, 0, true);
    }
    print_message("  %zu shapes\n", shapes);
}

static void tier_is_chosen_by_flags(void **unused) {
    assert_string_equal(wn_scan_kernels_for(0)->isa, "c");
#if defined(__x86_64__)
    assert_string_equal(wn_scan_kernels_for(WN_CPU_AVX2)->isa, "avx2");
    assert_string_equal(wn_scan_kernels_for(WN_CPU_AVX2 | WN_CPU_AVX512)->isa, "avx2");
    assert_string_equal(wn_scan_kernels_for(WN_CPU_AVX2 | WN_CPU_AVX512 | WN_CPU_AVX512_VNNI)->isa, "avx512vnni");
#elif defined(__aarch64__)
    assert_string_equal(wn_scan_kernels_for(WN_CPU_NEON)->isa, "neon");
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tier_is_chosen_by_flags),
        cmocka_unit_test(dot_of_any_shape_equals_plain_sum),
    };
    return cmocka_run_group_tests_name("scan_i8", tests, NULL, NULL);
}
