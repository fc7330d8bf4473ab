/* test_document_source.c -- folders, files, corpora and standard input as documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "index/beir_corpus.h"
#include "index/document_source.h"
#include <jansson.h>

/* ---- A folder for each test ------------------------------------------------------ */

static char root[512];

static int setup(void **state) {
    snprintf(root, sizeof root, "%s/source-XXXXXX", WN_BUILD_ROOT);
    if (!mkdtemp(root)) return -1;
    return chdir(root);
}

static int teardown(void **state) {
    char command[1200];
    if (chdir("/") != 0) return -1;
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' && rm -rf '%s'", root, root);
    return system(command);
}

static void put_bytes(const char *path, const void *bytes, size_t len) {
    char *copy = strdup(path), *slash = strrchr(copy, '/');
    if (slash) {
        *slash = 0;
        assert_int_equal(wn_dir_create(copy, NULL), WN_OK);
    }
    free(copy);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static void put(const char *path, const char *text) {
    put_bytes(path, text, strlen(text));
}

/* ---- Running a source to its end, as one string ------------------------------------- */

typedef struct record {
    wn_buf sources, warnings; /* one a line */
    size_t documents, warned;
    wn_status status;
    wn_error err;
    wn_document_position position;
} record;

static void on_warning(void *ctx, const char *message) {
    record *r = ctx;
    r->warned++;
    assert_null(strchr(message, '\n'));
    wn_buf_printf(&r->warnings, NULL, "%s\n", message);
}

static void run(record *r, size_t max_bytes, size_t n, const char *const *inputs) {
    *r = (record){0};
    wn_buf_append(&r->sources, "", 0, NULL);
    wn_buf_append(&r->warnings, "", 0, NULL);
    wn_document_source_options options = wn_document_source_options_default();
    options.warning = on_warning;
    options.warning_ctx = r;
    if (max_bytes) options.max_bytes = max_bytes;
    wn_document_source *source = NULL;
    r->status = wn_document_source_open(inputs, n, &options, &source, &r->err);
    const wn_document *document = NULL;
    while (r->status == WN_OK) {
        r->status = wn_document_source_next(source, &document, &r->err);
        if (r->status != WN_OK || !document) break;
        r->documents++;
        wn_buf_printf(&r->sources, NULL, "%s\n", document->source);
    }
    if (source) r->position = wn_document_source_position(source);
    wn_document_source_close(source);
}

static void record_release(record *r) {
    wn_buf_release(&r->sources);
    wn_buf_release(&r->warnings);
}

#define RUN(r, max_bytes, ...)                                                          \
    run(r, max_bytes, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),           \
        (const char *[]){__VA_ARGS__})

static void sources_check(const char *const *inputs, size_t n, const char *want, size_t warned) {
    record r;
    run(&r, 0, n, inputs);
    if (r.status != WN_OK) fail_msg("%s", r.err.message);
    assert_string_equal(r.sources.data, want);
    if (r.warned != warned) fail_msg("%zu warnings, not %zu:\n%s", r.warned, warned, r.warnings.data);
    assert_int_equal(r.position.files_done, r.position.files_total);
    assert_int_equal(r.position.bytes_done, r.position.bytes_total);
    assert_int_equal(r.position.documents, r.documents);
    record_release(&r);
}

#define SOURCES(want, warned, ...)                                                        \
    sources_check((const char *[]){__VA_ARGS__},                                          \
                  sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), want, warned)

/* ---- Walking -------------------------------------------------------------------------- */

