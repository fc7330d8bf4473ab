/* gemm.c -- wn_linear over oneDNN 2.6's matmul, or over our own kernel where that is slow.
 *
 * oneDNN computes f32 by "brgemm", at the hardware's limit, where there is AVX-512. Its other products
 * (AVX2, Debian's aarch64) give a row other last bits by the number of rows beside it or its place. There
 * kernels.h's linear_f32 runs over panels of our own, and nothing below applies.
 *
 * Weights: the primitive is asked for with `any` weights format, answers with the blocking it likes
 * (here 16x64 panels, its AVX-512 "brgemm"), and the weights are reordered into that once. Bias and
 * GELU (the erf form) run in its epilogue, on accumulators still in registers.
 *
 * bf16. The same tiles. Rows that come as f32 are narrowed into the worker's own block first; the encoder gives halves
 * wherever products alone read them. Sums are f32; oneDNN adds the bias and stores f32 or halves. GELU is ours:
 * oneDNN's exact form computes digits that bf16 does not have. So a GELU's sums are f32 in the worker's block, and
 * become halves on their way into y.
 *
 * int8. Rows become bytes in the worker's block, u8 with a scale and a zero point a row, found from the row itself;
 * weights are s8 with a scale a column. Sums are exact; scales, bias and GELU are applied on their way into y. Before
 * either is rounded it is turned by a Hadamard matrix, 128 values at a time (rotate_f32), which the product does not see:
 * (H x) . (H w) = 128 x . w. That spreads a row's few large values over 128: the logits' error falls by a third
 * (docs/PERFORMANCE.md), for 5 % of the time, and nothing needs calibrating. Tried and
 * left out: the means of a norm's output (its beta) taken off its rows before (no better), a scale for each block of
 * 128 inputs in place of the rotation (its sums need an accumulation of our own).
 *
 * A chain of two int8 products (a feed-forward) makes bytes of the first's results at once, a few rows at a time in
 * the first-level cache: they exist neither as f32 nor as halves.
 *
 * Without VNNI (AVX2, Arm) the product of bytes is our own (narrow.h's product_u8s8), over panels too: the same sums.
 *
 * There is no slow stand-in for either: a processor without the instructions is told so.
 *
 * Row tiles. A oneDNN primitive has its number of rows built in, so rows are cut into tiles of 256, 128, 64, 32, 16
 * and 8, largest first, each with its own primitive over the same packed weights; the last tile
 * reads up to 7 rows beyond the end. Measured on Zen 4, Gop/s a core, K 384, N 1536, for 8 | 64 | 256 rows: f32 104 | 108 |
 * 107, bf16 218 | 222 | 223, int8 419 | 444 | 441: small layers start at 64, so that a block stays in the second-level
 * cache. K 1024, N 4096: f32 82 | 107 | 112, bf16 189 | 207 | 222, int8 426 | 436 | 437: large weights come from farther away
 * in every tile, so those start at 256.
 * Rejected: run-time row counts (DNNL_RUNTIME_DIM_VAL), for which 2.6 falls back to a slower
 * implementation; one primitive a row count, which would compile code in the middle of a call.
 *
 * Same bits in any place. All tiles reduce over K in the same order (the K blocking is chosen from K and the
 * weights' format, which all tiles share), so a row's bits do not depend on the tile. oneDNN does
 * not promise this; it holds for brgemm alone, which is why nothing else of oneDNN's is used, and
 * test_gemm.c asks for it.
 *
 * Threads. Debian's oneDNN runs OpenMP teams. Ours is one task a worker with no barriers between, so each
 * worker sets its team to 1 before it creates or runs primitives (a primitive's blocking depends
 * on the team's size at creation). The OpenMP runtime is found where oneDNN has already loaded it; a
 * oneDNN built without OpenMP needs none of this.
 *
 * Allocation: dnnl_primitive_execute builds a map of its arguments, a few hundred bytes freed before it
 * returns, once a tile. Nothing of ours is allocated, nothing is kept. */
#include "kernels/gemm.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/memory.h"
#include "kernels/kernels.h"
#include "kernels/narrow.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* 255 x 127 times as many inputs still are an int32. */
enum { NTILES = 6, MOST_ROWS = 256, MOST_INT8_INPUTS = 32768 };
static const size_t tile_rows[NTILES] = {MOST_ROWS, 128, 64, 32, 16, 8};
/* Weights from here on (2 MB in bf16) come from the third level or from memory in every tile: the larger the better. */
enum { LARGE_WEIGHTS = 1 << 20, FIRST_TILE_SMALL = 2 };

