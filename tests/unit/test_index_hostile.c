/* test_index_hostile.c -- files that are no index, are damaged, or can't be written. */
#include "fake_index.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { dim = 16, ndocuments = 60 };

static char *build_sample(fake_model *model) {
    static fake_document documents[ndocuments];
    static char sources[ndocuments][16], texts[ndocuments][400];
    for (size_t i = 0; i < ndocuments; i++) {
        sprintf(sources[i], "s/%zu.md", i);
        char *at = texts[i];
        for (size_t j = 0; j < 30; j++) at += sprintf(at, "term%zu ", (i * 31 + j * 7) % 97);
        documents[i] = (fake_document){.source = sources[i], .text = texts[i], .title = "A title",
                                       .metadata = "{\"lang\": \"en\"}"};
    }
    char *path = temp_path("sample.wn");
    wn_error err;
    assert_ok(fake_build(path, documents, ndocuments, "s", model, NULL, NULL, &err), &err);
    return path;
}

static unsigned char *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_all(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* Everything a reader does. The first failure is returned, and must name the file. */
static wn_status use(const char *path, wn_error *err) {
    wn_index *index = NULL;
    wn_status st = wn_index_open(path, &index, err);
    if (st != WN_OK) return st;
    wn_index_info info;
    wn_hit hits[8];
    wn_filter filter = {"lang", "en"};
    float query[64] = {1};
    size_t count = 0;
    st = wn_index_describe(index, &info, err);
    if (st == WN_OK && info.dim && info.dim <= 64) st = wn_index_search_dense(index, query, 8, &filter, 1, hits, &count, err);
    if (st == WN_OK) st = wn_index_search_bm25(index, (wn_str){"term3 term5", 11}, 8, &filter, 1, hits, &count, err);
    for (size_t i = 0; st == WN_OK && i < count; i++) {
        wn_passage *p = NULL;
        st = wn_index_passage(index, hits[i].passage, &p, err);
        wn_passage_free(p);
    }
    wn_index_close(index);
    return st;
}

static void assert_refused(const char *path, wn_status expected, const char *words) {
    wn_error err = {0};
    wn_status st = use(path, &err);
    if (st != expected) fail_msg("%s, not %s: %s", wn_status_name(st), wn_status_name(expected), err.message);
    assert_int_equal(err.code, st);
    if (!strstr(err.message, path)) fail_msg("does not name the file: %s", err.message);
    if (!strstr(err.message, words)) fail_msg("does not say \"%s\": %s", words, err.message);
}

static void run_sql(const char *path, const char *sql) {
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &message);
    if (message) fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static void what_is_no_index_is_refused_by_name(void **state) {
    char *path = temp_path("no.wn");
    wn_error err;
    assert_refused(path, WN_ERR_NOT_FOUND, "No such file");
    write_all(path, "", 0);
    assert_refused(path, WN_ERR_FORMAT, "empty");
    write_all(path, "# Notes\n\nA Markdown file, rather longer than the header of a database would be: "
                    "one hundred bytes.\n", 100);
    assert_refused(path, WN_ERR_FORMAT, "not an SQLite file");
    /* And a build does not write over it. */
    fake_document document = {.source = "a", .text = "b"};
    assert_int_equal(fake_build(path, &document, 1, NULL, NULL, NULL, NULL, &err), WN_ERR_FORMAT);
    unlink(path);
    run_sql(path, "CREATE TABLE mine(a)");
    assert_refused(path, WN_ERR_FORMAT, "not a winnow index");
    assert_int_equal(fake_build(path, &document, 1, NULL, NULL, NULL, NULL, &err), WN_ERR_FORMAT);
    unlink(path);
    assert_int_equal(mkdir(path, 0755), 0);
    wn_index *index = NULL;
    assert_int_not_equal(wn_index_open(path, &index, &err), WN_OK);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(fake_build(path, &document, 1, NULL, NULL, NULL, NULL, &err), WN_ERR_IO);
    assert_non_null(strstr(err.message, "folder"));
    rmdir(path);
    assert_int_equal(wn_index_open("", &index, &err), WN_ERR_ARGUMENT);
    assert_int_equal(fake_build("/nowhere/at/all.wn", &document, 1, NULL, NULL, NULL, NULL, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/at/all.wn"));
    remove_path(path);
}

static void index_of_the_future_is_unsupported(void **state) {
    fake_model model = {.dim = dim};
    char *path = build_sample(&model);
    run_sql(path, "PRAGMA user_version=7");
    assert_refused(path, WN_ERR_UNSUPPORTED, "version 7");
    fake_document document = {.source = "a", .text = "b"};
    wn_error err;
    assert_int_equal(fake_build(path, &document, 1, NULL, &model, NULL, NULL, &err), WN_ERR_UNSUPPORTED);
    run_sql(path, "PRAGMA user_version=1");
    assert_int_equal(use(path, &err), WN_OK);
    remove_path(path);
}

/* Well-formed SQLite, ill-formed index. */
static void strange_tables_are_refused(void **state) {
    static const struct { const char *sql, *words; } cases[] = {
        {"CREATE TABLE other(a)", "other does not belong"},
        {"CREATE VIEW v AS SELECT 1", "v does not belong"},
        {"CREATE TRIGGER t AFTER DELETE ON chunks BEGIN SELECT 1; END", "does not belong"},
        {"CREATE INDEX extra ON chunks(ordinal)", "does not belong"},
        {"DROP INDEX chunks_pending", "missing"},
        {"DROP TABLE meta", "missing"},
        {"DROP TABLE full_text", "missing"},
        {"ALTER TABLE documents ADD COLUMN x", "not winnow's"},
        {"DELETE FROM meta WHERE key = 'dim'", "meta has no dim"},
        {"UPDATE meta SET value = -1 WHERE key = 'dim'", "dim in meta is out of range"},
        {"UPDATE meta SET value = 'x' WHERE key = 'pooling'", "pooling in meta"},
        {"UPDATE meta SET value = 9 WHERE key = 'model_name'", "no text"},
        {"UPDATE meta SET value = 8 WHERE key = 'dim'; UPDATE vectors SET ids = x'00'", ""},
        {"UPDATE vectors SET data = zeroblob(17)", "block 1 of embeddings has sizes"},
        {"UPDATE vectors SET ids = zeroblob(0), data = zeroblob(0)", "block 1 of embeddings has sizes"},
        {"UPDATE vectors SET data = 'text'", "block 1"},
        {"UPDATE vectors SET data = zeroblob(length(data))", "checksum"},
        {"UPDATE vectors SET hash = zeroblob(16)", "checksum"},
        {"UPDATE vectors SET hash = NULL", ""},
        {"INSERT INTO vectors SELECT block + 1, ids, data, hash FROM vectors", "two embeddings"},
        {"UPDATE chunks SET content = content || '!'", "checksum"},
        {"UPDATE chunks SET content = 5", "checksum"},
        {"UPDATE chunks SET content = x'616263'", "no text"},
        {"UPDATE chunks SET begin_byte = -5", "wrong place"},
        {"UPDATE chunks SET hash = x'00'", "not 16 bytes"},
        {"UPDATE documents SET metadata = '{'", ""},
        {"UPDATE documents SET source = x'ff'", "no text"},
    };
    fake_model model = {.dim = dim};
    char *path = build_sample(&model);
    size_t size;
    unsigned char *good = read_all(path, &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_all(path, good, size);
        sqlite3 *db = NULL;
        sqlite3_open(path, &db);
        int rc = sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL);
        sqlite3_close(db);
        wn_error err = {0};
        /* NOT NULL guards a case or two for us: then the file is as it was. */
        if (rc != SQLITE_OK && use(path, &err) == WN_OK) continue;
        if (use(path, &err) == WN_OK) {
            /* Legal in the tables, and without effect on this search. */
            fail_msg("accepted: %s", cases[i].sql);
        }
        if (!strstr(err.message, path)) fail_msg("%s: does not name the file: %s", cases[i].sql, err.message);
        if (!strstr(err.message, cases[i].words)) fail_msg("%s: %s", cases[i].sql, err.message);
    }
    free(good);
    remove_path(path);
}

static void truncated_index_is_an_error_or_whole(void **state) {
    fake_model model = {.dim = dim};
    char *path = build_sample(&model);
    size_t size;
    unsigned char *good = read_all(path, &size);
    size_t refused = 0;
    for (size_t i = 0; i < 120; i++) {
        size_t cut = i < 100 ? i * size / 100 : size - (i - 99);
        write_all(path, good, cut);
        wn_error err = {0};
        wn_status st = use(path, &err);
        if (st != WN_OK) assert_non_null(strstr(err.message, path));
        refused += st != WN_OK;
    }
    print_message("%zu of 120 truncations refused\n", refused);
    assert_true(refused >= 119);
    free(good);
    remove_path(path);
}

/* Reads, then builds: neither may crash, and errors name the file. */
static void flipped_bits_never_crash(void **state) {
    fake_model model = {.dim = dim};
    char *path = build_sample(&model);
    size_t size;
    unsigned char *good = read_all(path, &size), *bad = malloc(size);
    unsigned seed = 12345;
    size_t refused = 0, rounds = 1500;
    fake_document document = {.source = "s/1.md", .text = "a changed text"};
    for (size_t i = 0; i < rounds; i++) {
        memcpy(bad, good, size);
        unsigned flips = 1 + i % 8;
        for (unsigned j = 0; j < flips; j++) {
            seed = seed * 1664525u + 1013904223u;
            unsigned bit = seed >> 29;
            seed = seed * 1664525u + 1013904223u;
            /* Half of them where pages and cells begin: most of a page is free space. */
            size_t at = (seed >> 4) % size;
            if (i % 2) at = at / 16384 * 16384 + at % 128;
            bad[at] ^= (unsigned char)(1u << bit);
        }
        write_all(path, bad, size);
        wn_error err = {0};
        wn_status st = use(path, &err);
        if (st != WN_OK && !strstr(err.message, path)) fail_msg("round %zu: %s", i, err.message);
        refused += st != WN_OK;
        if (i % 8 == 0) {
            err = (wn_error){0};
            st = fake_build(path, &document, 1, "s", &model, NULL, NULL, &err);
            if (st != WN_OK && !strstr(err.message, path)) fail_msg("build %zu: %s", i, err.message);
        }
    }
    print_message("%zu of %zu damaged files refused, the others hold the damage elsewhere\n", refused, rounds);
    assert_true(refused > rounds / 4);
    free(good);
    free(bad);
    remove_path(path);
}

/* ---- What can't be written ----------------------------------------------------------- */

/* Root may write anything: these run as nobody, in a child. Returns the child's status. */
static wn_status build_as_nobody(const char *path, char *message, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        if (geteuid() == 0 && setuid(65534) != 0) _exit(99);
        fake_model model = {.dim = dim};
        fake_document document = {.source = "s/new", .text = "a new text"};
        wn_error err = {0};
        wn_status st = fake_build(path, &document, 1, "s", &model, NULL, NULL, &err);
        if (st == WN_OK) st = use(path, &err);
        if (write(ends[1], err.message, sizeof err.message) < 0) _exit(98);
        _exit((int)st);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], message, size - 1);
    message[n > 0 ? n : 0] = 0;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return (wn_status)WEXITSTATUS(status);
}

