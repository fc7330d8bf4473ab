/* api_study.c -- many queries through both stages, for /impact and /eval.
 *
 * Long work. It has an index handle of its own, so that searches don't wait for one of the pool; its pairs go
 * through the batcher like all others, where its client's share is as large as any other client's. Two
 * studies run at a time, a third is told 429: each holds an index's embeddings in memory.
 *
 * With Accept: text/event-stream, progress events {"stage", "done", "total"} come at most ten times a second,
 * then one event `result` with the answer, or `error` with what an error response would have held. Mistakes
 * that are seen before work begins are ordinary responses. A client that hangs up stops the study. */
#include "api_study.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUDIES = 2, MOST_PAIRS = 1000000 };
static const double EVENT_MS = 100;
static atomic_int running;

static bool count_in(srv_studying *s) {
    s->counted = true;
    if (atomic_fetch_add(&running, 1) < STUDIES) return true;
    srv_respond_error(s->searching.call->response, SRV_DIALECT_OWN, 429, NULL, NULL,
                      "%d evaluations are running; try again when one is done", STUDIES);
    return false;
}

/* ---- Queries ---------------------------------------------------------------------------- */

/* A string, or an object as one line of a queries file. */
static char *query_line(const json_t *query) {
    json_t *object = json_is_string(query) ? json_pack("{s:O}", "query", query) : json_incref((json_t *)(uintptr_t)query);
    char *line = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return line;
}

static bool append(char **text, size_t *len, const char *line) {
    size_t n = strlen(line);
    char *grown = realloc(*text, *len + n + 2);
    if (!grown) return false;
    memcpy(grown + *len, line, n);
    grown[*len + n] = '\n';
    *len += n + 1;
    grown[*len] = 0;
    *text = grown;
    return true;
}

/* An array as the lines of the file that it would be. */
static bool array_text(srv_call *call, const json_t *queries, char **text, size_t *len) {
    size_t i;
    json_t *query;
    json_array_foreach(queries, i, query) {
        if (!json_is_string(query) && !json_is_object(query))
            return srv_call_invalid(call, "queries", "query %zu must be a string or an object", i + 1);
        char *line = query_line(query);
        bool good = line && append(text, len, line);
        free(line);
        if (!good) return srv_call_no_memory(call);
    }
    return true;
}

static bool read_topics(srv_studying *s, srv_call *call) {
    json_t *queries = json_object_get(call->body, "queries");
    wn_error err;
    char *text = NULL;
    size_t len = 0;
    if (json_is_string(queries))
        return wn_topics_parse("queries", (wn_str){json_string_value(queries), json_string_length(queries)},
                               WN_TOPICS_AUTO, &s->topics, &err) == WN_OK || srv_call_failed(call, &err);
    if (!json_is_array(queries))
        return srv_call_invalid(call, "queries", "queries must be an array, or the text of a queries file");
    if (!json_array_size(queries)) return srv_call_empty(call, "queries", "queries must not be empty");
    bool good = array_text(call, queries, &text, &len);
    if (good && wn_topics_parse("queries", (wn_str){text, len}, WN_TOPICS_JSONL, &s->topics, &err) != WN_OK)
        good = srv_call_failed(call, &err);
    free(text);
    return good;
}

/* Each candidate of each query is kept until the answer: a hundred bytes. */
static bool check_size(srv_studying *s, srv_call *call) {
    size_t n = wn_topics_count(s->topics);
    if (s->options.max_queries && n > s->options.max_queries) n = s->options.max_queries;
    if (s->depth < s->k) s->depth = s->k;
    if (n <= MOST_PAIRS / s->depth) return true;
    return srv_call_invalid(call, "queries", "%zu queries of %zu candidates are too many; at most %d pairs are taken", n,
                            s->depth, MOST_PAIRS);
}

