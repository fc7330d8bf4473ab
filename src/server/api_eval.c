/* api_eval.c -- POST /eval: quality with and without reranking on the client's labelled queries.
 *
 * Request: as /impact, without k, and
 *   queries   may hold "expected_source", a source or several, by their last path components
 *   qrels     {query id: {document: relevance}}, or the text of a TREC or BEIR qrels file; else the expected sources
 *   level     "document" | "passage": what is judged; a passage is SOURCE#N
 *   cutoffs   "1,3,5,10", or an array of integers
 *   measure   "ndcg_cut_10": of the table by query
 *   rerank    false: the first stage alone
 *   summary   true: no table by query
 * Answer: the object that `winnow eval INDEX --queries FILE --format json` prints: settings, measures, queries; and
 *   warnings [string] where labels name no document. Events and errors as /impact. */
#include "api_study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct eval_options {
    char cutoffs[200];
    const char *measure;
    int level;
    bool rerank, summary;
} eval_options;

static bool read_cutoff(srv_call *call, const char **text, long long *out) {
    char *end;
    *out = **text >= '0' && **text <= '9' ? strtoll(*text, &end, 10) : 0;
    if (*out < 1 || *out > 1000000 || (*end && *end != ','))
        return srv_call_invalid(call, "cutoffs", "cutoffs must be whole numbers from 1, as in \"10,20\" or [10, 20]");
    *text = *end ? end + 1 : end;
    return true;
}

/* As "1,3,5". */
static bool read_cutoffs(srv_call *call, char *out, size_t size) {
    json_t *value = srv_body_field(call, "cutoffs", NULL), *number;
    size_t i, used = 0;
    snprintf(out, size, "1,3,5,10");
    if (!value) return true;
    if (json_is_array(value) && json_array_size(value)) {
        json_array_foreach(value, i, number) {
            double n = json_is_number(number) ? json_number_value(number) : 0;
            if (n >= 1 && n <= 1e6 && n == (double)(long long)n && used + 12 < size) {
                used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? "," : "", (long long)n);
                continue;
            }
            return srv_call_invalid(call, "cutoffs", "cutoffs must be at most %zu whole numbers from 1", size / 12);
        }
        return true;
    }
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value) || strlen(text) >= size)
        return srv_call_invalid(call, "cutoffs", "cutoffs must be whole numbers from 1, as in \"10,20\" or [10, 20]");
    snprintf(out, size, "%s", text);
    long long n;
    do
        if (!read_cutoff(call, &text, &n)) return false;
    while (*text);
    return true;
}

static bool read_options(srv_call *call, eval_options *o) {
    *o = (eval_options){.measure = "ndcg_cut_10", .rerank = true};
    return read_cutoffs(call, o->cutoffs, sizeof o->cutoffs) && srv_body_string(call, "measure", &o->measure) &&
           srv_body_choice(call, "level", REC_LABEL_LEVELS, &o->level) && srv_body_bool(call, "rerank", &o->rerank) &&
           srv_body_bool(call, "summary", &o->summary);
}

static bool check_measure(srv_studying *s, const eval_options *o) {
    wn_error err;
    if (rec_measure_check(s->qrels, o->measure, &err) == WN_OK) return true;
    return srv_call_invalid(s->searching.call, "measure", "measure: %.300s", err.message);
}

static void answer(srv_studying *s, const eval_options *o) {
    wn_error err;
    rec_eval eval = {.index = s->searching.index_name, .study = s->study, .topics = s->topics, .qrels = s->qrels,
                     .depth = s->depth, .level = (wn_label_level)o->level, .cutoffs = o->cutoffs, .measure = o->measure,
                     .reranked = o->rerank, .by_query = !o->summary};
    rec_report *report = rec_report_create();
    if (!report) srv_studying_answer(s, NULL);
    else if (rec_report_eval(report, &eval, &err) != WN_OK) (void)srv_studying_failed(s, &err);
    else srv_studying_answer(s, rec_report_json(report));
    rec_report_free(report);
}

void srv_api_eval(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_studying s = {0};
    eval_options o;
    /* Options after opening: it reads the body anew, and strings borrowed before would be gone. */
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN) && srv_studying_open(&s, &call) &&
        read_options(&call, &o) && srv_studying_labels(&s) && check_measure(&s, &o) && srv_studying_run(&s, o.rerank))
        answer(&s, &o);
    srv_studying_close(&s);
    srv_call_end(&call);
}
