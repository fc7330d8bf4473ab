/* binding_module.c -- the module winnow._winnow: its types, its functions, and the model cache. */
#include "binding.h"

/* A path from the library as str; it is freed. */
static PyObject *path_text(char *path) {
    PyObject *out = PyUnicode_DecodeFSDefault(path);
    wn_string_free(path);
    return out;
}

/* model_path(name: bytes) -> str: a directory, or a name known to the cache. */
static PyObject *model_path(PyObject *module, PyObject *args) {
    const char *name;
    char *path = NULL;
    wn_error err;
    if (!PyArg_ParseTuple(args, "y", &name)) return NULL;
    return wn_model_path(name, &path, &err) == WN_OK ? path_text(path) : py_raise(&err);
}

/* model_pull(name, revision | None, token | None, progress | None) -> str: where it lies now. */
static PyObject *model_pull(PyObject *module, PyObject *args) {
    const char *name, *revision, *token;
    char *path = NULL;
    wn_error err;
    py_progress progress = {.warning = Py_None};
    if (!PyArg_ParseTuple(args, "szzO", &name, &revision, &token, &progress.progress)) return NULL;
    wn_pull_options options = wn_pull_options_default();
    if (revision) options.revision = revision;
    if (token) options.token = token;
    options.progress = py_progress_report;
    options.progress_ctx = &progress;
    py_progress_begin(&progress);
    wn_status st = wn_model_pull(name, &options, &path, &err);
    py_progress_end(&progress);
    return st == WN_OK ? path_text(path) : py_raise(&err);
}

static PyObject *version(PyObject *module, PyObject *ignored) { return PyUnicode_FromString(wn_version()); }

static PyMethodDef functions[] = {
    {"compare", py_compare, METH_VARARGS, NULL},
    {"index_build", py_index_build, METH_VARARGS, NULL},
    {"index_describe", py_index_describe, METH_VARARGS, NULL},
    {"index_put", py_index_put, METH_VARARGS, NULL},
    {"index_remove", py_index_remove, METH_VARARGS, NULL},
    {"model_path", model_path, METH_VARARGS, NULL},
    {"model_pull", model_pull, METH_VARARGS, NULL},
    {"version", version, METH_NOARGS, NULL},
    {0}};

/* m_size -1: types and winnow.errors are kept in statics, so there is one module a process. */
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "winnow._winnow", "The calls of libwinnow; see the package winnow.",
                                        -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__winnow(void); /* looked up by name */

PyMODINIT_FUNC PyInit__winnow(void) {
    PyObject *module = py_errors_init() ? PyModule_Create(&definition) : NULL;
    if (module && py_encoders_init(module) && py_searching_init(module)) return module;
    Py_XDECREF(module);
    return NULL;
}