/* What goes into a product. */
static const dnnl_data_type_t source_of[] = {[WN_F32] = dnnl_f32, [WN_BF16] = dnnl_bf16, [WN_INT8] = dnnl_u8};
static const dnnl_data_type_t weights_of[] = {[WN_F32] = dnnl_f32, [WN_BF16] = dnnl_bf16, [WN_INT8] = dnnl_s8};

struct wn_linear {
    size_t in, out;
    wn_linear_kind kind;
    const wn_narrow *narrow;   /* set below f32 */
    bool panels;           /* weights are in panels of our own, and oneDNN has no part in this */
    const wn_kernels *kernels; /* f32 in panels: whose */
    void *weights;         /* packed as the tiles want it, or panels */
    float *bias;           /* [out] */
    float *scales;         /* int8: [out], of a column's weights */
    float *totals;         /* int8: [out], that scale times the sum of the column's bytes */
    size_t bytes, scratch; /* packed bytes; scratchpad of the neediest tile */
    dnnl_memory_t weights_memory, bias_memory;
    dnnl_primitive_t tiles[NTILES]; /* from `first` on */
    int first;
};

/* Row blocks of one width and type, as source and as destination of each tile. */
typedef struct width_memory {
    size_t width;
    dnnl_data_type_t type;
    dnnl_memory_t source[NTILES], destination[NTILES];
} width_memory;

struct wn_gemm {
    dnnl_stream_t stream;
    width_memory *widths;
    size_t nwidths;
    void *scratch;
    dnnl_memory_t scratch_memory;
    /* Blocks of the neediest tile, NULL when all linears are f32. */
    void *rows; /* [tile, in] of 2 bytes: narrowed rows */
    void *sums; /* [tile, out] of f32 or s32: results that are finished behind the product */
    float *rotated; /* [WN_NARROW_ROWS, widest input]: rows on their way to bytes */
    float *values;  /* the same size: rows between two products in a chain */
    int32_t *product; /* [tile, WN_PRODUCT_SCRATCH(in)]: of a product of bytes of our own */
    float scales[MOST_ROWS], offsets[MOST_ROWS];
};

/* Whether the product's own results go into the worker's block, and are finished from there: in int8 all, in bf16
 * what becomes halves behind a GELU. */
static bool finished_behind(const wn_linear *linear) {
    bool gelu = linear->kind.epilogue == WN_EPILOGUE_BIAS_GELU;
    return linear->kind.precision == WN_INT8 || (gelu && linear->kind.result == WN_ROWS_BF16);
}
/* What the product itself writes. */
static dnnl_data_type_t destination_of(const wn_linear *linear) {
    if (linear->kind.precision == WN_INT8) return dnnl_s32;
    return linear->kind.result == WN_ROWS_BF16 && !finished_behind(linear) ? dnnl_bf16 : dnnl_f32;
}

/* One engine a process, never destroyed: oneDNN wants stream and primitive to share it by address. */
static dnnl_engine_t engine;
static dnnl_status_t engine_status;
static void engine_make(void) { engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0); }

static wn_status engine_get(wn_error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, engine_make);
    if (engine_status != dnnl_success)
        return wn_fail(err, WN_ERR_INTERNAL, "oneDNN: no CPU engine (status %d)", (int)engine_status);
    return WN_OK;
}

static wn_status failed(wn_error *err, dnnl_status_t status, const char *what, size_t in, size_t out) {
    if (status == dnnl_out_of_memory)
        return wn_fail(err, WN_ERR_MEMORY, "oneDNN: out of memory (%s)", what);
    return wn_fail(err, WN_ERR_INTERNAL, "oneDNN: %s failed for a %zu x %zu layer (status %d)", what, in,
                   out, (int)status);
}

#define DNNL_TRY(expr, what)                                          \
    do {                                                              \
        dnnl_status_t dnnl_st_ = (expr);                              \
        if (dnnl_st_ != dnnl_success) {                               \
            st = failed(err, dnnl_st_, what, linear->in, linear->out); \
            goto fail;                                                \
        }                                                             \
    } while (0)

size_t wn_gemm_padded_rows(size_t rows) {
    size_t least = tile_rows[NTILES - 1];
    return rows > SIZE_MAX - least ? SIZE_MAX : (rows + least - 1) / least * least;
}

size_t wn_gemm_waste(size_t rows) {
    size_t padded = wn_gemm_padded_rows(rows), small = 0;
    for (int i = FIRST_TILE_SMALL + 1; i < NTILES; i++) small += padded / tile_rows[i] % 2;
    return padded - rows + 3 * small;
}

