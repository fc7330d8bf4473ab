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

static int tell(const arguments *a, const wn_study *study) {
    wn_error err;
    rec_eval eval = {.index = a->s.index, .queries = a->s.queries, .study = study, .topics = a->s.topics,
                     .qrels = a->s.qrels, .depth = a->depth, .level = (wn_label_level)a->level,
                     .cutoffs = a->cutoffs, .measure = a->measure, .reranked = !a->no_rerank,
                     .by_query = !a->summary_only, .save_runs = a->save_runs};
    rec_report *report = cli_report_create();
    if (!report) return EXIT_FAILED;
    wn_status st = rec_report_eval(report, &eval, &err);
    if (st == WN_OK && a->s.searching.cache.path) {
        wn_score_cache_info known = cli_score_cache_info(&a->s.searching.cache);
        rec_report_section(report, SECTION_RECORD, "score_cache", "Score cache");
        rec_put_int(report, "hits", "pairs known", (long long)known.hits);
        rec_put_int(report, "misses", "pairs computed", (long long)known.misses);
    }
    if (st == WN_OK)
        return cli_report_print(report, (report_format)a->s.format);
    rec_report_free(report);
    return cli_fail(&err);
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
         .choices = REC_LABEL_LEVELS},
        {"cutoffs", 'k', OPT_STRING, &a.cutoffs, "LIST", "cutoffs of the measures (1,3,5,10)"},
        {"measure", 0, OPT_STRING, &a.measure, "M", "measure of the table by query (ndcg_cut_10)"},
        {"first-stage-k", 'n', OPT_SIZE, &a.depth, "N", "candidates (50; with --beir 100)", 1},
        {"first-stage", 's', OPT_CHOICE, &a.s.first_stage, NULL, "how candidates are found",
         .choices = REC_FIRST_STAGES},
        {"no-rerank", 0, OPT_FLAG, &a.no_rerank, NULL, "the first stage alone"},
        {"reranker", 'r', OPT_STRING, &a.reranker, "M", "cross-encoder: directory or cache name"},
        {"save-runs", 0, OPT_STRING, &a.save_runs, "P", "write P.first_stage.trec, P.reranked.trec"},
        {"summary", 0, OPT_FLAG, &a.summary_only, NULL, "no table by query"},
        SCORE_CACHE_OPTIONS(a.s.searching.cache),
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
