/* encoder_types.c -- Model, BiEncoder and CrossEncoder: handles, and the two calls that compute. */
#include "binding.h"

static PyTypeObject *model_type, *bi_encoder_type, *cross_encoder_type;

PyTypeObject *py_type_add(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromSpec(spec);
    if (!type || PyModule_AddObjectRef(module, name, type) == 0) return (PyTypeObject *)type;
    Py_DECREF(type);
    return NULL;
}

PyObject *py_object_new(PyTypeObject *type) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

void py_object_free(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

/* ---- Model ------------------------------------------------------------------------ */

/* Model(path: bytes, precision, max_length) */
static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *path;
    int precision;
    Py_ssize_t max_length;
    if (!PyArg_ParseTuple(args, "yin", &path, &precision, &max_length)) return NULL;
    py_model *self = (py_model *)py_object_new(type);
    if (!self) return NULL;
    wn_model_options options = wn_model_options_default();
    options.precision = (wn_precision)precision;
    options.max_length = max_length > 0 ? (size_t)max_length : 0;
    wn_error err;
    wn_status st;
    Py_BEGIN_ALLOW_THREADS
    st = wn_model_open(path, &options, &self->model, &err);
    Py_END_ALLOW_THREADS
    if (st == WN_OK) return (PyObject *)self;
    Py_DECREF(self);
    return py_raise(&err);
}

static void model_dealloc(PyObject *self) {
    wn_model_close(((py_model *)self)->model);
    py_object_free(self);
}

static PyObject *model_describe(PyObject *self, PyObject *ignored) {
    wn_model_info i = wn_model_describe(((py_model *)self)->model);
    return Py_BuildValue("{s:N, s:N, s:s, s:s, s:s, s:s, s:s, s:N, s:s, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:K, s:s, s:s, s:s, s:d}",
                         "name", PyUnicode_DecodeFSDefault(i.name), "path", PyUnicode_DecodeFSDefault(i.path),
                         "architecture", i.architecture, "weights_hash", i.weights_hash, "weights_format", i.weights_format,
                         "kind", i.kind == WN_MODEL_BI_ENCODER ? "bi-encoder" : "cross-encoder",
                         "pooling", i.pooling == WN_POOL_CLS ? "cls" : "mean", "normalize", PyBool_FromLong(i.normalize),
                         "activation", i.activation == WN_ACT_SIGMOID ? "sigmoid" : "identity",
                         "hidden", (Py_ssize_t)i.hidden, "layers", (Py_ssize_t)i.layers, "heads", (Py_ssize_t)i.heads,
                         "intermediate", (Py_ssize_t)i.intermediate, "vocab", (Py_ssize_t)i.vocab,
                         "max_length", (Py_ssize_t)i.max_length, "labels", (Py_ssize_t)i.labels,
                         "parameters", (unsigned long long)i.parameters, "precision", wn_precision_name(i.precision),
                         "query_prompt", i.query_prompt, "document_prompt", i.document_prompt,
                         "open_time_ms", i.open_time_ms);
}

/* ---- BiEncoder ---------------------------------------------------------------------- */

/* BiEncoder(model, threads) */
static PyObject *bi_encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    py_model *model;
    int threads;
    if (!PyArg_ParseTuple(args, "O!i", model_type, &model, &threads)) return NULL;
    py_bi_encoder *self = (py_bi_encoder *)py_object_new(type);
    if (!self) return NULL;
    wn_error err;
    py_door_init(&self->door);
    self->model = Py_NewRef((PyObject *)model);
    if (wn_bi_encoder_create(model->model, threads, &self->encoder, &err) == WN_OK) return (PyObject *)self;
    Py_DECREF(self);
    return py_raise(&err);
}

static void bi_encoder_dealloc(PyObject *object) {
    py_bi_encoder *self = (py_bi_encoder *)object;
    if (py_door_remove(&self->door)) {
        wn_bi_encoder_free(self->encoder);
        Py_XDECREF(self->model); /* in a child it stays: the encoder that is left there borrows it */
    }
    py_object_free(object);
}

