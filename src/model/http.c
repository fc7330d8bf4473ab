/* http.c -- one GET after another over one libcurl handle.
 *
 * Redirects are followed here and not by libcurl. A hub answers a large file's URL with a redirect
 * to a content network, and the user's token must stay with the hub: libcurl drops the header on
 * another host only since 7.58 and on another port only since 7.83, and a test of ours could not
 * tell which rule ran. Here the rule is one comparison (same_origin) and holds for every version.
 *
 * Resume is by Range with If-Range, so that a file that changed on the server starts over instead
 * of being sewn together; an answer's Content-Range is checked against what was asked. An attempt
 * counts against the limit only when it brought no new byte, because a large file over a poor line
 * breaks more often than any fixed number of attempts.
 *
 * A hash is taken over the finished file and not while it arrives: a resumed file has to be read
 * from disk anyway, and one way is one thing to test. 133 MB take about 0.3 s. */
#include "model/http.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REDIRECTS = 10, MAX_IGNORED_BODY = 1 << 20, HEX_SHA256 = 64, MAX_ETAG = 256 };

struct wn_http {
    CURL *curl;
    wn_http_config config;
    char curl_message[CURL_ERROR_SIZE];
    bool reached; /* some server has answered: a refused connection is no longer "offline" */
    const char *stage;
    uint64_t before, total;
};

/* One GET in flight: where its bytes go and what its headers said. */
typedef struct transfer {
    wn_http *http;
    wn_buf *buf;          /* a body in memory, or */
    int fd;               /* a file, written at `offset` */
    const char *path;     /* of that file, for messages */
    uint64_t asked;       /* Range: bytes=asked- ; 0: the whole */
    uint64_t offset;      /* bytes of the file that are there */
    uint64_t limit;       /* more than this is refused */
    uint64_t ignored;     /* bytes of bodies that are no result */
    bool begun;           /* the first byte of a 200 or 206 came */
    bool cancelled;
    bool stalled;
    curl_off_t arrived;   /* bytes of this answer, and since when that many */
    double since;
    bool at_hub;          /* the server in charge is the endpoint, not where it redirects to */
    int64_t range_start;  /* of Content-Range; -1: none */
    int64_t linked_size;  /* X-Linked-Size; -1: none */
    char etag[MAX_ETAG];
    char linked_etag[MAX_ETAG];
    wn_status st;         /* what a callback could not return */
    wn_error *err;
} transfer;

wn_http_config wn_http_config_default(void) {
    return (wn_http_config){.connect_s = 15, .stall_s = 30, .attempts = 5, .backoff_ms = 500};
}

static void start_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

/* A header value that holds a line end would be two headers. */
static bool printable(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f) return false;
    return true;
}

wn_status wn_http_open(const wn_http_config *config, wn_http **out, wn_error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (strncmp(config->endpoint, "http://", 7) != 0 &&
        strncmp(config->endpoint, "https://", 8) != 0)
        return wn_fail(err, WN_ERR_ARGUMENT, "hub endpoint \"%s\": not an http(s) URL",
                       config->endpoint);
    if (!printable(config->endpoint))
        return wn_fail(err, WN_ERR_ARGUMENT, "hub endpoint \"%s\": holds a space or control byte",
                       config->endpoint);
    if (config->token && !printable(config->token))
        return wn_fail(err, WN_ERR_ARGUMENT, "the hub token holds a space or control byte");
    pthread_once(&once, start_curl);
    wn_http *http = wn_calloc(1, sizeof *http);
    if (!http) return wn_fail_memory(err, sizeof *http);
    http->config = *config;
    http->curl = curl_easy_init();
    if (!http->curl) {
        wn_free(http);
        return wn_fail_memory(err, 0);
    }
    *out = http;
    return WN_OK;
}

void wn_http_close(wn_http *http) {
    if (!http) return;
    curl_easy_cleanup(http->curl);
    wn_free(http);
}

void wn_http_stage(wn_http *http, const char *stage, uint64_t before, uint64_t total) {
    http->stage = stage;
    http->before = before;
    http->total = total;
}

