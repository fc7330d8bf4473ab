/* test_tokenizer_golden.c -- the same ids as Hugging Face tokenizers, in bulk.
 *
 * tests/golden/make_tokenizer_goldens.py wrote the answers; how they are hashed is
 * told there. The hostile strings run with what is committed; the collections and
 * the big tokenizers lie in shared/ (or $WN_SHARED), and without it are SKIPPED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <winnow/text.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"

#define GOLDEN WN_SOURCE_ROOT "/tests/golden/tokenizer"
enum { HASH = 8 };

static const char *const committed[][2] = {
    {"reranker-minilm-l6-v0", WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0/tokenizer.json"},
    {"small-xlmr", WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr/tokenizer.json"},
};
static const char *const in_shared[] = {"bert-uncased", "mbert-uncased", "xlm-roberta"};
enum { SHARED_COUNT = sizeof in_shared / sizeof *in_shared };

static json_t *manifest;

static const char *shared_path(const char *fmt, const char *a, const char *b) {
    static char path[1024], tail[512];
    const char *root = getenv("WN_SHARED");
    snprintf(tail, sizeof tail, fmt, a, b);
    snprintf(path, sizeof path, "%s/%s", root && *root ? root : WN_SOURCE_ROOT "/../shared", tail);
    return path;
}

static bool file_is(const char *path, const char *hex) {
    wn_map map = {0};
    char got[33];
    if (wn_map_open(path, &map, NULL) != WN_OK) return false;
    wn_hash hash = wn_hash_bytes(map.data, map.size);
    wn_hash_hex(&hash, got);
    wn_map_close(&map);
    return hex && !strcmp(got, hex);
}

static const char *recorded(const json_t *obj, const char *key) {
    return json_string_value(json_object_get(json_object_get(obj, "xxh3"), key));
}

static wn_tokenizer *open_tokenizer(const char *path) {
    wn_tokenizer *t = NULL;
    wn_error err = {0};
    if (wn_tokenizer_open(path, &t, &err) != WN_OK) fail_msg("%s", err.message);
    return t;
}

static void append_ids(wn_buf *out, const wn_encoding *e, bool types) {
    int32_t n = (int32_t)wn_encoding_length(e);
    wn_buf_append(out, &n, sizeof n, NULL);
    wn_buf_append(out, wn_encoding_ids(e), (size_t)n * sizeof(int32_t), NULL);
    if (types) wn_buf_append(out, wn_encoding_type_ids(e), (size_t)n, NULL);
}

static bool hash_is(const wn_buf *data, const unsigned char expected[HASH]) {
    wn_hash hash = wn_hash_bytes(data->data, data->len);
    return !memcmp(hash.bytes, expected, HASH);
}

static void encode(const wn_tokenizer *t, wn_str text, wn_encoding *e) {
    wn_error err = {0};
    if (wn_tokenizer_encode(t, text, NULL, 0, 0, e, &err) != WN_OK) fail_msg("%s", err.message);
}

static size_t from_hex(const char *hex, unsigned char *out) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (unsigned char)byte;
    }
    return n;
}

/* Calls fn for every line of a JSON-lines file. */
typedef void (*line_fn)(void *ctx, const json_t *row, size_t line);
static size_t each_line(const char *path, line_fn fn, void *ctx) {
    wn_map map = {0};
    wn_error err = {0};
    size_t line = 0;
    if (wn_map_open(path, &map, &err) != WN_OK) fail_msg("%s", err.message);
    for (size_t at = 0; at < map.size; line++) {
        const char *begin = (const char *)map.data + at, *end = memchr(begin, '\n', map.size - at);
        size_t len = end ? (size_t)(end - begin) : map.size - at;
        json_t *row = NULL;
        if (wn_json_parse(path, begin, len, &row, &err) != WN_OK) fail_msg("%s", err.message);
        fn(ctx, row, line);
        json_decref(row);
        at += len + 1;
    }
    wn_map_close(&map);
    return line;
}

/* ---- hostile strings ----------------------------------------------------- */

typedef struct string_check {
    const char *name;
    const wn_tokenizer *t;
    wn_encoding *e;
    wn_buf text, hashed;
    size_t wrong;
} string_check;

static bool same_ids(const json_t *ids, const wn_encoding *e) {
    if (json_array_size(ids) != wn_encoding_length(e)) return false;
    for (size_t i = 0; i < wn_encoding_length(e); i++)
        if (json_integer_value(json_array_get(ids, i)) != wn_encoding_ids(e)[i]) return false;
    return true;
}

