/* binding_arguments.c -- Python's strings as winnow's, without a copy. */
#include "binding.h"

bool py_texts_take(PyObject *sequence, const char *what, py_texts *out) {
    *out = (py_texts){.held = PySequence_Tuple(sequence)};
    if (!out->held) return false;
    Py_ssize_t n = PyTuple_Size(out->held);
    out->n = (size_t)n;
    out->texts = PyMem_Calloc((size_t)n + 1, sizeof *out->texts);
    if (!out->texts) PyErr_NoMemory();
    for (Py_ssize_t i = 0; out->texts && i < n; i++) {
        PyObject *text = PyTuple_GetItem(out->held, i);
        Py_ssize_t size = 0;
        const char *utf8 = NULL;
        if (!PyUnicode_Check(text)) PyErr_Format(PyExc_TypeError, "%s[%zd] is no str: %R", what, i, text);
        else utf8 = PyUnicode_AsUTF8AndSize(text, &size);
        if (!utf8) break;
        out->texts[i] = (wn_str){utf8, (size_t)size};
    }
    if (!PyErr_Occurred()) return true;
    py_texts_release(out);
    return false;
}

void py_texts_release(py_texts *texts) {
    PyMem_Free(texts->texts);
    Py_XDECREF(texts->held);
    *texts = (py_texts){0};
}

bool py_text_take(PyObject *text, const char *what, wn_str *out) {
    Py_ssize_t size = 0;
    const char *utf8 = NULL;
    if (!PyUnicode_Check(text)) PyErr_Format(PyExc_TypeError, "%s is no str: %R", what, text);
    else utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    *out = (wn_str){utf8, (size_t)size};
    return utf8;
}

const char *py_name(PyObject *text, const char *what) {
    wn_str name;
    if (!py_text_take(text, what, &name)) return NULL;
    if (strlen(name.data) == name.len) return name.data;
    PyErr_Format(PyExc_ValueError, "%s holds a NUL character", what);
    return NULL;
}
