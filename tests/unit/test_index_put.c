/* test_index_put.c -- single documents: put, replaced, removed, listed; hostile ones; kill -9 while
 * they are written. */
#include "fake_index.h"

#include <jansson.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static wn_new_document doc(const char *source, const char *title, const char *text) {
    return (wn_new_document){.source = source, .title = title, .text = {text, strlen(text)}};
}

static wn_build_stats put(const char *path, const wn_new_document *documents, size_t n, fake_model *model) {
    wn_build_stats stats = {0};
    wn_error err;
    wn_embedder embedder;
    if (model) embedder = fake_embedder(model);
    assert_ok(wn_index_put_from(path, documents, n, model ? &embedder : NULL, NULL, NULL, &stats, &err), &err);
    check_consistent(path);
    return stats;
}

static void refuse(const char *path, const wn_new_document *documents, size_t n, wn_status code, const char *part) {
    fake_model model = {0};
    wn_embedder embedder = fake_embedder(&model);
    wn_error err;
    assert_int_equal(wn_index_put_from(path, documents, n, &embedder, NULL, NULL, NULL, &err), code);
    if (!strstr(err.message, part)) fail_msg("\"%s\" is not in: %s", part, err.message);
}

static wn_build_stats take(const char *path, const char *source) {
    wn_build_stats stats = {0};
    wn_error err;
    assert_ok(wn_index_remove(path, &source, 1, NULL, NULL, &stats, &err), &err);
    check_consistent(path);
    return stats;
}

typedef struct listing {
    size_t n;
    char sources[64][64], titles[64][64], metadata[64][200];
    uint64_t passages[64];
    bool put[64];
    int64_t last;
} listing;

static bool note(void *ctx, const wn_document_info *d) {
    listing *l = ctx;
    assert_true(l->n < 64);
    snprintf(l->sources[l->n], sizeof l->sources[0], "%s", d->source);
    snprintf(l->titles[l->n], sizeof l->titles[0], "%s", d->title);
    snprintf(l->metadata[l->n], sizeof l->metadata[0], "%s", d->metadata);
    l->passages[l->n] = d->passages;
    l->put[l->n++] = d->put;
    l->last = d->id;
    return true;
}

static listing list(const char *path, const char *source) {
    listing l = {0};
    wn_error err;
    wn_index *index = open_index(path);
    assert_ok(wn_index_documents(index, source, 0, 64, note, &l, &err), &err);
    wn_index_close(index);
    return l;
}

static void put_is_found_by_both_first_stages(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path); /* a reader that was there before */
    wn_hit hits[8];
    float query[24];
    size_t count;
    wn_error err;
    assert_int_equal(bm25(index, "zeppelin", hits, 8), 0);
    wn_new_document d = doc("notes/zeppelin", NULL, "A zeppelin floats.");
    wn_build_stats stats = put(path, &d, 1, &model);
    assert_int_equal(stats.documents_added, 1);
    assert_int_equal(stats.passages_embedded, 1);
    assert_int_equal(bm25(index, "zeppelin", hits, 8), 1);
    assert_source(index, hits[0].passage, "notes/zeppelin");
    fake_vector(&model, d.text, query);
    assert_ok(wn_index_search_dense(index, query, 1, NULL, 0, hits, &count, &err), &err);
    assert_source(index, hits[0].passage, "notes/zeppelin");
    assert_true(hits[0].score > 0.999f);
    wn_index_close(index);
    remove_path(path);
}

static void put_again_replaces_and_keeps_passages_that_stayed(void **state) {
    fake_model model = {0};
    char *path = build_small(&model), *text = long_text(400, 7);
    wn_new_document d = doc("long", NULL, text);
    wn_build_stats first = put(path, &d, 1, &model);
    assert_true(first.passages_embedded > 3);
    assert_int_equal(put(path, &d, 1, &model).documents_unchanged, 1);
    memcpy(text, "new", 3);
    wn_build_stats second = put(path, &d, 1, &model);
    assert_int_equal(second.documents_changed, 1);
    assert_int_equal(second.passages_embedded, 1);
    listing l = list(path, "long");
    assert_int_equal(l.n, 1);
    assert_int_equal(l.passages[0], first.passages_embedded);
    free(text);
    remove_path(path);
}

