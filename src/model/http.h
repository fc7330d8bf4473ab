/* http.h -- GET over libcurl the way a download needs it: redirects that do not carry the token
 * away, resume, stall limits, retries, size and SHA-256. One session is one thread's. */
#ifndef WN_MODEL_HTTP_H
#define WN_MODEL_HTTP_H
#include "core/memory.h"

typedef struct wn_http wn_http;

typedef struct wn_http_config {
    const char *endpoint;  /* "https://host[:port]": where the token may go; borrowed */
    const char *token;     /* NULL or "": none; borrowed */
    long connect_s;        /* give up on a connection after this */
    long stall_s;          /* give up on a transfer that moves nothing for this long */
    int attempts;          /* in a row without one new byte */
    long backoff_ms;       /* before the 2nd attempt; doubles */
    wn_progress_fn progress;
    void *progress_ctx;
} wn_http_config;

/* 15 s, 30 s, 5 attempts, 500 ms. */
wn_http_config wn_http_config_default(void);
/* Refuses an endpoint that is no http(s) URL and a token that would break a header. */
wn_status wn_http_open(const wn_http_config *config, wn_http **out, wn_error *err);
void wn_http_close(wn_http *http);

/* What progress reports: bytes before this file, bytes of all files (0: not known). */
void wn_http_stage(wn_http *http, const char *stage, uint64_t before, uint64_t total);

/* The body of url, at most limit bytes, appended to out. On an answer other than 200 the call
 * fails with WN_ERR_NETWORK; *http_status is that answer's code, 0 when there was none. */
wn_status wn_http_get(wn_http *http, const char *url, size_t limit, wn_buf *out, long *http_status,
                      wn_error *err);

typedef struct wn_http_expect {
    int64_t size;         /* -1: not known */
    const char *sha256;   /* 64 lower-case hex digits; "" or NULL: not known */
} wn_http_expect;

/* url into the file `path`, by way of `path`.part (and .part.etag), which stay behind when the
 * transfer breaks and are continued by the next call. `path` appears only when size and hash are
 * right. Bytes of a wrong hash are removed: WN_ERR_FORMAT. */
wn_status wn_http_download(wn_http *http, const char *url, const char *path, wn_http_expect expect,
                           long *http_status, wn_error *err);

/* text with every byte outside [A-Za-z0-9._~-] as %XX; '/' stays when keep_slash. */
wn_status wn_http_escape(const char *text, bool keep_slash, wn_buf *out, wn_error *err);
#endif
