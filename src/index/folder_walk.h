/* folder_walk.h -- the files that inputs name: folders walked, links followed once.
 *
 * Rules for users stand in document_source.h; here is what the list holds. */
#ifndef WN_INDEX_FOLDER_WALK_H
#define WN_INDEX_FOLDER_WALK_H

#include "core/memory.h"

typedef struct wn_file_entry {
    char *path;
    size_t input;      /* which input it came from: the first key of the order */
    uint64_t size;     /* when listed; 0 for what is no regular file */
    uint64_t dev, ino;
    bool linked;       /* the path goes through a symbolic link below the input */
} wn_file_entry;

typedef struct wn_folder_id {
    uint64_t dev, ino;
    size_t input; /* which input walked it */
} wn_folder_id;

typedef struct wn_file_list {
    wn_file_entry *entries;
    size_t count, cap;
    /* The walk's own: folders already walked (a hash set), folders still to walk. */
    wn_folder_id *visited;
    size_t visited_count, visited_cap; /* cap is a power of two; dev = ino = 0 is a free slot */
    wn_file_entry *pending, *links;    /* paths of folders; links are walked after all real ones */
    size_t pending_count, pending_cap, links_count, links_cap;
    size_t *sharing;                   /* inputs that met a folder which another input had walked */
    size_t sharing_count, sharing_cap;
    void (*warning)(void *ctx, const char *message);
    void *warning_ctx;
} wn_file_list;

/* Whether a walk keeps a file of this name: .md .markdown .txt in any letter case. */
bool wn_file_is_document(const char *name);
bool wn_file_is_markdown(const char *name);

/* Adds one input: a file (of any ending), or a folder with everything below. Missing or
 * unreadable inputs are errors; trouble below a folder is a warning. */
wn_status wn_file_list_add(wn_file_list *list, const char *path, size_t input, wn_error *err);
/* After the last input: follows links to folders, orders the list, and drops second names
 * of one file. WN_ERR_NOT_FOUND when an input that is a folder gave no document. */
wn_status wn_file_list_finish(wn_file_list *list, const char *const *inputs, size_t ninputs,
                              wn_error *err);
void wn_file_list_release(wn_file_list *list);

#endif
