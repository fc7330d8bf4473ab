/* cmd_sweep.c -- how many candidates to rerank, by which reranker, after which first stage. */
#include "studying.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const LEVELS[] = {"document", "passage", NULL};

typedef struct {
    cli_studying s;
    const char *k_values, *qrels;
    cli_list stages;
    size_t *depths, ndepths;
    wn_sweep_options options;
    wn_study **studies; /* [nstudies] */
    size_t nstudies;
} arguments;

static const char *marks(const wn_sweep_row *row, char *out, size_t size) {
    snprintf(out, size, "%s%s%s%s%s", row->best ? "best " : "", row->enough ? "enough " : "",
             row->fastest ? "fastest " : "", row->pareto ? "front " : "",
             row->recommended ? "<- take this" : "");
    return out;
}

static void put_row(rec_report *report, const arguments *a, const wn_sweep_row *row) {
    wn_study_info info = wn_study_describe(a->studies[row->study]);
    char text[64];
    rec_report_row(report);
    rec_put_text(report, "first_stage", "first stage", REC_FIRST_STAGES[info.first_stage]);
    rec_put_text(report, "reranker", a->nstudies > 1 ? "reranker" : NULL, row->depth ? info.reranker : NULL);
    rec_put_int(report, "first_stage_k", "k", (long long)row->depth);
    rec_put_real(report, "quality", "quality", row->quality.mean, 4);
    rec_put_range(report, "quality_95", "95 % interval", row->quality.low, row->quality.high, 4);
    rec_put_signed(report, "difference", "to best", row->difference, 4);
    rec_put_real(report, "p", "p", row->p, 4);
    rec_put_real(report, "stage1_time_ms", "stage 1 ms", row->stage1_ms, 2);
    rec_put_real(report, "stage2_time_ms", "stage 2 ms", row->stage2_ms, 2);
    rec_put_real(report, "latency_p50_ms", "p50 ms", row->latency_p50_ms, 2);
    rec_put_real(report, "latency_p95_ms", "p95 ms", row->latency_p95_ms, 2);
    rec_put_text(report, "marks", "", marks(row, text, sizeof text));
    rec_put_bool(report, "best", NULL, row->best);
    rec_put_bool(report, "enough", NULL, row->enough);
    rec_put_bool(report, "fastest", NULL, row->fastest);
    rec_put_bool(report, "pareto", NULL, row->pareto);
    rec_put_bool(report, "within_budget", NULL, row->within_budget);
    rec_put_bool(report, "recommended", NULL, row->recommended);
    rec_put_int(report, "queries", NULL, (long long)row->queries);
}

static double mean_latency(const wn_sweep_row *row) { return row->stage1_ms + row->stage2_ms; }

/* What there is to choose from, fastest first: each next row is slower and better. */
static void put_front(rec_report *report, const arguments *a, const wn_sweep_row *rows, size_t n) {
    const wn_sweep_row *last = NULL;
    rec_report_section(report, SECTION_TABLE, "pareto_front", "Pareto front: no other row is as fast and as good");
    for (;;) {
        const wn_sweep_row *next = NULL;
        for (size_t i = 0; i < n; i++) {
            const wn_sweep_row *row = &rows[i];
            double ms = mean_latency(row);
            /* Rows equal in both are all on the front, in the sweep's order. */
            bool told = last && (ms < mean_latency(last) || (ms == mean_latency(last) && row <= last));
            if (row->pareto && !told && (!next || ms < mean_latency(next))) next = row;
        }
        if (!next) return;
        wn_study_info info = wn_study_describe(a->studies[next->study]);
        rec_report_row(report);
        rec_put_text(report, "first_stage", "first stage", REC_FIRST_STAGES[info.first_stage]);
        rec_put_text(report, "reranker", "reranker", next->depth ? info.reranker : "none");
        rec_put_int(report, "first_stage_k", "k", (long long)next->depth);
        rec_put_real(report, "latency_mean_ms", "ms", mean_latency(next), 2);
        rec_put_real(report, "quality", "quality", next->quality.mean, 4);
        rec_put_range(report, "quality_95", "95 % interval", next->quality.low, next->quality.high, 4);
        last = next;
    }
}

static void put_costs(rec_report *report, const arguments *a, const wn_cost_line *lines) {
    rec_report_section(report, SECTION_TABLE, "cost", "Cost of stage 2: fixed + per candidate * k, fitted");
    for (size_t i = 0; i < a->nstudies; i++) {
        wn_study_info info = wn_study_describe(a->studies[i]);
        rec_report_row(report);
        rec_put_text(report, "first_stage", "first stage", REC_FIRST_STAGES[info.first_stage]);
        rec_put_text(report, "reranker", "reranker", info.reranker);
        rec_put_text(report, "reranker_hash", NULL, info.reranker_hash);
        rec_put_real(report, "fixed_ms", "fixed ms", lines[i].fixed_ms, 3);
        rec_put_real(report, "per_candidate_ms", "ms a candidate", lines[i].per_candidate_ms, 4);
        rec_put_real(report, "r2", "r2", lines[i].r2, 4);
        rec_put_int(report, "pairs", "pairs scored", (long long)info.pairs);
        rec_put_real(report, "seconds", "seconds", info.seconds, 1);
    }
}

static void put_advice(rec_report *report, const arguments *a, const wn_sweep_row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const wn_sweep_row *row = &rows[i];
        if (!row->recommended) continue;
        const char *stage = REC_FIRST_STAGES[wn_study_describe(a->studies[row->study]).first_stage];
        if (row->depth)
            rec_report_note(report, "recommended: --first-stage %s --first-stage-k %zu --reranker %s", stage,
                            row->depth, wn_study_describe(a->studies[row->study]).reranker);
        else
            rec_report_note(report, "recommended: --first-stage %s --no-rerank", stage);
        return;
    }
    rec_report_note(report, "nothing stays within %.1f ms for 95 %% of the queries", a->options.budget_ms);
}