static void walk_lists_endings_in_byte_order(void **state) {
    put("docs/b.md", "b");
    put("docs/a/z.txt", "z");
    put("docs/a/Y.MD", "y");
    put("docs/a.markdown", "a");
    put("docs/c.rst", "no");
    put("docs/md", "no");
    put("docs/x.jsonl", "no");
    put("docs/.hidden.md", "no");
    put("docs/.git/x.md", "no");
    put("docs/deep/1/2/3/4/n.txt", "n");
    SOURCES("docs/a.markdown\ndocs/a/Y.MD\ndocs/a/z.txt\ndocs/b.md\ndocs/deep/1/2/3/4/n.txt\n", 0, "docs");
    SOURCES("docs/a/Y.MD\ndocs/a/z.txt\n", 0, "docs/a//");
    SOURCES("docs/b.md\ndocs/c.rst\ndocs/.hidden.md\n", 0, "docs/b.md", "docs/c.rst", "docs/.hidden.md");
    SOURCES("docs/.git/x.md\n", 0, "docs/.git");
}

static void walk_overlapping_inputs_give_each_file_once(void **state) {
    put("docs/sub/a.md", "a");
    put("docs/b.md", "b");
    SOURCES("docs/b.md\ndocs/sub/a.md\n", 0, "docs", "docs/sub", "docs");
    SOURCES("docs/sub/a.md\ndocs/b.md\n", 0, "docs/sub", "docs");
    SOURCES("docs/b.md\ndocs/sub/a.md\n", 0, "docs/b.md", "docs");
    SOURCES("docs/b.md\n", 1, "docs/b.md", "./docs/b.md"); /* another name: said */
}

static void walk_follows_links_once(void **state) {
    put("docs/real/a.md", "a");
    put("elsewhere/b.md", "b");
    put("single.md", "s");
    assert_int_equal(symlink("..", "docs/real/loop"), 0);
    assert_int_equal(symlink("real", "docs/aaa"), 0);       /* a link that sorts first */
    assert_int_equal(symlink("../elsewhere", "docs/out"), 0);
    assert_int_equal(symlink("../elsewhere", "docs/out2"), 0);
    assert_int_equal(symlink("real/a.md", "docs/0.md"), 0); /* a second name of a file */
    assert_int_equal(symlink("../single.md", "docs/s.md"), 0);
    assert_int_equal(symlink("nowhere", "docs/dangling.md"), 0);
    assert_int_equal(symlink("self", "docs/self"), 0);
    record r;
    RUN(&r, 0, "docs");
    assert_int_equal(r.status, WN_OK);
    assert_non_null(strstr(r.sources.data, "docs/real/a.md\ndocs/s.md\n"));
    assert_null(strstr(r.sources.data, "aaa"));
    assert_int_equal(r.documents, 3);
    assert_non_null(strstr(r.warnings.data, "docs/0.md: skipped, the same file as docs/real/a.md"));
    assert_non_null(strstr(r.warnings.data, "docs/dangling.md"));
    record_release(&r);
}

static void walk_folder_without_documents_is_an_error(void **state) {
    record r;
    put("empty/x.rst", "x");
    put("beir/corpus.jsonl", "{}");
    put("full/a.md", "a");
    RUN(&r, 0, "empty");
    assert_int_equal(r.status, WN_ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.message, "empty: no documents"));
    assert_non_null(strstr(r.err.message, ".md, .markdown or .txt"));
    record_release(&r);
    RUN(&r, 0, "full", "empty");
    assert_int_equal(r.status, WN_ERR_NOT_FOUND);
    record_release(&r);
    RUN(&r, 0, "beir");
    assert_non_null(strstr(r.err.message, "corpus.jsonl"));
    record_release(&r);
    RUN(&r, 0, "missing/file.md");
    assert_int_equal(r.status, WN_ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.message, "missing/file.md"));
    record_release(&r);
    RUN(&r, 0, "");
    assert_int_equal(r.status, WN_ERR_ARGUMENT);
    record_release(&r);
    RUN(&r, 0, "-", "-");
    assert_int_equal(r.status, WN_ERR_ARGUMENT);
    record_release(&r);
    run(&r, 0, 0, NULL);
    assert_int_equal(r.status, WN_ERR_ARGUMENT);
    record_release(&r);
}

/* ---- What can't be a document --------------------------------------------------------------- */

