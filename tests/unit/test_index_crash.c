/* test_index_crash.c -- kill -9 at any moment of a build, then look, then go on.
 *
 * A child builds with a slow model and is killed after a random time, again and again, until one
 * run comes through. After each kill the file must be consistent (check_consistent), and no
 * committed embedding may be lost; the finished index must answer as one built in peace does,
 * score by score and bit by bit. The seed is printed. */
#include "fake_index.h"

#include <signal.h>
#include <sys/wait.h>

enum { ndocuments = 90, nqueries = 25, dim = 24 };

static char *make_text(size_t words, unsigned seed) {
    char *text = malloc(words * 12), *at = text;
    for (size_t i = 0; i < words; i++) {
        seed = seed * 1664525u + 1013904223u;
        at += sprintf(at, "v%u ", seed >> 24);
    }
    at[-1] = 0;
    return text;
}

/* Generation 0 and 1 share most documents; some change in the middle, some go, some come. */
static fake_document *make_documents(int generation) {
    fake_document *documents = calloc(ndocuments, sizeof *documents);
    for (unsigned i = 0; i < ndocuments; i++) {
        unsigned number = i + (generation && i >= 80 ? 100 : 0);
        char *source = NULL, *text = make_text(60 + 7 * (i % 23), number + 1);
        assert_true(asprintf(&source, "d/%03u.txt", number) > 0);
        if (generation && i % 9 == 0) memcpy(text + 10, "zzz", 3);
        documents[i] = (fake_document){.source = source, .text = text};
    }
    return documents;
}

static void free_generation(fake_document *documents) {
    for (size_t i = 0; i < ndocuments; i++) {
        free((void *)(uintptr_t)documents[i].source);
        free((void *)(uintptr_t)documents[i].text);
    }
    free(documents);
}

static wn_build_options crash_options(void) {
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = 120;
    options.split.chunk_overlap = 20;
    options.batch_tokens = 400; /* a commit every dozen passages */
    return options;
}

/* In the child: never returns. */
static void build_and_exit(const char *path, const fake_document *documents) {
    fake_model model = {.dim = dim, .slow_us = 40};
    fake_source source = {.documents = documents, .count = ndocuments, .slow_us = 200};
    const char *covered = "d";
    wn_build_input input = {.ctx = &source, .next = fake_next, .covered = &covered, .ncovered = 1};
    wn_embedder embedder = fake_embedder(&model);
    wn_build_options options = crash_options();
    wn_error err;
    wn_status st = wn_index_build_from(path, &input, &embedder, &options, NULL, &err);
    if (st != WN_OK) fprintf(stderr, "child: %s: %s\n", wn_status_name(st), err.message);
    _exit(st == WN_OK ? 0 : 3);
}

/* True when the child came through before it was killed. */
static bool build_and_kill(const char *path, const fake_document *documents, unsigned after_us) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) build_and_exit(path, documents);
    usleep(after_us);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) return false;
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

static int64_t count_embedded(const char *path) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    int64_t n = sql_int(db, "SELECT count(*) FROM sqlite_schema") ? sql_int(db, "SELECT count(block) FROM chunks") : 0;
    sqlite3_close(db);
    return n;
}

/* A result by what a user sees of it: ids depend on history. */
typedef struct answer {
    char source[16];
    uint32_t ordinal;
    float score;
} answer;

