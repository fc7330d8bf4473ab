/* test_vector_scan.c -- the scan over codes against the plain scan, bit for bit: random rows, equal rows, rows
 * in the worst order, rows and queries that are no numbers; the bound itself; what a refresh reads. */
#include "fake_index.h"

#include "core/cpu.h"
#include "core/memory.h"
#include "core/threadpool.h"
#include "index/index_handle.h"
#include "index/top_k.h"
#include "index/vector_codes.h"
#include "index/vector_scan.h"
#include "kernels/kernels.h"
#include "kernels/scan_i8.h"
#include "test_tier.h"
#include <float.h>

static uint64_t state = 88172645463325252ull;
static float uniform(float lo, float hi) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return lo + (hi - lo) * (float)(state >> 40) * 0x1p-24f;
}

static void normalise(float *x, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < dim; i++) x[i] = sum > 0 ? (float)((double)x[i] / sqrt(sum)) : x[i];
}

/* Vectors as a load leaves them, in blocks of odd sizes; ids are not in the order of rows. */
static wn_vectors make_vectors(size_t count, size_t dim) {
    wn_vectors v = {.dim = dim, .count = count, .blocks = wn_calloc(count, sizeof *v.blocks),
                    .ids = wn_malloc(count * sizeof *v.ids)};
    wn_slab *slab = wn_slab_create(count * dim * sizeof(float));
    assert_true(v.blocks && v.ids && slab);
    float *rows = wn_slab_memory(slab);
    for (size_t begin = 0; begin < count;) {
        size_t n = 1 + (v.nblocks * 389 + 700) % 1024;
        if (n > count - begin) n = count - begin;
        v.blocks[v.nblocks++] = (wn_vector_block){.number = (int64_t)v.nblocks + 1, .begin = begin,
                                                  .count = (uint32_t)n, .rows = rows + begin * dim, .slab = slab};
        wn_slab_use(slab);
        begin += n;
    }
    for (size_t i = 0; i < count; i++) v.ids[i] = (int64_t)(i * 7919 % count) + 1;
    return v;
}

static float *row_of(wn_vectors *v, size_t row) { return (float *)(uintptr_t)wn_vectors_row(v, row); }

static void fill(wn_vectors *v) {
    for (size_t r = 0; r < v->count; r++) {
        float *x = row_of(v, r);
        for (size_t i = 0; i < v->dim; i++) x[i] = uniform(-1, 1) + (r % 3 ? 0 : 0.5f);
        normalise(x, v->dim);
    }
}

/* The answer by definition. */
static size_t by_definition(const wn_vectors *v, const wn_scan_request *r, size_t q, wn_hit *hits) {
    wn_top_k best = {.hits = hits, .k = r->k};
    for (size_t row = 0; row < v->count; row++)
        if (!r->mask || r->mask[row / 64] >> (row % 64) & 1)
            wn_top_k_push(&best, v->ids[row], r->scales[q] * wn_kernels_get()->dot_f32(r->queries + q * v->dim,
                                                                 wn_vectors_row(v, row), v->dim));
    wn_top_k_sort(&best);
    return best.count;
}

static wn_scan_stats total;

/* Both ways, at every tier, with and without a pool, against the definition. */
static void compare(wn_vectors *v, wn_scan_request request, wn_pool *pool) {
    size_t nq = request.nq, k = request.k;
    static const uint32_t masks[] = {UINT32_MAX, WN_CPU_AVX2 | WN_CPU_NEON, 0};
    wn_hit *want = wn_malloc(k * sizeof *want), *got = wn_malloc(nq * k * sizeof *got);
    size_t *counts = wn_malloc(nq * sizeof *counts);
    assert_true(want && got && counts);
    for (size_t m = 0; m < (wn_test_emulated() ? 1 : 3); m++) {
        wn_cpu_set_mask(masks[m]);
        for (int way = 0; way < 4; way++) {
            bool coded = v->coded;
            wn_scan_stats stats = {0};
            wn_error err;
            request.pool = way & 1 ? pool : NULL;
            v->coded = coded && way & 2;
            assert_ok(wn_vectors_search(v, &request, got, counts, &stats, &err), &err);
            v->coded = coded;
            total.coded += stats.coded, total.rescored += stats.rescored, total.fallen += stats.fallen;
            for (size_t q = 0; q < nq; q++) {
                assert_int_equal(counts[q], by_definition(v, &request, q, want));
                for (size_t i = 0; i < counts[q]; i++) {
                    assert_int_equal(got[q * k + i].passage, want[i].passage);
                    assert_memory_equal(&got[q * k + i].score, &want[i].score, sizeof(float));
                }
            }
        }
        wn_cpu_set_mask(UINT32_MAX);
    }
    wn_free(want), wn_free(got), wn_free(counts);
}