static void bad_files_are_warned_of_and_skipped(void **state) {
    put("d/good.md", "good");
    put("d/empty.md", "");
    put("d/blank.txt", " \n\t\xE3\x80\x80\n");
    put("d/front.md", "---\ntitle: only\n---\n\n");
    put("d/latin.txt", "caf\xE9 au lait");
    put_bytes("d/utf16.txt", "\xFF\xFEh\0i\0", 6);
    put_bytes("d/utf32.txt", "\xFF\xFE\0\0h\0\0\0", 8);
    put("d/large.txt", "0123456789012345678901234567890123456789");
    put("d/name\xFF.md", "x");
    assert_int_equal(mkfifo("d/pipe.txt", 0600), 0);
    record r;
    RUN(&r, 32, "d");
    assert_int_equal(r.status, WN_OK);
    assert_string_equal(r.sources.data, "d/good.md\n");
    static const char *const said[] = {"d/empty.md: skipped, it is empty", "d/blank.txt: skipped, it is empty",
        "d/front.md: skipped, it is empty", "d/latin.txt: byte 3: skipped, not UTF-8 (0xE9)",
        "d/utf16.txt: byte 0: skipped, UTF-16LE", "d/utf32.txt: byte 0: skipped, UTF-32LE",
        "d/large.txt: skipped, larger than 32 bytes", "d/pipe.txt: skipped, not a regular file",
        "its name is not UTF-8"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(r.warnings.data, said[i])) fail_msg("no '%s' in\n%s", said[i], r.warnings.data);
    assert_int_equal(r.warned, sizeof said / sizeof *said);
    assert_int_equal(r.position.skipped, 7); /* the pipe and the bad name were no files to begin with */
    record_release(&r);
}

static void only_bad_files_end_in_an_error_with_the_first_reason(void **state) {
    put("d/latin.txt", "caf\xE9");
    put("d/none.txt", "");
    record r;
    RUN(&r, 0, "d");
    assert_int_equal(r.status, WN_ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.message, "2 skipped"));
    assert_non_null(strstr(r.err.message, "d/latin.txt"));
    assert_int_equal(r.err.offset, 3);
    record_release(&r);
    put("e/none.jsonl", "\n\n");
    RUN(&r, 0, "e/none.jsonl");
    assert_int_equal(r.status, WN_ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.message, "no documents"));
    record_release(&r);
}

static void unreadable_entries_are_warned_of(void **state) {
    if (geteuid() == 0) {
        print_message("SKIPPED: root can read everything\n");
        skip();
    }
    put("d/a.md", "a");
    put("d/closed.md", "x");
    put("d/folder/b.md", "x");
    assert_int_equal(chmod("d/closed.md", 0), 0);
    assert_int_equal(chmod("d/folder", 0), 0);
    SOURCES("d/a.md\n", 2, "d");
}

/* ---- A document's parts ------------------------------------------------------------------------ */

typedef struct copy {
    wn_document document; /* strings below */
    char *source, *origin, *title, *metadata, *text, *path;
} copy;

/* The nth document of an input, copied; `at` (a string in its text) asks for the heading path. */
static copy nth(const char *input, int n, const char *at) {
    wn_document_source *source = NULL;
    const wn_document *d = NULL;
    wn_error err = {0};
    if (wn_document_source_open(&input, 1, NULL, &source, &err) != WN_OK) fail_msg("%s", err.message);
    for (int i = 0; i <= n; i++) {
        if (wn_document_source_next(source, &d, &err) != WN_OK) fail_msg("%s", err.message);
        assert_non_null(d);
    }
    copy c = {.document = *d, .source = strdup(d->source), .origin = strdup(d->origin),
              .title = strdup(d->title), .metadata = strdup(d->metadata)};
    c.text = malloc(d->text.len + 1);
    memcpy(c.text, d->text.data, d->text.len);
    c.text[d->text.len] = 0;
    wn_buf path = {0};
    const char *hit = at ? strstr(c.text, at) : c.text;
    assert_non_null(hit);
    assert_int_equal(wn_document_heading_path(d, (size_t)(hit - c.text), &path, NULL), WN_OK);
    c.path = strdup(path.data);
    wn_buf_release(&path);
    wn_document_source_close(source);
    return c;
}

