/* hub.c -- wn_model_pull: a model repository of the Hugging Face hub into the cache.
 *
 *   GET {endpoint}/api/models/{name}/revision/{revision}?blobs=true   what is in it, at which commit
 *   GET {endpoint}/{name}/resolve/{commit}/{file}                     one file, by way of redirects
 *
 * Files are asked for by commit and not by revision, so that a push to the branch in the middle of
 * a pull cannot mix two versions. They gather in models/.pull-OWNER--NAME-COMMIT, which survives a
 * broken transfer and is continued by the next pull of that commit, and which becomes the model's
 * directory by one rename when all of it is there. A lock on that directory keeps a second pull of
 * the same model out.
 *
 * The list of files is a stranger's text. A name that could leave the directory refuses the whole
 * repository, although none such would be chosen (model_files.c goes by exact names): a hub that
 * sends one is broken or hostile, and either way its user should hear of it. */
#include "model/hub.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "model/model_cache.h"
#include "model/model_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DEFAULT_ENDPOINT "https://huggingface.co"
enum { MAX_LISTING = 16 << 20, MAX_COMMIT = 64 };

typedef struct hub_file {
    const char *name; /* borrowed from the listing */
    int64_t size;     /* -1: not told */
    const char *sha256; /* "" : not told */
    wn_model_file kind;
} hub_file;

typedef struct pull {
    const char *name, *revision;
    char *endpoint; /* without a slash at its end */
    const char *token;
    wn_http *http;
    json_t *listing;
    hub_file *files;
    size_t n, cap;
    char commit[MAX_COMMIT + 1];
    char *place;   /* models/NAME */
    char *staging; /* models/.pull-OWNER--NAME-COMMIT */
    int lock;      /* open on staging */
    wn_error *err;
} pull;

wn_pull_options wn_pull_options_default(void) {
    return (wn_pull_options){.size = sizeof(wn_pull_options)};
}

/* ---- What the caller asks --------------------------------------------------- */

static const char *base_name(const char *name) {
    const char *slash = strchr(name, '/');
    return slash ? slash + 1 : name;
}

/* "owner/name", or the name alone of the hub's oldest models. */
static bool repository_is_valid(const char *name) {
    const char *slash = strchr(name, '/');
    if (!slash) return wn_model_name_is_valid(name);
    char owner[129];
    size_t n = (size_t)(slash - name);
    if (n == 0 || n >= sizeof owner) return false;
    memcpy(owner, name, n);
    owner[n] = 0;
    return wn_model_name_is_valid(owner) && wn_model_name_is_valid(slash + 1);
}

