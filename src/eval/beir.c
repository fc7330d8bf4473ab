/* beir.c -- where a BEIR folder keeps what. */
#include "core/error.h"
#include "core/file.h"
#include <winnow/eval.h>

#include <dirent.h>
#include <string.h>

void wn_beir_release(wn_beir *beir) {
    wn_free(beir->corpus);
    wn_free(beir->queries);
    wn_free(beir->qrels);
    *beir = (wn_beir){0};
}

/* The path of a file that must be there. */
static wn_status existing(const char *dir, const char *name, char **out, wn_error *err) {
    char *path = wn_path_join(dir, name);
    if (!path) return wn_fail_memory(err, strlen(dir));
    if (wn_file_exists(path)) {
        *out = path;
        return WN_OK;
    }
    wn_status st = wn_fail(err, WN_ERR_NOT_FOUND, "%s: not there; a BEIR folder holds corpus.jsonl, "
                           "queries.jsonl and qrels/*.tsv", path);
    wn_free(path);
    return st;
}

static bool is_tsv(const char *name) {
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".tsv") == 0;
}

/* Without a split: test.tsv, or the only .tsv there is. */
static wn_status choose_split(const char *qrels, char **out, wn_error *err) {
    char *test = wn_path_join(qrels, "test.tsv"), *found = NULL;
    if (!test) return wn_fail_memory(err, strlen(qrels));
    if (wn_file_exists(test)) {
        *out = test;
        return WN_OK;
    }
    wn_free(test);
    DIR *dir = opendir(qrels);
    if (!dir) return wn_fail_errno(err, qrels, "cannot open");
    size_t count = 0;
    wn_status st = WN_OK;
    for (const struct dirent *entry; st == WN_OK && (entry = readdir(dir));) {
        if (!is_tsv(entry->d_name) || ++count > 1) continue;
        found = wn_path_join(qrels, entry->d_name);
        if (!found) st = wn_fail_memory(err, strlen(qrels));
    }
    closedir(dir);
    if (st == WN_OK && count != 1)
        st = wn_fail(err, WN_ERR_NOT_FOUND, "%s: %zu splits and none is test.tsv; name one", qrels,
                     count);
    if (st == WN_OK) *out = found;
    else wn_free(found);
    return st;
}

static wn_status locate(const char *dir, const char *split, wn_beir *out, wn_error *err) {
    WN_TRY(existing(dir, "corpus.jsonl", &out->corpus, err));
    WN_TRY(existing(dir, "queries.jsonl", &out->queries, err));
    char *qrels = wn_path_join(dir, "qrels");
    if (!qrels) return wn_fail_memory(err, strlen(dir));
    wn_status st;
    if (split) {
        wn_buf name = {0};
        st = wn_buf_printf(&name, err, "%s.tsv", split);
        if (st == WN_OK) st = existing(qrels, name.data, &out->qrels, err);
        wn_buf_release(&name);
    } else {
        st = choose_split(qrels, &out->qrels, err);
    }
    wn_free(qrels);
    return st;
}

wn_status wn_beir_locate(const char *dir, const char *split, wn_beir *out, wn_error *err) {
    wn_beir beir = {0};
    wn_status st = locate(dir, split, &beir, err);
    if (st == WN_OK) *out = beir;
    else wn_beir_release(&beir);
    return st;
}