bool srv_studying_open(srv_studying *s, srv_call *call) {
    const char *accept = srv_request_header(call->request, "Accept");
    srv_searching *searching = &s->searching;
    searching->call = call;
    s->events = accept && strstr(accept, "text/event-stream");
    s->options = wn_study_options_default();
    s->depth = 50;
    s->k = 5;
    if (!srv_call_read_exactly(call) || !read_topics(s, call) || !srv_body_depths(call, &s->depth, &s->k) ||
        !srv_body_filters(call, &s->filters) || !srv_body_length_policy(call, &s->options.length_policy) ||
        !srv_body_count(call, "max_queries", 1, &s->options.max_queries) || !check_size(s, call) || !count_in(s) ||
        !srv_searching_open(searching, call, true) || !srv_body_first_stage(searching, &s->options.first_stage))
        return false;
    s->options.filters = s->filters.items;
    s->options.nfilters = s->filters.n;
    return true;
}

void srv_studying_close(srv_studying *s) {
    srv_searching_close(&s->searching);
    wn_study_free(s->study);
    wn_topics_free(s->topics);
    wn_qrels_free(s->qrels);
    srv_filters_release(&s->filters);
    json_decref(s->warnings);
    if (s->counted) atomic_fetch_sub(&running, 1);
}

/* ---- Labels -------------------------------------------------------------------------------- */

static void warn(srv_studying *s, json_t *text) {
    if (!s->warnings) s->warnings = json_array();
    json_array_append_new(s->warnings, text);
}

/* An expected source that no document of the index answers to would count as never found, silently. */
static bool check_expected(srv_studying *s) {
    size_t unknown = 0, labelled = 0, total = wn_topics_count(s->topics);
    const char *example = "";
    wn_error err;
    for (size_t i = 0; i < total; i++) {
        wn_topic topic = wn_topics_get(s->topics, i);
        labelled += topic.nexpected > 0;
        for (size_t e = 0; e < topic.nexpected; e++) {
            bool known;
            if (wn_index_has_source(s->searching.index, topic.expected[e], &known, &err) != WN_OK)
                return srv_call_failed(s->searching.call, &err);
            if (!known && !unknown++) example = topic.expected[e];
        }
    }
    if (unknown)
        warn(s, json_sprintf("%zu expected sources are no document of the index (\"%.200s\"); they count as not found",
                             unknown, example));
    if (labelled && labelled < total)
        warn(s, json_sprintf("%zu queries have no expected_source; they are left out", total - labelled));
    return true;
}

/* {query id: {document: relevance}} */
static bool qrels_object(srv_studying *s, json_t *object) {
    srv_call *call = s->searching.call;
    const char *query, *document;
    json_t *documents, *value;
    wn_error err;
    if (wn_qrels_create(&s->qrels, &err) != WN_OK) return srv_call_failed(call, &err);
    json_object_foreach(object, query, documents) {
        if (!json_is_object(documents))
            return srv_call_invalid(call, "qrels", "qrels[\"%.100s\"] must be an object of documents", query);
        json_object_foreach(documents, document, value) {
            json_int_t relevance = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
            if ((!json_is_integer(value) && !json_is_boolean(value)) || relevance < -1000000 || relevance > 1000000)
                return srv_call_invalid(call, "qrels", "qrels[\"%.100s\"][\"%.100s\"] must be an integer", query, document);
            if (wn_qrels_add(s->qrels, query, document, (int)relevance, &err) != WN_OK)
                return srv_call_failed(call, &err);
        }
    }
    if (wn_qrels_judgements(s->qrels)) return true;
    return srv_call_empty(call, "qrels", "qrels hold no judgement");
}

