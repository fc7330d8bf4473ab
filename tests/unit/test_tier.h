/* test_tier.h -- how much a test should do.
 *
 * `make test` runs the unit tests at full size once (gcc) and quickly under clang, under the
 * sanitizers and under an emulator. A test that compares many texts takes a sample in the quick
 * tier, and says so in the line it prints. */
#ifndef WN_TEST_TIER_H
#define WN_TEST_TIER_H
#include <stdbool.h>
#include <stdlib.h>

/* WN_TEST_QUICK=1: about a tenth of the work, the same code paths. */
static inline bool wn_test_quick(void) {
    const char *value = getenv("WN_TEST_QUICK");
    return value && *value && *value != '0';
}

/* WN_TEST_EMULATED=1: another processor is being imitated, some fifty times slower. */
static inline bool wn_test_emulated(void) {
    const char *value = getenv("WN_TEST_EMULATED");
    return value && *value && *value != '0';
}
#endif
