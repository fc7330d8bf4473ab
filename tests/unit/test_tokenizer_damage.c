/* test_tokenizer_damage.c -- what a tokenizer.json or a cached compiled form can do to
 * us: unknown components are refused by name, damage and failed allocations never
 * crash, and a cache that cannot be trusted is passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <winnow/text.h>

#include "core/file.h"
#include "text/tokenizer_impl.h"

#define SMALL_XLMR WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr/tokenizer.json"

static char dir[256]; /* of this run, removed at the end */

/* A whole BERT tokenizer in 600 bytes; %s are normalizer, pre_tokenizer, post_processor, model. */
#define SHELL "{\"version\":\"1.0\",\"truncation\":{\"max_length\":3,\"strategy\":\"LongestFirst\"," \
    "\"stride\":0},\"padding\":null,\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s," \
    "\"post_processor\":%s,\"decoder\":null,\"model\":%s}"
#define ADDED "{\"id\":1,\"content\":\"[SEP]\",\"single_word\":false,\"lstrip\":false," \
    "\"rstrip\":false,\"normalized\":false,\"special\":true}"
#define NORMALIZER "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true," \
    "\"strip_accents\":null,\"lowercase\":true}"
#define PRE "{\"type\":\"BertPreTokenizer\"}"
#define POST "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",1],\"cls\":[\"[CLS]\",2]}"
#define WORDPIECE "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\"," \
    "\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"[SEP]\":1,\"[CLS]\":2,\"un\":3," \
    "\"##aff\":4,\"##able\":5,\"hello\":6,\",\":7,\"yester\":8,\"##day\":9}}"
#define UNIGRAM "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"[SEP]\",0.0]," \
    "[\"[CLS]\",0.0],[\"\\u2581a\",-1.5],[\"b\",-2.0],[\"ab\",-2.5],[\"\\u2581\",-3.0]]}"
#define METASPACE "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"always\"}"

typedef struct parts {
    const char *added, *normalizer, *pre, *post, *model;
} parts;
static const parts tiny_bert = {ADDED, NORMALIZER, PRE, POST, WORDPIECE};
static const parts tiny_unigram = {ADDED, "null", METASPACE, POST, UNIGRAM};

static char *shell(parts p) {
    static char text[8192];
    snprintf(text, sizeof text, SHELL, p.added, p.normalizer, p.pre, p.post, p.model);
    return text;
}

static char *path_of(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t len) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static wn_status open_text(const char *json, wn_tokenizer **t, wn_error *err) {
    char *path = path_of("tokenizer.json");
    write_file(path, json, strlen(json));
    return wn_tokenizer_open(path, t, err);
}

static size_t encode_some(const wn_tokenizer *t) {
    static const char text[] = "unaffable hello, [SEP] ab  \xC3\xA9 \xE6\xBC\xA2 b\xCC\x81 yesterday \xFF";
    wn_str s = {text, sizeof text - 1};
    wn_encoding *e = NULL;
    if (wn_encoding_create(&e, NULL) != WN_OK) return 0;
    size_t n = 0;
    if (wn_tokenizer_encode(t, s, &s, 0, 0, e, NULL) == WN_OK) n = wn_encoding_length(e);
    if (wn_tokenizer_encode_raw(t, s, e, NULL) == WN_OK) n += wn_encoding_length(e);
    for (int32_t id = -2; id < 20; id++) {
        const char *token = wn_tokenizer_token(t, id);
        if (token) n += strlen(token) > 100;
    }
    wn_encoding_free(e);
    return n;
}

/* ---- refusals ------------------------------------------------------------ */

static void refused(parts p, wn_status status, const char *named) {
    wn_tokenizer *t = NULL;
    wn_error err = {0};
    wn_status st = open_text(shell(p), &t, &err);
    if (st != status || !strstr(err.message, named) || !strstr(err.message, "tokenizer.json"))
        fail_msg("status %d, \"%s\"; wanted %d naming \"%s\"", st, err.message, status, named);
    assert_null(t);
}
#define WITH(base, field, value) ({ parts p_ = base; p_.field = value; p_; })

