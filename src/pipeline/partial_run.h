/* partial_run.h -- the unfinished output of wn_rerank_run: what is in it, and going on from there. */
#ifndef WN_PIPELINE_PARTIAL_RUN_H
#define WN_PIPELINE_PARTIAL_RUN_H
#include "core/memory.h"

/* OUT.partial: a first line that says what it is of, then for each finished query its lines and
 * "# done QUERY". What follows the last such line is cut off when the file is opened again. */
typedef struct wn_partial_run {
    int fd;
    char *path;
    char **done;       /* [ndone]: queries that are in it whole */
    size_t ndone, cap;
} wn_partial_run;

/* Opens or makes OUT.partial for `identity` (one line). WN_ERR_MISMATCH: it is of something else;
 * WN_ERR_BUSY: another process writes it. On failure nothing needs closing. */
wn_status wn_partial_run_open(const char *out, const char *identity, wn_partial_run *partial, wn_error *err);
bool wn_partial_run_has(const wn_partial_run *partial, const char *query);
/* Appends a query's lines and its "# done", and syncs. */
wn_status wn_partial_run_append(wn_partial_run *partial, const char *query, wn_buf *lines, wn_error *err);
/* Writes `out` from it, whole or not at all, and removes it. */
wn_status wn_partial_run_finish(wn_partial_run *partial, const char *out, wn_error *err);
void wn_partial_run_close(wn_partial_run *partial);
#endif
