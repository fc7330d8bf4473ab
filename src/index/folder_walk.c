/* folder_walk.c -- the files that inputs name: folders walked, links followed once.
 *
 * No recursion: folders wait in a list, so depth costs memory for names alone. Real folders
 * come first and symbolic links to folders last, of all inputs: what can be reached without a
 * link keeps that name, whatever the order of names. A folder is known by device and inode and
 * walked once, which ends loops and keeps two links to one tree from doubling it.
 *
 * Names are listed before anything is read: the total is known for a progress bar, the
 * order does not depend on readdir, and an input without documents is an error before an index is
 * touched. Measured: 100,000 files with paths of 50 bytes take 13 MB.
 *
 * Rejected: nftw (no context pointer, chdir or descriptors per level), fts (not in every libc);
 * not following links, as git does: note folders are full of links that users mean. */
#include "index/folder_walk.h"

#include "core/error.h"
#include "core/file.h"
#include "core/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool ends_with(const char *name, const char *ending) {
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcasecmp(name + n - m, ending) == 0;
}

bool wn_file_is_markdown(const char *name) {
    return ends_with(name, ".md") || ends_with(name, ".markdown");
}

bool wn_file_is_document(const char *name) {
    return wn_file_is_markdown(name) || ends_with(name, ".txt");
}

static void warn(wn_file_list *list, const wn_error *why) {
    if (list->warning) list->warning(list->warning_ctx, why->message);
}

/* ---- Folders already walked ------------------------------------------------- */

static size_t visited_slot(const wn_folder_id *table, size_t cap, wn_folder_id id) {
    size_t at = (size_t)((id.ino * UINT64_C(0x9E3779B97F4A7C15) ^ id.dev * UINT64_C(0xC2B2AE3D27D4EB4F)) >> 16);
    for (;; at++) {
        const wn_folder_id *slot = &table[at & (cap - 1)];
        bool unused = slot->dev == 0 && slot->ino == 0;
        if (unused || (slot->dev == id.dev && slot->ino == id.ino)) return at & (cap - 1);
    }
}

/* *fresh is false when the folder was there already; then it may be another input's. */
static wn_status visited_add(wn_file_list *list, wn_folder_id id, bool *fresh, wn_error *err) {
    if ((list->visited_count + 1) * 2 > list->visited_cap) {
        size_t cap = list->visited_cap ? list->visited_cap * 2 : 64;
        wn_folder_id *table = wn_calloc(cap, sizeof *table);
        if (!table) return wn_fail_memory(err, cap * sizeof *table);
        for (size_t i = 0; i < list->visited_cap; i++)
            if (list->visited[i].dev || list->visited[i].ino)
                table[visited_slot(table, cap, list->visited[i])] = list->visited[i];
        wn_free(list->visited);
        list->visited = table;
        list->visited_cap = cap;
    }
    wn_folder_id *slot = &list->visited[visited_slot(list->visited, list->visited_cap, id)];
    *fresh = slot->dev == 0 && slot->ino == 0;
    list->visited_count += *fresh;
    if (*fresh) *slot = id;
    if (*fresh || slot->input == id.input) return WN_OK;
    WN_TRY(wn_grow(&list->sharing, &list->sharing_cap, list->sharing_count + 1, sizeof *list->sharing, err));
    list->sharing[list->sharing_count++] = id.input;
    return WN_OK;
}

/* ---- Listing ------------------------------------------------------------------ */

/* Takes path over, also on failure. */
static wn_status entry_push(wn_file_entry **entries, size_t *count, size_t *cap, char *path,
                            size_t input, const struct stat *info, bool linked, wn_error *err) {
    wn_status st = path ? wn_grow(entries, cap, *count + 1, sizeof **entries, err)
                        : wn_fail_memory(err, 256);
    if (st != WN_OK) {
        wn_free(path);
        return st;
    }
    uint64_t size = S_ISREG(info->st_mode) ? (uint64_t)info->st_size : 0;
    (*entries)[(*count)++] = (wn_file_entry){path, input, size, (uint64_t)info->st_dev,
                                             (uint64_t)info->st_ino, linked};
    return WN_OK;
}

