/* cmd_eval_search.c -- `winnow eval` over an index or a BEIR folder: quality with and without
 * reranking, side by side.
 *
 * Both rankings hold the same candidates, so recall at first_stage_k can't differ; what differs is
 * the order. Names of measures are trec_eval's, computed by the same code as `winnow eval --run`. */
#include "cmd_eval.h"
#include "studying.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const LEVELS[] = {"document", "passage", NULL};

typedef struct {
    cli_studying s;
    const char *beir, *split, *output, *model, *qrels, *cutoffs, *measure, *save_runs, *reranker;
    size_t depth, chunk_size, chunk_overlap;
    int level;
    bool no_rerank, stemming, summary_only;
} arguments;

/* An index comes first or is named by its queries; runs are named by --run alone. */
bool eval_wants_search(int argc, char **argv) {
    if (argc > 1 && argv[1][0] != '-') return true;
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], "--queries", 9) || !strncmp(argv[i], "--beir", 6)) return true;
    return false;
}

/* ---- The BEIR folder ------------------------------------------------------------ */

enum { WHOLE_DOCUMENT = 1 << 30 }; /* characters: no document is longer, so none is cut */

static void warn(void *ctx, const char *message) { fprintf(stderr, "winnow: warning: %s\n", message); }

/* The model that the index has, or is to have: NULL for one that BM25 alone will be asked. */
static wn_status find_model(const arguments *a, const char *path, wn_model **out, wn_error *err) {
    wn_index *index = NULL;
    wn_index_info info = {.model_name = ""};
    *out = NULL;
    if (wn_index_open(path, &index, err) == WN_OK) {
        wn_status st = wn_index_describe(index, &info, err);
        if (st == WN_OK && *info.model_name && !a->model)
            st = cli_model_open(info.model_name, NULL, 0, WN_F32, out, err);
        wn_index_close(index);
        if (st != WN_OK || *out) return st;
    }
    if (a->s.first_stage == WN_FIRST_BM25 && !a->model) return WN_OK;
    return cli_model_open(a->model, DEFAULT_EMBEDDERS, 0, WN_F32, out, err);
}

/* Builds the index, or completes it, or finds it up to date. */
static int build_index(const arguments *a, const char *corpus, const char *path) {
    wn_error err;
    wn_model *model = NULL;
    wn_bi_encoder *encoder = NULL;
    cli_progress progress;
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = a->chunk_size ? a->chunk_size : WHOLE_DOCUMENT;
    options.split.chunk_overlap = a->chunk_size ? a->chunk_overlap : 0;
    options.stemming = a->stemming;
    options.progress = cli_progress_update;
    options.progress_ctx = &progress;
    options.warning = warn;
    wn_status st = find_model(a, path, &model, &err);
    if (st == WN_OK && model) st = wn_bi_encoder_create(model, a->s.threads, &encoder, &err);
    cli_progress_start(&progress, a->s.quiet);
    if (st == WN_OK) st = wn_index_build(path, &corpus, 1, encoder, &options, NULL, &err);
    cli_progress_end(&progress);
    wn_bi_encoder_free(encoder);
    wn_model_close(model);
    if (st == WN_OK) return -1;
    int code = cli_fail(&err);
    return st == WN_ERR_CANCELLED ? EXIT_INTERRUPTED : code;
}

static int open_beir(arguments *a, wn_beir *beir, char **path) {
    wn_error err;
    if (wn_beir_locate(a->beir, a->split, beir, &err) != WN_OK) return cli_fail(&err);
    if (a->output) *path = strdup(a->output);
    else if (asprintf(path, "%s/winnow.wnindex", a->beir) < 0) *path = NULL;
    if (!*path) return cli_fail_memory();
    if (!a->s.queries) a->s.queries = beir->queries;
    if (!a->qrels) a->qrels = beir->qrels;
    a->s.index = *path;
    return build_index(a, beir->corpus, *path);
}

/* ---- Two evaluations -------------------------------------------------------------- */