wn_status wn_http_escape(const char *text, bool keep_slash, wn_buf *out, wn_error *err) {
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("._~-", c) || (c == '/' && keep_slash);
        if (plain) WN_TRY(wn_buf_append(out, p, 1, err));
        else WN_TRY(wn_buf_printf(out, err, "%%%02X", c));
    }
    return WN_OK;
}

/* ---- What comes in -------------------------------------------------------- */

static bool report(wn_http *http, uint64_t done) {
    if (!http->config.progress) return true;
    return http->config.progress(http->config.progress_ctx, http->stage ? http->stage : "",
                                 http->before + done, http->total);
}

static double seconds(void) { return wn_now_ms() * 1e-3; }

/* libcurl calls this at least once a second. Its own LOW_SPEED_TIME looks at an average over five
 * seconds, so that a limit below that means nothing; a stall is "no byte", which needs no average. */
static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow) {
    (void)dltotal, (void)ultotal, (void)ulnow;
    transfer *t = ctx;
    double now = seconds();
    if (dlnow != t->arrived) {
        t->arrived = dlnow;
        t->since = now;
    }
    t->stalled = now - t->since > (double)t->http->config.stall_s;
    t->cancelled = !report(t->http, t->fd >= 0 ? t->offset : 0);
    return t->cancelled || t->stalled;
}

/* The value of header `name` on this line, trimmed, into out[size]; false: another header. */
static bool header_value(const char *line, size_t len, const char *name, char *out, size_t size) {
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0) return false;
    const char *begin = line + n + 1, *end = line + len;
    while (begin < end && (*begin == ' ' || *begin == '\t')) begin++;
    while (end > begin && (unsigned char)end[-1] <= 0x20) end--;
    if ((size_t)(end - begin) >= size) return false;
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = 0;
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx) {
    transfer *t = ctx;
    char text[64];
    size_t len = size * n;
    if (len > 5 && strncmp(line, "HTTP/", 5) == 0) { /* a new answer (100 Continue, a proxy's) */
        t->etag[0] = 0;
        t->range_start = -1;
    }
    header_value(line, len, "ETag", t->etag, sizeof t->etag);
    /* The content network must not vouch for its own bytes. */
    if (t->at_hub) {
        header_value(line, len, "X-Linked-Etag", t->linked_etag, sizeof t->linked_etag);
        if (header_value(line, len, "X-Linked-Size", text, sizeof text))
            t->linked_size = strtoll(text, NULL, 10);
    }
    if (header_value(line, len, "Content-Range", text, sizeof text) &&
        strncasecmp(text, "bytes ", 6) == 0)
        t->range_start = strtoll(text + 6, NULL, 10);
    return len;
}

/* The first byte of a result: settles where in the file it goes. */
static wn_status begin_body(transfer *t, long code) {
    t->begun = true;
    if (t->fd < 0) return WN_OK;
    if (code == 206) {
        if (t->range_start < 0 || (uint64_t)t->range_start != t->asked)
            return wn_fail(t->err, WN_ERR_NETWORK,
                           "%s: asked for bytes from %llu, the server sent them from %lld", t->path,
                           (unsigned long long)t->asked, (long long)t->range_start);
        return WN_OK;
    }
    /* The whole file, asked for or not: what was there belongs to another version. */
    if (ftruncate(t->fd, 0) != 0) return wn_fail_errno(t->err, t->path, "cannot truncate");
    t->offset = 0;
    wn_buf name = {0};
    wn_status st = wn_buf_printf(&name, t->err, "%s.etag", t->path);
    /* A weak validator may not be used with If-Range. */
    if (st == WN_OK && t->etag[0] == '"')
        st = wn_file_write_atomic(name.data, t->etag, strlen(t->etag), t->err);
    else if (st == WN_OK) unlink(name.data);
    wn_buf_release(&name);
    return st;
}

