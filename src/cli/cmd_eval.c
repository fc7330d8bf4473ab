/* cmd_eval.c -- measures of runs against qrels.
 *
 * With one run the command is a drop-in for trec_eval: same options, same measures, same output to
 * the byte. With two it says whether the second is better. Where a run comes from is a matter of
 * evaluate_file alone; everything after it works on evaluations. */
#include "cmd_eval.h"

#include <stdlib.h>
#include <string.h>

static const char *const FORMATS[] = {"auto", "trec", "table", "tsv", "json", NULL};
/* In the order of wn_qrels_format, then as trec_eval calls them. */
static const char *const REL_FORMATS[] = {"auto",   "qrels",       "beir", "qrels_jg",
                                          "prefs",  "qrels_prefs", NULL};

/* What is compared unless -m says otherwise: few enough to read, and what papers report. */
static const char *const COMPARED[] = {"ndcg_cut.10", "map", "recip_rank", "recall.10,100", "P.10",
                                       "success.1,5"};

typedef struct {
    cli_list runs, measures;
    const char *qrels, *zscores;
    int qrels_format, format, level;
    size_t max_retrieved, collection_size;
    bool complete, judged_only, quiet, list;
    eval_style style;
} arguments;

static int list_measures(void) {
    for (size_t i = 0; i < wn_measure_count(); i++) {
        wn_measure_info m = wn_measure_describe(i);
        printf("%s%s%s\n    ", m.name, *m.parameters ? "." : "", m.parameters);
        for (const char *p = m.help; *p; p++) {
            putchar(*p);
            if (*p == '\n') fputs("    ", stdout);
        }
        putchar('\n');
    }
    printf("\nSets: official (the default), all_trec, set, prefs, all_prefs, qrels_jg.\n"
           "Also understood: ndcg_cut_10, nDCG@10, MRR@10, Recall@100, P@5, MAP, success@1.\n");
    return cli_finish_output();
}

/* What was left out, on standard error: a number over other queries than one thinks misleads. */
static void tell_left_out(const wn_evaluation *e, const char *run, const arguments *args) {
    wn_evaluation_info info = wn_evaluation_describe(e);
    if (args->quiet) return;
    if (info.missing)
        fprintf(stderr, "winnow eval: %s has no results for %zu of the judged queries; they %s\n",
                run, info.missing, args->complete ? "count as 0" : "are left out (-c counts them)");
    if (info.extra)
        fprintf(stderr, "winnow eval: %s has %zu queries without judgements; they are left out\n",
                run, info.extra);
}

static wn_status evaluate_file(const char *path, wn_qrels *qrels,
                               const wn_evaluate_options *options, wn_evaluation **out,
                               wn_error *err) {
    wn_run *run = NULL;
    wn_status st = wn_run_read(path, &run, err);
    if (st == WN_OK) st = wn_evaluate(qrels, run, options, out, err);
    wn_run_free(run);
    return st;
}

static int evaluate_runs(const arguments *args) {
    wn_error err;
    wn_qrels *qrels = NULL;
    wn_zscores *zscores = NULL;
    wn_evaluation *evaluations[2] = {NULL, NULL};
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = args->measures.items;
    options.nmeasures = args->measures.count;
    if (args->runs.count == 2 && !args->measures.count) {
        options.measures = COMPARED;
        options.nmeasures = sizeof COMPARED / sizeof *COMPARED;
    }
    options.complete = args->complete;
    options.judged_only = args->judged_only;
    options.level = args->level;
    options.max_retrieved = args->max_retrieved;
    options.collection_size = args->collection_size;
    wn_status st = wn_qrels_read(args->qrels, (wn_qrels_format)args->qrels_format, &qrels, &err);
    if (st == WN_OK && args->zscores) st = wn_zscores_read(args->zscores, &zscores, &err);
    options.zscores = zscores;
    for (size_t i = 0; st == WN_OK && i < args->runs.count; i++) {
        st = evaluate_file(args->runs.items[i], qrels, &options, &evaluations[i], &err);
        if (st == WN_OK) tell_left_out(evaluations[i], args->runs.items[i], args);
    }
    int code;
    if (st != WN_OK)
        code = cli_fail(&err);
    else if (args->runs.count == 2)
        code = eval_print_comparison(evaluations[0], args->runs.items[0], evaluations[1],
                                     args->runs.items[1], &args->style);
    else
        code = eval_print(evaluations[0], args->runs.items[0], &args->style);
    wn_evaluation_free(evaluations[0]);
    wn_evaluation_free(evaluations[1]);
    wn_zscores_free(zscores);
    wn_qrels_free(qrels);
    return code;
}