static wn_status read_as_nobody(const char *path) {
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0) _exit(99);
        wn_error err = {0};
        wn_status st = use(path, &err);
        if (st != WN_OK) fprintf(stderr, "%s\n", err.message);
        _exit((int)st);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return (wn_status)WEXITSTATUS(status);
}

static void readonly_file_and_folder_are_named(void **state) {
    fake_model model = {.dim = dim};
    char *path = build_sample(&model), folder[256], message[512];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    /* The file may be written, but not its folder: no room for a journal. */
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(build_as_nobody(path, message, sizeof message), WN_ERR_READONLY);
    assert_non_null(strstr(message, path));
    assert_int_equal(read_as_nobody(path), WN_OK);
    /* Nor the file. */
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(build_as_nobody(path, message, sizeof message), WN_ERR_READONLY);
    assert_non_null(strstr(message, path));
    assert_int_equal(read_as_nobody(path), WN_OK);
    /* A new file in a folder that takes none. */
    char other[300];
    snprintf(other, sizeof other, "%s/other.wn", folder);
    assert_int_equal(build_as_nobody(other, message, sizeof message), WN_ERR_READONLY);
    assert_non_null(strstr(message, other));
    assert_int_equal(chmod(folder, 0755), 0);
    assert_true(check_consistent(path));
    remove_path(path);
}