static wn_status take_bytes(transfer *t, const char *bytes, size_t len) {
    if (len > t->limit || (t->fd >= 0 ? t->offset : t->buf->len) > t->limit - len)
        return wn_fail(t->err, WN_ERR_NETWORK, "%s: the server sends more than %llu bytes", t->path,
                       (unsigned long long)t->limit);
    if (t->fd < 0) return wn_buf_append(t->buf, bytes, len, t->err);
    while (len) {
        ssize_t n = pwrite(t->fd, bytes, len, (off_t)t->offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wn_fail_errno(t->err, t->path, "cannot write");
        bytes += n;
        len -= (size_t)n;
        t->offset += (uint64_t)n;
    }
    return WN_OK;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx) {
    transfer *t = ctx;
    size_t len = size * n;
    long code = 0;
    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206) { /* a redirect's or an error's body */
        t->ignored += len;
        return t->ignored > MAX_IGNORED_BODY ? 0 : len;
    }
    if (!t->begun) t->st = begin_body(t, code);
    if (t->st == WN_OK) t->st = take_bytes(t, bytes, len);
    return t->st == WN_OK ? len : 0;
}

/* ---- One attempt ---------------------------------------------------------- */

static char *url_part(CURLU *url, CURLUPart part) {
    char *text = NULL;
    curl_url_get(url, part, &text, CURLU_DEFAULT_PORT);
    return text;
}

/* Scheme, host and port of both URLs. What cannot be parsed is another origin. */
static bool same_origin(const char *a, const char *b) {
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *ua = curl_url(), *ub = curl_url();
    bool same = ua && ub && curl_url_set(ua, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(ub, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (size_t i = 0; same && i < sizeof parts / sizeof *parts; i++) {
        char *pa = url_part(ua, parts[i]), *pb = url_part(ub, parts[i]);
        same = pa && pb && strcasecmp(pa, pb) == 0;
        curl_free(pa);
        curl_free(pb);
    }
    curl_url_cleanup(ua);
    curl_url_cleanup(ub);
    return same;
}

static wn_status add_header(struct curl_slist **list, wn_error *err, const char *name,
                            const char *value) {
    wn_buf line = {0};
    WN_TRY(wn_buf_printf(&line, err, "%s: %s", name, value));
    struct curl_slist *longer = curl_slist_append(*list, line.data);
    wn_buf_release(&line);
    if (!longer) return wn_fail_memory(err, 0);
    *list = longer;
    return WN_OK;
}

static wn_status request_headers(const transfer *t, const char *if_range,
                                 struct curl_slist **list) {
    const wn_http_config *config = &t->http->config;
    wn_buf value = {0};
    wn_status st = WN_OK;
    if (config->token && config->token[0] && t->at_hub) {
        WN_TRY_GOTO(wn_buf_printf(&value, t->err, "Bearer %s", config->token));
        WN_TRY_GOTO(add_header(list, t->err, "Authorization", value.data));
        wn_buf_clear(&value);
    }
    if (t->asked) {
        WN_TRY_GOTO(wn_buf_printf(&value, t->err, "bytes=%llu-", (unsigned long long)t->asked));
        WN_TRY_GOTO(add_header(list, t->err, "Range", value.data));
        if (if_range[0]) WN_TRY_GOTO(add_header(list, t->err, "If-Range", if_range));
    }
fail:
    wn_buf_release(&value);
    return st;
}

static void set_options(transfer *t, const char *url, struct curl_slist *headers) {
    wn_http *http = t->http;
    CURL *c = http->curl;
    curl_easy_reset(c); /* options only: connections stay */
    curl_easy_setopt(c, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "winnow");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, http->curl_message);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, http->config.connect_s);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
}

