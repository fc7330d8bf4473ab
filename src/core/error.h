/* error.h -- filling a wn_error. Every function returns its code, so that
 * `return wn_fail(err, WN_ERR_X, ...)` is one line. err may be NULL. */
#ifndef WN_CORE_ERROR_H
#define WN_CORE_ERROR_H
#include <winnow/core.h>

wn_status wn_fail(wn_error *err, wn_status code, const char *fmt, ...) WN_PRINTF(3, 4);
/* With a position: "PATH: byte OFFSET: message". path may be NULL. */
wn_status wn_fail_at(wn_error *err, wn_status code, const char *path, int64_t offset,
                     const char *fmt, ...) WN_PRINTF(5, 6);
/* "PATH: line LINE: message" */
wn_status wn_fail_line(wn_error *err, wn_status code, const char *path, int64_t line,
                       const char *fmt, ...) WN_PRINTF(5, 6);
/* "PATH: what: strerror(errno)"; ENOENT becomes NOT_FOUND, ENOSPC FULL,
 * EROFS/EACCES stay IO. Reads errno at entry. */
wn_status wn_fail_errno(wn_error *err, const char *path, const char *what);
wn_status wn_fail_memory(wn_error *err, size_t bytes);

#define WN_TRY(expr)                                \
    do {                                            \
        wn_status wn_try_ = (expr);                 \
        if (wn_try_ != WN_OK) return wn_try_;       \
    } while (0)
/* The same, to a `fail:` label, with the status kept in a variable `st`. */
#define WN_TRY_GOTO(expr)                           \
    do {                                            \
        st = (expr);                                \
        if (st != WN_OK) goto fail;                 \
    } while (0)
#endif