static bool revision_is_valid(const char *revision) {
    for (const char *p = revision; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._/-", *p)) return false;
    return wn_path_is_safe(revision) && strlen(revision) <= 200;
}

static wn_status pull_open(pull *p, const char *name, const wn_pull_options *given,
                           const wn_http_config *timing) {
    wn_pull_options options = wn_pull_options_default();
    if (given) /* a caller built against an older header has a shorter struct */
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    const char *endpoint = options.endpoint ? options.endpoint : getenv("HF_ENDPOINT");
    const char *token = options.token ? options.token : getenv("HF_TOKEN");
    p->name = name;
    p->revision = options.revision ? options.revision : "main";
    p->token = token && *token ? token : NULL;
    if (!repository_is_valid(name))
        return wn_fail(p->err, WN_ERR_ARGUMENT, "\"%s\" is not OWNER/NAME of a model on the hub",
                       name);
    if (!revision_is_valid(p->revision))
        return wn_fail(p->err, WN_ERR_ARGUMENT, "\"%s\" is no revision: a branch, tag or commit",
                       p->revision);
    p->endpoint = wn_strdup(endpoint && *endpoint ? endpoint : DEFAULT_ENDPOINT);
    if (!p->endpoint) return wn_fail_memory(p->err, 0);
    for (size_t n = strlen(p->endpoint); n && p->endpoint[n - 1] == '/'; n--) p->endpoint[n - 1] = 0;
    wn_http_config config = *timing;
    config.endpoint = p->endpoint;
    config.token = p->token;
    config.progress = options.progress;
    config.progress_ctx = options.progress_ctx;
    return wn_http_open(&config, &p->http, p->err);
}

static void pull_close(pull *p) {
    if (p->lock >= 0) close(p->lock);
    wn_http_close(p->http);
    wn_free(p->files);
    json_decref(p->listing);
    wn_free(p->staging);
    wn_free(p->place);
    wn_free(p->endpoint);
}

/* What an HTTP status means for somebody who wants a model. Other failures keep their message. */
static wn_status explain(const pull *p, wn_status st, long http_status) {
    if (st != WN_ERR_NETWORK) return st;
    switch (http_status) {
    case 401:
    case 403:
        return wn_fail(p->err, WN_ERR_NETWORK,
                       p->token ? "%s: HTTP %ld: the token in HF_TOKEN gives no access to %s; accept "
                                  "the model's terms on its page, or check the name"
                                : "%s: HTTP %ld: %s is gated, private or not there; accept its terms "
                                  "on its page and set HF_TOKEN, or check the name",
                       p->endpoint, http_status, p->name);
    case 404:
        return wn_fail(p->err, WN_ERR_NOT_FOUND, "%s has no model %s with revision %s", p->endpoint,
                       p->name, p->revision);
    default: return st;
    }
}

/* ---- What the hub has ------------------------------------------------------- */

static bool is_hex(const char *s, size_t min, size_t max) {
    size_t n = strspn(s, "0123456789abcdef");
    return s[n] == 0 && n >= min && n <= max;
}

static wn_status add_file(pull *p, const json_t *sibling) {
    const char *name = NULL, *sha256 = "";
    int64_t size = -1;
    if (!json_is_object(sibling))
        return wn_fail(p->err, WN_ERR_FORMAT, "%s: the hub's list of files is not one", p->name);
    WN_TRY(wn_json_string(sibling, p->name, "rfilename", &name, p->err));
    if (!name || !wn_path_is_safe(name))
        return wn_fail(p->err, WN_ERR_FORMAT, "%s: the hub lists a file named \"%s\": refused",
                       p->name, name ? name : "");
    wn_model_file kind = wn_model_file_kind(name);
    if (kind == WN_FILE_OTHER) return WN_OK;
    WN_TRY(wn_json_int(sibling, p->name, "size", 0, INT64_MAX, &size, p->err));
    const json_t *lfs = json_object_get(sibling, "lfs");
    if (json_is_object(lfs)) {
        WN_TRY(wn_json_string(lfs, p->name, "sha256", &sha256, p->err));
        WN_TRY(wn_json_int(lfs, p->name, "size", 0, INT64_MAX, &size, p->err));
        if (*sha256 && !is_hex(sha256, 64, 64))
            return wn_fail(p->err, WN_ERR_FORMAT, "%s: \"%s\" is no SHA-256 of %s", p->name, sha256,
                           name);
    }
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->files[i].name, name) == 0)
            return wn_fail(p->err, WN_ERR_FORMAT, "%s: the hub lists %s twice", p->name, name);
    WN_TRY(wn_grow(&p->files, &p->cap, p->n + 1, sizeof *p->files, p->err));
    p->files[p->n++] = (hub_file){.name = name, .size = size, .sha256 = sha256, .kind = kind};
    return WN_OK;
}

static wn_status list_files(pull *p) {
    wn_buf url = {0}, body = {0};
    const char *commit = NULL;
    long code = 0;
    wn_status st = WN_OK;
    WN_TRY_GOTO(wn_buf_printf(&url, p->err, "%s/api/models/%s/revision/", p->endpoint, p->name));
    WN_TRY_GOTO(wn_http_escape(p->revision, false, &url, p->err)); /* refs%2Fpr%2F1 */
    WN_TRY_GOTO(wn_buf_printf(&url, p->err, "?blobs=true"));
    wn_http_stage(p->http, "list of files", 0, 0);
    st = wn_http_get(p->http, url.data, MAX_LISTING, &body, &code, p->err);
    if (st != WN_OK) {
        st = explain(p, st, code);
        goto fail;
    }
    WN_TRY_GOTO(wn_json_parse(url.data, body.data, body.len, &p->listing, p->err));
    const json_t *siblings = json_object_get(p->listing, "siblings");
    if (!json_is_array(siblings)) {
        st = wn_fail(p->err, WN_ERR_FORMAT, "%s: no list of files (\"siblings\")", url.data);
        goto fail;
    }
    WN_TRY_GOTO(wn_json_string(p->listing, p->name, "sha", &commit, p->err));
    if (commit && !is_hex(commit, 7, MAX_COMMIT)) {
        st = wn_fail(p->err, WN_ERR_FORMAT, "%s: \"%s\" is no commit", url.data, commit);
        goto fail;
    }
    if (commit) snprintf(p->commit, sizeof p->commit, "%s", commit);
    for (size_t i = 0; i < json_array_size(siblings); i++)
        WN_TRY_GOTO(add_file(p, json_array_get(siblings, i)));
fail:
    wn_buf_release(&body);
    wn_buf_release(&url);
    return st;
}