static void tiny_tokenizers_open_and_ignore_the_stored_truncation(void **state) {
    wn_tokenizer *t = NULL;
    wn_error err = {0};
    if (open_text(shell(tiny_bert), &t, &err) != WN_OK) fail_msg("%s", err.message);
    wn_encoding *e = NULL;
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    static const int32_t ids[] = {2, 3, 4, 5, 6, 7, 1, 1};
    assert_int_equal(wn_tokenizer_encode(t, (wn_str){"UNaffable hello,[SEP]", 21}, NULL, 0, 0, e, NULL), WN_OK);
    assert_int_equal(wn_encoding_length(e), 8);
    assert_memory_equal(wn_encoding_ids(e), ids, sizeof ids);
    wn_tokenizer_close(t);
    if (open_text(shell(tiny_unigram), &t, &err) != WN_OK) fail_msg("%s", err.message);
    assert_int_equal(wn_tokenizer_encode(t, (wn_str){"ab b", 4}, NULL, 0, 0, e, NULL), WN_OK);
    static const int32_t pieces[] = {2, 3, 4, 6, 4, 1};
    assert_int_equal(wn_encoding_length(e), 6);
    assert_memory_equal(wn_encoding_ids(e), pieces, sizeof pieces);
    wn_tokenizer_close(t);
    wn_encoding_free(e);
}

static void unknown_components_are_refused_by_name(void **state) {
    wn_status no = WN_ERR_UNSUPPORTED;
    refused(WITH(tiny_bert, model, "{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}"), no, "\"BPE\"");
    refused(WITH(tiny_bert, model, "{\"vocab\":{},\"merges\":[]}"), no, "\"BPE\"");
    refused(WITH(tiny_bert, model, "{\"type\":\"WordLevel\",\"vocab\":{}}"), no, "\"WordLevel\"");
    refused(WITH(tiny_bert, normalizer, "{\"type\":\"NFKC\"}"), no, "\"NFKC\"");
    refused(WITH(tiny_bert, normalizer, "{\"type\":\"Precompiled\"}"), no, "\"Precompiled\"");
    refused(WITH(tiny_unigram, normalizer, NORMALIZER), no, "\"BertNormalizer\"");
    refused(WITH(tiny_unigram, normalizer, "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"}]}"),
            no, "\"Nmt\"");
    refused(WITH(tiny_unigram, normalizer,
                 "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\d\"},\"content\":\"0\"}"), no, "Replace");
    refused(WITH(tiny_bert, pre, "{\"type\":\"Whitespace\"}"), no, "\"Whitespace\"");
    refused(WITH(tiny_bert, pre, "null"), no, "pre_tokenizer");
    refused(WITH(tiny_unigram, pre, "{\"type\":\"ByteLevel\"}"), no, "\"ByteLevel\"");
    refused(WITH(tiny_unigram, pre, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},"
                 METASPACE "]}"), no, "\"Digits\"");
    refused(WITH(tiny_unigram, pre, "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"odd\"}"),
            no, "\"odd\"");
    refused(WITH(tiny_unigram, pre, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                 "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}]}"), no, "\"first\"");
    refused(WITH(tiny_bert, post, "{\"type\":\"ByteLevel\"}"), no, "\"ByteLevel\"");
    refused(WITH(tiny_unigram, model, "{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"a\",0]]}"),
            no, "byte_fallback");
    refused(WITH(tiny_unigram, model, "{\"type\":\"Unigram\",\"vocab\":[[\"a\",0.0]]}"), no, "unk_id");
}

static void malformed_components_are_refused_with_the_reason(void **state) {
    wn_status bad = WN_ERR_FORMAT;
    refused(WITH(tiny_bert, model, "null"), bad, "\"model\"");
    refused(WITH(tiny_bert, model, "{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}"), bad, "[UNK]");
    refused(WITH(tiny_bert, model, "{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":-1}}"), bad, "-1");
    refused(WITH(tiny_bert, model, "{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":4000000000}}"), bad, "4000000000");
    refused(WITH(tiny_bert, model, "{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":0}}"), bad, "two tokens");
    refused(WITH(tiny_bert, model, "{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":\"x\"}}"), bad, "[UNK]");
    refused(WITH(tiny_bert, added, "{\"id\":5,\"content\":\"[SEP]\"}"), bad, "added token");
    refused(WITH(tiny_bert, added, "{\"id\":77,\"content\":\"[NEW]\"}"), bad, "[NEW]");
    refused(WITH(tiny_bert, post, "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",99],\"cls\":[\"[CLS]\",2]}"),
            bad, "99");
    refused(WITH(tiny_bert, post, "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"C\"}}],"
                 "\"pair\":[],\"special_tokens\":{}}"), bad, "single");
    refused(WITH(tiny_unigram, model, "{\"type\":\"Unigram\",\"unk_id\":9,\"vocab\":[[\"a\",0.0]]}"), bad, "unk_id");
    refused(WITH(tiny_unigram, model, "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\"]]}"), bad, "entry 0");
    refused(WITH(tiny_unigram, normalizer, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"A*==\"}"), bad, "base64");
    refused(WITH(tiny_unigram, normalizer, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"}"), bad, "charsmap");
    refused(WITH(tiny_unigram, normalizer, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAAD/\"}"), bad, "not UTF-8 at byte 8");
}

