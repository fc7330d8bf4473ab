/* gemm.h -- linear layers: y = act(x W^T + b), W prepacked once, through oneDNN's C API.
 *
 * This is the only door to the GEMM library, and the place where precision lives: a wn_linear knows how its
 * weights are stored and multiplied; its callers say how rows lie in memory.
 *
 *   wn_linear_create   any worker (see wn_gemm_thread_start); immutable afterwards, shared by threads
 *   wn_gemm_create     one per worker: the library's handles and the scratchpad
 *   wn_linear_run      from the worker that owns the wn_gemm; nothing of ours is allocated
 *
 * Precision is a layer's own: that of its weights and of the rows going into the product; sums are f32. A row of
 * the result depends on that row of x alone, bit for bit: not on `rows`, not on its place. The tests hold us to
 * it, on every tier. */
#ifndef WN_KERNELS_GEMM_H
#define WN_KERNELS_GEMM_H
#include <winnow/core.h>

typedef struct wn_linear wn_linear;
typedef struct wn_gemm wn_gemm;

typedef enum wn_epilogue { WN_EPILOGUE_BIAS = 0, WN_EPILOGUE_BIAS_GELU } wn_epilogue;
typedef enum wn_rows { WN_ROWS_F32 = 0, WN_ROWS_BF16 } wn_rows;

typedef struct wn_linear_kind {
    wn_precision precision;
    wn_epilogue epilogue;
    wn_rows result; /* what rows of y are; a layer in f32 makes f32 alone */
} wn_linear_kind;

/* Rows are computed in tiles of at most this many; x and y need room for `rows` rounded up to
 * wn_gemm_padded_rows(rows), and the rows beyond `rows` of y are overwritten with anything. */
size_t wn_gemm_padded_rows(size_t rows);
/* What computing that many rows costs more than as many in large tiles, in rows: those beyond the end, and 3 for each
 * small tile. */
size_t wn_gemm_waste(size_t rows);

/* Sets the GEMM library's own thread team of the calling thread to 1: the parallelism is ours.
 * Every thread that calls wn_linear_create or wn_linear_run must have done so (wn_pool_create's `start`). */
void wn_gemm_thread_start(void);

/* Library and version, "oneDNN 2.6.3 (hash)": another may round otherwise. Static memory. */
const char *wn_gemm_library(void);

/* Whether this processor multiplies in that precision at speed: WN_ERR_UNSUPPORTED names what it lacks.
 * WN_AUTO is no precision of a layer: WN_ERR_ARGUMENT. */
wn_status wn_precision_check(wn_precision precision, wn_error *err);

/* weight: [out_features, in_features] row-major (Hugging Face's order); bias [out_features], or NULL: zeros.
 * Both are copied (packed). */
wn_status wn_linear_create(const float *weight, const float *bias, size_t in_features,
                           size_t out_features, wn_linear_kind kind, wn_linear **out, wn_error *err);
void wn_linear_free(wn_linear *linear);
size_t wn_linear_in(const wn_linear *linear);
size_t wn_linear_out(const wn_linear *linear);
/* The number of rows, or a multiple of it, that it multiplies best. */
size_t wn_linear_tile(const wn_linear *linear);
/* Rows that several workers multiply are cut at multiples of it: no results of one lie over those of another. */
size_t wn_linear_cut(const wn_linear *linear);
/* Bytes of packed weights and bias. */
size_t wn_linear_bytes(const wn_linear *linear);

/* A worker's handles for running any of linears [n] (NULL entries are passed over). The linears
 * must outlive it. */
wn_status wn_gemm_create(const wn_linear *const *linears, size_t n, wn_gemm **out, wn_error *err);
void wn_gemm_free(wn_gemm *gemm);

/* y [rows, out] = act(x [rows, in] W^T + b), rows without gaps, both 64-byte aligned for speed. x_rows says what x
 * is; a layer in f32 takes f32 alone. The same bits from f32 rows as from those rows rounded to bf16 before.
 * False when the library failed (it has no reason to, once the linear was created). */
bool wn_linear_run(const wn_linear *linear, wn_gemm *gemm, const void *x, wn_rows x_rows, void *y, size_t rows);

/* y = second(first(x)), second's results f32, both of one precision. between: [rows, first's out] of first's results;
 * in int8 they become bytes at once, and it is not read or written. */
bool wn_linear_chain(const wn_linear *first, const wn_linear *second, wn_gemm *gemm, const void *x, wn_rows x_rows,
                     void *between, float *y, size_t rows);
#endif
