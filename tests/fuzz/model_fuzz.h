/* model_fuzz.h -- a model directory whose files are memory: symbolic links to memfds.
 * The parsers under test read paths; this gives them paths without touching a disk. */
#ifndef WN_FUZZ_MODEL_FUZZ_H
#define WN_FUZZ_MODEL_FUZZ_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char fuzz_dir[64];

typedef struct fuzz_file {
    const char *name;
    int fd;
    int there;
} fuzz_file;

static inline void fuzz_path(char *out, size_t size, const char *name) {
    snprintf(out, size, "%s/%s", fuzz_dir, name);
}

static inline void fuzz_remove_dir(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", fuzz_dir);
    if (system(command) != 0) abort();
}

static inline void fuzz_make_dir(void) {
    strcpy(fuzz_dir, "/tmp/winnow-fuzz.XXXXXX");
    if (!mkdtemp(fuzz_dir)) abort();
    atexit(fuzz_remove_dir);
}

/* Contents for one run; bytes NULL: the file is absent. */
static inline void fuzz_put(fuzz_file *f, const uint8_t *bytes, size_t len) {
    char path[256], target[64];
    fuzz_path(path, sizeof path, f->name);
    if (!f->fd && (f->fd = memfd_create(f->name, 0)) < 0) abort();
    snprintf(target, sizeof target, "/proc/%ld/fd/%d", (long)getpid(), f->fd);
    if (bytes && !f->there && symlink(target, path) != 0) abort();
    if (!bytes && f->there) unlink(path);
    f->there = bytes != NULL;
    if (bytes && (ftruncate(f->fd, 0) != 0 || pwrite(f->fd, bytes, len, 0) != (ssize_t)len)) abort();
}
#endif
