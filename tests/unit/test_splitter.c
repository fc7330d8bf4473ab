/* test_splitter.c -- the splitter against LangChain's, and its own promises.
 *
 * Goldens: tests/golden/make_splitter_goldens.py. Equality of a chunk's bytes with LangChain's string is
 * the test of "a chunk is text[begin, end)": the splitter never copies text, so the bytes
 * compared are the source's. Where LangChain's place is unambiguous (profile "numbered")
 * the offset is compared too. */
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

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/utf8.h"
#include <winnow/text.h>

#define GOLDEN WN_SOURCE_ROOT "/tests/golden/splitter/"
#define MODEL WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"

#define XLMR WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr"

static wn_tokenizer *tokenizer, *xlmr; /* WordPiece, Unigram */

static int setup(void **state) {
    if (wn_tokenizer_open(XLMR, &xlmr, NULL) != WN_OK) return -1;
    return wn_tokenizer_open(MODEL, &tokenizer, NULL) == WN_OK ? 0 : -1;
}

static int teardown(void **state) {
    wn_tokenizer_close(xlmr);
    wn_tokenizer_close(tokenizer);
    return 0;
}

/* by: NULL for characters. */
static wn_chunks *split(wn_str text, size_t size, size_t overlap, const wn_tokenizer *by) {
    wn_split_options opt = wn_split_options_default();
    opt.chunk_size = size;
    opt.chunk_overlap = overlap;
    if (by) opt.unit = WN_UNIT_TOKENS, opt.tokenizer = by;
    wn_chunks *chunks = NULL;
    wn_error err = {0};
    if (wn_split_text(text, &opt, &chunks, &err) != WN_OK) fail_msg("split: %s", err.message);
    return chunks;
}

static const wn_tokenizer *unit_tokenizer(const char *unit) {
    return strcmp(unit, "tokens") == 0 ? tokenizer : strcmp(unit, "xlmr-tokens") == 0 ? xlmr : NULL;
}

static wn_str chunk_text(wn_str text, const wn_chunks *chunks, size_t i) {
    wn_chunk_span span = wn_chunks_span(chunks, i);
    assert_true(span.begin < span.end && span.end <= text.len);
    return (wn_str){text.data + span.begin, span.end - span.begin};
}

/* The script's hash: each chunk, sanitized, then FF; with `places`, its offset and FF as well. */
static uint64_t chunks_hash(wn_str text, const wn_chunks *chunks, bool places) {
    XXH3_state_t *hash = XXH3_createState();
    XXH3_64bits_reset(hash);
    wn_buf clean = {0};
    for (size_t i = 0; i < wn_chunks_count(chunks); i++) {
        wn_str chunk = chunk_text(text, chunks, i);
        wn_buf_clear(&clean);
        assert_int_equal(wn_utf8_sanitize(chunk.data, chunk.len, &clean, NULL), WN_OK);
        XXH3_64bits_update(hash, clean.data, clean.len);
        XXH3_64bits_update(hash, "\xFF", 1);
        if (!places) continue;
        char place[32];
        int n = snprintf(place, sizeof place, "%zu\xFF", wn_chunks_span(chunks, i).begin);
        XXH3_64bits_update(hash, place, (size_t)n);
    }
    uint64_t value = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    wn_buf_release(&clean);
    return value;
}

static wn_buf golden_read(const char *path) {
    wn_buf buf = {0};
    wn_error err = {0};
    if (wn_file_read(path, 1 << 26, &buf, &err) != WN_OK) fail_msg("%s", err.message);
    return buf;
}

/* ---- Goldens ------------------------------------------------------------------ */

