/* tokenizer_cache.c -- compiled tokenizers kept between starts.
 *
 * Parsing XLM-R's 17 MB of JSON and building its trie takes most of a second;
 * mapping the compiled form and checking it takes milliseconds. The file is named
 * after the hash of the tokenizer.json it came from, and repeats that hash inside.
 * Place: $WINNOW_CACHE, else $XDG_CACHE_HOME/winnow, else ~/.cache/winnow; below it
 * tokenizers/<hash>.bin. Anything wrong with a file means: compile again. */
#include "text/tokenizer_cache.h"

#include <stdlib.h>
#include <string.h>

static char *cache_dir(void) {
    const char *own = getenv("WINNOW_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *root = NULL;
    if (own && *own) root = wn_strdup(own);
    else if (xdg && *xdg) root = wn_path_join(xdg, "winnow");
    else if (home && *home) root = wn_path_join(home, ".cache/winnow");
    if (!root) return NULL;
    char *dir = wn_path_join(root, "tokenizers");
    wn_free(root);
    return dir;
}

static char *cache_path(const char *dir, const wn_hash *source) {
    char name[33 + 4];
    wn_hash_hex(source, name);
    strcpy(name + 32, ".bin");
    return wn_path_join(dir, name);
}

bool wn_tokenizer_cache_open(const wn_hash *source, wn_tokenizer *t) {
    char *dir = cache_dir();
    char *path = dir ? cache_path(dir, source) : NULL;
    wn_map map = {0};
    bool found = path && wn_file_exists(path) && wn_map_open(path, &map, NULL) == WN_OK;
    if (found && (wn_tokenizer_from_image(path, map.data, map.size, t, NULL) != WN_OK ||
                  !wn_hash_equal(&t->image.head->source, source))) {
        wn_map_close(&map);
        found = false;
    }
    if (found) t->map = map;
    wn_free(path);
    wn_free(dir);
    return found;
}

void wn_tokenizer_cache_store(const wn_hash *source, const void *image, size_t size) {
    char *dir = cache_dir();
    char *path = dir && wn_dir_create(dir, NULL) == WN_OK ? cache_path(dir, source) : NULL;
    if (path) (void)wn_file_write_atomic(path, image, size, NULL);
    wn_free(path);
    wn_free(dir);
}
