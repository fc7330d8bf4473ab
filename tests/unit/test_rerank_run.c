/* test_rerank_run.c -- a reranked run: its order, what is not read, and going on after a kill at any byte. */
#include "study_fixture.h"

#include "core/file.h"

static scratch dir;
static wn_model *model;
static wn_cross_encoder *cross;
static wn_topics *topics;
static wn_run *run;
static char corpus[128], out[128], partial[128];

#define QUERIES "{\"_id\": \"a\", \"text\": \"how does LoRA save memory\"}\n"      \
                "{\"_id\": \"b\", \"text\": \"what does attention compare\"}\n"     \
                "{\"_id\": \"c\", \"text\": \"which words does BM25 count\"}\n"

static void path_in(char *to, const char *name) { snprintf(to, 128, "%s/%s", dir.dir, name); }

static wn_run *read_run(const char *text) {
    wn_error err;
    wn_run *made = NULL;
    char path[128];
    scratch_text(&dir, "in.trec", text);
    path_in(path, "in.trec");
    fixture_ok(wn_run_read(path, &made, &err), &err);
    return made;
}

/* Every document for every query, in an order that differs by query; x7 is not in the corpus. */
static void make_run(char *text, size_t size) {
    size_t n = 0;
    for (int q = 0; q < 3; q++)
        for (int i = 0; i < 8; i++)
            n += (size_t)snprintf(text + n, size - n, "%c Q0 %c%d %d %d t\n", 'a' + q,
                                  (i * 3 + q) % 8 == 7 ? 'x' : 'd', (i * 3 + q) % 8, i + 1, 100 - i);
}

static int open_all(void **state) {
    wn_error err;
    char path[128], text[4096], name[32];
    size_t n = 0;
    dir = scratch_make();
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "d%d", i);
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"_id\": \"%s\", \"title\": \"Note %d\", \"text\": \"%s\"}\n",
                              name, i, FIXTURE_TEXTS[i]);
    }
    scratch_text(&dir, "corpus.jsonl", text);
    path_in(corpus, "corpus.jsonl");
    path_in(out, "out.trec");
    path_in(partial, "out.trec.partial");
    scratch_text(&dir, "queries.jsonl", QUERIES);
    path_in(path, "queries.jsonl");
    fixture_ok(wn_topics_read(path, WN_TOPICS_AUTO, &topics, &err), &err);
    fixture_ok(wn_model_open(FIXTURE_RERANKER, NULL, &model, &err), &err);
    fixture_ok(wn_cross_encoder_create(model, 1, &cross, &err), &err);
    make_run(text, sizeof text);
    run = read_run(text);
    return 0;
}

static int close_all(void **state) {
    wn_run_free(run);
    wn_topics_free(topics);
    wn_cross_encoder_free(cross);
    wn_model_close(model);
    scratch_remove(&dir);
    return 0;
}

static wn_buf file(const char *path) {
    wn_error err;
    wn_buf text = {0};
    fixture_ok(wn_file_read(path, 1 << 20, &text, &err), &err);
    return text;
}

static wn_status rerank(const wn_rerank_run_options *options, wn_rerank_run_stats *stats, wn_error *err) {
    return wn_rerank_run(cross, run, topics, corpus, out, options, stats, err);
}

static void order_is_by_logit_and_the_rest_stays_below(void **state) {
    wn_error err;
    wn_rerank_run_stats stats;
    wn_rerank_run_options options = wn_rerank_run_options_default();
    options.depth = 5;
    fixture_ok(rerank(&options, &stats, &err), &err);
    assert_int_equal(stats.queries, 3);
    assert_int_equal(stats.resumed, 0);
    assert_false(wn_file_exists(partial));
    wn_run *after = NULL;
    fixture_ok(wn_run_read(out, &after, &err), &err);
    uint64_t pairs = 0;
    for (size_t q = 0; q < 3; q++) {
        const char *id = wn_run_query(after, q);
        const wn_run_entry *old, *new;
        size_t n, m, read = 0;
        fixture_ok(wn_run_ranking(run, id, &old, &n, &err), &err);
        fixture_ok(wn_run_ranking(after, id, &new, &m, &err), &err);
        assert_int_equal(n, m);
        for (size_t i = 0; i < 5; i++) read += old[i].document[0] == 'd';
        pairs += read;
        wn_topic topic = wn_topics_get(topics, q);
        for (size_t i = 0; i < read; i++) { /* the plain twin: title, blank, text, scored alone */
            int d = new[i].document[1] - '0';
            char text[600];
            wn_pair_score pair;
            snprintf(text, sizeof text, "Note %d %s", d, FIXTURE_TEXTS[d]);
            wn_str view = {text, strlen(text)};
            fixture_ok(wn_cross_encoder_score_batch(cross, topic.text, &view, 1, 1, WN_LENGTH_TRUNCATE, &pair, &err), &err);
            assert_float_equal(new[i].score, (double)pair.logit, 1e-6);
            if (i) assert_true(new[i].score < new[i - 1].score);
        }
        size_t below = read; /* the others, in their old order */
        for (size_t i = 0; i < n; i++) {
            if (i < 5 && old[i].document[0] == 'd') continue;
            assert_string_equal(new[below].document, old[i].document);
            below++;
        }
        assert_int_equal(below, n);
    }
    assert_int_equal(stats.pairs, pairs);
    wn_run_free(after);
}

