/* fuzz_index_open.c -- any bytes as an index file: refused with a message that names it, or safe to
 * search every way there is. Seeds have 512-byte pages (the format allows any size), so
 * that a mutation is likelier to meet something than the free end of a page.
 *
 * SQLite below is not instrumented: what is fuzzed is our reading of what it hands us. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <winnow/index.h>

static char folder[] = "/dev/shm/winnow-fuzz.XXXXXX";
static char path[64];

static void remove_files(void) {
    char journal[80];
    snprintf(journal, sizeof journal, "%s-journal", path);
    unlink(journal);
    unlink(path);
    rmdir(folder);
}

static void make_path(void) {
    if (access("/dev/shm", W_OK) != 0 || !mkdtemp(folder)) {
        strcpy(folder, "/tmp/winnow-fuzz.XXXXXX");
        if (!mkdtemp(folder)) abort();
    }
    snprintf(path, sizeof path, "%s/i", folder);
    atexit(remove_files);
}

static void put(const uint8_t *data, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) abort();
    if (write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
}

static void check(wn_status st, const wn_error *err) {
    if (st != WN_OK && !strstr(err->message, path)) abort();
}

static void search(wn_index *index) {
    static float query[65536];
    static const wn_filter filters[] = {{"source", "*"}, {"lang", "en"}};
    wn_index_info info;
    wn_hit hits[16];
    wn_error err = {0};
    size_t count = 0;
    query[0] = 1;
    wn_status st = wn_index_describe(index, &info, &err);
    check(st, &err);
    if (st != WN_OK) return;
    if (info.dim > 65536) abort();
    if (info.dim) {
        check(wn_index_search_dense(index, query, 16, NULL, 0, hits, &count, &err), &err);
        check(wn_index_search_dense(index, query, 16, filters, 2, hits, &count, &err), &err);
    }
    static const char words[] = "memory of a \xE6\x95\xB0\xE6\x8D\xAE";
    count = 0;
    check(wn_index_search_bm25(index, (wn_str){words, sizeof words - 1}, 16, NULL, 0, hits, &count, &err), &err);
    for (int64_t id = 0; id < 8; id++) {
        wn_passage *passage = NULL;
        st = wn_index_passage(index, id, &passage, &err);
        check(st, &err);
        if (st == WN_OK && passage->content[passage->content_length]) abort();
        wn_passage_free(passage);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!path[0]) make_path();
    put(data, size);
    wn_index *index = NULL;
    wn_error err = {0};
    wn_status st = wn_index_open(path, &index, &err);
    check(st, &err);
    if (st != WN_OK) return 0;
    search(index);
    wn_index_close(index);
    return 0;
}
