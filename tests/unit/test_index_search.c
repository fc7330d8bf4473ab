/* test_index_search.c -- dense search, BM25, filters, and memory while searching. */
#include "fake_index.h"

#include <malloc.h>

/* ---- Dense ------------------------------------------------------------------------- */

static int compare_hits(const void *a, const void *b) {
    const wn_hit *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->passage > y->passage) - (x->passage < y->passage);
}

/* More than one block; every k; against sorting all scores in double. */
static void dense_search_equals_sorting_everything(void **state) {
    enum { n = 300 };
    static fake_document documents[n];
    many_documents(documents, n, 600);
    fake_model model = {.dim = 37};
    char *path = temp_path("dense.wn");
    wn_error err;
    assert_ok(fake_build(path, documents, n, NULL, &model, NULL, NULL, &err), &err);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_index_info info;
    assert_int_equal(wn_index_describe(index, &info, NULL), WN_OK);
    size_t total = (size_t)info.passages;
    assert_true(total > 2 * WN_VECTOR_BLOCK);
    float query[37], worst = 0;
    fake_vector(&model, (wn_str){"question", 8}, query);
    wn_hit *all = malloc(total * sizeof *all), *hits = malloc((total + 10) * sizeof *hits);
    for (size_t i = 0; i < total; i++) {
        wn_passage *p = NULL;
        assert_int_equal(wn_index_passage(index, (int64_t)i + 1, &p, NULL), WN_OK);
        float vector[37];
        fake_vector(&model, (wn_str){p->input, p->input_length}, vector);
        double sum = 0;
        for (int j = 0; j < 37; j++) sum += (double)vector[j] * query[j];
        int64_t id = p->id;
        all[i].passage = id;
        assert_int_equal(wn_index_score_dense(index, query, &id, 1, &all[i].score, NULL), WN_OK);
        worst = fmaxf(worst, fabsf(all[i].score - (float)sum));
        wn_passage_free(p);
    }
    print_message("%zu cosines, largest difference to double %g\n", total, (double)worst);
    assert_true(worst < 1e-6f);
    qsort(all, total, sizeof *all, compare_hits);
    static const size_t ks[] = {1, 2, 3, 50, 1023, 0};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        size_t k = ks[i] ? ks[i] : total + 10, count = 0, expected = k < total ? k : total;
        assert_ok(wn_index_search_dense(index, query, k, NULL, 0, hits, &count, &err), &err);
        assert_int_equal(count, expected);
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(hits[j].passage, all[j].passage);
            assert_memory_equal(&hits[j].score, &all[j].score, sizeof(float));
        }
    }
    free(all);
    free(hits);
    wn_index_close(index);
    remove_path(path);
    free_documents(documents, n);
}

static void equal_scores_are_ordered_by_passage(void **state) {
    static const fake_document same[] = {
        {.source = "a", .text = "the same words"}, {.source = "b", .text = "the same words"},
        {.source = "c", .text = "the same words"}, {.source = "d", .text = "others here"}};
    fake_model model = {0};
    char *path = temp_path("ties.wn");
    wn_error err;
    wn_build_stats stats;
    assert_ok(fake_build(path, same, 4, NULL, &model, NULL, &stats, &err), &err);
    assert_int_equal(stats.passages_embedded, 2); /* equal texts are computed once */
    assert_int_equal(stats.passages_reused, 2);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){"the same words", 14}, query);
    wn_hit hits[4];
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 2, NULL, 0, hits, &count, NULL), WN_OK);
    assert_int_equal(hits[0].passage, 1);
    assert_int_equal(hits[1].passage, 2);
    assert_int_equal(bm25(index, "same", hits, 2), 2);
    assert_int_equal(hits[0].passage, 1);
    assert_int_equal(hits[1].passage, 2);
    wn_index_close(index);
    remove_path(path);
}

static void model_without_normalisation_gives_cosines(void **state) {
    fake_model model = {.length = 7};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){small[2].text, strlen(small[2].text)}, query);
    wn_hit hits[2];
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 2, NULL, 0, hits, &count, NULL), WN_OK);
    assert_int_equal(hits[0].passage, 3);
    assert_true(fabsf(hits[0].score - 1) < 1e-6f);
    assert_true(fabsf(hits[1].score) < 1);
    wn_index_close(index);
    remove_path(path);
}