static void titles_are_read_as_of_a_corpus_line(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_new_document d[2] = {doc("t", "Airships", "They float."), doc("only-title", "Balloons", "")};
    put(path, d, 2, &model);
    wn_index *index = open_index(path);
    wn_hit hits[4];
    wn_passage *p = NULL;
    wn_error err;
    assert_int_equal(bm25(index, "airships", hits, 4), 1);
    assert_ok(wn_index_passage(index, hits[0].passage, &p, &err), &err);
    assert_string_equal(p->input, "Airships They float.");
    assert_string_equal(p->title, "Airships");
    wn_passage_free(p);
    assert_int_equal(bm25(index, "balloons", hits, 4), 1);
    wn_index_close(index);
    remove_path(path);
}

static void markdown_gives_headings_and_front_matter(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_new_document d = doc("page.md", NULL, "---\nlang: fr\nteam: web\n---\n# Ships\n\n## Air\n\nzeppelins\n");
    d.markdown = true;
    d.metadata = "{\"lang\": \"en\"}";
    put(path, &d, 1, &model);
    listing l = list(path, "page.md");
    assert_string_equal(l.titles[0], "Ships");
    assert_string_equal(l.metadata[0], "{\"lang\":\"en\",\"team\":\"web\"}");
    remove_path(path);
}

static void filters_see_the_metadata(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_new_document d = doc("n", NULL, "zeppelin memory");
    d.metadata = "{\"lang\":\"xx\",\"tags\":[\"a\",\"b\"]}";
    put(path, &d, 1, &model);
    wn_index *index = open_index(path);
    wn_hit hits[4];
    size_t count;
    wn_error err;
    wn_filter filter = {"tags", "b"};
    assert_ok(wn_index_search_bm25(index, (wn_str){"memory", 6}, 4, &filter, 1, hits, &count, &err), &err);
    assert_int_equal(count, 1);
    wn_index_close(index);
    remove_path(path);
}

static void remove_takes_it_out_and_tells_what_was_known(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_new_document d[2] = {doc("a", NULL, "zeppelin one"), doc("b", NULL, "zeppelin two")};
    put(path, d, 2, &model);
    const char *sources[3] = {"a", "nobody", "docs/lora.md"};
    bool known[3];
    wn_build_stats stats;
    wn_error err;
    assert_ok(wn_index_remove(path, sources, 3, NULL, known, &stats, &err), &err);
    assert_true(known[0] && !known[1] && known[2]);
    assert_int_equal(stats.documents_removed, 2);
    check_consistent(path);
    wn_index *index = open_index(path);
    wn_hit hits[4];
    assert_int_equal(bm25(index, "zeppelin", hits, 4), 1);
    assert_source(index, hits[0].passage, "b");
    wn_index_close(index);
    assert_int_equal(take(path, "a").documents_removed, 0); /* no error: it is gone */
    assert_int_equal(wn_index_remove(path, sources, 0, NULL, NULL, NULL, &err), WN_ERR_ARGUMENT);
    sources[1] = "";
    assert_int_equal(wn_index_remove(path, sources, 3, NULL, NULL, NULL, &err), WN_ERR_ARGUMENT);
    remove_path(path);
}

static void listing_pages_and_filters_by_source(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_new_document d[3] = {doc("n/a", NULL, "x"), doc("n/b", NULL, "y"), doc("m", NULL, "z")};
    put(path, d, 3, &model);
    wn_index *index = open_index(path);
    wn_error err;
    size_t total = 0, pages = 0;
    for (int64_t after = 0;; pages++) {
        listing l = {0};
        assert_ok(wn_index_documents(index, NULL, after, 2, note, &l, &err), &err);
        if (!l.n) break;
        assert_true(l.n <= 2 && l.last > after);
        after = l.last;
        total += l.n;
    }
    assert_int_equal(total, small_count + 3);
    assert_int_equal(pages, (small_count + 3 + 1) / 2);
    wn_index_close(index);
    assert_int_equal(list(path, "n/*").n, 2);
    assert_int_equal(list(path, "n/b").n, 1);
    assert_int_equal(list(path, "docs/lora.md").put[0], false);
    assert_int_equal(list(path, "n/b").put[0], true);
    assert_int_equal(list(path, "nobody").n, 0);
    remove_path(path);
}

