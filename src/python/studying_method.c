/* studying_method.c -- Searcher.study: many queries asked once, and what reranking changed or whether it paid, as the JSON that
 * `winnow impact` and `winnow eval` print (records/records.h). */
#include "binding.h"
#include "records/records.h"

enum { IMPACT, EVALUATION }; /* the argument `report` */

typedef struct studying {
    py_searcher *searcher;
    /* as given */
    int report, level, by_query;
    const char *index, *cutoffs, *measure;
    size_t k, depth;
    wn_study_options options;
    py_progress progress;
    /* as made */
    wn_topics *topics;
    wn_qrels *qrels; /* of an evaluation */
    bool expected;   /* they are of the topics' expected sources */
    wn_study *study;
} studying;

static void studying_release(studying *s) {
    wn_study_free(s->study);
    wn_qrels_free(s->qrels);
    wn_topics_free(s->topics);
}

/* Judgements from a text, or from what the topics expect. */
static wn_status labels_parse(studying *s, wn_str qrels, wn_error *err) {
    for (size_t i = 0; i < wn_topics_count(s->topics) && !qrels.data && !s->expected; i++)
        s->expected = wn_topics_get(s->topics, i).nexpected > 0;
    if (!qrels.data && !s->expected) {
        *err = (wn_error){.code = WN_ERR_ARGUMENT, .offset = -1, .line = -1,
                          .message = "no query has an expected_source; give qrels, or use impact, which needs no labels"};
        return WN_ERR_ARGUMENT;
    }
    wn_status st = s->expected ? wn_qrels_from_topics(s->topics, &s->qrels, err)
                               : wn_qrels_parse("qrels", qrels, WN_QRELS_BEIR, &s->qrels, err);
    s->options.judged = s->qrels;
    return st == WN_OK ? rec_measure_check(s->qrels, s->measure, err) : st;
}

/* A list of expected sources that no document of the index answers to: they will count as never found. */
static PyObject *unknown_sources(const studying *s) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && s->expected && i < wn_topics_count(s->topics); i++) {
        wn_topic topic = wn_topics_get(s->topics, i);
        for (size_t e = 0; list && e < topic.nexpected; e++) {
            bool known;
            wn_error err;
            PyObject *name = NULL;
            if (wn_index_has_source(s->searcher->index, topic.expected[e], &known, &err) != WN_OK) (void)py_raise(&err);
            else if (known) continue;
            else name = PyUnicode_DecodeUTF8(topic.expected[e], (Py_ssize_t)strlen(topic.expected[e]), "replace");
            if (!name || PyList_Append(list, name) != 0) Py_CLEAR(list);
            Py_XDECREF(name);
        }
    }
    return list;
}

static wn_status report_fill(const studying *s, rec_report *report, wn_error *err) {
    if (s->report == EVALUATION) {
        rec_eval eval = {.index = s->index, .study = s->study, .topics = s->topics, .qrels = s->qrels, .depth = s->depth,
                         .level = (wn_label_level)s->level, .cutoffs = s->cutoffs, .measure = s->measure,
                         .reranked = s->options.rerank, .by_query = s->by_query};
        return rec_report_eval(report, &eval, err);
    }
    wn_impact_total total;
    wn_impact_query *rows = PyMem_Calloc(wn_study_describe(s->study).queries + 1, sizeof *rows);
    if (!rows) return err->code = WN_ERR_MEMORY;
    wn_status st = wn_impact(s->study, s->depth, s->k, rows, &total, err);
    if (st == WN_OK) {
        rec_put_settings(report, s->index, NULL, s->study);
        rec_report_impact(report, s->study, &total, s->by_query ? rows : NULL, s->k, s->depth);
    }
    PyMem_Free(rows);
    return st;
}

static PyObject *report_text(const studying *s) {
    wn_error err;
    rec_report *report = rec_report_create();
    if (!report) return PyErr_NoMemory();
    PyObject *out = report_fill(s, report, &err) == WN_OK ? py_json_text(rec_report_json(report)) : py_raise(&err);
    rec_report_free(report);
    return out;
}

static bool arguments_take(PyObject *args, studying *s, wn_str *topics, wn_str *qrels) {
    Py_ssize_t topics_size, qrels_size, k, depth;
    int first_stage, policy;
    PyObject *blend;
    if (!PyArg_ParseTuple(args, "is#z#snniisspiOO", &s->report, &topics->data, &topics_size, &qrels->data, &qrels_size, &s->index,
                          &k, &depth, &first_stage, &s->level, &s->cutoffs, &s->measure, &s->by_query, &policy, &blend,
                          &s->progress.progress) ||
        !py_searcher_blend(s->searcher, blend, &s->options.blend))
        return false;
    if (k < 1 || depth < 1) {
        PyErr_SetString(PyExc_ValueError, "k and first_stage_k must be at least 1");
        return false;
    }
    topics->len = (size_t)topics_size, qrels->len = (size_t)qrels_size;
    s->progress.warning = Py_None;
    s->k = (size_t)k;
    s->depth = depth > k ? (size_t)depth : (size_t)k;
    s->options.depths = &s->depth;
    s->options.ndepths = 1;
    s->options.first_stage = (wn_first_stage)first_stage;
    s->options.rerank = s->searcher->cross;
    if (!s->options.rerank) s->options.blend = 0;
    s->options.length_policy = (wn_length_policy)policy;
    s->options.progress = py_progress_report;
    s->options.progress_ctx = &s->progress;
    return true;
}

/* study(report, queries: JSON lines, qrels: BEIR's text | None, index, k, first_stage_k, first_stage, level, cutoffs, measure,
 * by_query, policy, blend | None, progress | None) -> (JSON text, list of unknown expected sources, where these are the labels) */
PyObject *py_searcher_study(PyObject *object, PyObject *args) {
    studying s = {.searcher = (py_searcher *)object, .options = wn_study_options_default()};
    wn_str topics, qrels;
    wn_error err;
    PyObject *unknown = NULL, *text = NULL;
    if (!arguments_take(args, &s, &topics, &qrels) || !py_searcher_check(s.searcher)) return NULL;
    wn_status st = wn_topics_parse("queries", topics, WN_TOPICS_JSONL, &s.topics, &err);
    if (st == WN_OK && s.report == EVALUATION) st = labels_parse(&s, qrels, &err);
    if (st == WN_OK) {
        py_progress_begin(&s.progress);
        py_searcher_enter(s.searcher);
        st = wn_study_run(s.searcher->searcher, s.topics, &s.options, &s.study, &err);
        py_progress_end(&s.progress);
        unknown = st == WN_OK ? unknown_sources(&s) : NULL; /* asks the index: within the door */
        py_searcher_leave(s.searcher);
    }
    if (st != WN_OK) (void)py_raise(&err);
    if (unknown) text = report_text(&s);
    studying_release(&s);
    if (text) return Py_BuildValue("NN", text, unknown);
    Py_XDECREF(unknown);
    return NULL;
}