static void score_of_unknown_passage_is_nan(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24], scores[3];
    fake_vector(&model, (wn_str){"q", 1}, query);
    int64_t ids[] = {4, 1000, -1};
    assert_int_equal(wn_index_score_dense(index, query, ids, 3, scores, NULL), WN_OK);
    assert_true(!isnan(scores[0]) && isnan(scores[1]) && isnan(scores[2]));
    wn_index_close(index);
    remove_path(path);
}

/* ---- BM25 -------------------------------------------------------------------------- */

static void bm25_stems_and_orders(void **state) {
    char *path = build_small(NULL);
    wn_index *index = open_index(path);
    wn_hit hits[4];
    assert_int_equal(bm25(index, "quantising the MEMORIES", hits, 4), 3);
    assert_int_equal(hits[0].passage, 3);
    assert_true(hits[0].score > hits[1].score && hits[1].score > 0);
    assert_int_equal(bm25(index, "memory unified", hits, 1), 1);
    assert_int_equal(hits[0].passage, 2);
    wn_index_close(index);
    remove_path(path);
}

/* Against FTS5's own function, before and after lengths are loaded, and after an update. */
static void bm25_scores_equal_fts5_in_every_bit(void **state) {
    enum { n = 300 };
    static fake_document documents[n];
    many_documents(documents, n, 600);
    char *path = temp_path("bm25.wn");
    wn_error err;
    size_t compared = 0;
    assert_ok(fake_build(path, documents, n / 2, NULL, NULL, NULL, NULL, &err), &err);
    wn_index *index = open_index(path);
    wn_hit *hits = malloc(4000 * sizeof *hits);
    for (int round = 0; round < 8; round++) {
        if (round == 4) assert_ok(fake_build(path, documents, n, NULL, NULL, NULL, NULL, &err), &err);
        char query[400] = "";
        for (int i = 0; i < 40; i++) sprintf(query + strlen(query), "w%d ", round * 400 + i * (round == 3 ? 1 : 9));
        size_t count = bm25(index, query, hits, 4000);
        wn_buf expression = {0};
        assert_int_equal(wn_full_text_query((wn_str){query, strlen(query)}, &expression, NULL), WN_OK);
        sqlite3 *db = NULL;
        sqlite3_stmt *statement = NULL;
        sqlite3_open(path, &db);
        assert_int_equal(sqlite3_prepare_v2(db, "SELECT bm25(full_text) FROM full_text WHERE full_text MATCH ? AND rowid = ?", -1, &statement, NULL), SQLITE_OK);
        for (size_t i = 0; i < count; i++) {
            sqlite3_bind_text(statement, 1, expression.data, -1, SQLITE_STATIC);
            sqlite3_bind_int64(statement, 2, hits[i].passage);
            assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
            float expected = (float)-sqlite3_column_double(statement, 0);
            assert_memory_equal(&expected, &hits[i].score, sizeof expected);
            sqlite3_reset(statement);
            compared++;
        }
        sqlite3_finalize(statement);
        sqlite3_close(db);
        wn_buf_release(&expression);
    }
    print_message("%zu BM25 scores equal FTS5's\n", compared);
    assert_true(compared > 3000);
    free(hits);
    wn_index_close(index);
    remove_path(path);
    free_documents(documents, n);
}

static void bm25_hostile_queries_are_just_words(void **state) {
    static const fake_document documents[] = {
        {.source = "a", .text = "near content title NOT a sign * of quotes"},
        {.source = "b", .text = "embedded\0zero byte", .text_len = 18}};
    char *path = temp_path("hostile.wn");
    assert_int_equal(fake_build(path, documents, 2, NULL, NULL, NULL, NULL, NULL), WN_OK);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    static const struct { const char *text; size_t len, count; } queries[] = {
        {"\"", 1, 0}, {"* ^ : - + ( ) { }", 17, 0}, {"content:near", 12, 1}, {"\"near\" OR", 9, 1},
        {"NEAR(a b, 10)", 13, 1}, {"NOT quotes", 10, 1}, {"a AND zzz", 9, 1}, {"", 0, 0}, {"\0near", 5, 1},
        {"zero", 4, 1}, {"\xFF\xFEnear\xC3", 7, 1}, {"ne\0ar", 5, 0}, {"'; DROP TABLE chunks; --", 24, 0},
    };
    wn_hit hits[4];
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        size_t count = 99;
        wn_error err;
        assert_ok(wn_index_search_bm25(index, (wn_str){queries[i].text, queries[i].len}, 4, NULL, 0, hits, &count, &err), &err);
        if (count != queries[i].count) fail_msg("query %zu: %zu hits, not %zu", i, count, queries[i].count);
    }
    wn_passage *p = NULL;
    assert_int_equal(wn_index_passage(index, 2, &p, NULL), WN_OK);
    assert_int_equal(p->content_length, 18);
    assert_memory_equal(p->content, "embedded\0zero byte", 18);
    wn_passage_free(p);
    /* FTS5's expression tree is flat for OR: no limit on the number of words. */
    char *words = long_text(3000, 5);
    assert_int_equal(bm25(index, words, hits, 4), 0);
    free(words);
    wn_index_close(index);
    remove_path(path);
}