static wn_pool *make_pool(int threads) {
    wn_pool *pool = NULL;
    wn_error err;
    assert_ok(wn_pool_create(threads, NULL, &pool, &err), &err);
    return pool;
}

static void encode(wn_vectors *v, wn_pool *pool) {
    wn_error err;
    assert_ok(wn_vectors_encode(v, pool, &err), &err);
    assert_true(v->coded);
}

enum { MOST_QUERIES = 40 };
static void random_queries(const wn_vectors *v, float *queries, float *scales) {
    for (size_t q = 0; q < MOST_QUERIES; q++) {
        for (size_t i = 0; i < v->dim; i++) queries[q * v->dim + i] = uniform(-1, 1) + (q % 2 ? 0.3f : 0);
        scales[q] = q % 4 == 3 ? uniform(0.1f, 3) : 1;
        if (q % 4 != 3) normalise(queries + q * v->dim, v->dim);
    }
}

static void codes_never_change_an_answer(void **unused) {
    static const size_t dims[] = {1, 3, 24, 37, 384}, ks[] = {1, 2, 10, 100, 1000};
    size_t cases = 0, rows = wn_test_emulated() ? 1500 : wn_test_quick() ? 3000 : 9000;
    wn_pool *pool = make_pool(3);
    total = (wn_scan_stats){0};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        wn_vectors v = make_vectors(rows + d, dims[d]);
        fill(&v);
        encode(&v, d % 2 ? pool : NULL);
        float *queries = wn_malloc(MOST_QUERIES * v.dim * sizeof *queries), scales[MOST_QUERIES];
        uint64_t *mask = wn_malloc((v.count + 63) / 64 * 8);
        assert_true(queries && mask);
        random_queries(&v, queries, scales);
        for (size_t i = 0; i < 10; i++, cases++) {
            wn_scan_request request = {.queries = queries, .scales = scales, .k = ks[i % 5],
                                       .nq = i == 0 ? 1 : i == 1 ? MOST_QUERIES : 1 + (i * 5 + d) % 8};
            if (i % 3 == 2) {
                memset(mask, 0, (v.count + 63) / 64 * 8);
                for (size_t r = 0; r < v.count; r++) {
                    bool pass = i == 8 ? r % 50 == 0 : uniform(0, 1) < 0.5f;
                    mask[r / 64] |= (uint64_t)pass << (r % 64);
                    request.passed += pass;
                }
                request.mask = mask;
            }
            compare(&v, request, pool);
        }
        wn_free(queries), wn_free(mask);
        wn_vectors_release(&v);
    }
    wn_pool_free(pool);
    print_message("%zu cases: %zu queries over codes, %.1f rows rescored each, %zu fell back\n", cases, total.coded,
                  (double)total.rescored / (double)total.coded, total.fallen);
    assert_true(total.coded > 0);
}

/* Of 384 dimensions the codes must be of use: few rows are asked again. */
static void codes_exclude_nearly_all_rows(void **unused) {
    if (wn_test_emulated()) skip();
    wn_vectors v = make_vectors(20000, 384);
    fill(&v);
    encode(&v, NULL);
    float *queries = wn_malloc(MOST_QUERIES * v.dim * sizeof *queries), scales[MOST_QUERIES];
    random_queries(&v, queries, scales);
    total = (wn_scan_stats){0};
    wn_scan_request request = {.queries = queries, .scales = scales, .k = 10, .nq = 4};
    compare(&v, request, NULL);
    print_message("20000 rows, k = 10: %.1f rescored a query\n", (double)total.rescored / (double)total.coded);
    assert_int_equal(total.fallen, 0);
    assert_true(total.rescored < total.coded * 400);
    wn_free(queries);
    wn_vectors_release(&v);
}

/* Scores that differ by less than codes can tell, in groups of equal rows, across the k-th place. */
static void equal_and_nearly_equal_rows_keep_their_order(void **unused) {
    wn_pool *pool = make_pool(2);
    float scale = 1, query[24];
    total = (wn_scan_stats){0};
    for (size_t distinct = 1; distinct <= 1000; distinct *= 10) {
        wn_vectors v = make_vectors(10000, 24);
        for (size_t r = 0; r < v.count; r++) {
            float *x = row_of(&v, r);
            for (size_t i = 0; i < v.dim; i++) x[i] = 0.2f;
            x[0] += (float)(r % distinct) * 1e-6f;
        }
        encode(&v, NULL);
        for (size_t i = 0; i < v.dim; i++) query[i] = uniform(0.1f, 0.3f);
        for (size_t k = 1; k <= 1000; k = k * 3 + 1) {
            wn_scan_request request = {.queries = query, .scales = &scale, .nq = 1, .k = k};
            compare(&v, request, pool);
        }
        wn_vectors_release(&v);
    }
    print_message("%zu of %zu queries fell back to f32\n", total.fallen, total.coded);
    assert_true(total.fallen > 0); /* 10000 equal rows are more than a list holds */
    wn_pool_free(pool);
}