/* The system's own limit on a file's size stands in for a full disk. In a child: the limit can't be
 * lifted again, and SIGXFSZ must be ignored. Exit code 0: as it should be. */
static int build_within(const char *path, rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
    fake_model model = {.dim = dim};
    fake_document documents[200];
    static char sources[200][16], texts[200][600];
    for (size_t i = 0; i < 200; i++) {
        sprintf(sources[i], "t/%zu", i);
        for (size_t j = 0; j < 80; j++) sprintf(texts[i] + j * 6, "q%04zu ", (i * 80 + j) % 9973);
        documents[i] = (fake_document){.source = sources[i], .text = texts[i]};
    }
    wn_error err = {0};
    wn_build_options options = wn_build_options_default();
    options.batch_tokens = 300;
    wn_status st = fake_build(path, documents, 200, "t", &model, &options, NULL, &err);
    if (st == WN_ERR_FULL && strstr(err.message, path) && err.code == WN_ERR_FULL) return 0;
    fprintf(stderr, "limit %llu: %s: %s\n", (unsigned long long)bytes, wn_status_name(st), err.message);
    return st == WN_OK ? 1 : 2;
}

static void full_disk_loses_nothing_stored(void **state) {
    fake_model model = {.dim = dim};
    for (rlim_t extra = 0; extra <= 98304; extra += 16384) {
        char *path = build_sample(&model);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        pid_t child = fork();
        if (child == 0) _exit(build_within(path, (rlim_t)st.st_size + extra));
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_true(check_consistent(path));
        wn_index *index = NULL;
        wn_index_info info;
        assert_int_equal(wn_index_open(path, &index, NULL), WN_OK);
        assert_int_equal(wn_index_describe(index, &info, NULL), WN_OK);
        assert_true(info.documents >= ndocuments && info.embedded >= ndocuments);
        wn_index_close(index);
        remove_path(path);
    }
    /* A disk that is full from the start: no file is left behind. */
    char *path = temp_path("full.wn");
    pid_t child = fork();
    if (child == 0) _exit(build_within(path, 8192));
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(access(path, F_OK), -1);
    remove_path(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_index_is_refused_by_name),
        cmocka_unit_test(index_of_the_future_is_unsupported),
        cmocka_unit_test(strange_tables_are_refused),
        cmocka_unit_test(truncated_index_is_an_error_or_whole),
        cmocka_unit_test(flipped_bits_never_crash),
        cmocka_unit_test(readonly_file_and_folder_are_named),
        cmocka_unit_test(full_disk_loses_nothing_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
