/* fuzz_qrels.c -- any bytes as qrels, in each of their spellings (the first byte picks it), and an
 * evaluation of a fixed run against what was read: no value may be out of its range. */
#include "eval_fuzz.h"

#include <math.h>

static void evaluate(wn_qrels *qrels, bool preferences, bool groups) {
    static const char *const DOCUMENTS[] = {"a", "b", "c", "d"};
    const char *measure = preferences ? "all_prefs" : groups ? "qrels_jg" : "all_trec";
    wn_run *run = NULL;
    wn_evaluation *e = NULL;
    wn_error err = {0};
    if (wn_run_create(NULL, &run, NULL) != WN_OK) abort();
    for (size_t q = 0; q < wn_qrels_queries(qrels) && q < 3; q++)
        if (wn_run_add_ranking(run, wn_qrels_query(qrels, q), DOCUMENTS, q + 2, NULL) != WN_OK)
            abort();
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = &measure;
    options.nmeasures = 1;
    options.complete = true;
    wn_status st = wn_evaluate(qrels, run, &options, &e, &err);
    eval_fuzz_check(st, &err);
    for (size_t v = 0; st == WN_OK && v < wn_evaluation_describe(e).values; v++)
        if (!isfinite(wn_evaluation_summary(e, v))) abort();
    wn_evaluation_free(e);
    wn_run_free(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    wn_qrels_format format = (wn_qrels_format)(data[0] % 6);
    int fd;
    const char *path = eval_fuzz_open(data + 1, size - 1, &fd);
    wn_qrels *qrels = NULL;
    wn_error err = {0};
    wn_status st = wn_qrels_read(path, format, &qrels, &err);
    eval_fuzz_check(st, &err);
    if (st == WN_OK) evaluate(qrels, format >= WN_QRELS_PREFS, format == WN_QRELS_GROUPS);
    wn_qrels_free(qrels);
    close(fd);
    return 0;
}