/* A rebuild of the folder that a document's name lies below finds no such file, and keeps it. */
static void rebuild_keeps_what_was_put(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_new_document d[2] = {doc("docs/api-only.md", NULL, "zeppelin"), doc("docs/lora.md", NULL, "replaced zeppelin")};
    wn_build_stats stats = put(path, d, 2, &model);
    assert_int_equal(stats.documents_added, 1);
    assert_int_equal(stats.documents_changed, 1);
    assert_int_equal(list(path, "docs/*").n, 4);
    wn_error err;
    /* docs/lora.md vanished from the folder: what was put stays. */
    assert_ok(fake_build(path, small + 1, 2, "docs", &model, NULL, &stats, &err), &err);
    assert_int_equal(stats.documents_removed, 0);
    assert_int_equal(list(path, "docs/*").n, 4);
    /* It is there: an input takes its place, and there is one of it. */
    assert_ok(fake_build(path, small, 3, "docs", &model, NULL, &stats, &err), &err);
    assert_int_equal(stats.documents_changed, 1);
    assert_int_equal(stats.documents_removed, 0);
    check_consistent(path);
    listing l = list(path, "docs/lora.md");
    assert_int_equal(l.n, 1);
    assert_false(l.put[0]);
    assert_true(list(path, "docs/api-only.md").put[0]);
    remove_path(path);
}

/* Two corpora may hold one id; a put of that source is about both. */
static void put_replaces_all_documents_of_a_source(void **state) {
    fake_model model = {0};
    static const fake_document lines[] = {
        {.source = "7", .origin = "a.jsonl", .kind = WN_DOCUMENT_CORPUS, .title = "A", .text = "alpha"},
        {.source = "7", .origin = "b.jsonl", .kind = WN_DOCUMENT_CORPUS, .title = "B", .text = "beta"}};
    char *path = temp_path("two.wn");
    wn_error err;
    assert_ok(fake_build(path, lines, 2, NULL, &model, NULL, NULL, &err), &err);
    wn_new_document d = doc("7", NULL, "gamma");
    wn_build_stats stats = put(path, &d, 1, &model);
    assert_int_equal(stats.documents_changed, 1);
    assert_int_equal(stats.documents_removed, 1);
    listing l = list(path, "7");
    assert_int_equal(l.n, 1);
    assert_true(l.put[0]);
    assert_int_equal(take(path, "7").documents_removed, 1);
    remove_path(path);
}