static void check_string(void *ctx, const json_t *row, size_t line) {
    string_check *c = ctx;
    const char *hex = json_string_value(json_object_get(row, "hex"));
    unsigned char *bytes = malloc(strlen(hex) / 2 + 1), expected[HASH];
    size_t n = from_hex(hex, bytes);
    wn_buf_clear(&c->text);
    for (json_int_t i = json_integer_value(json_object_get(row, "repeat")); i > 0; i--)
        assert_int_equal(wn_buf_append(&c->text, bytes, n, NULL), WN_OK);
    free(bytes);
    encode(c->t, (wn_str){c->text.data, c->text.len}, c->e);
    const json_t *answer = json_object_get(row, c->name);
    bool same;
    if (json_is_array(answer)) {
        same = same_ids(answer, c->e);
    } else {
        assert_int_equal(from_hex(json_string_value(answer), expected), HASH);
        wn_buf_clear(&c->hashed);
        append_ids(&c->hashed, c->e, false);
        same = hash_is(&c->hashed, expected);
    }
    if (same) return;
    print_error("%s: strings.jsonl line %zu: other ids\n", c->name, line + 1);
    c->wrong++;
}

static void check_strings(const char *name, const char *path) {
    string_check c = {.name = name, .t = open_tokenizer(path)};
    assert_true(file_is(path, recorded(manifest, name)));
    assert_int_equal(wn_encoding_create(&c.e, NULL), WN_OK);
    size_t n = each_line(GOLDEN "/strings.jsonl", check_string, &c);
    print_message("%s: %zu hostile strings and own sentences, %zu differ\n", name, n, c.wrong);
    wn_buf_release(&c.text);
    wn_buf_release(&c.hashed);
    wn_encoding_free(c.e);
    wn_tokenizer_close((wn_tokenizer *)(uintptr_t)c.t);
    assert_int_equal(c.wrong, 0);
    assert_int_equal(n, json_integer_value(json_object_get(manifest, "strings")));
}

static void committed_tokenizers_on_hostile_strings(void **state) {
    for (size_t i = 0; i < sizeof committed / sizeof *committed; i++)
        check_strings(committed[i][0], committed[i][1]);
}

static void need_shared(void) {
    if (wn_file_exists(shared_path("tokenizers/%s/%s", in_shared[0], "tokenizer.json"))) return;
    print_message("SKIPPED: no shared/tokenizers (set WN_SHARED)\n");
    skip();
}

static void big_tokenizers_on_hostile_strings(void **state) {
    need_shared();
    for (size_t i = 0; i < SHARED_COUNT; i++)
        check_strings(in_shared[i], shared_path("tokenizers/%s/%s", in_shared[i], "tokenizer.json"));
}

/* ---- collections --------------------------------------------------------- */

typedef struct text_list {
    wn_buf bytes;
    size_t *start; /* [count + 1] */
    size_t count, cap;
} text_list;

static void keep_text(void *ctx, const json_t *row, size_t line) {
    text_list *l = ctx;
    const json_t *title = json_object_get(row, "title"), *text = json_object_get(row, "text");
    assert_int_equal(wn_grow(&l->start, &l->cap, l->count + 2, sizeof *l->start, NULL), WN_OK);
    l->start[l->count++] = l->bytes.len;
    if (json_string_length(title)) {
        wn_buf_append(&l->bytes, json_string_value(title), json_string_length(title), NULL);
        wn_buf_append(&l->bytes, "\n", 1, NULL);
    }
    wn_buf_append(&l->bytes, json_string_value(text), json_string_length(text), NULL);
    l->start[l->count] = l->bytes.len;
}

static wn_str text_at(const text_list *l, size_t i) {
    return (wn_str){l->bytes.data + l->start[i], l->start[i + 1] - l->start[i]};
}

typedef struct bulk_check {
    const char *name;
    const wn_tokenizer *t;
    wn_encoding *e;
    wn_buf hashes, hashed; /* the golden file; what is being hashed */
    size_t at, texts, pairs, wrong;
} bulk_check;

static const unsigned char *next_hash(bulk_check *c) {
    assert_true(c->at + HASH <= c->hashes.len);
    c->at += HASH;
    return (const unsigned char *)c->hashes.data + c->at - HASH;
}

static void check_texts(bulk_check *c, const text_list *l, const char *where) {
    size_t block = (size_t)json_integer_value(json_object_get(manifest, "block"));
    for (size_t i = 0; i < l->count; i += block) {
        wn_buf_clear(&c->hashed);
        for (size_t k = i; k < i + block && k < l->count; k++) {
            encode(c->t, text_at(l, k), c->e);
            append_ids(&c->hashed, c->e, false);
            c->texts++;
        }
        if (hash_is(&c->hashed, next_hash(c))) continue;
        print_error("%s: %s: other ids in texts %zu to %zu\n", c->name, where, i, i + block - 1);
        c->wrong++;
    }
}

