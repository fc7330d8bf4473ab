/* vector_codes.c -- quantising rows and queries, with a bound that is proved and not hoped for.
 *
 * A row x is a c + r: c whole numbers in [-127, 127], a its step, r what is left. A query q is b d + t in the
 * same way. Then, exactly,
 *
 *     <q, x> = a b <d, c>  +  <t, a c>  +  <q, r>
 *
 * and by Cauchy and Schwarz the last two are at most |t| |a c| + |q| |r|, where |a c| <= |x| + |r|. |r| and |t| are
 * measured, not estimated, so the bound holds however the codes were chosen: rounding to the nearest only makes
 * it small. The score that a scan returns is the float result of dot_f32: for any order of n products,
 * fused or not, it is within n u / (1 - n u) of the sum of |q_i x_i| <= |q| |x| (u = 2^-24), plus a rounding for
 * `scale`. All of this, in double and then rounded up, is errors[row] * widen + slack.
 *
 * Rows have length 1, so slack takes |x| <= NORM once for all. A row that is longer (a hostile file) or not a
 * number has an infinite error: no bound excludes it, and the f32 dot decides. The int8 error of a
 * row of 384 dimensions is about 0.007, of a product 0.015.
 *
 * Rejected: the largest |r_i| times the 1-norm of q (ten times as wide); a step a block (one long component
 * spoils 1024 rows). */
#include "index/vector_codes.h"
#include "core/memory.h"
#include "kernels/scan_i8.h"

#include <math.h>
#include <string.h>

enum { CODE_MAX = 127, ZERO = 128 };
static const double NORM = 1.01, UNIT = 0x1p-24, SURELY = 1 + 1e-6;

static float up(double x) { return nextafterf((float)(x * SURELY), INFINITY); }

/* |x|, or NaN / infinity; and the largest component. */
static double measure(const float *x, size_t n, float *largest) {
    double sum = 0;
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(x[i]);
        most = magnitude > most ? magnitude : most;
        sum += (double)x[i] * (double)x[i];
    }
    *largest = most;
    return sqrt(sum);
}

static int quantise(float x, float inverse) {
    float c = x * inverse;
    c += c < 0 ? -0.5f : 0.5f;
    return c > CODE_MAX ? CODE_MAX : c < -CODE_MAX ? -CODE_MAX : (int)c;
}

/* |x - a c| in double: a has 24 bits and c 7, so a * c is exact. */
static double residual(const float *x, const int8_t *c, size_t n, float a) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double r = (double)x[i] - (double)a * c[i];
        sum += r * r;
    }
    return sqrt(sum);
}

bool wn_query_encode(const float *query, size_t dim, float scale, int8_t *code, wn_query_code *out) {
    float largest;
    double length = measure(query, dim, &largest), n = (double)dim + 16;
    if (!(length < 1e18) || !(largest > 1e-18f) || !(scale > 1e-18f) || !(scale < 1e18f)) return false;
    float b = largest / CODE_MAX, inverse = CODE_MAX / largest;
    memset(code, 0, wn_code_quads(dim) * 4);
    for (size_t i = 0; i < dim; i++) code[i] = (int8_t)quantise(query[i], inverse);
    double t = residual(query, code, dim, b) * SURELY, s = (double)scale;
    length *= SURELY;
    double rounding = n * UNIT / (1 - n * UNIT) * length * NORM;  /* of dot_f32 and of scale */
    double ours = 64 * UNIT * (length + t) * NORM;                /* of steps * step * p, and of adding e to it */
    out->step = (float)(s * (double)b);
    out->widen = up(s * (length + t));
    out->slack = up(s * (t * NORM + rounding + ours) + n * 1e-37); /* and of products that underflow */
    return true;
}

/* ---- Rows --------------------------------------------------------------------- */

/* Codes of one row at its place in its group, from `code` [4 quads]. */
static void interleave(const int8_t *code, size_t quads, uint8_t *group, size_t place) {
    for (size_t i = 0; i < quads; i++) {
        uint32_t four;
        memcpy(&four, code + i * 4, sizeof four);
        four ^= 0x80808080u; /* c + 128 */
        memcpy(group + i * 64 + place * 4, &four, sizeof four);
    }
}