/* One name of an open folder. */
static wn_status name_take(wn_file_list *list, const wn_file_entry *folder, int fd,
                           const struct dirent *item, wn_error *err) {
    const char *name = item->d_name;
    bool document = wn_file_is_document(name);
    if (name[0] == '.' || (item->d_type == DT_REG && !document)) return WN_OK;
    struct stat info, own;
    bool known = fstatat(fd, name, &own, AT_SYMLINK_NOFOLLOW) == 0;
    bool link = known && S_ISLNK(own.st_mode);
    if (known && !link) info = own;
    else if (known) known = fstatat(fd, name, &info, 0) == 0;
    bool is_folder = known && S_ISDIR(info.st_mode);
    if (!document && !is_folder) return WN_OK;
    char *path = wn_path_join(folder->path, name);
    if (!path) return wn_fail_memory(err, strlen(name) + 1);
    wn_error why;
    if (!known) wn_fail_errno(&why, path, link ? "skipped, a link that leads nowhere" : "skipped");
    else if (!is_folder && !S_ISREG(info.st_mode))
        wn_fail(&why, WN_ERR_IO, "%s: skipped, not a regular file", path);
    else if (!wn_utf8_valid(name, strlen(name), NULL)) {
        wn_fail(&why, WN_ERR_FORMAT, "%s: skipped, its name is not UTF-8: rename it", path);
        known = false;
    }
    if (!known || (!is_folder && !S_ISREG(info.st_mode))) {
        warn(list, &why);
        wn_free(path);
        return WN_OK;
    }
    bool linked = folder->linked || link;
    if (!is_folder)
        return entry_push(&list->entries, &list->count, &list->cap, path, folder->input, &info,
                          linked, err);
    if (link)
        return entry_push(&list->links, &list->links_count, &list->links_cap, path, folder->input,
                          &info, linked, err);
    return entry_push(&list->pending, &list->pending_count, &list->pending_cap, path, folder->input,
                      &info, linked, err);
}

static wn_status folder_read(wn_file_list *list, const wn_file_entry *folder, bool named,
                             wn_error *err) {
    bool fresh = false;
    WN_TRY(visited_add(list, (wn_folder_id){folder->dev, folder->ino, folder->input}, &fresh, err));
    if (!fresh) return WN_OK;
    wn_error why;
    DIR *dir = opendir(folder->path);
    if (!dir) {
        wn_fail_errno(&why, folder->path, "cannot read folder");
        if (named) return wn_fail(err, why.code, "%s", why.message);
        warn(list, &why);
        return WN_OK;
    }
    wn_status st = WN_OK;
    struct dirent *item;
    while (st == WN_OK && (errno = 0, item = readdir(dir)) != NULL)
        st = name_take(list, folder, dirfd(dir), item, err);
    if (st == WN_OK && errno) {
        wn_fail_errno(&why, folder->path, "folder read in part");
        warn(list, &why);
    }
    closedir(dir);
    return st;
}

/* Walks what waits in `pending`. */
static wn_status pending_walk(wn_file_list *list, wn_error *err) {
    while (list->pending_count) {
        wn_file_entry folder = list->pending[--list->pending_count];
        wn_status st = folder_read(list, &folder, false, err);
        wn_free(folder.path);
        WN_TRY(st);
    }
    return WN_OK;
}

