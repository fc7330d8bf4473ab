/* cmd_serve.c -- winnow serve: settings from file, environment and flags; signals; the rest is src/server. */
#include "cli.h"
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NPLAIN = 21 };

typedef struct {
    const char *config;
    const char *plain[NPLAIN]; /* values of PLAIN, NULL where not given */
    cli_list indexes, rerankers;
    bool quiet;
} arguments;

/* sd_notify(3) without libsystemd: one datagram to the socket that the service manager names. */
static void tell_manager(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof to.sun_path) return;
    strcpy(to.sun_path, path);
    if (*path == '@') to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, length);
    close(fd);
}

/* The first of `names` that the cache has, or NULL. */
static const char *first_in_cache(const char *const *names) {
    for (size_t i = 0; names[i]; i++) {
        char *path = NULL;
        if (wn_model_path(names[i], &path, NULL) != WN_OK) continue;
        wn_string_free(path);
        return names[i];
    }
    return NULL;
}

/* Models that nobody named: as for the other commands, but only those that are there. */
static wn_status set_default_models(srv_settings *settings, wn_error *err) {
    const char *name;
    const srv_config *config = srv_settings_look(settings);
    wn_status st = WN_OK;
    if (!config->nrerankers && (name = first_in_cache(DEFAULT_RERANKERS)))
        st = srv_settings_set(settings, "reranker", name, err);
    if (st == WN_OK && !config->embedder && !config->nindexes && (name = first_in_cache(DEFAULT_EMBEDDERS)))
        st = srv_settings_set(settings, "embedder", name, err);
    return st;
}

static wn_status read_settings(const arguments *a, const char *const *names, srv_settings *settings,
                               const srv_config **out, wn_error *err) {
    const char *file = a->config ? a->config : getenv("WINNOW_SERVE_CONFIG");
    wn_status st = file ? srv_settings_read_file(settings, file, err) : WN_OK;
    if (st == WN_OK) st = srv_settings_read_environment(settings, err);
    srv_settings_begin_flags(settings);
    for (size_t i = 0; i < NPLAIN && st == WN_OK; i++)
        if (a->plain[i]) st = srv_settings_set(settings, names[i], a->plain[i], err);
    for (size_t i = 0; i < a->indexes.count && st == WN_OK; i++)
        st = srv_settings_set(settings, "index", a->indexes.items[i], err);
    for (size_t i = 0; i < a->rerankers.count && st == WN_OK; i++)
        st = srv_settings_set(settings, "reranker", a->rerankers.items[i], err);
    if (st == WN_OK) st = set_default_models(settings, err);
    if (st == WN_OK) st = srv_settings_config(settings, out, err);
    return st;
}

/* Signals are taken here by sigtimedwait; all threads inherit the mask. */
static void block_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    /* A write to a file at its size limit, or to a log whose reader has gone, fails; it must not end the process. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

static void reload(srv_server *server) {
    wn_error err;
    tell_manager("RELOADING=1\n");
    if (srv_server_reload(server, &err) == WN_OK) fprintf(stderr, "winnow: reloaded\n");
    else fprintf(stderr, "winnow: the reload failed, the old models stay: %s\n", err.message);
    tell_manager("READY=1\n");
}

/* Until a signal says to stop, or the first loading fails. */
static int serve(srv_server *server, const sigset_t *signals, bool quiet) {
    bool loaded = false;
    wn_error err;
    for (;;) {
        const struct timespec soon = {0, 50 * 1000 * 1000}, later = {3600, 0};
        int signal = sigtimedwait(signals, NULL, loaded ? &later : &soon);
        if (signal == SIGTERM || signal == SIGINT) break;
        if (signal == SIGHUP && loaded) reload(server);
        if (loaded) continue;
        if (srv_server_wait_loaded(server, 0, &loaded, &err) != WN_OK) {
            fprintf(stderr, "winnow: %s\n", err.message);
            return EXIT_FAILED;
        }
        if (!loaded) continue;
        tell_manager("READY=1\n");
        if (!quiet) fprintf(stderr, "winnow: ready\n");
    }
    tell_manager("STOPPING=1\n");
    if (!quiet) fprintf(stderr, "winnow: finishing what was accepted (a second signal ends at once)\n");
    return EXIT_DONE;
}

