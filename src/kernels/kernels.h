/* kernels.h -- the table of compute kernels: portable C first, overridden by rising
 * instruction set at run time.
 *
 * Kernels never allocate, lock, log or set errno; pointers need no alignment beyond that of their
 * type (`const void *`: none at all). Names: wn_<op>_<dtype>_<isa>. Each has a plain twin (isa "c")
 * and a test that runs both against a double-precision reference.
 *
 * Two promises the encoder builds on: a row's result depends on that row alone (never on its place in
 * the block or on how many rows the call has), and a query's attention on its own sequence alone. So a
 * pair's score is the same bits in any batch. It may differ between instruction sets. */
#ifndef WN_KERNELS_KERNELS_H
#define WN_KERNELS_KERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wn_kernels {
    const char *isa; /* "c", "avx2", "avx512", "neon" */
    /* sum of a[i] * b[i]; error at most 4 eps (n / 16 + 8) sum |a[i] b[i]| with vectors */
    float (*dot_f32)(const float *a, const float *b, size_t n);
    /* y = (x - mean) / sqrt(var + eps) * gamma + beta over each of rows [rows, n]; y may be x */
    void (*layer_norm_f32)(const float *x, const float *gamma, const float *beta, float eps,
                           float *y, size_t rows, size_t n);
    /* layer norm of x + residual into y; y may be x or residual */
    void (*add_layer_norm_f32)(const float *x, const float *residual, const float *gamma,
                               const float *beta, float eps, float *y, size_t rows, size_t n);
    /* Scaled dot-product attention of one head over one sequence of n tokens, no mask (no padding):
     * q: nq rows of stride ldq; k, v: n rows of stride ldkv, head_dim columns each; out: nq rows of
     * stride ldo. out may overlap none of them. scratch: wn_attention_scratch(n, head_dim) floats. */
    void (*attention_f32)(const float *q, size_t ldq, const float *k, const float *v, size_t ldkv,
                          float *out, size_t ldo, size_t nq, size_t n, size_t head_dim, float scale,
                          float *scratch);
    /* Linear layer over weights in panels: y [rows, out] = x [rows, in] W^T + bias, then GELU (erf) when
     * asked. panels: [ceil(out / panel)][in][panel], zeros beyond out (wn_panels_pack). Used where the GEMM
     * library has no fast product that gives a row the same bits in any place. */
    size_t panel; /* columns of a panel */
    void (*linear_f32)(const float *x, const float *panels, const float *bias, bool gelu, float *y,
                       size_t rows, size_t in, size_t out);
    /* x: n halves at any address */
    void (*f16_to_f32)(const void *x, float *y, size_t n);
    void (*bf16_to_f32)(const void *x, float *y, size_t n);
} wn_kernels;

/* The best table for wn_cpu_flags(). Static memory. */
const wn_kernels *wn_kernels_get(void);
/* The table for an explicit set of flags (tests walk the tiers); a tier that was not compiled in
 * or that this processor lacks is passed over. */
const wn_kernels *wn_kernels_for(uint32_t cpu_flags);
/* Floats; the same for every tier. SIZE_MAX when the product overflows. */
size_t wn_attention_scratch(size_t n, size_t head_dim);

/* Floats of a [out, in] weight in panels; SIZE_MAX on overflow. Then the packing itself. */
size_t wn_panels_size(const wn_kernels *kernels, size_t in, size_t out);
void wn_panels_pack(const wn_kernels *kernels, const float *weight, size_t in, size_t out, float *panels);

/* The tiers; NULL where not compiled in. Only kernels.c and the tests look at them. */
extern const wn_kernels wn_kernels_c;
const wn_kernels *wn_kernels_avx2(void);
const wn_kernels *wn_kernels_avx512(void);
const wn_kernels *wn_kernels_neon(void);
#endif