/* One row of cases.jsonl: chunks in full where they are short, else their hash. */
static size_t case_check(const char *name, wn_str text, const json_t *row) {
    size_t size = (size_t)json_integer_value(json_object_get(row, "size"));
    size_t overlap = (size_t)json_integer_value(json_object_get(row, "overlap"));
    size_t count = (size_t)json_integer_value(json_object_get(row, "count"));
    const char *unit = json_string_value(json_object_get(row, "unit"));
    wn_chunks *chunks = split(text, size, overlap, unit_tokenizer(unit));
    const json_t *full = json_object_get(row, "chunks");
    if (wn_chunks_count(chunks) != count)
        fail_msg("%s %zu/%zu %s: %zu chunks, LangChain has %zu", name, size, overlap, unit,
                 wn_chunks_count(chunks), count);
    for (size_t i = 0; i < json_array_size(full); i++) {
        const json_t *want = json_array_get(full, i);
        wn_str got = chunk_text(text, chunks, i);
        if (got.len != json_string_length(want) ||
            memcmp(got.data, json_string_value(want), got.len) != 0)
            fail_msg("%s %zu/%zu: chunk %zu is '%.*s', LangChain's '%s'", name, size, overlap, i,
                     (int)got.len, got.data, json_string_value(want));
    }
    if (!full) {
        char hex[17];
        snprintf(hex, sizeof hex, "%016" PRIx64, chunks_hash(text, chunks, false));
        const char *want = json_string_value(json_object_get(row, "chunks_hash"));
        if (strcmp(hex, want) != 0) fail_msg("%s %zu/%zu: other chunks", name, size, overlap);
    }
    wn_chunks_free(chunks);
    return count;
}