static void bm25_finds_words_in_chinese_and_japanese(void **state) {
    static const fake_document documents[] = {
        {.source = "zh", .text = "向量数据库存储嵌入。"},
        {.source = "ja", .text = "ベクトルデータベースは埋め込みを保存する"},
        {.source = "mixed", .text = "用GPU训练模型 with LoRA"}};
    char *path = temp_path("cjk.wn");
    assert_int_equal(fake_build(path, documents, 3, NULL, NULL, NULL, NULL, NULL), WN_OK);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_hit hits[3];
    assert_int_equal(bm25(index, "数据库是什么？", hits, 3), 1);
    assert_int_equal(hits[0].passage, 1);
    assert_int_equal(bm25(index, "データベース", hits, 3), 1);
    assert_int_equal(hits[0].passage, 2);
    assert_int_equal(bm25(index, "gpu训练", hits, 3), 1);
    assert_int_equal(hits[0].passage, 3);
    assert_int_equal(bm25(index, "库", hits, 3), 1);
    assert_int_equal(bm25(index, "据数", hits, 3), 0); /* no such pair */
    wn_index_close(index);
    remove_path(path);
}

static void full_text_query_repeats_no_word(void **state) {
    wn_buf out = {0};
    static const char query[] = "The the THE cat\xE2\x80\x94" "cat's ÄRA ära 数据库";
    assert_int_equal(wn_full_text_query((wn_str){query, sizeof query - 1}, &out, NULL), WN_OK);
    assert_string_equal(out.data, "\"the\" OR \"cat\" OR \"s\" OR \"ära\" OR \"数 据\" OR \"据 库\"");
    wn_buf_release(&out);
}

/* ---- Filters ----------------------------------------------------------------------- */

static void filters_of_every_kind_hold_in_both_stages(void **state) {
    static const struct { wn_filter filters[2]; size_t n; const char *ids; } cases[] = {
        {{{"source", "docs/lora.md"}}, 1, "1"}, {{{"source", "docs/*"}}, 1, "123"},
        {{{"source", "*"}}, 1, "1234"}, {{{"title", "DGX*"}}, 1, "2"}, {{{"title", "DGX"}}, 1, ""},
        {{{"lang", "en"}}, 1, "12"}, {{{"tags", "adapter"}}, 1, "1"}, {{{"year", "2025"}}, 1, "2"},
        {{{"year", "20*"}}, 1, "12"}, {{{"draft", "true"}}, 1, "2"}, {{{"nothing", "*"}}, 1, ""},
        {{{"lang", "en"}, {"year", "2021"}}, 2, "1"}, {{{"lang", "de"}, {"source", "docs/lora.md"}}, 2, ""},
    };
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wn_hit hits[4];
        size_t dense = 9, words = 9;
        wn_error err;
        assert_ok(wn_index_search_dense(index, query, 4, cases[i].filters, cases[i].n, hits, &dense, &err), &err);
        bool found[5] = {0};
        for (size_t j = 0; j < dense; j++) found[hits[j].passage] = true;
        wn_str q = {"low dgx quantised only", 22};
        assert_ok(wn_index_search_bm25(index, q, 4, cases[i].filters, cases[i].n, hits, &words, &err), &err);
        for (size_t j = 0; j < words; j++) assert_true(found[hits[j].passage]);
        if (dense != strlen(cases[i].ids) || words != dense)
            fail_msg("case %zu: %zu and %zu hits, not %s", i, dense, words, cases[i].ids);
        for (const char *c = cases[i].ids; *c; c++) assert_true(found[*c - '0']);
    }
    wn_filter bad = {NULL, "x"};
    wn_hit hit;
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 1, &bad, 1, &hit, &count, NULL), WN_ERR_ARGUMENT);
    assert_int_equal(wn_index_search_dense(index, query, 0, NULL, 0, &hit, &count, NULL), WN_ERR_ARGUMENT);
    wn_index_close(index);
    remove_path(path);
}

