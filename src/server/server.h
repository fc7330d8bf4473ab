/* server.h -- `winnow serve`: one process that answers every dialect its clients already speak.
 *
 * The room includes winnow.h alone, like any stranger's program. This header is its face to the command line.
 * A request passes four doors:
 *
 *   http_daemon.c   sockets (libmicrohttpd, poll), limits, keys, TLS, access log; hands a complete
 *                   request to a handler thread and takes its response back
 *   router.c        method and path to a handler (a dialect_*.c or api_*.c file)
 *   handler         JSON in, JSON out; asks the batcher for scores and embeddings and waits
 *   batcher.c       the one owner of the processor: batches by tokens, fair between clients */
#ifndef WN_SERVER_SERVER_H
#define WN_SERVER_SERVER_H

#include <winnow.h>

/* Everything that flags, environment and a configuration file can say. Strings are borrowed. */
typedef struct srv_config {
    const char *listen;            /* "127.0.0.1:8080", "[::1]:8080"; port 0 picks a free one. A socket that systemd
                                    * hands over (LISTEN_FDS) is taken instead */
    const char *const *indexes;    /* NAME=FILE or FILE (its base name without .wnindex) */
    size_t nindexes;
    const char *embedder;          /* model name or directory; NULL: none but the indexes' */
    const char *const *rerankers;  /* the first is the default */
    size_t nrerankers;
    wn_precision precision;
    int threads;                   /* of the encoder; 0: one a processor */
    const char *keys_file;         /* one key a line, # comments; NULL: no keys asked for */
    const char *tls_cert, *tls_key;
    const char *cors_origin;       /* NULL: no CORS headers */
    const char *access_log;        /* "-": standard error; NULL: off */
    size_t max_body_bytes;         /* default 2 MiB for requests, see http.h for /documents */
    size_t max_header_bytes;
    size_t max_documents;          /* of one rerank request, inputs of one embedding request */
    size_t max_connections;        /* open sockets; default 4096 */
    size_t max_concurrent;         /* accepted requests in all; above: 429. default 512 */
    size_t max_batch_tokens;       /* of one forward pass; default 4096 */
    size_t max_queue_tokens;       /* waiting tokens; above: 429 with Retry-After */
    unsigned client_timeout_s;     /* silent or dripping clients are cut; default 15 */
    unsigned grace_s;              /* to finish accepted requests when stopping; default 30 */
    wn_length_policy length_policy;/* of over-long input; default truncate, and say so */
    const char *score_cache;       /* file; NULL: none */
    size_t score_cache_mb;         /* its bound in MiB; default 256 */
} srv_config;
srv_config srv_config_default(void);

/* The configuration by names, which are the flags' without dashes. Layers are applied in the order of the calls: file, then
 * environment, then flags, so that flags win. A list given in a later layer replaces the earlier layer's. */
typedef struct srv_settings srv_settings;
srv_settings *srv_settings_create(void); /* NULL: out of memory */
void srv_settings_free(srv_settings *settings);
/* "name = value" lines, # comments; a list's name may come again. Errors name the line. */
wn_status srv_settings_read_file(srv_settings *settings, const char *path, wn_error *err);
/* WINNOW_SERVE_MAX_BODY=1M and so on; lists are separated by commas. An unknown WINNOW_SERVE_* is an error. */
wn_status srv_settings_read_environment(srv_settings *settings, wn_error *err);
void srv_settings_begin_flags(srv_settings *settings);
wn_status srv_settings_set(srv_settings *settings, const char *name, const char *value, wn_error *err);
/* As set so far: for defaults that depend on what is given. Borrowed. */
const srv_config *srv_settings_look(const srv_settings *settings);
/* The whole. The model "none" is dropped. Checks what only the whole can tell
 * (a TLS key without a certificate). Borrowed from settings, which must outlive the server. */
wn_status srv_settings_config(srv_settings *settings, const srv_config **out, wn_error *err);

typedef struct srv_server srv_server;
/* Binds first (so that /health answers 503 while loading), then loads models and indexes on a
 * thread of its own. Config must outlive the server. */
wn_status srv_server_start(const srv_config *config, srv_server **out, wn_error *err);
/* Waits for the first loading to end, at most that long. *loaded false: not yet. Its failure is this call's. */
wn_status srv_server_wait_loaded(srv_server *server, double timeout_ms, bool *loaded, wn_error *err);
/* "127.0.0.1:43211": where it listens. Borrowed. */
const char *srv_server_address(const srv_server *server);
/* Loads models and indexes afresh beside the old ones, then swaps: nothing is dropped. SIGHUP. */
wn_status srv_server_reload(srv_server *server, wn_error *err);
/* No new connections; finishes what was accepted (at most grace_s), then frees. */
void srv_server_stop(srv_server *server, unsigned grace_s);
#endif