static void hostile_documents_are_refused_and_change_nothing(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    char deep[300], *big = calloc(1, 70000);
    memset(big, 'x', 69999);
    wn_new_document good = doc("good", NULL, "good"), bad[2] = {good, good};
    struct { const char *source, *title, *text, *metadata, *part; } cases[] = {
        {"", NULL, "t", NULL, "document 2 has no source"},
        {NULL, NULL, "t", NULL, "document 2 has no source"},
        {"a\nb", NULL, "t", NULL, "control character"},
        {"\xff", NULL, "t", NULL, "not UTF-8"},
        {big, NULL, "t", NULL, "69999 bytes"},
        {"s", big, "t", NULL, "title is over"},
        {"s", "\xc3", "t", NULL, "title is not UTF-8"},
        {"s", NULL, "ab\xed\xa0\x80", NULL, "at byte 2"},
        {"s", NULL, "", NULL, "is empty"},
        {"s", " ", " \t\n\xe3\x80\x80", NULL, "is empty"},
        {"s", NULL, "t", "", "document 2 (s)"},
        {"s", NULL, "t", "[]", "not a JSON object"},
        {"s", NULL, "t", "{\"a\":", "document 2 (s)"},
        {"s", NULL, "t", "{\"a\":1e999}", "document 2 (s)"},
        {"s", NULL, "t", "{\"a\":\"\xff\"}", "document 2 (s)"},
        {"s", NULL, "t", "{\"a\\u0000b\":1}", "document 2 (s)"},
        {"good", NULL, "t", NULL, "given twice"},
        {"s", NULL, "t", deep, "deep"},
    };
    char *at = deep + sprintf(deep, "{\"a\":");
    memset(at, '[', 100);
    memset(at + 100, ']', 100);
    strcpy(at + 200, "}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bad[1] = doc(cases[i].source, cases[i].title, cases[i].text);
        bad[1].metadata = cases[i].metadata;
        refuse(path, bad, 2, WN_ERR_ARGUMENT, cases[i].part);
    }
    refuse(path, bad, 0, WN_ERR_ARGUMENT, "no documents");
    assert_int_equal(list(path, NULL).n, small_count);
    /* Odd, but a document: keys like columns, NULs, quotes, an emoji as a name. */
    good = doc("\xf0\x9f\x8e\x88'; DROP TABLE documents", "q\"", "x");
    good.text = (wn_str){"nul\0here", 8};
    good.metadata = "{\"source\":\"fake\",\"title\":[1],\"\":null}";
    put(path, &good, 1, &model);
    assert_int_equal(list(path, NULL).n, small_count + 1);
    free(big);
    remove_path(path);
}

static void refuses_what_does_not_belong(void **state) {
    fake_model model = {0}, other = {.dim = 12};
    char *path = build_small(&model), *bare = build_small(NULL);
    wn_new_document d = doc("d", NULL, "zeppelin");
    wn_embedder embedder = fake_embedder(&other);
    wn_error err;
    assert_int_equal(wn_index_put_from(path, &d, 1, &embedder, NULL, NULL, NULL, &err), WN_ERR_MISMATCH);
    assert_int_equal(wn_index_put_from(path, &d, 1, NULL, NULL, NULL, NULL, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "fake-model"));
    refuse("/nonexistent/x.wn", &d, 1, WN_ERR_NOT_FOUND, "/nonexistent/x.wn");
    assert_int_equal(wn_index_put(bare, &d, 1, NULL, NULL, NULL, &err), WN_OK); /* BM25 only needs none */
    put(bare, &d, 1, &model); /* and minds none */
    assert_int_equal(list(bare, "d").n, 1);
    remove_path(path);
    remove_path(bare);
}

static void failing_model_leaves_the_index_as_it_was(void **state) {
    fake_model model = {0}, broken = {.fail_at = 3};
    char *path = build_small(&model), *text = long_text(600, 3);
    wn_new_document d[2] = {doc("docs/lora.md", NULL, "changed"), doc("new", NULL, text)};
    wn_embedder embedder = fake_embedder(&broken);
    wn_error err;
    assert_int_equal(wn_index_put_from(path, d, 2, &embedder, NULL, NULL, NULL, &err), WN_ERR_INTERNAL);
    check_consistent(path);
    assert_int_equal(list(path, NULL).n, small_count);
    assert_false(list(path, "docs/lora.md").put[0]);
    free(text);
    remove_path(path);
}

/* What a killed build left without embeddings is not this call's to embed, but what it replaces is. */
static void put_minds_passages_that_a_killed_build_left(void **state) {
    fake_model model = {0}, broken = {.fail_at = 2};
    char *path = temp_path("half.wn");
    wn_build_options options = wn_build_options_default();
    options.batch_tokens = 1;
    wn_error err;
    assert_int_equal(fake_build(path, small, small_count, NULL, &broken, &options, NULL, &err), WN_ERR_INTERNAL);
    wn_new_document d = doc("docs/spark.md", NULL, "The DGX Spark has 128 GB of unified memory.");
    wn_build_stats stats = put(path, &d, 1, &model);
    assert_int_equal(stats.passages_embedded, 1);
    wn_index *index = open_index(path);
    wn_index_info info;
    assert_ok(wn_index_describe(index, &info, &err), &err);
    assert_int_equal(info.embedded, 2);
    wn_index_close(index);
    assert_ok(fake_build(path, small, 0, NULL, &model, &options, &stats, &err), &err);
    assert_int_equal(stats.passages_embedded, 2);
    remove_path(path);
}