/* ---- Memory ------------------------------------------------------------------------ */

static void thousand_searches_do_not_grow(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    wn_filter filter = {"lang", "en"};
    size_t before = 0;
    sqlite3_int64 sqlite_before = 0;
    for (int i = 0; i < 1000; i++) {
        wn_hit hits[4];
        size_t count;
        wn_passage *p = NULL;
        assert_int_equal(wn_index_search_dense(index, query, 4, &filter, i % 2, hits, &count, NULL), WN_OK);
        assert_int_equal(wn_index_search_bm25(index, (wn_str){"memory of", 9}, 4, &filter, i % 2, hits, &count, NULL), WN_OK);
        assert_int_equal(wn_index_passage(index, hits[0].passage, &p, NULL), WN_OK);
        wn_passage_free(p);
        if (i == 10) {
            before = mallinfo2().uordblks;
            sqlite_before = sqlite3_memory_used();
        }
    }
    assert_true(mallinfo2().uordblks <= before + 1024);
    assert_true(sqlite3_memory_used() <= sqlite_before + 1024);
    wn_index_close(index);
    remove_path(path);
}

/* SQLite's allocations can fail too: through its own hook, installed before its first use. */
static sqlite3_mem_methods real_memory;
static uint64_t sqlite_made, sqlite_fail_at;
static void *failing_malloc(int n) {
    return sqlite_fail_at && ++sqlite_made >= sqlite_fail_at ? NULL : real_memory.xMalloc(n);
}
static void *failing_realloc(void *p, int n) {
    return sqlite_fail_at && ++sqlite_made >= sqlite_fail_at ? NULL : real_memory.xRealloc(p, n);
}

static wn_status open_and_search(const char *path, const float *query, wn_error *err) {
    wn_index *index = NULL;
    wn_status st = wn_index_open(path, &index, err);
    if (st != WN_OK) {
        assert_null(index);
        return st;
    }
    wn_hit hits[4];
    size_t count;
    wn_filter filter = {"lang", "en"};
    wn_passage *p = NULL;
    st = wn_index_search_dense(index, query, 4, &filter, 1, hits, &count, err);
    if (st == WN_OK) st = wn_index_search_bm25(index, (wn_str){"memory of 数据库", 18}, 4, &filter, 1, hits, &count, err);
    if (st == WN_OK) st = wn_index_passage(index, 4, &p, err);
    wn_passage_free(p);
    wn_index_close(index);
    return st;
}

static void every_failed_allocation_of_a_search_is_an_error(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    for (int of_sqlite = 0; of_sqlite < 2; of_sqlite++) {
        size_t n = 0, failures = 0;
        for (wn_status st = WN_ERR_MEMORY; st != WN_OK;) {
            n++;
            sqlite_made = 0;
            if (of_sqlite) sqlite_fail_at = n;
            else wn_memory_fail_at(n, true);
            wn_error err = {0};
            st = open_and_search(path, query, &err);
            wn_memory_fail_at(0, false);
            sqlite_fail_at = 0;
            if (st != WN_OK) {
                failures++;
                if (st != WN_ERR_MEMORY) fail_msg("allocation %zu of %d: %s: %s", n, of_sqlite, wn_status_name(st), err.message);
            }
        }
        print_message("%zu failed allocations of %s\n", failures, of_sqlite ? "SQLite" : "winnow");
        assert_true(failures > 5);
    }
    remove_path(path);
}

int main(void) {
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    sqlite3_mem_methods failing = real_memory;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_search_equals_sorting_everything),
        cmocka_unit_test(equal_scores_are_ordered_by_passage),
        cmocka_unit_test(model_without_normalisation_gives_cosines),
        cmocka_unit_test(score_of_unknown_passage_is_nan),
        cmocka_unit_test(bm25_stems_and_orders),
        cmocka_unit_test(bm25_scores_equal_fts5_in_every_bit),
        cmocka_unit_test(bm25_hostile_queries_are_just_words),
        cmocka_unit_test(bm25_finds_words_in_chinese_and_japanese),
        cmocka_unit_test(full_text_query_repeats_no_word),
        cmocka_unit_test(filters_of_every_kind_hold_in_both_stages),
        cmocka_unit_test(thousand_searches_do_not_grow),
        cmocka_unit_test(every_failed_allocation_of_a_search_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