wn_status wn_file_list_add(wn_file_list *list, const char *path, size_t input, wn_error *err) {
    struct stat info;
    if (stat(path, &info) != 0) return wn_fail_errno(err, path, "cannot open");
    if (!wn_utf8_valid(path, strlen(path), NULL))
        return wn_fail(err, WN_ERR_FORMAT, "%s: the name is not UTF-8: rename it", path);
    size_t len = strlen(path);
    if (S_ISDIR(info.st_mode))
        while (len > 1 && path[len - 1] == '/') len--; /* "docs/" and "docs" name documents alike */
    char *copy = wn_strndup(path, len);
    if (!S_ISDIR(info.st_mode))
        return entry_push(&list->entries, &list->count, &list->cap, copy, input, &info, false, err);
    if (!copy) return wn_fail_memory(err, len + 1);
    wn_file_entry folder = {copy, input, 0, (uint64_t)info.st_dev, (uint64_t)info.st_ino, false};
    wn_status st = folder_read(list, &folder, true, err);
    if (st == WN_OK) st = pending_walk(list, err);
    wn_free(copy);
    return st;
}

/* ---- Order, and one name a file -------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int by_path(const void *a, const void *b) {
    const wn_file_entry *x = a, *y = b;
    int order = compare_numbers(x->input, y->input);
    return order ? order : strcmp(x->path, y->path);
}

/* Same file together, the name that is kept first. */
static int by_identity(const void *a, const void *b) {
    const wn_file_entry *x = a, *y = b;
    int order = compare_numbers(x->dev, y->dev);
    if (!order) order = compare_numbers(x->ino, y->ino);
    if (!order) order = (int)x->linked - (int)y->linked;
    return order ? order : by_path(a, b);
}

static void second_names_drop(wn_file_list *list) {
    if (list->count == 0) return;
    qsort(list->entries, list->count, sizeof *list->entries, by_identity);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        wn_file_entry *e = &list->entries[i], *last = kept ? &list->entries[kept - 1] : NULL;
        if (!last || last->dev != e->dev || last->ino != e->ino) {
            list->entries[kept++] = *e;
            continue;
        }
        wn_error why;
        wn_fail(&why, WN_ERR_ARGUMENT, "%s: skipped, the same file as %s", e->path, last->path);
        if (strcmp(e->path, last->path) != 0) warn(list, &why);
        wn_free(e->path);
    }
    list->count = kept;
    qsort(list->entries, list->count, sizeof *list->entries, by_path);
}

/* A folder that gave nothing is an error, unless another input walked (a part of) it before. */
static wn_status empty_folder_check(const wn_file_list *list, const char *path, size_t input,
                                    wn_error *err) {
    struct stat info;
    if (strcmp(path, "-") == 0 || stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return WN_OK;
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].input == input) return WN_OK;
    for (size_t i = 0; i < list->sharing_count; i++)
        if (list->sharing[i] == input) return WN_OK;
    char *corpus = wn_path_join(path, "corpus.jsonl");
    if (!corpus) return wn_fail_memory(err, strlen(path) + 14);
    bool beir = wn_file_exists(corpus);
    wn_free(corpus);
    return wn_fail(err, WN_ERR_NOT_FOUND,
                   "%s: no documents: no file in it ends in .md, .markdown or .txt%s", path,
                   beir ? "; it holds corpus.jsonl: give that file itself" : "");
}

wn_status wn_file_list_finish(wn_file_list *list, const char *const *inputs, size_t ninputs,
                              wn_error *err) {
    /* Links found below links are appended and reached by this same loop. */
    for (size_t i = 0; i < list->links_count; i++) {
        wn_file_entry folder = list->links[i];
        WN_TRY(folder_read(list, &folder, false, err));
        WN_TRY(pending_walk(list, err));
    }
    for (size_t i = 0; i < ninputs; i++) WN_TRY(empty_folder_check(list, inputs[i], i, err));
    second_names_drop(list);
    return WN_OK;
}

static void entries_free(wn_file_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) wn_free(entries[i].path);
    wn_free(entries);
}

void wn_file_list_release(wn_file_list *list) {
    entries_free(list->entries, list->count);
    entries_free(list->pending, list->pending_count);
    entries_free(list->links, list->links_count);
    wn_free(list->visited);
    wn_free(list->sharing);
    *list = (wn_file_list){0};
}