/* One request and one answer. *next is the redirect's target (wn_free), or NULL. */
static wn_status request(transfer *t, const char *url, const char *if_range, long *code,
                         CURLcode *how, char **next) {
    struct curl_slist *headers = NULL;
    t->at_hub = same_origin(url, t->http->config.endpoint);
    wn_status st = request_headers(t, if_range, &headers);
    *next = NULL;
    *code = 0;
    if (st == WN_OK) {
        set_options(t, url, headers);
        t->http->curl_message[0] = 0;
        t->arrived = 0;
        t->since = seconds();
        *how = curl_easy_perform(t->http->curl);
        if (*how == CURLE_ABORTED_BY_CALLBACK && t->stalled) {
            *how = CURLE_OPERATION_TIMEDOUT;
            snprintf(t->http->curl_message, sizeof t->http->curl_message,
                     "nothing came for %ld s", t->http->config.stall_s);
        }
        curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, code);
        if (*code) t->http->reached = true;
        char *target = NULL;
        curl_easy_getinfo(t->http->curl, CURLINFO_REDIRECT_URL, &target);
        if (*how == CURLE_OK && *code >= 300 && *code < 400 && target) {
            *next = wn_strdup(target);
            if (!*next) st = wn_fail_memory(t->err, strlen(target));
        }
        curl_easy_setopt(t->http->curl, CURLOPT_HTTPHEADER, NULL);
    }
    curl_slist_free_all(headers);
    return st;
}

/* url and its redirects. *how and *code are the last answer's. */
static wn_status attempt(transfer *t, const char *url, const char *if_range, long *code,
                         CURLcode *how) {
    char *here = wn_strdup(url);
    if (!here) return wn_fail_memory(t->err, strlen(url));
    wn_status st = WN_OK;
    for (int hops = 0; st == WN_OK; hops++) {
        char *next;
        st = request(t, here, if_range, code, how, &next);
        if (st != WN_OK || !next) break;
        if (hops == MAX_REDIRECTS)
            st = wn_fail(t->err, WN_ERR_NETWORK, "%s: more than %d redirects", url, MAX_REDIRECTS);
        else if (strncasecmp(here, "https:", 6) == 0 && strncasecmp(next, "https:", 6) != 0)
            st = wn_fail(t->err, WN_ERR_NETWORK, "%s: redirected from https to %s", url, next);
        wn_free(here);
        here = next;
    }
    wn_free(here);
    return st;
}

/* ---- Attempts in a row ---------------------------------------------------- */

static bool worth_another(const wn_http *http, CURLcode how, long code) {
    switch (how) {
    case CURLE_OK: return code >= 500 || code == 429 || code == 408;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return http->reached; /* else we are offline: say so at once */
    case CURLE_OPERATION_TIMEDOUT: return http->reached;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return true;
    default: return false;
    }
}

/* Sleeps, asking the caller ten times a second whether to go on. */
static bool wait_ms(wn_http *http, long ms, uint64_t done) {
    while (ms > 0) {
        long step = ms < 100 ? ms : 100;
        nanosleep(&(struct timespec){.tv_nsec = step * 1000000L}, NULL);
        ms -= step;
        if (!report(http, done)) return false;
    }
    return true;
}

static wn_status explain(const transfer *t, const char *url, CURLcode how, long code) {
    const wn_http *http = t->http;
    const char *why = http->curl_message[0] ? http->curl_message : curl_easy_strerror(how);
    if (how == CURLE_OK)
        return wn_fail(t->err, WN_ERR_NETWORK, "%s: the server answered HTTP %ld", url, code);
    if (!http->reached)
        return wn_fail(t->err, WN_ERR_NETWORK,
                       "cannot reach %s (%s); is this machine offline? https_proxy names a proxy, "
                       "HF_ENDPOINT another hub",
                       http->config.endpoint, why);
    return wn_fail(t->err, WN_ERR_NETWORK, "%s: %s", url, why);
}

/* Runs attempts until one is whole. `restart` is called before each to settle t->asked and
 * if_range; NULL for a body in memory. */