bool srv_studying_labels(srv_studying *s) {
    srv_call *call = s->searching.call;
    json_t *qrels = srv_body_field(call, "qrels", NULL);
    wn_error err;
    if (json_is_object(qrels)) return qrels_object(s, qrels);
    if (json_is_string(qrels))
        return wn_qrels_parse("qrels", (wn_str){json_string_value(qrels), json_string_length(qrels)}, WN_QRELS_AUTO,
                              &s->qrels, &err) == WN_OK || srv_call_failed(call, &err);
    if (qrels) return srv_call_invalid(call, "qrels", "qrels must be an object or the text of a qrels file");
    bool any = false;
    for (size_t i = 0; i < wn_topics_count(s->topics) && !any; i++) any = wn_topics_get(s->topics, i).nexpected > 0;
    if (!any)
        return srv_call_invalid(call, "qrels", "no query has an expected_source; give qrels, or use /impact, which "
                                               "needs no labels");
    if (!check_expected(s)) return false;
    return wn_qrels_from_topics(s->topics, &s->qrels, &err) == WN_OK || srv_call_failed(call, &err);
}

/* ---- Running --------------------------------------------------------------------------------- */

typedef struct watcher {
    srv_studying *s;
    double told_ms;
} watcher;

static bool progress(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    watcher *w = ctx;
    srv_call *call = w->s->searching.call;
    double now = srv_now_ms();
    if (atomic_load(call->request->gone) || (call->deadline_ms > 0 && now > call->deadline_ms)) return false;
    if (!w->s->events || (w->s->streaming && done < total && now - w->told_ms < EVENT_MS)) return true;
    w->told_ms = now;
    w->s->streaming = true;
    return srv_respond_event(call->response, "progress",
                             json_pack("{s:s, s:I, s:I}", "stage", stage, "done", (json_int_t)done, "total", (json_int_t)total));
}

bool srv_studying_failed(srv_studying *s, const wn_error *err) {
    srv_call *call = s->searching.call;
    bool late = err->code == WN_ERR_CANCELLED && call->deadline_ms > 0 && srv_now_ms() > call->deadline_ms;
    if (!s->streaming && late)
        srv_respond_error(call->response, call->dialect, 408, NULL, "timeout_ms", "the deadline came: %s", err->message);
    else if (!s->streaming) srv_respond_failure(call->response, call->dialect, err);
    else
        (void)srv_respond_event(call->response, "error",
                                json_pack("{s:{s:s, s:o, s:s}}", "error", "type", late ? "deadline" : wn_status_name(err->code),
                                          "message", rec_text(err->message), "request_id", call->request->id));
    return false;
}

bool srv_studying_run(srv_studying *s, bool rerank) {
    srv_searching *searching = &s->searching;
    wn_searcher *searcher = NULL;
    watcher w = {.s = s};
    wn_error err;
    if (rerank && (!srv_searching_rerank(searching, false) || !srv_body_blend(searching, &s->options.blend))) return false;
    s->options.depths = &s->depth;
    s->options.ndepths = 1;
    s->options.rerank = rerank;
    s->options.judged = s->qrels;
    s->options.progress = progress;
    s->options.progress_ctx = &w;
    wn_status st = wn_searcher_create_with(searching->index, &searching->scorers, &searcher, &err);
    if (st == WN_OK) st = wn_study_run(searcher, s->topics, &s->options, &s->study, &err);
    wn_searcher_free(searcher);
    return st == WN_OK || srv_studying_failed(s, &err);
}

/* As a reader of nine digits has them: events are written with more. */
static json_t *nine_digits(json_t *body) {
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_t *rounded = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
    free(text);
    json_decref(body);
    return rounded;
}

void srv_studying_answer(srv_studying *s, json_t *body) {
    srv_call *call = s->searching.call;
    if (body && s->warnings && json_object_set(body, "warnings", s->warnings) != 0) {
        json_decref(body);
        body = NULL;
    }
    if (!s->streaming) srv_call_answer(call, body);
    else if (!(body = nine_digits(body)) || !srv_respond_event(call->response, "result", body)) {
        wn_error err = {.code = WN_ERR_MEMORY, .message = "out of memory; try again later"};
        if (!body) (void)srv_studying_failed(s, &err);
    }
}
