/* config.c -- the configuration by names: one table for file, environment and flags.
 *
 * Flags win over the environment, which wins over the file: the nearer to the person who starts the
 * process, the stronger. Names are the same everywhere: --max-body, WINNOW_SERVE_MAX_BODY, "max-body = 1M". */
#include "http.h"
#include "server.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

typedef enum { TEXT, NUMBER, SIZE, LIST, CHOICE } kind;
static const char *const PRECISIONS[] = {"f32", "bf16", "int8", "auto", NULL};
static const char *const POLICIES[] = {"truncate", "error", "windows", NULL};

typedef struct setting {
    const char *name;
    kind kind;
    size_t offset, count_offset; /* count_offset: of a list */
    size_t width;                /* of a number: sizeof its member */
    unsigned long long least, most;
    const char *const *choices;
} setting;

#define AT(member) offsetof(srv_config, member)
#define WIDE(member) AT(member), 0, sizeof(((srv_config *)0)->member)

static const setting SETTINGS[] = {
    {"listen", TEXT, AT(listen)},
    {"index", LIST, AT(indexes), AT(nindexes)},
    {"embedder", TEXT, AT(embedder)},
    {"reranker", LIST, AT(rerankers), AT(nrerankers)},
    {"precision", CHOICE, AT(precision), .choices = PRECISIONS},
    {"threads", NUMBER, WIDE(threads), 0, 4096},
    {"keys", TEXT, AT(keys_file)},
    {"tls-cert", TEXT, AT(tls_cert)},
    {"tls-key", TEXT, AT(tls_key)},
    {"cors-origin", TEXT, AT(cors_origin)},
    {"access-log", TEXT, AT(access_log)},
    {"max-body", SIZE, WIDE(max_body_bytes), 1024, 1ull << 30},
    {"max-header", SIZE, WIDE(max_header_bytes), 2048, 1 << 20},
    {"max-documents", NUMBER, WIDE(max_documents), 1, 1000000},
    {"max-connections", NUMBER, WIDE(max_connections), 8, 1000000},
    {"max-concurrent", NUMBER, WIDE(max_concurrent), 1, 10000},
    {"max-batch-tokens", NUMBER, WIDE(max_batch_tokens), 64, 1 << 20},
    {"max-queue-tokens", NUMBER, WIDE(max_queue_tokens), 64, 1ull << 32},
    {"client-timeout", NUMBER, WIDE(client_timeout_s), 1, 3600},
    {"grace", NUMBER, WIDE(grace_s), 0, 86400},
    {"max-length-policy", CHOICE, AT(length_policy), .choices = POLICIES},
    {"score-cache", TEXT, AT(score_cache)},
    {"score-cache-mb", NUMBER, WIDE(score_cache_mb), 1, 1 << 20},
};
enum { NSETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

srv_config srv_config_default(void) {
    return (srv_config){
        .listen = "127.0.0.1:8080", .max_body_bytes = 2 << 20, .max_header_bytes = 16 << 10,
        .max_documents = 2048, .max_connections = 4096, .max_concurrent = 512, .max_batch_tokens = 4096,
        .max_queue_tokens = 512 << 10, .client_timeout_s = 15, .grace_s = 30, .length_policy = WN_LENGTH_TRUNCATE,
        .score_cache_mb = 256,
    };
}

struct srv_settings {
    srv_config config;
    char **owned; /* every string that was set */
    size_t nowned;
    int layer, set_in[NSETTINGS]; /* the layer that a list was last set in */
};

srv_settings *srv_settings_create(void) {
    srv_settings *s = calloc(1, sizeof *s);
    if (s) s->config = srv_config_default();
    return s;
}

void srv_settings_free(srv_settings *s) {
    if (!s) return;
    for (size_t i = 0; i < s->nowned; i++) free(s->owned[i]);
    free(s->owned);
    free((void *)(uintptr_t)s->config.indexes);
    free((void *)(uintptr_t)s->config.rerankers);
    free(s);
}

void srv_settings_begin_flags(srv_settings *s) { s->layer++; }

static const char *keep(srv_settings *s, const char *text) {
    char **owned = realloc(s->owned, (s->nowned + 1) * sizeof *owned);
    if (!owned) return NULL;
    s->owned = owned;
    char *copy = strdup(text);
    if (copy) s->owned[s->nowned++] = copy;
    return copy;
}

static bool add_to_list(srv_settings *s, size_t i, const char *text) {
    char *base = (char *)&s->config;
    const char ***list = (void *)(base + SETTINGS[i].offset);
    size_t *count = (void *)(base + SETTINGS[i].count_offset);
    if (s->set_in[i] != s->layer) *count = 0; /* an earlier layer's */
    const char **items = realloc(*list, (*count + 1) * sizeof *items);
    if (!items) return false;
    *list = items;
    items[*count] = text;
    ++*count;
    return true;
}

static wn_status set_number(srv_settings *s, const setting *what, const char *value, wn_error *err) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10), scale = 1;
    if (what->kind == SIZE && *end) {
        scale = *end == 'K' || *end == 'k' ? 1ull << 10 : *end == 'M' ? 1ull << 20 : *end == 'G' ? 1ull << 30 : 0;
        end++;
        if (!strcmp(end, "iB") || !strcmp(end, "B")) end += strlen(end);
    }
    if (!isdigit((unsigned char)*value) || *end || errno || !scale || n > (1ull << 40))
        return srv_fail(err, WN_ERR_ARGUMENT, "%s: \"%.100s\" is not a %s", what->name, value,
                        what->kind == SIZE ? "size (1048576, 512K, 2M)" : "whole number");
    n *= scale;
    if (n < what->least || n > what->most)
        return srv_fail(err, WN_ERR_ARGUMENT, "%s: %llu is not between %llu and %llu", what->name, n, what->least,
                        what->most);
    char *at = (char *)&s->config + what->offset;
    if (what->width == sizeof(size_t)) *(size_t *)(void *)at = (size_t)n;
    else *(unsigned *)(void *)at = (unsigned)n;
    return WN_OK;
}

