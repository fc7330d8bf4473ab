/* api_search.c -- POST /search, GET /search: one query in two stages; and the table of winnow's own routes.
 *
 * Request (POST, JSON; all but query may be left out):
 *   query           string
 *   index           string: a name of GET /indexes; the first
 *   k               integer from 1: results; 5
 *   first_stage_k   integer from 1: candidates; 50, at least k
 *   first_stage     "dense" | "bm25" | "hybrid"; dense, or bm25 where the index has no embeddings
 *   rerank          "always" | "auto" | "never", or true | false; always, or never where no reranker is loaded.
 *                   auto skips it where the first stage is sure (needs skip_threshold, or one in the index)
 *   reranker        string: a name; the first
 *   skip_threshold  number from 0 to 1
 *   blend           number from 0: weight of the cosine beside the logit; what the reranker recommends
 *   min_score       number: keeps results of at least this score
 *   where           {"key": value}, ["key=value"]: metadata, "source", "title"; "value*" is a prefix
 *   length_policy   "truncate" | "error" | "windows"; as the server is configured
 *   timeout_ms      number above 0; also the header X-Timeout-Ms. What was reranked in time is kept
 * GET takes the same as ?q=...&k=...; `where` as key=value.
 *
 * Answer: the object that `winnow search --format json` prints (records/answer_records.c), and
 *   index           string
 *   timings         {"queue_ms", "compute_ms", "total_ms", "tokens"}
 * Errors: 400 wrong value, 404 unknown index or reranker, 429 queue full, 503 models loading. */
#include "api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RERANK_ALWAYS, RERANK_AUTO, RERANK_NEVER, RERANK_UNSAID };

/* "never" without asking for models; unsaid: where there is a reranker. */
static bool read_rerank(srv_searching *s, wn_search_options *o) {
    static const char *const CHOICES[] = {"always", "auto", "never", NULL};
    srv_call *call = s->call;
    json_t *value = srv_body_field(call, "rerank", NULL);
    int choice = RERANK_UNSAID;
    double threshold = NAN;
    bool given;
    if (json_is_boolean(value)) choice = json_is_true(value) ? RERANK_ALWAYS : RERANK_NEVER;
    else if (!srv_body_choice(call, "rerank", CHOICES, &choice)) return false;
    if (!srv_body_number(call, "skip_threshold", 0, 1, &threshold, &given)) return false;
    if (choice != RERANK_NEVER && !srv_searching_rerank(s, choice == RERANK_UNSAID)) return false;
    o->rerank = s->reranker != NULL;
    o->skip_when_sure = o->rerank && choice == RERANK_AUTO;
    o->skip_threshold = (float)threshold;
    if (!o->skip_when_sure || given) return true;
    wn_error err;
    wn_status st = wn_skip_threshold_load(s->index, o->first_stage, &o->skip_threshold, &err);
    if (st == WN_ERR_NOT_FOUND)
        return srv_call_invalid(call, "skip_threshold",
                                "rerank auto needs a skip_threshold: the index %s holds none for this first stage",
                                s->index_name);
    return st == WN_OK || srv_call_failed(call, &err);
}

static bool read_options(srv_searching *s, wn_search_options *o, srv_filters *filters) {
    srv_call *call = s->call;
    double min_score = 0;
    if (!srv_body_first_stage(s, &o->first_stage) || !srv_body_depths(call, &o->first_stage_k, &o->k) ||
        !srv_body_number(call, "min_score", -1e30, 1e30, &min_score, &o->has_min_score) ||
        !srv_body_filters(call, filters) || !srv_body_length_policy(call, &o->length_policy) ||
        !read_rerank(s, o) || !srv_body_blend(s, &o->blend))
        return false;
    if (!o->rerank) o->blend = 0;
    o->min_score = (float)min_score;
    o->filters = filters->items;
    o->nfilters = filters->n;
    return true;
}

/* A deadline that is over means stage 1 alone, as with one that is over soon. */
static double time_left(const srv_call *call) {
    if (call->deadline_ms <= 0) return 0;
    double left = call->deadline_ms - srv_now_ms();
    return left > 1e-3 ? left : 1e-3;
}

