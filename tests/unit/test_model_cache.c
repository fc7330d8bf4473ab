/* test_model_cache.c -- where the cache is, what is in it, which files of a model are ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <winnow/model.h>

#include "core/file.h"
#include "model/model_cache.h"
#include "model/model_files.h"

static char root[64];

static int set_up(void **state) {
    snprintf(root, sizeof root, "/tmp/winnow-test-cache-XXXXXX");
    if (!mkdtemp(root)) return -1;
    setenv("WINNOW_CACHE", root, 1);
    return 0;
}

static int tear_down(void **state) { return wn_dir_remove(root, NULL) == WN_OK ? 0 : -1; }

/* root/NAME holding one small file. */
static void make_dir(const char *name, const char *file) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(wn_dir_create(path, NULL), WN_OK);
    char *inner = wn_path_join(path, file);
    assert_int_equal(wn_file_write_atomic(inner, "{}", 2, NULL), WN_OK);
    wn_free(inner);
}

static void assert_cache_dir(const char *expected) {
    char *dir = NULL;
    assert_int_equal(wn_model_cache_dir(&dir, NULL), WN_OK);
    assert_string_equal(dir, expected);
    wn_string_free(dir);
}

static void cache_dir_follows_the_environment(void **state) {
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    wn_error err = {0};
    char *dir = NULL;
    assert_cache_dir(root);
    setenv("WINNOW_CACHE", "", 1); /* empty is unset */
    setenv("XDG_CACHE_HOME", "/x/cache", 1);
    assert_cache_dir("/x/cache/winnow");
    setenv("XDG_CACHE_HOME", "relative", 1); /* XDG: to be ignored */
    setenv("HOME", "/h", 1);
    assert_cache_dir("/h/.cache/winnow");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(wn_model_cache_dir(&dir, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "WINNOW_CACHE"));
    if (home) setenv("HOME", home, 1);
    free(home);
    setenv("WINNOW_CACHE", root, 1);
}

static bool collect(void *ctx, const char *name, const char *path) {
    char *out = ctx;
    size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%s ", name);
    assert_non_null(strstr(path, name));
    return strcmp(name, "m2") != 0;
}

static void list_is_sorted_and_holds_models_only(void **state) {
    char seen[256] = "";
    assert_int_equal(wn_model_list(collect, seen, NULL), WN_OK);
    assert_string_equal(seen, ""); /* no models/ yet */
    make_dir("models/m1", "config.json");
    make_dir("models/b", "config.json");
    make_dir("models/.pull-x--y-0", "config.json");
    make_dir("models/not-a-model", "readme");
    assert_int_equal(wn_model_list(collect, seen, NULL), WN_OK);
    assert_string_equal(seen, "b m1 ");
    make_dir("models/m2", "config.json");
    make_dir("models/m3", "config.json");
    seen[0] = 0;
    assert_int_equal(wn_model_list(collect, seen, NULL), WN_OK);
    assert_string_equal(seen, "b m1 m2 "); /* stopped where the callback said so */
}

static void path_of_a_cached_name_is_in_the_cache(void **state) {
    char expected[160], *path = NULL;
    snprintf(expected, sizeof expected, "%s/models/cached", root);
    make_dir("models/cached", "config.json");
    assert_int_equal(wn_model_path("cached", &path, NULL), WN_OK);
    assert_string_equal(path, expected);
    wn_string_free(path);
    assert_int_equal(wn_model_path(expected, &path, NULL), WN_OK);
    assert_string_equal(path, expected);
    wn_string_free(path);
}

/* A folder that happens to be called like a model, without being one, must not hide it. */
static void path_passes_over_a_folder_that_is_no_model(void **state) {
    char *cwd = getcwd(NULL, 0), *path = NULL;
    make_dir("work/shadow", "notes.txt");
    make_dir("models/shadow", "config.json");
    char work[160];
    snprintf(work, sizeof work, "%s/work", root);
    assert_int_equal(chdir(work), 0);
    assert_int_equal(wn_model_path("shadow", &path, NULL), WN_OK);
    assert_non_null(strstr(path, "/models/shadow"));
    wn_string_free(path);
    make_dir("work/shadow", "config.json");
    assert_int_equal(wn_model_path("shadow", &path, NULL), WN_OK);
    assert_string_equal(path, "shadow");
    wn_string_free(path);
    assert_int_equal(chdir(cwd), 0);
    free(cwd);
}

static void path_of_an_unknown_name_says_how_to_get_it(void **state) {
    static const char *const names[] = {"nowhere", "a/b", "../x", "/no/such/dir", ".", "a/../b",
                                        "models/../../etc"};
    wn_error err = {0};
    char *path = NULL;
    assert_int_equal(wn_model_path("nowhere", &path, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "winnow model pull"));
    assert_non_null(strstr(err.message, root));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], ".") == 0) continue; /* a directory that exists; opening it will fail */
        assert_int_equal(wn_model_path(names[i], &path, NULL), WN_ERR_NOT_FOUND);
    }
    assert_int_equal(wn_model_path("", &path, NULL), WN_ERR_ARGUMENT);
}

