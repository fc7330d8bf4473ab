/* narrow.h -- what stands around a product in bf16: narrowing its rows, finishing its result.
 *
 * Kept apart from kernels.h because only processors with the products themselves (AVX-512 with BF16)
 * run these; there is one fast table and the plain twin. Everything that kernels.h promises holds: no
 * allocation, any alignment, and a row's result depends on that row alone. */
#ifndef WN_KERNELS_NARROW_H
#define WN_KERNELS_NARROW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wn_narrow {
    const char *isa; /* "c", "avx512" */
    /* round to nearest, ties to even; NaN stays NaN. y: n halves */
    void (*f32_to_bf16)(const float *x, uint16_t *y, size_t n);
    /* GELU (erf form) in place, within 7e-5: a 50th of what rounding a value of 1 to bf16 may cost, and
     * without the exact form's exponential and division. */
    void (*gelu_f32)(float *x, size_t n);
} wn_narrow;

/* The best table for wn_cpu_flags(). Static memory. */
const wn_narrow *wn_narrow_get(void);

extern const wn_narrow wn_narrow_c;
const wn_narrow *wn_narrow_avx512(void); /* NULL where not compiled in */

/* gelu(x) ~ x (1/2 + z P(z^2)), z = x held to [-4.5, 4.5]. P: least maximum of the error of the result, with
 * 4.5 P(4.5^2) = 1/2, so that both tails are right. */
#define WN_GELU_LIMIT 4.5f
enum { WN_GELU_TERMS = 9 };
#define WN_GELU_POLYNOMIAL                                                                          \
    {0.3987085521f, -6.597723812e-2f, 9.580636397e-3f, -1.036248869e-3f, 8.120906568e-5f,              \
     -4.431629804e-6f, 1.580230133e-7f, -3.283840977e-9f, 2.999928778e-11f}
#endif