void wn_gemm_thread_start(void) {
    void (*set)(int) = NULL;
    static const char *const runtimes[] = {"libgomp.so.1", "libomp.so.5", "libomp.so", "libiomp5.so"};
    for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++) {
        /* NOLOAD: only a runtime that oneDNN itself has brought in */
        void *lib = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
        if (!lib) continue;
        void *symbol = dlsym(lib, "omp_set_num_threads");
        memcpy(&set, &symbol, sizeof set);
        if (set) set(1);
        dlclose(lib); /* gives back our count only */
    }
}

static wn_status describe(const wn_linear *linear, size_t rows, const dnnl_memory_desc_t *weights,
                          dnnl_matmul_desc_t *out, wn_error *err) {
    wn_status st = WN_OK;
    dnnl_memory_desc_t source, bias, destination;
    dnnl_dims_t in_dims = {(dnnl_dim_t)rows, (dnnl_dim_t)linear->in};
    dnnl_dims_t out_dims = {(dnnl_dim_t)rows, (dnnl_dim_t)linear->out};
    dnnl_dims_t bias_dims = {1, (dnnl_dim_t)linear->out};
    dnnl_data_type_t from = source_of[linear->kind.precision], to = destination_of(linear);
    bool biased = linear->kind.precision != WN_INT8;
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&source, 2, in_dims, from, dnnl_ab), "descriptor");
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&bias, 2, bias_dims, dnnl_f32, dnnl_ab), "descriptor");
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&destination, 2, out_dims, to, dnnl_ab), "descriptor");
    DNNL_TRY(dnnl_matmul_desc_init(out, &source, weights, biased ? &bias : NULL, &destination), "descriptor");
fail:
    return st;
}

static bool is_brgemm(const_dnnl_primitive_desc_t pd) {
    const char *name = NULL;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success && name &&
           !strncmp(name, "brg", 3);
}

/* The primitive for one tile. weights: `any` for the first, then the format that one chose. */
static wn_status tile_create(wn_linear *linear, int tile, dnnl_memory_desc_t *weights,
                             dnnl_primitive_attr_t attr, wn_error *err) {
    wn_status st;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_matmul_desc_t desc;
    WN_TRY(describe(linear, tile_rows[tile], weights, &desc, err));
    DNNL_TRY(dnnl_primitive_desc_create(&pd, &desc, attr, engine, NULL), "matmul");
    if (!is_brgemm(pd)) {
        st = WN_ERR_UNSUPPORTED; /* the caller takes our own kernel */
        goto fail;
    }
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (bytes > linear->scratch) linear->scratch = bytes;
    *weights = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    DNNL_TRY(dnnl_primitive_create(&linear->tiles[tile], pd), "matmul");
    st = WN_OK;
fail:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

static wn_status tiles_create(wn_linear *linear, dnnl_memory_desc_t *weights, wn_error *err) {
    wn_status st;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    DNNL_TRY(dnnl_primitive_attr_create(&attr), "attributes");
    DNNL_TRY(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "attributes");
    if (linear->kind.epilogue == WN_EPILOGUE_BIAS_GELU && linear->kind.precision == WN_F32) {
        DNNL_TRY(dnnl_post_ops_create(&ops), "post-operations");
        DNNL_TRY(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_gelu_erf, 0, 0), "post-operations");
        DNNL_TRY(dnnl_primitive_attr_set_post_ops(attr, ops), "attributes");
    }
    for (int i = linear->first; i < NTILES; i++) WN_TRY_GOTO(tile_create(linear, i, weights, attr, err));
    st = WN_OK;
fail:
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return st;
}

/* Packs weight [out, in] of `type` into the format the tiles chose. */
static wn_status pack(wn_linear *linear, const void *weight, dnnl_data_type_t type, const dnnl_memory_desc_t *packed,
                      wn_error *err) {
    wn_status st;
    dnnl_memory_t plain = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {(dnnl_dim_t)linear->in, (dnnl_dim_t)linear->out};
    linear->bytes = dnnl_memory_desc_get_size(packed);
    linear->weights = wn_malloc_aligned(linear->bytes);
    if (!linear->weights) return wn_fail_memory(err, linear->bytes);
    /* [out, in] by rows is [in, out] by columns: tag ba. oneDNN only reads from it. */
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&md, 2, dims, type, dnnl_ba), "descriptor");
    DNNL_TRY(dnnl_memory_create(&plain, &md, engine, (void *)(uintptr_t)weight), "memory");
    DNNL_TRY(dnnl_memory_create(&linear->weights_memory, packed, engine, linear->weights), "memory");
    DNNL_TRY(dnnl_reorder_primitive_desc_create(&pd, &md, engine, packed, engine, NULL), "reorder");
    DNNL_TRY(dnnl_primitive_create(&reorder, pd), "reorder");
    DNNL_TRY(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, linear->weights_memory}};
    DNNL_TRY(dnnl_primitive_execute(reorder, stream, 2, args), "reorder");
    DNNL_TRY(dnnl_stream_wait(stream), "reorder");
    st = WN_OK;
