/* index_functions.c -- an index's file: made from folders, changed document by document, described. */
#include "binding.h"

static PyObject *stats_dict(const wn_build_stats *s) {
    return Py_BuildValue("{s:K, s:K, s:K, s:K, s:K, s:K, s:K, s:K, s:K, s:d}",
                         "documents_added", (unsigned long long)s->documents_added,
                         "documents_changed", (unsigned long long)s->documents_changed,
                         "documents_unchanged", (unsigned long long)s->documents_unchanged,
                         "documents_removed", (unsigned long long)s->documents_removed,
                         "documents_skipped", (unsigned long long)s->documents_skipped,
                         "passages_embedded", (unsigned long long)s->passages_embedded,
                         "passages_reused", (unsigned long long)s->passages_reused,
                         "tokens_embedded", (unsigned long long)s->tokens_embedded,
                         "tokens_dropped", (unsigned long long)s->tokens_dropped, "seconds", s->seconds);
}

/* A tuple of bytes (paths) or str (names) as C strings, borrowed from its items. */
static const char **names_take(PyObject *tuple, const char *what) {
    Py_ssize_t n = PyTuple_Size(tuple);
    const char **out = n < 0 ? NULL : PyMem_Calloc((size_t)n + 1, sizeof *out);
    if (!out) return n < 0 ? NULL : (const char **)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyTuple_GetItem(tuple, i);
        out[i] = PyBytes_Check(item) ? PyBytes_AsString(item) : py_name(item, what);
        if (out[i]) continue;
        PyMem_Free(out);
        return NULL;
    }
    return out;
}

/* ---- Building ------------------------------------------------------------------------ */

/* index_build(path: bytes, inputs: tuple of bytes, bi | None, chunk_size, chunk_overlap, unit, keep_missing, stemming,
 * progress | None, warning | None) -> dict */
PyObject *py_index_build(PyObject *module, PyObject *args) {
    const char *path;
    PyObject *inputs, *bi_argument;
    py_bi_encoder *bi;
    Py_ssize_t chunk_size, chunk_overlap;
    int unit, keep_missing, stemming;
    py_progress progress = {0};
    if (!PyArg_ParseTuple(args, "yO!OnnippOO", &path, &PyTuple_Type, &inputs, &bi_argument, &chunk_size, &chunk_overlap, &unit,
                          &keep_missing, &stemming, &progress.progress, &progress.warning) ||
        !py_bi_encoder_take(bi_argument, &bi) || !py_door_check(bi ? &bi->door : NULL))
        return NULL;
    if (chunk_size < 1 || chunk_overlap < 0)
        return PyErr_Format(PyExc_ValueError, "chunk_size must be at least 1 and chunk_overlap at least 0");
    const char **names = names_take(inputs, "an input");
    if (!names) return NULL;
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = (size_t)chunk_size;
    options.split.chunk_overlap = (size_t)chunk_overlap;
    options.split.unit = (wn_split_unit)unit;
    if (bi) options.split.tokenizer = wn_model_tokenizer(wn_bi_encoder_model(bi->encoder));
    options.keep_missing = keep_missing;
    options.stemming = stemming;
    options.progress = py_progress_report;
    options.warning = py_progress_warn;
    options.progress_ctx = options.warning_ctx = &progress;
    wn_build_stats stats = {0};
    wn_error err;
    py_progress_begin(&progress);
    py_door_enter(bi ? &bi->door : NULL);
    wn_status st = wn_index_build(path, names, (size_t)PyTuple_Size(inputs), bi ? bi->encoder : NULL, &options, &stats, &err);
    py_door_leave(bi ? &bi->door : NULL);
    py_progress_end(&progress);
    PyMem_Free(names);
    if (progress.failed) return NULL; /* a warning's exception may come behind the last report */
    return st == WN_OK ? stats_dict(&stats) : py_raise(&err);
}

/* ---- Single documents ------------------------------------------------------------------ */

/* (source, title | None, text, metadata: JSON | None, markdown) */
static bool document_take(PyObject *tuple, wn_new_document *out) {
    int markdown;
    Py_ssize_t size;
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "a document is a tuple here");
        return false;
    }
    if (!PyArg_ParseTuple(tuple, "szs#zp", &out->source, &out->title, &out->text.data, &size, &out->metadata, &markdown))
        return false;
    out->text.len = (size_t)size;
    out->markdown = markdown;
    return true;
}

static wn_status put(const char *path, const wn_new_document *documents, size_t n, py_bi_encoder *bi,
                     const wn_put_options *options, wn_build_stats *stats, wn_error *err) {
    if (!bi) return wn_index_put(path, documents, n, NULL, options, stats, err);
    py_door_enter(&bi->door);
    wn_scorers scorers = wn_scorers_of(bi->encoder, NULL);
    wn_status st = wn_index_put(path, documents, n, &scorers, options, stats, err);
    py_door_leave(&bi->door);
    return st;
}

