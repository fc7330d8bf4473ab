/* eval_fixture.h -- small qrels, runs and topics written as text in a test. */
#ifndef WN_TEST_EVAL_FIXTURE_H
#define WN_TEST_EVAL_FIXTURE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <winnow/eval.h>

/* A file that holds `text`; its path is static and good until the next call but three. */
static inline const char *text_file(const void *text, size_t len) {
    static char paths[4][64];
    static int turn;
    char *path = paths[turn++ % 4];
    if (*path) unlink(path);
    snprintf(path, sizeof paths[0], "/tmp/winnow-eval-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(write(fd, text, len) == (ssize_t)len);
    close(fd);
    return path;
}

static inline wn_qrels *qrels_of(const char *text, wn_qrels_format format) {
    wn_error err = {0};
    wn_qrels *qrels = NULL;
    const char *path = text_file(text, strlen(text));
    if (wn_qrels_read(path, format, &qrels, &err) != WN_OK) fail_msg("%s", err.message);
    unlink(path);
    return qrels;
}

static inline wn_run *run_of(const char *text) {
    wn_error err = {0};
    wn_run *run = NULL;
    const char *path = text_file(text, strlen(text));
    if (wn_run_read(path, &run, &err) != WN_OK) fail_msg("%s", err.message);
    unlink(path);
    return run;
}

static inline double value_of(const wn_evaluation *e, const char *name, const char *query) {
    size_t v, n = wn_evaluation_describe(e).queries;
    if (!wn_evaluation_find(e, name, &v)) fail_msg("no value %s", name);
    if (!query) return wn_evaluation_summary(e, v);
    for (size_t q = 0; q < n; q++)
        if (strcmp(wn_evaluation_query(e, q), query) == 0) return wn_evaluation_column(e, v)[q];
    fail_msg("no query %s", query);
    return 0;
}

static inline wn_evaluation *evaluate(wn_qrels *qrels, wn_run *run, wn_evaluate_options options,
                                      const char *measures) {
    static const char *list[32];
    static char copy[1024];
    snprintf(copy, sizeof copy, "%s", measures);
    options.nmeasures = 0;
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        list[options.nmeasures++] = word;
    options.measures = list;
    wn_evaluation *e = NULL;
    wn_error err = {0};
    if (wn_evaluate(qrels, run, &options, &e, &err) != WN_OK) fail_msg("%s", err.message);
    return e;
}
#endif