fail:
    if (stream) dnnl_stream_destroy(stream);
    if (reorder) dnnl_primitive_destroy(reorder);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (plain) dnnl_memory_destroy(plain);
    return st;
}

/* One column's weights as bytes: round(w / scale), scale the largest magnitude's 127th. Comparisons and a sum that
 * rounds to nearest even stand for libm's functions, which no compiler turns into vectors: half of a large model's time to
 * load went there. NaN becomes some byte. */
static void column_quantize(const float *w, size_t n, int8_t *bytes, float *scale, float *total) {
    const float rounds = 0x1.8p23f; /* the unit of a float's last place there is 1 */
    float most = 0;
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    float inverse = most > FLT_MIN * 127 ? 127 / most : 0;
    *scale = inverse > 0 ? most / 127 : 0;
    for (size_t i = 0; i < n; i++) {
        float value = w[i] * inverse;
        value = value > -127 ? value : -127;
        value = value < 127 ? value : 127;
        bytes[i] = (int8_t)(value + rounds - rounds);
        sum += bytes[i];
    }
    *total = *scale * (float)sum;
}

static wn_status byte_panels(wn_linear *linear, const int8_t *bytes, wn_error *err) {
    const wn_byte_panels *how = &linear->narrow->panels;
    linear->bytes = wn_byte_panels_size(how, linear->in, linear->out);
    linear->weights = wn_malloc_aligned(linear->bytes);
    if (!linear->weights) return wn_fail_memory(err, linear->bytes);
    wn_byte_panels_pack(how, bytes, linear->in, linear->out, linear->weights);
    return WN_OK;
}

/* packed: oneDNN's format, or NULL for panels of our own. */
static wn_status pack_int8(wn_linear *linear, const float *weight, const dnnl_memory_desc_t *packed, wn_error *err) {
    size_t in = linear->in, out = linear->out, full = in / WN_ROTATION * WN_ROTATION;
    wn_status st = WN_OK;
    int8_t *bytes = wn_malloc_aligned(in * out);
    float *row = wn_malloc_aligned(in * sizeof *row);
    linear->scales = wn_malloc_aligned(out * sizeof *linear->scales);
    linear->totals = wn_malloc_aligned(out * sizeof *linear->totals);
    if (!bytes || !row || !linear->scales || !linear->totals) {
        st = wn_fail_memory(err, in * out);
        goto fail;
    }
    for (size_t c = 0; c < out; c++) {
        linear->narrow->rotate_f32(weight + c * in, row, in);
        for (size_t i = 0; i < full; i++) row[i] /= WN_ROTATION; /* the rows' rotation has the square's factor */
        column_quantize(row, in, bytes + c * in, &linear->scales[c], &linear->totals[c]);
    }
    if (packed) WN_TRY_GOTO(pack(linear, bytes, dnnl_s8, packed, err));
    else WN_TRY_GOTO(byte_panels(linear, bytes, err));
    linear->bytes += out * (sizeof *linear->scales + sizeof *linear->totals);
fail:
    wn_free(row);
    wn_free(bytes);
    return st;
}

static wn_status bias_create(wn_linear *linear, const float *bias, wn_error *err) {
    wn_status st = WN_OK;
    size_t bytes = linear->out * sizeof *bias;
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {1, (dnnl_dim_t)linear->out};
    linear->bias = wn_malloc_aligned(bytes);
    if (!linear->bias) return wn_fail_memory(err, bytes);
    if (bias) memcpy(linear->bias, bias, bytes);
    else memset(linear->bias, 0, bytes);
    linear->bytes += bytes;
    if (linear->panels) return WN_OK;
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&md, 2, dims, dnnl_f32, dnnl_ab), "descriptor");
    DNNL_TRY(dnnl_memory_create(&linear->bias_memory, &md, engine, linear->bias), "memory");
fail:
    return st;
}

