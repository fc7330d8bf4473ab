/* searching_type.c -- Searcher: an index and its encoders; and comparing without an index. Answers leave as JSON text, in the
 * shape of `winnow search --format json` and POST /search (records/records.h). */
#include "binding.h"
#include "records/records.h"

#include <math.h>
#include <stdlib.h>

/* The doors of both encoders, or of those there are. */
static bool encoders_check(const py_bi_encoder *bi, const py_cross_encoder *cross) {
    return py_door_check(bi ? &bi->door : NULL) && py_door_check(cross ? &cross->door : NULL);
}

static void encoders_enter(py_bi_encoder *bi, py_cross_encoder *cross) {
    py_door_enter(bi ? &bi->door : NULL);
    py_door_enter(cross ? &cross->door : NULL);
}

static void encoders_leave(py_bi_encoder *bi, py_cross_encoder *cross) {
    py_door_leave(cross ? &cross->door : NULL);
    py_door_leave(bi ? &bi->door : NULL);
}

bool py_searcher_check(const py_searcher *searcher) {
    return py_door_check(&searcher->door) && encoders_check(searcher->bi, searcher->cross);
}

void py_searcher_enter(py_searcher *searcher) {
    encoders_enter(searcher->bi, searcher->cross);
    py_door_enter(&searcher->door);
}

void py_searcher_leave(py_searcher *searcher) {
    py_door_leave(&searcher->door);
    encoders_leave(searcher->bi, searcher->cross);
}

static const wn_model *bi_model(const py_bi_encoder *bi) { return bi ? wn_bi_encoder_model(bi->encoder) : NULL; }
static const wn_model *cross_model(const py_cross_encoder *cross) {
    return cross ? wn_cross_encoder_model(cross->encoder) : NULL;
}

/* A float, or the default where the argument is None. */
static bool real_take(PyObject *argument, double *out) {
    if (argument != Py_None) *out = PyFloat_AsDouble(argument);
    return !PyErr_Occurred();
}

bool py_searcher_blend(const py_searcher *searcher, PyObject *given, float *out) {
    double weight = (double)wn_model_blend(cross_model(searcher->cross), bi_model(searcher->bi));
    if (!real_take(given, &weight)) return false;
    *out = (float)weight;
    return true;
}

PyObject *py_json_text(json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text) return PyErr_NoMemory();
    PyObject *out = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), NULL);
    free(text);
    return out;
}

/* ---- Making one -------------------------------------------------------------------- */

static wn_status open_both(py_searcher *self, const char *path, int threads, wn_error *err) {
    wn_status st = wn_index_open(path, &self->index, err);
    if (st == WN_OK) st = wn_index_use_threads(self->index, threads, err);
    if (st == WN_OK)
        st = wn_searcher_create(self->index, self->bi ? self->bi->encoder : NULL, self->cross ? self->cross->encoder : NULL,
                                &self->searcher, err);
    return st;
}

/* Searcher(path: bytes, bi: BiEncoder | None, cross: CrossEncoder | None, threads) */
static PyObject *searcher_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *path;
    PyObject *bi_argument, *cross_argument;
    py_bi_encoder *bi;
    py_cross_encoder *cross;
    int threads;
    if (!PyArg_ParseTuple(args, "yOOi", &path, &bi_argument, &cross_argument, &threads) ||
        !py_bi_encoder_take(bi_argument, &bi) || !py_cross_encoder_take(cross_argument, &cross) || !encoders_check(bi, cross))
        return NULL;
    py_searcher *self = (py_searcher *)py_object_new(type);
    if (!self) return NULL;
    py_door_init(&self->door);
    self->bi = (py_bi_encoder *)Py_XNewRef((PyObject *)bi);
    self->cross = (py_cross_encoder *)Py_XNewRef((PyObject *)cross);
    wn_error err;
    wn_status st;
    Py_BEGIN_ALLOW_THREADS
    st = open_both(self, path, threads, &err);
    Py_END_ALLOW_THREADS
    if (st == WN_OK) return (PyObject *)self;
    Py_DECREF(self);
    return py_raise(&err);
}

static void searcher_dealloc(PyObject *object) {
    py_searcher *self = (py_searcher *)object;
    /* A child must not close its parent's SQLite handles (their locks are the parent's), nor what borrows from them. */
    if (py_door_remove(&self->door)) {
        wn_searcher_free(self->searcher);
        wn_index_close(self->index);
        Py_XDECREF((PyObject *)self->bi);
        Py_XDECREF((PyObject *)self->cross);
    }
    py_object_free(object);
}

/* ---- Searching ------------------------------------------------------------------------ */

/* {key: value} of str. Names are borrowed from the dict, which the caller's arguments hold. */
static bool filters_take(PyObject *where, wn_filter **out, size_t *n) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    *out = NULL;
    *n = 0;
    if (where == Py_None) return true;
    if (!PyDict_Check(where)) {
        PyErr_SetString(PyExc_TypeError, "where must be a dict of str to str");
        return false;
    }
    *out = PyMem_Calloc((size_t)PyDict_Size(where) + 1, sizeof **out);
    if (!*out) return PyErr_NoMemory(), false;
    while (PyDict_Next(where, &at, &key, &value)) {
        wn_filter *filter = &(*out)[(*n)++];
        filter->key = py_name(key, "a key of where");
        filter->value = filter->key ? py_name(value, "a value of where") : NULL;
        if (filter->value) continue;
        PyMem_Free(*out);
        return false;
    }
    return true;
}

