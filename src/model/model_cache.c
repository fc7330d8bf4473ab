/* model_cache.c -- models by name: where the cache is, what is in it.
 *
 *   $WINNOW_CACHE | $XDG_CACHE_HOME/winnow | ~/.cache/winnow
 *     models/NAME/            a Hugging Face directory, whole
 *     models/NAME/winnow.json where it was pulled from: {"repository", "commit"}
 *     models/.pull-*          a pull under way, or broken off and to be continued
 *
 * A pulled model's directory is its name without the owner, since that is what people type. Two
 * owners' models of one name therefore meet in one place; winnow.json tells them apart and the
 * second pull is refused, where models/OWNER/NAME would have made every imported model's name a
 * special case. Names that start with a dot are ours and are never listed. */
#include "model/model_cache.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "model/model_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <winnow/model.h>

void wn_string_free(char *string) { wn_free(string); }

static const char *env(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static wn_status joined(const char *dir, const char *name, char **out, wn_error *err) {
    char *path = wn_path_join(dir, name);
    if (!path) return wn_fail_memory(err, strlen(dir) + strlen(name) + 2);
    *out = path;
    return WN_OK;
}

wn_status wn_model_cache_dir(char **out, wn_error *err) {
    const char *dir = env("WINNOW_CACHE");
    if (dir) {
        char *copy = wn_strdup(dir);
        if (!copy) return wn_fail_memory(err, strlen(dir));
        *out = copy;
        return WN_OK;
    }
    dir = env("XDG_CACHE_HOME");
    if (dir && dir[0] == '/') return joined(dir, "winnow", out, err); /* XDG: ignore a relative one */
    dir = env("HOME");
    if (dir) return joined(dir, ".cache/winnow", out, err);
    return wn_fail(err, WN_ERR_NOT_FOUND,
                   "no place for the model cache: set WINNOW_CACHE, XDG_CACHE_HOME or HOME");
}

static wn_status models_dir(char **out, wn_error *err) {
    char *cache = NULL;
    WN_TRY(wn_model_cache_dir(&cache, err));
    wn_status st = joined(cache, "models", out, err);
    wn_free(cache);
    return st;
}

wn_status wn_model_cache_place(const char *name, char **out, wn_error *err) {
    char *models = NULL;
    WN_TRY(models_dir(&models, err));
    wn_status st = wn_dir_create(models, err);
    if (st == WN_OK) st = joined(models, name, out, err);
    wn_free(models);
    return st;
}

static bool holds_model(const char *dir) {
    char *config = wn_path_join(dir, "config.json");
    bool found = config && wn_file_exists(config);
    wn_free(config);
    return found;
}

/* "owner/name" or "name" in the cache; NULL in *out when it is not there. */
static wn_status find_in_cache(const char *models, const char *name, char **out, wn_error *err) {
    const char *slash = strchr(name, '/'), *base = slash ? slash + 1 : name;
    *out = NULL;
    if (!wn_model_name_is_valid(base)) return WN_OK;
    char *path = NULL;
    WN_TRY(joined(models, base, &path, err));
    bool found = holds_model(path);
    if (found && slash) {
        wn_model_origin origin;
        wn_model_origin_read(path, &origin);
        found = strcmp(origin.repository, name) == 0;
    }
    if (found) *out = path;
    else wn_free(path);
    return WN_OK;
}

/* A directory with a model in it comes before the cache: what the caller sees is what he gets. A
 * bare name must not be caught by any folder that happens to be called so. */
wn_status wn_model_path(const char *name, char **out, wn_error *err) {
    bool path_like = name[0] == '/' || name[0] == '.';
    if (!*name) return wn_fail(err, WN_ERR_ARGUMENT, "the model's name is empty");
    if (wn_dir_exists(name) && (path_like || holds_model(name))) {
        char *copy = wn_strdup(name);
        if (!copy) return wn_fail_memory(err, strlen(name));
        *out = copy;
        return WN_OK;
    }
    if (path_like) return wn_fail(err, WN_ERR_NOT_FOUND, "%s: no such model directory", name);
    char *models = NULL, *found = NULL;
    WN_TRY(models_dir(&models, err));
    wn_status st = find_in_cache(models, name, &found, err);
    if (st == WN_OK && found) *out = found;
    else if (st == WN_OK)
        st = wn_fail(err, WN_ERR_NOT_FOUND,
                     "no model %s: not a directory with a config.json, and not in %s; 'winnow model "
                     "pull OWNER/NAME' or 'winnow model import DIR' puts one there",
                     name, models);
    wn_free(models);
    return st;
}

/* ---- Listing --------------------------------------------------------------- */

typedef struct names {
    char **items;
    size_t n, cap;
} names;

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static wn_status collect(const char *models, names *list, wn_error *err) {
    DIR *dir = opendir(models);
    if (!dir) return errno == ENOENT ? WN_OK : wn_fail_errno(err, models, "cannot open");
    wn_status st = WN_OK;
    for (struct dirent *entry; st == WN_OK && (entry = readdir(dir));) {
        if (!wn_model_name_is_valid(entry->d_name)) continue;
        char *path = NULL;
        WN_TRY_GOTO(joined(models, entry->d_name, &path, err));
        bool model = holds_model(path);
        wn_free(path);
        if (!model) continue;
        WN_TRY_GOTO(wn_grow(&list->items, &list->cap, list->n + 1, sizeof *list->items, err));
        char *copy = wn_strdup(entry->d_name);
        if (copy) list->items[list->n++] = copy;
        else st = wn_fail_memory(err, strlen(entry->d_name));
    }
fail:
    closedir(dir);
    return st;
}

wn_status wn_model_list(bool (*fn)(void *ctx, const char *name, const char *path), void *ctx,
                        wn_error *err) {
    names list = {0};
    char *models = NULL;
    WN_TRY(models_dir(&models, err));
    wn_status st = collect(models, &list, err);
    if (st == WN_OK && list.n > 1) qsort(list.items, list.n, sizeof *list.items, by_name);
    bool more = true;
    for (size_t i = 0; st == WN_OK && more && i < list.n; i++) {
        char *path = NULL;
        st = joined(models, list.items[i], &path, err);
        if (st != WN_OK) break;
        more = fn(ctx, list.items[i], path);
        wn_free(path);
    }
    for (size_t i = 0; i < list.n; i++) wn_free(list.items[i]);
    wn_free(list.items);
    wn_free(models);
    return st;
}

/* ---- Placing and removing --------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

wn_status wn_dir_remove(const char *path, wn_error *err) {
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return wn_fail_errno(err, path, "cannot remove");
    return WN_OK;
}

/* So that the renames are on disk before the caller says that the model is there. */
static void sync_parent(const char *path) {
    char *parent = wn_strdup(path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    if (slash && slash != parent) {
        *slash = 0;
        int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            (void)fsync(fd);
            close(fd);
        }
    }
    wn_free(parent);
}

wn_status wn_model_cache_replace(const char *staged, const char *final, wn_error *err) {
    const char *slash = strrchr(final, '/');
    wn_buf aside = {0};
    WN_TRY(wn_buf_printf(&aside, err, "%.*s/.old-%s-%ld", slash ? (int)(slash - final) : 1,
                         slash ? final : ".", slash ? slash + 1 : final, (long)getpid()));
    wn_status st = WN_OK;
    bool had = false;
    if (rename(final, aside.data) == 0) had = true;
    else if (errno != ENOENT) st = wn_fail_errno(err, final, "cannot move aside");
    if (st == WN_OK && rename(staged, final) != 0) {
        st = wn_fail_errno(err, final, "cannot rename into place");
        if (had && rename(aside.data, final) == 0) had = false;
    }
    sync_parent(final);
    if (had) (void)wn_dir_remove(aside.data, NULL); /* mapped weights stay valid for their readers */
    wn_buf_release(&aside);
    return st;
}

/* ---- Provenance ------------------------------------------------------------- */

static void copy_member(const json_t *root, const char *key, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(root, key));
    if (text && strlen(text) < size) memcpy(out, text, strlen(text) + 1);
}

void wn_model_origin_read(const char *dir, wn_model_origin *out) {
    *out = (wn_model_origin){0};
    char *path = wn_path_join(dir, "winnow.json");
    json_t *root = NULL;
    if (path && wn_json_load(path, 1 << 16, &root, NULL) == WN_OK) {
        copy_member(root, "repository", out->repository, sizeof out->repository);
        copy_member(root, "commit", out->commit, sizeof out->commit);
        json_decref(root);
    }
    wn_free(path);
}

wn_status wn_model_origin_write(const char *dir, const wn_model_origin *origin, wn_error *err) {
    char *path = NULL, *text = NULL;
    json_t *root = json_pack("{s:s, s:s}", "repository", origin->repository, "commit",
                             origin->commit);
    wn_status st = WN_OK;
    text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    if (!text) st = wn_fail_memory(err, 0);
    if (st == WN_OK) st = joined(dir, "winnow.json", &path, err);
    if (st == WN_OK) st = wn_file_write_atomic(path, text, strlen(text), err);
    wn_free(path);
    free(text);
    json_decref(root);
    return st;
}