static wn_status persevere(transfer *t, const char *url, long *http_status,
                           wn_status (*restart)(transfer *, char *if_range)) {
    wn_http *http = t->http;
    uint64_t best = 0;
    long backoff = http->config.backoff_ms;
    for (int tries = 0;;) {
        char if_range[MAX_ETAG] = "";
        CURLcode how = CURLE_OK;
        t->begun = false;
        if (t->buf) wn_buf_clear(t->buf);
        if (restart) WN_TRY(restart(t, if_range));
        if (t->offset > best) best = t->offset;
        WN_TRY(attempt(t, url, if_range, http_status, &how));
        if (t->cancelled) return wn_fail(t->err, WN_ERR_CANCELLED, "download cancelled");
        if (t->st != WN_OK) return t->st;
        if (how == CURLE_OK && (*http_status == 200 || *http_status == 206)) return WN_OK;
        bool again = worth_another(http, how, *http_status);
        if (how == CURLE_OK && *http_status == 416 && t->asked) { /* our part is no part of it */
            if (ftruncate(t->fd, 0) != 0) return wn_fail_errno(t->err, t->path, "cannot truncate");
            again = true;
        }
        if (t->offset > best) tries = 0, backoff = http->config.backoff_ms;
        if (!again || ++tries >= http->config.attempts) {
            if (how != CURLE_OK) *http_status = 0;
            return explain(t, url, how, *http_status);
        }
        if (!wait_ms(http, backoff, t->offset))
            return wn_fail(t->err, WN_ERR_CANCELLED, "download cancelled");
        backoff *= 2;
    }
}

static transfer transfer_make(wn_http *http, const char *path, uint64_t limit, wn_error *err) {
    return (transfer){.http = http, .fd = -1, .path = path, .limit = limit, .range_start = -1,
                      .linked_size = -1, .st = WN_OK, .err = err};
}

wn_status wn_http_get(wn_http *http, const char *url, size_t limit, wn_buf *out, long *http_status,
                      wn_error *err) {
    wn_buf body = {0};
    transfer t = transfer_make(http, url, limit, err);
    t.buf = &body;
    wn_status st = persevere(&t, url, http_status, NULL);
    if (st == WN_OK) st = wn_buf_append(out, body.data, body.len, err);
    wn_buf_release(&body);
    return st;
}

/* ---- Files ---------------------------------------------------------------- */

/* Before an attempt: how much of the part file is there, and which version it is of. */
static wn_status resume_point(transfer *t, char *if_range) {
    struct stat info;
    if (fstat(t->fd, &info) != 0) return wn_fail_errno(t->err, t->path, "cannot stat");
    t->offset = t->asked = (uint64_t)info.st_size;
    if (!t->asked) return WN_OK;
    wn_buf name = {0}, etag = {0};
    wn_status st = wn_buf_printf(&name, t->err, "%s.etag", t->path);
    if (st == WN_OK && wn_file_exists(name.data) &&
        wn_file_read(name.data, MAX_ETAG - 1, &etag, NULL) == WN_OK && printable(etag.data))
        snprintf(if_range, MAX_ETAG, "%s", etag.data);
    else if (st == WN_OK) {
        /* Without a validator nothing says that the rest belongs to what we have. */
        if (ftruncate(t->fd, 0) != 0) st = wn_fail_errno(t->err, t->path, "cannot truncate");
        t->offset = t->asked = 0;
    }
    wn_buf_release(&etag);
    wn_buf_release(&name);
    return st;
}

