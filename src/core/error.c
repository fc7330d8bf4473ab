/* error.c -- one place where messages are put together, so that they look alike. */
#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef WN_VERSION
#define WN_VERSION "0.1.0"
#endif

const char *wn_version(void) { return WN_VERSION; }

const char *wn_precision_name(wn_precision precision) {
    switch (precision) {
    case WN_F32: return "f32";
    case WN_BF16: return "bf16";
    case WN_INT8: return "int8";
    case WN_AUTO: return "auto";
    }
    return "unknown";
}

const char *wn_status_name(wn_status status) {
    switch (status) {
    case WN_OK: return "ok";
    case WN_ERR_ARGUMENT: return "argument";
    case WN_ERR_MEMORY: return "memory";
    case WN_ERR_IO: return "io";
    case WN_ERR_NOT_FOUND: return "not found";
    case WN_ERR_FORMAT: return "format";
    case WN_ERR_UNSUPPORTED: return "unsupported";
    case WN_ERR_MISMATCH: return "mismatch";
    case WN_ERR_READONLY: return "read-only";
    case WN_ERR_FULL: return "full";
    case WN_ERR_BUSY: return "busy";
    case WN_ERR_NETWORK: return "network";
    case WN_ERR_TOO_LONG: return "too long";
    case WN_ERR_CANCELLED: return "cancelled";
    case WN_ERR_INTERNAL: return "internal";
    }
    return "unknown";
}

/* A message is shown on one line of a terminal: control bytes in what it quotes
 * (file names, bytes of a hostile file) become '?'. */
static void fill(wn_error *err, wn_status code, int64_t offset, int64_t line,
                 const char *prefix, const char *fmt, va_list args) {
    if (!err) return;
    err->code = code;
    err->offset = offset;
    err->line = line;
    int n = snprintf(err->message, sizeof err->message, "%s", prefix);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof err->message)
        vsnprintf(err->message + used, sizeof err->message - used, fmt, args);
    for (char *p = err->message; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}

wn_status wn_fail(wn_error *err, wn_status code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fill(err, code, -1, -1, "", fmt, args);
    va_end(args);
    return code;
}

wn_status wn_fail_at(wn_error *err, wn_status code, const char *path, int64_t offset,
                     const char *fmt, ...) {
    char prefix[400];
    if (offset >= 0)
        snprintf(prefix, sizeof prefix, "%s: byte %lld: ", path ? path : "input", (long long)offset);
    else
        snprintf(prefix, sizeof prefix, "%s: ", path ? path : "input");
    va_list args;
    va_start(args, fmt);
    fill(err, code, offset, -1, prefix, fmt, args);
    va_end(args);
    return code;
}

wn_status wn_fail_line(wn_error *err, wn_status code, const char *path, int64_t line,
                       const char *fmt, ...) {
    char prefix[400];
    snprintf(prefix, sizeof prefix, "%s: line %lld: ", path ? path : "input", (long long)line);
    va_list args;
    va_start(args, fmt);
    fill(err, code, -1, line, prefix, fmt, args);
    va_end(args);
    return code;
}

wn_status wn_fail_errno(wn_error *err, const char *path, const char *what) {
    int saved = errno;
    wn_status code = WN_ERR_IO;
    if (saved == ENOENT || saved == ENOTDIR) code = WN_ERR_NOT_FOUND;
    else if (saved == ENOSPC || saved == EDQUOT) code = WN_ERR_FULL;
    else if (saved == EROFS) code = WN_ERR_READONLY;
    else if (saved == ENOMEM) code = WN_ERR_MEMORY;
    char reason[128];
    const char *text = strerror_r(saved, reason, sizeof reason);
    return wn_fail(err, code, "%s: %s: %s", path ? path : "input", what, text);
}

wn_status wn_fail_memory(wn_error *err, size_t bytes) {
    return wn_fail(err, WN_ERR_MEMORY, "out of memory (%zu bytes wanted)", bytes);
}
