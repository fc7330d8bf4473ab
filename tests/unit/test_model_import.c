/* test_model_import.c -- wn_model_import of the committed reranker, and of directories that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <winnow/model.h>

#include "core/file.h"
#include "model/model_cache.h"

#define RERANKER WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"

static char root[64], models[80];

static int set_up(void **state) {
    snprintf(root, sizeof root, "/tmp/winnow-test-import-XXXXXX");
    if (!mkdtemp(root)) return -1;
    snprintf(models, sizeof models, "%s/models", root);
    return setenv("WINNOW_CACHE", root, 1);
}

static int tear_down(void **state) { return wn_dir_remove(root, NULL) == WN_OK ? 0 : -1; }

/* Everything in models/, staging directories too. */
static int entries(void) {
    int n = 0;
    DIR *dir = opendir(models);
    if (!dir) return 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* root/NAME with the reranker's files as links: what the hub's own cache looks like. */
static char *make_links(const char *name, const char *left_out) {
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char *dir = wn_path_join(root, name);
    assert_int_equal(wn_dir_create(dir, NULL), WN_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (left_out && strcmp(files[i], left_out) == 0) continue;
        char *from = wn_path_join(RERANKER, files[i]), *to = wn_path_join(dir, files[i]);
        assert_int_equal(symlink(from, to), 0);
        wn_free(from), wn_free(to);
    }
    char *unread = wn_path_join(dir, "pytorch_model.bin");
    assert_int_equal(wn_file_write_atomic(unread, "x", 1, NULL), WN_OK);
    wn_free(unread);
    return dir;
}

static void assert_same_file(const char *a_dir, const char *b_dir, const char *name) {
    char *a = wn_path_join(a_dir, name), *b = wn_path_join(b_dir, name);
    wn_map ma, mb;
    assert_int_equal(wn_map_open(a, &ma, NULL), WN_OK);
    assert_int_equal(wn_map_open(b, &mb, NULL), WN_OK);
    assert_int_equal(ma.size, mb.size);
    assert_true(memcmp(ma.data, mb.data, ma.size) == 0);
    wn_map_close(&ma), wn_map_close(&mb);
    wn_free(a), wn_free(b);
}

static void import_copies_what_winnow_reads_and_opens_by_name(void **state) {
    wn_error err = {0};
    char *place = NULL, *dir = make_links("links", NULL);
    if (wn_model_import(dir, "mine", &place, &err) != WN_OK) fail_msg("%s", err.message);
    assert_same_file(place, RERANKER, "config.json");
    assert_same_file(place, RERANKER, "tokenizer.json");
    assert_same_file(place, RERANKER, "model.safetensors");
    char *unread = wn_path_join(place, "pytorch_model.bin");
    assert_false(wn_file_exists(unread));
    wn_free(unread);
    wn_model *model = NULL;
    assert_int_equal(wn_model_open("mine", NULL, &model, &err), WN_OK);
    wn_model_close(model);
    assert_int_equal(entries(), 1); /* nothing staged is left */
    /* again, over itself: the new one takes its place */
    assert_int_equal(wn_model_import(dir, "mine", NULL, &err), WN_OK);
    assert_int_equal(entries(), 1);
    /* the cache's own copy is not imported onto itself */
    assert_int_equal(wn_model_import(place, NULL, NULL, &err), WN_ERR_ARGUMENT);
    assert_same_file(place, RERANKER, "model.safetensors");
    wn_string_free(place);
    wn_free(dir);
}

static void import_takes_the_directorys_name(void **state) {
    char *place = NULL, *dir = make_links("my-model", NULL), *slashed = wn_path_join(dir, "");
    assert_int_equal(wn_model_import(slashed, NULL, &place, NULL), WN_OK);
    assert_non_null(strstr(place, "/models/my-model"));
    wn_string_free(place);
    wn_free(slashed), wn_free(dir);
}

static void import_of_what_does_not_open_leaves_no_trace(void **state) {
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    int before = entries();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        wn_error err = {0};
        char name[32];
        snprintf(name, sizeof name, "lacks-%zu", i);
        char *dir = make_links(name, files[i]);
        assert_int_not_equal(wn_model_import(dir, NULL, NULL, &err), WN_OK);
        assert_true(err.message[0]);
        assert_int_equal(entries(), before);
        wn_free(dir);
    }
}

static void import_refuses_names_that_are_none(void **state) {
    static const char *const names[] = {"", ".hidden", "a/b", "..", "a b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(wn_model_import(RERANKER, names[i], NULL, NULL), WN_ERR_ARGUMENT);
    assert_int_equal(wn_model_import("/no/such/dir", NULL, NULL, NULL), WN_ERR_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(import_copies_what_winnow_reads_and_opens_by_name),
        cmocka_unit_test(import_takes_the_directorys_name),
        cmocka_unit_test(import_of_what_does_not_open_leaves_no_trace),
        cmocka_unit_test(import_refuses_names_that_are_none),
    };
    return cmocka_run_group_tests_name("model_import", tests, set_up, tear_down);
}