/* Each row better than all before it: every row is a candidate when it is met. */
static void ascending_rows_overflow_no_list(void **unused) {
    wn_vectors v = make_vectors(10000, 24);
    float query[24] = {1}, scale = 1;
    for (size_t r = 0; r < v.count; r++) {
        float *x = row_of(&v, r), c = (float)r / (float)v.count;
        memset(x, 0, v.dim * sizeof *x);
        x[0] = c;
        x[1 + r % 23] = sqrtf(1 - c * c);
    }
    encode(&v, NULL);
    total = (wn_scan_stats){0};
    for (size_t k = 1; k <= 100; k *= 10) {
        wn_scan_request request = {.queries = query, .scales = &scale, .nq = 1, .k = k};
        compare(&v, request, NULL);
    }
    assert_int_equal(total.fallen, 0);
    wn_vectors_release(&v);
}

static void hostile_rows_and_queries_change_nothing(void **unused) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 1e-30f, 1e-42f, 0, FLT_MAX, 3};
    enum { nodd = sizeof odd / sizeof *odd, dim = 37 };
    wn_vectors v = make_vectors(3000, dim);
    fill(&v);
    for (size_t r = 0; r < v.count; r += 97) {
        float *x = row_of(&v, r);
        if (r % 2) x[r % dim] = odd[r / 97 % nodd];
        else
            for (size_t i = 0; i < dim; i++) x[i] = i % 2 ? odd[r / 97 % nodd] : 0;
    }
    encode(&v, NULL);
    float queries[nodd * 2][dim], scales[nodd * 2];
    for (size_t q = 0; q < nodd * 2; q++) {
        for (size_t i = 0; i < dim; i++) queries[q][i] = q % 2 ? odd[q / 2] : uniform(-1, 1);
        if (!(q % 2)) queries[q][q] = odd[q / 2];
        scales[q] = q % 5 == 4 ? 1e-25f : q % 5 == 3 ? 1e25f : 1;
    }
    wn_scan_request request = {.queries = queries[0], .scales = scales, .nq = nodd * 2, .k = 10};
    compare(&v, request, NULL);
    request.k = 300;
    compare(&v, request, NULL);
    wn_vectors_release(&v);
}

/* The inequality of vector_codes.h, in double, for rows and queries of every kind. */
static void bound_holds_for_every_row(void **unused) {
    static const size_t dims[] = {1, 2, 5, 24, 384, 1023};
    double tightest = INFINITY, widest = 0;
    size_t pairs = 0, nrows = wn_test_emulated() ? 100 : 800;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        size_t dim = dims[d], quads = wn_code_quads(dim);
        wn_vectors v = make_vectors(nrows, dim);
        fill(&v);
        for (size_t r = 0; r < v.count; r += 3) { /* one long component, or few */
            float *x = row_of(&v, r);
            x[r % dim] = 20;
            normalise(x, dim);
        }
        encode(&v, NULL);
        float *query = wn_malloc(dim * sizeof *query);
        int8_t *code = wn_malloc(quads * 4);
        int32_t products[1024];
        for (size_t q = 0; q < 12; q++) {
            float scale = q % 3 ? 1 : 0.37f;
            wn_query_code c;
            for (size_t i = 0; i < dim; i++) query[i] = q % 2 ? uniform(-1, 1) : (i == q % dim ? 9 : uniform(-.1f, .1f));
            assert_true(wn_query_encode(query, dim, scale, code, &c));
            for (size_t b = 0; b < v.nblocks; b++) {
                const wn_vector_block *block = &v.blocks[b];
                wn_scan_kernels_get()->dot(block->codes, (block->count + 15) / 16, quads, code, 1, products, 1024);
                for (size_t r = 0; r < block->count; r++, pairs++) {
                    double score = (double)(scale * wn_kernels_get()->dot_f32(query, block->rows + r * dim, dim));
                    double about = (double)block->steps[r] * (double)c.step * products[r];
                    double e = (double)block->errors[r] * (double)c.widen + (double)c.slack;
                    assert_true(fabs(about - score) <= e);
                    if (e - fabs(about - score) < tightest * e) tightest = (e - fabs(about - score)) / e;
                    if (e > widest) widest = e;
                }
            }
        }
        wn_free(query), wn_free(code);
        wn_vectors_release(&v);
    }
    print_message("%zu pairs; the nearest to its bound left %.1f %% of it; widest bound %.3g\n", pairs,
                  tightest * 100, widest);
}