static json_t *answer_json(const srv_searching *s, wn_str query, const wn_answer *answer) {
    json_t *o = rec_search(query, answer, srv_searching_embedder(s), srv_searching_reranker(s));
    if (o && (json_object_set_new(o, "index", rec_text(s->index_name)) != 0 ||
              json_object_set_new(o, "timings", srv_searching_timings(s)) != 0)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static void answer_query(srv_searching *s, wn_str query) {
    wn_search_options options = wn_search_options_default();
    srv_filters filters = {0};
    wn_searcher *searcher = NULL;
    wn_answer *answer = NULL;
    wn_error err;
    if (read_options(s, &options, &filters)) {
        options.deadline_ms = time_left(s->call);
        s->lend_back = true;
        wn_status st = wn_searcher_create_with(s->index, &s->scorers, &searcher, &err);
        if (st == WN_OK) st = wn_search(searcher, query, &options, &answer, &err);
        if (st == WN_OK) srv_call_answer(s->call, answer_json(s, query, answer));
        else (void)srv_call_failed(s->call, &err);
    }
    wn_answer_free(answer);
    wn_searcher_free(searcher);
    srv_filters_release(&filters);
}

static void search(srv_call *call) {
    srv_searching s = {0};
    wn_str query;
    if (srv_body_text(call, "query", &query) && srv_searching_open(&s, call, false)) answer_query(&s, query);
    srv_searching_close(&s);
}

void srv_api_search(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin(&call, service, request, response, SRV_DIALECT_OWN)) search(&call);
    srv_call_end(&call);
}

/* ---- GET ------------------------------------------------------------------------------ */

/* A text that reads as a number becomes one; another is left for the field's own error. */
static bool take_number(srv_call *call, const char *name) {
    const char *text = srv_request_query(call->request, name);
    char *end;
    double value = text && *text ? strtod(text, &end) : NAN;
    if (!isfinite(value) || *end) return srv_call_take_query(call, name, name);
    return json_object_set_new(call->body, name, json_real(value)) == 0 || srv_call_no_memory(call);
}

static bool take_query(srv_call *call) {
    static const char *const TEXTS[] = {"index", "first_stage", "rerank", "reranker", "where", "length_policy"};
    static const char *const NUMBERS[] = {"k", "first_stage_k", "skip_threshold", "blend", "min_score", "timeout_ms"};
    if (!srv_call_take_query(call, "query", "query") || !srv_call_take_query(call, "q", "query")) return false;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        if (!srv_call_take_query(call, TEXTS[i], TEXTS[i])) return false;
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        if (!take_number(call, NUMBERS[i])) return false;
    double ms = 0;
    bool given;
    if (!srv_body_number(call, "timeout_ms", 1e-6, 1e15, &ms, &given)) return false;
    double deadline = call->begin_ms + ms;
    if (given && (call->deadline_ms <= 0 || deadline < call->deadline_ms)) call->deadline_ms = deadline;
    return true;
}

void srv_api_search_get(srv_service *service, const srv_request *request, srv_response *response) {
    srv_call call;
    if (srv_call_begin_bare(&call, service, request, response, SRV_DIALECT_OWN) && take_query(&call)) search(&call);
    srv_call_end(&call);
}

const srv_route srv_api_routes[] = {
    {"POST", "/search", SRV_DIALECT_OWN, srv_api_search, 0},
    {"GET", "/search", SRV_DIALECT_OWN, srv_api_search_get, 0},
    {"POST", "/compare", SRV_DIALECT_OWN, srv_api_compare, 0},
    {"POST", "/explain", SRV_DIALECT_OWN, srv_api_explain, 0},
    {"GET", "/indexes", SRV_DIALECT_OWN, srv_api_indexes, 0},
    {"GET", "/documents", SRV_DIALECT_OWN, srv_api_documents_list, 0},
    {"POST", "/documents", SRV_DIALECT_OWN, srv_api_documents_put, SRV_ROUTE_LARGE_BODY},
    {"PUT", "/documents", SRV_DIALECT_OWN, srv_api_documents_put, SRV_ROUTE_LARGE_BODY},
    {"DELETE", "/documents", SRV_DIALECT_OWN, srv_api_documents_delete, 0},
    {"POST", "/impact", SRV_DIALECT_OWN, srv_api_impact, 0},
    {"POST", "/eval", SRV_DIALECT_OWN, srv_api_eval, 0},
    {NULL},
};