/* Through oneDNN. WN_ERR_UNSUPPORTED, without a message, where it has nothing that we want. */
static wn_status onednn_create(wn_linear *linear, const float *weight, wn_error *err) {
    wn_status st;
    dnnl_memory_desc_t weights;
    dnnl_dims_t dims = {(dnnl_dim_t)linear->in, (dnnl_dim_t)linear->out};
    if (!(wn_cpu_flags() & (linear->kind.precision == WN_INT8 ? WN_CPU_AVX512_VNNI : WN_CPU_AVX512))) return WN_ERR_UNSUPPORTED;
    WN_TRY(engine_get(err));
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&weights, 2, dims, weights_of[linear->kind.precision],
                                          dnnl_format_tag_any), "descriptor");
    WN_TRY(tiles_create(linear, &weights, err));
    if (linear->kind.precision == WN_INT8) return pack_int8(linear, weight, &weights, err);
    return pack(linear, weight, dnnl_f32, &weights, err);
fail:
    return st;
}

static wn_status panels_create(wn_linear *linear, const float *weight, wn_error *err) {
    linear->panels = true;
    if (linear->kind.precision == WN_INT8) return pack_int8(linear, weight, NULL, err);
    linear->kernels = wn_kernels_get();
    size_t floats = wn_panels_size(linear->kernels, linear->in, linear->out);
    if (wn_mul_overflows(floats, sizeof(float), &linear->bytes)) return wn_fail_memory(err, SIZE_MAX);
    linear->weights = wn_malloc_aligned(linear->bytes);
    if (!linear->weights) return wn_fail_memory(err, linear->bytes);
    wn_panels_pack(linear->kernels, weight, linear->in, linear->out, linear->weights);
    return WN_OK;
}

wn_status wn_precision_check(wn_precision precision, wn_error *err) {
    uint32_t flags = wn_cpu_flags();
    switch (precision) {
    case WN_F32: return WN_OK;
    case WN_BF16:
        if (flags & WN_CPU_AVX512_BF16) return WN_OK;
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "this processor has no bf16 products (AVX512_BF16); choose precision f32 or auto");
    case WN_INT8:
        if (flags & (WN_CPU_AVX2 | WN_CPU_DOTPROD)) return WN_OK;
        return wn_fail(err, WN_ERR_UNSUPPORTED, "this processor has no int8 products (AVX2 or AVX512_VNNI; on Arm the dot "
                                                "product, asimddp); choose precision f32 or auto");
    case WN_AUTO: break;
    }
    return wn_fail(err, WN_ERR_ARGUMENT, "precision %d is none that a layer can have", (int)precision);
}

/* Small layers: as many rows as the second-level cache bears; large ones whose results wait in the worker's block: half
 * of the most. */
static int first_tile(const wn_linear *linear) {
    if (linear->in * linear->out < LARGE_WEIGHTS) return FIRST_TILE_SMALL;
    return finished_behind(linear) ? 1 : 0;
}

wn_status wn_linear_create(const float *weight, const float *bias, size_t in_features,
                           size_t out_features, wn_linear_kind kind, wn_linear **out, wn_error *err) {
    WN_TRY(wn_precision_check(kind.precision, err));
    if (kind.precision == WN_F32 && kind.result != WN_ROWS_F32)
        return wn_fail(err, WN_ERR_ARGUMENT, "a layer in f32 has results in f32");
    if (!in_features || !out_features || in_features > INT32_MAX || out_features > INT32_MAX)
        return wn_fail(err, WN_ERR_ARGUMENT, "a %zu x %zu layer is out of range", in_features, out_features);
    if (kind.precision == WN_INT8 && in_features > MOST_INT8_INPUTS)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "a layer of %zu inputs is too wide for int8 (at most %d)", in_features,
                       MOST_INT8_INPUTS);
    wn_linear *linear = wn_calloc(1, sizeof *linear);
    if (!linear) return wn_fail_memory(err, sizeof *linear);
    linear->in = in_features;
    linear->out = out_features;
    linear->kind = kind;
    linear->narrow = kind.precision == WN_F32 ? NULL : wn_narrow_get();
    linear->first = first_tile(linear);
    wn_status st = onednn_create(linear, weight, err);
    if (st == WN_ERR_UNSUPPORTED && kind.precision != WN_BF16) st = panels_create(linear, weight, err);
    else if (st == WN_ERR_UNSUPPORTED)
        wn_fail(err, st, "oneDNN has no fast product in this precision here; choose precision f32");
    if (st == WN_OK) st = bias_create(linear, bias, err);
    if (st != WN_OK) {
        wn_linear_free(linear);
        return st;
    }
    *out = linear;
    return WN_OK;
}

void wn_linear_free(wn_linear *linear) {
    if (!linear) return;
    for (int i = 0; i < NTILES; i++)
        if (linear->tiles[i]) dnnl_primitive_destroy(linear->tiles[i]);
    if (linear->weights_memory) dnnl_memory_destroy(linear->weights_memory);
    if (linear->bias_memory) dnnl_memory_destroy(linear->bias_memory);
    wn_free(linear->weights);
    wn_free(linear->bias);
    wn_free(linear->scales);
    wn_free(linear->totals);
    wn_free(linear);
}

