/* api_impact.c -- POST /impact: what reranking changes on the client's queries; needs no labels.
 *
 * Request: queries array of strings or of {"query" (or "text"), "id"}, or a string, the text of a queries file (JSON
 *   lines, id TAB text, or one a line); k (5), first_stage_k (50), first_stage, index, reranker, blend, where,
 *   length_policy, max_queries (ask only the first so many); summary boolean: only the totals.
 * Answer: the object that `winnow impact --format json` prints: settings, total, queries.
 *   With Accept: text/event-stream: events progress {"stage","done","total"}, then result or error (api_study.c).
 * Errors: 400; 404 unknown index, no reranker loaded; 408 timeout_ms came; 429 two are running. */
#include "api_study.h"

#include <stdlib.h>

static void answer(srv_studying *s, bool by_query) {
    wn_impact_total total;
    wn_error err;
    size_t n = wn_study_describe(s->study).queries;
    wn_impact_query *rows = calloc(n ? n : 1, sizeof *rows);
    rec_report *report = rec_report_create();
    if (rows && report && wn_impact(s->study, s->depth, s->k, rows, &total, &err) != WN_OK) {
        (void)srv_studying_failed(s, &err);
    } else {
        if (rows && report) {
            rec_put_settings(report, s->searching.index_name, NULL, s->study);
            rec_report_impact(report, s->study, &total, by_query ? rows : NULL, s->k, s->depth);
        }
        srv_studying_answer(s, rows && report ? rec_report_json(report) : NULL);
    }
    rec_report_free(report);
    free(rows);
}

void srv_api_impact(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    srv_studying s = {0};
    bool summary = false;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN) &&
        srv_body_bool(&call, "summary", &summary) && srv_studying_open(&s, &call) && srv_studying_run(&s, true))
        answer(&s, !summary);
    srv_studying_close(&s);
    srv_call_end(&call);
}