static void failed_allocations_are_reported(void **unused) {
    wn_vectors v = make_vectors(2000, 24);
    fill(&v);
    float query[24], scale = 1;
    for (size_t i = 0; i < 24; i++) query[i] = uniform(-1, 1);
    wn_scan_request request = {.queries = query, .scales = &scale, .nq = 1, .k = 5};
    wn_hit hits[5];
    size_t count, failures = 0;
    wn_error err;
    for (int step = 0; step < 2; step++)
        for (uint64_t n = 1;; n++) {
            wn_memory_fail_at(n, false);
            wn_status st = step == 0 ? wn_vectors_encode(&v, NULL, &err)
                                     : wn_vectors_search(&v, &request, hits, &count, NULL, &err);
            wn_memory_fail_at(0, false);
            if (st == WN_OK) break;
            assert_int_equal(st, WN_ERR_MEMORY);
            failures++;
        }
    assert_int_equal(failures, 4 + 6);
    wn_vectors_release(&v);
}

/* ---- Refresh --------------------------------------------------------------------- */

static void assert_same_answers(wn_index *kept, const char *path, const fake_model *model) {
    wn_index *fresh = open_index(path);
    static wn_hit a[4000], b[4000];
    for (int q = 0; q < 3; q++) {
        float query[24];
        char text[16];
        snprintf(text, sizeof text, "question %d", q);
        fake_vector(model, (wn_str){text, strlen(text)}, query);
        size_t na, nb, k = q == 0 ? 4000 : 50;
        wn_error err;
        assert_ok(wn_index_search_dense(kept, query, k, NULL, 0, a, &na, &err), &err);
        assert_ok(wn_index_search_dense(fresh, query, k, NULL, 0, b, &nb, &err), &err);
        assert_int_equal(na, nb);
        for (size_t i = 0; i < na; i++) {
            assert_int_equal(a[i].passage, b[i].passage);
            assert_memory_equal(&a[i].score, &b[i].score, sizeof(float));
            float score;
            assert_ok(wn_index_score_dense(kept, query, &a[i].passage, 1, &score, &err), &err);
            assert_memory_equal(&score, &a[i].score, sizeof(float));
        }
    }
    wn_index_close(fresh);
}

/* Changed, added and removed documents; only blocks that differ are read, and codes of the rest are kept. */
static void refresh_reads_only_blocks_that_changed(void **unused) {
    enum { n = 400 };
    static fake_document documents[n];
    many_documents(documents, n, 600);
    fake_model model = {0};
    char *path = temp_path("refresh.wn");
    wn_error err;
    assert_ok(fake_build(path, documents, n - 2, "many", &model, NULL, NULL, &err), &err);
    wn_index *index = open_index(path);
    assert_same_answers(index, path, &model);
    size_t blocks = index->vectors.nblocks;
    assert_true(blocks >= 3);
    assert_int_equal(index->vectors.read, blocks);
    encode(&index->vectors, NULL);

    assert_ok(fake_build(path, documents, n, "many", &model, NULL, NULL, &err), &err); /* two more */
    assert_same_answers(index, path, &model);
    assert_true(index->vectors.read >= 1 && index->vectors.read <= 2);
    assert_false(index->vectors.coded);
    assert_non_null(index->vectors.blocks[0].codes);
    encode(&index->vectors, NULL);
    assert_same_answers(index, path, &model);

    free((void *)(uintptr_t)documents[5].text);
    documents[5].text = long_text(600, 99999); /* another text in the first block */
    assert_ok(fake_build(path, documents, n, "many", &model, NULL, NULL, &err), &err);
    assert_same_answers(index, path, &model);
    assert_true(index->vectors.read >= 1 && index->vectors.read < blocks);
    assert_non_null(index->vectors.order); /* its new ids are not in the order of rows */

    assert_ok(fake_build(path, documents + 3, n - 3, "many", &model, NULL, NULL, &err), &err); /* three less */
    assert_same_answers(index, path, &model);
    assert_true(index->vectors.read < blocks);
    encode(&index->vectors, NULL);
    assert_same_answers(index, path, &model);

    assert_ok(fake_build(path, documents, 1, "many", &model, NULL, NULL, &err), &err); /* nearly nothing stays */
    assert_same_answers(index, path, &model);
    wn_index_close(index);
    remove_path(path);
    free_documents(documents, n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bound_holds_for_every_row),
        cmocka_unit_test(codes_never_change_an_answer),
        cmocka_unit_test(codes_exclude_nearly_all_rows),
        cmocka_unit_test(equal_and_nearly_equal_rows_keep_their_order),
        cmocka_unit_test(ascending_rows_overflow_no_list),
        cmocka_unit_test(hostile_rows_and_queries_change_nothing),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(refresh_reads_only_blocks_that_changed),
    };
    return cmocka_run_group_tests_name("vector_scan", tests, NULL, NULL);
}