size_t wn_linear_in(const wn_linear *linear) { return linear->in; }
size_t wn_linear_out(const wn_linear *linear) { return linear->out; }
size_t wn_linear_tile(const wn_linear *linear) { return tile_rows[linear->first]; }
size_t wn_linear_cut(const wn_linear *linear) { return linear->panels ? 2 : tile_rows[NTILES - 1]; }
size_t wn_linear_bytes(const wn_linear *linear) { return linear->bytes; }

static width_memory *width_find(const wn_gemm *gemm, size_t width, dnnl_data_type_t type) {
    for (size_t i = 0; i < gemm->nwidths; i++)
        if (gemm->widths[i].width == width && gemm->widths[i].type == type) return &gemm->widths[i];
    return NULL;
}

/* Memory objects whose addresses wn_linear_run fills in; there is room for one more width. */
static wn_status width_add(wn_gemm *gemm, const wn_linear *linear, size_t width, dnnl_data_type_t type,
                           wn_error *err) {
    wn_status st = WN_OK;
    if (linear->panels || width_find(gemm, width, type)) return WN_OK;
    width_memory *entry = &gemm->widths[gemm->nwidths++];
    entry->width = width;
    entry->type = type;
    for (int i = 0; i < NTILES; i++) {
        dnnl_memory_desc_t md;
        dnnl_dims_t dims = {(dnnl_dim_t)tile_rows[i], (dnnl_dim_t)width};
        DNNL_TRY(dnnl_memory_desc_init_by_tag(&md, 2, dims, type, dnnl_ab), "descriptor");
        DNNL_TRY(dnnl_memory_create(&entry->source[i], &md, engine, DNNL_MEMORY_NONE), "memory");
        DNNL_TRY(dnnl_memory_create(&entry->destination[i], &md, engine, DNNL_MEMORY_NONE), "memory");
    }
fail:
    return st;
}

static wn_status scratch_create(wn_gemm *gemm, const wn_linear *linear, size_t bytes, wn_error *err) {
    wn_status st = WN_OK;
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {(dnnl_dim_t)bytes};
    gemm->scratch = wn_malloc_aligned(bytes);
    if (!gemm->scratch) return wn_fail_memory(err, bytes);
    DNNL_TRY(dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_u8, dnnl_a), "descriptor");
    DNNL_TRY(dnnl_memory_create(&gemm->scratch_memory, &md, engine, gemm->scratch), "memory");
fail:
    return st;
}

wn_status wn_gemm_create(const wn_linear *const *linears, size_t n, wn_gemm **out, wn_error *err) {
    wn_status st = WN_OK;
    const wn_linear *linear = NULL; /* the one an error message names */
    size_t bytes = 64, rows = 0, sums = 0, row = 0, product = 0;
    WN_TRY(engine_get(err));
    wn_gemm *gemm = wn_calloc(1, sizeof *gemm);
    if (!gemm) return wn_fail_memory(err, sizeof *gemm);
    /* at most two widths a linear; few are distinct, the array is small */
    gemm->widths = wn_calloc(2 * n + 1, sizeof *gemm->widths);
    if (!gemm->widths) {
        st = wn_fail_memory(err, (2 * n + 1) * sizeof *gemm->widths);
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        if (!linears[i]) continue;
        linear = linears[i];
        WN_TRY_GOTO(width_add(gemm, linear, linear->in, source_of[linear->kind.precision], err));
        WN_TRY_GOTO(width_add(gemm, linear, linear->out, destination_of(linear), err));
        if (linear->scratch > bytes) bytes = linear->scratch;
        size_t tile = wn_linear_tile(linear);
        if (linear->narrow && tile * linear->in > rows) rows = tile * linear->in;
        if (finished_behind(linear) && tile * linear->out > sums) sums = tile * linear->out;
        if (linear->kind.precision == WN_INT8 && linear->in > row) row = linear->in;
        size_t copies = tile * WN_PRODUCT_SCRATCH(linear->in);
        if (linear->kind.precision == WN_INT8 && linear->panels && copies > product) product = copies;
    }
    if (!linear) {
        st = wn_fail(err, WN_ERR_ARGUMENT, "no layer to multiply with");
        goto fail;
    }
    WN_TRY_GOTO(scratch_create(gemm, linear, bytes, err));
    gemm->rows = rows ? wn_malloc_aligned(rows * sizeof(uint16_t)) : NULL;
    gemm->sums = sums ? wn_malloc_aligned(sums * sizeof(float)) : NULL;
    gemm->rotated = row ? wn_malloc_aligned(WN_NARROW_ROWS * row * sizeof *gemm->rotated) : NULL;
    gemm->values = row ? wn_malloc_aligned(WN_NARROW_ROWS * row * sizeof *gemm->values) : NULL;
    gemm->product = product ? wn_malloc_aligned(product * sizeof *gemm->product) : NULL;
    if ((rows && !gemm->rows) || (sums && !gemm->sums) || (row && (!gemm->rotated || !gemm->values)) || (product && !gemm->product)) {
        st = wn_fail_memory(err, rows * sizeof(uint16_t) + sums * sizeof(float));
        goto fail;
    }
    DNNL_TRY(dnnl_stream_create(&gemm->stream, engine, dnnl_stream_default_flags), "stream");
    *out = gemm;
    return WN_OK;
fail:
    wn_gemm_free(gemm);
    return st;
}

