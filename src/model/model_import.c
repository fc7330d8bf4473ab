/* model_import.c -- wn_model_import: a directory of the user's into the cache.
 *
 * Only the files that winnow reads are copied (model_files.h), by reflink where the file system can
 * share blocks: a 130 MB model is then there at once and takes no room until one side changes. Links
 * are followed, because a snapshot of the hub's own cache is a directory of links to blobs. The
 * copy gathers under a name that is never listed and takes its place by one rename. */
#include "core/error.h"
#include "core/file.h"
#include "model/model_cache.h"
#include "model/model_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <winnow/model.h>

/* Which form of the weights the loader reads, so that only that one is copied. */
typedef struct import {
    const char *source;
    char *place, *staging;
    bool whole, sharded, onnx;
    wn_error *err;
} import;

static bool source_has(const import *im, const char *name) {
    char *path = wn_path_join(im->source, name);
    bool found = path && wn_file_exists(path);
    wn_free(path);
    return found;
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static bool is_wanted(const import *im, const char *name) {
    switch (wn_model_file_kind(name)) {
    case WN_FILE_DESCRIPTION: return true;
    case WN_FILE_ONNX:
        return !im->whole && !im->sharded && (strcmp(name, "model.onnx") == 0 || !im->onnx);
    case WN_FILE_SAFETENSORS: return im->whole ? strcmp(name, "model.safetensors") == 0 : im->sharded;
    case WN_FILE_OTHER: /* an index may call its shards anything */
        return im->sharded && !im->whole && !strchr(name, '/') && ends_with(name, ".safetensors");
    }
    return false;
}

static wn_status copy_bytes(int from, int to, const char *path, wn_error *err) {
    enum { CHUNK = 1 << 20 };
    if (ioctl(to, FICLONE, from) == 0) return WN_OK;
    char *chunk = wn_malloc(CHUNK);
    if (!chunk) return wn_fail_memory(err, CHUNK);
    wn_status st = WN_OK;
    ssize_t n = 0;
    while (st == WN_OK && (n = read(from, chunk, CHUNK)) > 0)
        for (ssize_t at = 0; st == WN_OK && at < n;) {
            ssize_t w = write(to, chunk + at, (size_t)(n - at));
            if (w < 0) st = wn_fail_errno(err, path, "cannot write");
            else at += w;
        }
    if (st == WN_OK && n < 0) st = wn_fail_errno(err, path, "cannot read");
    wn_free(chunk);
    return st;
}

static wn_status copy_file(const char *from, const char *to, wn_error *err) {
    wn_status st = WN_OK;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    if (in < 0) return wn_fail_errno(err, from, "cannot open");
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0) st = wn_fail_errno(err, to, "cannot create");
    if (st == WN_OK) st = copy_bytes(in, out, to, err);
    if (st == WN_OK && fsync(out) != 0) st = wn_fail_errno(err, to, "cannot sync");
    if (out >= 0) close(out);
    close(in);
    return st;
}

/* One file of the model, given by its path below the source. */
static wn_status copy_named(const import *im, const char *name) {
    char *from = wn_path_join(im->source, name), *to = wn_path_join(im->staging, name);
    wn_status st = WN_OK;
    if (!from || !to) {
        st = wn_fail_memory(im->err, strlen(name));
        goto fail;
    }
    char *slash = strrchr(to, '/');
    *slash = 0;
    st = wn_dir_create(to, im->err);
    *slash = '/';
    if (st == WN_OK) st = copy_file(from, to, im->err);
fail:
    wn_free(to);
    wn_free(from);
    return st;
}