static void check_pairs(bulk_check *c, const text_list *docs, const text_list *queries,
                        const char *where) {
    static const size_t lengths[] = {512, 64, 8};
    size_t pairs = (size_t)json_integer_value(json_object_get(manifest, "pairs"));
    for (size_t i = 0; i < pairs; i++) {
        const text_list *first = i % 2 ? docs : queries;
        wn_str a = text_at(first, (i * 7919 + 13) % first->count);
        wn_str b = text_at(docs, (i * 104729 + 7) % docs->count);
        wn_buf_clear(&c->hashed);
        for (int l = 0; l < 3; l++) {
            for (int how = 0; how < WN_TRUNCATE_NONE; how++) {
                int32_t raised = -1;
                if (wn_tokenizer_encode(c->t, a, &b, lengths[l], (wn_truncation)how, c->e, NULL) == WN_OK)
                    append_ids(&c->hashed, c->e, true);
                else wn_buf_append(&c->hashed, &raised, sizeof raised, NULL);
            }
        }
        c->pairs++;
        if (hash_is(&c->hashed, next_hash(c))) continue;
        print_error("%s: %s: pair %zu differs\n", c->name, where, i);
        c->wrong++;
    }
}

static void check_collection(bulk_check *checks, const json_t *entry) {
    static const char *const parts[] = {"corpus.jsonl", "queries.jsonl"}, *const keys[] = {"corpus", "queries"};
    const char *name = json_string_value(json_object_get(entry, "name"));
    text_list lists[2] = {0};
    for (int p = 0; p < 2; p++) {
        const char *path = shared_path("data/%s/%s", name, parts[p]);
        if (!file_is(path, recorded(entry, keys[p])))
            fail_msg("%s: not the file the goldens were made from", path);
        each_line(path, keep_text, &lists[p]);
    }
    for (size_t i = 0; i < SHARED_COUNT; i++) {
        for (int p = 0; p < 2; p++) check_texts(&checks[i], &lists[p], shared_path("data/%s/%s", name, parts[p]));
        check_pairs(&checks[i], &lists[0], &lists[1], name);
    }
    for (int p = 0; p < 2; p++) {
        wn_buf_release(&lists[p].bytes);
        wn_free(lists[p].start);
    }
}

static void big_tokenizers_on_every_text_of_the_collections(void **state) {
    need_shared();
    bulk_check checks[SHARED_COUNT] = {0};
    const json_t *list = json_object_get(manifest, "collections");
    size_t wrong = 0;
    for (size_t i = 0; i < SHARED_COUNT; i++) {
        bulk_check *c = &checks[i];
        char path[512];
        snprintf(path, sizeof path, GOLDEN "/hashes-%s.bin", in_shared[i]);
        c->name = in_shared[i];
        c->t = open_tokenizer(shared_path("tokenizers/%s/%s", in_shared[i], "tokenizer.json"));
        assert_int_equal(wn_encoding_create(&c->e, NULL), WN_OK);
        assert_int_equal(wn_file_read(path, 1 << 24, &c->hashes, NULL), WN_OK);
    }
    for (size_t k = 0; k < json_array_size(list); k++) check_collection(checks, json_array_get(list, k));
    for (size_t i = 0; i < SHARED_COUNT; i++) {
        bulk_check *c = &checks[i];
        print_message("%s: %zu texts whole, %zu pairs at 512, 64 and 8 by 3 strategies: %zu hashes differ\n",
                      c->name, c->texts, c->pairs, c->wrong);
        assert_int_equal(c->at, c->hashes.len);
        wrong += c->wrong;
        wn_buf_release(&c->hashes);
        wn_buf_release(&c->hashed);
        wn_encoding_free(c->e);
        wn_tokenizer_close((wn_tokenizer *)(uintptr_t)c->t);
    }
    assert_int_equal(wrong, 0);
}

static int set_up(void **state) {
    wn_error err = {0};
    setenv("WINNOW_CACHE", WN_BUILD_ROOT "/test-cache", 0); /* not the user's own */
    if (wn_json_load(GOLDEN "/MANIFEST.json", 1 << 20, &manifest, &err) == WN_OK) return 0;
    fprintf(stderr, "%s\n", err.message);
    return -1;
}
static int tear_down(void **state) {
    json_decref(manifest);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_tokenizers_on_hostile_strings),
        cmocka_unit_test(big_tokenizers_on_hostile_strings),
        cmocka_unit_test(big_tokenizers_on_every_text_of_the_collections),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