void wn_gemm_free(wn_gemm *gemm) {
    if (!gemm) return;
    for (size_t w = 0; w < gemm->nwidths; w++)
        for (int i = 0; i < NTILES; i++) {
            if (gemm->widths[w].source[i]) dnnl_memory_destroy(gemm->widths[w].source[i]);
            if (gemm->widths[w].destination[i]) dnnl_memory_destroy(gemm->widths[w].destination[i]);
        }
    if (gemm->scratch_memory) dnnl_memory_destroy(gemm->scratch_memory);
    if (gemm->stream) dnnl_stream_destroy(gemm->stream);
    wn_free(gemm->scratch);
    wn_free(gemm->rows);
    wn_free(gemm->sums);
    wn_free(gemm->rotated);
    wn_free(gemm->values);
    wn_free(gemm->product);
    wn_free(gemm->widths);
    wn_free(gemm);
}

/* int8: rows as bytes, each by its own range. */
static const void *tile_quantize(const wn_linear *linear, wn_gemm *gemm, const void *x, bool halves, size_t rows,
                                 size_t tile) {
    size_t in = linear->in;
    uint8_t *to = gemm->rows;
    linear->narrow->quantize_u8(x, halves, rows, gemm->rotated, to, in, gemm->scales, gemm->offsets);
    memset(to + rows * in, 0, (tile - rows) * in);
    return to;
}

static wn_int8_columns columns_of(const wn_linear *linear, bool halves) {
    return (wn_int8_columns){.scales = linear->scales, .totals = linear->totals, .bias = linear->bias,
                             .gelu = linear->kind.epilogue == WN_EPILOGUE_BIAS_GELU, .halves = halves};
}

/* What the product left in the worker's block becomes rows of y. */
static void tile_finish(const wn_linear *linear, const wn_gemm *gemm, void *y, size_t rows) {
    const wn_int8_columns columns = columns_of(linear, linear->kind.result == WN_ROWS_BF16);
    if (linear->kind.precision == WN_INT8)
        linear->narrow->finish_int8(gemm->sums, gemm->scales, gemm->offsets, rows, &columns, y, linear->out);
    else linear->narrow->gelu_bf16(gemm->sums, y, rows * linear->out);
}

/* int8: what the product left becomes the next product's bytes, some rows at a time, which never leave the
 * first-level cache as f32. */
static const void *tile_chain(const wn_linear *linear, wn_gemm *gemm, size_t rows, size_t tile) {
    size_t out = linear->out;
    const wn_int8_columns columns = columns_of(linear, false);
    uint8_t *to = gemm->rows;
    for (size_t r = 0; r < rows; r += WN_NARROW_ROWS) {
        size_t n = rows - r < WN_NARROW_ROWS ? rows - r : WN_NARROW_ROWS;
        linear->narrow->finish_int8((const int32_t *)gemm->sums + r * out, gemm->scales + r, gemm->offsets + r, n, &columns,
                                    gemm->values, out);
        linear->narrow->quantize_u8(gemm->values, false, n, gemm->rotated, to + r * out, out, gemm->scales + r,
                                    gemm->offsets + r);
    }
    memset(to + rows * out, 0, (tile - rows) * out);
    return to;
}

