/* cmd_impact.c -- what reranking changes on the user's queries; needs no labels. */
#include "studying.h"

#include <stdlib.h>

static void put_total(cli_report *report, const wn_impact_total *t, size_t k, size_t depth) {
    cli_report_section(report, SECTION_RECORD, "total", "What reranking changed");
    cli_put_int(report, "k", "results a query (k)", (long long)k);
    cli_put_int(report, "first_stage_k", "candidates a query (first_stage_k)", (long long)depth);
    cli_put_int(report, "results", "results in all", (long long)t->results);
    cli_put_real(report, "mean_rank_change", "average rank change", t->mean_change, 2);
    cli_put_int(report, "max_rank_change", "largest rank change", t->max_change);
    cli_put_real(report, "moved_up", "share moved up", t->up, 3);
    cli_put_real(report, "moved_down", "share moved down", t->down, 3);
    cli_put_real(report, "unchanged", "share unchanged", t->unchanged, 3);
    cli_put_real(report, "top1_change_rate", "queries with another first result", t->top1_change_rate, 3);
    cli_put_real(report, "overlap", "overlap with the unreranked results", t->overlap, 3);
    cli_put_real(report, "rbo", "rank-biased overlap (p = 0.9)", t->rbo, 3);
    cli_put_real(report, "stage1_time_ms", "stage 1, average ms", t->stage1_time_ms, 2);
    cli_put_real(report, "stage2_time_ms", "stage 2, average ms", t->stage2_time_ms, 2);
    cli_put_real(report, "latency_p50_ms", "both, median ms", t->latency_p50_ms, 2);
    cli_put_real(report, "latency_p95_ms", "both, 95th percentile ms", t->latency_p95_ms, 2);
}

static void put_queries(cli_report *report, const wn_study *study, const wn_impact_query *rows) {
    cli_report_section(report, SECTION_TABLE, "queries", "By query");
    for (size_t i = 0; i < wn_study_describe(study).queries; i++) {
        wn_study_query q = wn_study_get(study, i);
        const wn_impact_query *r = &rows[i];
        cli_report_row(report);
        cli_put_text(report, "id", "id", q.id);
        cli_put_real(report, "mean_rank_change", "change", r->mean_change, 1);
        cli_put_int(report, "max_rank_change", "max", r->max_change);
        cli_put_int(report, "moved_up", "up", (long long)r->up);
        cli_put_int(report, "moved_down", "down", (long long)r->down);
        cli_put_int(report, "unchanged", "same", (long long)r->unchanged);
        cli_put_bool(report, "top1_changed", "new first", r->top1_changed);
        cli_put_real(report, "overlap", "overlap", r->overlap, 2);
        cli_put_real(report, "rbo", "rbo", r->rbo, 2);
        cli_put_int(report, "results", NULL, (long long)r->results);
        cli_put_real(report, "stage1_time_ms", "stage 1 ms", r->stage1_time_ms, 1);
        cli_put_real(report, "stage2_time_ms", "stage 2 ms", r->stage2_time_ms, 1);
        cli_put_text(report, "query", "query", q.text);
    }
}

static int tell(const cli_studying *s, const wn_study *study, size_t k, size_t depth, bool per_query) {
    wn_error err;
    wn_impact_total total;
    wn_impact_query *rows = calloc(wn_study_describe(study).queries, sizeof *rows);
    cli_report *report = rows ? cli_report_create() : NULL;
    int code;
    if (!report) {
        code = rows ? EXIT_FAILED : cli_fail_memory();
    } else if (wn_impact(study, depth, k, rows, &total, &err) != WN_OK) {
        cli_report_free(report);
        code = cli_fail(&err);
    } else {
        cli_put_settings(report, s, study);
        put_total(report, &total, k, depth);
        if (per_query) put_queries(report, study, rows);
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
         .choices = FIRST_STAGES},
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