static int compare_answers(const void *a, const void *b) {
    const answer *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    int order = strcmp(x->source, y->source);
    return order ? order : (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* All passages with their scores, for one dense and one BM25 query. */
static size_t ask(wn_index *index, unsigned number, bool dense, answer *out, size_t limit) {
    fake_model model = {.dim = dim, .length = 1};
    char text[32];
    float vector[dim];
    wn_hit *hits = malloc(limit * sizeof *hits);
    size_t count = 0;
    wn_error err;
    snprintf(text, sizeof text, "v%u v%u", number * 10 % 256, number * 37 % 256);
    fake_vector(&model, (wn_str){text, strlen(text)}, vector);
    assert_ok(dense ? wn_index_search_dense(index, vector, limit, NULL, 0, hits, &count, &err)
                    : wn_index_search_bm25(index, (wn_str){text, strlen(text)}, limit, NULL, 0, hits, &count, &err), &err);
    memset(out, 0, count * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        wn_passage *p = NULL;
        assert_ok(wn_index_passage(index, hits[i].passage, &p, &err), &err);
        snprintf(out[i].source, sizeof out[i].source, "%s", p->source);
        out[i].ordinal = p->ordinal;
        out[i].score = hits[i].score;
        wn_passage_free(p);
    }
    free(hits);
    qsort(out, count, sizeof *out, compare_answers);
    return count;
}

static void assert_same_answers(const char *path, const char *clean) {
    enum { limit = 2000 };
    wn_index *a = NULL, *b = NULL;
    wn_error err;
    assert_ok(wn_index_open(path, &a, &err), &err);
    assert_ok(wn_index_open(clean, &b, &err), &err);
    answer *x = malloc(limit * sizeof *x), *y = malloc(limit * sizeof *y);
    size_t compared = 0;
    for (unsigned i = 0; i < nqueries; i++) {
        for (int dense = 0; dense < 2; dense++) {
            size_t n = ask(a, i, dense, x, limit), m = ask(b, i, dense, y, limit);
            assert_int_equal(n, m);
            assert_memory_equal(x, y, n * sizeof *x);
            compared += n;
        }
    }
    print_message("%zu results of %d queries equal those of a clean build\n", compared, 2 * nqueries);
    free(x);
    free(y);
    wn_index_close(a);
    wn_index_close(b);
}

static unsigned next_random(unsigned *seed) { return (*seed = *seed * 1664525u + 1013904223u) >> 8; }

/* Kills until a run comes through, which gets likelier: the time given grows. */
static size_t kill_until_done(const char *path, const fake_document *documents, bool update, unsigned *seed) {
    size_t kills = 0;
    unsigned span_us = 20000;
    for (int64_t before = -1;; kills++, span_us += span_us / 8) {
        bool done = build_and_kill(path, documents, next_random(seed) % span_us);
        if (before < 0 && access(path, F_OK) != 0) continue; /* killed before it made the file */
        check_consistent(path);
        int64_t now = count_embedded(path);
        /* The scan of an update takes changed passages away. */
        if (!update) assert_true(now >= before);
        before = now;
        if (done) return kills;
        assert_true(kills < 100);
    }
}

static void killed_builds_complete_to_the_same_index(void **state) {
    fake_document *first = make_documents(0), *second = make_documents(1);
    fake_model model = {.dim = dim};
    wn_build_options options = crash_options();
    wn_error err;
    char *clean = temp_path("clean.wn"), *clean_second = temp_path("clean.wn");
    assert_ok(fake_build(clean, first, ndocuments, "d", &model, &options, NULL, &err), &err);
    assert_ok(fake_build(clean_second, second, ndocuments, "d", &model, &options, NULL, &err), &err);
    unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid(), kept = seed;
    print_message("seed %u\n", seed);
    size_t kills = 0;
    for (int round = 0; kills < 30; round++) {
        char *path = temp_path("killed.wn");
        kills += kill_until_done(path, first, false, &seed);
        assert_same_answers(path, clean);
        kills += kill_until_done(path, second, true, &seed);
        assert_same_answers(path, clean_second);
        char journal[512];
        snprintf(journal, sizeof journal, "%s-journal", path);
        assert_int_equal(access(journal, F_OK), -1);
        remove_path(path);
        if (round > 60) fail_msg("only %zu kills in %d rounds (seed %u)", kills, round, kept);
    }
    print_message("%zu kills\n", kills);
    remove_path(clean);
    remove_path(clean_second);
    free_generation(first);
    free_generation(second);
}

/* A writer killed in a commit leaves its journal: a reader undoes it, or says why it can't. */
static void reader_undoes_an_interrupted_commit(void **state) {
    fake_document *documents = make_documents(0);
    char *path = temp_path("journal.wn"), journal[512];
    snprintf(journal, sizeof journal, "%s-journal", path);
    wn_build_options options = crash_options();
    assert_int_equal(fake_build(path, documents, 40, NULL, NULL, &options, NULL, NULL), WN_OK);
    pid_t child = fork();
    if (child == 0) {
        /* Spills dirty pages into the file itself, then dies. */
        sqlite3 *db = NULL;
        sqlite3_open(path, &db);
        sqlite3_exec(db, "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN; DELETE FROM chunks", 0, 0, 0);
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(access(journal, F_OK), 0);
    wn_index *index = NULL;
    wn_error err;
    assert_ok(wn_index_open(path, &index, &err), &err);
    wn_index_info info;
    assert_int_equal(wn_index_describe(index, &info, NULL), WN_OK);
    assert_int_equal(info.documents, 40);
    assert_true(info.passages > 40);
    wn_index_close(index);
    assert_true(check_consistent(path));
    remove_path(path);
    free_generation(documents);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_builds_complete_to_the_same_index),
        cmocka_unit_test(reader_undoes_an_interrupted_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