static void second_writer_is_busy(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_database other;
    wn_error err;
    assert_ok(wn_database_open(path, WN_DATABASE_WRITE, &other, &err), &err);
    assert_ok(wn_database_begin(&other, 0, &err), &err);
    wn_new_document d = doc("d", NULL, "zeppelin");
    refuse(path, &d, 1, WN_ERR_BUSY, "another process");
    wn_database_rollback(&other);
    wn_database_close(&other);
    put(path, &d, 1, &model);
    remove_path(path);
}

/* In our own memory; SQLite's has tests of its own. */
static void every_failing_allocation_leaves_the_index_as_it_was(void **state) {
    fake_model model = {0};
    char *path = build_small(&model), *text = long_text(300, 5);
    wn_new_document d[3] = {doc("docs/lora.md", NULL, "changed"), doc("new.md", "T", "# A\n\ntext\n"), doc("long", NULL, text)};
    d[1].markdown = true;
    d[1].metadata = "{\"k\": [1, {\"m\": null}]}";
    wn_embedder embedder = fake_embedder(&model);
    const char *sources[2] = {"long", "docs/lora.md"};
    json_set_alloc_funcs(wn_malloc, wn_free);
    for (int removing = 0; removing < 2; removing++) {
        wn_status st = WN_ERR_MEMORY;
        uint64_t n = 1;
        for (; n < 3000 && st != WN_OK; n++) {
            wn_error err = {0};
            wn_memory_fail_at(n, true);
            st = removing ? wn_index_remove(path, sources, 2, NULL, NULL, NULL, &err)
                          : wn_index_put_from(path, d, 3, &embedder, NULL, NULL, NULL, &err);
            wn_memory_fail_at(0, false);
            /* jansson calls some failed allocations in its scanner a syntax error: a refusal as well */
            if (st != WN_OK && st != WN_ERR_MEMORY && !(st == WN_ERR_ARGUMENT && strstr(err.message, "JSON")))
                fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
            if (st != WN_OK) assert_int_equal(list(path, NULL).n, removing ? small_count + 2 : small_count);
        }
        assert_true(st == WN_OK && n > (removing ? 5 : 30));
        check_consistent(path);
    }
    json_set_alloc_funcs(malloc, free);
    assert_int_equal(list(path, NULL).n, small_count);
    free(text);
    remove_path(path);
}

/* ---- kill -9 --------------------------------------------------------------------- */

enum { names = 12 };

/* What the child has been told, in memory that outlives it: the version of each name that was
 * acknowledged (0: none, negative: removed since version -v). */
typedef struct ledger {
    volatile int acknowledged[names], begun[names];
    volatile int operations;
} ledger;

static void version_text(int name, int version, char *text) {
    unsigned seed = (unsigned)(name * 1000 + version);
    int at = sprintf(text, "name%dx version%dx ", name, version);
    for (int i = 0; i < 30 + version % 90; i++) {
        seed = seed * 1664525u + 1013904223u;
        at += sprintf(text + at, "w%u ", seed >> 22);
    }
}

/* In the child: puts and removes for ever. */
static void write_for_ever(const char *path, ledger *l, unsigned seed) {
    fake_model model = {.slow_us = 30};
    wn_embedder embedder = fake_embedder(&model);
    char text[4096], source[16];
    wn_error err;
    for (;;) {
        seed = seed * 1664525u + 1013904223u;
        int name = (int)((seed >> 16) % names), last = abs(l->begun[name]), version = last + 1;
        bool removing = (seed >> 24) % 4 == 0;
        snprintf(source, sizeof source, "n%d", name);
        version_text(name, version, text);
        l->begun[name] = removing ? -version : version;
        const char *sources[1] = {source};
        wn_new_document d = doc(source, NULL, text);
        wn_status st = removing ? wn_index_remove(path, sources, 1, NULL, NULL, NULL, &err)
                                : wn_index_put_from(path, &d, 1, &embedder, NULL, NULL, NULL, &err);
        if (st != WN_OK) {
            fprintf(stderr, "child: %s\n", err.message);
            _exit(3);
        }
        l->acknowledged[name] = removing ? -version : version;
        l->operations++;
    }
}