/* The wanted files below source/under, one level deep ("" is the model's own directory). */
static wn_status copy_level(const import *im, const char *under) {
    char *path = wn_path_join(im->source, under);
    wn_buf name = {0};
    wn_status st = WN_OK;
    DIR *dir = path ? opendir(path) : NULL;
    if (!path) st = wn_fail_memory(im->err, 0);
    else if (!dir) st = wn_fail_errno(im->err, path, "cannot open");
    for (struct dirent *entry; st == WN_OK && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        wn_buf_clear(&name);
        st = wn_buf_printf(&name, im->err, "%s%s%s", under, *under ? "/" : "", entry->d_name);
        if (st != WN_OK) break;
        if (source_has(im, name.data)) {
            if (is_wanted(im, name.data)) st = copy_named(im, name.data);
        } else if (!*under) {
            char *deeper = wn_path_join(im->source, name.data);
            bool folder = deeper && wn_dir_exists(deeper);
            wn_free(deeper);
            if (folder) st = copy_level(im, name.data);
        }
    }
    if (dir) closedir(dir);
    wn_buf_release(&name);
    wn_free(path);
    return st;
}

/* The name given, or the directory's own ("." and links resolved). */
static wn_status choose_name(const char *dir, const char *name, char **out, wn_error *err) {
    char *real = realpath(dir, NULL), *slash = real ? strrchr(real, '/') : NULL;
    wn_status st = WN_OK;
    if (!real) return wn_fail_errno(err, dir, "cannot find");
    if (!name) name = slash + 1;
    if (!wn_model_name_is_valid(name))
        st = wn_fail(err, WN_ERR_ARGUMENT,
                     "\"%s\" can't name a model: letters, digits, '.', '_' and '-', no dot in front",
                     name);
    else if (!(*out = wn_strdup(name))) st = wn_fail_memory(err, strlen(name));
    free(real);
    return st;
}

static bool same_directory(const char *a, const char *b) {
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static wn_status import_into(import *im, const char *name) {
    wn_buf staging = {0};
    wn_status st = WN_OK;
    WN_TRY_GOTO(wn_model_cache_place(name, &im->place, im->err));
    if (same_directory(im->source, im->place)) {
        st = wn_fail(im->err, WN_ERR_ARGUMENT, "%s is in the cache already", im->source);
        goto fail;
    }
    WN_TRY_GOTO(wn_buf_printf(&staging, im->err, ".import-%s-%ld", name, (long)getpid()));
    WN_TRY_GOTO(wn_model_cache_place(staging.data, &im->staging, im->err));
    WN_TRY_GOTO(wn_dir_remove(im->staging, im->err));
    im->whole = source_has(im, "model.safetensors");
    im->sharded = source_has(im, "model.safetensors.index.json");
    im->onnx = source_has(im, "model.onnx");
    st = copy_level(im, "");
    if (st == WN_OK) st = wn_model_cache_replace(im->staging, im->place, im->err);
    if (st != WN_OK) (void)wn_dir_remove(im->staging, NULL);
fail:
    wn_buf_release(&staging);
    return st;
}

wn_status wn_model_import(const char *dir, const char *name, char **path_out, wn_error *err) {
    import im = {.source = dir, .err = err};
    wn_model *model = NULL;
    char *chosen = NULL, *path = NULL;
    wn_status st = WN_OK;
    if (!wn_dir_exists(dir)) return wn_fail(err, WN_ERR_NOT_FOUND, "%s: no such directory", dir);
    WN_TRY_GOTO(choose_name(dir, name, &chosen, err));
    /* As a path, so that a model of that name in the cache is not opened in its stead. */
    path = dir[0] == '/' ? wn_strdup(dir) : wn_path_join(".", dir);
    if (!path) {
        st = wn_fail_memory(err, strlen(dir));
        goto fail;
    }
    WN_TRY_GOTO(wn_model_open(path, NULL, &model, err));
    WN_TRY_GOTO(import_into(&im, chosen));
    if (path_out) {
        *path_out = im.place;
        im.place = NULL;
    }
fail:
    wn_model_close(model);
    wn_free(im.staging);
    wn_free(im.place);
    wn_free(path);
    wn_free(chosen);
    return st;
}
