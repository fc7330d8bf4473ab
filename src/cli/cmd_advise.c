/* cmd_advise.c -- when to rerank and when not: reranker, first_stage_k and skip rule, from measurements on the
 * user's own queries. */
#include "studying.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const LEVELS[] = {"document", "passage", NULL};

typedef struct {
    cli_studying s;
    const char *k_values, *qrels;
    size_t *depths, ndepths;
    wn_sweep_options sweep;
    wn_advise_options advise;
    bool save;
    wn_study **studies;
    size_t nstudies;
} arguments;

typedef struct {
    wn_sweep_row *rows;
    size_t count;
    const wn_sweep_row *best, *chosen, *alone; /* chosen NULL: nothing is within the budget */
    wn_advice advice;
    bool has_advice;
} findings;

static const wn_sweep_row *better(const wn_sweep_row *a, const wn_sweep_row *b) {
    return !a || b->quality.mean > a->quality.mean ? b : a;
}

/* The skip rule is for the chosen way to search when it reranks; a budget that nothing meets, or a
 * recommendation not to rerank, leaves nothing to skip. */
static wn_status find_out(arguments *a, findings *f, wn_error *err) {
    wn_status st = wn_sweep((const wn_study *const *)a->studies, a->nstudies, a->s.qrels, &a->sweep, f->rows,
                            &f->count, NULL, err);
    if (st != WN_OK) return st;
    for (size_t i = 0; i < f->count; i++) {
        const wn_sweep_row *row = &f->rows[i];
        f->best = better(f->best, row);
        if (row->recommended) f->chosen = row;
        if (!row->depth) f->alone = row;
    }
    if (!f->chosen || !f->chosen->depth) return WN_OK;
    f->has_advice = true;
    return wn_advise(a->studies[f->chosen->study], f->chosen->depth, a->s.qrels, &a->advise, &f->advice, err);
}

static void put_row(rec_report *report, const arguments *a, const char *what, const wn_sweep_row *row) {
    wn_study_info info = wn_study_describe(a->studies[row->study]);
    rec_report_row(report);
    rec_put_text(report, "what", "", what);
    rec_put_text(report, "reranker", "reranker", row->depth ? info.reranker : NULL);
    rec_put_int(report, "first_stage_k", "k", (long long)row->depth);
    rec_put_real(report, "quality", "quality", row->quality.mean, 4);
    rec_put_range(report, "quality_95", "95 % interval", row->quality.low, row->quality.high, 4);
    rec_put_real(report, "p", "p to best", row->p, 4);
    rec_put_real(report, "latency_mean_ms", "mean ms", row->stage1_ms + row->stage2_ms, 2);
    rec_put_real(report, "latency_p50_ms", "p50 ms", row->latency_p50_ms, 2);
    rec_put_real(report, "latency_p95_ms", "p95 ms", row->latency_p95_ms, 2);
}

static void put_choice(rec_report *report, const arguments *a, const findings *f) {
    rec_report_section(report, SECTION_TABLE, "choices", "What to take");
    if (f->alone) put_row(report, a, "no reranking", f->alone);
    put_row(report, a, "best quality", f->best);
    if (f->chosen) put_row(report, a, "recommended", f->chosen);
    else rec_report_note(report, "nothing stays within %.1f ms for 95 %% of the queries; search with "
                                 "--deadline-ms %.0f cuts reranking short instead",
                         a->sweep.budget_ms, a->sweep.budget_ms);
}

static void put_rule(rec_report *report, const findings *f) {
    const wn_advice *d = &f->advice;
    rec_report_section(report, SECTION_RECORD, "skip_rule", "When to skip reranking");
    rec_put_bool(report, "pays", NULL, d->pays);
    rec_put_real(report, "threshold", "skip from confidence", d->pays ? (double)d->threshold : NAN, 4);
    rec_put_real(report, "skipped", "share of queries skipped", d->skipped, 3);
    rec_put_real(report, "saved_ms", "ms saved a query", d->saved_ms, 2);
    rec_put_real(report, "saved", "share of the time saved", d->saved, 3);
    rec_put_real(report, "quality_always", "quality, always reranking", d->always.mean, 4);
    rec_put_real(report, "quality_auto", "quality, under the rule", d->automatic.mean, 4);
    rec_put_real(report, "quality_never", "quality, never reranking", d->never.mean, 4);
    rec_put_signed(report, "change", "change by the rule", d->loss.mean, 4);
    rec_put_interval(report, "change_95", "95 % interval", d->loss.low, d->loss.high, 4);
    rec_put_real(report, "p", "p", d->p, 4);
    rec_put_int(report, "folds", "cross-validated in folds", (long long)d->folds);
    rec_put_int(report, "queries", "queries", (long long)d->queries);
    if (!d->pays) rec_report_note(report, "no query can be skipped within the loss that is allowed: rerank always");
}

static void put_command(rec_report *report, const arguments *a, const findings *f) {
    const wn_sweep_row *row = f->chosen;
    if (!row) return;
    wn_study_info info = wn_study_describe(a->studies[row->study]);
    char text[512];
    int n = snprintf(text, sizeof text, "winnow search %s --first-stage %s", a->s.index, REC_FIRST_STAGES[info.first_stage]);
    if (n < 0 || (size_t)n >= sizeof text) return;
    size_t left = sizeof text - (size_t)n;
    if (!row->depth) snprintf(text + n, left, " --no-rerank");
    else if (f->advice.pays)
        snprintf(text + n, left, " --first-stage-k %zu --reranker %s --rerank auto --skip-threshold %.6g", row->depth,
                 info.reranker, (double)f->advice.threshold);
    else snprintf(text + n, left, " --first-stage-k %zu --reranker %s", row->depth, info.reranker);
    rec_report_section(report, SECTION_RECORD, "use", "Use");
    rec_put_text(report, "command", "command", text);
}