/* ---- added tokens -------------------------------------------------------- */

static void assert_raw(const wn_tokenizer *t, const char *text, size_t n, const int32_t *ids) {
    wn_encoding *e = NULL;
    assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
    assert_int_equal(wn_tokenizer_encode_raw(t, (wn_str){text, strlen(text)}, e, NULL), WN_OK);
    assert_int_equal(wn_encoding_length(e), n);
    assert_memory_equal(wn_encoding_ids(e), ids, n * sizeof *ids);
    wn_encoding_free(e);
}

static void added_tokens_match_as_their_flags_say(void **state) {
    wn_tokenizer *t = NULL;
    wn_error err = {0};
    parts p = WITH(tiny_bert, added,
        "{\"id\":10,\"content\":\"Day\",\"normalized\":true,\"single_word\":true},"
        "{\"id\":11,\"content\":\"<x>\",\"normalized\":false,\"lstrip\":true,\"rstrip\":true},"
        "{\"id\":12,\"content\":\"<x>y\",\"normalized\":false}");
    if (open_text(shell(p), &t, &err) != WN_OK) fail_msg("%s", err.message);
    /* Matched in lower-cased text, but not inside a word. */
    assert_raw(t, "DAY hello", 2, (const int32_t[]){10, 6});
    assert_raw(t, "yesterday day", 3, (const int32_t[]){8, 9, 10});
    /* The longest wins; <X> is not <x>. */
    assert_raw(t, "hello <x>yhello", 3, (const int32_t[]){6, 12, 6});
    assert_raw(t, "hello \t <x>  hello", 3, (const int32_t[]){6, 11, 6});
    assert_raw(t, "<X>", 3, (const int32_t[]){0, 0, 0});
    assert_string_equal(wn_tokenizer_token(t, 12), "<x>y");
    assert_int_equal(wn_tokenizer_vocab_size(t), 13);
    wn_tokenizer_close(t);
}

/* ---- damage -------------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;
static size_t rnd(size_t below) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (size_t)(seed % below);
}

/* Opens damaged copies without a cache (it would keep what it could compile). */
static void damage(const char *bytes, size_t len, int rounds) {
    char *copy = malloc(len);
    char *path = path_of("damaged.json");
    int opened = 0;
    assert_non_null(copy);
    setenv("WINNOW_CACHE", "/dev/null/nowhere", 1);
    for (int i = 0; i < rounds; i++) {
        size_t n = len;
        memcpy(copy, bytes, len);
        if (i % 3 == 0) n = rnd(len);
        else for (size_t flips = 1 + rnd(4); flips; flips--) copy[rnd(len)] ^= (char)(1 << rnd(8));
        write_file(path, copy, n);
        wn_tokenizer *t = NULL;
        wn_error err = {0};
        if (wn_tokenizer_open(path, &t, &err) == WN_OK) {
            opened++;
            encode_some(t);
            wn_tokenizer_close(t);
        } else {
            assert_null(t);
            assert_non_null(strstr(err.message, "damaged.json"));
        }
    }
    setenv("WINNOW_CACHE", path_of("cache"), 1);
    free(copy);
    print_message("%d damaged files, %d still a tokenizer\n", rounds, opened);
}

static void damaged_json_never_crashes(void **state) {
    wn_buf small = {0};
    char *json = shell(tiny_bert);
    damage(json, strlen(json), 1500);
    json = shell(tiny_unigram);
    damage(json, strlen(json), 1500);
    assert_int_equal(wn_file_read(SMALL_XLMR, 1 << 24, &small, NULL), WN_OK);
    damage(small.data, small.len, 40);
    wn_buf_release(&small);
}

static void compile(const char *json, wn_buf *image) {
    wn_error err = {0};
    wn_hash hash = wn_hash_bytes(json, strlen(json));
    if (wn_tokenizer_compile("t.json", json, strlen(json), &hash, image, &err) != WN_OK)
        fail_msg("%s", err.message);
}

/* Flipped bits under a right checksum, as a forger would leave them: opening must
 * refuse, or what opened must encode within its bounds. */