static wn_status set_choice(srv_settings *s, const setting *what, const char *value, wn_error *err) {
    for (int c = 0; what->choices[c]; c++)
        if (!strcmp(what->choices[c], value)) {
            *(int *)(void *)((char *)&s->config + what->offset) = c;
            return WN_OK;
        }
    return srv_fail(err, WN_ERR_ARGUMENT, "%s: \"%.100s\" is not one of %s, %s, %s", what->name, value,
                    what->choices[0], what->choices[1], what->choices[2]);
}

wn_status srv_settings_set(srv_settings *s, const char *name, const char *value, wn_error *err) {
    size_t i = 0;
    while (i < NSETTINGS && strcmp(SETTINGS[i].name, name) != 0) i++;
    if (i == NSETTINGS) return srv_fail(err, WN_ERR_ARGUMENT, "there is no setting \"%.100s\"", name);
    const setting *what = &SETTINGS[i];
    if (what->kind == NUMBER || what->kind == SIZE) return set_number(s, what, value, err);
    if (what->kind == CHOICE) return set_choice(s, what, value, err);
    if (!*value) return srv_fail(err, WN_ERR_ARGUMENT, "%s: an empty value", name);
    const char *kept = keep(s, value);
    if (kept && what->kind == TEXT) *(const char **)(void *)((char *)&s->config + what->offset) = kept;
    else if (kept && !add_to_list(s, i, kept)) kept = NULL;
    if (!kept) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    s->set_in[i] = s->layer;
    return WN_OK;
}

/* ---- File ------------------------------------------------------------------- */

static char *trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) text[--n] = 0;
    return text;
}