/* The version of a name that the index holds, 0 for none. */
static int stored_version(wn_index *index, int name) {
    char word[32], *at;
    wn_hit hits[64];
    int version = 0;
    snprintf(word, sizeof word, "name%dx", name);
    size_t n = bm25(index, word, hits, 64);
    assert_true(n <= 1);
    if (!n) return 0;
    wn_passage *p = NULL;
    wn_error err;
    assert_ok(wn_index_passage(index, hits[0].passage, &p, &err), &err);
    at = strstr(p->content, "version");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "version%d", &version), 1);
    wn_passage_free(p);
    return version;
}

/* Exactly what was acknowledged, or what was begun after it. */
static void check_ledger(const char *path, const ledger *l) {
    wn_index *index = open_index(path);
    for (int i = 0; i < names; i++) {
        int got = stored_version(index, i), done = l->acknowledged[i], begun = l->begun[i];
        int wanted = done > 0 ? done : 0, other = begun > 0 ? begun : 0;
        if (got != wanted && got != other)
            fail_msg("n%d: version %d is stored; %d was acknowledged, %d begun", i, got, done, begun);
    }
    wn_index_close(index);
}

static void kill_loses_nothing_acknowledged(void **state) {
    fake_model model = {0};
    const char *wanted = getenv("WN_KILLS");
    int kills = wanted ? atoi(wanted) : 20;
    char *path = build_small(&model);
    ledger *l = mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(l != MAP_FAILED);
    unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
    print_message("seed %u\n", seed);
    /* On a slow machine many writers die before their first write: go on until enough have written. */
    for (int i = 0; i < kills || (l->operations <= kills && i < 20 * kills); i++) {
        seed = seed * 1664525u + 1013904223u;
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) write_for_ever(path, l, seed);
        usleep(2000 + (seed >> 8) % 60000);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        check_consistent(path);
        check_ledger(path, l);
        /* What is stored is what counts from here on, begun or acknowledged. */
        wn_index *index = open_index(path);
        for (int n = 0; n < names; n++) {
            int got = stored_version(index, n);
            l->acknowledged[n] = got;
            if (abs(l->begun[n]) > 0) l->begun[n] = got ? got : -abs(l->begun[n]);
        }
        wn_index_close(index);
    }
    print_message("%d kills, %d acknowledged operations\n", kills, l->operations);
    assert_true(l->operations > kills);
    munmap(l, sizeof *l);
    remove_path(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_is_found_by_both_first_stages),
        cmocka_unit_test(put_again_replaces_and_keeps_passages_that_stayed),
        cmocka_unit_test(titles_are_read_as_of_a_corpus_line),
        cmocka_unit_test(markdown_gives_headings_and_front_matter),
        cmocka_unit_test(filters_see_the_metadata),
        cmocka_unit_test(remove_takes_it_out_and_tells_what_was_known),
        cmocka_unit_test(listing_pages_and_filters_by_source),
        cmocka_unit_test(rebuild_keeps_what_was_put),
        cmocka_unit_test(put_replaces_all_documents_of_a_source),
        cmocka_unit_test(hostile_documents_are_refused_and_change_nothing),
        cmocka_unit_test(refuses_what_does_not_belong),
        cmocka_unit_test(failing_model_leaves_the_index_as_it_was),
        cmocka_unit_test(put_minds_passages_that_a_killed_build_left),
        cmocka_unit_test(second_writer_is_busy),
        cmocka_unit_test(every_failing_allocation_leaves_the_index_as_it_was),
        cmocka_unit_test(kill_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