static char *measure_list(const char *name, const char *cutoffs) {
    char *text = NULL;
    return asprintf(&text, "%s.%s", name, cutoffs) < 0 ? NULL : text;
}

enum { FAMILIES = 4, ALL_MEASURES = FAMILIES + 2 };

/* The measures of the table, or with `one` that of the queries' table alone. */
static wn_status evaluate_run(const arguments *a, wn_run *run, bool one, wn_evaluation **out, wn_error *err) {
    static const char *const families[FAMILIES] = {"ndcg_cut", "recall", "P", "success"};
    const char *measures[ALL_MEASURES] = {"map", "recip_rank"};
    char *texts[FAMILIES] = {NULL};
    wn_evaluate_options options = wn_evaluate_options_default();
    options.measures = one ? &a->measure : measures;
    options.nmeasures = one ? 1 : ALL_MEASURES;
    wn_status st = WN_OK;
    for (int i = 0; i < FAMILIES; i++) {
        measures[2 + i] = texts[i] = measure_list(families[i], a->cutoffs);
        if (texts[i]) continue;
        *err = (wn_error){.code = WN_ERR_MEMORY, .message = "out of memory"};
        st = WN_ERR_MEMORY;
    }
    if (st == WN_OK) st = wn_evaluate(a->s.qrels, run, &options, out, err);
    for (int i = 0; i < FAMILIES; i++) free(texts[i]);
    return st;
}

static wn_status save_run(const arguments *a, wn_run *run, bool reranked, wn_error *err) {
    char path[4096];
    if (!a->save_runs) return WN_OK;
    snprintf(path, sizeof path, "%s.%s.trec", a->save_runs, reranked ? "reranked" : "first_stage");
    return wn_run_write(run, path, err);
}

/* [0]: all measures, [1]: the one of the queries' table. */
static wn_status evaluate(const arguments *a, const wn_study *study, bool reranked,
                          wn_evaluation *out[2], wn_error *err) {
    wn_run *run = NULL;
    wn_status st = wn_study_to_run(study, a->depth, reranked, a->s.qrels, (wn_label_level)a->level,
                                   reranked ? "reranked" : "first_stage", &run, err);
    if (st == WN_OK) st = save_run(a, run, reranked, err);
    if (st == WN_OK) st = evaluate_run(a, run, false, &out[0], err);
    if (st == WN_OK) st = evaluate_run(a, run, true, &out[1], err);
    wn_run_free(run);
    return st;
}

static void put_comparison(cli_report *report, const char *name, const wn_comparison *c) {
    cli_report_row(report);
    cli_put_text(report, "measure", "measure", name);
    cli_put_real(report, "first_stage", "first stage", c->mean_a, 4);
    cli_put_real(report, "reranked", "reranked", c->mean_b, 4);
    cli_put_signed(report, "improvement_percent", "change %", c->improvement, 1);
    cli_put_signed(report, "difference", "difference", c->difference.mean, 4);
    cli_put_interval(report, "interval_95", "95 % interval", c->difference.low, c->difference.high, 4);
    cli_put_real(report, "p", "p", c->test.p, 4);
    cli_put_bool(report, "p_exact", NULL, c->test.exact);
    cli_put_int(report, "better", "better", (long long)c->better);
    cli_put_int(report, "worse", "worse", (long long)c->worse);
    cli_put_int(report, "equal", "equal", (long long)c->equal);
    cli_put_int(report, "queries", NULL, (long long)c->queries);
}

static wn_status put_measures(cli_report *report, const wn_evaluation *a, const wn_evaluation *b,
                              wn_error *err) {
    size_t n = wn_evaluation_describe(a).values;
    cli_report_section(report, SECTION_TABLE, "measures", "Quality with and without reranking");
    for (size_t v = 0; v < n; v++) {
        wn_value_info info = wn_evaluation_value_info(a, v);
        wn_comparison c;
        if (info.text || !info.per_query) continue;
        wn_status st = wn_evaluation_compare(a, b, info.name, NULL, &c, err);
        if (st != WN_OK) return st;
        put_comparison(report, info.name, &c);
    }
    return WN_OK;
}

