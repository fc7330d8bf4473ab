/* test_markdown.c -- headings against CommonMark (markdown-it-py), front matter, titles, paths.
 * Goldens: tests/golden/make_markdown_goldens.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "core/file.h"
#include "core/json.h"
#include "text/front_matter.h"
#include "text/markdown.h"

#define GOLDEN WN_SOURCE_ROOT "/tests/golden/markdown/"

static wn_markdown *parse(wn_str text) {
    wn_markdown *md = NULL;
    wn_error err = {0};
    if (wn_markdown_parse(text, &md, &err) != WN_OK) fail_msg("parse: %s", err.message);
    return md;
}

static wn_markdown *parse_string(const char *text) {
    return parse((wn_str){text, strlen(text)});
}

/* Number of the line that begins at `offset` (line ends as CommonMark's). */
static int64_t line_of(wn_str text, size_t offset) {
    int64_t line = 0;
    for (size_t i = 0; i < offset; i++)
        if (text.data[i] == '\n' || (text.data[i] == '\r' && text.data[i + 1] != '\n')) line++;
    return line;
}

static wn_buf golden_read(const char *path) {
    wn_buf buf = {0};
    wn_error err = {0};
    if (wn_file_read(path, 1 << 26, &buf, &err) != WN_OK) fail_msg("%s", err.message);
    return buf;
}

static size_t headings_check(const char *name, wn_str text, const json_t *want) {
    wn_markdown *md = parse(text);
    size_t n = json_array_size(want);
    for (size_t i = 0; i < wn_markdown_heading_count(md) && i < n; i++) {
        wn_heading got = wn_markdown_heading(md, i);
        const json_t *row = json_array_get(want, i);
        int64_t line = json_integer_value(json_array_get(row, 0));
        int level = (int)json_integer_value(json_array_get(row, 1));
        const char *label = json_string_value(json_array_get(row, 2));
        if (line_of(text, got.begin) != line || got.level != level || strcmp(got.text, label) != 0)
            fail_msg("%s: heading %zu is line %lld h%d '%s', CommonMark says line %lld h%d '%s'", name, i,
                     (long long)line_of(text, got.begin), got.level, got.text, (long long)line, level,
                     label);
    }
    if (wn_markdown_heading_count(md) != n)
        fail_msg("%s: %zu headings, CommonMark has %zu", name, wn_markdown_heading_count(md), n);
    wn_markdown_free(md);
    return n;
}