static void splitter_written_texts_equal_langchain(void **state) {
    wn_buf buf = golden_read(GOLDEN "cases.jsonl");
    size_t texts = 0, splits = 0, compared = 0;
    char *rest = NULL;
    for (char *line = strtok_r(buf.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *root = NULL;
        assert_int_equal(wn_json_parse("cases.jsonl", line, strlen(line), &root, NULL), WN_OK);
        const char *name = json_string_value(json_object_get(root, "name"));
        const json_t *text = json_object_get(root, "text"), *rows = json_object_get(root, "results");
        wn_str str = {json_string_value(text), json_string_length(text)};
        for (size_t i = 0; i < json_array_size(rows); i++, splits++)
            compared += case_check(name, str, json_array_get(rows, i));
        texts++;
        json_decref(root);
    }
    print_message("splitter: %zu written texts, %zu splits, %zu chunks compared with LangChain's, "
                  "0 differ\n", texts, splits, compared);
    assert_true(texts >= 30 && compared > 20000);
    wn_buf_release(&buf);
}

static void splitter_files_equal_langchain(void **state) {
    wn_buf buf = golden_read(GOLDEN "files.tsv");
    size_t splits = 0, compared = 0, skipped = 0;
    char *rest = NULL;
    for (char *line = strtok_r(buf.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char path[200], unit[16], full[600];
        uint64_t file_hash, want;
        size_t size, overlap, count;
        assert_int_equal(sscanf(line, "%199s %" SCNx64 " %zu %zu %15s %zu %" SCNx64, path, &file_hash,
                                &size, &overlap, unit, &count, &want), 7);
        snprintf(full, sizeof full, "%s/%s", WN_SOURCE_ROOT, path);
        wn_buf file = golden_read(full);
        if (XXH3_64bits(file.data, file.len) != file_hash) { /* examples may be edited freely */
            print_message("SKIPPED: %s changed after its golden was made (run "
                          "tests/golden/make_splitter_goldens.py)\n", path);
            skipped++;
            wn_buf_release(&file);
            continue;
        }
        wn_str text = {file.data, file.len};
        wn_chunks *chunks = split(text, size, overlap, unit_tokenizer(unit));
        if (wn_chunks_count(chunks) != count || chunks_hash(text, chunks, false) != want)
            fail_msg("%s %zu/%zu %s: other chunks than LangChain's", path, size, overlap, unit);
        compared += count;
        splits++;
        wn_chunks_free(chunks);
        wn_buf_release(&file);
    }
    print_message("splitter: %zu splits of files, %zu chunks compared, 0 differ, %zu skipped\n", splits,
                  compared, skipped);
    assert_true(splits >= 36); /* those of tests/golden/splitter/texts, which stay as they are */
    wn_buf_release(&buf);
}

/* ---- Random texts: the twin of random_text() in the script ----------------------- */

typedef struct lcg {
    uint64_t state;
} lcg;

static uint64_t lcg_next(lcg *rng, uint64_t n) {
    rng->state = rng->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (rng->state >> 33) % n;
}

typedef struct random_case {
    wn_buf text;
    bool numbered, tokens;
    size_t size, overlap;
} random_case;

static void item_append(wn_buf *out, const json_t *item, bool numbered, int *number) {
    const char *hex = json_string_value(json_object_get(item, "hex"));
    for (; hex && *hex; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        char c = (char)byte;
        assert_int_equal(wn_buf_append(out, &c, 1, NULL), WN_OK);
    }
    if (json_is_object(item)) return;
    const char *s = json_string_value(item);
    for (size_t i = 0; i < json_string_length(item); i++) {
        if (numbered && s[i] == '#')
            assert_int_equal(wn_buf_printf(out, NULL, "w%05d", (*number)++), WN_OK);
        else assert_int_equal(wn_buf_append(out, s + i, 1, NULL), WN_OK);
    }
}

static void random_case_make(uint64_t seed, const json_t *profiles, random_case *out) {
    static const size_t sizes[] = {1, 2, 3, 5, 8, 13, 20, 50, 100, 500, 1000};
    lcg rng = {seed};
    for (int i = 0; i < 4; i++) lcg_next(&rng, 2);
    const json_t *profile = json_array_get(profiles, lcg_next(&rng, json_array_size(profiles)));
    const json_t *items = json_object_get(profile, "items");
    out->numbered = strcmp(json_string_value(json_object_get(profile, "name")), "numbered") == 0;
    uint64_t most = lcg_next(&rng, 8) == 0 ? 2000 : 200;
    uint64_t count = lcg_next(&rng, most);
    int number = 0;
    wn_buf_clear(&out->text);
    for (uint64_t k = 0; k < count; k++) {
        const json_t *item = json_array_get(items, lcg_next(&rng, json_array_size(items)));
        uint64_t times = lcg_next(&rng, 40) == 0 ? 1 + lcg_next(&rng, 60) : 1;
        while (times--) item_append(&out->text, item, out->numbered, &number);
    }
    out->size = out->numbered ? sizes[7 + lcg_next(&rng, 4)] : sizes[lcg_next(&rng, 11)];
    uint64_t mode = lcg_next(&rng, 5), any = lcg_next(&rng, out->size + 1);
    const size_t overlaps[] = {0, out->size, out->size - 1, any, out->size / 5};
    out->overlap = overlaps[mode];
    out->tokens = lcg_next(&rng, 5) == 0 && !out->numbered;
}

static void splitter_random_texts_equal_langchain(void **state) {
    wn_buf buf = golden_read(GOLDEN "fuzz.tsv");
    json_t *root = NULL;
    assert_int_equal(wn_json_load(GOLDEN "alphabet.json", 1 << 20, &root, NULL), WN_OK);
    const json_t *profiles = json_object_get(root, "profiles");
    random_case c = {0};
    size_t seed = 0, compared = 0, bytes = 0, by_tokens = 0;
    char *rest = NULL;
    for (char *line = strtok_r(buf.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        uint64_t text_hash, want;
        size_t count;
        assert_int_equal(sscanf(line, "%" SCNx64 " %zu %" SCNx64, &text_hash, &count, &want), 3);
        random_case_make(seed, profiles, &c);
        wn_str text = {c.text.data ? c.text.data : "", c.text.len};
        if (XXH3_64bits(text.data, text.len) >> 32 != text_hash)
            fail_msg("seed %zu: the test makes another text than the script", seed);
        wn_chunks *chunks = split(text, c.size, c.overlap, c.tokens ? tokenizer : NULL);
        if (wn_chunks_count(chunks) != count || chunks_hash(text, chunks, c.numbered) != want)
            fail_msg("seed %zu, %zu/%zu %s: %zu chunks that are not LangChain's %zu", seed, c.size,
                     c.overlap, c.tokens ? "tokens" : "characters", wn_chunks_count(chunks), count);
        compared += count;
        bytes += text.len;
        by_tokens += c.tokens;
        seed++;
        wn_chunks_free(chunks);
    }
    print_message("splitter: %zu random texts (%zu bytes, %zu split by tokens), %zu chunks compared "
                  "with LangChain's, 0 differ\n", seed, bytes, by_tokens, compared);
    assert_true(seed >= 6000);
    wn_buf_release(&c.text);
    wn_buf_release(&buf);
    json_decref(root);
}

/* ---- Cost ---------------------------------------------------------------------- */

/* 2,000,000 times `unit`. The bound is loose enough for sanitizers; a quadratic splitter needs hours.
 * Processor time, since machines are shared. */
static void big_text_check(const char *unit, size_t size, size_t overlap, size_t expected) {
    size_t len = strlen(unit), total = 2000000 * len;
    char *text = malloc(total);
    assert_non_null(text);
    for (size_t i = 0; i < total; i += len) memcpy(text + i, unit, len);
    clock_t start = clock();
    wn_chunks *chunks = split((wn_str){text, total}, size, overlap, NULL);
    double took = (double)(clock() - start) / CLOCKS_PER_SEC;
    size_t count = wn_chunks_count(chunks);
    wn_chunks_free(chunks);
    free(text);
    assert_int_equal(count, expected);
    if (took > 20) fail_msg("2M times '%s' at %zu/%zu took %.1f s", unit, size, overlap, took);
}

static void splitter_huge_texts_are_linear(void **state) {
    big_text_check("x", 500, 100, 5000);           /* (2M - 100) / 400, rounded up */
    big_text_check("\xE4\xB8\x80", 500, 100, 5000);
    big_text_check("x", 4000000, 100, 1);          /* a window as long as the text */
    big_text_check(" ", 1000000, 999999, 0);       /* stripping must not look at it all each time */
    big_text_check("\t", 1000000, 999999, 0);
    big_text_check("\n", 500, 100, 0);
    big_text_check("x", 1000000, 999999, 1000001); /* a chunk a character */
}

/* ---- Arguments and failing memory --------------------------------------------------- */

static void splitter_bad_options_are_refused(void **state) {
    wn_chunks *chunks = NULL;
    wn_error err = {0};
    wn_str text = {"abc", 3};
    wn_split_options opt = wn_split_options_default();
    assert_int_equal(opt.chunk_size, 500);
    assert_int_equal(opt.chunk_overlap, 100);
    opt.chunk_size = 0;
    assert_int_equal(wn_split_text(text, &opt, &chunks, &err), WN_ERR_ARGUMENT);
    opt.chunk_size = 99;
    assert_int_equal(wn_split_text(text, &opt, &chunks, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "100"));
    opt.chunk_size = 100; /* as large as the overlap: LangChain accepts it */
    assert_int_equal(wn_split_text(text, &opt, &chunks, &err), WN_OK);
    wn_chunks_free(chunks);
    chunks = NULL;
    opt.unit = WN_UNIT_TOKENS;
    assert_int_equal(wn_split_text(text, &opt, &chunks, &err), WN_ERR_ARGUMENT);
    assert_null(chunks);
}

static void splitter_null_options_mean_defaults(void **state) {
    wn_chunks *chunks = NULL;
    char text[1200];
    memset(text, 'x', sizeof text);
    assert_int_equal(wn_split_text((wn_str){text, sizeof text}, NULL, &chunks, NULL), WN_OK);
    assert_int_equal(wn_chunks_count(chunks), 3);
    assert_int_equal(wn_chunks_span(chunks, 1).begin, 400);
    assert_int_equal(wn_chunks_span(chunks, 1).end, 900);
    wn_chunks_free(chunks);
    assert_int_equal(wn_split_text((wn_str){NULL, 0}, NULL, &chunks, NULL), WN_OK);
    assert_int_equal(wn_chunks_count(chunks), 0);
    wn_chunks_free(chunks);
    wn_chunks_free(NULL);
}

static void splitter_every_failing_allocation_is_reported(void **state) {
    const char text[] = "alpha beta\ngamma\n\ndelta epsilon zeta eta theta iota kappa lambda mu nu xi";
    for (int tokens = 0; tokens < 2; tokens++) {
        wn_split_options opt = wn_split_options_default();
        opt.chunk_size = 2;
        opt.chunk_overlap = 1;
        if (tokens) opt.unit = WN_UNIT_TOKENS, opt.tokenizer = tokenizer;
        wn_status st = WN_ERR_MEMORY;
        uint64_t n = 1;
        for (; n < 1000 && st != WN_OK; n++) {
            wn_chunks *chunks = NULL;
            wn_error err = {0};
            wn_memory_fail_at(n, true);
            st = wn_split_text((wn_str){text, sizeof text - 1}, &opt, &chunks, &err);
            wn_memory_fail_at(0, false);
            if (st == WN_OK) wn_chunks_free(chunks);
            else assert_true(st == WN_ERR_MEMORY && err.code == WN_ERR_MEMORY && !chunks);
        }
        assert_true(st == WN_OK && n > 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitter_written_texts_equal_langchain),
        cmocka_unit_test(splitter_files_equal_langchain),
        cmocka_unit_test(splitter_random_texts_equal_langchain),
        cmocka_unit_test(splitter_huge_texts_are_linear),
        cmocka_unit_test(splitter_bad_options_are_refused),
        cmocka_unit_test(splitter_null_options_mean_defaults),
        cmocka_unit_test(splitter_every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("splitter", tests, setup, teardown);
}
