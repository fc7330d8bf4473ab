/* test_eval_input.c -- qrels, runs, topics and BEIR folders: what is read, and what is refused with
 * file and line; every allocation of a whole evaluation made to fail once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <sys/stat.h>

#include "core/file.h"
#include "eval/id_table.h"
#include "eval/lines.h"
#include "eval_fixture.h"

typedef struct {
    const char *text;
    size_t len; /* 0: strlen */
    wn_status status;
    int64_t line;
    const char *words;
} bad_case;

/* One error with the file's name, the line and the words; nothing else. */
static void check_error(const bad_case *c, const char *path, wn_status st, const wn_error *err) {
    char where[128];
    if (st != c->status) fail_msg("\"%s\": status %d, %s", c->text, st, err->message);
    assert_int_equal(err->line, c->line);
    snprintf(where, sizeof where, c->line > 0 ? "%s: line %lld: " : "%s: ", path,
             (long long)c->line);
    if (!strstr(err->message, where) || !strstr(err->message, c->words))
        fail_msg("\"%s\": %s", c->text, err->message);
}

/* In memory of just that size, so that a sanitizer sees a step over its end. */
static wn_str exact_copy(const char *text, size_t len) {
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    return (wn_str){copy, len};
}

static void qrels_malformed_lines_name_file_and_line(void **state) {
    static const bad_case CASES[] = {
        {"", 0, WN_ERR_FORMAT, -1, "no judgement"},
        {"\n# only\n\n", 0, WN_ERR_FORMAT, -1, "no judgement"},
        {"query-id\tcorpus-id\tscore\n", 0, WN_ERR_FORMAT, -1, "no judgement"},
        {"1 0 a\n", 0, WN_ERR_FORMAT, 1, "four columns"},
        {"1 0 a 1\n1 0 b 1 x\n", 0, WN_ERR_FORMAT, 2, "four columns"},
        {"# c\n\n1 0 a high\n", 0, WN_ERR_FORMAT, 3, "\"high\" is not a whole number"},
        {"1 0 a 1.5\n", 0, WN_ERR_FORMAT, 1, "whole number"},
        {"1 0 a 99999999999\n", 0, WN_ERR_FORMAT, 1, "whole number"},
        {"1 0 a 1\n2 0 a 1\n1 0 a 0\n", 0, WN_ERR_FORMAT, 3, "judged before, on line 1"},
        {"1 0 a\0b 1\n", 10, WN_ERR_FORMAT, 1, "NUL byte"},
        {"query-id\tcorpus-id\tscore\n1\ta\n", 0, WN_ERR_FORMAT, 2, "three columns"},
        {"query-id\tcorpus-id\tscore\n1\ta\t1\t2\n", 0, WN_ERR_FORMAT, 2, "three columns"},
        {"query-id\tcorpus-id\tscore\n1\t\t1\n", 0, WN_ERR_FORMAT, 2, "corpus-id is missing"},
        {"query-id\tcorpus-id\tscore\n1\ta\t\n", 0, WN_ERR_FORMAT, 2, "whole number"},
        {"query-id\tcorpus-id\tscore\n1\ta\t1\n1\ta\t1\n", 0, WN_ERR_FORMAT, 3, "on line 2"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const bad_case *c = &CASES[i];
        const char *path = text_file(c->text, c->len ? c->len : strlen(c->text));
        wn_qrels *qrels = NULL;
        wn_error err = {0};
        check_error(c, path, wn_qrels_read(path, WN_QRELS_AUTO, &qrels, &err), &err);
        wn_str text = exact_copy(c->text, c->len ? c->len : strlen(c->text));
        check_error(c, "upload", wn_qrels_parse("upload", text, WN_QRELS_AUTO, &qrels, &err), &err);
        free((void *)(uintptr_t)text.data);
        assert_null(qrels);
        unlink(path);
    }
}

static void run_malformed_lines_name_file_and_line(void **state) {
    static const bad_case CASES[] = {
        {"", 0, WN_ERR_FORMAT, -1, "no result"},
        {"# c\n", 0, WN_ERR_FORMAT, -1, "no result"},
        {"1 Q0 a 1 0.5\n", 0, WN_ERR_FORMAT, 1, "six columns"},
        {"1 Q0 a 1 0.5 t\n\n1 Q0 b 2 x t\n", 0, WN_ERR_FORMAT, 3, "\"x\" is not a number"},
        {"1 Q0 a 1 nan t\n", 0, WN_ERR_FORMAT, 1, "not a number"},
        {"1 Q0 a 1 0x1p3 t\n", 0, WN_ERR_FORMAT, 1, "not a number"},
        {"1 Q0 a 1 1.5e t\n", 0, WN_ERR_FORMAT, 1, "not a number"},
        {"1 Q0 a 1 1 t\n1 Q0 b 2 1 t\n2 Q0 a 1 1 t\n1 Q0 a 3 0 t\n", 0, WN_ERR_FORMAT, 4,
         "document a of query 1 was given before, on line 1"},
        {"1 Q0 a\0 1 1 t\n", 14, WN_ERR_FORMAT, 1, "NUL byte"},
        {"1\0 Q0 a 1 1 t\n", 14, WN_ERR_FORMAT, 1, "NUL byte"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const bad_case *c = &CASES[i];
        const char *path = text_file(c->text, c->len ? c->len : strlen(c->text));
        wn_run *run = NULL;
        wn_error err = {0};
        check_error(c, path, wn_run_read(path, &run, &err), &err);
        assert_null(run);
        unlink(path);
    }
}

static void topics_malformed_lines_name_file_and_line(void **state) {
    static const bad_case CASES[] = {
        {"", 0, WN_ERR_FORMAT, -1, "no query"},
        {"\n  \n", 0, WN_ERR_FORMAT, -1, "no query"},
        {"1\tone\n2 two\n", 0, WN_ERR_FORMAT, 2, "no tab"},
        {"1\tone\n2\t  \n", 0, WN_ERR_FORMAT, 2, "the query is empty"},
        {"1\tone\n1\ttwo\n", 0, WN_ERR_FORMAT, 2, "\"1\" was given before"},
        {"\tone\n", 0, WN_ERR_FORMAT, 1, "id is missing"},
        {"{\"text\": \"a\"}\n{\"text\": \n", 0, WN_ERR_FORMAT, 2, "not valid JSON"},
        {"{\"text\": 3}\n", 0, WN_ERR_FORMAT, 1, "\"text\" or \"query\""},
        {"{\"id\": \"1\"}\n", 0, WN_ERR_FORMAT, 1, "\"text\" or \"query\""},
        {"{\"text\": \"a\"}\n[1]\n", 0, WN_ERR_FORMAT, 2, "\"text\" or \"query\""},
        {"{\"text\": \"\"}\n", 0, WN_ERR_FORMAT, 1, "the query is empty"},
        {"{\"query\": \"a\", \"expected_source\": 1}\n", 0, WN_ERR_FORMAT, 1, "expected_source"},
        {"{\"query\": \"a\", \"expected_source\": [\"x\", \"\"]}\n", 0, WN_ERR_FORMAT, 1,
         "expected_source"},
        {"{\"_id\": \"a\\u0000b\", \"query\": \"a\"}\n", 0, WN_ERR_FORMAT, 1, "NUL byte"},
        {"{\"text\": \"a\", \"_id\": \"2\"}\n{\"text\": \"b\"}\n", 0, WN_ERR_FORMAT, 2, "before"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const bad_case *c = &CASES[i];
        const char *path = text_file(c->text, c->len ? c->len : strlen(c->text));
        wn_topics *topics = NULL;
        wn_error err = {0};
        check_error(c, path, wn_topics_read(path, WN_TOPICS_AUTO, &topics, &err), &err);
        wn_str text = exact_copy(c->text, strlen(c->text));
        check_error(c, "upload", wn_topics_parse("upload", text, WN_TOPICS_AUTO, &topics, &err), &err);
        free((void *)(uintptr_t)text.data);
        assert_null(topics);
        unlink(path);
    }
}

static void absent_files_are_not_found(void **state) {
    wn_error err = {0};
    wn_qrels *qrels;
    wn_run *run;
    wn_topics *topics;
    wn_zscores *zscores;
    assert_int_equal(wn_qrels_read("/nowhere/q", WN_QRELS_AUTO, &qrels, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_run_read("/nowhere/r", &run, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_topics_read("/nowhere/t", WN_TOPICS_AUTO, &topics, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_zscores_read("/nowhere/z", &zscores, &err), WN_ERR_NOT_FOUND);
}

static wn_topics *topics_of(const char *text) {
    wn_topics *topics = NULL;
    wn_error err = {0};
    const char *path = text_file(text, strlen(text));
    if (wn_topics_read(path, WN_TOPICS_AUTO, &topics, &err) != WN_OK) fail_msg("%s", err.message);
    unlink(path);
    return topics;
}

static void texts_in_memory_are_read_as_files_are(void **state) {
    wn_topics *topics = NULL;
    wn_qrels *qrels = NULL;
    wn_error err;
    wn_str text = exact_copy("1\tone\n2\t two ", 13), judged = exact_copy("1 0 a 1\n2 0 b 3", 15);
    assert_int_equal(wn_topics_parse("t", text, WN_TOPICS_AUTO, &topics, &err), WN_OK);
    assert_int_equal(wn_qrels_parse("q", judged, WN_QRELS_AUTO, &qrels, &err), WN_OK);
    free((void *)(uintptr_t)text.data); /* nothing of them is borrowed */
    free((void *)(uintptr_t)judged.data);
    assert_string_equal(wn_topics_get(topics, 1).text.data, " two ");
    int relevance;
    assert_true(wn_qrels_relevance(qrels, "2", "b", &relevance) && relevance == 3);
    wn_topics_free(topics);
    wn_qrels_free(qrels);
}

static void topics_of_three_kinds_are_told_apart(void **state) {
    wn_topics *topics = topics_of("7\tone two\r\n\n9\tx\ty\n");
    assert_int_equal(wn_topics_count(topics), 2);
    assert_string_equal(wn_topics_get(topics, 0).id, "7");
    assert_string_equal(wn_topics_get(topics, 0).text.data, "one two");
    assert_string_equal(wn_topics_get(topics, 1).text.data, "x\ty");
    size_t at;
    assert_true(wn_topics_find(topics, "9", &at) && at == 1);
    assert_false(wn_topics_find(topics, "8", &at));
    wn_topics_free(topics);

    topics = topics_of("what is bm25?\nwhat is rrf?\n");
    assert_string_equal(wn_topics_get(topics, 1).id, "2");
    assert_string_equal(wn_topics_get(topics, 1).text.data, "what is rrf?");
    wn_topics_free(topics);

    topics = topics_of("{\"_id\": \"a\", \"text\": \"one\"}\n"
                       "{\"query\": \"two\", \"expected_source\": \"x.md\"}\n"
                       "{\"id\": 12, \"query\": \"three\", \"expected_source\": [\"x.md\", \"y.md\"]}\n"
                       "{\"id\": 13, \"query\": \"four\", \"expected_source\": null}\n");
    assert_int_equal(wn_topics_count(topics), 4);
    assert_string_equal(wn_topics_get(topics, 1).id, "2");
    assert_string_equal(wn_topics_get(topics, 2).id, "12");
    assert_int_equal(wn_topics_get(topics, 0).nexpected, 0);
    assert_int_equal(wn_topics_get(topics, 2).nexpected, 2);
    assert_string_equal(wn_topics_get(topics, 2).expected[1], "y.md");
    wn_qrels *qrels = NULL;
    assert_int_equal(wn_qrels_from_topics(topics, &qrels, NULL), WN_OK);
    assert_int_equal(wn_qrels_queries(qrels), 2);
    assert_int_equal(wn_qrels_judgements(qrels), 3);
    int relevance = 0;
    assert_true(wn_qrels_relevance(qrels, "12", "y.md", &relevance) && relevance == 1);
    assert_false(wn_qrels_relevance(qrels, "12", "z.md", &relevance));
    assert_false(wn_qrels_has_query(qrels, "a"));
    wn_qrels_free(qrels);
    wn_topics_free(topics);
}

static void source_is_the_expected_one_it_ends_with(void **state) {
    const char *expected[] = {"lora.md", "notes/rag.md"};
    wn_topic topic = {.expected = expected, .nexpected = 2};
    assert_ptr_equal(wn_topic_document(&topic, "lora.md"), expected[0]);
    assert_ptr_equal(wn_topic_document(&topic, "/a/docs/lora.md"), expected[0]);
    assert_ptr_equal(wn_topic_document(&topic, "my/notes/rag.md"), expected[1]);
    static const char *const OTHERS[] = {"qlora.md", "rag.md", "lora.md.txt", "", "a/xlora.md"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        assert_ptr_equal(wn_topic_document(&topic, OTHERS[i]), OTHERS[i]);
}

static void demo_queries_all_have_a_source(void **state) {
    wn_topics *topics = NULL;
    assert_int_equal(wn_topics_read(WN_SOURCE_ROOT "/examples/queries.jsonl", WN_TOPICS_AUTO,
                                    &topics, NULL), WN_OK);
    assert_true(wn_topics_count(topics) >= 30);
    for (size_t i = 0; i < wn_topics_count(topics); i++)
        assert_true(wn_topics_get(topics, i).nexpected >= 1);
    wn_topics_free(topics);
}

static void beir_and_trec_qrels_say_the_same(void **state) {
    wn_qrels *beir = qrels_of("query-id\tcorpus-id\tscore\r\n2\td 1\t1.0\r\n1\tx\t3\r\n",
                              WN_QRELS_AUTO);
    int relevance;
    assert_true(wn_qrels_relevance(beir, "2", "d 1", &relevance) && relevance == 1);
    assert_true(wn_qrels_relevance(beir, "1", "x", &relevance) && relevance == 3);
    assert_string_equal(wn_qrels_query(beir, 0), "1");
    wn_qrels_free(beir);
}

static void written_files_are_read_back_the_same(void **state) {
    const char *path = text_file("", 0);
    wn_run *run = NULL, *again = NULL;
    wn_error err = {0};
    assert_int_equal(wn_run_create("tag", &run, NULL), WN_OK);
    assert_int_equal(wn_run_add(run, "2", "b", 1.0 / 3, NULL), WN_OK);
    assert_int_equal(wn_run_add(run, "2", "a", nextafter(1.0 / 3, 1), NULL), WN_OK);
    assert_int_equal(wn_run_add(run, "1", "c", -1e300, NULL), WN_OK);
    assert_int_equal(wn_run_write(run, path, &err), WN_OK);
    assert_int_equal(wn_run_read(path, &again, &err), WN_OK);
    const wn_run_entry *entries;
    size_t n;
    assert_int_equal(wn_run_ranking(again, "2", &entries, &n, NULL), WN_OK);
    assert_int_equal(n, 2);
    assert_string_equal(entries[0].document, "a");
    assert_true(entries[1].score == 1.0 / 3);
    assert_string_equal(wn_run_tag(again), "tag");
    assert_int_equal(wn_run_lines(again), 3);
    wn_run_free(again);
    assert_int_equal(wn_run_add(run, "1", "two words", 0, NULL), WN_OK);
    assert_int_equal(wn_run_write(run, path, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "white space"));
    assert_int_equal(wn_run_add(run, "1", "n", NAN, &err), WN_ERR_ARGUMENT);
    assert_int_equal(wn_run_add(run, "1", "two words", 0, NULL), WN_OK);
    assert_int_equal(wn_run_write(run, path, &err), WN_ERR_FORMAT); /* given twice */
    wn_run_free(run);

    for (int format = WN_QRELS_TREC; format <= WN_QRELS_BEIR; format++) {
        wn_qrels *qrels = qrels_of("1 0 a 2\n1 0 b -1\n0 0 z 1\n", WN_QRELS_AUTO), *back = NULL;
        int relevance;
        assert_int_equal(wn_qrels_write(qrels, path, (wn_qrels_format)format, &err), WN_OK);
        assert_int_equal(wn_qrels_read(path, WN_QRELS_AUTO, &back, &err), WN_OK);
        assert_int_equal(wn_qrels_judgements(back), 3);
        assert_true(wn_qrels_relevance(back, "1", "b", &relevance) && relevance == -1);
        wn_qrels_free(back);
        wn_qrels_free(qrels);
    }
    unlink(path);
}

static void numbers_are_read_as_strtod_does(void **state) {
    static const char *const GOOD[] = {"0", "-0", "1", "0.1", "2.2250738585072014e-308", "1e22",
                                       "123456789012345", "1234567890123456789", "0.6898301657029192",
                                       "-3.5e-7", ".5", "5.", "+2.5", "1e400", "inf", "-INF",
                                       "9007199254740993", "0.000000000000001"};
    static const char *const BAD[] = {"", "+", "-", ".", "1,5", "nan", "0x10", "1e", "--1", "1 ",
                                      "e5", "1.2.3"};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        double value;
        if (!wn_field_real((wn_str){GOOD[i], strlen(GOOD[i])}, &value)) fail_msg("%s", GOOD[i]);
        double expected = strtod(GOOD[i], NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        double value;
        if (wn_field_real((wn_str){BAD[i], strlen(BAD[i])}, &value)) fail_msg("%s is good", BAD[i]);
    }
    for (uint64_t n = 0, x = 1; n < 20000; n++) {
        char text[40];
        double value;
        x = x * 6364136223846793005u + 1442695040888963407u;
        snprintf(text, sizeof text, "%.*g", (int)(1 + x % 17), (double)(int64_t)x / 1e15);
        assert_true(wn_field_real((wn_str){text, strlen(text)}, &value));
        assert_true(value == strtod(text, NULL));
    }
}

static void id_table_finds_a_hundred_thousand_names(void **state) {
    wn_id_table table = {0};
    char name[32];
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t number;
        bool added;
        int len = snprintf(name, sizeof name, "D%u", i);
        assert_int_equal(wn_id_table_add(&table, name, (size_t)len, &number, &added, NULL), WN_OK);
        assert_true(added && number == i);
    }
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t number = 0;
        int len = snprintf(name, sizeof name, "D%u", i);
        assert_true(wn_id_table_find(&table, name, (size_t)len, &number) && number == i);
        assert_string_equal(table.names[i], name);
    }
    uint32_t number;
    assert_false(wn_id_table_find(&table, "D100000", 7, &number));
    assert_true(table.nslots <= 4 * table.count); /* sized to the data */
    wn_id_table_release(&table);
}

static void write_text(const char *dir, const char *name, const char *text) {
    char *path = wn_path_join(dir, name);
    assert_int_equal(wn_file_write_atomic(path, text, strlen(text), NULL), WN_OK);
    wn_free(path);
}

static void beir_folder_names_what_is_missing(void **state) {
    char dir[] = "/tmp/winnow-beir-XXXXXX", qrels[64];
    assert_non_null(mkdtemp(dir));
    wn_beir beir = {0};
    wn_error err = {0};
    assert_int_equal(wn_beir_locate(dir, NULL, &beir, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "corpus.jsonl"));
    write_text(dir, "corpus.jsonl", "");
    assert_int_equal(wn_beir_locate(dir, NULL, &beir, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "queries.jsonl"));
    write_text(dir, "queries.jsonl", "");
    assert_int_equal(wn_beir_locate(dir, NULL, &beir, &err), WN_ERR_NOT_FOUND);
    snprintf(qrels, sizeof qrels, "%s/qrels", dir);
    assert_int_equal(mkdir(qrels, 0755), 0);
    assert_int_equal(wn_beir_locate(dir, NULL, &beir, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "0 splits"));
    write_text(qrels, "dev.tsv", "");
    assert_int_equal(wn_beir_locate(dir, NULL, &beir, &err), WN_OK); /* the only one */
    assert_non_null(strstr(beir.qrels, "/dev.tsv"));
    wn_beir_release(&beir);
    write_text(qrels, "train.tsv", "");
    assert_int_equal(wn_beir_locate(dir, NULL, &beir, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "2 splits"));
    assert_int_equal(wn_beir_locate(dir, "train", &beir, &err), WN_OK);
    wn_beir_release(&beir);
    assert_int_equal(wn_beir_locate(dir, "nope", &beir, &err), WN_ERR_NOT_FOUND);
    assert_null(beir.corpus);
    static const char *const FILES[] = {"qrels/dev.tsv", "qrels/train.tsv", "queries.jsonl",
                                        "corpus.jsonl"};
    for (size_t i = 0; i < 4; i++) {
        char *path = wn_path_join(dir, FILES[i]);
        assert_int_equal(unlink(path), 0);
        wn_free(path);
    }
    assert_int_equal(rmdir(qrels), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* Everything a comparison of two runs does: reading, evaluating, comparing, writing. */
static wn_status whole_operation(const char *const *paths, wn_error *err) {
    wn_qrels *qrels = NULL, *prefs = NULL, *groups = NULL, *expected = NULL;
    wn_run *run = NULL, *made = NULL;
    wn_topics *topics = NULL;
    wn_evaluation *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    wn_comparison comparison;
    double overlap;
    static const char *const DOCUMENTS[] = {"b", "a", "x"};
    static const char *const ALL[] = {"all_trec", "ndcg.1=2"}, *const PREFS[] = {"all_prefs"},
                      *const GROUPS[] = {"qrels_jg"};
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = ALL;
    options.nmeasures = 2;
    options.complete = true;
    wn_status st = wn_qrels_read(paths[0], WN_QRELS_AUTO, &qrels, err);
    if (st == WN_OK) st = wn_qrels_read(paths[0], WN_QRELS_GROUPS, &groups, err);
    if (st == WN_OK) st = wn_qrels_read(paths[1], WN_QRELS_PREFS, &prefs, err);
    if (st == WN_OK) st = wn_run_read(paths[2], &run, err);
    if (st == WN_OK) st = wn_topics_read(paths[3], WN_TOPICS_AUTO, &topics, err);
    if (st == WN_OK) st = wn_qrels_from_topics(topics, &expected, err);
    if (st == WN_OK) st = wn_run_create("made", &made, err);
    if (st == WN_OK) st = wn_run_add_ranking(made, "1", DOCUMENTS, 3, err);
    if (st == WN_OK) st = wn_run_add(made, "2", "a", 1, err);
    if (st == WN_OK) st = wn_evaluate(qrels, run, &options, &a, err);
    if (st == WN_OK) st = wn_evaluate(qrels, made, &options, &b, err);
    options.nmeasures = 1;
    options.measures = PREFS;
    if (st == WN_OK) st = wn_evaluate(prefs, run, &options, &c, err);
    options.measures = GROUPS;
    if (st == WN_OK) st = wn_evaluate(groups, run, &options, &d, err);
    wn_stats_options stats = wn_stats_options_default();
    stats.rounds = stats.shuffles = 100;
    if (st == WN_OK) st = wn_evaluation_compare(a, b, "map", &stats, &comparison, err);
    if (st == WN_OK) st = wn_rank_biased_overlap(DOCUMENTS, 3, DOCUMENTS, 2, 0.9, &overlap, err);
    if (st == WN_OK) st = wn_kendall_tau_b(&overlap, &overlap, 1, &overlap, err);
    if (st == WN_OK) st = wn_run_write(made, paths[4], err);
    if (st == WN_OK) st = wn_qrels_write(qrels, paths[4], WN_QRELS_BEIR, err);
    wn_evaluation_free(a);
    wn_evaluation_free(b);
    wn_evaluation_free(c);
    wn_evaluation_free(d);
    wn_qrels_free(qrels);
    wn_qrels_free(prefs);
    wn_qrels_free(groups);
    wn_qrels_free(expected);
    wn_run_free(run);
    wn_run_free(made);
    wn_topics_free(topics);
    return st;
}

static void every_failing_allocation_is_reported(void **state) {
    static const char *const TEXTS[] = {
        "1 0 a 1\n1 0 b 0\n2 0 a 1\n2 0 c 2\n",
        "1 j 0 a 2\n1 j 0 b 1\n1 j 1 b 1\n1 j 1 c 0\n2 j 0 a 1\n2 j 0 c 0\n",
        "1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n2 Q0 c 1 1 t\n", "{\"query\": \"q\", \"expected_source\": \"a\"}\n",
        ""};
    char paths[5][40];
    const char *list[5];
    for (size_t i = 0; i < 5; i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/winnow-alloc-XXXXXX");
        int fd = mkstemp(paths[i]);
        assert_true(fd >= 0);
        assert_true(write(fd, TEXTS[i], strlen(TEXTS[i])) == (ssize_t)strlen(TEXTS[i]));
        close(fd);
        list[i] = paths[i];
    }
    wn_error err = {0};
    wn_memory_fail_at(0, false);
    if (whole_operation(list, &err) != WN_OK) fail_msg("%s", err.message);
    uint64_t allocations = wn_memory_fail_at(0, false);
    assert_true(allocations > 100);
    for (uint64_t n = 1; n <= allocations; n++)
        for (int sticky = 0; sticky < 2; sticky++) {
            wn_memory_fail_at(n, sticky);
            wn_status st = whole_operation(list, &err);
            wn_memory_fail_at(0, false);
            if (st != WN_ERR_MEMORY) fail_msg("allocation %d: status %d", (int)n, st);
        }
    print_message("%d allocations failed one by one\n", (int)allocations);
    for (size_t i = 0; i < 5; i++) unlink(paths[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qrels_malformed_lines_name_file_and_line),
        cmocka_unit_test(run_malformed_lines_name_file_and_line),
        cmocka_unit_test(topics_malformed_lines_name_file_and_line),
        cmocka_unit_test(absent_files_are_not_found),
        cmocka_unit_test(texts_in_memory_are_read_as_files_are),
        cmocka_unit_test(topics_of_three_kinds_are_told_apart),
        cmocka_unit_test(source_is_the_expected_one_it_ends_with),
        cmocka_unit_test(demo_queries_all_have_a_source),
        cmocka_unit_test(beir_and_trec_qrels_say_the_same),
        cmocka_unit_test(written_files_are_read_back_the_same),
        cmocka_unit_test(numbers_are_read_as_strtod_does),
        cmocka_unit_test(id_table_finds_a_hundred_thousand_names),
        cmocka_unit_test(beir_folder_names_what_is_missing),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