static wn_status hash_fd(int fd, const char *path, char hex[HEX_SHA256 + 1], wn_error *err) {
    enum { CHUNK = 1 << 18 };
    unsigned char *chunk = wn_malloc(CHUNK), digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    wn_status st = WN_OK;
    off_t at = 0;
    ssize_t n = 1;
    bool fine = chunk && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    while (fine && n > 0) {
        n = pread(fd, chunk, CHUNK, at);
        if (n < 0) {
            st = wn_fail_errno(err, path, "cannot read");
            break;
        }
        fine = EVP_DigestUpdate(md, chunk, (size_t)n) == 1;
        at += n;
    }
    if (st == WN_OK && !(fine && EVP_DigestFinal_ex(md, digest, NULL) == 1))
        st = wn_fail_memory(err, CHUNK); /* the only way for SHA-256 to fail */
    for (int i = 0; st == WN_OK && i < HEX_SHA256 / 2; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(md);
    wn_free(chunk);
    return st;
}

/* The hub's X-Linked-Etag of a large file is its SHA-256 in quotes. */
static bool sha256_of_etag(const char *etag, char out[HEX_SHA256 + 1]) {
    if (strlen(etag) != HEX_SHA256 + 2 || etag[0] != '"') return false;
    if (strspn(etag + 1, "0123456789abcdef") != HEX_SHA256) return false;
    memcpy(out, etag + 1, HEX_SHA256);
    out[HEX_SHA256] = 0;
    return true;
}

static wn_status check_file(const transfer *t, wn_http_expect expect) {
    char linked[HEX_SHA256 + 1], have[HEX_SHA256 + 1];
    int64_t size = expect.size >= 0 ? expect.size : t->linked_size;
    if (size >= 0 && (uint64_t)size != t->offset)
        return wn_fail(t->err, WN_ERR_FORMAT, "%s: %llu bytes came, the hub lists %lld", t->path,
                       (unsigned long long)t->offset, (long long)size);
    const char *want = expect.sha256 && expect.sha256[0] ? expect.sha256
                       : sha256_of_etag(t->linked_etag, linked) ? linked : NULL;
    if (!want) return WN_OK;
    WN_TRY(hash_fd(t->fd, t->path, have, t->err));
    if (strcmp(have, want) != 0)
        return wn_fail(t->err, WN_ERR_FORMAT,
                       "%s: SHA-256 is %s, the hub says %s; the download was removed", t->path,
                       have, want);
    return WN_OK;
}

/* A part file of the right size needs no request: the run before died between the last byte and
 * the rename. */
static bool already_whole(const transfer *t, wn_http_expect expect) {
    struct stat info;
    return expect.size > 0 && expect.sha256 && expect.sha256[0] && fstat(t->fd, &info) == 0 &&
           info.st_size == expect.size;
}

static wn_status download(transfer *t, const char *url, const char *path, wn_http_expect expect,
                          long *http_status) {
    if (already_whole(t, expect)) t->offset = (uint64_t)expect.size;
    else WN_TRY(persevere(t, url, http_status, resume_point));
    /* An empty file has no first byte: nothing truncated what was there. */
    if (!t->begun && !already_whole(t, expect)) {
        if (ftruncate(t->fd, 0) != 0) return wn_fail_errno(t->err, t->path, "cannot truncate");
        t->offset = 0;
    }
    WN_TRY(check_file(t, expect));
    if (fsync(t->fd) != 0) return wn_fail_errno(t->err, t->path, "cannot sync");
    if (rename(t->path, path) != 0) return wn_fail_errno(t->err, path, "cannot rename into place");
    return WN_OK;
}

wn_status wn_http_download(wn_http *http, const char *url, const char *path, wn_http_expect expect,
                           long *http_status, wn_error *err) {
    enum { UNKNOWN_SIZE_LIMIT = 1 << 28 };
    wn_buf part = {0}, etag = {0};
    wn_status st = WN_OK;
    int fd = -1;
    WN_TRY_GOTO(wn_buf_printf(&part, err, "%s.part", path));
    WN_TRY_GOTO(wn_buf_printf(&etag, err, "%s.etag", part.data));
    fd = open(part.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        st = wn_fail_errno(err, part.data, "cannot open");
        goto fail;
    }
    uint64_t limit = expect.size >= 0 ? (uint64_t)expect.size : UNKNOWN_SIZE_LIMIT;
    transfer t = transfer_make(http, part.data, limit, err);
    t.fd = fd;
    st = download(&t, url, path, expect, http_status);
    if (st == WN_OK || st == WN_ERR_FORMAT) unlink(etag.data);
    if (st == WN_ERR_FORMAT) unlink(part.data); /* the bytes are wrong: start over next time */
fail:
    if (fd >= 0) close(fd);
    wn_buf_release(&etag);
    wn_buf_release(&part);
    return st;
}