static void origin_round_trips_and_is_empty_without_a_file(void **state) {
    wn_model_origin origin = {.repository = "acme/x", .commit = "0123abc"}, read;
    make_dir("models/o", "config.json");
    char *dir = NULL;
    assert_int_equal(wn_model_cache_place("o", &dir, NULL), WN_OK);
    wn_model_origin_read(dir, &read);
    assert_string_equal(read.repository, "");
    assert_int_equal(wn_model_origin_write(dir, &origin, NULL), WN_OK);
    wn_model_origin_read(dir, &read);
    assert_string_equal(read.repository, "acme/x");
    assert_string_equal(read.commit, "0123abc");
    wn_free(dir);
}

static void replace_puts_the_new_directory_in_the_old_ones_place(void **state) {
    char staged[160], final[160], inner[200];
    make_dir("models/r", "old");
    make_dir("models/.staged", "new");
    snprintf(staged, sizeof staged, "%s/models/.staged", root);
    snprintf(final, sizeof final, "%s/models/r", root);
    assert_int_equal(wn_model_cache_replace(staged, final, NULL), WN_OK);
    snprintf(inner, sizeof inner, "%s/new", final);
    assert_true(wn_file_exists(inner));
    snprintf(inner, sizeof inner, "%s/old", final);
    assert_false(wn_file_exists(inner));
    wn_error err = {0};
    assert_int_equal(wn_model_cache_replace(staged, final, &err), WN_ERR_NOT_FOUND);
    snprintf(inner, sizeof inner, "%s/new", final);
    assert_true(wn_file_exists(inner)); /* put back */
}

static void remove_does_not_follow_links(void **state) {
    char link[200], target[200], dir[160];
    make_dir("outside", "kept");
    make_dir("doomed/deep", "gone");
    snprintf(link, sizeof link, "%s/doomed/link", root);
    snprintf(target, sizeof target, "%s/outside", root);
    snprintf(dir, sizeof dir, "%s/doomed", root);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(wn_dir_remove(dir, NULL), WN_OK);
    assert_false(wn_dir_exists(dir));
    snprintf(link, sizeof link, "%s/outside/kept", root);
    assert_true(wn_file_exists(link));
    assert_int_equal(wn_dir_remove(dir, NULL), WN_OK); /* not there: nothing to do */
}

static void file_kinds_are_exact(void **state) {
    static const struct { const char *name; wn_model_file kind; } cases[] = {
        {"config.json", WN_FILE_DESCRIPTION},
        {"1_Pooling/config.json", WN_FILE_DESCRIPTION},
        {"12_Normalize/config.json", WN_FILE_DESCRIPTION},
        {"model.safetensors", WN_FILE_SAFETENSORS},
        {"model.safetensors.index.json", WN_FILE_SAFETENSORS},
        {"model-00001-of-00012.safetensors", WN_FILE_SAFETENSORS},
        {"model.onnx", WN_FILE_ONNX},
        {"onnx/model.onnx", WN_FILE_ONNX},
        {"onnx/config.json", WN_FILE_OTHER},
        {"_Pooling/config.json", WN_FILE_OTHER},
        {"1_/config.json", WN_FILE_OTHER},
        {"1_Pooling/x/config.json", WN_FILE_OTHER},
        {"model-1-of-2.safetensors", WN_FILE_OTHER},
        {"model-00001-of-0001x.safetensors", WN_FILE_OTHER},
        {"pytorch_model.bin", WN_FILE_OTHER},
        {"onnx/model_quantized.onnx", WN_FILE_OTHER},
        {"config.json ", WN_FILE_OTHER},
        {"", WN_FILE_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (wn_model_file_kind(cases[i].name) != cases[i].kind) fail_msg("%s", cases[i].name);
}

static void paths_that_leave_a_directory_are_not_safe(void **state) {
    static const char *const good[] = {"a", "a/b", "a..b", "..a", "a.", "\xC3\xA9/x y"};
    static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b",
                                      "a\\b", "a\nb", "a\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!wn_path_is_safe(good[i])) fail_msg("\"%s\" is safe", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (wn_path_is_safe(bad[i])) fail_msg("\"%s\" is not safe", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_dir_follows_the_environment),
        cmocka_unit_test(list_is_sorted_and_holds_models_only),
        cmocka_unit_test(path_of_a_cached_name_is_in_the_cache),
        cmocka_unit_test(path_passes_over_a_folder_that_is_no_model),
        cmocka_unit_test(path_of_an_unknown_name_says_how_to_get_it),
        cmocka_unit_test(origin_round_trips_and_is_empty_without_a_file),
        cmocka_unit_test(replace_puts_the_new_directory_in_the_old_ones_place),
        cmocka_unit_test(remove_does_not_follow_links),
        cmocka_unit_test(file_kinds_are_exact),
        cmocka_unit_test(paths_that_leave_a_directory_are_not_safe),
    };
    return cmocka_run_group_tests_name("model_cache", tests, set_up, tear_down);
}