static int save_threshold(const arguments *a, const findings *f) {
    wn_error err;
    if (!f->has_advice || !f->advice.pays) {
        fprintf(stderr, "winnow: there is no skip rule to save\n");
        return -1;
    }
    wn_first_stage stage = wn_study_describe(a->studies[f->chosen->study]).first_stage;
    if (wn_skip_threshold_save(a->s.index, stage, f->advice.threshold, &err) != WN_OK) return cli_fail(&err);
    return -1;
}

static int tell(arguments *a) {
    wn_error err;
    findings f = {.rows = calloc(a->nstudies * (a->ndepths + 1), sizeof *f.rows)};
    rec_report *report = f.rows ? cli_report_create() : NULL;
    int code = EXIT_FAILED;
    if (!report) {
        cli_fail_memory();
    } else if (find_out(a, &f, &err) != WN_OK) {
        rec_report_free(report);
        code = cli_fail(&err);
    } else {
        rec_put_settings(report, a->s.index, a->s.queries, a->studies[0]);
        rec_put_text(report, "measure", "quality is", a->s.qrels ? a->sweep.measure
                     : "agreement with reranking (no labels)");
        put_choice(report, a, &f);
        if (f.has_advice) put_rule(report, &f);
        put_command(report, a, &f);
        code = a->save ? save_threshold(a, &f) : -1;
        if (code < 0) code = cli_report_print(report, (report_format)a->s.format);
        else rec_report_free(report);
    }
    free(f.rows);
    return code;
}

static int run_studies(arguments *a) {
    static const char *none = NULL;
    size_t n = a->s.rerankers.count ? a->s.rerankers.count : 1;
    const char *const *rerankers = a->s.rerankers.count ? a->s.rerankers.items : &none;
    a->studies = calloc(n, sizeof *a->studies);
    if (!a->studies) return cli_fail_memory();
    for (size_t i = 0; i < n; i++) {
        int code = cli_studying_run(&a->s, rerankers[i], a->s.stage, true, true, a->depths, a->ndepths,
                                    &a->studies[a->nstudies]);
        if (code >= 0) return code;
        a->nstudies++;
    }
    return -1;
}

int cmd_advise(int argc, char **argv) {
    arguments a = {.k_values = "10,20,30,50,75,100", .sweep = wn_sweep_options_default(),
                   .advise = wn_advise_options_default()};
    int level = 0;
    float budget = 0, max_loss = NAN;
    cli_list operands = {0};
    const cli_option options[] = {
        {"budget-ms", 'b', OPT_FLOAT, &budget, "N", "95 % of the queries shall take at most N ms"},
        {"k-values", 'k', OPT_STRING, &a.k_values, "LIST", "values of first_stage_k (10,20,30,50,75,100)"},
        {"max-loss", 0, OPT_FLOAT, &max_loss, "X", "quality that skipping may cost (0.005; unlabelled 0.05)"},
        {"save", 0, OPT_FLAG, &a.save, NULL, "leave the threshold in the index, for --rerank auto"},
        {"first-stage", 's', OPT_CHOICE, &a.s.first_stage, NULL, "how candidates are found",
         .choices = REC_FIRST_STAGES},
        {"reranker", 'r', OPT_LIST, &a.s.rerankers, "M", "cross-encoder; may be given again"},
        {"qrels", 'Q', OPT_STRING, &a.qrels, "FILE", "judgements, TREC or BEIR (expected_source)"},
        {"level", 'l', OPT_CHOICE, &level, NULL, "what they judge; a passage is SOURCE#N", .choices = LEVELS},
        {"measure", 'm', OPT_STRING, &a.sweep.measure, "M", "what quality is (nDCG@10)"},
        STUDYING_OPTIONS(a.s),
    };
    const cli_command command = {
        "advise INDEX --queries FILE [--budget-ms N] [options]",
        "Measures on your own queries and tells which reranker to take, how many candidates to rerank and\n"
        "when to skip reranking: the share of queries that can be, the time saved and the quality lost,\n"
        "with its interval. Without labels, quality is agreement with reranking.",
        options, sizeof options / sizeof *options};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count != 1) code = cli_usage_error(&command, "give one index");
    if (code < 0) code = cli_parse_sizes(&command, "k-values", a.k_values, &a.depths, &a.ndepths);
    if (code < 0) {
        a.sweep.level = a.advise.level = (wn_label_level)level;
        a.sweep.budget_ms = (double)budget;
        a.advise.max_loss = (double)max_loss;
        a.advise.measure = a.sweep.measure;
        a.s.index = operands.items[0];
        code = cli_studying_open(&a.s, &command);
    }
    if (code < 0) code = cli_studying_labels(&a.s, a.qrels);
    if (code < 0) code = run_studies(&a);
    if (code < 0) code = tell(&a);
    for (size_t i = 0; i < a.nstudies; i++) wn_study_free(a.studies[i]);
    free(a.studies);
    free(a.depths);
    cli_studying_close(&a.s);
    cli_list_release(&operands);
    return code;
}
