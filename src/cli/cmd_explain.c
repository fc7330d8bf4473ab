/* cmd_explain.c -- why a passage stands where it stands. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_standing(cli_report *report, const char *query, const wn_explanation_info *e) {
    const wn_passage *p = e->passage;
    cli_report_section(report, SECTION_RECORD, "standing", "Where it stands");
    cli_put_text(report, "query", "query", query);
    cli_put_text(report, "document", "document", p->source);
    cli_put_int(report, "passage", "passage", p->ordinal);
    cli_put_text(report, "heading", *p->heading_path ? "heading" : NULL, p->heading_path);
    cli_put_text(report, "content", "content", p->content);
    cli_put_bool(report, "candidate", "recalled by the first stage", e->candidate);
    cli_put_int(report, "candidates", "candidates", (long long)e->candidates);
    cli_put_int(report, "first_stage_rank", "first-stage rank (0: none)", e->first_stage_rank);
    cli_put_int(report, "final_rank", "final rank (0: none)", e->final_rank);
    cli_put_real(report, "first_stage_score", "first-stage score", (double)e->first_stage_score, 4);
    cli_put_real(report, "rerank_score", "cross-encoder's score", (double)e->rerank_score, 4);
    cli_put_real(report, "rerank_logit", "cross-encoder's logit", (double)e->rerank_logit, 4);
    cli_put_int(report, "dense_rank", "rank by cosine among all passages", e->dense_rank);
    cli_put_real(report, "cosine", "cosine", (double)e->cosine, 4);
    cli_put_int(report, "bm25_rank", "rank by BM25 among all (0: no word)", e->bm25_rank);
    cli_put_real(report, "bm25_score", "BM25", (double)e->bm25_score, 4);
}

static void put_reading(cli_report *report, const wn_explanation_info *e) {
    char window[64];
    bool whole = e->window_begin == 0 && e->window_end >= e->passage->input_length;
    snprintf(window, sizeof window, "bytes %u to %u", e->window_begin, e->window_end);
    cli_report_section(report, SECTION_RECORD, "reading", "What the cross-encoder read");
    cli_put_int(report, "tokens_seen", "tokens seen", e->fit.tokens_seen);
    cli_put_int(report, "tokens_dropped", "tokens dropped", e->fit.tokens_dropped);
    cli_put_int(report, "query_tokens_dropped", "query tokens dropped", e->fit.query_dropped);
    cli_put_text(report, "best_window", "best window", whole ? "the whole passage" : window);
    cli_put_int(report, "window_begin", NULL, e->window_begin);
    cli_put_int(report, "window_end", NULL, e->window_end);
    cli_put_real(report, "window_logit", "its logit", (double)e->window_logit, 4);
}

static void put_terms(cli_report *report, const wn_explanation_info *e) {
    cli_report_section(report, SECTION_TABLE, "terms", "Words of the query that BM25 found in it");
    for (size_t i = 0; i < e->nterms; i++) {
        cli_report_row(report);
        cli_put_text(report, "term", "word", e->terms[i].term);
        cli_put_real(report, "bm25", "part of BM25", (double)e->terms[i].bm25, 4);
        cli_put_int(report, "passages", "passages that hold it", (long long)e->terms[i].passages);
    }
    cli_report_note(report, "%zu of the query's %zu words", e->nterms, e->query_terms);
}

static void put_sentences(cli_report *report, const wn_explanation_info *e) {
    cli_report_section(report, SECTION_TABLE, "sentences", "The cross-encoder without one sentence");
    for (size_t i = 0; i < e->nsentences; i++) {
        const wn_left_out *s = &e->sentences[i];
        char *text = strndup(e->passage->input + s->begin, s->end - s->begin);
        cli_report_row(report);
        cli_put_signed(report, "change", "change", (double)s->change, 4);
        cli_put_real(report, "logit_without", "logit", (double)s->logit_without, 4);
        cli_put_int(report, "begin", NULL, (long long)s->begin);
        cli_put_int(report, "end", NULL, (long long)s->end);
        cli_put_text(report, "sentence", "without", text);
        free(text);
    }
    cli_report_note(report, "a negative change: the passage scores less without the sentence");
}

static int tell(const char *query, const wn_explanation_info *e, int format) {
    cli_report *report = cli_report_create();
    if (!report) return EXIT_FAILED;
    put_standing(report, query, e);
    put_reading(report, e);
    put_terms(report, e);
    put_sentences(report, e);
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
         .choices = FIRST_STAGES},
        {"where", 'w', OPT_LIST, &where, "KEY=VALUE", "filter on metadata; VALUE* is a prefix"},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long passages",
         .choices = LENGTH_POLICIES},
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
