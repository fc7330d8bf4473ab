/* cmd_rerank.c -- reorders any system's run. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *run, *beir, *corpus, *queries, *output, *reranker;
    wn_rerank_run_options options;
    int threads, precision;
    bool quiet;
} arguments;

static char *beside(const char *dir, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int rerank_file(arguments *a, wn_cross_encoder *cross, wn_run *run, const wn_topics *topics) {
    wn_error err;
    cli_progress progress;
    wn_rerank_run_stats s = {0};
    cli_progress_start(&progress, a->quiet);
    a->options.progress = cli_progress_update;
    a->options.progress_ctx = &progress;
    wn_status st = wn_rerank_run(cross, run, topics, a->corpus, a->output, &a->options, &s, &err);
    cli_progress_end(&progress);
    if (st == WN_ERR_CANCELLED) {
        fprintf(stderr, "winnow: %s; the same command goes on from there\n", err.message);
        return EXIT_INTERRUPTED;
    }
    if (st != WN_OK) return cli_fail(&err);
    if (s.missing && !a->quiet)
        fprintf(stderr, "winnow: %llu documents of the run are not in %s; they stay below what was read\n",
                (unsigned long long)s.missing, a->corpus);
    if (!a->quiet) {
        printf("%s: %zu queries", a->output, s.queries);
        if (s.resumed) printf(" (%zu of them from before)", s.resumed);
        printf(", %llu pairs in %.1f s", (unsigned long long)s.pairs, s.seconds);
        if (s.truncated) printf(", %llu of them cut to the model's length", (unsigned long long)s.truncated);
        putchar('\n');
    }
    return cli_finish_output();
}

static int run_all(arguments *a) {
    wn_error err;
    wn_run *run = NULL;
    wn_topics *topics = NULL;
    wn_model *model = NULL;
    wn_cross_encoder *cross = NULL;
    wn_status st = wn_run_read(a->run, &run, &err);
    if (st == WN_OK) st = wn_topics_read(a->queries, WN_TOPICS_AUTO, &topics, &err);
    if (st == WN_OK) st = cli_model_open(a->reranker, DEFAULT_RERANKERS, 0, a->precision, &model, &err);
    if (st == WN_OK) st = wn_cross_encoder_create(model, a->threads, &cross, &err);
    int code = st == WN_OK ? rerank_file(a, cross, run, topics) : cli_fail(&err);
    wn_cross_encoder_free(cross);
    wn_model_close(model);
    wn_topics_free(topics);
    wn_run_free(run);
    return code;
}

int cmd_rerank(int argc, char **argv) {
    arguments a = {.options = wn_rerank_run_options_default()};
    int policy = 0;
    cli_list operands = {0};
    const cli_option options[] = {
        {"run", 0, OPT_STRING, &a.run, "FILE", "the run: query Q0 document rank score tag (needed)"},
        {"beir", 0, OPT_STRING, &a.beir, "DIR", "where corpus.jsonl and queries.jsonl lie"},
        {"corpus", 0, OPT_STRING, &a.corpus, "FILE", "another corpus: {\"_id\", \"title\", \"text\"} a line"},
        {"queries", 'q', OPT_STRING, &a.queries, "FILE", "other queries: JSONL, or id TAB text"},
        {"output", 'o', OPT_STRING, &a.output, "FILE", "the new run (needed)"},
        {"depth", 'n', OPT_SIZE, &a.options.depth, "N", "documents of a query to rerank (100)", 1},
        {"tag", 0, OPT_STRING, &a.options.tag, "T", "tag of the new run (winnow)"},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long documents",
         .choices = REC_LENGTH_POLICIES},
        {"precision", 0, OPT_CHOICE, &a.precision, NULL, "how the model computes", .choices = PRECISIONS},
        {"reranker", 'r', OPT_STRING, &a.reranker, "M", "cross-encoder: directory or cache name"},
        {"threads", 't', OPT_INT, &a.threads, "N", "worker threads (default: one a processor)", 0},
        {"quiet", 0, OPT_FLAG, &a.quiet, NULL, "no progress, no remarks"},
    };
    const cli_command command = {
        "rerank --run RUN --beir DIR -o FILE [options]",
        "Reorders the first documents of any system's run by the cross-encoder. A stopped or killed run\n"
        "is kept in FILE.partial, and the same command goes on from there; FILE appears whole.",
        options, sizeof options / sizeof *options};
    char *corpus = NULL, *queries = NULL;
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count) code = cli_usage_error(&command, "\"%s\" is not expected", operands.items[0]);
    if (code < 0 && (!a.run || !a.output)) code = cli_usage_error(&command, "--run and -o are needed");
    if (code < 0 && !a.beir && (!a.corpus || !a.queries))
        code = cli_usage_error(&command, "give --beir DIR, or --corpus and --queries");
    if (code < 0) {
        if (!a.corpus) a.corpus = corpus = beside(a.beir, "corpus.jsonl");
        if (!a.queries) a.queries = queries = beside(a.beir, "queries.jsonl");
        a.options.length_policy = (wn_length_policy)policy;
        code = a.corpus && a.queries ? run_all(&a) : cli_fail_memory();
    }
    free(corpus);
    free(queries);
    cli_list_release(&operands);
    return code;
}