static void encode_row(const float *x, size_t dim, int8_t *code, float *step, float *error) {
    float largest;
    double length = measure(x, dim, &largest);
    memset(code, 0, wn_code_quads(dim) * 4);
    *step = 0;
    *error = 0;
    if (length == 0) return;
    if (!(length <= NORM) || !(largest > 1e-18f)) {
        *error = INFINITY;
        return;
    }
    float a = largest / CODE_MAX, inverse = CODE_MAX / largest;
    for (size_t i = 0; i < dim; i++) code[i] = (int8_t)quantise(x[i], inverse);
    *step = a;
    *error = up(residual(x, code, dim, a));
}

static size_t padded(uint32_t count) {
    return ((size_t)count + WN_SCAN_GROUP - 1) / WN_SCAN_GROUP * WN_SCAN_GROUP;
}

/* Bytes of a block in the slab of codes: codes, steps, errors; a multiple of 64. */
static size_t code_bytes(const wn_vectors *v, const wn_vector_block *block) {
    size_t n = padded(block->count);
    return n * (wn_code_quads(v->dim) * 4 + 2 * sizeof(float));
}

typedef struct encoding {
    wn_vectors *vectors;
    wn_vector_block *blocks; /* copies with codes, steps, errors set; only those with code_slab are ours */
    int8_t *scratch;         /* [workers][4 quads] */
} encoding;

static void encode_block(void *ctx, size_t task, int worker) {
    const encoding *e = ctx;
    const wn_vector_block *block = &e->blocks[task];
    if (e->vectors->blocks[task].codes) return;
    size_t dim = e->vectors->dim, quads = wn_code_quads(dim), n = padded(block->count);
    uint8_t *codes = (uint8_t *)(uintptr_t)block->codes;
    float *steps = (float *)(uintptr_t)block->steps, *errors = (float *)(uintptr_t)block->errors;
    int8_t *code = e->scratch + (size_t)worker * quads * 4;
    for (size_t r = 0; r < n; r++) {
        if (r < block->count) {
            encode_row(block->rows + r * dim, dim, code, &steps[r], &errors[r]);
        } else {
            memset(code, 0, quads * 4);
            steps[r] = errors[r] = 0;
        }
        interleave(code, quads, codes + r / WN_SCAN_GROUP * quads * 64, r % WN_SCAN_GROUP);
    }
}

wn_status wn_vectors_encode(wn_vectors *v, wn_pool *pool, wn_error *err) {
    size_t bytes = 0, workers = pool ? (size_t)wn_pool_size(pool) : 1;
    for (size_t i = 0; i < v->nblocks; i++)
        if (!v->blocks[i].codes) bytes += code_bytes(v, &v->blocks[i]); /* below what its rows take */
    if (v->coded || !bytes) {
        v->coded = true;
        return WN_OK;
    }
    encoding e = {.vectors = v, .blocks = wn_malloc(v->nblocks * sizeof *e.blocks),
                  .scratch = wn_malloc(workers * wn_code_quads(v->dim) * 4)};
    wn_slab *slab = e.blocks && e.scratch ? wn_slab_create(bytes) : NULL;
    if (!slab) {
        wn_free(e.blocks);
        wn_free(e.scratch);
        return wn_fail_memory(err, bytes);
    }
    memcpy(e.blocks, v->blocks, v->nblocks * sizeof *e.blocks);
    uint8_t *at = wn_slab_memory(slab);
    for (size_t i = 0; i < v->nblocks; i++) {
        wn_vector_block *block = &e.blocks[i];
        if (block->codes) continue;
        size_t n = padded(block->count), begin = n * wn_code_quads(v->dim) * 4;
        block->codes = at;
        block->steps = (float *)(void *)(at + begin);
        block->errors = block->steps + n;
        block->code_slab = slab;
        wn_slab_use(slab);
        at += code_bytes(v, block);
    }
    if (pool) wn_pool_run(pool, v->nblocks, encode_block, &e);
    else
        for (size_t i = 0; i < v->nblocks; i++) encode_block(&e, i, 0);
    memcpy(v->blocks, e.blocks, v->nblocks * sizeof *e.blocks);
    v->coded = true;
    wn_free(e.blocks);
    wn_free(e.scratch);
    return WN_OK;
}