/* A bytearray of n * width floats or uint32_t, and where they lie. */
static PyObject *words_new(size_t n, size_t width, void **data) {
    if (width && n > (size_t)PY_SSIZE_T_MAX / 4 / width) return PyErr_NoMemory();
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(n * width * 4));
    if (bytes) *data = PyByteArray_AsString(bytes);
    return bytes;
}

/* out [n, dim]; dropped [n]: of each text the tokens that were not read. */
static wn_status embed(py_bi_encoder *self, const py_texts *texts, int policy, float *out, wn_fit *fits, uint32_t *dropped,
                       wn_error *err) {
    py_door_enter(&self->door);
    wn_status st = wn_bi_encoder_embed(self->encoder, texts->texts, texts->n, WN_ROLE_NONE, (wn_length_policy)policy, out, fits,
                                       err);
    py_door_leave(&self->door);
    for (size_t i = 0; st == WN_OK && i < texts->n; i++) dropped[i] = fits[i].tokens_dropped;
    return st;
}

/* embed(texts, policy) -> (float32 [n, dim], uint32 [n]: tokens not read), as bytearrays. No prompt is put in front. */
static PyObject *bi_encoder_embed(PyObject *object, PyObject *args) {
    py_bi_encoder *self = (py_bi_encoder *)object;
    PyObject *sequence, *out = NULL, *dropped = NULL;
    int policy;
    py_texts texts;
    void *vectors = NULL, *tokens = NULL;
    if (!PyArg_ParseTuple(args, "Oi", &sequence, &policy) || !py_door_check(&self->door) ||
        !py_texts_take(sequence, "texts", &texts))
        return NULL;
    wn_fit *fits = PyMem_Calloc(texts.n + 1, sizeof *fits);
    if (!fits) PyErr_NoMemory();
    if (fits) out = words_new(texts.n, wn_bi_encoder_dim(self->encoder), &vectors);
    if (out) dropped = words_new(texts.n, 1, &tokens);
    wn_error err;
    wn_status st = WN_OK;
    if (dropped) {
        Py_BEGIN_ALLOW_THREADS
        st = embed(self, &texts, policy, vectors, fits, tokens, &err);
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(fits);
    py_texts_release(&texts);
    if (dropped && st == WN_OK) return Py_BuildValue("NN", out, dropped);
    Py_XDECREF(out);
    Py_XDECREF(dropped);
    return st == WN_OK ? NULL : py_raise(&err);
}

/* ---- CrossEncoder ---------------------------------------------------------------------- */

/* CrossEncoder(model, threads) */
static PyObject *cross_encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    py_model *model;
    int threads;
    if (!PyArg_ParseTuple(args, "O!i", model_type, &model, &threads)) return NULL;
    py_cross_encoder *self = (py_cross_encoder *)py_object_new(type);
    if (!self) return NULL;
    wn_error err;
    py_door_init(&self->door);
    self->model = Py_NewRef((PyObject *)model);
    if (wn_cross_encoder_create(model->model, threads, &self->encoder, &err) == WN_OK) return (PyObject *)self;
    Py_DECREF(self);
    return py_raise(&err);
}

static void cross_encoder_dealloc(PyObject *object) {
    py_cross_encoder *self = (py_cross_encoder *)object;
    if (py_door_remove(&self->door)) {
        wn_cross_encoder_free(self->encoder);
        Py_XDECREF(self->model); /* as a bi-encoder's */
    }
    py_object_free(object);
}

/* A list of (score, logit, tokens_seen, tokens_dropped, query_dropped, window_begin, window_end). */
static PyObject *pair_list(const wn_pair_score *pairs, size_t n) {
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        const wn_fit *fit = &pairs[i].fit;
        PyObject *pair = Py_BuildValue("ddIIIII", (double)pairs[i].score, (double)pairs[i].logit, fit->tokens_seen,
                                       fit->tokens_dropped, fit->query_dropped, fit->window_begin, fit->window_end);
        if (pair && PyList_SetItem(list, (Py_ssize_t)i, pair) == 0) continue;
        Py_DECREF(list);
        return NULL;
    }
    return list;
}