static void copy_free(copy *c) {
    free(c->source), free(c->origin), free(c->title), free(c->metadata), free(c->text), free(c->path);
}

static void markdown_document_has_title_metadata_and_true_offsets(void **state) {
    const char text[] = "\xEF\xBB\xBF---\ntags: [a, b]\nz: 1\n---\n# Spark\n\n## Memory\n\n128 GB\n";
    put("docs/x.md", text);
    copy c = nth("docs", 0, "128");
    assert_int_equal(c.document.kind, WN_DOCUMENT_MARKDOWN);
    assert_string_equal(c.source, "docs/x.md");
    assert_string_equal(c.origin, "");
    assert_string_equal(c.title, "Spark");
    assert_string_equal(c.metadata, "{\"filename\":\"x.md\",\"tags\":[\"a\",\"b\"],\"z\":\"1\"}");
    assert_string_equal(c.text, text); /* BOM and front matter are in it: offsets are the file's */
    assert_string_equal(c.text + c.document.body_begin, "# Spark\n\n## Memory\n\n128 GB\n");
    assert_string_equal(c.path, "Memory");
    copy_free(&c);
}

static void text_document_is_taken_as_it_is(void **state) {
    put_bytes("a.txt", "\xEF\xBB\xBF# no heading\0x\n", 18);
    copy c = nth("a.txt", 0, NULL);
    assert_int_equal(c.document.kind, WN_DOCUMENT_TEXT);
    assert_string_equal(c.title, "");
    assert_string_equal(c.metadata, "{\"filename\":\"a.txt\"}");
    assert_int_equal(c.document.body_begin, 3);
    assert_int_equal(c.document.text.len, 18);
    assert_string_equal(c.path, "");
    copy_free(&c);
}

static wn_hash hash_of(const char *path, const char *text) {
    put(path, text);
    copy c = nth(path, 0, NULL);
    wn_hash hash = c.document.hash;
    copy_free(&c);
    return hash;
}

static void hash_follows_all_that_the_index_keeps(void **state) {
    wn_hash a = hash_of("a.md", "# T\nbody\n"), moved = hash_of("sub/a.md", "# T\nbody\n");
    assert_true(wn_hash_equal(&a, &moved));
    wn_hash others[] = {hash_of("a.md", "# T\nbody"), hash_of("a.md", "# U\nbody\n"),
                        hash_of("a.md", "---\nk: v\n---\n# T\nbody\n"), hash_of("a.txt", "# T\nbody\n"),
                        hash_of("b.md", "# T\nbody\n")};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(wn_hash_equal(&a, &others[i]));
}

/* ---- Corpora -------------------------------------------------------------------------------------- */

static void corpus_lines_are_documents(void **state) {
    put("c.jsonl", "\xEF\xBB\xBF{\"_id\": \"d1\", \"title\": \"T\", \"text\": \"body \\u00e9\\u0000\"}\r\n"
                   "\n  \n"
                   "{\"text\": \"second\", \"_id\": 42, \"metadata\": {\"url\": \"u\", \"n\": 1}, \"year\": 1999}\n"
                   "{\"_id\": \"d3\", \"title\": \"only title\", \"text\": \"\"}\n"
                   "{\"_id\": \"d4\", \"title\": \"\", \"text\": \" \"}\n"
                   "{\"_id\": \"d5\", \"title\": null, \"metadata\": null, \"text\": \"last\"}");
    SOURCES("d1\n42\nd3\nd5\n", 1, "c.jsonl");
    copy c = nth("./c.jsonl", 0, NULL);
    assert_int_equal(c.document.kind, WN_DOCUMENT_CORPUS);
    assert_string_equal(c.origin, "./c.jsonl");
    assert_string_equal(c.title, "T");
    assert_string_equal(c.metadata, "{}");
    assert_int_equal(c.document.text.len, 8);
    assert_int_equal(c.document.body_begin, 0);
    copy_free(&c);
    c = nth("c.jsonl", 1, NULL);
    assert_string_equal(c.metadata, "{\"n\":1,\"url\":\"u\",\"year\":1999}");
    copy_free(&c);
    c = nth("c.jsonl", 2, NULL);
    assert_string_equal(c.text, "only title");
    copy_free(&c);
}