typedef struct {
    uint64_t stop_at;
} stopper;

static bool stop(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    return done < ((stopper *)ctx)->stop_at;
}

static void kill_at_any_byte_ends_in_the_same_file(void **state) {
    wn_error err;
    wn_rerank_run_stats stats;
    wn_rerank_run_options options = wn_rerank_run_options_default();
    options.depth = 3;
    fixture_ok(rerank(&options, &stats, &err), &err);
    wn_buf want = file(out);
    unlink(out);
    stopper after_two = {2};
    options.progress = stop;
    options.progress_ctx = &after_two;
    assert_int_equal(rerank(&options, &stats, &err), WN_ERR_CANCELLED);
    assert_false(wn_file_exists(out));
    wn_buf half = file(partial);
    options.progress = NULL;
    size_t cuts = 0, resumed = 0;
    for (size_t cut = 0; cut <= half.len; cut += cut < 200 ? 23 : 61) {
        fixture_ok(wn_file_write_atomic(partial, half.data, cut, &err), &err);
        fixture_ok(rerank(&options, &stats, &err), &err);
        wn_buf got = file(out);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        assert_false(wn_file_exists(partial));
        wn_buf_release(&got);
        unlink(out);
        resumed += stats.resumed;
        cuts++;
    }
    fixture_ok(wn_file_write_atomic(partial, half.data, half.len, &err), &err);
    fixture_ok(rerank(&options, &stats, &err), &err);
    assert_int_equal(stats.resumed, 2);
    printf("%zu cuts of a half-written file, %zu finished queries found again: the same bytes\n", cuts, resumed);
    assert_true(resumed > 0);
    wn_buf_release(&want);
    wn_buf_release(&half);
}

static void partial_of_other_settings_is_refused(void **state) {
    wn_error err;
    wn_rerank_run_options options = wn_rerank_run_options_default();
    stopper after_one = {1};
    options.progress = stop;
    options.progress_ctx = &after_one;
    options.depth = 2;
    assert_int_equal(rerank(&options, NULL, &err), WN_ERR_CANCELLED);
    options.progress = NULL;
    options.depth = 3;
    assert_int_equal(rerank(&options, NULL, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "out.trec.partial"));
    unlink(partial);
}

static void unknown_ids_are_told(void **state) {
    wn_error err;
    wn_rerank_run_stats stats;
    wn_run *kept = run;
    run = read_run("a Q0 d0 1 2 t\nnobody Q0 d1 1 2 t\n");
    assert_int_equal(rerank(NULL, &stats, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "nobody"));
    wn_run_free(run);
    run = read_run("a Q0 z1 1 2 t\nb Q0 z2 1 2 t\n");
    assert_int_equal(rerank(NULL, &stats, &err), WN_ERR_MISMATCH);
    wn_run_free(run);
    run = read_run("a Q0 z1 1 3 t\na Q0 d0 2 2 t\n");
    fixture_ok(rerank(NULL, &stats, &err), &err);
    assert_int_equal(stats.missing, 1);
    wn_run_free(run);
    run = kept;
    assert_false(wn_file_exists(partial));
}

static void allocation_failure_leaves_no_output_and_can_go_on(void **state) {
    wn_error err;
    wn_rerank_run_options options = wn_rerank_run_options_default();
    options.depth = 2;
    size_t failures = 0;
    unlink(out);
    for (uint64_t n = 1;; n += n < 60 ? 1 : 9) {
        wn_memory_fail_at(n, false);
        wn_status st = rerank(&options, NULL, &err);
        wn_memory_fail_at(0, false);
        if (st == WN_OK) break;
        assert_int_equal(st, WN_ERR_MEMORY);
        assert_false(wn_file_exists(out));
        failures++;
    }
    printf("%zu allocation failures reported\n", failures);
    assert_true(failures > 10 && wn_file_exists(out));
}

static void wrong_options_are_refused(void **state) {
    wn_error err;
    wn_rerank_run_options options = wn_rerank_run_options_default();
    options.depth = 0;
    assert_int_equal(rerank(&options, NULL, &err), WN_ERR_ARGUMENT);
    options.depth = 1;
    options.tag = "two words";
    assert_int_equal(rerank(&options, NULL, &err), WN_ERR_ARGUMENT);
}

int main(void) {
    if (study_is_too_slow("rerank_run")) return STUDY_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_by_logit_and_the_rest_stays_below),
        cmocka_unit_test(kill_at_any_byte_ends_in_the_same_file),
        cmocka_unit_test(partial_of_other_settings_is_refused),
        cmocka_unit_test(unknown_ids_are_told),
        cmocka_unit_test(allocation_failure_leaves_no_output_and_can_go_on),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
