/* cmd_explain.c -- why a passage stands where it stands. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int tell(const char *query, const wn_explanation_info *e, int format) {
    rec_report *report = cli_report_create();
    if (!report) return EXIT_FAILED;
    rec_report_explanation(report, query, e);
    return cli_report_print(report, (report_format)format);
}

static int explain(cli_searching *searching, const cli_list *operands, const char *doc, const char *embedder,
                   const char *reranker, int threads, wn_search_options *options, int format) {
    wn_error err;
    wn_explanation *explanation = NULL;
    const char *query = operands->items[1];
    bool is_rank = strspn(doc, "0123456789") == strlen(doc);
    wn_status st = cli_searching_open(searching, operands->items[0], embedder, threads, &options->first_stage, &err);
    if (st == WN_OK) st = cli_searching_rerank(searching, reranker, &err);
    options->blend = searching->blend;
    if (st == WN_OK)
        st = wn_explain(searching->searcher, (wn_str){query, strlen(query)}, options,
                        is_rank ? (size_t)strtoull(doc, NULL, 10) : 0, doc, &explanation, &err);
    int code = EXIT_FAILED;
    if (st != WN_OK) {
        code = cli_fail(&err);
    } else {
        wn_explanation_info info = wn_explanation_describe(explanation);
        code = tell(query, &info, format);
    }
    wn_explanation_free(explanation);
    cli_searching_close(searching);
    return code;
}

int cmd_explain(int argc, char **argv) {
    const char *doc = NULL, *embedder = NULL, *reranker = NULL;
    int threads = 0, policy = 0, first_stage = 0, format = 0;
    cli_list operands = {0}, where = {0};
    wn_filter *filters = NULL;
    cli_searching searching = {0};
    wn_search_options o = wn_search_options_default();
    const cli_option options[] = {
        {"doc", 'd', OPT_STRING, &doc, "N", "final rank N, or a document (its passage 3: lora.md#3)"},
        {"first-stage-k", 'n', OPT_SIZE, &o.first_stage_k, "N", "candidates to rerank (50)", 1},
        {"first-stage", 's', OPT_CHOICE, &first_stage, NULL, "how candidates are found",
         .choices = REC_FIRST_STAGES},
        {"where", 'w', OPT_LIST, &where, "KEY=VALUE", "filter on metadata; VALUE* is a prefix"},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long passages",
         .choices = REC_LENGTH_POLICIES},
        {"format", 'f', OPT_CHOICE, &format, NULL, "how to print", .choices = REPORT_FORMATS},
        {"embedder", 'e', OPT_STRING, &embedder, "M", "bi-encoder (default: the index's)"},
        {"reranker", 'r', OPT_STRING, &reranker, "M", "cross-encoder: directory or cache name"},
        BLEND_OPTION(searching),
        {"threads", 't', OPT_INT, &threads, "N", "worker threads (default: one a processor)", 0},
    };
    const cli_command command = {
        "explain INDEX QUERY --doc N [options]",
        "Tells why a passage stands where it stands: both ranks and scores, what the cross-encoder read\n"
        "of it, which words BM25 found in it, and what the score would be without each sentence.",
        options, sizeof options / sizeof *options};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count != 2) code = cli_usage_error(&command, "give an index and a query");
    if (code < 0 && (!doc || !*doc || !strcmp(doc, "0")))
        code = cli_usage_error(&command, "give --doc: a final rank from 1, or a document");
    if (code < 0) code = cli_filters_parse(&command, &where, &filters);
    if (code < 0) {
        o.filters = filters;
        o.nfilters = where.count;
        o.length_policy = (wn_length_policy)policy;
        o.first_stage = (wn_first_stage)first_stage;
        code = explain(&searching, &operands, doc, embedder, reranker, threads, &o, format);
    }
    cli_filters_free(filters, where.count);
    cli_list_release(&where);
    cli_list_release(&operands);
    return code;
}
