/* cmd_impact.c -- what reranking changes on the user's queries; needs no labels. */
#include "studying.h"

#include <stdlib.h>

static int tell(const cli_studying *s, const wn_study *study, size_t k, size_t depth, bool per_query) {
    wn_error err;
    wn_impact_total total;
    wn_impact_query *rows = calloc(wn_study_describe(study).queries, sizeof *rows);
    rec_report *report = rows ? cli_report_create() : NULL;
    int code;
    if (!report) {
        code = rows ? EXIT_FAILED : cli_fail_memory();
    } else if (wn_impact(study, depth, k, rows, &total, &err) != WN_OK) {
        rec_report_free(report);
        code = cli_fail(&err);
    } else {
        rec_put_settings(report, s->index, s->queries, study);
        rec_report_impact(report, study, &total, per_query ? rows : NULL, k, depth);
        code = cli_report_print(report, (report_format)s->format);
    }
    free(rows);
    return code;
}

int cmd_impact(int argc, char **argv) {
    cli_studying s = {0};
    size_t k = 5, depth = 50;
    bool summary_only = false;
    const char *reranker = NULL;
    cli_list operands = {0};
    const cli_option options[] = {
        {"k", 'k', OPT_SIZE, &k, "N", "results that count (5)", 1},
        {"first-stage-k", 'n', OPT_SIZE, &depth, "N", "candidates to rerank (50)", 1},
        {"first-stage", 's', OPT_CHOICE, &s.first_stage, NULL, "how candidates are found",
         .choices = REC_FIRST_STAGES},
        {"reranker", 'r', OPT_STRING, &reranker, "M", "cross-encoder: directory or cache name"},
        {"summary", 0, OPT_FLAG, &summary_only, NULL, "only the totals"},
        STUDYING_OPTIONS(s),
    };
    const cli_command command = {
        "impact INDEX --queries FILE [options]",
        "Answers every query with and without reranking and tells what reranking changed: how far\n"
        "results moved, how often the first result is another, and what it cost. Needs no labels.",
        options, sizeof options / sizeof *options};
    wn_study *study = NULL;
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count != 1) code = cli_usage_error(&command, "give one index");
    if (code < 0 && depth < k) depth = k;
    if (code < 0) {
        s.index = operands.items[0];
        code = cli_studying_open(&s, &command);
    }
    if (code < 0) code = cli_studying_run(&s, reranker, s.stage, true, false, &depth, 1, &study);
    if (code < 0) code = tell(&s, study, k, depth, !summary_only);
    wn_study_free(study);
    cli_studying_close(&s);
    cli_list_release(&operands);
    return code;
}