static wn_status read_line(srv_settings *s, const char *path, size_t number, char *line, wn_error *err) {
    wn_error inner;
    line = trim(line);
    if (!*line || *line == '#') return WN_OK;
    char *equals = strchr(line, '=');
    if (!equals) return srv_fail(err, WN_ERR_FORMAT, "%s, line %zu: expected NAME = VALUE", path, number);
    *equals = 0;
    wn_status st = srv_settings_set(s, trim(line), trim(equals + 1), &inner);
    return st == WN_OK ? st : srv_fail(err, st, "%s, line %zu: %s", path, number, inner.message);
}

wn_status srv_settings_read_file(srv_settings *s, const char *path, wn_error *err) {
    FILE *file = fopen(path, "re");
    if (!file) return srv_fail(err, errno == ENOENT ? WN_ERR_NOT_FOUND : WN_ERR_IO, "%s: %s", path, strerror(errno));
    wn_status st = WN_OK;
    char *line = NULL;
    size_t cap = 0, number = 0;
    s->layer++;
    while (st == WN_OK && getline(&line, &cap, file) >= 0) st = read_line(s, path, ++number, line, err);
    if (st == WN_OK && ferror(file)) st = srv_fail(err, WN_ERR_IO, "%s: %s", path, strerror(errno));
    free(line);
    fclose(file);
    return st;
}

/* ---- Environment ------------------------------------------------------------ */

static const char PREFIX[] = "WINNOW_SERVE_";

static wn_status set_variable(srv_settings *s, const char *variable, wn_error *err) {
    wn_error inner;
    char name[64];
    const char *equals = strchr(variable, '=');
    size_t n = equals ? (size_t)(equals - variable) : 0;
    if (n >= sizeof name) return srv_fail(err, WN_ERR_ARGUMENT, "environment: there is no %.*s", (int)n, variable);
    for (size_t i = 0; i < n; i++) name[i] = variable[i] == '_' ? '-' : (char)tolower((unsigned char)variable[i]);
    name[n] = 0;
    if (!strcmp(name, "config")) return WN_OK; /* names the file; the command line read it */
    bool list = !strcmp(name, "index") || !strcmp(name, "reranker");
    char *copy = strdup(equals + 1), *save = NULL;
    if (!copy) return srv_fail(err, WN_ERR_MEMORY, "out of memory");
    wn_status st = WN_OK;
    if (!list) st = srv_settings_set(s, name, copy, &inner);
    for (char *piece = list ? strtok_r(copy, ",", &save) : NULL; piece && st == WN_OK;
         piece = strtok_r(NULL, ",", &save))
        st = srv_settings_set(s, name, trim(piece), &inner);
    free(copy);
    return st == WN_OK ? st : srv_fail(err, st, "environment, %s%.*s: %s", PREFIX, (int)n, variable, inner.message);
}

wn_status srv_settings_read_environment(srv_settings *s, wn_error *err) {
    wn_status st = WN_OK;
    s->layer++;
    for (char **e = environ; *e && st == WN_OK; e++)
        if (!strncmp(*e, PREFIX, sizeof PREFIX - 1)) st = set_variable(s, *e + sizeof PREFIX - 1, err);
    return st;
}

const srv_config *srv_settings_look(const srv_settings *s) { return &s->config; }

wn_status srv_settings_config(srv_settings *s, const srv_config **out, wn_error *err) {
    srv_config *c = &s->config;
    if (c->nrerankers == 1 && !strcmp(c->rerankers[0], "none")) c->nrerankers = 0;
    if (c->embedder && !strcmp(c->embedder, "none")) c->embedder = NULL;
    if (!c->tls_cert != !c->tls_key)
        return srv_fail(err, WN_ERR_ARGUMENT, "tls-cert and tls-key go together: only one is given");
    if (!c->nindexes && !c->embedder && !c->nrerankers)
        return srv_fail(err, WN_ERR_ARGUMENT, "nothing to serve: give --index, --embedder or --reranker");
    *out = c;
    return WN_OK;
}
