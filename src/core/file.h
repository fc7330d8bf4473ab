/* file.h -- files: mapping, reading whole, writing so that a crash leaves old or new. */
#ifndef WN_CORE_FILE_H
#define WN_CORE_FILE_H
#include "core/memory.h"

/* A read-only mapping of a whole file. An empty file has data != NULL, size 0. */
typedef struct wn_map {
    const unsigned char *data;
    size_t size;
} wn_map;

wn_status wn_map_open(const char *path, wn_map *out, wn_error *err);
void wn_map_close(wn_map *map);
/* Takes the pages read so far out of this process's memory; they are read again when touched. */
void wn_map_forget(const wn_map *map);

/* Whole file, at most `limit` bytes (over it: WN_ERR_FORMAT, names the limit). */
wn_status wn_file_read(const char *path, size_t limit, wn_buf *out, wn_error *err);
/* Written beside PATH, synced, then renamed over it. */
wn_status wn_file_write_atomic(const char *path, const void *bytes, size_t len, wn_error *err);
bool wn_file_exists(const char *path);
bool wn_dir_exists(const char *path);
wn_status wn_dir_create(const char *path, wn_error *err); /* with its parents */
/* "dir/name"; freed with wn_free; NULL when out of memory. */
char *wn_path_join(const char *dir, const char *name);
#endif
