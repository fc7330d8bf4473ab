/* binding_errors.c -- statuses as exceptions, and the doors that encoders stand behind. */
#include "binding.h"

#include <unistd.h>

static PyObject *error_of; /* winnow.errors.error_of */

bool py_errors_init(void) {
    PyObject *errors = PyImport_ImportModule("winnow.errors");
    PyObject *found = errors ? PyObject_GetAttrString(errors, "error_of") : NULL;
    Py_XDECREF(errors);
    if (!found) return false;
    Py_XDECREF(error_of);
    error_of = found;
    return true;
}

PyObject *py_raise(const wn_error *err) {
    if (PyErr_Occurred()) return NULL;
    if (err->code == WN_ERR_MEMORY) return PyErr_NoMemory();
    PyObject *message = PyUnicode_DecodeUTF8(err->message, (Py_ssize_t)strlen(err->message), "replace");
    PyObject *error = message ? PyObject_CallFunction(error_of, "sNLL", wn_status_name(err->code), message, (long long)err->line,
                                                      (long long)err->offset)
                              : NULL;
    if (error) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return NULL;
}

void py_door_init(py_door *door) {
    pthread_mutex_init(&door->lock, NULL);
    door->process = getpid();
}

bool py_door_remove(py_door *door) {
    if (door->process != getpid()) return false;
    pthread_mutex_destroy(&door->lock);
    return true;
}

bool py_door_check(const py_door *door) {
    if (!door) return true;
    if (door->process == getpid()) {
        if (atomic_load(&door->inside) != PyThread_get_thread_ident()) return true;
        PyErr_SetString(PyExc_RuntimeError, "this object is at work on what called this function: a callback can't use it");
        return false;
    }
    PyErr_SetString(PyExc_RuntimeError, "this object was made before a fork, and its threads stayed behind: make it in the "
                                        "process that uses it (multiprocessing: start method \"spawn\", or create it in the worker)");
    return false;
}

void py_door_enter(py_door *door) {
    if (!door) return;
    pthread_mutex_lock(&door->lock);
    atomic_store(&door->inside, PyThread_get_thread_ident());
}

void py_door_leave(py_door *door) {
    if (!door) return;
    atomic_store(&door->inside, 0);
    pthread_mutex_unlock(&door->lock);
}
