/* file.c -- files: mapping, reading whole, writing so that a crash leaves old or new. */
#include "core/file.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

wn_status wn_map_open(const char *path, wn_map *out, wn_error *err) {
    static const unsigned char empty[1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return wn_fail_errno(err, path, "cannot open");
    struct stat info;
    wn_status st = WN_OK;
    if (fstat(fd, &info) != 0) {
        st = wn_fail_errno(err, path, "cannot stat");
    } else if (!S_ISREG(info.st_mode)) {
        st = wn_fail(err, WN_ERR_IO, "%s: not a regular file", path);
    } else if (info.st_size == 0) {
        *out = (wn_map){.data = empty, .size = 0};
    } else {
        void *p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) st = wn_fail_errno(err, path, "cannot map");
        else *out = (wn_map){.data = p, .size = (size_t)info.st_size};
    }
    close(fd);
    return st;
}

void wn_map_close(wn_map *map) {
    if (map->size) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (wn_map){0};
}

void wn_map_forget(const wn_map *map) {
    if (map->size) madvise((void *)(uintptr_t)map->data, map->size, MADV_DONTNEED);
}

wn_status wn_file_read(const char *path, size_t limit, wn_buf *out, wn_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return wn_fail_errno(err, path, "cannot open");
    wn_status st = WN_OK;
    for (;;) {
        st = wn_buf_reserve(out, 1 << 16, err);
        if (st != WN_OK) break;
        ssize_t n = read(fd, out->data + out->len, out->cap - out->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) st = wn_fail_errno(err, path, "cannot read");
        if (n <= 0) break;
        out->len += (size_t)n;
        if (out->len > limit) {
            st = wn_fail(err, WN_ERR_FORMAT, "%s: larger than %zu bytes", path, limit);
            break;
        }
    }
    if (st == WN_OK) out->data[out->len] = 0;
    close(fd);
    return st;
}

static wn_status write_all(int fd, const char *path, const char *bytes, size_t len, wn_error *err) {
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wn_fail_errno(err, path, "cannot write");
        bytes += n;
        len -= (size_t)n;
    }
    if (fsync(fd) != 0) return wn_fail_errno(err, path, "cannot sync");
    return WN_OK;
}

wn_status wn_file_write_atomic(const char *path, const void *bytes, size_t len, wn_error *err) {
    wn_buf temp = {0};
    WN_TRY(wn_buf_printf(&temp, err, "%s.tmp.%ld.XXXXXX", path, (long)getpid()));
    int fd = mkostemp(temp.data, O_CLOEXEC);
    wn_status st = WN_OK;
    if (fd < 0) {
        st = wn_fail_errno(err, path, "cannot create");
    } else {
        st = write_all(fd, path, bytes, len, err);
        if (fchmod(fd, 0644) != 0 && st == WN_OK) st = wn_fail_errno(err, path, "cannot chmod");
        close(fd);
        if (st == WN_OK && rename(temp.data, path) != 0)
            st = wn_fail_errno(err, path, "cannot rename into place");
        if (st != WN_OK) unlink(temp.data);
    }
    wn_buf_release(&temp);
    return st;
}

bool wn_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool wn_dir_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

wn_status wn_dir_create(const char *path, wn_error *err) {
    char *copy = wn_strdup(path);
    if (!copy) return wn_fail_memory(err, strlen(path));
    wn_status st = WN_OK;
    for (char *p = copy + 1; st == WN_OK; p++) {
        if (*p != '/' && *p != 0) continue;
        char kept = *p;
        *p = 0;
        if (mkdir(copy, 0755) != 0 && errno != EEXIST)
            st = wn_fail_errno(err, copy, "cannot create directory");
        *p = kept;
        if (!kept) break;
    }
    if (st == WN_OK && !wn_dir_exists(path))
        st = wn_fail(err, WN_ERR_IO, "%s: not a directory", path);
    wn_free(copy);
    return st;
}

char *wn_path_join(const char *dir, const char *name) {
    size_t a = strlen(dir), b = strlen(name);
    while (a > 1 && dir[a - 1] == '/') a--;
    char *out = wn_malloc(a + b + 2);
    if (!out) return NULL;
    memcpy(out, dir, a);
    out[a] = '/';
    memcpy(out + a + 1, name, b + 1);
    return out;
}