static int run(const srv_config *config, bool quiet) {
    wn_error err;
    srv_server *server = NULL;
    sigset_t signals;
    block_signals(&signals);
    if (srv_server_start(config, &server, &err) != WN_OK) return cli_fail(&err);
    if (!quiet)
        fprintf(stderr, "winnow: listening on %s://%s\n", config->tls_cert ? "https" : "http",
                srv_server_address(server));
    int code = serve(server, &signals, quiet);
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(SIGTERM, &plain, NULL);
    sigaction(SIGINT, &plain, NULL);
    sigdelset(&signals, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* from here on a signal kills */
    srv_server_stop(server, config->grace_s);
    return code;
}

int cmd_serve(int argc, char **argv) {
    arguments a = {0};
    /* Names, in the order of their options below; src/server/config.c knows what each takes. */
    static const char *const PLAIN[NPLAIN] = {
        "listen", "embedder", "precision", "threads", "keys", "tls-cert", "tls-key", "cors-origin", "access-log",
        "max-body", "max-header", "max-documents", "max-connections", "max-concurrent", "max-batch-tokens",
        "max-queue-tokens", "client-timeout", "grace", "max-length-policy", "score-cache", "score-cache-mb"};
    static const char *const ARGS[NPLAIN] = {
        "ADDR", "M", "P", "N", "FILE", "FILE", "FILE", "ORIGIN", "FILE", "SIZE", "SIZE", "N", "N", "N", "N", "N",
        "SECONDS", "SECONDS", "POLICY", "FILE", "N"};
    static const char *const HELP[NPLAIN] = {
        "HOST:PORT (127.0.0.1:8080); port 0 picks a free one", "bi-encoder for /v1/embeddings (the index's own)",
        "f32, bf16, int8 or auto", "worker threads (default: one a processor)",
        "API keys: KEY or NAME KEY a line", "TLS certificate (PEM)", "its private key (PEM)",
        "allow this origin's pages, or *", "JSON line a request; - is standard error",
        "of a request's body (2M)", "of a request's head (16K)", "of one request (2048)", "open at once (4096)",
        "requests at once, above: 429 (512)", "of one forward pass (4096)", "that may wait, above: 429 (524288)",
        "cut silent and dripping clients (15)",
        "to finish what was accepted when stopping (30)", "truncate, error or windows: over-long input",
        "keep the scores of pairs in FILE, and take them from there", "its bound in MiB (256)"};
    cli_option options[NPLAIN + 4];
    size_t n = 0;
    options[n++] = (cli_option){"index", 'i', OPT_LIST, &a.indexes, "FILE", "index to search, or NAME=FILE; again for more"};
    options[n++] = (cli_option){"reranker", 'r', OPT_LIST, &a.rerankers, "M", "cross-encoder; the first is the default; none: no"};
    for (size_t i = 0; i < NPLAIN; i++)
        options[n++] = (cli_option){PLAIN[i], 0, OPT_STRING, &a.plain[i], ARGS[i], HELP[i]};
    options[n++] = (cli_option){"config", 'c', OPT_STRING, &a.config, "FILE", "settings: NAME = VALUE a line, names as above"};
    options[n++] = (cli_option){"quiet", 'q', OPT_FLAG, &a.quiet, NULL, "no remarks"};
    const cli_command command = {
        "serve [--index FILE]... [--reranker M]... [options]",
        "Answers OpenAI's, Cohere's, Jina's, TEI's and llama.cpp's clients and winnow's own over HTTP. Every\n"
        "setting may also stand in --config FILE or the environment (WINNOW_SERVE_MAX_BODY): flags win over\n"
        "the environment, which wins over the file. SIGHUP loads models, indexes and keys afresh.",
        options, n};
    cli_list operands = {0};
    wn_error err;
    const srv_config *config = NULL;
    srv_settings *settings = NULL;
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count) code = cli_usage_error(&command, "\"%s\" is not expected", operands.items[0]);
    if (code < 0 && !(settings = srv_settings_create())) code = cli_fail_memory();
    if (code < 0)
        code = read_settings(&a, PLAIN, settings, &config, &err) == WN_OK ? run(config, a.quiet) : cli_fail(&err);
    srv_settings_free(settings);
    cli_list_release(&a.indexes);
    cli_list_release(&a.rerankers);
    cli_list_release(&operands);
    return code;
}