static void markdown_written_headings_equal_commonmark(void **state) {
    wn_buf buf = golden_read(GOLDEN "cases.jsonl");
    size_t texts = 0, compared = 0;
    char *rest = NULL;
    for (char *line = strtok_r(buf.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *root = NULL;
        assert_int_equal(wn_json_parse("cases.jsonl", line, strlen(line), &root, NULL), WN_OK);
        const json_t *text = json_object_get(root, "text");
        compared += headings_check(json_string_value(json_object_get(root, "name")),
                                   (wn_str){json_string_value(text), json_string_length(text)},
                                   json_object_get(root, "headings"));
        texts++;
        json_decref(root);
    }
    print_message("markdown: %zu written documents, %zu headings equal CommonMark's\n", texts, compared);
    assert_true(texts >= 30 && compared >= 70);
    wn_buf_release(&buf);
}

static void markdown_files_headings_equal_commonmark(void **state) {
    wn_buf buf = golden_read(GOLDEN "files.tsv");
    size_t files = 0, compared = 0, skipped = 0;
    char *rest = NULL;
    for (char *line = strtok_r(buf.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char path[200], full[600];
        uint64_t want;
        int json_at = 0;
        assert_int_equal(sscanf(line, "%199s %" SCNx64 " %n", path, &want, &json_at), 2);
        snprintf(full, sizeof full, "%s/%s", WN_SOURCE_ROOT, path);
        wn_buf file = golden_read(full);
        if (XXH3_64bits(file.data, file.len) != want) { /* examples may be edited freely */
            print_message("SKIPPED: %s changed after its golden was made (run "
                          "tests/golden/make_markdown_goldens.py)\n", path);
            skipped++;
            wn_buf_release(&file);
            continue;
        }
        json_t *rows = NULL;
        assert_int_equal(wn_json_parse(path, line + json_at, strlen(line + json_at), &rows, NULL), WN_OK);
        compared += headings_check(path, (wn_str){file.data, file.len}, rows);
        files++;
        json_decref(rows);
        wn_buf_release(&file);
    }
    print_message("markdown: %zu files, %zu headings equal CommonMark's, %zu skipped\n", files, compared,
                  skipped);
    if (files == 0) skip();
    wn_buf_release(&buf);
}

static uint64_t lcg_next(uint64_t *s, uint64_t n) {
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*s >> 33) % n;
}

/* The twin of random_text() in the script. */
static void random_text(uint64_t seed, const json_t *lines, wn_buf *out) {
    uint64_t rng = seed;
    for (int i = 0; i < 4; i++) lcg_next(&rng, 2);
    wn_buf_clear(out);
    assert_int_equal(wn_buf_append(out, "", 0, NULL), WN_OK);
    for (uint64_t n = lcg_next(&rng, 60); n; n--) {
        const json_t *item = json_array_get(lines, lcg_next(&rng, json_array_size(lines)));
        assert_int_equal(wn_buf_append(out, json_string_value(item), json_string_length(item), NULL), WN_OK);
    }
}

static void markdown_random_documents_equal_commonmark(void **state) {
    wn_buf buf = golden_read(GOLDEN "fuzz.tsv"), text = {0}, seen = {0};
    json_t *lines = NULL;
    assert_int_equal(wn_json_load(GOLDEN "lines.json", 1 << 20, &lines, NULL), WN_OK);
    size_t seed = 0, compared = 0, bad = 0;
    char *rest = NULL;
    for (char *line = strtok_r(buf.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        uint64_t text_hash, want;
        size_t count;
        assert_int_equal(sscanf(line, "%" SCNx64 " %zu %" SCNx64, &text_hash, &count, &want), 3);
        random_text(seed, lines, &text);
        if (XXH3_64bits(text.data, text.len) >> 32 != text_hash)
            fail_msg("seed %zu: the test makes another text than the script", seed);
        wn_str str = {text.data, text.len};
        wn_markdown *md = parse(str);
        wn_buf_clear(&seen);
        assert_int_equal(wn_buf_append(&seen, "", 0, NULL), WN_OK);
        for (size_t i = 0; i < wn_markdown_heading_count(md); i++) {
            wn_heading h = wn_markdown_heading(md, i);
            wn_buf_printf(&seen, NULL, "%lld %d\n", (long long)line_of(str, h.begin), h.level);
        }
        if (XXH3_64bits(seen.data, seen.len) != want) {
            print_message("seed %zu: other headings than CommonMark's:\n%s---\n%s\n", seed, seen.data,
                          text.data);
            bad++;
        }
        compared += count;
        seed++;
        wn_markdown_free(md);
    }
    print_message("markdown: %zu random documents, %zu headings compared, %zu documents differ\n", seed,
                  compared, bad);
    assert_int_equal(bad, 0);
    assert_true(seed >= 4000);
    json_decref(lines);
    wn_buf_release(&seen);
    wn_buf_release(&text);
    wn_buf_release(&buf);
}

/* ---- Title and path -------------------------------------------------------------- */

static void path_check(const wn_markdown *md, const char *text, const char *at, const char *want) {
    wn_buf out = {0};
    const char *hit = strstr(text, at);
    assert_non_null(hit);
    assert_int_equal(wn_markdown_heading_path(md, (size_t)(hit - text), &out, NULL), WN_OK);
    assert_string_equal(out.data, want);
    wn_buf_release(&out);
}

static void markdown_heading_path_follows_levels(void **state) {
    const char *text = "intro0\n# Doc\nintro1\n## Memory\nmem\n#### Bandwidth\nband\n### Size\nsize\n"
                       "## Speed\nspeed\n";
    wn_markdown *md = parse_string(text);
    assert_string_equal(wn_markdown_title(md), "Doc");
    path_check(md, text, "intro0", "");
    path_check(md, text, "# Doc", "");
    path_check(md, text, "intro1", "");
    path_check(md, text, "## Mem", "Memory");
    path_check(md, text, "mem\n", "Memory");
    path_check(md, text, "band", "Memory > Bandwidth");
    path_check(md, text, "size", "Memory > Size"); /* a skipped level is no obstacle */
    path_check(md, text, "speed", "Speed");
    assert_int_equal(wn_markdown_heading_at(md, 0), WN_NO_HEADING);
    assert_int_equal(wn_markdown_heading_at(md, SIZE_MAX), 4);
    wn_markdown_free(md);
}

static void markdown_several_top_headings_all_count_in_paths(void **state) {
    const char *text = "# One\naa\n## Sub\nbb\n# Two\ncc\n";
    wn_markdown *md = parse_string(text);
    assert_string_equal(wn_markdown_title(md), "One");
    path_check(md, text, "aa", "One");
    path_check(md, text, "bb", "One > Sub");
    path_check(md, text, "cc", "Two");
    wn_markdown_free(md);
}

static void markdown_title_comes_from_heading_then_front_matter(void **state) {
    static const struct { const char *text, *title; } cases[] = {
        {"---\ntitle: Front\n---\n# Head\n", "Head"},
        {"---\ntitle: Front\n---\n## Overview\n", "Front"},
        {"---\nauthor: x\n---\n## Overview\n", "Overview"},
        {"## Overview\n# Late\n", "Overview"},
        {"no heading\n", ""}, {"", ""}, {"---\ntitle: [a]\n---\n", ""},
        {"\xEF\xBB\xBF# After a BOM\n", "After a BOM"},
        {"\xEF\xBB\xBF---\ntitle: T\n---\nx\n", "T"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wn_markdown *md = parse_string(cases[i].text);
        assert_string_equal(wn_markdown_title(md), cases[i].title);
        wn_markdown_free(md);
    }
    const char *text = "---\ntitle: Front\n---\n## Overview\nxx\n### Deep\nyy\n";
    wn_markdown *md = parse_string(text);
    path_check(md, text, "yy", "Overview > Deep"); /* the first heading is not the title here */
    wn_markdown_free(md);
}

/* ---- Front matter -------------------------------------------------------------------- */

static void front_check(const char *text, const char *json, const char *body) {
    wn_markdown *md = parse_string(text);
    char *got = json_dumps(wn_markdown_front_matter(md), JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (strcmp(got, json) != 0) fail_msg("front matter of\n%s\nis %s\nnot %s", text, got, json);
    assert_string_equal(text + wn_markdown_body_begin(md), body);
    free(got);
    wn_markdown_free(md);
}

static void front_matter_yaml_keeps_pairs_and_lists(void **state) {
    front_check("---\ntitle: A plain title\ndate: 2024-05-01\ndraft: false\n---\nbody\n",
                "{\"title\":\"A plain title\",\"date\":\"2024-05-01\",\"draft\":\"false\"}", "body\n");
    front_check("---\na: 'it''s'\nb: \"tab\\tquote\\\" \\u00e9\"\nc: x # comment\nd: a#b\n\"e f\": y\n...\nbody",
                "{\"a\":\"it's\",\"b\":\"tab\\tquote\\\" \xC3\xA9\",\"c\":\"x\",\"d\":\"a#b\",\"e f\":\"y\"}",
                "body");
    front_check("---\ntags: [one, \"two, three\", 'four']\nmore:\n  - a\n  - \"b\"\nflat:\n- x\n- y # z\nempty:\n---\n",
                "{\"tags\":[\"one\",\"two, three\",\"four\"],\"more\":[\"a\",\"b\"],\"flat\":[\"x\",\"y\"],"
                "\"empty\":\"\"}", "");
    front_check("---\nsum: >\n  folded\n  text\nlit: |\n  line one\n  line two\nlong: first\n  second\n---\n",
                "{\"sum\":\"folded text\",\"lit\":\"line one\\nline two\",\"long\":\"first second\"}", "");
    front_check("---\r\ntitle: CRLF\r\n---\r\nbody", "{\"title\":\"CRLF\"}", "body");
    front_check("---\n# comment\n\nurl: http://x/y: z\nk: 1\nk: 2\n---\n", "{\"url\":\"http://x/y: z\",\"k\":\"2\"}", "");
}

static void front_matter_yaml_leaves_out_what_is_nested(void **state) {
    front_check("---\nmap:\n  k: v\n  l:\n    - x\nlist:\n  - name: a\n    id: 1\nflow: {a: b}\nref: *x\nok: yes\n---\n",
                "{\"ok\":\"yes\"}", "");
}

static void front_matter_toml_keeps_pairs_before_tables(void **state) {
    front_check("+++\ntitle = \"T = x\"\nn = 3 # three\ntags = [\n  \"a\", # first\n  'b',\n]\nlast = true\n"
                "[table]\nk = 1\n+++\nbody",
                "{\"title\":\"T = x\",\"n\":\"3\",\"tags\":[\"a\",\"b\"],\"last\":\"true\"}", "body");
}

static void front_matter_absent_or_open_is_body(void **state) {
    static const char *const texts[] = {"---\n\ntext\n\n---\n", "---\ntitle: never closed\n", "--- \nno key here\n---\n",
                                        "text\n---\na: b\n---\n", "----\na: b\n----\n", "", "---", "---\n---\n# x\n"};
    for (size_t i = 0; i + 1 < sizeof texts / sizeof *texts; i++) front_check(texts[i], "{}", texts[i]);
    front_check("---\n---\n# x\n", "{}", "# x\n"); /* empty, but closed */
}

/* ---- Hostile sizes, failing memory ------------------------------------------------------ */

static void markdown_hostile_repetitions_are_linear(void **state) {
    static const char *const units[] = {"> ", "- ", "\n", "#", "# x\n", "[", "# [[[[[[\n", "`", "# ` `` ```\n", "<",
                                        "<a ", "\t", "1. ", "a\n---\n", "[a]: b\n", ">\n", "-\n", "  - x\n"};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        wn_buf text = {0};
        size_t len = strlen(units[u]);
        assert_int_equal(wn_buf_append(&text, "---\nk: v\n---\n", 13, NULL), WN_OK);
        while (text.len < 2000000) assert_int_equal(wn_buf_append(&text, units[u], len, NULL), WN_OK);
        clock_t start = clock();
        wn_markdown_free(parse((wn_str){text.data, text.len}));
        double took = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (took > 10) fail_msg("2 MB of '%s' took %.1f s", units[u], took);
        wn_buf_release(&text);
    }
}

static void markdown_every_failing_allocation_is_reported(void **state) {
    const char text[] = "---\ntitle: T\ntags: [a, b]\nlist:\n  - \"x\"\nsum: >\n  a\n  b\n---\n# Head *a*\n## Two\n";
    json_set_alloc_funcs(wn_malloc, wn_free);
    wn_status st = WN_ERR_MEMORY;
    uint64_t n = 1;
    for (; n < 1000 && st != WN_OK; n++) {
        wn_markdown *md = NULL;
        wn_error err = {0};
        wn_memory_fail_at(n, true);
        st = wn_markdown_parse((wn_str){text, sizeof text - 1}, &md, &err);
        wn_memory_fail_at(0, false);
        if (st == WN_OK) wn_markdown_free(md);
        else assert_true(st == WN_ERR_MEMORY && err.code == WN_ERR_MEMORY && !md);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(st == WN_OK && n > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markdown_written_headings_equal_commonmark),
        cmocka_unit_test(markdown_files_headings_equal_commonmark),
        cmocka_unit_test(markdown_random_documents_equal_commonmark),
        cmocka_unit_test(markdown_heading_path_follows_levels),
        cmocka_unit_test(markdown_several_top_headings_all_count_in_paths),
        cmocka_unit_test(markdown_title_comes_from_heading_then_front_matter),
        cmocka_unit_test(front_matter_yaml_keeps_pairs_and_lists),
        cmocka_unit_test(front_matter_yaml_leaves_out_what_is_nested),
        cmocka_unit_test(front_matter_toml_keeps_pairs_before_tables),
        cmocka_unit_test(front_matter_absent_or_open_is_body),
        cmocka_unit_test(markdown_hostile_repetitions_are_linear),
        cmocka_unit_test(markdown_every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("markdown", tests, NULL, NULL);
}