static void corpus_wrong_line_names_file_and_line(void **state) {
    static const struct { const char *line, *says; } cases[] = {
        {"{\"_id\": \"a\", \"text\": \"x\"", "not valid JSON"},
        {"{\"_id\": \"a\", \"text\": \"x\"} trailing", "not valid JSON"},
        {"[1, 2]", "not a JSON object"},
        {"\"string\"", "not a JSON object"},
        {"{\"text\": \"x\"}", "\"_id\" must be"},
        {"{\"_id\": \"\", \"text\": \"x\"}", "\"_id\" must be"},
        {"{\"_id\": \"a\\u0000\", \"text\": \"x\"}", "\"_id\" must be"},
        {"{\"_id\": [], \"text\": \"x\"}", "\"_id\" must be"},
        {"{\"_id\": \"a\"}", "\"text\" must be"},
        {"{\"_id\": \"a\", \"text\": 3}", "\"text\" must be"},
        {"{\"_id\": \"a\", \"title\": 3, \"text\": \"x\"}", "\"title\" must be"},
        {"{\"_id\": \"a\", \"metadata\": [], \"text\": \"x\"}", "\"metadata\" must be"},
        {"{\"_id\": \"a\", \"text\": \"caf\xE9\"}", "not UTF-8: byte 0xE9 at byte 25"},
        {"{\"_id\": \"a\", \"text\": \"\\ud800\"}", "not valid JSON"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"_id\": \"ok\", \"text\": \"x\"}\n\n%s\n", cases[i].line);
        put("c.jsonl", text);
        record r;
        RUN(&r, 0, "c.jsonl");
        if (r.status != WN_ERR_FORMAT || !strstr(r.err.message, "c.jsonl: line 3: ") ||
            !strstr(r.err.message, cases[i].says) || r.err.line != 3)
            fail_msg("%s: %s (line %lld)", cases[i].line, r.err.message, (long long)r.err.line);
        assert_int_equal(r.documents, 1);
        record_release(&r);
    }
    put_bytes("c.jsonl", "\xFF\xFE{\0}\0\n\0", 8);
    record r;
    RUN(&r, 0, "c.jsonl");
    assert_non_null(strstr(r.err.message, "UTF-16"));
    record_release(&r);
}

/* Lines of all lengths around the block of 64 KiB, one over the limit. */
static void corpus_long_lines_cross_blocks(void **state) {
    FILE *f = fopen("c.jsonl", "w");
    assert_non_null(f);
    size_t total = 0, lengths[] = {1, 65000, 65499, 65500, 65536, 131072, 300000, 1, 400001, 2, 200000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        fprintf(f, "{\"_id\": \"%zu\", \"text\": \"%*s\"}\n", i, (int)lengths[i], "x");
        total++;
    }
    fclose(f);
    record r;
    RUN(&r, 400000, "c.jsonl");
    assert_int_equal(r.status, WN_OK);
    assert_int_equal(r.documents, total - 1);
    assert_string_equal(r.sources.data, "0\n1\n2\n3\n4\n5\n6\n7\n9\n10\n");
    assert_non_null(strstr(r.warnings.data, "c.jsonl: line 9: skipped, longer than 400000 bytes"));
    assert_int_equal(r.position.bytes_done, r.position.bytes_total);
    record_release(&r);
}