/* score(queries, documents, batch_size, policy) -> pair_list */
static PyObject *cross_encoder_score(PyObject *object, PyObject *args) {
    py_cross_encoder *self = (py_cross_encoder *)object;
    PyObject *query_sequence, *document_sequence, *list = NULL;
    py_texts queries, documents;
    Py_ssize_t batch_size;
    int policy;
    if (!PyArg_ParseTuple(args, "OOni", &query_sequence, &document_sequence, &batch_size, &policy) ||
        !py_door_check(&self->door) || !py_texts_take(query_sequence, "queries", &queries))
        return NULL;
    if (!py_texts_take(document_sequence, "documents", &documents)) {
        py_texts_release(&queries);
        return NULL;
    }
    wn_pair_score *pairs = PyMem_Calloc(documents.n + 1, sizeof *pairs);
    wn_error err;
    wn_status st = WN_OK;
    if (!pairs) PyErr_NoMemory();
    else if (queries.n != documents.n)
        PyErr_Format(PyExc_ValueError, "%zu queries and %zu documents: a pair has one of each", queries.n, documents.n);
    else {
        Py_BEGIN_ALLOW_THREADS
        py_door_enter(&self->door);
        st = wn_cross_encoder_score_pairs(self->encoder, queries.texts, documents.texts, documents.n,
                                          batch_size > 0 ? (size_t)batch_size : 0, (wn_length_policy)policy, pairs, &err);
        py_door_leave(&self->door);
        Py_END_ALLOW_THREADS
        list = st == WN_OK ? pair_list(pairs, documents.n) : py_raise(&err);
    }
    PyMem_Free(pairs);
    py_texts_release(&queries);
    py_texts_release(&documents);
    return list;
}

/* ---- All three ------------------------------------------------------------------------- */

static bool take(PyObject *argument, PyTypeObject *type, const char *name, PyObject **out) {
    *out = argument == Py_None ? NULL : argument;
    if (!*out || PyObject_TypeCheck(argument, type)) return true;
    PyErr_Format(PyExc_TypeError, "a %s is needed here, not %R", name, argument);
    return false;
}

bool py_bi_encoder_take(PyObject *argument, py_bi_encoder **out) {
    return take(argument, bi_encoder_type, "BiEncoder", (PyObject **)out);
}

bool py_cross_encoder_take(PyObject *argument, py_cross_encoder **out) {
    return take(argument, cross_encoder_type, "CrossEncoder", (PyObject **)out);
}

static PyMethodDef model_methods[] = {{"describe", model_describe, METH_NOARGS, NULL}, {0}};
static PyMethodDef bi_encoder_methods[] = {{"embed", bi_encoder_embed, METH_VARARGS, NULL}, {0}};
static PyMethodDef cross_encoder_methods[] = {{"score", cross_encoder_score, METH_VARARGS, NULL}, {0}};

static PyType_Slot model_slots[] = {
    {Py_tp_new, model_new}, {Py_tp_dealloc, model_dealloc}, {Py_tp_methods, model_methods}, {0}};
static PyType_Slot bi_encoder_slots[] = {
    {Py_tp_new, bi_encoder_new}, {Py_tp_dealloc, bi_encoder_dealloc}, {Py_tp_methods, bi_encoder_methods}, {0}};
static PyType_Slot cross_encoder_slots[] = {
    {Py_tp_new, cross_encoder_new}, {Py_tp_dealloc, cross_encoder_dealloc}, {Py_tp_methods, cross_encoder_methods}, {0}};

static PyType_Spec model_spec = {"winnow._winnow.Model", sizeof(py_model), 0, Py_TPFLAGS_DEFAULT, model_slots};
static PyType_Spec bi_encoder_spec = {"winnow._winnow.BiEncoder", sizeof(py_bi_encoder), 0, Py_TPFLAGS_DEFAULT, bi_encoder_slots};
static PyType_Spec cross_encoder_spec = {"winnow._winnow.CrossEncoder", sizeof(py_cross_encoder), 0, Py_TPFLAGS_DEFAULT,
                                         cross_encoder_slots};

bool py_encoders_init(PyObject *module) {
    model_type = py_type_add(module, "Model", &model_spec);
    bi_encoder_type = py_type_add(module, "BiEncoder", &bi_encoder_spec);
    cross_encoder_type = py_type_add(module, "CrossEncoder", &cross_encoder_spec);
    return model_type && bi_encoder_type && cross_encoder_type;
}