static void forge(const char *json, int rounds, bool header_only) {
    wn_buf image = {0};
    compile(json, &image);
    unsigned char *copy = aligned_alloc(64, (image.len + 63) / 64 * 64);
    int opened = 0;
    assert_non_null(copy);
    for (int i = 0; i < rounds; i++) {
        memcpy(copy, image.data, image.len);
        size_t range = header_only ? sizeof(wn_image_header) : image.len, n = image.len;
        for (size_t flips = 1 + rnd(3); flips; flips--) copy[rnd(range)] ^= (unsigned char)(1 << rnd(8));
        if (i % 7 == 0) n = rnd(image.len) & ~(size_t)7;
        if (n > sizeof(wn_image_header)) {
            wn_image_header *head = (wn_image_header *)(void *)copy;
            head->payload = wn_hash_bytes(copy + sizeof *head, n - sizeof *head);
            if (i % 2) head->size = n;
        }
        wn_tokenizer t = {0};
        if (wn_tokenizer_from_image("forged", copy, n, &t, NULL) != WN_OK) continue;
        opened++;
        encode_some(&t);
    }
    print_message("%d forged images, %d accepted\n", rounds, opened);
    free(copy);
    wn_buf_release(&image);
}

static void forged_images_never_leave_their_bounds(void **state) {
    wn_buf small = {0};
    forge(shell(tiny_bert), 3000, false);
    forge(shell(tiny_bert), 3000, true);
    forge(shell(tiny_unigram), 3000, false);
    forge(shell(tiny_unigram), 3000, true);
    assert_int_equal(wn_file_read(SMALL_XLMR, 1 << 24, &small, NULL), WN_OK);
    forge(small.data, 300, false);
    wn_buf_release(&small);
}

/* ---- the cache ----------------------------------------------------------- */

static char *only_cache_file(void) {
    static char path[1024];
    char folder[600];
    snprintf(folder, sizeof folder, "%s/cache/tokenizers", dir);
    DIR *d = opendir(folder);
    int found = 0;
    if (!d) return NULL;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        found++;
    }
    closedir(d);
    assert_true(found <= 1);
    return found ? path : NULL;
}

static void clear_cache(void) {
    char folder[600];
    snprintf(folder, sizeof folder, "%s/cache/tokenizers", dir);
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    closedir(d);
}

static void cache_is_written_used_and_distrusted(void **state) {
    wn_tokenizer *t = NULL;
    wn_buf good = {0}, again = {0};
    clear_cache();
    assert_int_equal(open_text(shell(tiny_bert), &t, NULL), WN_OK);
    assert_int_equal(t->map.size, 0); /* compiled just now */
    size_t tokens = encode_some(t);
    wn_tokenizer_close(t);
    char *file = only_cache_file();
    assert_non_null(file);
    assert_int_equal(wn_file_read(file, 1 << 24, &good, NULL), WN_OK);

    assert_int_equal(open_text(shell(tiny_bert), &t, NULL), WN_OK);
    assert_true(t->map.size > 0); /* mapped */
    assert_int_equal(encode_some(t), tokens);
    wn_tokenizer_close(t);

    for (int i = 0; i < 60; i++) { /* damaged: compiled again, and put right */
        size_t n = i % 2 ? good.len : rnd(good.len);
        char kept = good.data[rnd(good.len)];
        size_t at = rnd(good.len);
        kept = good.data[at];
        good.data[at] ^= (char)(1 << rnd(8));
        write_file(file, good.data, n);
        good.data[at] = kept;
        assert_int_equal(open_text(shell(tiny_bert), &t, NULL), WN_OK);
        assert_int_equal(encode_some(t), tokens);
        assert_int_equal(t->map.size, 0);
        wn_tokenizer_close(t);
        wn_buf_clear(&again);
        assert_int_equal(wn_file_read(file, 1 << 24, &again, NULL), WN_OK);
        assert_int_equal(again.len, good.len);
        assert_memory_equal(again.data, good.data, good.len);
    }
    wn_buf_release(&good);
    wn_buf_release(&again);
}

static void cache_that_cannot_be_written_is_no_error(void **state) {
    wn_tokenizer *t = NULL;
    setenv("WINNOW_CACHE", "/dev/null/nowhere", 1);
    assert_int_equal(open_text(shell(tiny_bert), &t, NULL), WN_OK);
    assert_true(encode_some(t) > 0);
    wn_tokenizer_close(t);
    setenv("WINNOW_CACHE", path_of("cache"), 1);
}