/* index_put(path: bytes, documents: tuple of such tuples, bi | None, wait_ms) -> dict */
PyObject *py_index_put(PyObject *module, PyObject *args) {
    const char *path;
    PyObject *tuple, *bi_argument;
    py_bi_encoder *bi;
    wn_put_options options = wn_put_options_default();
    if (!PyArg_ParseTuple(args, "yO!Oi", &path, &PyTuple_Type, &tuple, &bi_argument, &options.wait_ms) ||
        !py_bi_encoder_take(bi_argument, &bi) || !py_door_check(bi ? &bi->door : NULL))
        return NULL;
    Py_ssize_t n = PyTuple_Size(tuple);
    wn_new_document *documents = PyMem_Calloc((size_t)n + 1, sizeof *documents);
    if (!documents) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++)
        if (!document_take(PyTuple_GetItem(tuple, i), &documents[i])) {
            PyMem_Free(documents);
            return NULL;
        }
    wn_build_stats stats = {0};
    wn_error err;
    wn_status st;
    Py_BEGIN_ALLOW_THREADS
    st = put(path, documents, (size_t)n, bi, &options, &stats, &err);
    Py_END_ALLOW_THREADS
    PyMem_Free(documents);
    return st == WN_OK ? stats_dict(&stats) : py_raise(&err);
}

/* index_remove(path: bytes, sources: tuple of str, wait_ms) -> list of bool: which there were */
PyObject *py_index_remove(PyObject *module, PyObject *args) {
    const char *path;
    PyObject *tuple;
    wn_put_options options = wn_put_options_default();
    if (!PyArg_ParseTuple(args, "yO!i", &path, &PyTuple_Type, &tuple, &options.wait_ms)) return NULL;
    const char **sources = names_take(tuple, "a source");
    if (!sources) return NULL;
    size_t n = (size_t)PyTuple_Size(tuple);
    bool *known = PyMem_Calloc(n + 1, sizeof *known);
    wn_build_stats stats = {0};
    wn_error err;
    wn_status st = WN_OK;
    PyObject *out = known ? PyList_New((Py_ssize_t)n) : PyErr_NoMemory();
    if (out) {
        Py_BEGIN_ALLOW_THREADS
        st = wn_index_remove(path, sources, n, &options, known, &stats, &err);
        Py_END_ALLOW_THREADS
        for (size_t i = 0; i < n; i++) PyList_SetItem(out, (Py_ssize_t)i, PyBool_FromLong(known[i]));
    }
    PyMem_Free(sources);
    PyMem_Free(known);
    if (st == WN_OK) return out;
    Py_DECREF(out);
    return py_raise(&err);
}

/* ---- Describing ------------------------------------------------------------------------- */

PyObject *py_index_info(wn_index *index) {
    wn_index_info i;
    wn_error err;
    if (wn_index_describe(index, &i, &err) != WN_OK) return py_raise(&err);
    return Py_BuildValue("{s:i, s:K, s:K, s:K, s:n, s:s, s:s, s:N, s:s, s:s, s:s, s:N, s:s, s:n, s:n, s:N}",
                         "schema_version", i.schema_version, "documents", (unsigned long long)i.documents,
                         "passages", (unsigned long long)i.passages, "embedded", (unsigned long long)i.embedded,
                         "dim", (Py_ssize_t)i.dim, "model_name", i.model_name, "model_hash", i.model_hash,
                         "model_path", PyUnicode_DecodeFSDefault(i.model_path), "query_prompt", i.query_prompt,
                         "document_prompt", i.document_prompt, "pooling", i.pooling == WN_POOL_CLS ? "cls" : "mean",
                         "normalize", PyBool_FromLong(i.normalize),
                         "unit", i.unit == WN_UNIT_TOKENS ? "tokens" : "characters", "chunk_size", (Py_ssize_t)i.chunk_size,
                         "chunk_overlap", (Py_ssize_t)i.chunk_overlap, "stemming", PyBool_FromLong(i.stemming));
}

/* index_describe(path: bytes) -> dict */
PyObject *py_index_describe(PyObject *module, PyObject *args) {
    const char *path;
    wn_index *index = NULL;
    wn_error err;
    wn_status st;
    if (!PyArg_ParseTuple(args, "y", &path)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    st = wn_index_open(path, &index, &err);
    Py_END_ALLOW_THREADS
    PyObject *out = st == WN_OK ? py_index_info(index) : py_raise(&err);
    wn_index_close(index);
    return out;
}
