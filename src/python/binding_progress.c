/* binding_progress.c -- long work's calls back into Python. */
#include "binding.h"

void py_progress_begin(py_progress *progress) { progress->state = PyEval_SaveThread(); }

void py_progress_end(py_progress *progress) { PyEval_RestoreThread(progress->state); }

/* result: of a call, or NULL where it raised; the reference is taken. */
static void keep(py_progress *p, PyObject *result) {
    if (!result) p->failed = true;
    Py_XDECREF(result);
}

bool py_progress_report(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    py_progress *p = ctx;
    py_progress_end(p);
    if (!p->failed && PyErr_CheckSignals() != 0) p->failed = true;
    if (!p->failed && p->progress != Py_None)
        keep(p, PyObject_CallFunction(p->progress, "sKK", stage, (unsigned long long)done, (unsigned long long)total));
    py_progress_begin(p);
    return !p->failed;
}

void py_progress_warn(void *ctx, const char *message) {
    py_progress *p = ctx;
    py_progress_end(p);
    if (!p->failed && p->warning != Py_None)
        keep(p, PyObject_CallFunction(p->warning, "N", PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace")));
    py_progress_begin(p);
}
