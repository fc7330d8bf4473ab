/* fuzz_run.c -- any bytes as a run: one error with a line, or entries in order of score,
 * ties by id descending, no document twice. */
#include "eval_fuzz.h"

static void check_order(wn_run *run) {
    for (size_t q = 0; q < wn_run_queries(run); q++) {
        const wn_run_entry *entries;
        size_t n;
        if (wn_run_ranking(run, wn_run_query(run, q), &entries, &n, NULL) != WN_OK) abort();
        for (size_t i = 1; i < n; i++) {
            assert(entries[i - 1].score >= entries[i].score);
            if (entries[i - 1].score == entries[i].score)
                assert(strcmp(entries[i - 1].document, entries[i].document) > 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd;
    const char *path = eval_fuzz_open(data, size, &fd);
    wn_run *run = NULL;
    wn_error err = {0};
    wn_status st = wn_run_read(path, &run, &err);
    eval_fuzz_check(st, &err);
    if (st == WN_OK) {
        assert(wn_run_lines(run) > 0 && wn_run_queries(run) > 0);
        check_order(run);
    }
    wn_run_free(run);
    close(fd);
    return 0;
}