static bool listed(const pull *p, const char *name) {
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->files[i].name, name) == 0) return true;
    return false;
}

static void keep(pull *p, bool (*wanted)(const pull *, const hub_file *)) {
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (wanted(p, &p->files[i])) p->files[n++] = p->files[i];
    p->n = n;
}

/* One form of the weights: the one that the loader would pick from among them. */
static bool is_one_form(const pull *p, const hub_file *file) {
    bool whole = listed(p, "model.safetensors");
    bool sharded = listed(p, "model.safetensors.index.json");
    switch (file->kind) {
    case WN_FILE_SAFETENSORS:
        return whole ? strcmp(file->name, "model.safetensors") == 0 : sharded;
    case WN_FILE_ONNX:
        if (whole || sharded) return false;
        return strcmp(file->name, "model.onnx") == 0 || !listed(p, "model.onnx");
    default: return true;
    }
}

static wn_status choose_files(pull *p) {
    keep(p, is_one_form);
    bool weights = false;
    for (size_t i = 0; i < p->n; i++)
        weights = weights || p->files[i].kind == WN_FILE_SAFETENSORS ||
                  p->files[i].kind == WN_FILE_ONNX;
    const char *missing = !listed(p, "config.json")      ? "config.json"
                          : !listed(p, "tokenizer.json") ? "tokenizer.json"
                          : !weights                     ? "model.safetensors or model.onnx"
                                                         : NULL;
    if (missing)
        return wn_fail(p->err, WN_ERR_UNSUPPORTED, "%s (revision %s) has no %s, which winnow needs",
                       p->name, p->revision, missing);
    return WN_OK;
}

/* ---- Into the cache ---------------------------------------------------------- */

/* Sets *there when the cache holds this very commit. */
static wn_status look_at_place(pull *p, bool *there) {
    WN_TRY(wn_model_cache_place(base_name(p->name), &p->place, p->err));
    if (!wn_dir_exists(p->place)) return WN_OK;
    wn_model_origin origin;
    wn_model_origin_read(p->place, &origin);
    if (strcmp(origin.repository, p->name) != 0)
        return wn_fail(p->err, WN_ERR_MISMATCH,
                       "%s holds another model (%s); remove it to pull %s into its place", p->place,
                       origin.repository[0] ? origin.repository : "imported, or put there by hand",
                       p->name);
    *there = p->commit[0] && strcmp(origin.commit, p->commit) == 0;
    return WN_OK;
}

/* ".pull-OWNER--NAME-", what all stagings of a repository begin with. */
static wn_status staging_prefix(const pull *p, wn_buf *out) {
    const char *slash = strchr(p->name, '/');
    return wn_buf_printf(out, p->err, ".pull-%.*s--%s-", slash ? (int)(slash - p->name) : 0,
                         p->name, base_name(p->name));
}

