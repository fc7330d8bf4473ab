/* binding.h -- what the parts of the module winnow._winnow share.
 *
 * The module is the library's own calls and nothing more: C types over opaque handles, positional arguments, enums as
 * numbers. What a Python user sees (names, defaults, numpy, other libraries' interfaces) is the package's (winnow/ beside
 * this file). It keeps to Python's limited API, so that one build serves Python 3.11 and every later one.
 *
 * Threads. The global lock is released while winnow works. An encoder, and a searcher, serve one thread at a time: each has
 * a door, and others wait at it. Whoever goes through several takes them in the order bi-encoder, cross-encoder, searcher.
 *
 * Callbacks of long work run inside its door, so what they call must not come to the same door: that too is a RuntimeError.
 *
 * Processes. A child after fork has none of the worker threads: its door says so (RuntimeError) where waiting for them would
 * never end, and such an object is not freed there.
 *
 * Functions that return PyObject * or bool raise where they return NULL or false. */
#ifndef WN_PYTHON_BINDING_H
#define WN_PYTHON_BINDING_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <jansson.h>
#include <winnow.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>

/* ---- Errors (binding_errors.c) ------------------------------------------------ */

/* Finds winnow.errors, whose error_of(status, message, line, offset) makes what is raised. */
bool py_errors_init(void);
/* Raises err and returns NULL. What Python code called meanwhile has raised stays. */
PyObject *py_raise(const wn_error *err);

/* ---- Doors (binding_errors.c) -------------------------------------------------- */

typedef struct py_door {
    pthread_mutex_t lock;
    pid_t process;                /* that made what is behind it */
    _Atomic unsigned long inside; /* the thread that is; 0: none */
} py_door;
void py_door_init(py_door *door);
/* Whether what is behind it may be freed here; then its lock is destroyed. */
bool py_door_remove(py_door *door);
/* Raises in another process than its own, and in the thread that is inside. NULL: nothing to check, as below. */
bool py_door_check(const py_door *door);
/* Without the global lock held, or two threads could wait for each other. */
void py_door_enter(py_door *door);
void py_door_leave(py_door *door);

/* ---- Arguments (binding_arguments.c) ------------------------------------------- */

/* A sequence of str as UTF-8, borrowed from the strings, which are held. */
typedef struct py_texts {
    PyObject *held; /* a tuple */
    wn_str *texts;  /* [n] */
    size_t n;
} py_texts;
/* what: for the message, as "documents". */
bool py_texts_take(PyObject *sequence, const char *what, py_texts *out);
void py_texts_release(py_texts *texts);
/* UTF-8 of a str; borrowed. */
bool py_text_take(PyObject *text, const char *what, wn_str *out);
/* The same of one that may hold no NUL. NULL raises. */
const char *py_name(PyObject *text, const char *what);

/* ---- Types ----------------------------------------------------------------------- */

typedef struct py_model {
    PyObject_HEAD
    wn_model *model;
} py_model;

typedef struct py_bi_encoder {
    PyObject_HEAD
    PyObject *model; /* held */
    wn_bi_encoder *encoder;
    py_door door;
} py_bi_encoder;

typedef struct py_cross_encoder {
    PyObject_HEAD
    PyObject *model; /* held */
    wn_cross_encoder *encoder;
    py_door door;
} py_cross_encoder;

typedef struct py_searcher {
    PyObject_HEAD
    wn_index *index;
    wn_searcher *searcher;
    py_bi_encoder *bi;       /* held; NULL: none */
    py_cross_encoder *cross; /* held; NULL: none */
    py_door door;
} py_searcher;
/* All doors of a searcher: its encoders' and its own. */
bool py_searcher_check(const py_searcher *searcher);
void py_searcher_enter(py_searcher *searcher);
void py_searcher_leave(py_searcher *searcher);
/* The weight of the cosine: a number, or None for the one that its reranker recommends. */
bool py_searcher_blend(const py_searcher *searcher, PyObject *given, float *out);
/* searcher.study(...) */
PyObject *py_searcher_study(PyObject *searcher, PyObject *args);

/* A JSON value, whose reference is taken, as str; NULL: memory ran out. */
PyObject *py_json_text(json_t *value);

/* An argument that is an object of that type, or None (*out NULL). */
bool py_bi_encoder_take(PyObject *argument, py_bi_encoder **out);
bool py_cross_encoder_take(PyObject *argument, py_cross_encoder **out);

/* A type made from spec, known in the module by `name`; a reference to it for the caller. */
PyTypeObject *py_type_add(PyObject *module, const char *name, PyType_Spec *spec);
/* An object of zeros, at the beginning of a type's new; the end of its dealloc. */
PyObject *py_object_new(PyTypeObject *type);
void py_object_free(PyObject *self);

bool py_encoders_init(PyObject *module); /* Model, BiEncoder, CrossEncoder */
bool py_searching_init(PyObject *module); /* Searcher, whose study is studying_method.c */

/* ---- Functions of the module ------------------------------------------------------- */

PyObject *py_compare(PyObject *module, PyObject *args);
PyObject *py_index_build(PyObject *module, PyObject *args);
PyObject *py_index_put(PyObject *module, PyObject *args);
PyObject *py_index_remove(PyObject *module, PyObject *args);
PyObject *py_index_describe(PyObject *module, PyObject *args);
/* The same of an index that is open. */
PyObject *py_index_info(wn_index *index);

/* ---- Progress (binding_progress.c) ---------------------------------------------------- */

/* Calls back into Python from work that runs without the global lock, in the thread that began it. Ctrl-C, and what
 * the callables raise, stop the work. */
typedef struct py_progress {
    PyObject *progress; /* progress(stage, done, total), or None; borrowed */
    PyObject *warning;  /* warning(message), or None; borrowed */
    PyThreadState *state;
    bool failed;        /* an exception is set */
} py_progress;
void py_progress_begin(py_progress *progress); /* releases the global lock */
void py_progress_end(py_progress *progress);   /* takes it again */
bool py_progress_report(void *ctx, const char *stage, uint64_t done, uint64_t total); /* a wn_progress_fn */
void py_progress_warn(void *ctx, const char *message);
#endif