static bool options_take(PyObject *args, const py_searcher *self, PyObject **query, PyObject **where, wn_search_options *o) {
    Py_ssize_t k, first_stage_k, batch_size;
    int first_stage, rerank, policy;
    PyObject *min_score, *skip, *blend;
    double least = 0, threshold = NAN;
    if (!PyArg_ParseTuple(args, "OnnipOOindOO", query, &k, &first_stage_k, &first_stage, &rerank, &min_score, where, &policy,
                          &batch_size, &o->deadline_ms, &skip, &blend))
        return false;
    if (!real_take(min_score, &least) || !real_take(skip, &threshold) || !py_searcher_blend(self, blend, &o->blend)) return false;
    if (k < 0 || first_stage_k < 0 || batch_size < 0) {
        PyErr_SetString(PyExc_ValueError, "k, first_stage_k and batch_size can't be negative");
        return false;
    }
    o->k = (size_t)k;
    o->first_stage_k = (size_t)first_stage_k;
    o->first_stage = (wn_first_stage)first_stage;
    o->rerank = rerank && self->cross;
    o->has_min_score = min_score != Py_None;
    o->min_score = (float)least;
    o->length_policy = (wn_length_policy)policy;
    o->batch_size = (size_t)batch_size;
    o->skip_when_sure = skip != Py_None;
    o->skip_threshold = (float)threshold;
    return true;
}

static wn_status search(py_searcher *self, wn_str query, const wn_search_options *options, wn_answer **answer, wn_error *err) {
    py_searcher_enter(self);
    wn_status st = wn_search(self->searcher, query, options, answer, err);
    py_searcher_leave(self);
    return st;
}

/* search(query, k, first_stage_k, first_stage, rerank, min_score | None, where: dict | None, policy, batch_size, deadline_ms,
 * skip_threshold | None, blend | None: the reranker's own) -> JSON text */
static PyObject *searcher_search(PyObject *object, PyObject *args) {
    py_searcher *self = (py_searcher *)object;
    PyObject *query_argument, *where, *held = NULL, *out = NULL;
    wn_filter *filters = NULL;
    wn_search_options options = wn_search_options_default();
    wn_str query;
    if (!options_take(args, self, &query_argument, &where, &options) || !py_text_take(query_argument, "the query", &query) ||
        !py_searcher_check(self))
        return NULL;
    /* a copy, which no other thread changes meanwhile */
    held = PyDict_Check(where) ? PyDict_Copy(where) : Py_NewRef(where);
    if (!held || !filters_take(held, &filters, &options.nfilters)) {
        Py_XDECREF(held);
        return NULL;
    }
    options.filters = filters;
    wn_answer *answer = NULL;
    wn_error err;
    wn_status st;
    Py_BEGIN_ALLOW_THREADS
    st = search(self, query, &options, &answer, &err);
    Py_END_ALLOW_THREADS
    out = st == WN_OK ? py_json_text(rec_search(query, answer, bi_model(self->bi), cross_model(self->cross))) : py_raise(&err);
    wn_answer_free(answer);
    PyMem_Free(filters);
    Py_DECREF(held);
    return out;
}

static PyObject *searcher_describe(PyObject *object, PyObject *ignored) {
    py_searcher *self = (py_searcher *)object;
    if (!py_door_check(&self->door)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    py_door_enter(&self->door);
    Py_END_ALLOW_THREADS
    PyObject *out = py_index_info(self->index);
    py_door_leave(&self->door);
    return out;
}

/* ---- Comparing ------------------------------------------------------------------------- */

/* compare(bi | None, cross | None, query, documents, policy) -> JSON text */
PyObject *py_compare(PyObject *module, PyObject *args) {
    PyObject *bi_argument, *cross_argument, *query_argument, *sequence, *out = NULL;
    py_bi_encoder *bi;
    py_cross_encoder *cross;
    py_texts documents;
    wn_str query;
    int policy;
    if (!PyArg_ParseTuple(args, "OOOOi", &bi_argument, &cross_argument, &query_argument, &sequence, &policy) ||
        !py_bi_encoder_take(bi_argument, &bi) || !py_cross_encoder_take(cross_argument, &cross) || !encoders_check(bi, cross) ||
        !py_text_take(query_argument, "the query", &query) || !py_texts_take(sequence, "documents", &documents))
        return NULL;
    wn_compare_row *rows = PyMem_Calloc(documents.n + 1, sizeof *rows);
    if (!rows) PyErr_NoMemory();
    if (rows) {
        wn_error err;
        wn_status st;
        Py_BEGIN_ALLOW_THREADS
        encoders_enter(bi, cross);
        st = wn_compare(bi ? bi->encoder : NULL, cross ? cross->encoder : NULL, query, documents.texts, documents.n,
                        (wn_length_policy)policy, rows, &err);
        encoders_leave(bi, cross);
        Py_END_ALLOW_THREADS
        out = st == WN_OK ? py_json_text(rec_compare(query, documents.texts, rows, documents.n)) : py_raise(&err);
    }
    PyMem_Free(rows);
    py_texts_release(&documents);
    return out;
}

/* ---- The type -------------------------------------------------------------------------- */

static PyMethodDef methods[] = {{"describe", searcher_describe, METH_NOARGS, NULL},
                                {"search", searcher_search, METH_VARARGS, NULL},
                                {"study", py_searcher_study, METH_VARARGS, NULL},
                                {0}};
static PyType_Slot slots[] = {
    {Py_tp_new, searcher_new}, {Py_tp_dealloc, searcher_dealloc}, {Py_tp_methods, methods}, {0}};
static PyType_Spec spec = {"winnow._winnow.Searcher", sizeof(py_searcher), 0, Py_TPFLAGS_DEFAULT, slots};

bool py_searching_init(PyObject *module) {
    PyTypeObject *type = py_type_add(module, "Searcher", &spec);
    Py_XDECREF((PyObject *)type); /* the module has it */
    return type;
}