static const char *query_text(const cli_studying *s, const char *id) {
    size_t at;
    return wn_topics_find(s->topics, id, &at) ? wn_topics_get(s->topics, at).text.data : "";
}

static wn_status put_gains(cli_report *report, const arguments *args, const char *measure,
                           const wn_evaluation *a, const wn_evaluation *b, wn_error *err) {
    size_t n = 0;
    wn_status st = wn_evaluation_gains(a, b, measure, NULL, &n, err);
    if (st != WN_OK) return st;
    wn_gain *gains = calloc(n + 1, sizeof *gains);
    if (!gains) {
        cli_fail_memory();
        exit(EXIT_FAILED);
    }
    st = wn_evaluation_gains(a, b, measure, gains, &n, err);
    cli_report_section(report, SECTION_TABLE, "queries", "By query, largest gain first");
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        cli_report_row(report);
        cli_put_text(report, "id", "id", gains[i].query);
        cli_put_real(report, "first_stage", "first stage", gains[i].a, 4);
        cli_put_real(report, "reranked", "reranked", gains[i].b, 4);
        cli_put_signed(report, "gain", "gain", gains[i].gain, 4);
        cli_put_text(report, "query", "query", query_text(&args->s, gains[i].query));
    }
    cli_report_note(report, "measure: %s", measure);
    free(gains);
    return st;
}

static void put_values(cli_report *report, const wn_evaluation *a) {
    cli_report_section(report, SECTION_TABLE, "measures", "Quality of the first stage");
    for (size_t v = 0; v < wn_evaluation_describe(a).values; v++) {
        wn_value_info info = wn_evaluation_value_info(a, v);
        if (info.text || !info.per_query) continue;
        cli_report_row(report);
        cli_put_text(report, "measure", "measure", info.name);
        cli_put_real(report, "first_stage", "first stage", wn_evaluation_summary(a, v), 4);
        cli_put_int(report, "queries", NULL, (long long)wn_evaluation_describe(a).queries);
    }
}

static int tell(arguments *args, const wn_study *study) {
    wn_error err;
    wn_evaluation *first[2] = {NULL, NULL}, *second[2] = {NULL, NULL};
    cli_report *report = cli_report_create();
    if (!report) return EXIT_FAILED;
    wn_status st = evaluate(args, study, false, first, &err);
    if (st == WN_OK && !args->no_rerank) st = evaluate(args, study, true, second, &err);
    cli_put_settings(report, &args->s, study);
    cli_put_int(report, "first_stage_k", "candidates a query (first_stage_k)", (long long)args->depth);
    cli_put_text(report, "level", "labels are of", LEVELS[args->level]);
    if (st == WN_OK && args->no_rerank) put_values(report, first[0]);
    if (st == WN_OK && !args->no_rerank) st = put_measures(report, first[0], second[0], &err);
    if (st == WN_OK && !args->no_rerank && !args->summary_only)
        st = put_gains(report, args, wn_evaluation_value_info(first[1], 0).name, first[1], second[1], &err);
    int code = EXIT_DONE;
    if (st != WN_OK) {
        code = cli_fail(&err);
        cli_report_free(report);
    } else {
        code = cli_report_print(report, (report_format)args->s.format);
    }
    for (int i = 0; i < 2; i++) {
        wn_evaluation_free(first[i]);
        wn_evaluation_free(second[i]);
    }
    return code;
}

static int run(arguments *a, const cli_command *command) {
    wn_study *study = NULL;
    wn_beir beir = {0};
    char *path = NULL;
    int code = a->beir ? open_beir(a, &beir, &path) : -1;
    if (code < 0) code = cli_studying_open(&a->s, command);
    if (code < 0) code = cli_studying_labels(&a->s, a->qrels);
    if (code < 0 && !a->s.qrels) {
        fprintf(stderr, "winnow eval: %s: no query has an expected_source; give --qrels, or use "
                        "`winnow impact`, which needs no labels\n", a->s.queries);
        code = EXIT_FAILED;
    }
    if (code < 0)
        code = cli_studying_run(&a->s, a->reranker, a->s.stage, !a->no_rerank, false, &a->depth, 1, &study);
    if (code < 0) code = tell(a, study);
    wn_study_free(study);
    cli_studying_close(&a->s);
    wn_beir_release(&beir);
    free(path);
    return code;
}