static int tell(arguments *a) {
    wn_error err;
    wn_sweep_row *rows = calloc(a->nstudies * (a->ndepths + 1), sizeof *rows);
    wn_cost_line *lines = calloc(a->nstudies, sizeof *lines);
    size_t n = 0;
    rec_report *report = rows && lines ? cli_report_create() : NULL;
    int code = EXIT_FAILED;
    if (!report) {
        cli_fail_memory();
    } else if (wn_sweep((const wn_study *const *)a->studies, a->nstudies, a->s.qrels, &a->options, rows, &n,
                        lines, &err) != WN_OK) {
        rec_report_free(report);
        code = cli_fail(&err);
    } else {
        rec_put_settings(report, a->s.index, a->s.queries, a->studies[0]);
        rec_put_text(report, "measure", "quality is", a->s.qrels ? a->options.measure
                     : "agreement with the largest k (no labels)");
        rec_put_real(report, "budget_ms", NULL, a->options.budget_ms > 0 ? a->options.budget_ms : NAN, 1);
        rec_report_section(report, SECTION_TABLE, "rows", "Quality and time by first_stage_k (0: no reranking)");
        for (size_t i = 0; i < n; i++) put_row(report, a, &rows[i]);
        put_advice(report, a, rows, n);
        put_front(report, a, rows, n);
        put_costs(report, a, lines);
        code = cli_report_print(report, (report_format)a->s.format);
    }
    free(rows);
    free(lines);
    return code;
}

/* Which of REC_FIRST_STAGES; -1 or the exit code. */
static int parse_stage(const cli_command *command, const char *name, wn_first_stage *out) {
    for (int i = 0; REC_FIRST_STAGES[i]; i++)
        if (strcmp(REC_FIRST_STAGES[i], name) == 0) {
            *out = (wn_first_stage)i;
            return -1;
        }
    return cli_usage_error(command, "--first-stage: \"%s\" is not one of dense, bm25, hybrid", name);
}

static int run_studies(arguments *a, const cli_command *command) {
    static const char *none = NULL;
    size_t nstages = a->stages.count ? a->stages.count : 1;
    size_t nrerankers = a->s.rerankers.count ? a->s.rerankers.count : 1;
    const char *const *rerankers = a->s.rerankers.count ? a->s.rerankers.items : &none;
    a->studies = calloc(nstages * nrerankers, sizeof *a->studies);
    if (!a->studies) return cli_fail_memory();
    for (size_t i = 0; i < nstages; i++) {
        wn_first_stage stage = a->s.stage;
        int code = a->stages.count ? parse_stage(command, a->stages.items[i], &stage) : -1;
        for (size_t r = 0; code < 0 && r < nrerankers; r++) {
            code = cli_studying_run(&a->s, rerankers[r], stage, true, false, a->depths, a->ndepths,
                                    &a->studies[a->nstudies]);
            a->nstudies += code < 0;
        }
        if (code >= 0) return code;
    }
    return -1;
}

int cmd_sweep(int argc, char **argv) {
    arguments a = {.k_values = "10,20,30,50,75,100", .options = wn_sweep_options_default()};
    int level = 0;
    float budget = 0;
    cli_list operands = {0};
    const cli_option options[] = {
        {"k-values", 'k', OPT_STRING, &a.k_values, "LIST", "values of first_stage_k (10,20,30,50,75,100)"},
        {"first-stage", 's', OPT_LIST, &a.stages, "S", "dense (default), bm25, hybrid; may be given again"},
        {"reranker", 'r', OPT_LIST, &a.s.rerankers, "M", "cross-encoder; may be given again"},
        {"qrels", 'Q', OPT_STRING, &a.qrels, "FILE", "judgements, TREC or BEIR (expected_source)"},
        {"level", 'l', OPT_CHOICE, &level, NULL, "what they judge; a passage is SOURCE#N", .choices = LEVELS},
        {"measure", 'm', OPT_STRING, &a.options.measure, "M", "what quality is (nDCG@10)"},
        {"budget-ms", 'b', OPT_FLOAT, &budget, "N", "95 % of the queries shall take at most N ms"},
        STUDYING_OPTIONS(a.s),
    };
    const cli_command command = {
        "sweep INDEX --queries FILE [--k-values LIST] [options]",
        "Tells quality and time at each first_stage_k from one pass: every candidate is scored once, at\n"
        "the largest. Marks the best, the smallest that can't be told from it, the fastest, the\n"
        "front of quality against time, and which to take. Without labels, quality is agreement with\n"
        "the largest k.",
        options, sizeof options / sizeof *options};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count != 1) code = cli_usage_error(&command, "give one index");
    if (code < 0) code = cli_parse_sizes(&command, "k-values", a.k_values, &a.depths, &a.ndepths);
    if (code < 0) {
        a.options.level = (wn_label_level)level;
        a.options.budget_ms = (double)budget;
        a.s.index = operands.items[0];
        code = cli_studying_open(&a.s, &command);
    }
    if (code < 0) code = cli_studying_labels(&a.s, a.qrels);
    if (code < 0) code = run_studies(&a, &command);
    if (code < 0) code = tell(&a);
    for (size_t i = 0; i < a.nstudies; i++) wn_study_free(a.studies[i]);
    free(a.studies);
    free(a.depths);
    cli_studying_close(&a.s);
    cli_list_release(&a.stages);
    cli_list_release(&operands);
    return code;
}