/* The tile's rows of x as the product takes them; those narrowed here are filled up to `tile` with zeros. */
static const void *tile_source(const wn_linear *linear, wn_gemm *gemm, const void *x, wn_rows x_rows, size_t row,
                               size_t rows, size_t tile) {
    size_t in = linear->in;
    const float *wide = (const float *)x + row * in;
    const uint16_t *halves = (const uint16_t *)x + row * in;
    uint16_t *to = gemm->rows;
    const void *given = x_rows == WN_ROWS_BF16 ? (const void *)halves : wide;
    if (linear->kind.precision == WN_INT8)
        return tile_quantize(linear, gemm, given, x_rows == WN_ROWS_BF16, rows, tile);
    if (x_rows == WN_ROWS_BF16 || !linear->narrow) return given;
    linear->narrow->f32_to_bf16(wide, to, rows * in);
    memset(to + rows * in, 0, (tile - rows) * in * sizeof *to);
    return to;
}

/* rows: what fills the tile. */
static bool tile_execute(const wn_linear *linear, wn_gemm *gemm, int tile, size_t rows, const void *x, void *y) {
    if (linear->panels) {
        linear->narrow->product_u8s8(x, linear->weights, y, rows, linear->in, linear->out, gemm->product);
        return true;
    }
    dnnl_memory_t source = width_find(gemm, linear->in, source_of[linear->kind.precision])->source[tile];
    dnnl_memory_t destination = width_find(gemm, linear->out, destination_of(linear))->destination[tile];
    if (dnnl_memory_set_data_handle(source, (void *)(uintptr_t)x) || dnnl_memory_set_data_handle(destination, y))
        return false;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, source},
                              {DNNL_ARG_WEIGHTS, linear->weights_memory},
                              {DNNL_ARG_DST, destination},
                              {DNNL_ARG_SCRATCHPAD, gemm->scratch_memory},
                              {DNNL_ARG_BIAS, linear->bias_memory}};
    int n = linear->kind.precision == WN_INT8 ? 4 : 5; /* int8 adds its bias behind */
    return dnnl_primitive_execute(linear->tiles[tile], gemm->stream, n, args) == dnnl_success &&
           dnnl_stream_wait(gemm->stream) == dnnl_success;
}

/* From tile on, the largest that `left` rows fill, or the smallest when none; *n: how many of them it takes. */
static int tile_for(int tile, size_t left, size_t *n) {
    while (tile < NTILES - 1 && tile_rows[tile] > left) tile++;
    *n = left < tile_rows[tile] ? left : tile_rows[tile];
    return tile;
}

bool wn_linear_run(const wn_linear *linear, wn_gemm *gemm, const void *x, wn_rows x_rows, void *y, size_t rows) {
    bool gelu = linear->kind.epilogue == WN_EPILOGUE_BIAS_GELU, behind = finished_behind(linear);
    size_t out = linear->out, cell = linear->kind.result == WN_ROWS_BF16 ? sizeof(uint16_t) : sizeof(float);
    if (linear->panels && linear->kind.precision == WN_F32) {
        linear->kernels->linear_f32(x, linear->weights, linear->bias, gelu, y, rows, linear->in, out);
        return true;
    }
    int tile = linear->first;
    for (size_t done = 0, n; done < rows; done += n) {
        tile = tile_for(tile, rows - done, &n);
        const void *from = tile_source(linear, gemm, x, x_rows, done, n, tile_rows[tile]);
        void *to = (char *)y + done * out * cell;
        if (!tile_execute(linear, gemm, tile, n, from, behind ? gemm->sums : to)) return false;
        if (behind) tile_finish(linear, gemm, to, n);
        else if (gelu && linear->narrow) linear->narrow->gelu_f32(to, n * out);
    }
    return true;
}

bool wn_linear_chain(const wn_linear *first, const wn_linear *second, wn_gemm *gemm, const void *x, wn_rows x_rows,
                     void *between, float *y, size_t rows) {
    if (first->kind.precision != WN_INT8)
        return wn_linear_run(first, gemm, x, x_rows, between, rows) &&
               wn_linear_run(second, gemm, between, first->kind.result, y, rows);
    int tile = first->first > second->first ? first->first : second->first;
    for (size_t done = 0, n; done < rows; done += n) {
        tile = tile_for(tile, rows - done, &n);
        const void *from = tile_source(first, gemm, x, x_rows, done, n, tile_rows[tile]);
        if (!tile_execute(first, gemm, tile, n, from, gemm->sums)) return false;
        from = tile_chain(first, gemm, n, tile_rows[tile]);
        if (!tile_execute(second, gemm, tile, n, from, gemm->sums)) return false;
        tile_finish(second, gemm, y + done * second->out, n);
    }
    return true;
}

static char library_text[96];

static void library_describe(void) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(library_text, sizeof library_text, "oneDNN %d.%d.%d (%.40s)", v->major, v->minor, v->patch, v->hash);
}

const char *wn_gemm_library(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_describe);
    return library_text;
}