static void corpus_of_the_benchmark_reads_whole(void **state) {
    const char *shared = getenv("WN_SHARED");
    char path[600];
    snprintf(path, sizeof path, "%s/data/scifact/corpus.jsonl", shared ? shared : WN_SOURCE_ROOT "/../shared");
    if (!wn_file_exists(path)) {
        print_message("SKIPPED: no %s\n", path);
        skip();
    }
    record r;
    RUN(&r, 0, path);
    assert_int_equal(r.status, WN_OK);
    assert_int_equal(r.documents, 5183);
    print_message("document source: %zu documents of scifact, %zu warnings\n", r.documents, r.warned);
    record_release(&r);
}

/* ---- Standard input ----------------------------------------------------------------------------- */

static void stdin_is_one_document_in_its_place(void **state) {
    put("a.md", "a");
    put("b.md", "b");
    put("in", "from a pipe\n");
    int kept = dup(STDIN_FILENO), fd = open("in", O_RDONLY);
    dup2(fd, STDIN_FILENO);
    SOURCES("a.md\n-\nb.md\n", 0, "a.md", "-", "b.md");
    lseek(fd, 0, SEEK_SET);
    copy c = nth("-", 0, NULL);
    assert_int_equal(c.document.kind, WN_DOCUMENT_TEXT);
    assert_string_equal(c.text, "from a pipe\n");
    assert_string_equal(c.metadata, "{}");
    copy_free(&c);
    record r; /* at its end now: nothing comes */
    RUN(&r, 0, "-");
    assert_int_equal(r.status, WN_ERR_NOT_FOUND);
    assert_non_null(strstr(r.err.message, "standard input"));
    record_release(&r);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(fd);
}

/* ---- Failing memory -------------------------------------------------------------------------------- */

/* jansson calls some failed allocations in its scanner a syntax error; that is a refusal as well. */
static void every_failing_allocation_is_reported(void **state) {
    put("d/a.md", "---\nk: [v, w]\n---\n# H\ntext\n");
    put("d/sub/b.txt", "text");
    put("c.jsonl", "{\"_id\": \"x\", \"text\": \"y\", \"more\": 1}\n");
    assert_int_equal(symlink("sub", "d/link"), 0);
    const char *inputs[] = {"d", "c.jsonl"};
    json_set_alloc_funcs(wn_malloc, wn_free);
    wn_status st = WN_ERR_MEMORY;
    uint64_t n = 1;
    for (; n < 2000 && st != WN_OK; n++) {
        wn_document_source *source = NULL;
        const wn_document *document = NULL;
        wn_error err = {0};
        size_t documents = 0;
        wn_memory_fail_at(n, true);
        st = wn_document_source_open(inputs, 2, NULL, &source, &err);
        while (st == WN_OK) {
            st = wn_document_source_next(source, &document, &err);
            if (st != WN_OK || !document) break;
            documents++;
        }
        wn_memory_fail_at(0, false);
        if (st == WN_OK) assert_int_equal(documents, 3);
        else if (err.code != st || (st != WN_ERR_MEMORY && !strstr(err.message, "not valid JSON")))
            fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
        wn_document_source_close(source);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(st == WN_OK && n > 20);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(walk_lists_endings_in_byte_order),
        CASE(walk_overlapping_inputs_give_each_file_once),
        CASE(walk_follows_links_once),
        CASE(walk_folder_without_documents_is_an_error),
        CASE(bad_files_are_warned_of_and_skipped),
        CASE(only_bad_files_end_in_an_error_with_the_first_reason),
        CASE(unreadable_entries_are_warned_of),
        CASE(markdown_document_has_title_metadata_and_true_offsets),
        CASE(text_document_is_taken_as_it_is),
        CASE(hash_follows_all_that_the_index_keeps),
        CASE(corpus_lines_are_documents),
        CASE(corpus_wrong_line_names_file_and_line),
        CASE(corpus_long_lines_cross_blocks),
        CASE(corpus_of_the_benchmark_reads_whole),
        CASE(stdin_is_one_document_in_its_place),
        CASE(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("document_source", tests, NULL, NULL);
}
