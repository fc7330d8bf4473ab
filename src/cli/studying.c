/* studying.c -- queries, an index and models to a study, for the commands that ask if reranking pays. */
#include "studying.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int cli_studying_open(cli_studying *s, const cli_command *command) {
    wn_error err;
    if (!s->queries) return cli_usage_error(command, "give the queries by --queries FILE");
    int code = cli_filters_parse(command, &s->where, &s->filters);
    if (code >= 0) return code;
    s->stage = (wn_first_stage)s->first_stage;
    wn_status st = wn_topics_read(s->queries, WN_TOPICS_AUTO, &s->topics, &err);
    if (st == WN_OK)
        st = cli_searching_open(&s->searching, s->index, s->embedder, s->threads, &s->stage, &err);
    return st == WN_OK ? -1 : cli_fail(&err);
}

void cli_studying_close(cli_studying *s) {
    cli_searching_close(&s->searching);
    wn_topics_free(s->topics);
    wn_qrels_free(s->qrels);
    cli_filters_free(s->filters, s->where.count);
    cli_list_release(&s->where);
    cli_list_release(&s->rerankers);
}

int cli_studying_run(cli_studying *s, const char *reranker, wn_first_stage stage, bool rerank,
                     bool confidence, const size_t *depths, size_t ndepths, wn_study **out) {
    wn_error err;
    cli_progress progress;
    wn_study_options options = wn_study_options_default();
    options.depths = depths;
    options.ndepths = ndepths;
    options.first_stage = stage;
    options.rerank = rerank;
    options.confidence = confidence;
    options.length_policy = (wn_length_policy)s->policy;
    options.filters = s->filters;
    options.nfilters = s->where.count;
    options.judged = s->qrels;
    options.max_queries = s->max_queries;
    if (rerank && cli_searching_rerank(&s->searching, reranker, &err) != WN_OK) return cli_fail(&err);
    options.blend = rerank ? s->searching.blend : 0;
    cli_progress_start(&progress, s->quiet);
    options.progress = cli_progress_update;
    options.progress_ctx = &progress;
    wn_status st = wn_study_run(s->searching.searcher, s->topics, &options, out, &err);
    cli_progress_end(&progress);
    if (st == WN_OK) return -1;
    int code = cli_fail(&err);
    return st == WN_ERR_CANCELLED ? EXIT_INTERRUPTED : code;
}

int cli_parse_sizes(const cli_command *command, const char *option, const char *text, size_t **out,
                    size_t *n) {
    size_t count = 1;
    for (const char *c = text; *c; c++) count += *c == ',';
    size_t *values = calloc(count, sizeof *values);
    if (!values) return cli_fail_memory();
    for (size_t i = 0; i < count; i++) {
        char *end;
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (end == text || errno || value < 1 || (*end && *end != ',')) {
            free(values);
            return cli_usage_error(command, "--%s wants numbers from 1, as in 10,20,50", option);
        }
        values[i] = (size_t)value;
        text = *end ? end + 1 : end;
    }
    *out = values;
    *n = count;
    return -1;
}

/* An expected source that no document of the index answers to would count as never found. */
static int check_expected(const cli_studying *s) {
    wn_error err;
    size_t unknown = 0, labelled = 0;
    const char *example = NULL;
    for (size_t i = 0; i < wn_topics_count(s->topics); i++) {
        wn_topic topic = wn_topics_get(s->topics, i);
        labelled += topic.nexpected > 0;
        for (size_t e = 0; e < topic.nexpected; e++) {
            bool known;
            if (wn_index_has_source(s->searching.index, topic.expected[e], &known, &err) != WN_OK)
                return cli_fail(&err);
            if (known) continue;
            if (!unknown++) example = topic.expected[e];
        }
    }
    if (s->quiet) return -1;
    if (unknown)
        fprintf(stderr, "winnow: %s: %zu expected sources are no document of the index (\"%s\"); they "
                        "count as not found\n", s->queries, unknown, example);
    if (labelled && labelled < wn_topics_count(s->topics))
        fprintf(stderr, "winnow: %s: %zu queries have no expected_source; they are left out\n",
                s->queries, wn_topics_count(s->topics) - labelled);
    return -1;
}

int cli_studying_labels(cli_studying *s, const char *qrels_path) {
    wn_error err;
    if (qrels_path)
        return wn_qrels_read(qrels_path, WN_QRELS_AUTO, &s->qrels, &err) == WN_OK ? -1 : cli_fail(&err);
    bool any = false;
    for (size_t i = 0; i < wn_topics_count(s->topics) && !any; i++)
        any = wn_topics_get(s->topics, i).nexpected > 0;
    if (!any) return -1;
    int code = check_expected(s);
    if (code >= 0) return code;
    return wn_qrels_from_topics(s->topics, &s->qrels, &err) == WN_OK ? -1 : cli_fail(&err);
}