static wn_status stage(pull *p) {
    wn_buf name = {0};
    wn_status st = staging_prefix(p, &name);
    /* Without a commit the revision's name must do; '/' would make it a path. */
    if (st == WN_OK)
        st = p->commit[0] ? wn_buf_printf(&name, p->err, "%s", p->commit)
                          : wn_http_escape(p->revision, false, &name, p->err);
    if (st == WN_OK) st = wn_model_cache_place(name.data, &p->staging, p->err);
    wn_buf_release(&name);
    WN_TRY(st);
    WN_TRY(wn_dir_create(p->staging, p->err));
    p->lock = open(p->staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->lock < 0) return wn_fail_errno(p->err, p->staging, "cannot open");
    if (flock(p->lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? wn_fail(p->err, WN_ERR_BUSY, "%s is being pulled by another process", p->name)
                   : wn_fail_errno(p->err, p->staging, "cannot lock");
    return WN_OK;
}

static wn_status fetch_file(pull *p, const hub_file *file) {
    wn_buf url = {0};
    char *path = wn_path_join(p->staging, file->name), *slash = path ? strrchr(path, '/') : NULL;
    wn_status st = WN_OK;
    long code = 0;
    if (!path) return wn_fail_memory(p->err, strlen(file->name));
    *slash = 0;
    WN_TRY_GOTO(wn_dir_create(path, p->err));
    *slash = '/';
    /* A run before checked it before it got its name. Without a commit it may be another version. */
    if (p->commit[0] && wn_file_exists(path)) goto fail;
    WN_TRY_GOTO(wn_buf_printf(&url, p->err, "%s/%s/resolve/", p->endpoint, p->name));
    WN_TRY_GOTO(wn_http_escape(p->commit[0] ? p->commit : p->revision, false, &url, p->err));
    WN_TRY_GOTO(wn_buf_printf(&url, p->err, "/"));
    WN_TRY_GOTO(wn_http_escape(file->name, true, &url, p->err));
    st = wn_http_download(p->http, url.data, path,
                          (wn_http_expect){.size = file->size, .sha256 = file->sha256}, &code,
                          p->err);
    st = explain(p, st, code);
fail:
    wn_buf_release(&url);
    wn_free(path);
    return st;
}

static wn_status fetch_all(pull *p) {
    uint64_t total = 0, before = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->files[i].size > 0) total += (uint64_t)p->files[i].size;
    for (size_t i = 0; i < p->n; i++) {
        wn_http_stage(p->http, p->files[i].name, before, total);
        WN_TRY(fetch_file(p, &p->files[i]));
        if (p->files[i].size > 0) before += (uint64_t)p->files[i].size;
    }
    return WN_OK;
}

/* Broken-off pulls of other commits: nobody will continue them. */
static void remove_stale(const pull *p) {
    wn_buf prefix = {0};
    char *models = wn_strdup(p->place);
    if (models) *strrchr(models, '/') = 0;
    DIR *dir = models ? opendir(models) : NULL;
    if (dir && staging_prefix(p, &prefix) == WN_OK) {
        for (struct dirent *entry; (entry = readdir(dir));) {
            const char *rest = entry->d_name + prefix.len;
            if (strncmp(entry->d_name, prefix.data, prefix.len) != 0 || !is_hex(rest, 7, MAX_COMMIT))
                continue;
            char *path = wn_path_join(models, entry->d_name);
            int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
            if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) (void)wn_dir_remove(path, NULL);
            if (fd >= 0) close(fd);
            wn_free(path);
        }
    }
    if (dir) closedir(dir);
    wn_buf_release(&prefix);
    wn_free(models);
}

static wn_status pull_run(pull *p) {
    bool there = false;
    WN_TRY(list_files(p));
    WN_TRY(choose_files(p));
    WN_TRY(look_at_place(p, &there));
    if (there) return WN_OK;
    WN_TRY(stage(p));
    WN_TRY(fetch_all(p));
    wn_model_origin origin = {0};
    snprintf(origin.repository, sizeof origin.repository, "%s", p->name);
    snprintf(origin.commit, sizeof origin.commit, "%s", p->commit);
    WN_TRY(wn_model_origin_write(p->staging, &origin, p->err));
    WN_TRY(wn_model_cache_replace(p->staging, p->place, p->err));
    remove_stale(p);
    return WN_OK;
}

wn_status wn_hub_pull(const char *name, const wn_pull_options *options,
                      const wn_http_config *timing, char **path_out, wn_error *err) {
    pull p = {.lock = -1, .err = err};
    wn_status st = pull_open(&p, name, options, timing);
    if (st == WN_OK) st = pull_run(&p);
    if (st == WN_OK && path_out) {
        *path_out = p.place;
        p.place = NULL;
    }
    pull_close(&p);
    return st;
}

wn_status wn_model_pull(const char *name, const wn_pull_options *options, char **path_out,
                        wn_error *err) {
    wn_http_config timing = wn_http_config_default();
    return wn_hub_pull(name, options, &timing, path_out, err);
}