int cmd_eval_search(int argc, char **argv) {
    arguments a = {.cutoffs = "1,3,5,10", .measure = "ndcg_cut_10"};
    cli_list operands = {0};
    const cli_option options[] = {
        {"beir", 0, OPT_STRING, &a.beir, "DIR", "corpus.jsonl, queries.jsonl, qrels/ in place of INDEX"},
        {"split", 0, OPT_STRING, &a.split, "NAME", "which qrels of --beir (test)"},
        {"output", 'o', OPT_STRING, &a.output, "FILE", "the index of --beir (DIR/winnow.wnindex)"},
        {"model", 'm', OPT_STRING, &a.model, "M", "bi-encoder that makes it"},
        {"chunk-size", 0, OPT_SIZE, &a.chunk_size, "N", "cut its documents (default: whole)", 1},
        {"chunk-overlap", 0, OPT_SIZE, &a.chunk_overlap, "N", "with that overlap (0)", 0},
        {"stemming", 0, OPT_FLAG, &a.stemming, NULL, "BM25 of --beir compares word stems"},
        {"qrels", 'Q', OPT_STRING, &a.qrels, "FILE", "judgements, TREC or BEIR (expected_source)"},
        {"level", 'l', OPT_CHOICE, &a.level, NULL, "what they judge; a passage is SOURCE#N",
         .choices = LEVELS},
        {"cutoffs", 'k', OPT_STRING, &a.cutoffs, "LIST", "cutoffs of the measures (1,3,5,10)"},
        {"measure", 0, OPT_STRING, &a.measure, "M", "measure of the table by query (ndcg_cut_10)"},
        {"first-stage-k", 'n', OPT_SIZE, &a.depth, "N", "candidates (50; with --beir 100)", 1},
        {"first-stage", 's', OPT_CHOICE, &a.s.first_stage, NULL, "how candidates are found",
         .choices = FIRST_STAGES},
        {"no-rerank", 0, OPT_FLAG, &a.no_rerank, NULL, "the first stage alone"},
        {"reranker", 'r', OPT_STRING, &a.reranker, "M", "cross-encoder: directory or cache name"},
        {"save-runs", 0, OPT_STRING, &a.save_runs, "P", "write P.first_stage.trec, P.reranked.trec"},
        {"summary", 0, OPT_FLAG, &a.summary_only, NULL, "no table by query"},
        STUDYING_OPTIONS(a.s),
    };
    const cli_command command = {
        "eval INDEX --queries FILE | --beir DIR [options]",
        "Answers labelled queries with and without reranking and compares: measures as trec_eval\n"
        "has them, improvement in percent, 95 % bootstrap interval of the difference, p-value of a\n"
        "paired permutation test, and each query's gain or loss.",
        options, sizeof options / sizeof *options};
    size_t *cutoffs = NULL, ncutoffs;
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count != (a.beir ? 0 : 1))
        code = cli_usage_error(&command, "give one index, or --beir DIR");
    if (code < 0) code = cli_parse_sizes(&command, "cutoffs", a.cutoffs, &cutoffs, &ncutoffs);
    if (code < 0 && a.chunk_size && a.chunk_overlap > a.chunk_size)
        code = cli_usage_error(&command, "--chunk-overlap is larger than --chunk-size");
    if (code < 0) {
        if (!a.depth) a.depth = a.beir ? 100 : 50;
        if (!a.beir) a.s.index = operands.items[0];
        code = run(&a, &command);
    }
    free(cutoffs);
    cli_list_release(&operands);
    return code;
}