/* ---- allocation failures ------------------------------------------------- */

static void fail_every_allocation(const char *json) {
    char *path = path_of("tokenizer.json");
    int failures = 0;
    write_file(path, json, strlen(json));
    for (uint64_t n = 1;; n++) {
        wn_tokenizer *t = NULL;
        wn_error err = {0};
        clear_cache();
        wn_memory_fail_at(n, false);
        wn_status st = wn_tokenizer_open(path, &t, &err);
        uint64_t made = wn_memory_fail_at(0, false);
        assert_true(st == WN_OK || st == WN_ERR_MEMORY); /* the cache may fail in silence */
        if (st == WN_OK) wn_tokenizer_close(t);
        else failures++, assert_null(t);
        if (made < n) break;
    }
    assert_true(failures > 5);

    wn_tokenizer *t = NULL;
    assert_int_equal(wn_tokenizer_open(path, &t, NULL), WN_OK);
    size_t whole = encode_some(t);
    for (uint64_t n = 1;; n++) {
        wn_memory_fail_at(n, false);
        encode_some(t);
        uint64_t made = wn_memory_fail_at(0, false);
        if (made < n) break;
    }
    assert_int_equal(encode_some(t), whole);
    wn_tokenizer_close(t);
}

static void failed_allocations_are_reported(void **state) {
    fail_every_allocation(shell(tiny_bert));
    fail_every_allocation(shell(WITH(tiny_bert, added,
        "{\"id\":10,\"content\":\"Day\",\"normalized\":true,\"single_word\":true}")));
    fail_every_allocation(shell(tiny_unigram));
    wn_buf small = {0};
    assert_int_equal(wn_file_read(SMALL_XLMR, 1 << 24, &small, NULL), WN_OK);
    wn_tokenizer *t = NULL;
    assert_int_equal(open_text(small.data, &t, NULL), WN_OK);
    for (uint64_t n = 1;; n++) {
        wn_memory_fail_at(n, false);
        encode_some(t);
        if (wn_memory_fail_at(0, false) < n) break;
    }
    wn_tokenizer_close(t);
    wn_buf_release(&small);
}

static void nothing_is_allocated_after_warm_up(void **state) {
    static const char *const texts[] = {"unaffable hello, [SEP] ab", "b\xCC\x81 \xE6\xBC\xA2 \xFF", "ab ab ab"};
    for (int kind = 0; kind < 2; kind++) {
        wn_tokenizer *t = NULL;
        wn_encoding *e = NULL;
        assert_int_equal(open_text(shell(kind ? tiny_unigram : tiny_bert), &t, NULL), WN_OK);
        assert_int_equal(wn_encoding_create(&e, NULL), WN_OK);
        for (int round = 0; round < 3; round++) {
            wn_memory_fail_at(0, false);
            for (int i = 0; i < 3; i++) {
                wn_str s = {texts[i], strlen(texts[i])};
                assert_int_equal(wn_tokenizer_encode(t, s, &s, 512, 0, e, NULL), WN_OK);
                assert_int_equal(wn_tokenizer_encode_raw(t, s, e, NULL), WN_OK);
            }
            uint64_t made = wn_memory_fail_at(0, false);
            if (round) assert_int_equal(made, 0);
        }
        wn_encoding_free(e);
        wn_tokenizer_close(t);
    }
}

static int set_up(void **state) {
    snprintf(dir, sizeof dir, "%s/tokenizer-damage.XXXXXX", WN_BUILD_ROOT);
    if (!mkdtemp(dir)) return -1;
    setenv("WINNOW_CACHE", path_of("cache"), 1);
    return 0;
}

static int tear_down(void **state) {
    clear_cache();
    rmdir(path_of("cache/tokenizers"));
    rmdir(path_of("cache"));
    unlink(path_of("tokenizer.json"));
    unlink(path_of("damaged.json"));
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_tokenizers_open_and_ignore_the_stored_truncation),
        cmocka_unit_test(unknown_components_are_refused_by_name),
        cmocka_unit_test(malformed_components_are_refused_with_the_reason),
        cmocka_unit_test(added_tokens_match_as_their_flags_say),
        cmocka_unit_test(damaged_json_never_crashes),
        cmocka_unit_test(forged_images_never_leave_their_bounds),
        cmocka_unit_test(cache_is_written_used_and_distrusted),
        cmocka_unit_test(cache_that_cannot_be_written_is_no_error),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(nothing_is_allocated_after_warm_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
