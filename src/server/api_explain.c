/* api_explain.c -- POST /explain: why a passage stands where it stands.
 *
 * Request: query string; rank integer from 1 (the passage at that final rank), or document string (a source by
 *   its last path components, "lora.md", or its passage 3, "lora.md#3"); index, first_stage_k, first_stage,
 *   reranker, blend, where, length_policy as in /search.
 * Answer: the object that `winnow explain --format json` prints: standing, reading, terms, sentences.
 * Errors: 400; 404 no such rank, document, index, or no reranker is loaded. */
#include "api.h"

static bool read_which(srv_call *call, size_t *rank, const char **document) {
    if (!srv_body_count(call, "rank", 1, rank) || !srv_body_string(call, "document", document)) return false;
    if (*rank && *document) return srv_call_invalid(call, "rank", "give a rank or a document, not both");
    if (*rank || (*document && **document)) return true;
    return srv_call_invalid(call, "rank", "say which passage: a rank from 1, or a document");
}

static bool read_options(srv_searching *s, wn_search_options *o, srv_filters *filters) {
    srv_call *call = s->call;
    if (!srv_searching_rerank(s, false) || !srv_body_first_stage(s, &o->first_stage) ||
        !srv_body_depths(call, &o->first_stage_k, &o->k) || !srv_body_filters(call, filters) ||
        !srv_body_length_policy(call, &o->length_policy) || !srv_body_blend(s, &o->blend))
        return false;
    o->filters = filters->items;
    o->nfilters = filters->n;
    return true;
}

static void answer(srv_call *call, const char *query, const wn_explanation *explanation) {
    wn_explanation_info info = wn_explanation_describe(explanation);
    rec_report *report = rec_report_create();
    if (report) rec_report_explanation(report, query, &info);
    srv_call_answer(call, report ? rec_report_json(report) : NULL);
    rec_report_free(report);
}

static void explain(srv_searching *s, wn_str query, size_t rank, const char *document) {
    wn_search_options options = wn_search_options_default();
    srv_filters filters = {0};
    wn_searcher *searcher = NULL;
    wn_explanation *explanation = NULL;
    wn_error err;
    if (read_options(s, &options, &filters)) {
        wn_status st = wn_searcher_create_with(s->index, &s->scorers, &searcher, &err);
        if (st == WN_OK) st = wn_explain(searcher, query, &options, rank, document, &explanation, &err);
        if (st == WN_OK) answer(s->call, query.data, explanation);
        else (void)srv_call_failed(s->call, &err);
    }
    wn_explanation_free(explanation);
    wn_searcher_free(searcher);
    srv_filters_release(&filters);
}

void srv_api_explain(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_searching s = {0};
    size_t rank = 0;
    const char *document = NULL;
    wn_str query;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN) &&
        srv_body_text(&call, "query", &query) && read_which(&call, &rank, &document) &&
        srv_searching_open(&s, &call, false))
        explain(&s, query, rank, document);
    srv_searching_close(&s);
    srv_call_end(&call);
}
