/* narrow.h -- what stands around products in bf16 and int8: narrowing rows, finishing results, attention.
 *
 * Kept apart from kernels.h because only processors with the products themselves run these (bf16: AVX-512 with BF16;
 * int8: AVX2, AVX-512 with VNNI, or Arm's dot product). Everything that kernels.h promises holds: no
 * allocation, any alignment, and a row's result depends on that row alone. */
#ifndef WN_KERNELS_NARROW_H
#define WN_KERNELS_NARROW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a product of bytes needs to know of its columns. */
typedef struct wn_int8_columns {
    const float *scales; /* [n]: of the column's weights */
    const float *totals; /* [n]: that scale times the sum of the column's weights, as bytes */
    const float *bias;   /* [n] */
    bool gelu, halves;   /* what becomes of the result */
} wn_int8_columns;

/* NARROW_ROWS: how many rows are quantised or finished together. BYTE_PANEL: columns of a panel of weights. */
enum { WN_ROTATION = 128, WN_NARROW_ROWS = 4, WN_BYTE_PANEL = 16 };
#define WN_PRODUCT_SCRATCH(in) (((in) + 1) / 2 + 2)

/* How a product of bytes of our own has its weights: [ceil(out / WN_BYTE_PANEL)][ceil(in / inputs)][WN_BYTE_PANEL][inputs],
 * zeros beyond either end, all with the bits of `flip` turned (0x80: bytes without sign, 128 more). */
typedef struct wn_byte_panels {
    size_t inputs;
    uint8_t flip;
} wn_byte_panels;

typedef struct wn_narrow {
    const char *isa; /* "c", "avx2", "avx512", "avx512bf16", "dotprod", "i8mm" */
    /* Round to nearest, ties to even; NaN stays NaN. y: n halves */
    void (*f32_to_bf16)(const float *x, uint16_t *y, size_t n);
    /* GELU (erf form) in place, within 7e-5: a 50th of what rounding a value of 1 to bf16 may cost, and
     * without the exact form's exponential and division. */
    void (*gelu_f32)(float *x, size_t n);
    /* y = gelu_f32(x), rounded as f32_to_bf16 does */
    void (*gelu_bf16)(const float *x, uint16_t *y, size_t n);
    /* kernels.h's attention_f32 with q, k, v, out and the softmax's weights as bf16; sums, maxima and exponentials
     * are f32. head_dim is even. scratch: wn_attention_scratch(n, head_dim) floats. */
    void (*attention_bf16)(const uint16_t *q, size_t ldq, const uint16_t *k, const uint16_t *v, size_t ldkv,
                           uint16_t *out, size_t ldo, size_t nq, size_t n, size_t head_dim, float scale,
                           float *scratch);
    /* y = each full block of WN_ROTATION values of x times the Hadamard matrix of that size (entries 1 and -1, its square
     * WN_ROTATION times the identity); values beyond the last full block are copied. y may be x. */
    void (*rotate_f32)(const float *x, float *y, size_t n);
    /* Rows of n values (of f32, or halves) as bytes of each row's range once it is rotated: rotate_f32(x[r]) ~
     * scales[r] y[r] + offsets[r]. 0 is a byte exactly; a row of zeros has scale 0. A row with NaN or infinity becomes some
     * bytes. rotated: [WN_NARROW_ROWS, n] of scratch. */
    void (*quantize_u8)(const void *x, bool halves, size_t rows, float *rotated, uint8_t *y, size_t n, float *scales,
                        float *offsets);
    /* y [rows, out] = x [rows, in] W^T, exact while in <= 32768; W in panels as the next member says. For processors without
     * VNNI, whose product is the GEMM library's. scratch: [rows rounded up to 2, WN_PRODUCT_SCRATCH(in)]. */
    void (*product_u8s8)(const uint8_t *x, const int8_t *panels, int32_t *y, size_t rows, size_t in, size_t out,
                         int32_t *scratch);
    wn_byte_panels panels;
    /* y [rows, n] = scales[r] columns.scales sums + offsets[r] totals + bias, GELU (gelu_f32's) when asked, as f32 or
     * halves. sums: [rows, n] */
    void (*finish_int8)(const int32_t *sums, const float *scales, const float *offsets, size_t rows,
                        const wn_int8_columns *columns, void *y, size_t n);
} wn_narrow;

/* The best table for wn_cpu_flags(). Static memory. */
const wn_narrow *wn_narrow_get(void);

/* Bytes of a weight [out, in] in panels, SIZE_MAX on overflow; then the packing itself. */
size_t wn_byte_panels_size(const wn_byte_panels *how, size_t in, size_t out);
void wn_byte_panels_pack(const wn_byte_panels *how, const int8_t *weight, size_t in, size_t out, int8_t *panels);

extern const wn_narrow wn_narrow_c;
/* The fast kernels, NULL where not compiled in. Each has some of the table alone: those for int8, all but attention and
 * the product, attention, those for int8 twice. Only narrow.c looks at them. */
const wn_narrow *wn_narrow_avx2(void);
const wn_narrow *wn_narrow_avx512(void);
const wn_narrow *wn_narrow_avx512_bf16(void);
const wn_narrow *wn_narrow_dotprod(void);
const wn_narrow *wn_narrow_i8mm(void);

/* gelu(x) ~ x (1/2 + z P(z^2)), z = x held to [-4.5, 4.5]. P: least maximum of the error of the result, with
 * 4.5 P(4.5^2) = 1/2, so that both tails are right. */
#define WN_GELU_LIMIT 4.5f
enum { WN_GELU_TERMS = 9 };
#define WN_GELU_POLYNOMIAL                                                                          \
    {0.3987085521f, -6.597723812e-2f, 9.580636397e-3f, -1.036248869e-3f, 8.120906568e-5f,              \
     -4.431629804e-6f, 1.580230133e-7f, -3.283840977e-9f, 2.999928778e-11f}
#endif