static int check(const cli_command *command, arguments *args, const cli_list *operands) {
    if (operands->count)
        return cli_usage_error(command, "\"%s\" is not expected; name files with --run and --qrels",
                               operands->items[0]);
    if (!args->qrels) return cli_usage_error(command, "give the judgements by --qrels");
    if (!args->runs.count || args->runs.count > 2)
        return cli_usage_error(command, "give one run, or two to compare, by --run");
    if (args->runs.count == 2 && args->format == EVAL_TREC)
        return cli_usage_error(command, "--format trec prints one run; two are a table, tsv or json");
    if (args->runs.count == 1 && args->format == EVAL_TABLE)
        return cli_usage_error(command, "--format table compares two runs");
    if (args->runs.count == 2 && args->zscores)
        return cli_usage_error(command, "--zscores is for one run");
    args->style.format = (eval_format)args->format;
    args->style.zscores = args->zscores != NULL;
    return -1;
}

int cmd_eval(int argc, char **argv) {
    if (eval_wants_search(argc, argv)) return cmd_eval_search(argc, argv);
    arguments args = {.level = 1};
    cli_list operands = {0};
    const cli_option options[] = {
        {"run", 'r', OPT_LIST, &args.runs, "FILE",
         "a run: query Q0 document rank score tag; - is standard input; twice to compare"},
        {"qrels", 'Q', OPT_STRING, &args.qrels, "FILE", "judgements, TREC or BEIR"},
        {"measure", 'm', OPT_LIST, &args.measures, "M",
         "a measure or set, with parameters: -m ndcg_cut.5,10 -m map -m MRR@10 (official)"},
        {"per-query", 'q', OPT_FLAG, &args.style.per_query, NULL, "each query too"},
        {"no-summary", 'n', OPT_FLAG, &args.style.no_summary, NULL, "only what -q prints"},
        {"complete", 'c', OPT_FLAG, &args.complete, NULL,
         "judged queries without results count, as 0"},
        {"level", 'l', OPT_INT, &args.level, "N", "the least relevance that is relevant (1)", 0},
        {"max-retrieved", 'M', OPT_SIZE, &args.max_retrieved, "N",
         "only the first N documents of a query", 1},
        {"judged-only", 'J', OPT_FLAG, &args.judged_only, NULL,
         "take documents without judgement out of the rankings"},
        {"collection-size", 'N', OPT_SIZE, &args.collection_size, "N", "documents, for utility", 0},
        {"qrels-format", 'R', OPT_CHOICE, &args.qrels_format, NULL, "how to read --qrels",
         .choices = REL_FORMATS},
        {"zscores", 'Z', OPT_STRING, &args.zscores, "FILE",
         "print z-scores: query measure mean deviation"},
        {"format", 'f', OPT_CHOICE, &args.format, NULL, "how to print", .choices = FORMATS},
        {"list-measures", 0, OPT_FLAG, &args.list, NULL, "every measure and what it is"},
        {"quiet", 0, OPT_FLAG, &args.quiet, NULL, "say nothing about queries left out"},
    };
    const cli_command command = {
        "eval --run FILE [--run FILE] --qrels FILE [options]",
        "Measures runs against relevance judgements. One run is printed as NIST's trec_eval prints\n"
        "it; of two runs, how much the second differs, the 95 % bootstrap interval of the mean\n"
        "difference and the p-value of a paired permutation test (~ marks a sampled one).",
        options, sizeof options / sizeof *options};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && args.list) code = list_measures();
    if (code < 0) code = check(&command, &args, &operands);
    if (code < 0) code = evaluate_runs(&args);
    cli_list_release(&args.runs);
    cli_list_release(&args.measures);
    cli_list_release(&operands);
    return code;
}
