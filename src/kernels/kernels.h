/* kernels.h -- the table of compute kernels: portable C first, overridden by rising
 * instruction set at run time. Kernels never allocate, lock, log or set errno.
 * Names: wn_<op>_<dtype>_<isa>. Each has a plain twin (isa "c") and a test that runs both. */
#ifndef WN_KERNELS_KERNELS_H
#define WN_KERNELS_KERNELS_H
#include <stddef.h>
#include <stdint.h>

typedef struct wn_kernels {
    const char *isa; /* "c", "avx2", "avx512", "neon" */
    /* sum of a[i] * b[i] */
    float (*dot_f32)(const float *a, const float *b, size_t n);
    /* y = (x - mean) / sqrt(var + eps) * gamma + beta over each of rows [rows, n]; x may be y */
    void (*layer_norm_f32)(const float *x, const float *gamma, const float *beta, float eps,
                           float *y, size_t rows, size_t n);
    /* x = x + residual, then layer norm into y; y may be x */
    void (*add_layer_norm_f32)(const float *x, const float *residual, const float *gamma,
                               const float *beta, float eps, float *y, size_t rows, size_t n);
    /* Scaled dot-product attention of one head over one sequence of n tokens, no mask (no padding):
     * q, k, v: rows of stride `ld` floats, head_dim columns; out: rows of stride ldo, nq rows (the
     * first nq queries only). scratch: at least wn_attention_scratch(n, head_dim) floats. */
    void (*attention_f32)(const float *q, const float *k, const float *v, size_t ld, float *out,
                          size_t ldo, size_t nq, size_t n, size_t head_dim, float scale,
                          float *scratch);
    void (*f16_to_f32)(const uint16_t *x, float *y, size_t n);
    void (*bf16_to_f32)(const uint16_t *x, float *y, size_t n);
} wn_kernels;

/* The best table for wn_cpu_flags(). Static memory. */
const wn_kernels *wn_kernels_get(void);
/* The table for an explicit set of flags (tests walk the tiers). */
const wn_kernels *wn_kernels_for(uint32_t cpu_flags);
size_t wn_attention_scratch(size_t n, size_t head_dim); /* floats */
#endif
